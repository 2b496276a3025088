"""Linear operators of signals and splines: correlation, recursion, banded systems, spline coefficients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy  # loads its parts when they are used
import scipy.linalg

from chainrule.edges import Map, Traced, traced
from chainrule.ir import Node
from chainrule.ops.family import _align, helper, opaque, structural
from chainrule.ops.structural import concatenate, embed, slice_
from chainrule.types import Shape, Spec, broadcast_shapes, real_dtype

# -- correlate: bilinear, and its own adjoint in each argument -------------------------------------------


def _out(n: Shape, k: Shape) -> Shape:
    return tuple(a - b + 1 for a, b in zip(n, k, strict=True))


def _correlate(x: Any, w: Any, rank: int) -> np.ndarray:
    """Return the sums by whichever way is cheapest: taps, dot products, or Fourier transforms."""
    x, w = np.asarray(x), np.asarray(w)
    dtype = np.result_type(x, w)
    size, taps = x.shape[x.ndim - rank :], w.shape[w.ndim - rank :]
    out = _out(size, taps)
    lead = np.broadcast_shapes(x.shape[: x.ndim - rank], w.shape[: w.ndim - rank])
    points = math.prod(size)
    if not points or not math.prod(taps) or not math.prod(lead):
        return np.zeros((*lead, *out), dtype)
    if dtype.kind in "fc" and math.prod(taps) * math.prod(out) > 1000 + 40 * points * math.log2(points + 1):
        return _by_transform(x, w, rank, out).astype(dtype, copy=False)
    if x.ndim == w.ndim == rank == 1:
        return np.correlate(x, w.conj(), "valid").astype(dtype, copy=False)
    if math.prod(out) < math.prod(taps):
        y = np.empty((*lead, *out), dtype)
        axes = tuple(range(-rank, 0)) if rank else ()
        for place in np.ndindex(*out):
            part = x[(..., *(slice(p, p + k) for p, k in zip(place, taps, strict=True)))]
            y[(..., *place)] = np.sum(part * w, axis=axes)
        return y
    if w.ndim == rank and dtype.char in "fd" and x.dtype.char in "fd":
        weights = w.reshape((*[1] * (x.ndim - rank), *taps))
        found = scipy.ndimage.correlate(x, weights, output=dtype, mode="constant")
        return found[(..., *(slice(k // 2, k // 2 + n) for k, n in zip(taps, out, strict=True)))]
    y = np.zeros((*lead, *out), dtype)
    for tap in np.ndindex(*taps):
        part = x[(..., *(slice(t, t + n) for t, n in zip(tap, out, strict=True)))]
        y += part * w[(..., *tap)].reshape((*w.shape[: w.ndim - rank], *[1] * rank))
    return y


def _by_transform(x: np.ndarray, w: np.ndarray, rank: int, out: Shape) -> np.ndarray:
    axes = tuple(range(-rank, 0))
    is_complex = x.dtype.kind == "c" or w.dtype.kind == "c"
    size = [scipy.fft.next_fast_len(n, not is_complex) for n in x.shape[x.ndim - rank :]]
    one, other = (scipy.fft.fftn, scipy.fft.ifftn) if is_complex else (scipy.fft.rfftn, scipy.fft.irfftn)
    flipped = np.flip(w, axes)
    y = other(one(x, size, axes) * one(flipped, size, axes), size, axes)
    taps = w.shape[w.ndim - rank :]
    return y[(..., *(slice(k - 1, k - 1 + n) for k, n in zip(taps, out, strict=True)))]


def _flip(x: Node, rank: int) -> Node:
    """Reverse the last axes."""
    lead = x.ndim - rank
    index = [(0, n, 1) if axis < lead else (n - 1, None, -1) if n else (0, 0, 1) for axis, n in enumerate(x.shape)]
    return slice_(x, index=tuple(index))


def _padded(x: Node, widths: list[tuple[int, int]]) -> Node:
    """Put zeros around the last axes."""
    lead = x.ndim - len(widths)
    pairs = [(0, 0)] * lead + widths
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True))
    index = tuple((a, a + n, 1) for n, (a, _) in zip(x.shape, pairs, strict=True))
    return embed(x, shape=shape, index=index)


def _correlate_wrt_signal(y: Node, x: Node, w: Node, rank: int) -> Map:
    taps = w.shape[w.ndim - rank :]

    def backward(y_bar: Node) -> Node:
        around = _padded(y_bar, [(k - 1, k - 1) for k in taps])
        return correlate(around, _flip(w, rank), rank=rank).sum_to(x.shape)

    return Map(
        lambda x_dot: correlate(x_dot, w, rank=rank), backward, x.spec, y.spec,
        lambda name, flipped: f"convolve(·, {name(w)})" if flipped else f"correlate(·, {name(w)})", y,
    )  # fmt: skip


def _correlate_wrt_weights(y: Node, x: Node, w: Node, rank: int) -> Map:
    return Map(
        lambda w_dot: correlate(x, w_dot, rank=rank),
        lambda y_bar: correlate(x, y_bar, rank=rank).sum_to(w.shape),
        w.spec, y.spec, lambda name, flipped: f"correlate({name(x)}, ·)", y,
    )  # fmt: skip


def _batch_correlate(node: Node, args: list[Node], batched: list[bool]) -> Node:
    rank = max(arg.ndim for arg in node.inputs)
    aligned = [_align(arg, rank) if flag else arg for arg, flag in zip(args, batched, strict=True)]
    return correlate(*aligned, rank=node.params["rank"])


helper("""
    def correlate(x, w, rank):
        y = 0
        out = [n - k + 1 for n, k in zip(x.shape[x.ndim - rank :], w.shape[w.ndim - rank :])]
        for tap in np.ndindex(*w.shape[w.ndim - rank :]):
            part = x[(..., *(slice(t, t + n) for t, n in zip(tap, out)))]
            y = y + part * w[(..., *tap)].reshape((*w.shape[: w.ndim - rank], *[1] * rank))
        return y
