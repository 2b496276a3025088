"""Systems with banded and Toeplitz matrices, which are never written out to be solved.

A band with `below` diagonals under the main one and `above` over it is an array of rows, ``ab[above + i - j, j]`` is
the element (i, j) of the matrix: SciPy's layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from chainrule.edges import Map, Traced, traced
from chainrule.ir import REGISTRY, Node
from chainrule.ops.family import helper, opaque
from chainrule.ops.linalg import for_lapack, inexact, over_leading
from chainrule.types import Spec, broadcast_shapes


def _infer(*specs: Spec) -> Spec:
    lead = broadcast_shapes(*(spec.shape[:-2] for spec in specs))
    return Spec((*lead, *specs[-1].shape[-2:]), np.result_type(*(inexact(spec.dtype) for spec in specs)))


# -- banded --------------------------------------------------------------------------------------------


def _solve_banded(ab: Any, b: Any, below: int, above: int, definite: bool) -> Any:
    def one(ab: Any, b: Any) -> Any:
        if definite:  # of a Hermitian matrix the rows over the main diagonal say everything
            return scipy.linalg.solveh_banded(ab[: above + 1], b, check_finite=False)
        return scipy.linalg.solve_banded((below, above), ab, b, check_finite=False)

    ab, b = for_lapack(ab, b)
    return over_leading(one, ab, b) if ab.size and b.size else np.zeros(_infer(Spec.of(ab), Spec.of(b)).shape, b.dtype)


def _shifted(x: Node, by: int) -> Node:
    """Return matrices with their rows moved down, zeros in the place of those that come from outside."""
    n = x.shape[-2]
    if not by:
        return x
    lead = tuple((0, size, 1) for size in x.shape[:-2])
    kept = max(n - abs(by), 0)
    start, stop = (0, kept) if by > 0 else (n - kept, n)
    part = REGISTRY["slice"](x, index=(*lead, (start, stop, 1), (0, x.shape[-1], 1)))
    place = (n - kept, n) if by > 0 else (0, kept)
    return REGISTRY["embed"](part, shape=x.shape, index=(*lead, (*place, 1), (0, x.shape[-1], 1)))


def _diagonal(ab: Node, row: int) -> Node:
    """Return a row of bands as columns."""
    lead = tuple((0, size, 1) for size in ab.shape[:-2])
    n = ab.shape[-1]
    return REGISTRY["slice"](ab, index=(*lead, row, (0, n, 1))).reshape((*ab.shape[:-2], n, 1))


def _band_product(ab: Node, x: Node, above: int) -> Node:
    """Return the product of a band and matrices."""
    terms = [_shifted(_diagonal(ab, row) * x, row - above) for row in range(ab.shape[-2])]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _turned_band(ab: Node, above: int) -> Node:
    """Return the band of the transpose."""
    rows = [_shifted(_diagonal(ab, row), row - above).mT for row in reversed(range(ab.shape[-2]))]
    return REGISTRY["concatenate"](*rows, axis=ab.ndim - 2) if len(rows) > 1 else rows[0]


def _banded_wrt_band(y: Node, ab: Node, b: Node, below: int, above: int, definite: bool) -> Traced:
    params = {"below": below, "above": above, "definite": definite}
    return traced(
        lambda x: -solve_banded(ab, _band_product(x, y, above), **params).sum_to(y.shape),
        ab.spec,
        y,
        "change of a band",
    )


def _banded_wrt_side(y: Node, ab: Node, b: Node, below: int, above: int, definite: bool) -> Map:
    def backward(y_bar: Node) -> Node:
        turned = solve_banded(_turned_band(ab, above), y_bar, below=above, above=below, definite=definite)
        return turned.sum_to(b.shape)

    return Map(
        lambda x: solve_banded(ab, x, below=below, above=above, definite=definite),
        backward,
        b.spec,
        y.spec,
        "solve_banded of ·",
        y,
    )


def _banded_samples(rng: np.random.Generator) -> list[Any]:
    cases = []
    for lead, n, below, above in [((), 4, 1, 1), ((), 4, 2, 1), ((), 3, 0, 1), ((2,), 3, 1, 0), ((), 2, 0, 0)]:
        ab = rng.normal(size=(*lead, below + above + 1, n))
        ab[..., above, :] += 4
        cases.append(((ab, rng.normal(size=(*lead, n, 2))), {"below": below, "above": above, "definite": False}))
    return cases


solve_banded = opaque(
    "solve_banded",
    _solve_banded,
    doc="The x of a @ x = b, for matrices b, where a is given by its diagonals.",
    infer=lambda ab, b, **_: _infer(ab, b),
    partials=[_banded_wrt_band, _banded_wrt_side],
    core=(2, 2),
    source=lambda ab, b, below, above, definite: f"scipy.linalg.solve_banded(({below}, {above}), {ab}, {b})",
    samples=_banded_samples,
)

# -- toeplitz ------------------------------------------------------------------------------------------


def _solve_toeplitz(c: Any, r: Any, b: Any) -> Any:
    c, r, b = for_lapack(c, r, b)

    def one(c: Any, r: Any, b: Any) -> Any:
        return scipy.linalg.solve_toeplitz((c[:, 0], r[:, 0]), b, check_finite=False).astype(b.dtype, copy=False)

    return over_leading(one, c, r, b) if b.size else np.zeros(_infer(*map(Spec.of, (c, r, b))).shape, b.dtype)


def _toeplitz(c: Node, r: Node) -> Node:
    """Return the matrices of which columns give the first column and the first row."""
    n, rank = c.shape[-2], c.ndim
    lead = tuple((0, size, 1) for size in r.shape[:-2])
    parts = [c]
    if n > 1:
        flipped = REGISTRY["slice"](r, index=(*lead, (n - 1, 0, -1), (0, 1, 1)))
        parts.insert(0, flipped)
    whole = REGISTRY["concatenate"](*parts, axis=rank - 2) if n > 1 else c
    front = whole.reshape(whole.shape[:-1]).permute((rank - 2, *range(rank - 2)))
    places = np.arange(n)[:, None] - np.arange(n) + n - 1
    found = REGISTRY["gather"](front, c.builder.constant(places))
    return found.permute((*range(2, found.ndim), 0, 1))


def _toeplitz_wrt(k: int) -> Any:
    def partial(y: Node, c: Node, r: Node, b: Node) -> Traced:
        source = (c, r)[k]

        def program(x: Node) -> Node:
            x = x.astype(y.dtype)
            nothing = REGISTRY["multiply"](x, 0)
            change = _toeplitz(nothing, x) if k else _toeplitz(x, nothing)
            return -solve_toeplitz(c, r, change @ y).sum_to(y.shape)

        return traced(program, source.spec, y, "change of solve_toeplitz")

    return partial


def _toeplitz_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = []
    for lead, n in [((), 3), ((), 1), ((2,), 2)]:
        c, r = rng.normal(size=(*lead, n, 1)) + 4 * np.eye(n, 1), rng.normal(size=(*lead, n, 1))
        cases.append(((c, r, rng.normal(size=(*lead, n, 2))), {}))
    return cases


helper("""
    def solve_toeplitz(c, r, b):
        def one(c, r, b):
            return scipy.linalg.solve_toeplitz((c[:, 0], r[:, 0]), b)
        return np.vectorize(one, signature="(n,i),(n,i),(n,k)->(n,k)")(c, r, b).astype(np.result_type(c, r, b))
