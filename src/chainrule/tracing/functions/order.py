"""Sorting, searching, taking by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ops import reduction
from chainrule.ops.host import host
from chainrule.tracing.array import TracedArray, record
from chainrule.tracing.functions.common import ALL, as_traced, axis_of, implements, kept


@implements(np.argsort)
def _argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
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