""")

correlate = opaque(
    "correlate",
    _correlate,
    doc="Sums y[i] = Σ_k x[i + k] w[k] over the last `rank` axes where w lies inside x; leading axes broadcast.",
    infer=lambda x, w, rank: Spec(
        (
            *broadcast_shapes(x.shape[: x.ndim - rank], w.shape[: w.ndim - rank]),
            *_out(x.shape[x.ndim - rank :], w.shape[w.ndim - rank :]),
        ),
        np.result_type(x.dtype, w.dtype),
    ),
    partials=[_correlate_wrt_signal, _correlate_wrt_weights],
    batch=_batch_correlate,
    source=lambda x, w, rank: f"correlate({x}, {w}, {rank})",
    samples=lambda rng: [
        ((rng.normal(size=5), rng.normal(size=3)), {"rank": 1}),
        ((rng.normal(size=(2, 4)), rng.normal(size=3)), {"rank": 1}),
        ((rng.normal(size=(2, 6)), rng.normal(size=(2, 2))), {"rank": 1}),
        ((rng.normal(size=(3, 4)), rng.normal(size=(2, 2))), {"rank": 2}),
        ((rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), {"rank": 2}),
        ((rng.normal(size=(3, 3)), rng.normal(size=(2, 1, 2))), {"rank": 2}),
        ((rng.normal(size=1), rng.normal(size=1)), {"rank": 1}),
        ((rng.normal(size=(0, 3)), rng.normal(size=2)), {"rank": 1}),
    ],
)

# -- recur: a filter with feedback alone ------------------------------------------------------------------


def _recur(v: Any, a: Any) -> np.ndarray:
    v, a = np.asarray(v), np.asarray(a)
    dtype = np.result_type(v, a)
    if dtype.kind not in "fc":
        raise TypeError(f"a recursion needs real or complex numbers, got {dtype}")
    lead = np.broadcast_shapes(v.shape[:-1], a.shape[:-1])
    if a.ndim == 1:
        return _filtered(v, a, dtype) if v.size else np.zeros(v.shape, dtype)
    v, a = np.broadcast_to(v, (*lead, v.shape[-1])), np.broadcast_to(a, (*lead, a.shape[-1]))
    y = np.empty(v.shape, dtype)
    for place in np.ndindex(*lead):
        y[place] = _filtered(v[place], a[place], dtype)
    return y


def _filtered(v: np.ndarray, a: np.ndarray, dtype: Any) -> np.ndarray:
    one = np.ones(1, dtype)
    return scipy.signal.lfilter(one, np.concatenate([one, a.astype(dtype)]), v.astype(dtype)).astype(dtype, copy=False)


def _recur_wrt_signal(y: Node, v: Node, a: Node) -> Map:
    return Map(
        lambda v_dot: recur(v_dot, a),
        lambda y_bar: _flip(recur(_flip(y_bar, 1), a), 1).sum_to(v.shape),
        v.spec, y.spec,
        lambda name, flipped: f"recur(·, {name(a)}) {'backwards' if flipped else ''}".strip(), y,
    )  # fmt: skip


def _recur_wrt_feedback(y: Node, v: Node, a: Node) -> Traced | None:
    """From A(a) y = v: A(a) y_dot = -A(a_dot) y."""
    count, size = a.shape[-1], y.shape[-1]
    if not count or size < 2:
        return None
    before = slice_(y, index=(*((0, n, 1) for n in y.shape[:-1]), (0, size - 1, 1)))
    before = _padded(before, [(count, 0)])
    return traced(
        lambda a_dot: -recur(correlate(before, _flip(a_dot, 1), rank=1), a), a.spec, y, "change of the feedback"
    )


helper("""
    def recur(v, a):
        shape = np.broadcast_shapes(v.shape[:-1], a.shape[:-1])
        y = np.zeros((*shape, v.shape[-1]), np.result_type(v, a))
        for n in range(v.shape[-1]):
            y[..., n] = v[..., n] - sum(a[..., k] * y[..., n - k - 1] for k in range(min(n, a.shape[-1])))
        return y
