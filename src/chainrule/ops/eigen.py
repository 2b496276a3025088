"""Eigenvalues, eigenvectors and singular values of the last two axes.

Vectors are determined up to a factor of size 1, and their derivative is that of a smooth choice of it: the part of a
vector's change along itself is zero (`eigh`, `svd`; for a complex singular pair it is shared equally by the two), or
keeps the length 1 and the largest component real (`eig`, as LAPACK has it).

Where values coincide, vectors turn freely among themselves and have no derivative: forward mode gives NaN, unless the
change does not mix them at all. A function that does not depend on the choice of the vectors, such as
``v * f(w) @ v.T``, has one nevertheless; the reverse sweep finds it as the limit of values drawn apart, see `_parted`.

Formulas: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation
(2008); J. Townsend, Differentiating the singular value decomposition (2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from chainrule import ir
from chainrule.edges import Edge, Map, Traced, pull, push, scale, traced, zeros
from chainrule.errors import GraphError
from chainrule.ir import REGISTRY, Node
from chainrule.ops.family import helper, opaque
from chainrule.ops.linalg import for_lapack, inexact, over_leading, solve
from chainrule.types import Spec, real_dtype

Program = Callable[[Node, Node], Node]
"""`(gaps, a_dot)` → the change of vectors, with the array of what divides by differences of values."""


def adjoint(x: Node) -> Node:
    """Return the conjugate transpose of matrices."""
    return x.mT.conj()


def hermitian_part(x: Node) -> Node:
    """Return half the sum of matrices and their conjugate transposes."""
    return 0.5 * (x + adjoint(x))


def diagonal_of(x: Node) -> Node:
    """Return the diagonals of matrices."""
    eye = x.builder.constant(np.eye(x.shape[-2], x.shape[-1], dtype=real_dtype(x.dtype)))
    return scale(eye, x).sum((x.ndim - 1,))


def _row(x: Node) -> Node:
    """Return vectors as matrices of one row."""
    return x.reshape((*x.shape[:-1], 1, x.shape[-1]))


def choose(condition: Node, one: Any, two: Any) -> Node:
    """Return one where the condition holds, else two."""
    return REGISTRY["where"](condition, one, two)


# -- differences of values, and what to do where there is none -----------------------------------------


def _differences(values: Node) -> Node:
    """Return d[i, j] = values[j] - values[i]."""
    return _row(values) - values.reshape((*values.shape, 1))


def _coincide(values: Node) -> Node:
    """Return which two values are the same but for rounding, every one with itself among them."""
    n = values.shape[-1]
    size = REGISTRY["absolute"](values)
    top = REGISTRY["max"](size, axis=(values.ndim - 1,)) if n else size.sum((values.ndim - 1,))
    limit = 8 * max(n, 1) * float(np.finfo(values.dtype).eps) * top
    return REGISTRY["absolute"](_differences(values)) <= limit.reshape((*values.shape[:-1], 1, 1))


def _gaps(values: Node, otherwise: float) -> Node:
    """Return 1 / (values[j] - values[i]), 0 on the diagonal, and `otherwise` where two values coincide."""
    same = _coincide(values)
    one = values.builder.constant(values.dtype.type(1))
    inverse = 1 / choose(same, one, _differences(values))
    blank = np.where(np.eye(values.shape[-1], dtype=bool), 0.0, otherwise).astype(values.dtype)
    return choose(same, values.builder.constant(blank), inverse)


def _parted(values: Node) -> tuple[Node, Node] | None:
    """Return a direction that draws coinciding values apart, and 1 over the differences of its elements for these.

    None where no values coincide. That is looked at once, and on record as a decision of the program.
    """
    n, builder = values.shape[-1], values.builder
    mixed = _coincide(values)
    order = np.arange(n, dtype=real_dtype(values.dtype))
    with np.errstate(divide="ignore"):
        apart = np.where(np.eye(n, dtype=bool), 0, 1 / (order - order[:, None] + np.eye(n))).astype(values.dtype)
    off = builder.constant(~np.eye(n, dtype=bool))
    pairs = REGISTRY["logical_and"](mixed, off)
    if n and values.spec.size:
        some = REGISTRY["any"](pairs, axis=tuple(range(pairs.ndim)))
        try:
            seen = ir.value_of(some) if builder.lazy else ir.evaluate([some])[0]
        except GraphError:
            seen = True  # unknown in the body of a loop: what holds in either case
        else:
            builder.guards.setdefault(some, seen)
        if seen:
            nothing = builder.constant(values.dtype.type(0))
            direction = builder.constant(order.astype(values.dtype)).broadcast_to(values.shape)
            return direction, choose(pairs, builder.constant(apart), nothing)
    return None


def _vectors_edge(
    y: Node, a: Node, values: Node, rebuilt: Callable[[Node], Node], smooth: Program, mixing: Program, words: str
) -> Map:
    """Return the edge from a matrix to vectors.

    The reverse sweep leaves out what coinciding values would divide by 0. Of a function that does not depend on the
    choice of vectors, the cotangents of coinciding ones cancel there; change the matrix so that the values are drawn
    apart by a little while the vectors stay, and what is left of them is proportional to it. So the limit is the change
    of the cotangent, which the graph tells, divided by the differences of how the values are drawn apart.

    Args:
        y: The vectors.
        a: The matrix.
        values: The eigenvalues or singular values.
        rebuilt: The change of the matrix that changes the values so, and not the vectors.
        smooth: The whole change of the vectors.
        mixing: The part of it that gaps divide, alone.
        words: The map in words.
    """

    def forward(a_dot: Node) -> Node:
        return smooth(_gaps(values, np.nan), a_dot)

    def backward(y_bar: Node) -> Node:
        parted = _parted(values)
        change = None
        if parted is not None:
            owner = y.inputs[0]
            results = (ir.item(owner, k) for k in range(len(owner.spec)))
            fixed = {each: zeros(each.builder, each.spec) for each in results if each is not values}
            (change,) = push({a: rebuilt(parted[0]), values: parted[0], **fixed}, [y_bar])
        # A cotangent that does not depend on the matrix at all is not that of a function of it: NaN, as forward.
        otherwise = np.nan if change is None else 0.0
        total = _pulled(lambda a_dot: smooth(_gaps(values, otherwise), a_dot), a, y_bar)
        if parted is None or change is None:
            return total
        return total + _pulled(lambda a_dot: mixing(parted[1], a_dot), a, change)

    return Map(forward, backward, a.spec, y.spec, words, y, algebraic=not a.spec.is_complex)


def _pulled(program: Callable[[Node], Node], a: Node, y_bar: Node) -> Node:
    """Return the transpose of a linear program, applied to a cotangent."""
    head = y_bar.builder.input(a.spec)
    (found,) = pull({program(head): y_bar}, [head])
    return zeros(y_bar.builder, a.spec) if found is None else found


# -- eigh ----------------------------------------------------------------------------------------------

_SIZES = [((), 3), ((), 1), ((2,), 2), ((0,), 2), ((), 0)]


def _hermitian_samples(rng: np.random.Generator) -> list[Any]:
    cases = []
    for lower, (lead, n) in zip([True, False, True, False, True], _SIZES, strict=True):
        a = rng.normal(size=(*lead, n, n))
        cases.append(((a + a.swapaxes(-1, -2) + 2 * np.diag(np.arange(n)),), {"lower": lower, "driver": "evd"}))
    return cases


def _eigh(a: Any, lower: bool, driver: str) -> tuple[Any, Any]:
    if driver == "evd":
        return tuple(np.linalg.eigh(a, UPLO="L" if lower else "U"))  # type: ignore[return-value]
    return over_leading(lambda x: scipy.linalg.eigh(x, lower=lower, driver=driver), *for_lapack(a), count=2)


def _infer_eigh(a: Spec, lower: bool, driver: str) -> tuple[Spec, Spec]:
    dtype = inexact(a.dtype)
    return Spec(a.shape[:-1], real_dtype(dtype)), Spec(a.shape, dtype)


def _eigenvalues_of_hermitian(y: Node, a: Node, v: Node) -> Traced:
    """w_dot = diag(vᴴ A_dot v); the matrix is taken to stay Hermitian, see `cholesky`."""

    def program(a_dot: Node) -> Node:
        return (v.conj() * (hermitian_part(a_dot) @ v)).sum((v.ndim - 2,)).real()

    return traced(program, a.spec, y, "diag(vᴴ · v)")


def _eigh_edge(y: Node, a: Node, lower: bool, driver: str) -> Edge:
    w, v = (ir.item(y.inputs[0], k) for k in (0, 1))
    if y.params["index"] == 0:
        return _eigenvalues_of_hermitian(y, a, v)

    def turn(gaps: Node, a_dot: Node) -> Node:
        return v @ scale(gaps, adjoint(v) @ hermitian_part(a_dot) @ v)

    def rebuilt(direction: Node) -> Node:
        return (_row(direction) * v) @ adjoint(v)

    return _vectors_edge(y, a, w, rebuilt, turn, turn, "turn of the eigenvectors")


eigh = opaque(
    "eigh",
    _eigh,
    doc="Eigenvalues, in ascending order, and eigenvectors of a Hermitian matrix.",
    infer=_infer_eigh,
    partials=[_eigh_edge],
    core=(2,),
    source=lambda a, lower, driver: (
        f"np.linalg.eigh({a}, UPLO={'L' if lower else 'U'!r})"
        if driver == "evd"
        else f"scipy.linalg.eigh({a}, lower={lower}, driver={driver!r})"
    ),
    samples=_hermitian_samples,
    dtypes="fd",
)


def _values_only(a: Any, lower: bool, driver: str) -> Any:
    if driver == "evd":
        return np.linalg.eigvalsh(a, UPLO="L" if lower else "U")
    return over_leading(lambda x: scipy.linalg.eigh(x, lower=lower, driver=driver, eigvals_only=True), *for_lapack(a))


eigvalsh = opaque(
    "eigvalsh",
    _values_only,
    doc="Eigenvalues of a Hermitian matrix, in ascending order.",
    infer=lambda a, lower, driver: _infer_eigh(a, lower, driver)[0],
    partials=[
        lambda y, a, lower, driver: _eigenvalues_of_hermitian(y, a, ir.item(eigh(a, lower=lower, driver=driver), 1))
    ],
    core=(2,),
    source=lambda a, lower, driver: (
        f"np.linalg.eigvalsh({a}, UPLO={'L' if lower else 'U'!r})"
        if driver == "evd"
        else f"scipy.linalg.eigh({a}, lower={lower}, driver={driver!r}, eigvals_only=True)"
    ),
    samples=_hermitian_samples,
)

# -- eig -----------------------------------------------------------------------------------------------


def _eig(a: Any) -> tuple[Any, Any]:
    w, v = np.linalg.eig(a)
    dtype = np.result_type(w.dtype, np.complex64)
    return w.astype(dtype), v.astype(dtype)


def _complex(dtype: Any) -> np.dtype[Any]:
    return np.result_type(inexact(dtype), np.complex64)


def _anchor(v: Any) -> Any:
    """Return 1 at the component of each vector that LAPACK makes real, the largest, and 0 elsewhere."""
    size = np.where(v.imag == 0, np.abs(v), -1.0)
    first = np.argmax(size, axis=-2) if v.shape[-2] else np.zeros((*v.shape[:-2], v.shape[-1]), int)
    rows = np.arange(v.shape[-2])[:, None]
    return (rows == first[..., None, :]).astype(v.real.dtype)


helper("""
    def anchor(v):
        size = np.where(v.imag == 0, np.abs(v), -1.0)
        rows = np.arange(v.shape[-2])[:, None]
        return (rows == np.argmax(size, axis=-2)[..., None, :]).astype(v.real.dtype)
