"""Linear algebra on the last two axes: solve, inv, det, slogdet, cholesky.

Formulas: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); I. Murray, Differentiation of the Cholesky decomposition (2016) for cholesky.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.edges import Edge, Map, Naming, Tensor, Traced, traced
from chainrule.ir import Node
from chainrule.ops.family import helper, opaque
from chainrule.types import Shape, Spec, broadcast_shapes, real_dtype


def _inexact(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which LAPACK works for arrays of this one."""
    return np.dtype(dtype) if np.dtype(dtype).kind in "fc" else np.dtype(float)


_SIZES: list[tuple[Shape, int]] = [((), 3), ((), 1), ((2,), 2), ((0,), 2), ((), 0)]


def _matrices(rng: np.random.Generator) -> list[Any]:
    return [((rng.normal(size=(*lead, n, n)) + 2 * np.eye(n),), {}) for lead, n in _SIZES]


def _definite(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = []
    for lead, n in _SIZES:
        a = rng.normal(size=(*lead, n, n))
        cases.append(((a @ a.swapaxes(-1, -2) + np.eye(n),), {}))
    return cases


def _per_matrix(y: Node, a: Node, coefficient: Node) -> Tensor:
    """Return the edge to one number per matrix, whose partials with respect to the matrix are given."""
    labels = tuple(range(a.ndim))
    return Tensor(coefficient, labels, a.spec, labels, y.spec, labels[:-2])


# -- solve and inv -------------------------------------------------------------------------------------


def _solve_wrt_matrix(y: Node, a: Node, b: Node) -> Traced:
    def words(name: Naming, flipped: bool) -> str:
        return f"-solve({name(a)}ᵀ, ·) @ {name(y)}ᵀ" if flipped else f"-solve({name(a)}, · @ {name(y)})"

    return traced(lambda a_dot: -solve(a, a_dot @ y).sum_to(y.shape), a.spec, y, words)


def _solve_wrt_side(y: Node, a: Node, b: Node) -> Map:
    return Map(
        lambda b_dot: solve(a, b_dot),
        lambda y_bar: solve(a.mT, y_bar).sum_to(b.shape),
        b.spec,
        y.spec,
        lambda name, flipped: f"solve({name(a)}ᵀ, ·)" if flipped else f"solve({name(a)}, ·)",
        y,
    )


solve = opaque(
    "solve",
    np.linalg.solve,
    doc="The x of a @ x = b, for matrices b.",
    infer=lambda a, b: Spec(
        (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]),
        np.result_type(_inexact(a.dtype), _inexact(b.dtype)),
    ),
    partials=[_solve_wrt_matrix, _solve_wrt_side],
    lower="solve",
    core=(2, 2),
    source="np.linalg.solve",
    samples=lambda rng: [((*values, rng.normal(size=(*values[0].shape[:-1], 2))), {}) for values, _ in _matrices(rng)],
)


def _inv_edge(y: Node, a: Node) -> Traced:
    def words(name: Naming, flipped: bool) -> str:
        factor = f"{name(y)}ᵀ" if flipped else name(y)
        return f"-{factor} @ · @ {factor}"

    return traced(lambda a_dot: -(y @ a_dot @ y), a.spec, y, words)


inv = opaque(
    "inv",
    np.linalg.inv,
    doc="Inverse of a matrix.",
    infer=lambda a: a.with_dtype(_inexact(a.dtype)),
    partials=[_inv_edge],
    lower="inv",
    core=(2,),
    source="np.linalg.inv",
    samples=_matrices,
)

# -- determinants --------------------------------------------------------------------------------------


def _cofactor(a: Any) -> Any:
    """Return det(a) inv(a)ᵀ, right also where a is singular, from the singular values."""
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    return (phase[..., None, None] * (u.conj() * others[..., None, :]) @ vh.conj()).astype(u.dtype)


helper("""
    def cofactor(a):
        u, s, vh = np.linalg.svd(a)
        others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(-1)
        phase = np.linalg.det(u) * np.linalg.det(vh)
        return (phase[..., None, None] * (u.conj() * others[..., None, :]) @ vh.conj()).astype(u.dtype)
""")


def _cofactor_edge(y: Node, a: Node) -> Edge:
    def program(a_dot: Node) -> Node:
        inverse = inv(a)
        lead = (*a.shape[:-2], 1, 1)
        trace = (inverse.mT * a_dot).sum((a.ndim - 2, a.ndim - 1)).reshape(lead)
        return y * trace - y @ a_dot.mT @ inverse.mT

    return traced(program, a.spec, y, "cofactor's own change")


cofactor = opaque(
    "cofactor",
    _cofactor,
    doc="Matrix of cofactors: the gradient of det. Its own derivative needs an invertible matrix.",
    infer=lambda a: a.with_dtype(_inexact(a.dtype)),
    partials=[_cofactor_edge],
    core=(2,),
    source=lambda a: f"cofactor({a})",
    samples=_matrices,
)

det = opaque(
    "det",
    np.linalg.det,
    doc="Determinant.",
    infer=lambda a: Spec(a.shape[:-2], _inexact(a.dtype)),
    partials=[lambda y, a: _per_matrix(y, a, cofactor(a))],
    lower="det",
    core=(2,),
    source="np.linalg.det",
    samples=_matrices,
)


def _slogdet_edge(y: Node, a: Node) -> Edge | None:
    inverse = inv(a).mT
    if y.params["index"] == 1:
        return _per_matrix(y, a, inverse)
    if not a.spec.is_complex:
        return None

    def turn(a_dot: Node) -> Node:
        trace = (inverse * a_dot).sum((a.ndim - 2, a.ndim - 1))
        return y * (trace - trace.real())

    return traced(turn, a.spec, y, "turn of the sign")


slogdet = opaque(
    "slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    doc="Sign and logarithm of the absolute value of a determinant.",
    infer=lambda a: (
        Spec(a.shape[:-2], _inexact(a.dtype)),
        Spec(a.shape[:-2], real_dtype(_inexact(a.dtype))),
    ),
    partials=[_slogdet_edge],
    core=(2,),
    source="np.linalg.slogdet",
    samples=_matrices,
)

# -- cholesky ------------------------------------------------------------------------------------------


def _cholesky_edge(y: Node, a: Node) -> Traced:
    """L_dot = L Φ(L⁻¹ A_dot L⁻ᴴ), where Φ keeps the lower triangle and half the diagonal.

    NumPy reads the lower triangle alone; as is usual, the matrix is taken to stay symmetric, so a change of
    one element is half a change of each of the two.
    """
    n = a.shape[-1]
    keep = y.builder.constant((np.tril(np.ones((n, n)), -1) + 0.5 * np.eye(n)).astype(real_dtype(a.dtype)))

    def program(a_dot: Node) -> Node:
        symmetric = 0.5 * (a_dot + a_dot.mT.conj())
        half = solve(y, symmetric)
        whole = solve(y, half.mT.conj()).mT.conj()
        return y @ (keep * whole)

    return traced(program, a.spec, y, "cholesky's own change")


cholesky = opaque(
    "cholesky",
    np.linalg.cholesky,
    doc="Lower triangular factor L of a = L @ Lᴴ.",
    infer=lambda a: a.with_dtype(_inexact(a.dtype)),
    partials=[_cholesky_edge],
    lower="cholesky",
    core=(2,),
    source="np.linalg.cholesky",
    samples=_definite,
)