""")

recur = opaque(
    "recur",
    _recur,
    doc="The recursion y[n] = v[n] - a[0] y[n-1] - a[1] y[n-2] - ... along the last axis; leading axes broadcast.",
    infer=lambda v, a: Spec(
        (*broadcast_shapes(v.shape[:-1], a.shape[:-1]), v.shape[-1]), np.result_type(v.dtype, a.dtype)
    ),
    partials=[_recur_wrt_signal, _recur_wrt_feedback],
    core=(1, 1),
    source="recur",
    samples=lambda rng: [
        ((rng.normal(size=5), rng.normal(size=2) / 2), {}),
        ((rng.normal(size=(2, 4)), rng.normal(size=3) / 2), {}),
        ((rng.normal(size=4), rng.normal(size=(2, 1)) / 2), {}),
        ((rng.normal(size=2), rng.normal(size=4) / 2), {}),
        ((rng.normal(size=3), rng.normal(size=0)), {}),
        ((rng.normal(size=1), rng.normal(size=1)), {}),
    ],
)

# -- banded_solve ------------------------------------------------------------------------------------------


def _banded_solve(ab: Any, b: Any, lower: int) -> np.ndarray:
    ab, b = np.asarray(ab), np.asarray(b)
    dtype = np.result_type(ab, b, np.float32)
    upper = ab.shape[-2] - 1 - lower
    lead = np.broadcast_shapes(ab.shape[:-2], b.shape[:-2])
    y = np.empty((*lead, *b.shape[-2:]), dtype)
    ab, b = np.broadcast_to(ab, (*lead, *ab.shape[-2:])), np.broadcast_to(b, y.shape)
    for place in np.ndindex(*lead):
        if b[place].size:
            y[place] = scipy.linalg.solve_banded((lower, upper), ab[place], b[place], check_finite=False)
    return y


def _band(ab: Node, row: int) -> Node:
    index = (*((0, n, 1) for n in ab.shape[:-2]), row, (0, ab.shape[-1], 1))
    return slice_(ab, index=index)


def _moved(x: Node, by: int, axis: int) -> Node:
    """Shift along an axis, with zeros where nothing comes."""
    size = x.shape[axis]
    by = max(-size, min(size, by))
    source = [(0, n, 1) for n in x.shape]
    target = list(source)
    source[axis] = (max(0, -by), size - max(0, by), 1)
    target[axis] = (max(0, by), size - max(0, -by), 1)
    return embed(slice_(x, index=tuple(source)), shape=x.shape, index=tuple(target))


def _banded_product(ab: Node, x: Node, lower: int) -> Node:
    """Return the product of a banded matrix and a matrix."""
    upper = ab.shape[-2] - 1 - lower
    total: Node | None = None
    for row in range(ab.shape[-2]):
        band = _band(ab, row)
        term = band.reshape((*band.shape, 1)) * x
        term = _moved(term, row - upper, term.ndim - 2)
        total = term if total is None else total + term
    assert total is not None
    return total


def _banded_transpose(ab: Node, lower: int) -> Node:
    upper = ab.shape[-2] - 1 - lower
    rows: list[Node] = []
    for row in reversed(range(ab.shape[-2])):
        band = _band(ab, row)
        rows.append(_moved(band, row - upper, band.ndim - 1).reshape((*band.shape[:-1], 1, band.shape[-1])))
    return concatenate(*rows, axis=ab.ndim - 2)


def _banded_wrt_matrix(y: Node, ab: Node, b: Node, lower: int) -> Traced:
    return traced(
        lambda ab_dot: -banded_solve(ab, _banded_product(ab_dot, y, lower), lower=lower), ab.spec, y,
        "change of the banded matrix",
    )  # fmt: skip


def _banded_wrt_side(y: Node, ab: Node, b: Node, lower: int) -> Map:
    def backward(y_bar: Node) -> Node:
        upper = ab.shape[-2] - 1 - lower
        return banded_solve(_banded_transpose(ab, lower), y_bar, lower=upper).sum_to(b.shape)

    return Map(
        lambda b_dot: banded_solve(ab, b_dot, lower=lower), backward, b.spec, y.spec,
        lambda name, flipped: f"banded_solve({name(ab)}{'ᵀ' if flipped else ''}, ·)", y,
    )  # fmt: skip


helper("""
    def banded_solve(ab, b, lower):
        n, upper = ab.shape[-1], ab.shape[-2] - 1 - lower
        a = np.zeros((*ab.shape[:-2], n, n), ab.dtype)
        for j in range(n):
            for i in range(max(0, j - upper), min(n, j + lower + 1)):
                a[..., i, j] = ab[..., upper + i - j, j]
        return np.linalg.solve(a, b)
