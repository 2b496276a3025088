"""Linear algebra on the last two axes: solve, inv, pinv, det, slogdet, cholesky, products with triangles.

Formulas: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); I. Murray, Differentiation of the Cholesky decomposition (2016) for cholesky; G. H. Golub and
V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems (1973) for pinv.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from chainrule.edges import Edge, Map, Naming, Tensor, Traced, scale, traced
from chainrule.ir import Node
from chainrule.ops.family import helper, opaque
from chainrule.types import Shape, Spec, broadcast_shapes, real_dtype


def inexact(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which LAPACK works for arrays of this one."""
    return np.dtype(dtype) if np.dtype(dtype).kind in "fc" else np.dtype(float)


def for_lapack(*values: Any) -> list[Any]:
    """Return arrays in the one dtype in which LAPACK works on all of them.

    Raises:
        TypeError: it has none, as NumPy says of half and extended precision.
    """
    dtype = np.result_type(*(inexact(value.dtype) for value in values))
    if dtype.char not in "fdFD":
        raise TypeError(f"array type {dtype} is unsupported in linalg")
    return [value.astype(dtype, copy=False) for value in values]


def over_leading(f: Callable[..., Any], *values: Any, count: int = 1) -> Any:
    """Return what f, which takes matrices, gives for arrays with leading axes, which broadcast.

    Args:
        f: Function of matrices.
        values: Its arguments.
        count: How many arrays it returns.
    """
    if all(np.ndim(value) == 2 for value in values):
        return f(*values)
    lead = np.broadcast_shapes(*(np.shape(value)[:-2] for value in values))
    spread = [np.broadcast_to(value, (*lead, *np.shape(value)[-2:])) for value in values]
    places = list(np.ndindex(lead))
    if places:
        found = [f(*(value[place] for value in spread)) for place in places]
    else:  # one application to something harmless, for the shapes
        found = [f(*(0.5 * np.eye(value.shape[-2], value.shape[-1], dtype=value.dtype) for value in spread))]
    parts = [[each] for each in found] if count == 1 else [list(each) for each in found]
    stacks = []
    for k in range(count):
        stack = np.stack([np.asarray(part[k]) for part in parts])
        shape = (*lead, *stack.shape[1:])
        stacks.append(stack.reshape(shape) if places else np.empty(shape, stack.dtype))
    return stacks[0] if count == 1 else tuple(stacks)


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
        np.result_type(inexact(a.dtype), inexact(b.dtype)),
    ),
    partials=[_solve_wrt_matrix, _solve_wrt_side],
    lower="solve",
    core=(2, 2),
    source="np.linalg.solve",
    samples=lambda rng: [((*values, rng.normal(size=(*values[0].shape[:-1], 2))), {}) for values, _ in _matrices(rng)],
)


# -- triangles -----------------------------------------------------------------------------------------


def triangle(x: Node, lower: bool, k: int = 0) -> Node:
    """Return a triangle of matrices, zeros elsewhere; `k` shifts its edge as in `np.tril`."""
    ones = np.ones(x.shape[-2:], real_dtype(x.dtype))
    return scale(x.builder.constant(np.tril(ones, k) if lower else np.triu(ones, k)), x)


def _solve_triangular(a: Any, b: Any, lower: bool, unit: bool) -> Any:
    def one(a: Any, b: Any) -> Any:
        return scipy.linalg.solve_triangular(a, b, lower=lower, unit_diagonal=unit, check_finite=False)

    return over_leading(one, *for_lapack(a, b))


def _triangular_wrt_matrix(y: Node, a: Node, b: Node, lower: bool, unit: bool) -> Traced:
    def program(a_dot: Node) -> Node:
        part = triangle(a_dot, lower, (-1 if lower else 1) if unit else 0)
        return -solve_triangular(a, part @ y, lower=lower, unit=unit).sum_to(y.shape)

    return traced(program, a.spec, y, "solve_triangular's change with the matrix")