""")

solve_toeplitz = opaque(
    "solve_toeplitz",
    _solve_toeplitz,
    doc="The x of a @ x = b, for matrices b, where a is given by its first column and row, as columns.",
    infer=lambda c, r, b: _infer(c, r, b),
    partials=[
        _toeplitz_wrt(0),
        _toeplitz_wrt(1),
        lambda y, c, r, b: Map(
            lambda x: solve_toeplitz(c, r, x),
            lambda y_bar: solve_toeplitz(_swapped(r, c), c, y_bar).sum_to(b.shape),
            b.spec,
            y.spec,
            "solve_toeplitz of ·",
            y,
        ),
    ],
    core=(2, 2, 2),
    source=lambda c, r, b: f"solve_toeplitz({c}, {r}, {b})",
    samples=_toeplitz_samples,
)


def _swapped(r: Node, c: Node) -> Node:
    """Return a first row as a first column: its first element, which is not read, is that of the column."""
    lead = tuple((0, size, 1) for size in c.shape[:-2])
    n = c.shape[-2]
    if n == 1:
        return c
    first = REGISTRY["slice"](c, index=(*lead, (0, 1, 1), (0, 1, 1)))
    rest = REGISTRY["slice"](r, index=(*((0, size, 1) for size in r.shape[:-2]), (1, n, 1), (0, 1, 1)))
    return REGISTRY["concatenate"](first, rest, axis=c.ndim - 2)
