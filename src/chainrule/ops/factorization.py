"""Factorizations of the last two axes: QR, LU, polar; bases of the range and of the null space.

Formulas: S. F. Walter and L. Lehmann, Algorithmic differentiation of linear algebra functions with application in
optimum experimental design (2010), for QR; Å. Björck, Numerical methods in matrix computations (2015), for the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from chainrule import ir
from chainrule.edges import Edge, scale, traced
from chainrule.ir import REGISTRY, Node
from chainrule.ops.eigen import adjoint, hermitian_part
from chainrule.ops.family import helper, opaque
from chainrule.ops.linalg import for_lapack, inexact, over_leading, pinv, solve_triangular, triangle
from chainrule.ops.matrix_functions import sylvester
from chainrule.types import Spec, real_dtype


def _part(x: Node, rows: tuple[int, int], columns: tuple[int, int]) -> Node:
    """Return a block of matrices."""
    if (rows, columns) == ((0, x.shape[-2]), (0, x.shape[-1])):
        return x
    lead = ((0, size, 1) for size in x.shape[:-2])
    return REGISTRY["slice"](x, index=(*lead, (*rows, 1), (*columns, 1)))


def _joined(one: Node, two: Node, axis: int) -> Node:
    return REGISTRY["concatenate"](one, two, axis=one.ndim + axis)


def _divided(x: Node, r: Node, unit: bool = False, lower: bool = False) -> Node:
    """Return x @ inv(r) of a triangular r."""
    return solve_triangular(r.mT, x.mT, lower=not lower, unit=unit).mT


# -- qr ------------------------------------------------------------------------------------------------


def _infer_qr(a: Spec, complete: bool) -> tuple[Spec, Spec]:
    *lead, m, n = a.shape
    k, dtype = m if complete else min(m, n), inexact(a.dtype)
    return Spec((*lead, m, k), dtype), Spec((*lead, k, n), dtype)


def _qr_edge(y: Node, a: Node, complete: bool) -> Edge:
    """With M = qᴴ A_dot r⁻¹: q_dot = q Ω + (1 - q qᴴ) A_dot r⁻¹, Ω anti-Hermitian with the lower triangle of M."""
    whole_q, whole_r = (ir.item(y.inputs[0], k) for k in (0, 1))
    m, n = a.shape[-2:]
    k = min(m, n)
    q = _part(whole_q, (0, m), (0, k))
    r = _part(whole_r, (0, k), (0, k))

    def program(a_dot: Node) -> Node:
        scaled = _divided(_part(a_dot, (0, m), (0, k)), r)
        inner = adjoint(q) @ scaled
        below = triangle(inner, True, -1)
        turn = below - adjoint(below)
        if inner.spec.is_complex:
            eye = inner.builder.constant(np.eye(k, dtype=real_dtype(inner.dtype)))
            turn = turn + 1j * scale(eye, REGISTRY["imag"](inner))
        q_dot = q @ turn
        if m > k:
            q_dot = q_dot + scaled - q @ inner
        if y.params["index"] == 0:
            if not complete or m == k:
                return q_dot
            others = _part(whole_q, (0, m), (k, m))
            return _joined(q_dot, -(q @ adjoint(adjoint(others) @ q_dot)), -1)
        r_dot = triangle(inner - turn, False) @ r
        if n > k:
            rest = _part(a_dot, (0, m), (k, n)) - q_dot @ _part(whole_r, (0, k), (k, n))
            r_dot = _joined(r_dot, adjoint(q) @ rest, -1)
        if complete and m > k:
            index = (*((0, size, 1) for size in a.shape[:-2]), (0, k, 1), (0, n, 1))
            r_dot = REGISTRY["embed"](r_dot, shape=a.shape, index=index)
        return r_dot

    return traced(program, a.spec, y, "change of the factor")


qr = opaque(
    "qr",
    lambda a, complete: tuple(np.linalg.qr(a, "complete" if complete else "reduced")),
    doc="Orthonormal q and upper triangular r with a = q @ r. Differentiated where a has full rank.",
    infer=_infer_qr,
    partials=[_qr_edge],
    core=(2,),
    source=lambda a, complete: f"np.linalg.qr({a}, {'complete' if complete else 'reduced'!r})",
    samples=lambda rng: [
        ((rng.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1]),), {"complete": complete})
        for shape in [(3, 3), (4, 2), (2, 4), (1, 1), (2, 3, 2), (0, 2, 2)]
        for complete in (False, True)
        if not complete or shape[-2] <= shape[-1]  # the other columns of q are free to turn
    ],
)

# -- lu ------------------------------------------------------------------------------------------------


def _lu(a: Any) -> tuple[Any, Any]:
    (a,) = for_lapack(a)
    if not a.size:
        return a.copy(), np.zeros((*a.shape[:-2], min(a.shape[-2:])), np.int32)
    function = scipy.linalg.get_lapack_funcs("getrf", (a,))
    return over_leading(lambda x: function(x)[:2], a, count=2)


helper("""
    def lu(a):
        m, n = a.shape[-2:]
        lead = a.shape[:-2]
        if not a.size:
            return a.copy(), np.zeros((*lead, min(m, n)), np.int32)
        found = [scipy.linalg.get_lapack_funcs("getrf", (a,))(x)[:2] for x in a.reshape(-1, m, n)]
        return tuple(np.reshape([each[k] for each in found], (*lead, *found[0][k].shape)) for k in (0, 1))
