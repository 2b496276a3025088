"""Reshaping, axes, repetition, padding, selection of parts by position."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import AxisError, ShapeError, UnsupportedError
from chainrule.ops import structural
from chainrule.ops.structural import broadcast_to, embed, gather, reshape
from chainrule.tracing.array import FUNCTIONS, TracedArray, cast, newest, permuted, record, stacked, traced
from chainrule.tracing.functions.common import ALL, Axis, as_array, as_traced, axes_of, axis_of, implements, listed_axes
from chainrule.tracing.origin import at


@implements(np.reshape)
def _reshape(a: Any, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    x = as_traced(a)
    sizes = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    sizes = tuple(operator.index(size) for size in sizes)
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known and x.size % known == 0:
        sizes = tuple(x.size // known if size == -1 else size for size in sizes)
    if order == "F":
        return np.transpose(np.reshape(np.transpose(x), sizes[::-1]))
    if order != "C" and order != "A":
        raise UnsupportedError(f"np.reshape: order={order!r} is not supported with traced arrays{at()}")
    if sizes.count(-1) or math.prod(sizes) != x.size:
        raise ShapeError(f"cannot reshape {x.shape} (size {x.size}) into {tuple(sizes)}{at()}")
    return record(reshape, x, shape=sizes)


@implements(np.ravel)
def _ravel(a: Any, order: str = "C") -> Any:
    x = as_traced(a)
    return x.reshape((x.size,), order="C" if order == "K" else order)


@implements(np.transpose, np.permute_dims)
def _transpose(a: Any, axes: Any = None) -> Any:
    x = as_traced(a)
    return permuted(x, range(x.ndim)[::-1] if axes is None else [axis_of(k, x.ndim) for k in axes])


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return as_traced(x).mT


@implements(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(a.ndim))
    one, two = axis_of(axis1, a.ndim), axis_of(axis2, a.ndim)
    order[one], order[two] = two, one
    return permuted(a, order)


@implements(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    sources = listed_axes(source, a.ndim)
    places = listed_axes(destination, a.ndim)
    order = [k for k in range(a.ndim) if k not in sources]
    for place, k in sorted(zip(places, sources, strict=True)):
        order.insert(place, k)
    return permuted(a, order)


@implements(np.squeeze)
def _squeeze(a: Any, axis: Axis = None) -> Any:
    axes = [k for k, size in enumerate(a.shape) if size == 1] if axis is None else axes_of(axis, a.ndim)
    if any(a.shape[k] != 1 for k in axes):
        raise ShapeError(f"np.squeeze: shape {a.shape} has no axis of length 1 at {axis}{at()}")
    return np.reshape(a, [size for k, size in enumerate(a.shape) if k not in axes])


@implements(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    places = listed_axes(axis, a.ndim + np.size(axis))
    sizes = iter(a.shape)
    return np.reshape(a, [1 if k in places else next(sizes) for k in range(a.ndim + len(places))])


@implements(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    shape = (operator.index(shape),) if np.ndim(shape) == 0 else tuple(map(operator.index, shape))
    return array if shape == array.shape else record(broadcast_to, array, shape=shape)


@implements(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    shape = np.broadcast_shapes(*(np.shape(arg) for arg in args))
    return tuple(as_array(_broadcast_to(as_traced(arg, *args), shape)) for arg in args)


def _at_least(count: int, place: Callable[[int], tuple[Any, ...]]) -> Callable[..., Any]:
    def rule(*arys: Any) -> Any:
        found = [a if np.ndim(a) >= count else as_traced(a, *arys)[place(np.ndim(a))] for a in arys]
        return found[0] if len(found) == 1 else tuple(found)

    return rule


implements(np.atleast_1d)(_at_least(1, lambda n: (None,)))
implements(np.atleast_2d)(_at_least(2, lambda n: (None,) * (2 - n)))
implements(np.atleast_3d)(_at_least(3, lambda n: [(None, None, None), (None, ALL, None), (ALL, ALL, None)][n]))


implements(np.hsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, int(ary.ndim > 1)))
implements(np.vsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 0))
implements(np.dsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, 2))
implements(np.unstack)(lambda x, /, *, axis=0: tuple(np.moveaxis(x, axis, 0)))


@implements(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    rank = max(A.ndim, len(reps))
    reps = (1,) * (rank - len(reps)) + reps
    shape = (1,) * (rank - A.ndim) + A.shape
    x = np.reshape(A, [size for pair in zip([1] * rank, shape, strict=True) for size in pair])
    x = np.broadcast_to(x, [size for pair in zip(reps, shape, strict=True) for size in pair])
    return np.reshape(x, [r * size for r, size in zip(reps, shape, strict=True)])


@implements(np.repeat)
def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis=axis)


@implements(np.flip)
def _flip(m: Any, axis: Axis = None) -> Any:
    axes = axes_of(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if k in axes else ALL for k in range(m.ndim))]


implements(np.fliplr)(lambda m: np.flip(m, 1))
implements(np.flipud)(lambda m: np.flip(m, 0))


@implements(np.rot90)
def _rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    one, two = axes
    for _ in range(k % 4):
        m = np.flip(np.swapaxes(m, one, two), one)
    return m


@implements(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(np.roll(np.ravel(a), shift, 0), a.shape)
    shifts, axes = np.broadcast_arrays(shift, axis)
    for by, k in zip(shifts.ravel().tolist(), axes.ravel().tolist(), strict=True):
        k = axis_of(k, a.ndim)
        by %= max(a.shape[k], 1)
        lead = (ALL,) * k
        if by:
            a = np.concatenate([a[(*lead, slice(-by, None))], a[(*lead, slice(None, -by))]], axis=k)
    return a


@implements(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis = axis_of(axis, a.ndim)
    start = start + a.ndim if start < 0 else start
    if not 0 <= start <= a.ndim:
        raise AxisError(f"np.rollaxis: start {start} is out of bounds for {a.ndim} axes{at()}")
    return np.moveaxis(a, axis, start - (axis < start))


@implements(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False,
                         writeable: bool = False) -> Any:  # fmt: skip
    sizes = (window_shape,) if np.ndim(window_shape) == 0 else tuple(window_shape)
    axes = axes_of(None, x.ndim) if axis is None else listed_axes(axis, x.ndim)
    if len(sizes) != len(axes):
        raise ShapeError(f"sliding_window_view: {len(sizes)} window lengths for {len(axes)} axes{at()}")
    for size, k in zip(sizes, axes, strict=True):
        count = x.shape[k] - operator.index(size) + 1
        if size < 0 or count < 1:
            raise ShapeError(f"sliding_window_view: a window of {size} does not fit length {x.shape[k]}{at()}")
        places = np.arange(count)[:, None] + np.arange(size)
        x = np.moveaxis(np.take(x, places, axis=k), k + 1, -1)
    return x


_GATHERED = {"edge": set(), "reflect": {"reflect_type"}, "symmetric": {"reflect_type"}, "wrap": set(), "empty": set()}
_PAD_OPTIONS = _GATHERED | {"constant": {"constant_values"}, "linear_ramp": {"end_values"},
                            **{key: {"stat_length"} for key in ["maximum", "mean", "median", "minimum"]}}  # fmt: skip


@implements(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    if callable(mode):
        raise UnsupportedError(
            f"np.pad: a function as mode writes into plain arrays{at()}; pad with a named mode, or with np.concatenate"
        )
    if mode not in _PAD_OPTIONS or not _PAD_OPTIONS[mode].issuperset(kwargs):
        raise ShapeError(f"np.pad: mode {mode!r} does not exist, or does not take {', '.join(kwargs) or 'this'}{at()}")
    options = next(iter(kwargs.values()), None)
    array = as_traced(array, options)
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(k, pad_width.get(k - array.ndim, 0)) for k in range(array.ndim)]
        pad_width = [(each, each) if np.ndim(each) == 0 else each for each in pad_width]
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    if any(width < 0 for pair in widths for width in pair):
        raise ShapeError(f"np.pad: widths must not be negative, got {pad_width}{at()}")
    if mode in ("edge", "wrap", "empty") or (mode in _GATHERED and options in (None, "even")):
        places = np.pad(np.arange(array.size).reshape(array.shape), widths, "edge" if mode == "empty" else mode)
        return np.ravel(array)[places] if array.ndim else np.copy(array)
    if mode == "constant" and (options is None or (isinstance(options, int | float) and options == 0)):
        shape = tuple(size + before + after for size, (before, after) in zip(array.shape, widths, strict=True))
        index = tuple((before, before + size, 1) for size, (before, _) in zip(array.shape, widths, strict=True))
        return record(embed, array, shape=shape, index=index)
    pairs = None if options is None or isinstance(options, str) else np.broadcast_to(stacked(options), (array.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        pair = (None, None) if pairs is None else (pairs[axis, 0], pairs[axis, 1])
        array = np.moveaxis(_PADDERS[mode](np.moveaxis(array, axis, 0), before, after, pair), 0, axis)
    return array


def _pad_constant(x: Any, before: int, after: int, pair: Any) -> Any:
    ends = [np.broadcast_to(cast(as_traced(value, x), x.dtype), (count, *x.shape[1:]))
            for value, count in zip(pair, (before, after), strict=True)]  # fmt: skip
    return np.concatenate([ends[0], x, ends[1]])


def _pad_ramp(x: Any, before: int, after: int, pair: Any) -> Any:
    first, last = (as_traced(x.dtype.type(0) if value is None else value, x) for value in pair)
    left = np.linspace(np.broadcast_to(first, x.shape[1:]), x[0], before, endpoint=False)
    right = np.flip(np.linspace(np.broadcast_to(last, x.shape[1:]), x[-1], after, endpoint=False), 0)
    ends = [np.floor(part) if x.dtype.kind in "iu" else part for part in (left, right)]
    return np.concatenate([cast(ends[0], x.dtype), x, cast(ends[1], x.dtype)])


def _pad_statistic(function: Callable[..., Any]) -> Callable[..., Any]:
    def pad(x: Any, before: int, after: int, pair: Any) -> Any:
        counts = [len(x) if count is None else min(int(count), len(x)) for count in pair]
        if 0 in counts:
            raise ShapeError(f"np.pad: stat_length must be at least 1{at()}")
        ends = [
            function(x[: counts[0]], axis=0, keepdims=True),
            function(x[len(x) - counts[1] :], axis=0, keepdims=True),
        ]
        ends = [cast(np.rint(end) if x.dtype.kind in "iu" else end, x.dtype) for end in ends]
        ends = [np.broadcast_to(end, (n, *x.shape[1:])) for end, n in zip(ends, (before, after), strict=True)]
        return np.concatenate([ends[0], x, ends[1]])

    return pad


def _pad_odd(mode: str) -> Callable[..., Any]:
    """Return the reflection about the end points: a linear map of the rows, read off the padded unit vectors."""

    def pad(x: Any, before: int, after: int, pair: Any) -> Any:
        unit = np.eye(len(x), dtype=x.dtype)
        rows = np.pad(unit, ((before, after), (0, 0)), mode, reflect_type="odd")  # type: ignore[call-overload]
        return np.reshape(rows @ np.reshape(x, (len(x), -1)), (len(rows), *x.shape[1:]))

    return pad


_PADDERS: dict[str, Callable[..., Any]] = {
    "constant": _pad_constant, "linear_ramp": _pad_ramp, "maximum": _pad_statistic(np.max),
    "mean": _pad_statistic(np.mean), "median": _pad_statistic(np.median), "minimum": _pad_statistic(np.min),
    "reflect": _pad_odd("reflect"), "symmetric": _pad_odd("symmetric"),
}  # fmt: skip


@implements(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    x = as_traced(arr, values)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = axis_of(axis, x.ndim)
    count, values = x.shape[axis], stacked(values)
    values = np.reshape(values, (*[1] * (x.ndim - np.ndim(values)), *np.shape(values)))
    if np.ndim(obj) == 0 and not isinstance(obj, slice):
        new = np.moveaxis(values, 0, axis) if values.size > 1 else values
        obj = [obj] * new.shape[axis]
        added = len(obj)
    else:
        added, new = len(np.arange(count)[obj]) if isinstance(obj, slice) else np.size(obj), values
    new = np.broadcast_to(cast(as_traced(new, x), x.dtype), (*x.shape[:axis], added, *x.shape[axis + 1 :]))
    places = np.insert(np.arange(count), obj, count + np.arange(added))  # new elements are counted behind the old
    return np.take(np.concatenate([x, new], axis=axis), places, axis=axis)


@implements(np.delete)
def _delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    x = as_traced(arr)
    if axis is None:
        x, axis = np.ravel(x), 0
    return np.take(x, np.delete(np.arange(x.shape[axis_of(axis, x.ndim)]), obj), axis=axis)


@implements(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    x = np.ravel(as_traced(a))
    return x[np.resize(np.arange(x.size), new_shape)] if x.size else np.zeros(new_shape, x.dtype, like=x)


@implements(np.trim_zeros)
def _trim_zeros(filt: Any, trim: str = "fb", axis: Axis = None) -> Any:
    x = as_traced(filt)
    if not x.ndim:
        return x
    places = np.argwhere(x != 0)
    key = [ALL] * x.ndim
    for k in axes_of(axis, x.ndim):
        first, last = (places[:, k].min(), places[:, k].max() + 1) if places.size else (0, 0)
        key[k] = slice(first if "f" in trim.lower() else 0, last if "b" in trim.lower() else x.shape[k])
    return x[tuple(key)]


@implements(np.compress)
def _compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    condition = condition._look() if isinstance(condition, TracedArray) else condition
    return np.take(a, np.flatnonzero(condition), axis=axis)


@implements(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return np.compress(np.ravel(condition), np.ravel(arr))


@implements(np.choose)
def _choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    places = a._look() if isinstance(a, TracedArray) else np.asarray(a)
    builder = newest((a, choices))
    dtype = np.result_type(*(part.dtype if isinstance(part, TracedArray) else part for part in choices))
    rows = np.stack(
        np.broadcast_arrays(*[cast(traced(builder, part), dtype) for part in choices], places)[: len(choices)]
    )
    if mode != "raise":
        places = np.clip(places, 0, len(rows) - 1) if mode == "clip" else places % len(rows)
    elif np.any((places < 0) | (places >= len(rows))):
        raise ShapeError(f"np.choose: a choice outside 0 to {len(rows) - 1}{at()}")
    return np.take_along_axis(rows, np.broadcast_to(places, rows.shape[1:])[None], 0)[0]


@implements(np.diagonal, np.linalg.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x = np.moveaxis(a, (axis1, axis2), (0, 1))
    rows = np.arange(max(min(x.shape[0] + min(offset, 0), x.shape[1] - max(offset, 0)), 0))
    return np.moveaxis(record(gather, x, rows - min(offset, 0), rows + max(offset, 0)), 0, -1)


FUNCTIONS[np.linalg.diagonal] = lambda x, /, *, offset=0: np.diagonal(x, offset, -2, -1)


@implements(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim != 1:
        return np.diagonal(v, k)
    rows = np.arange(v.size)
    size = v.size + abs(k)
    return record(structural.scatter_add, v, rows - min(k, 0), rows + max(k, 0), shape=(size, size))


implements(np.diagflat)(lambda v, k=0: np.diag(np.ravel(v), k))
implements(np.trace)(lambda a, offset=0, axis1=0, axis2=1, dtype=None: (
    np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)
))  # fmt: skip
FUNCTIONS[np.linalg.trace] = lambda x, /, *, offset=0, dtype=None: np.trace(x, offset, -2, -1, dtype)


@implements(np.tril)
def _tril(m: Any, k: int = 0) -> Any:
    return np.where(_below(m, k), m, m.dtype.type(0))


def _below(m: Any, k: int) -> Any:
    """Return where a matrix has its lower triangle; a vector is every row of a square one."""
    return np.tri(m.shape[-2] if m.ndim > 1 else m.shape[0], m.shape[-1], k, dtype=bool)


@implements(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return np.where(_below(m, k - 1), m.dtype.type(0), m)