""")

banded_solve = opaque(
    "banded_solve",
    _banded_solve,
    doc="The x of A x = b, where ab[upper + i - j, j] = A[i, j], as scipy.linalg.solve_banded; over leading axes.",
    infer=lambda ab, b, lower: Spec(
        (*broadcast_shapes(ab.shape[:-2], b.shape[:-2]), *b.shape[-2:]),
        np.result_type(ab.dtype, b.dtype, np.float32),
    ),
    partials=[_banded_wrt_matrix, _banded_wrt_side],
    core=(2, 2),
    source=lambda ab, b, lower: f"banded_solve({ab}, {b}, {lower})",
    samples=lambda rng: [
        ((rng.normal(size=shape) + 4 * (np.arange(shape[-2]) == upper)[:, None], rng.normal(size=side)),
         {"lower": shape[-2] - 1 - upper})
        for shape, upper, side in [((3, 4), 1, (4, 2)), ((3, 4), 0, (4, 1)), ((2, 4, 3), 2, (3, 1)),
                                   ((1, 2), 0, (2, 2)), ((3, 3), 1, (2, 3, 1)), ((5, 2), 2, (2, 1))]
    ],
)  # fmt: skip

# -- coefficients of splines on a regular grid -------------------------------------------------------------


def _spline_coefficients(x: Any, axis: int, order: int, mode: str) -> np.ndarray:
    x = np.asarray(x)
    dtype = np.result_type(x, np.float32)
    if dtype.char not in "fdFD":
        raise TypeError(f"spline coefficients are computed in single or double precision, not {dtype}")
    wide = np.complex128 if dtype.kind == "c" else np.float64
    return scipy.ndimage.spline_filter1d(x.astype(wide), order, axis, wide, mode).astype(dtype, copy=False)


_SHORT = 32
"""Up to this length SciPy's start of the recursion at a boundary is not exactly that of a symmetric operator."""