""")


def _infer_lu(a: Spec) -> tuple[Spec, Spec]:
    return Spec(a.shape, inexact(a.dtype)), Spec((*a.shape[:-2], min(a.shape[-2:])), np.dtype(np.int32))


def _order(pivots: Any, rows: int) -> Any:
    """Return in which order exchanges of rows, one after the other, bring them."""
    pivots = np.asarray(pivots)
    order = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
    for k in range(pivots.shape[-1]):
        other = pivots[..., k, None]
        moved = np.take_along_axis(order, other, -1)
        np.put_along_axis(order, other, order[..., k, None], -1)
        order[..., k] = moved[..., 0]
    return order


helper("""
    def pivot_order(pivots, rows):
        order = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
        for k in range(pivots.shape[-1]):
            other = pivots[..., k, None]
            moved = np.take_along_axis(order, other, -1)
            np.put_along_axis(order, other, order[..., k, None], -1)
            order[..., k] = moved[..., 0]
        return order
""")

pivot_order = opaque(
    "pivot_order",
    _order,
    doc="In which order the exchanges of rows of an LU factorization bring them.",
    infer=lambda pivots, rows: Spec((*pivots.shape[:-1], rows), np.dtype(np.intp)),
    partials=[None],
    core=(1,),
    source=lambda pivots, rows: f"pivot_order({pivots}, {rows})",
    samples=lambda rng: [((np.array([2, 2, 3]),), {"rows": 4}), ((np.array([[1, 1], [0, 1]]),), {"rows": 2})],
)


def permuted(x: Node, order: Node) -> Node:
    """Return matrices with their rows in another order."""
    rows = x.builder.constant(np.arange(x.shape[-2]))
    one = order.reshape((*order.shape, 1)).equals(rows)  # a matrix of ones where a row comes from
    return one.astype(real_dtype(x.dtype)) @ x


def _lu_edge(y: Node, a: Node) -> Edge | None:
    """With M = l⁻¹ A_dot u⁻¹ of the square part: l_dot = l · strict lower triangle of M, u_dot = upper triangle · u."""
    factors, pivots = (ir.item(y.inputs[0], k) for k in (0, 1))
    m, n = a.shape[-2:]
    k = min(m, n)
    order = pivot_order(pivots, rows=m)
    square = _part(factors, (0, k), (0, k))

    def program(a_dot: Node) -> Node:
        a_dot = permuted(a_dot, order)
        inner = solve_triangular(square, _part(a_dot, (0, k), (0, k)), lower=True, unit=True)
        inner = _divided(inner, square)
        lower = triangle(square, True, -1) + inner.builder.constant(np.eye(k, dtype=inner.dtype))
        l_dot = lower @ triangle(inner, True, -1)
        u_dot = triangle(inner, False) @ triangle(square, False)
        change = l_dot + u_dot
        if m > k:
            rest = _part(a_dot, (k, m), (0, k)) - _part(factors, (k, m), (0, k)) @ u_dot
            change = _joined(change, _divided(rest, square), -2)
        if n > k:
            rest = _part(a_dot, (0, k), (k, n)) - l_dot @ _part(factors, (0, k), (k, n))
            change = _joined(change, solve_triangular(square, rest, lower=True, unit=True), -1)
        return change

    return traced(program, a.spec, y, "change of the factors")


lu = opaque(
    "lu",
    _lu,
    doc="LU factorization with exchanges of rows, as LAPACK packs it: both triangles in one array, and the pivots.",
    infer=_infer_lu,
    partials=[_lu_edge],
    core=(2,),
    source="lu",
    samples=lambda rng: [
        ((rng.normal(size=shape) + 5 * np.eye(shape[-2], shape[-1]),), {})
        for shape in [(3, 3), (4, 2), (2, 4), (1, 1), (2, 3, 2), (0, 2, 2)]
    ],
)

# -- polar ---------------------------------------------------------------------------------------------


def _unitary(a: Any) -> Any:
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return u @ vh


helper("""
    def unitary_factor(a):
        u, _, vh = np.linalg.svd(a, full_matrices=False)
        return u @ vh