def _triangular_wrt_side(y: Node, a: Node, b: Node, lower: bool, unit: bool) -> Map:
    return Map(
        lambda b_dot: solve_triangular(a, b_dot, lower=lower, unit=unit),
        lambda y_bar: solve_triangular(a.mT, y_bar, lower=not lower, unit=unit).sum_to(b.shape),
        b.spec,
        y.spec,
        lambda name, flipped: f"solve_triangular({name(a)}ᵀ, ·)" if flipped else f"solve_triangular({name(a)}, ·)",
        y,
    )


def _triangular_samples(rng: np.random.Generator) -> list[Any]:
    cases = []
    for k, (values, _) in enumerate(_matrices(rng)[:3]):
        sides = rng.normal(size=(*values[0].shape[:-1], 2))
        cases.append(((*values, sides), {"lower": k % 2 == 0, "unit": k % 3 == 2}))
    return cases


solve_triangular = opaque(
    "solve_triangular",
    _solve_triangular,
    doc="The x of a @ x = b, for matrices b, of a triangle of a; with ones on its diagonal if `unit`.",
    infer=lambda a, b, lower, unit: solve.infer(a, b),
    partials=[_triangular_wrt_matrix, _triangular_wrt_side],
    lower="solve_triangular",
    core=(2, 2),
    source=lambda a, b, lower, unit: f"scipy.linalg.solve_triangular({a}, {b}, lower={lower}, unit_diagonal={unit})",
    samples=_triangular_samples,
)


def _mirrored(a: Any, lower: bool) -> Any:
    kept, edge = (np.tril(a), np.tril(a, -1)) if lower else (np.triu(a), np.triu(a, 1))
    return kept + edge.swapaxes(-1, -2).conj()


helper("""
    def mirrored(a, lower):
        kept, edge = (np.tril(a), np.tril(a, -1)) if lower else (np.triu(a), np.triu(a, 1))
        return kept + edge.swapaxes(-1, -2).conj()
""")

mirrored = opaque(
    "mirrored",
    _mirrored,
    doc="The Hermitian matrix of which a triangle is given; differentiated as if the whole matrix stayed Hermitian.",
    infer=lambda a, lower: a,
    partials=[
        lambda y, a, lower: traced(lambda x: 0.5 * (x + x.mT.conj()), a.spec, y, "Hermitian part"),
    ],
    core=(2,),
    source=lambda a, lower: f"mirrored({a}, {lower})",
    samples=lambda rng: [(values, {"lower": k % 2 == 0}) for k, (values, _) in enumerate(_definite(rng))],
)

# -- inverses ------------------------------------------------------------------------------------------


def _inv_edge(y: Node, a: Node) -> Traced:
    def words(name: Naming, flipped: bool) -> str:
        factor = f"{name(y)}ᵀ" if flipped else name(y)
        return f"-{factor} @ · @ {factor}"

    return traced(lambda a_dot: -(y @ a_dot @ y), a.spec, y, words)


inv = opaque(
    "inv",
    np.linalg.inv,
    doc="Inverse of a matrix.",
    infer=lambda a: a.with_dtype(inexact(a.dtype)),
    partials=[_inv_edge],
    lower="inv",
    core=(2,),
    source="np.linalg.inv",
    samples=_matrices,
)