def _spline_adjoint(y_bar: Node, x: Spec, axis: int, order: int, mode: str) -> Node:
    """The sampling matrix is symmetric up to a scaling of the ends, of which a mirror has only one copy."""
    size, rank = x.shape[axis], x.ndim
    if 1 < size <= _SHORT:
        matrix = scipy.ndimage.spline_filter1d(np.eye(size), order, 0, np.float64, mode)
        last = [*(k for k in range(rank) if k != axis), axis]
        dtype = real_dtype(y_bar.dtype)
        found = y_bar.permute(last) @ y_bar.builder.constant(matrix.astype(dtype))
        return found.permute(np.argsort(last).tolist())
    if mode != "mirror" or size < 2:
        return spline_coefficients(y_bar, axis=axis, order=order, mode=mode)
    copies = np.ones(size, real_dtype(y_bar.dtype))
    copies[[0, -1]] = 2.0
    factor = y_bar.builder.constant(copies.reshape([size if k == axis else 1 for k in range(rank)]))
    return spline_coefficients(y_bar * factor, axis=axis, order=order, mode=mode) / factor


helper("""
    def spline_coefficients(x, axis, order, mode):
        taps = {2: [1, 6, 1], 3: [1, 4, 1], 4: [1, 76, 230, 76, 1], 5: [1, 26, 66, 26, 1]}[order]
        n = x.shape[axis]
        a = np.zeros((n, n))
        for j, tap in enumerate(taps):
            k = np.arange(n) + j - len(taps) // 2
            if mode == "grid-wrap" or n == 1:
                k = k % n
            else:
                period = 2 * n - 2 if mode == "mirror" else 2 * n
                k = k % period
                k = np.minimum(k, period - k if mode == "mirror" else period - 1 - k)
            np.add.at(a, (np.arange(n), k), tap / sum(taps))
        return np.moveaxis(np.tensordot(np.linalg.inv(a), x, (1, axis)), 0, axis).astype(x.dtype)
""")

spline_coefficients = structural(
    "spline_coefficients",
    _spline_coefficients,
    doc="Coefficients of the B-spline that takes the given values at the integers, along an axis.",
    infer=lambda x, axis, order, mode: x.with_dtype(np.result_type(x.dtype, np.float32)),
    adjoint=_spline_adjoint,
    batch=lambda node, args, _: spline_coefficients(args[0], **(dict(node.params) | {"axis": node.params["axis"] + 1})),
    selects=False,
    scatters=False,
    source=lambda x, axis, order, mode: f"spline_coefficients({x}, {axis}, {order}, {mode!r})",
    samples=lambda rng: [
        ((rng.normal(size=shape),), {"axis": axis, "order": order, "mode": mode})
        for shape, axis, order, mode in [((6,), 0, 3, "mirror"), ((3, 4), 1, 2, "reflect"), ((5, 2), 0, 5, "grid-wrap"),
                                         ((1,), 0, 3, "mirror"), ((2, 0), 0, 3, "mirror"), ((40,), 0, 4, "mirror"),
                                         ((35,), 0, 2, "reflect")]
    ],
)  # fmt: skip