""")


def _unitary_edge(y: Node, a: Node) -> Edge:
    """y_dot = y Ω + (1 - y yᴴ) A_dot h⁻¹, where a = y h and h Ω + Ω h = yᴴ A_dot - A_dotᴴ y."""
    h = hermitian_part(adjoint(y) @ a)

    def program(a_dot: Node) -> Node:
        inner = adjoint(y) @ a_dot
        change = y @ sylvester(h, h, inner - adjoint(inner))
        if a.shape[-2] > a.shape[-1]:
            change = change + REGISTRY["solve"](h.mT, (a_dot - y @ inner).mT).mT
        return change

    return traced(program, a.spec, y, "change of the unitary factor")


unitary_factor = opaque(
    "unitary_factor",
    _unitary,
    doc="The factor with orthonormal columns of the polar decomposition of a square or tall matrix of full rank.",
    infer=lambda a: a.with_dtype(inexact(a.dtype)),
    partials=[_unitary_edge],
    core=(2,),
    source="unitary_factor",
    samples=lambda rng: [
        ((rng.normal(size=shape) + 2 * np.eye(shape[-2], shape[-1]),), {})
        for shape in [(3, 3), (4, 2), (1, 1), (2, 3, 2)]
    ],
)

# -- bases of the range and the null space ---------------------------------------------------------------


def _range(a: Any, rank: int) -> Any:
    return np.linalg.svd(a, full_matrices=False)[0][..., :rank]


helper("""
    def range_basis(a, rank):
        return np.linalg.svd(a, full_matrices=False)[0][..., :rank]
""")


def _range_edge(y: Node, a: Node, rank: int) -> Edge:
    """y_dot = (1 - y yᴴ) A_dot a⁺ y: the basis turns no more than the space."""
    back = pinv(a, rtol=_RTOL, atol=0.0, hermitian=False) @ y

    def program(a_dot: Node) -> Node:
        moved = a_dot @ back
        return moved - y @ (adjoint(y) @ moved)

    return traced(program, a.spec, y, "turn of the range")


_RTOL = 1e-12
"""Singular values below this part of the largest count as zero in a pseudo-inverse of a matrix of lower rank."""

range_basis = opaque(
    "range_basis",
    _range,
    doc="Orthonormal basis of the range of a matrix of a rank; its derivative has no turn within the range.",
    infer=lambda a, rank: Spec((*a.shape[:-1], rank), inexact(a.dtype)),
    partials=[_range_edge],
    core=(2,),
    source=lambda a, rank: f"range_basis({a}, {rank})",
    samples=lambda rng: [((rng.normal(size=shape),), {"rank": 1}) for shape in [(3, 1), (2, 4, 1)]],
    dtypes="fd",
)


def _null(a: Any, rank: int) -> Any:
    return np.linalg.svd(a, full_matrices=True)[2][..., rank:, :].swapaxes(-1, -2).conj()


helper("""
    def null_basis(a, rank):
        return np.linalg.svd(a, full_matrices=True)[2][..., rank:, :].swapaxes(-1, -2).conj()
""")

null_basis = opaque(
    "null_basis",
    _null,
    doc="Orthonormal basis of the null space of a matrix of a rank; its derivative has no turn within the space.",
    infer=lambda a, rank: Spec((*a.shape[:-2], a.shape[-1], a.shape[-1] - rank), inexact(a.dtype)),
    partials=[
        lambda y, a, rank: traced(
            lambda a_dot: -(pinv(a, rtol=_RTOL, atol=0.0, hermitian=False) @ (a_dot @ y)),
            a.spec,
            y,
            "turn of the space",
        )
    ],
    core=(2,),
    source=lambda a, rank: f"null_basis({a}, {rank})",
    samples=lambda rng: [((rng.normal(size=shape),), {"rank": shape[-2]}) for shape in [(2, 3), (2, 1, 2)]],
    dtypes="fd",
)