def _pinv(a: Any, rtol: float, atol: float, hermitian: bool) -> Any:
    (a,) = for_lapack(a)
    if not a.size:
        return np.empty((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if not atol:
        return np.linalg.pinv(a, rcond=rtol, hermitian=hermitian)
    top = np.linalg.norm(a, 2, (-2, -1))
    return np.linalg.pinv(a, rcond=rtol + atol / np.where(top, top, 1), hermitian=hermitian)


def _pinv_edge(y: Node, a: Node, rtol: float, atol: float, hermitian: bool) -> Traced:
    """Of matrices that keep their rank (Golub and Pereyra)."""

    def program(a_dot: Node) -> Node:
        a_dot = 0.5 * (a_dot + a_dot.mT.conj()) if hermitian else a_dot
        turned = a_dot.mT.conj()
        left = y @ y.mT.conj() @ turned
        right = turned @ (y.mT.conj() @ y)
        return left - left @ a @ y + right - y @ (a @ right) - y @ a_dot @ y

    return traced(program, a.spec, y, "change of the pseudo-inverse")


pinv = opaque(
    "pinv",
    _pinv,
    doc="Pseudo-inverse: of the singular values above atol + rtol · the largest. Differentiated at constant rank.",
    infer=lambda a, **_: Spec((*a.shape[:-2], a.shape[-1], a.shape[-2]), inexact(a.dtype)),
    partials=[_pinv_edge],
    core=(2,),
    source=lambda a, rtol, atol, hermitian: f"np.linalg.pinv({a}, {rtol}, {hermitian})",
    samples=lambda rng: [
        (
            (rng.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1]),),
            {"rtol": 1e-15, "atol": atol, "hermitian": False},
        )
        for shape in [(3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 2, 2), (0, 2)]
        for atol in ((0.0, 1e-12) if shape == (4, 2) else (0.0,))
    ],
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


def _cofactor_change(a: Any, d: Any) -> Any:
    """Return the change of the cofactors of a in direction d, right also where a is singular.

    In the bases of the singular vectors d is D, and with Q[i, j] the product of all singular values but the i-th and
    the j-th the change is Σ_j Q[i, j] D[j, j] on the diagonal and -Q[i, j] D[j, i] beside it.
    """
    a, d = for_lapack(a, d)
    u, s, vh = np.linalg.svd(a)
    one = np.eye(s.shape[-1], dtype=bool)
    others = np.where(one[:, None] | one[None], 1, s[..., None, None, :]).prod(-1) * ~one
    phase = np.linalg.det(u) * np.linalg.det(vh)
    inner = u.conj().swapaxes(-1, -2) @ d @ vh.conj().swapaxes(-1, -2)
    change = -others * inner.swapaxes(-1, -2)
    change = change + (others @ np.diagonal(inner, axis1=-2, axis2=-1)[..., None]) * one
    return phase[..., None, None] * (u.conj() @ change @ vh.conj())


helper("""
    def cofactor_change(a, d):
        u, s, vh = np.linalg.svd(a)
        one = np.eye(s.shape[-1], dtype=bool)
        others = np.where(one[:, None] | one[None], 1, s[..., None, None, :]).prod(-1) * ~one
        phase = np.linalg.det(u) * np.linalg.det(vh)
        inner = u.conj().swapaxes(-1, -2) @ d @ vh.conj().swapaxes(-1, -2)
        change = -others * inner.swapaxes(-1, -2)
        change = change + (others @ np.diagonal(inner, axis1=-2, axis2=-1)[..., None]) * one
        return phase[..., None, None] * (u.conj() @ change @ vh.conj())
""")


def _third(y: Node, a: Node, d: Node) -> Map:
    """The third derivative of det, symmetric in its three directions, by the inverse."""
    inverse = inv(a)
    whole = det(a).reshape((*a.shape[:-2], 1, 1))

    def trace(x: Node) -> Node:
        rank = x.ndim
        eye = x.builder.constant(np.eye(x.shape[-1], dtype=real_dtype(x.dtype)))
        return scale(eye, x).sum((rank - 2, rank - 1)).reshape((*x.shape[:-2], 1, 1))

    def program(e: Node) -> Node:
        one, two = inverse @ d, inverse @ e
        both, back = one @ two, two @ one
        first = trace(two) * (trace(one) * inverse - one @ inverse)
        second = both @ inverse + back @ inverse - trace(one) * (two @ inverse) - trace(both) * inverse
        return whole * (first + second).mT

    return Map(program, lambda y_bar: program(y_bar).sum_to(a.shape), a.spec, y.spec, "third derivative of det", y)


cofactor_change = opaque(
    "cofactor_change",
    _cofactor_change,
    doc="Change of the matrix of cofactors in a direction. Its own with the matrix needs an invertible one.",
    infer=lambda a, d: Spec(broadcast_shapes(a.shape, d.shape), np.result_type(inexact(a.dtype), inexact(d.dtype))),
    partials=[
        _third,
        lambda y, a, d: Map(
            lambda x: cofactor_change(a, x),
            lambda y_bar: cofactor_change(a, y_bar).sum_to(d.shape),
            d.spec,
            y.spec,
            "cofactor's own change",
            y,
        ),
    ],
    core=(2, 2),
    source=lambda a, d: f"cofactor_change({a}, {d})",
    samples=lambda rng: [((*values, rng.normal(size=values[0].shape)), {}) for values, _ in _matrices(rng)],
)


def _cofactor_edge(y: Node, a: Node) -> Edge:
    """The second derivative of det is symmetric, so this map is its own transpose."""

    def change(x: Node) -> Node:
        return cofactor_change(a, x)

    return Map(change, change, a.spec, y.spec, "cofactor's own change", y)


cofactor = opaque(
    "cofactor",
    _cofactor,
    doc="Matrix of cofactors: the gradient of det.",
    infer=lambda a: a.with_dtype(inexact(a.dtype)),
    partials=[_cofactor_edge],
    core=(2,),
    source=lambda a: f"cofactor({a})",
    samples=_matrices,
)

det = opaque(
    "det",
    np.linalg.det,
    doc="Determinant.",
    infer=lambda a: Spec(a.shape[:-2], inexact(a.dtype)),
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
        Spec(a.shape[:-2], inexact(a.dtype)),
        Spec(a.shape[:-2], real_dtype(inexact(a.dtype))),
    ),
    partials=[_slogdet_edge],
    core=(2,),
    source="np.linalg.slogdet",
    samples=_matrices,
)

