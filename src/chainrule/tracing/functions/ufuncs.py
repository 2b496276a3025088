"""Ufuncs that are not one op, and the methods of all: reduce, accumulate, reduceat, outer, at."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import DtypeError, UnsupportedError
from chainrule.ops import structural
from chainrule.ops.pointwise import exponent, fraction, ldexp
from chainrule.tracing.array import UFUNC_METHODS, TracedArray, call_ufunc, cast, record
from chainrule.tracing.functions.common import Axis, as_traced, implements
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


def _reduce(ufunc: np.ufunc, array: Any, axis: Axis = 0, dtype: Any = None, keepdims: bool = False,
            initial: Any = np._NoValue, where: Any = True) -> Any:  # fmt: skip
    x = as_traced(array) if dtype is None else cast(as_traced(array), dtype)
    if ufunc is np.logaddexp and where is True and initial is np._NoValue:
        return logsumexp(x, axis, keepdims=keepdims)
    function = _REDUCTIONS.get(ufunc)
    if function is None:
        raise UnsupportedError(f"np.{ufunc.__name__}.reduce has no rule for traced arrays{at()}")
    if ufunc in (np.logical_and, np.logical_or):
        return function(x, axis=axis, keepdims=keepdims, where=where)
    return function(x, axis=axis, keepdims=keepdims, initial=initial, where=where)


def _accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = as_traced(array) if dtype is None else cast(as_traced(array), dtype)
    if ufunc is np.add:
        return np.cumsum(x, axis=axis)
    if ufunc not in (np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp):
        raise UnsupportedError(f"np.{ufunc.__name__}.accumulate has no rule for traced arrays{at()}")
    if ufunc is np.multiply and dtype is None:
        x = cast(x, np.cumprod(np.empty(0, x.dtype)).dtype)
    x = np.moveaxis(x, axis, 0)
    step = 1
    while step < len(x):  # doubling, as in ops/reduction.py
        x = np.concatenate([x[:step], ufunc(x[step:], x[:-step])])
        step *= 2
    return np.moveaxis(x, 0, axis)


def _reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = np.moveaxis(as_traced(array) if dtype is None else cast(as_traced(array), dtype), axis, 0)
    bounds = [*np.asarray(indices).tolist(), len(x)]
    parts = [ufunc.reduce(x[a:b], axis=0) if a < b else x[a] for a, b in itertools.pairwise(bounds)]
    return np.moveaxis(np.stack(parts), 0, axis)


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
