"""Sorting, searching, taking by index."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.errors import IndexingError, ShapeError
from chainrule.ops import reduction
from chainrule.ops.host import host
from chainrule.tracing.array import TracedArray, cast, record, stacked
from chainrule.tracing.functions.common import ALL, as_traced, axis_of, implements, kept
from chainrule.tracing.origin import at


@implements(np.argsort)
def _argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None or (not a.ndim and axis in (0, -1)):
        a, axis = np.ravel(a), 0
    return record(reduction.argsort, a, axis=axis_of(axis, a.ndim))


@implements(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis), axis)


def _place(op: ir.Op) -> Callable[..., Any]:
    def rule(a: Any, axis: int | None = None, *, keepdims: Any = False) -> Any:
        x = np.ravel(a) if axis is None else as_traced(a)
        k = axis_of(0 if axis is None else axis, x.ndim)
        axes = tuple(range(a.ndim)) if axis is None else (k,)
        return kept(record(op, x, axis=k), a, axes, keepdims)

    return rule


@implements(np.partition)
def _partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argpartition(a, kth, axis), axis)


@implements(np.argpartition)
def _argpartition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    kth = kth if isinstance(kth, int) else tuple(np.ravel(kth).tolist())
    return record(host, as_traced(a), function=np.argpartition, kwargs=(("kth", kth), ("axis", axis)))


implements(np.argmax)(_place(reduction.argmax))
implements(np.argmin)(_place(reduction.argmin))


@implements(np.take)
def _take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    x = as_traced(a, indices)
    if axis is None:
        x, axis = np.ravel(x), 0
    if mode != "raise":
        size = x.shape[axis_of(axis, x.ndim)]
        indices = np.clip(indices, 0, size - 1) if mode == "clip" else np.asarray(indices) % size
    return x[(*(ALL,) * axis_of(axis, x.ndim), indices if isinstance(indices, TracedArray) else np.asarray(indices))]


@implements(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    x = as_traced(arr, indices)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = axis_of(axis, x.ndim)
    key: list[Any] = []
    for k, size in enumerate(x.shape):
        length = np.shape(indices)[k]
        along = np.arange(size if length == 1 else length)
        key.append(indices if k == axis else along.reshape([-1 if j == k else 1 for j in range(x.ndim)]))
    return x[tuple(key)]


@implements(np.nonzero)
def _nonzero(a: Any) -> tuple[np.ndarray, ...]:
    return np.nonzero(as_traced(a)._look())


implements(np.flatnonzero)(lambda a: np.flatnonzero(as_traced(a)._look()))
implements(np.argwhere)(lambda a: np.argwhere(as_traced(a)._look()))


@implements(np.searchsorted)
def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    a = a if sorter is None else as_traced(a, v)[np.asarray(sorter)]
    return record(host, a, v, function=np.searchsorted, kwargs=(("side", side),))


@implements(np.digitize)
def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    return record(host, x, bins, function=np.digitize, kwargs=(("right", right),))


@implements(np.sort_complex)
def _sort_complex(a: Any) -> Any:
    y = np.sort(a)
    return (
        y
        if y.dtype.kind == "c"
        else cast(y, np.complex64 if y.dtype.char in "bhBH" else np.promote_types(y.dtype, complex))
    )


@implements(np.lexsort)
def _lexsort(keys: Any, axis: int = -1) -> Any:
    return record(host, as_traced(stacked(keys)), function=np.lexsort, kwargs=(("axis", axis),))


def _nan_place(op: Callable[..., Any], worst: float) -> Callable[..., Any]:
    def rule(a: Any, axis: int | None = None, *, keepdims: Any = np._NoValue) -> Any:
        x = as_traced(a)
        if x.dtype.kind not in "fc":
            return op(x, axis=axis, keepdims=keepdims)
        missing = np.isnan(x)
        if np.any(np.all(missing, axis=axis)):
            raise ShapeError(f"All-NaN slice encountered{at()}")
        return op(np.where(missing, x.dtype.type(worst), x), axis=axis, keepdims=keepdims)

    return rule


implements(np.nanargmax)(_nan_place(np.argmax, -np.inf))
implements(np.nanargmin)(_nan_place(np.argmin, np.inf))


def _dimensions(shape: Any) -> list[int]:
    return [operator.index(size) for size in ((shape,) if np.ndim(shape) == 0 else shape)]


@implements(np.unravel_index)
def _unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    sizes = _dimensions(shape)
    total = math.prod(sizes)
    if np.any((indices < 0) | (indices >= total)):
        raise IndexingError(f"np.unravel_index: an index is out of bounds for an array of size {total}{at()}")
    parts = []
    for size in sizes[::-1] if order == "C" else sizes:
        parts.append(indices % size)
        indices = indices // size
    return tuple(parts[::-1] if order == "C" else parts)


@implements(np.ravel_multi_index)
def _ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    sizes = _dimensions(dims)
    modes = [mode] * len(sizes) if isinstance(mode, str) else list(mode)
    pairs = list(zip(multi_index, sizes, modes, strict=True))
    place: Any = 0
    for index, size, how in pairs if order == "C" else pairs[::-1]:
        if how == "raise" and np.any((np.less(index, 0)) | (np.greater_equal(index, size))):
            raise IndexingError(f"np.ravel_multi_index: an index is out of bounds for length {size}{at()}")
        inside = index if how == "raise" else np.clip(index, 0, size - 1) if how == "clip" else np.mod(index, size)
        place = place * size + inside
    return place


@implements(np.ix_)
def _ix(*args: Any) -> tuple[Any, ...]:
    found = []
    for k, arg in enumerate(args):
        if np.ndim(arg) != 1:
            raise ShapeError(f"np.ix_: each argument must be one-dimensional, got shape {np.shape(arg)}{at()}")
        part = np.flatnonzero(arg) if arg.dtype.kind == "b" else arg
        found.append(np.reshape(part, [-1 if j == k else 1 for j in range(len(args))]))
    return tuple(found)


implements(np.packbits)(
    lambda a, axis=None, bitorder="big": record(
        host, a, function=np.packbits, kwargs=(("axis", axis), ("bitorder", bitorder))
    )
)
implements(np.unpackbits)(
    lambda a, axis=None, count=None, bitorder="big": record(
        host, a, function=np.unpackbits, kwargs=(("axis", axis), ("count", count), ("bitorder", bitorder))
    )
)