# -- cholesky ------------------------------------------------------------------------------------------


def _halved(n: int, dtype: Any) -> Any:
    """Return the weights of Φ: 1 below the diagonal, 1/2 on it, 0 above."""
    return (np.tril(np.ones((n, n)), -1) + 0.5 * np.eye(n)).astype(real_dtype(dtype))


def _cholesky_change(y: Node, a_dot: Node) -> Node:
    """Return L Φ(L⁻¹ A_dot L⁻ᴴ)."""
    keep = y.builder.constant(_halved(y.shape[-1], y.dtype))
    half = solve_triangular(y, 0.5 * (a_dot + a_dot.mT.conj()), lower=True, unit=False)
    whole = solve_triangular(y, half.mT.conj(), lower=True, unit=False).mT.conj()
    return y @ (keep * whole)


def _cholesky_edge(y: Node, a: Node) -> Edge:
    """L_dot = L Φ(L⁻¹ A_dot L⁻ᴴ), where Φ keeps the lower triangle and half the diagonal.

    NumPy reads the lower triangle alone; as is usual, the matrix is taken to stay symmetric, so a change of
    one element is half a change of each of the two.
    """

    def program(a_dot: Node) -> Node:
        return _cholesky_change(y, a_dot)

    if a.spec.is_complex:
        return traced(program, a.spec, y, "cholesky's own change")
    return Map(program, lambda y_bar: cholesky_pull(y, y_bar), a.spec, y.spec, "cholesky's own change", y)


_BLOCK = 48
"""Rows that are pulled back together."""