""")

anchor = opaque(
    "anchor",
    lambda v: _anchor(np.asarray(v)),
    doc="Which component of each eigenvector is made real: the largest.",
    infer=lambda v: v.with_dtype(real_dtype(v.dtype)),
    partials=[None],
    core=(2,),
    source=lambda v: f"anchor({v})",
    samples=lambda rng: [((rng.normal(size=(3, 3)),), {}), ((rng.normal(size=(2, 2, 2)),), {})],
)


def _eig_edge(y: Node, a: Node) -> Edge:
    """P = v⁻¹ A_dot v, w_dot = diag(P), v_dot = v (P / gaps), of which the parts that LAPACK's scaling forbids go."""
    w, v = (ir.item(y.inputs[0], k) for k in (0, 1))

    def rotated(a_dot: Node) -> Node:
        return solve(v, a_dot.astype(v.dtype) @ v)

    if y.params["index"] == 0:
        return traced(lambda a_dot: diagonal_of(rotated(a_dot)), a.spec, y, "diag(solve(v, · @ v))")
    real = anchor(v)
    rows = (v.ndim - 2,)

    def program(a_dot: Node) -> Node:
        turned = v @ scale(_gaps(w, np.nan), rotated(a_dot))
        one = (*v.shape[:-2], 1, v.shape[-1])
        longer = (v.conj() * turned).sum(rows).real().reshape(one)
        pivot = scale(real, turned).sum(rows) / scale(real, v).sum(rows)
        phase = REGISTRY["imag"](pivot).reshape(one)
        return turned - scale(longer, v) - 1j * scale(phase, v)

    return traced(program, a.spec, y, "turn of the eigenvectors")


