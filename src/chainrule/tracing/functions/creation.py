"""Arrays made like a traced one, ranges, grids, copies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.tracing.array import CREATORS, TracedArray, cast, holds_traced, newest, stacked, traced
from chainrule.tracing.functions.common import as_array, as_traced, implements
from chainrule.tracing.origin import at
from chainrule.types import real_dtype


def _constant(like: TracedArray, value: np.ndarray) -> Any:
    return TracedArray(like.builder, like.builder.constant(value))


@implements(np.zeros_like)
def _zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    return _constant(a, np.zeros(a.shape if shape is None else shape, dtype or a.dtype))


@implements(np.empty_like)
def _empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
                device: Any = None) -> Any:  # fmt: skip
    return np.zeros_like(prototype, dtype=dtype, shape=shape)


@implements(np.ones_like)
def _ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    return _constant(a, np.ones(a.shape if shape is None else shape, dtype or a.dtype))


@implements(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
               device: Any = None) -> Any:  # fmt: skip
    filled = np.broadcast_to(as_traced(fill_value, a), a.shape if shape is None else shape)
    return np.copy(cast(filled, dtype or a.dtype))


def _created(function: Callable[..., np.ndarray], like: TracedArray, *args: Any, **kwargs: Any) -> Any:
    """Return what ``function(..., like=traced)`` makes: an array of that graph, which can be written into."""
    return _constant(like, function(*args, **kwargs))


def _array_like(like: TracedArray, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    x = traced(like.builder, stacked(a) if holds_traced(a) else np.array(a))
    return np.copy(x if dtype is None else cast(x, dtype))


def _full(like: TracedArray, shape: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    x = np.broadcast_to(traced(like.builder, fill_value), shape)
    return np.copy(x if dtype is None else cast(x, dtype))


CREATORS.update(
    {f: functools.partial(_created, f) for f in (np.zeros, np.ones, np.empty, np.eye, np.identity, np.tri, np.arange)}
)
CREATORS.update(
    {f: _array_like for f in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray)}
    | {np.full: _full}
)


@implements(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
              axis: int = 0, *, device: Any = None) -> Any:  # fmt: skip
    kind = np.result_type(*(part.dtype if isinstance(part, TracedArray) else part for part in (start, stop)), 1.0)
    shares = np.linspace(0.0, 1.0, num, endpoint=endpoint, dtype=real_dtype(kind))
    shares = shares.reshape((num, *[1] * max(np.ndim(start), np.ndim(stop))))
    y = np.moveaxis(start * (1 - shares) + stop * shares, 0, axis)
    y = y if dtype is None else cast(y, dtype)
    return (y, (stop - start) / (num - bool(endpoint))) if retstep else y


@implements(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    count = len(xi)
    parts = [np.reshape(x, [-1 if k == axis else 1 for k in range(count)]) for axis, x in enumerate(xi)]
    parts = parts if sparse else list(np.broadcast_arrays(*parts))
    return tuple(np.swapaxes(part, 0, 1) if indexing == "xy" and count > 1 else part for part in parts)


@implements(np.copy)
def _copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return as_array(TracedArray(a.builder, a.node))


@implements(np.astype)
def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    x = as_traced(x)
    return np.copy(x) if x.dtype == np.dtype(dtype) else cast(x, dtype)


@implements(np.logspace)
def _logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
              axis: int = 0) -> Any:  # fmt: skip
    rank = max(np.ndim(part) for part in (start, stop, base))
    start, stop, base = (
        part if not np.ndim(part) else np.reshape(part, (*[1] * (rank - np.ndim(part)), *np.shape(part)))
        for part in (start, stop, base)
    )
    y = np.power(np.expand_dims(base, 0) if np.ndim(base) else base, np.linspace(start, stop, num, endpoint))
    y = np.moveaxis(y, 0, axis)
    return y if dtype is None else cast(y, dtype)


@implements(np.geomspace)
def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Start · (stop / start)ᵗ for t from 0 to 1; a complex one turns."""
    like = newest((start, stop))
    start, stop = (traced(like, stacked(part)) for part in (start, stop))
    kind = np.result_type(start.dtype, stop.dtype, 0.0)
    start, stop = cast(start, kind), cast(stop, kind)
    if np.any((start == 0) | (stop == 0)):
        raise ShapeError(f"np.geomspace: the geometric sequence cannot include zero{at()}")
    shares = np.linspace(0.0, 1.0, num, endpoint=endpoint)
    shares = shares.reshape((num, *[1] * max(start.ndim, stop.ndim)))
    y = np.moveaxis(start * np.exp(shares * np.log(stop / start)), 0, axis)
    return y if dtype is None else cast(y, dtype)
