"""Sums, means, products, extremes, along axes and running; those that skip NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.errors import ShapeError
from chainrule.ops import reduction, structural
from chainrule.ops.host import stop_gradient
from chainrule.ops.structural import cumsum
from chainrule.tracing.array import cast, record
from chainrule.tracing.functions.common import Axis, as_traced, axes_of, axis_of, count_along, implements, kept
from chainrule.tracing.origin import at
from chainrule.types import real_dtype


@implements(np.sum)
def _sum(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, initial: Any = np._NoValue,
         where: Any = True) -> Any:  # fmt: skip
    x = _chosen(as_traced(a), where, 0)
    if dtype is not None:
        x = cast(x, dtype)
    axes = axes_of(axis, x.ndim)
    y = kept(record(structural.sum, x, axis=axes), x, axes, keepdims)
    return y if initial is np._NoValue else y + _initial(y, initial)


def _initial(y: Any, value: Any) -> Any:
    """Return `initial=` in the dtype of the result, as NumPy takes it."""
    return cast(as_traced(value, y), y.dtype)


def _chosen(x: Any, condition: Any, otherwise: Any) -> Any:
    """Return x with the elements that `where=` leaves out replaced."""
    return x if condition is True else np.where(condition, x, x.dtype.type(otherwise))


@implements(np.mean)
def _mean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, where: Any = True) -> Any:
    x = as_traced(a)
    x = cast(x, dtype or np.result_type(x.dtype, 1.0 if x.dtype.kind in "biu" else x.dtype))
    axes = axes_of(axis, x.ndim)
    total = np.sum(x, axis=axes, keepdims=keepdims, where=where)
    return total / (count_along(x, axes) if where is True else _chosen_count(x, where, axes, keepdims))


def _chosen_count(x: Any, where: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    """Return how many elements `where=` leaves of inexact numbers, in their own precision."""
    kept = keepdims is not np._NoValue and bool(keepdims)
    return np.sum(np.broadcast_to(where, x.shape), axis=axes, keepdims=kept).astype(real_dtype(x.dtype))


@implements(np.var)
def _var(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *, where: Any = True,
         mean: Any = np._NoValue, correction: Any = np._NoValue) -> Any:  # fmt: skip
    x = as_traced(a)
    if dtype is not None:
        x = cast(x, dtype)
    axes = axes_of(axis, x.ndim)
    centered = x - (np.mean(x, axis=axes, keepdims=True, where=where) if mean is np._NoValue else mean)
    total = np.sum(squared(centered), axis=axes, keepdims=keepdims, where=where)
    lost = ddof if correction is np._NoValue else correction
    if where is True:
        return total / max(count_along(x, axes) - lost, 0)
    return total / np.maximum(_chosen_count(centered, where, axes, keepdims) - lost, 0)


def squared(x: Any) -> Any:
    """Return |x|² elementwise."""
    return np.real(x) ** 2 + np.imag(x) ** 2 if x.dtype.kind == "c" else x * x


@implements(np.std)
def _std(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *, where: Any = True,
         mean: Any = np._NoValue, correction: Any = np._NoValue) -> Any:  # fmt: skip
    return np.sqrt(_var(a, axis, dtype, ddof, keepdims, where=where, mean=mean, correction=correction))


def _reduction(op: ir.Op, neutral: Any = None) -> Callable[..., Any]:
    def rule(a: Any, axis: Axis = None, keepdims: Any = False, initial: Any = np._NoValue, where: Any = True) -> Any:
        x = as_traced(a)
        if where is not True:
            if neutral is None and initial is np._NoValue:
                raise ShapeError(f"np.{op.name}: where= needs initial=, as in NumPy{at()}")
            x = _chosen(x, where, initial if neutral is None else neutral)
        axes = axes_of(axis, x.ndim)
        y = kept(record(op, x, axis=axes), x, axes, keepdims)
        if initial is np._NoValue:
            return y
        return {"max": np.maximum, "min": np.minimum, "prod": np.multiply}[op.name](y, _initial(y, initial))

    return rule


implements(np.max, np.amax)(_reduction(reduction.max))
implements(np.min, np.amin)(_reduction(reduction.min))
_ANY, _EVERY = _reduction(reduction.any, False), _reduction(reduction.all, True)
implements(np.any)(lambda a, axis=None, keepdims=False, *, where=True: _ANY(a, axis, keepdims, where=where))
implements(np.all)(lambda a, axis=None, keepdims=False, *, where=True: _EVERY(a, axis, keepdims, where=where))


@implements(np.prod)
def _prod(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, initial: Any = np._NoValue,
          where: Any = True) -> Any:  # fmt: skip
    x = as_traced(a) if dtype is None else cast(as_traced(a), dtype)
    return _reduction(reduction.prod, 1)(x, axis, keepdims, initial, where)


@implements(np.ptp)
def _ptp(a: Any, axis: Axis = None, keepdims: Any = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@implements(np.count_nonzero)
def _count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return np.sum(as_traced(a) != 0, axis=axis, keepdims=keepdims)


@implements(np.cumsum)
def _cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    x = as_traced(a) if dtype is None else cast(as_traced(a), dtype)
    if axis is None:
        x, axis = np.ravel(x), 0
    return record(cumsum, x, axis=axis_of(axis, x.ndim), reverse=False)


@implements(np.cumprod)
def _cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    x = as_traced(a) if dtype is None else cast(as_traced(a), dtype)
    if axis is None:
        x, axis = np.ravel(x), 0
    return np.multiply.accumulate(x, axis=axis)


@implements(np.cumulative_sum)
def _cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    return _cumulative(np.cumsum, as_traced(x), axis, dtype, 0 if include_initial else None)


@implements(np.cumulative_prod)
def _cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    return _cumulative(np.cumprod, as_traced(x), axis, dtype, 1 if include_initial else None)


def _cumulative(function: Callable[..., Any], x: Any, axis: int | None, dtype: Any, initial: int | None) -> Any:
    if axis is None and x.ndim > 1:
        raise ShapeError(f"np.{function.__name__}: axis= is needed for shape {x.shape}{at()}")
    x = x if x.ndim else np.ravel(x)
    axis = axis_of(axis or 0, x.ndim)
    y = function(x, axis=axis, dtype=dtype)
    if initial is None:
        return y
    first = np.full((*y.shape[:axis], 1, *y.shape[axis + 1 :]), initial, y.dtype)
    return np.concatenate([first, y], axis=axis)


def _without_nan(function: Callable[..., Any], otherwise: float) -> Callable[..., Any]:
    def rule(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:
        x = as_traced(a)
        return function(_chosen(x, ~np.isnan(x), otherwise), axis=axis, dtype=dtype, keepdims=keepdims, **kwargs)

    return rule


_nansum, _nanprod = _without_nan(np.sum, 0), _without_nan(np.prod, 1)
implements(np.nansum)(lambda a, axis=None, dtype=None, keepdims=False, initial=np._NoValue, where=True: (
    _nansum(a, axis, dtype, keepdims, initial=initial, where=where)
))  # fmt: skip
implements(np.nanprod)(lambda a, axis=None, dtype=None, keepdims=False, initial=np._NoValue, where=True: (
    _nanprod(a, axis, dtype, keepdims, initial=initial, where=where)
))  # fmt: skip
implements(np.nancumsum)(lambda a, axis=None, dtype=None: np.cumsum(_chosen(a, ~np.isnan(a), 0), axis, dtype))
implements(np.nancumprod)(lambda a, axis=None, dtype=None: np.cumprod(_chosen(a, ~np.isnan(a), 1), axis, dtype))


def _present(a: Any, where: Any) -> Any:
    return ~np.isnan(a) if where is True or where is np._NoValue else ~np.isnan(a) & where


@implements(np.nanmean)
def _nanmean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return _mean(as_traced(a), axis, dtype, keepdims, where=_present(a, where))


@implements(np.nanvar)
def _nanvar(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *, where: Any = True,
            mean: Any = np._NoValue, correction: Any = np._NoValue) -> Any:  # fmt: skip
    return _var(a, axis, dtype, ddof, keepdims, where=_present(a, where), mean=mean, correction=correction)


@implements(np.nanstd)
def _nanstd(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *, where: Any = True,
            mean: Any = np._NoValue, correction: Any = np._NoValue) -> Any:  # fmt: skip
    return np.sqrt(_nanvar(a, axis, dtype, ddof, keepdims, where=where, mean=mean, correction=correction))


def _nan_extreme(function: Callable[..., Any], otherwise: float) -> Callable[..., Any]:
    def rule(a: Any, axis: Axis = None, keepdims: Any = False, initial: Any = np._NoValue, where: Any = True) -> Any:
        x, present = as_traced(a), _present(a, where)
        if x.dtype.kind not in "fc":
            return function(x, axis=axis, keepdims=keepdims, initial=initial, where=where)
        bound = otherwise if initial is np._NoValue else initial
        y: Any = function(_chosen(x, present, otherwise), axis=axis, keepdims=keepdims, initial=bound)
        if initial is not np._NoValue:
            return y
        kept = keepdims is not np._NoValue and bool(keepdims)
        found: Any = np.where(_ANY(present, axis, kept), y, y.dtype.type(np.nan))
        return found[()]

    return rule


implements(np.nanmax)(_nan_extreme(np.max, -np.inf))
implements(np.nanmin)(_nan_extreme(np.min, np.inf))


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False) -> Any:
    """Return log(Σ b exp(a)) over axes without overflow, as `scipy.special.logsumexp` does.

    The largest element is taken out of the sum; all -inf gives -inf with derivative zero.
    """
    x = as_traced(a) if b is None else as_traced(a, b)
    axes = axes_of(axis, x.ndim)
    top = record(stop_gradient, np.max(np.real(x), axis=axes, keepdims=True))
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    terms = np.exp(x - top) if b is None else b * np.exp(x - top)
    y = np.log(np.sum(terms, axis=axes, keepdims=True)) + top
    return y if keepdims else np.reshape(y, [size for k, size in enumerate(y.shape) if k not in axes])