helper("""
    def complex_eig(a):
        w, v = np.linalg.eig(a)
        dtype = np.result_type(w, np.complex64)
        return w.astype(dtype), v.astype(dtype)
""")

eig = opaque(
    "eig",
    _eig,
    doc="Eigenvalues and eigenvectors of a matrix, as complex numbers.",
    infer=lambda a: (Spec(a.shape[:-1], _complex(a.dtype)), Spec(a.shape, _complex(a.dtype))),
    partials=[_eig_edge],
    core=(2,),
    source="complex_eig",
    samples=lambda rng: [((rng.normal(size=(*lead, n, n)) + 2 * np.diag(np.arange(n)),), {}) for lead, n in _SIZES],
)

# -- svd -----------------------------------------------------------------------------------------------


def _infer_svd(a: Spec, full: bool) -> tuple[Spec, Spec, Spec]:
    *lead, m, n = a.shape
    k, dtype = min(m, n), inexact(a.dtype)
    return (
        Spec((*lead, m, m if full else k), dtype),
        Spec((*lead, k), real_dtype(dtype)),
        Spec((*lead, n if full else k, n), dtype),
    )


def _rectangular(rng: np.random.Generator) -> list[tuple[Any, ...]]:
    shapes = [(3, 3), (3, 2), (2, 3), (1, 1), (2, 3, 2), (0, 2, 2), (0, 2), (2, 0)]
    return [
        (rng.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1]) * np.arange(1, shape[-1] + 1),) for shape in shapes
    ]


