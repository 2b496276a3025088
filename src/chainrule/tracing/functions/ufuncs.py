"""Ufuncs that are not one op, and the methods of all: reduce, accumulate, reduceat, outer, at."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, IndexingError, ShapeError, UnsupportedError
from chainrule.ops import structural
from chainrule.ops.pointwise import exponent, fraction, ldexp
from chainrule.tracing.array import UFUNC_METHODS, TracedArray, call_ufunc, cast, record
from chainrule.tracing.functions.common import Axis, as_traced, axes_of, count_along, implements
from chainrule.tracing.functions.reductions import logsumexp
from chainrule.tracing.functions.writing import writable
from chainrule.tracing.origin import at


@implements(np.positive)
def _positive(x: Any) -> Any:
    if x.dtype == bool:
        raise DtypeError(f"positive: NumPy has no rule for bool{at()}")
    return TracedArray(x.builder, x.node)


@implements(np.divmod)
def _divmod(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b), np.remainder(a, b)


@implements(np.modf)
def _modf(x: Any) -> Any:
    part = record(fraction, x)
    return part, np.trunc(cast(x, part.dtype))


@implements(np.ldexp)
def _ldexp(x: Any, k: Any) -> Any:
    return record(ldexp, x, k if isinstance(k, TracedArray) else np.asarray(k)[()])  # 2 is no number of x's dtype


@implements(np.frexp)
def _frexp(x: Any) -> Any:
    k = record(exponent, x)
    return np.ldexp(x, -k), k


_REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.logical_and: np.all,
    np.logical_or: np.any,
}  # fmt: skip
_ASSOCIATIVE = {
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logical_and, np.logical_or, np.logical_xor, np.gcd, np.lcm,
}  # fmt: skip
"""Those whose elements may be grouped as one likes; the others are applied from the first element on."""


_LOGICAL = {np.logical_and, np.logical_or, np.logical_xor}


def _operand(ufunc: np.ufunc, array: Any, dtype: Any, *others: Any) -> Any:
    """Return what a method of a ufunc works on, in its dtype."""
    x = as_traced(array, *others)
    if ufunc in _LOGICAL:
        return x if x.dtype == bool else x != 0
    if dtype is not None:
        return cast(x, dtype)
    if ufunc.nin != 2 or ufunc.nout != 1 or ufunc in (np.add, np.multiply):
        return x
    first, _, result = ufunc.resolve_dtypes((x.dtype, x.dtype, None))
    return cast(x, first) if first == result else x


def _reduce(ufunc: np.ufunc, array: Any, axis: Axis = 0, dtype: Any = None, keepdims: bool = False,
            initial: Any = np._NoValue, where: Any = True) -> Any:  # fmt: skip
    x = _operand(ufunc, array, dtype, initial, where)
    function = _REDUCTIONS.get(ufunc)
    if ufunc in (np.logical_and, np.logical_or) and initial is np._NoValue:
        return function(x, axis=axis, keepdims=keepdims, where=where)  # type: ignore[misc]
    if function is not None and ufunc not in (np.logical_and, np.logical_or):
        return function(x, axis=axis, keepdims=keepdims, initial=initial, where=where)
    if ufunc is np.logaddexp and where is True and initial is np._NoValue and x.size:
        return logsumexp(x, axis, keepdims=keepdims)
    return _fold(ufunc, x, axes_of(axis, x.ndim), keepdims, initial, where)


def _fold(ufunc: np.ufunc, x: Any, axes: tuple[int, ...], keepdims: bool, initial: Any, where: Any) -> Any:
    """Apply a ufunc between the elements along axes: pairs of halves where it is associative, else one by one."""
    if ufunc.nin != 2 or ufunc.nout != 1:
        raise UnsupportedError(f"np.{ufunc.__name__}.reduce: only of functions of two arguments{at()}")
    if len(axes) > 1 and ufunc not in _ASSOCIATIVE:
        raise ShapeError(f"np.{ufunc.__name__}.reduce: one axis only, since the order matters; got {axes}{at()}")
    start = initial if initial is not np._NoValue else ufunc.identity
    if where is not True:
        if start is None:
            raise ShapeError(f"np.{ufunc.__name__}.reduce: where= needs initial=, as in NumPy{at()}")
        if ufunc not in _ASSOCIATIVE:
            raise UnsupportedError(f"np.{ufunc.__name__}.reduce: where= is not supported with traced arrays{at()}")
        neutral = start if ufunc.identity is None else ufunc.identity
        x = np.where(where, x, cast(as_traced(neutral, x), x.dtype))
    rest = [k for k in range(x.ndim) if k not in axes]
    shape = tuple(1 if k in axes else size for k, size in enumerate(x.shape))
    rows = np.reshape(np.transpose(x, (*axes, *rest)), (count_along(x, axes), *(x.shape[k] for k in rest)))
    parts = list(rows[k : k + 1] for k in range(len(rows))) if ufunc not in _ASSOCIATIVE else [rows]
    if not len(rows):
        if start is None:
            raise ShapeError(f"np.{ufunc.__name__}.reduce: no elements, and no identity{at()}")
        y = np.broadcast_to(cast(as_traced(start, x), x.dtype), (1, *rows.shape[1:]))
    elif initial is not np._NoValue and ufunc not in _ASSOCIATIVE:
        y = functools.reduce(ufunc, parts, np.broadcast_to(cast(as_traced(initial, x), x.dtype), parts[0].shape))
    else:
        y = functools.reduce(ufunc, parts) if ufunc not in _ASSOCIATIVE else _halved(ufunc, rows)
        if initial is not np._NoValue:
            y = ufunc(cast(as_traced(initial, x), x.dtype), y)
    y = np.reshape(y, shape if keepdims else rows.shape[1:])
    return y if keepdims else y[()]


def _halved(ufunc: np.ufunc, rows: Any) -> Any:
    while len(rows) > 1:
        half = len(rows) // 2
        pairs = ufunc(rows[: 2 * half : 2], rows[1 : 2 * half : 2])
        rows = np.concatenate([pairs, rows[2 * half :]]) if len(rows) % 2 else pairs
    return rows


def _accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = _operand(ufunc, array, dtype)
    if ufunc is np.add:
        return np.cumsum(x, axis=axis)
    if ufunc.nin != 2 or ufunc.nout != 1:
        raise UnsupportedError(f"np.{ufunc.__name__}.accumulate: only of functions of two arguments{at()}")
    if ufunc is np.multiply and dtype is None:
        x = cast(x, np.cumprod(np.empty(0, x.dtype)).dtype)
    x = np.moveaxis(x, axis, 0)
    if ufunc not in _ASSOCIATIVE:
        rows = [x[k : k + 1] for k in range(len(x))]
        return np.moveaxis(np.concatenate(list(itertools.accumulate(rows, ufunc))), 0, axis) if rows else x
    step = 1
    while step < len(x):  # doubling, as in ops/reduction.py
        x = np.concatenate([x[:step], ufunc(x[:-step], x[step:])])
        step *= 2
    return np.moveaxis(x, 0, axis)


def _reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = np.moveaxis(_operand(ufunc, array, dtype), axis, 0)
    indices = indices._look() if isinstance(indices, TracedArray) else np.asarray(indices)
    bounds = [*indices.tolist(), len(x)]
    if any(not 0 <= bound < len(x) for bound in bounds[:-1]):
        raise IndexingError(f"np.{ufunc.__name__}.reduceat: an index is out of bounds for length {len(x)}{at()}")
    parts = [ufunc.reduce(x[a:b], axis=0) if a < b else x[a] for a, b in itertools.pairwise(bounds)]
    return np.moveaxis(np.stack(parts), 0, axis) if parts else np.moveaxis(x[:0], 0, axis)


def _outer_ufunc(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    return call_ufunc(ufunc, (np.reshape(a, (*np.shape(a), *[1] * np.ndim(b))), b), **kwargs)


def _at(ufunc: np.ufunc, x: Any, key: Any, value: Any = None) -> None:
    x = writable(x, f"{ufunc.__name__}.at", key, value)
    places = np.arange(x.size).reshape(x.shape)[key]
    if ufunc in (np.add, np.subtract):
        spread = np.broadcast_to(as_traced(value, x), places.shape)
        added = record(structural.scatter_add, np.ravel(spread), places.ravel(), shape=(x.size,))
        x[...] = ufunc(x, np.reshape(added, x.shape))
        return
    flat, places = x.flat, places.ravel()
    values = None if value is None else np.ravel(np.broadcast_to(value, np.arange(x.size).reshape(x.shape)[key].shape))
    turns = np.array([np.count_nonzero(places[:k] == place) for k, place in enumerate(places)], dtype=int)
    for turn in range(turns.max(initial=-1) + 1):  # the first application at each place, then the second, ...
        now = turns == turn
        flat[places[now]] = ufunc(flat[places[now]], *([] if values is None else [values[now]]))


UFUNC_METHODS.update(reduce=_reduce, accumulate=_accumulate, reduceat=_reduceat, outer=_outer_ufunc, at=_at)