def _cholesky_pull(factor: Any, bar: Any) -> Any:
    """Pull a cotangent of a Cholesky factor back to the matrix, block by block (Murray, section 4.2)."""
    factor, bar = for_lapack(factor, bar)
    trsm = scipy.linalg.get_blas_funcs("trsm", (factor,))

    def one(l: Any, l_bar: Any) -> Any:  # noqa: E741
        bar = np.array(l_bar, order="C")
        keep = _halved(min(_BLOCK, len(l)), l.dtype)
        for stop in range(len(l), 0, -_BLOCK):
            start = max(stop - _BLOCK, 0)
            row, middle, below = slice(0, start), slice(start, stop), slice(stop, None)
            d, weights = l[middle, middle], keep[: stop - start, : stop - start]
            if stop < len(l):
                c_bar = trsm(1, d, bar[below, middle], side=1, lower=1)
                bar[below, middle] = c_bar
                bar[middle, :stop] -= c_bar.T @ l[below, :stop]
                bar[below, row] -= c_bar @ l[middle, row]
            inner = weights * (np.tril(d).T @ bar[middle, middle])
            half = trsm(1, d, inner + inner.T, side=0, lower=1, trans_a=1)
            whole = trsm(1, d, half, side=1, lower=1)  # the cotangent, from both triangles
            bar[middle, middle] = weights * whole
            bar[middle, row] -= whole @ l[middle, row]
        bar = np.tril(bar)
        return 0.5 * (bar + bar.T)

    return over_leading(one, factor, bar)


helper("""
    def cholesky_pull(l, l_bar):
        n = l.shape[-1]
        keep = (np.tril(np.ones((n, n)), -1) + 0.5 * np.eye(n)).astype(l.dtype)
        inner = np.linalg.inv(np.tril(l)) if n else l
        whole = inner.swapaxes(-1, -2) @ (keep * (np.tril(l).swapaxes(-1, -2) @ np.tril(l_bar))) @ inner
        return (0.5 * (whole + whole.swapaxes(-1, -2))).astype(np.result_type(l, l_bar))
""")


def _pull_wrt_factor(y: Node, factor: Node, bar: Node) -> Traced:
    """The change of the symmetric part of L⁻ᵀ Φ(Lᵀ L_bar) L⁻¹ with L."""
    keep = y.builder.constant(_halved(y.shape[-1], y.dtype))
    middle = keep * (triangle(factor, True).mT @ bar)

    def program(x: Node) -> Node:
        x = triangle(x, True)
        turned = solve_triangular(factor, x, lower=True, unit=False)
        inner = keep * (x.mT @ bar) - turned.mT @ middle - middle @ turned
        half = solve_triangular(factor.mT, inner, lower=False, unit=False)
        whole = solve_triangular(factor.mT, half.mT, lower=False, unit=False)
        return (0.5 * (whole + whole.mT)).sum_to(y.shape)

    return traced(program, factor.spec, y, "change of a pulled factor")


def _pull_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = []
    for lead, n in [((), 3), ((), 1), ((2,), 2)]:
        cases.append(((np.tril(rng.normal(size=(*lead, n, n))) + 3 * np.eye(n), rng.normal(size=(*lead, n, n))), {}))
    return cases


cholesky_pull = opaque(
    "cholesky_pull",
    _cholesky_pull,
    doc="The cotangent of a real matrix, from its Cholesky factor and a cotangent of that.",
    infer=lambda factor, bar: Spec(
        broadcast_shapes(factor.shape, bar.shape), np.result_type(inexact(factor.dtype), inexact(bar.dtype))
    ),
    partials=[
        _pull_wrt_factor,
        lambda y, factor, bar: Map(
            lambda x: cholesky_pull(factor, x),
            lambda y_bar: _cholesky_change(factor, y_bar).sum_to(bar.shape),
            bar.spec,
            y.spec,
            "transpose of cholesky's own change",
            y,
        ),
    ],
    core=(2, 2),
    source=lambda factor, bar: f"cholesky_pull({factor}, {bar})",
    samples=_pull_samples,
    dtypes="fd",
)


cholesky = opaque(
    "cholesky",
    np.linalg.cholesky,
    doc="Lower triangular factor L of a = L @ Lᴴ.",
    infer=lambda a: a.with_dtype(inexact(a.dtype)),
    partials=[_cholesky_edge],
    lower="cholesky",
    core=(2,),
    source="np.linalg.cholesky",
    samples=_definite,
)