def _columns(x: Node, start: int, stop: int) -> Node:
    """Return some columns of matrices."""
    if (start, stop) == (0, x.shape[-1]):
        return x
    return REGISTRY["slice"](x, index=(*((0, size, 1) for size in x.shape[:-1]), (start, stop, 1)))


def _singular_values(y: Node, a: Node, u: Node, v: Node) -> Traced:
    """s_dot = Re diag(uᴴ A_dot v)."""
    return traced(lambda a_dot: (u.conj() * (a_dot @ v)).sum((u.ndim - 2,)).real(), a.spec, y, "diag(uᴴ · v)")


def _svd_edge(y: Node, a: Node, full: bool) -> Edge:
    whole_u, s, whole_vh = (ir.item(y.inputs[0], k) for k in (0, 1, 2))
    whole_v, k = adjoint(whole_vh), s.shape[-1]
    u, v = _columns(whole_u, 0, k), _columns(whole_v, 0, k)
    index = y.params["index"]
    if index == 1:
        return _singular_values(y, a, u, v)
    sign = 1 if index == 0 else -1
    own, whole = (u, whole_u) if index == 0 else (v, whole_v)
    row = _row(s)
    sums = row + s.reshape((*s.shape[:-1], k, 1))

    def seen(a_dot: Node) -> Node:
        return adjoint(u) @ a_dot @ v

    def mixing(gaps: Node, a_dot: Node) -> Node:
        return placed(own @ scale(gaps, hermitian_part(seen(a_dot))))

    def smooth(gaps: Node, a_dot: Node) -> Node:
        inner = seen(a_dot)
        turn = scale(gaps, hermitian_part(inner))
        odd = 0.5 * (inner - adjoint(inner))
        turn = turn + sign * scale(1 / sums, odd)
        change = own @ turn
        if own.shape[-2] > k:  # out of the space of the vectors
            moved = a_dot @ v if index == 0 else adjoint(a_dot) @ u
            change = change + scale(1 / row, moved - own @ (adjoint(own) @ moved))
        return placed(change)

    def placed(change: Node) -> Node:
        if full and own.shape[-2] > k:  # the other vectors stay orthogonal to these
            others = _columns(whole, k, whole.shape[-1])
            follow = -(own @ adjoint(adjoint(others) @ change))
            change = REGISTRY["concatenate"](change, follow, axis=change.ndim - 1)
        return change if index == 0 else adjoint(change)

    def rebuilt(direction: Node) -> Node:
        return (_row(direction) * u) @ adjoint(v)

    return _vectors_edge(y, a, s, rebuilt, smooth, mixing, "turn of the singular vectors")


svd = opaque(
    "svd",
    lambda a, full: tuple(np.linalg.svd(a, full_matrices=full)),
    doc="Singular value decomposition: u, s and vᴴ with a = u @ diag(s) @ vᴴ.",
    infer=_infer_svd,
    partials=[_svd_edge],
    core=(2,),
    source=lambda a, full: f"np.linalg.svd({a}, full_matrices={full})",
    samples=lambda rng: [(values, {"full": full}) for values in _rectangular(rng) for full in (False, True)],
    dtypes="fd",
)


def _svdvals_edge(y: Node, a: Node) -> Traced:
    u, _, vh = (ir.item(svd(a, full=False), k) for k in (0, 1, 2))
    return _singular_values(y, a, u, adjoint(vh))


svdvals = opaque(
    "svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    doc="Singular values of a matrix, in descending order.",
    infer=lambda a: _infer_svd(a, False)[1],
    partials=[_svdvals_edge],
    core=(2,),
    source=lambda a: f"np.linalg.svd({a}, compute_uv=False)",
    samples=lambda rng: [(values, {}) for values in _rectangular(rng)],
)
