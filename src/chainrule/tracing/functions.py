"""What NumPy's functions do with traced arrays, as compositions of few ops.

Each function here has the signature of the NumPy function it stands for. A parameter that is missing from
the signature is an error that names it; nothing is ignored silently.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.errors import DetachError, DtypeError, ShapeError, UnsupportedError
from chainrule.ops import linalg, reduction, structural
from chainrule.ops.contraction import einsum as einsum_op
from chainrule.ops.contraction import matmul
from chainrule.ops.host import host, stop_gradient
from chainrule.ops.pointwise import exponent, fraction, imag, ldexp, real, where
from chainrule.ops.structural import broadcast_to, concatenate, cumsum, embed, gather, reshape
from chainrule.tracing.array import (
    CREATORS,
    FUNCTIONS,
    UFUNC_METHODS,
    TracedArray,
    call_ufunc,
    cast,
    holds_traced,
    newest,
    permuted,
    record,
    stacked,
    traced,
)
from chainrule.tracing.origin import at
from chainrule.types import real_dtype

Axis = int | Sequence[int] | None


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what stands for NumPy functions."""

    def add(rule: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return add


def as_traced(x: Any, *others: Any) -> Any:
    """Return x as a traced array of the newest graph among the arguments."""
    return x if isinstance(x, TracedArray) and not others else traced(newest((x, *others)), x)


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    found = tuple(np.lib.array_utils.normalize_axis_tuple(axis, ndim))
    return tuple(sorted(found))


def _axis(axis: int, ndim: int) -> int:
    return int(np.lib.array_utils.normalize_axis_index(operator.index(axis), ndim))


def _keep(y: Any, x: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    if keepdims is np._NoValue or not keepdims:
        return y
    return record(reshape, y, shape=tuple(1 if k in axes else size for k, size in enumerate(x.shape)))


def _count(x: Any, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[k] for k in axes)


# -- ufuncs that are not one op ------------------------------------------------------------------------

FUNCTIONS[np.matmul] = functools.partial(record, matmul)


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
    _writable(x, f"{ufunc.__name__}.at")
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


def _writable(x: Any, name: str) -> None:
    """Raise unless x can be written into without losing the derivative of what is written."""
    if not isinstance(x, TracedArray):
        raise DetachError(
            f"np.{name}: a plain NumPy array cannot hold traced values{at()}; make it with np.zeros_like(x) or "
            "np.zeros(n, like=x)"
        )


UFUNC_METHODS.update(reduce=_reduce, accumulate=_accumulate, reduceat=_reduceat, outer=_outer_ufunc, at=_at)


# -- reductions ----------------------------------------------------------------------------------------


@implements(np.sum)
def _sum(a: Any, axis: Axis = None, dtype: Any = None, keepdims: Any = False, initial: Any = np._NoValue,
         where: Any = True) -> Any:  # fmt: skip
    x = _chosen(as_traced(a), where, 0)
    if dtype is not None:
        x = cast(x, dtype)
    axes = _axes(axis, x.ndim)
    y = _keep(record(structural.sum, x, axis=axes), x, axes, keepdims)
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
    axes = _axes(axis, x.ndim)
    total = np.sum(x, axis=axes, keepdims=keepdims, where=where)
    return total / (_count(x, axes) if where is True else _chosen_count(x, where, axes, keepdims))


def _chosen_count(x: Any, where: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    """Return how many elements `where=` leaves of inexact numbers, in their own precision."""
    kept = keepdims is not np._NoValue and bool(keepdims)
    return np.sum(np.broadcast_to(where, x.shape), axis=axes, keepdims=kept).astype(real_dtype(x.dtype))


@implements(np.average)
def _average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x = as_traced(a, weights)
    kept = keepdims is not np._NoValue and bool(keepdims)
    if x.dtype.kind in "biu":
        x = cast(x, float)
    if weights is None:
        weights = np.ones(x.shape, x.dtype)
    elif np.shape(weights) != x.shape:
        if axis is None:
            raise ShapeError(f"np.average: weights of shape {np.shape(weights)} for {x.shape} need axis={at()}")
        axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
        shape = [x.shape[k] if k in axes else 1 for k in range(x.ndim)]
        weights = np.broadcast_to(np.reshape(np.transpose(weights, np.argsort(np.argsort(axes))), shape), x.shape)
    weights = weights if isinstance(weights, TracedArray) else np.asarray(weights)
    scale = np.sum(weights, axis=axis, dtype=np.result_type(x.dtype, weights.dtype), keepdims=kept)
    y = np.sum(x * weights, axis=axis, keepdims=kept) / scale
    return (y, np.broadcast_to(scale, y.shape)) if returned else y


@implements(np.var)
def _var(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *, where: Any = True,
         mean: Any = np._NoValue, correction: Any = np._NoValue) -> Any:  # fmt: skip
    x = as_traced(a)
    if dtype is not None:
        x = cast(x, dtype)
    axes = _axes(axis, x.ndim)
    centered = x - (np.mean(x, axis=axes, keepdims=True, where=where) if mean is np._NoValue else mean)
    total = np.sum(_squared(centered), axis=axes, keepdims=keepdims, where=where)
    lost = ddof if correction is np._NoValue else correction
    if where is True:
        return total / max(_count(x, axes) - lost, 0)
    return total / np.maximum(_chosen_count(centered, where, axes, keepdims) - lost, 0)


def _squared(x: Any) -> Any:
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
        axes = _axes(axis, x.ndim)
        y = _keep(record(op, x, axis=axes), x, axes, keepdims)
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
    return record(cumsum, x, axis=_axis(axis, x.ndim), reverse=False)


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
    axis = _axis(axis or 0, x.ndim)
    y = function(x, axis=axis, dtype=dtype)
    if initial is None:
        return y
    first = np.full((*y.shape[:axis], 1, *y.shape[axis + 1 :]), initial, y.dtype)
    return np.concatenate([first, y], axis=axis)


# Of the numbers that are not NaN


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


# Order statistics


@implements(np.median)
def _median(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    return _quantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.percentile)
def _percentile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
                keepdims: bool = False) -> Any:  # fmt: skip
    return _quantile(a, np.true_divide(q, 100), axis, method=method, keepdims=keepdims)


@implements(np.quantile)
def _quantile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
              keepdims: bool = False) -> Any:  # fmt: skip
    """Between the two neighbouring elements of the sorted array, linearly in both the elements and q."""
    if method != "linear":
        raise UnsupportedError(f"np.quantile: method={method!r} is not supported with traced arrays{at()}")
    x = as_traced(a, q)
    x = cast(x, float) if x.dtype.kind in "biu" else x
    axes = _axes(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    rows = np.sort(np.reshape(np.transpose(x, (*axes, *kept)), (-1, *(x.shape[k] for k in kept))), 0)
    place = (as_traced(q, x) if np.ndim(q) else q) * (len(rows) - 1)
    low = np.floor(place.value if isinstance(place, TracedArray) else place).astype(int)
    low = np.minimum(low, max(len(rows) - 2, 0))
    share = np.reshape(place - low, (*np.shape(q), *[1] * len(kept))) if np.ndim(q) else place - low
    below, above = rows[low], rows[np.minimum(low + 1, len(rows) - 1)]
    y = below + (above - below) * (share if np.ndim(q) or isinstance(share, TracedArray) else float(share))
    y = np.where(np.any(np.isnan(rows), axis=0), y.dtype.type(np.nan), y)
    sizes = [1 if k in axes else size for k, size in enumerate(x.shape)]
    return np.reshape(y, (*np.shape(q), *sizes)) if keepdims else y[()]


@implements(np.cov)
def _cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, *,
         dtype: Any = None) -> Any:  # fmt: skip
    x = np.atleast_2d(as_traced(m, y))
    x = x if rowvar or np.ndim(m) == 1 else x.T
    if y is not None:
        other = np.atleast_2d(as_traced(y, x))
        x = np.concatenate([x, other if rowvar or np.ndim(y) == 1 else other.T])
    x = x if dtype is None else cast(x, dtype)
    centered = x - np.mean(x, axis=1, keepdims=True)
    count = x.shape[1] - (ddof if ddof is not None else 0 if bias else 1)
    return np.squeeze(centered @ np.conj(centered.T) / count)


@implements(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = np.cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.real(np.diagonal(c)))
    return c / deviation[:, None] / deviation[None, :]


@implements(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if isinstance(x, TracedArray):
        x = x._look()
    if weights is None:
        return np.bincount(x, minlength=minlength)
    size = max(minlength, int(np.max(x, initial=-1)) + 1)
    return record(structural.scatter_add, cast(as_traced(weights), float), np.asarray(x), shape=(size,))


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False) -> Any:
    """Return log(Σ b exp(a)) over axes without overflow, as `scipy.special.logsumexp` does.

    The largest element is taken out of the sum; all -inf gives -inf with derivative zero.
    """
    x = as_traced(a) if b is None else as_traced(a, b)
    axes = _axes(axis, x.ndim)
    top = record(stop_gradient, np.max(np.real(x), axis=axes, keepdims=True))
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    terms = np.exp(x - top) if b is None else b * np.exp(x - top)
    y = np.log(np.sum(terms, axis=axes, keepdims=True)) + top
    return y if keepdims else np.reshape(y, [size for k, size in enumerate(y.shape) if k not in axes])


@implements(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    x = as_traced(x)
    x = x if x.dtype.kind in "fc" else cast(x, float)
    if axis is None and (ord is None or (ord == 2 and x.ndim == 1) or (ord == "fro" and x.ndim == 2)):
        return np.sqrt(np.sum(_squared(x), keepdims=keepdims))
    axes = _axes(axis, x.ndim)
    if len(axes) == 2 and ord in (None, "fro"):
        return np.sqrt(np.sum(_squared(x), axis=axes, keepdims=keepdims))
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        inner = axes[0 if abs(ord) == 1 else 1]
        sums = np.sum(np.abs(x), axis=inner, keepdims=True)
        return (np.max if ord > 0 else np.min)(sums, axis=axes, keepdims=keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        raise UnsupportedError(f"np.linalg.norm: ord={ord!r} over {len(axes)} axes has no rule for traced arrays{at()}")
    return _vector_norm(x, axes[0], 2 if ord is None else ord, keepdims)


def _vector_norm(x: Any, axis: int, order: float, keepdims: bool) -> Any:
    size = np.abs(x)
    if order == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if order == 2:
        return np.sqrt(np.sum(_squared(x), axis=axis, keepdims=keepdims))
    return np.sum(size**order, axis=axis, keepdims=keepdims) ** (1 / order)


# -- choice, rounding, complex parts -------------------------------------------------------------------


@implements(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if not branches:
        return np.nonzero(condition)
    a, b = branches
    condition = condition if not isinstance(condition, list | tuple) else np.asarray(condition)
    return record(where, condition, a, b)


@implements(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = as_traced(x)
    if isinstance(condlist, TracedArray | np.ndarray) or np.ndim(condlist[0]) != x.ndim:
        condlist = [condlist] if np.ndim(condlist) == x.ndim else list(condlist)
    if len(funclist) == len(condlist) + 1:
        others = functools.reduce(np.logical_or, condlist)
        condlist = [*condlist, ~others]
    y = np.zeros_like(x)
    for condition, piece in zip(condlist, funclist, strict=True):
        condition = condition._look() if isinstance(condition, TracedArray) else np.asarray(condition)
        if np.any(condition):
            y = np.copy(y)
            value = piece(x[condition] if x.ndim else x, *args, **kw) if callable(piece) else piece
            y = _assigned(y, condition, value)
    return y


def _assigned(y: Any, condition: Any, value: Any) -> Any:
    if not y.ndim:
        return np.copy(cast(as_traced(value, y)[()], y.dtype))
    y[condition] = value
    return y


@implements(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear between the points (xp, fp), constant outside; differentiable in all three."""
    like = newest((x, xp, fp, left, right))
    x, xp, fp = (traced(like, part) for part in (x, xp, fp))
    x, xp, fp = cast(x, float), cast(xp, float), cast(fp, np.result_type(fp.dtype, float))
    if period is not None:
        x, xp = np.remainder(x, abs(period)), np.remainder(xp, abs(period))
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - abs(period), xp, xp[:1] + abs(period)])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    k = np.clip(np.searchsorted(xp.value, x._look(), side="right") - 1, 0, max(len(xp) - 2, 0))
    above = np.minimum(k + 1, len(xp) - 1)
    if len(xp) == 1:
        y = fp[k] + 0 * x
    else:
        y = fp[k] + (fp[above] - fp[k]) / (xp[above] - xp[k]) * (x - xp[k])
    y = np.where(x < xp[0], fp[0] if left is None else left, y)
    return np.where(x > xp[-1], fp[-1] if right is None else right, np.where(x == xp[-1], fp[-1], y))[()]


@implements(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    p = as_traced(p, x)
    y = np.zeros_like(as_traced(x, p))
    for k in range(len(p)):  # Horner's rule
        y = y * x + p[k]
    return y


@implements(np.convolve)
def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = np.atleast_1d(as_traced(a, v)), np.atleast_1d(as_traced(v, a))
    if a.ndim > 1 or v.ndim > 1 or not a.size or not v.size:
        raise ShapeError(f"np.convolve: two vectors that are not empty are needed, got {a.shape} and {v.shape}{at()}")
    a, v = (a, v) if len(a) >= len(v) else (v, a)
    rows = np.arange(len(a) + len(v) - 1)[:, None] - np.arange(len(v))  # full[i] = Σ_j a[i - j] v[j]
    padded = np.concatenate([a, np.zeros(1, a.dtype)])
    full = padded[np.where((rows < 0) | (rows >= len(a)), len(a), rows)] @ v
    size, lost = (len(full), 0) if mode == "full" else (len(a), (len(v) - 1) // 2)
    if mode == "valid":
        size, lost = len(a) - len(v) + 1, len(v) - 1
    elif mode not in ("full", "same"):
        raise ShapeError(f"np.convolve: mode must be 'full', 'same' or 'valid', got {mode!r}{at()}")
    return full[lost : lost + size]


@implements(np.correlate)
def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = as_traced(a, v), as_traced(v, a)
    if len(v) > len(a):
        return np.flip(np.convolve(np.conj(v), np.flip(a), mode))
    return np.convolve(a, np.conj(np.flip(v)), mode)


@implements(np.apply_along_axis)
def _apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    axis = _axis(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    found = [as_traced(func1d(rows[place], *args, **kwargs), arr) for place in np.ndindex(lead)]
    y = np.reshape(np.stack(found), (*lead, *found[0].shape))
    places = list(range(len(lead), y.ndim))
    return np.moveaxis(y, places, [axis + k for k in range(len(places))])


@implements(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    result = default
    for condition, choice in list(zip(condlist, choicelist, strict=True))[::-1]:
        result = np.where(condition, choice, result)
    return result


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    a_min, a_max = (None if bound is np._NoValue else bound for bound in (a_min, a_max))
    low = a_min if a_min is not None else min if min is not np._NoValue else None
    high = a_max if a_max is not None else max if max is not np._NoValue else None
    result = a if low is None else np.maximum(a, low)
    return result if high is None else np.minimum(result, high)


@implements(np.round, np.around)
def _round(a: Any, decimals: int = 0) -> Any:
    x = as_traced(a)
    if x.dtype.kind in "iu" and decimals >= 0:
        return TracedArray(x.builder, x.node)
    if not decimals:
        return np.rint(x)
    factor = x.dtype.type(10.0 ** abs(decimals))
    return np.rint(x * factor) / factor if decimals > 0 else cast(np.rint(x / factor) * factor, x.dtype)


@implements(np.fix)
def _fix(x: Any) -> Any:
    return np.trunc(x)


@implements(np.real)
def _real(val: Any) -> Any:
    return record(real, val) if val.dtype.kind == "c" else val


@implements(np.imag)
def _imag(val: Any) -> Any:
    return record(imag, val) if val.dtype.kind == "c" else np.zeros_like(val)


@implements(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(np.imag(z), np.real(z))
    return np.degrees(angle) if deg else angle


@implements(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if x.dtype.kind not in "fc":
        return np.copy(x)
    limits = np.finfo(real_dtype(x.dtype))
    x = np.where(np.isnan(x), x.dtype.type(nan), x)
    x = np.where(x == np.inf, x.dtype.type(limits.max if posinf is None else posinf), x)
    return np.where(x == -np.inf, x.dtype.type(limits.min if neginf is None else neginf), x)


@implements(np.sinc)
def _sinc(x: Any) -> Any:
    """sin(πx)/(πx); a Taylor polynomial near 0, where its derivatives are 0/0."""
    x = as_traced(x)
    t = np.pi * x
    near = np.abs(t) < 0.05
    safe = np.where(near, t.dtype.type(1), t)
    u = t * t
    series = 1 - u / 6 * (1 - u / 20 * (1 - u / 42 * (1 - u / 72 * (1 - u / 110))))
    return np.where(near, series, np.sin(safe) / safe)


@implements(np.isclose)
def _isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    close = np.abs(a - b) <= atol + rtol * np.abs(b)
    close = close | (a == b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


@implements(np.allclose)
def _allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    return bool(np.all(np.isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    if np.shape(a1) != np.shape(a2):
        return False
    return bool(np.all((a1 == a2) | (np.isnan(a1) & np.isnan(a2)) if equal_nan else a1 == a2))


# -- shape ---------------------------------------------------------------------------------------------


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
    return permuted(x, range(x.ndim)[::-1] if axes is None else [_axis(k, x.ndim) for k in axes])


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return as_traced(x).mT


@implements(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(a.ndim))
    one, two = _axis(axis1, a.ndim), _axis(axis2, a.ndim)
    order[one], order[two] = two, one
    return permuted(a, order)


@implements(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    sources = np.lib.array_utils.normalize_axis_tuple(source, a.ndim)
    places = np.lib.array_utils.normalize_axis_tuple(destination, a.ndim)
    order = [k for k in range(a.ndim) if k not in sources]
    for place, k in sorted(zip(places, sources, strict=True)):
        order.insert(place, k)
    return permuted(a, order)


@implements(np.squeeze)
def _squeeze(a: Any, axis: Axis = None) -> Any:
    axes = [k for k, size in enumerate(a.shape) if size == 1] if axis is None else _axes(axis, a.ndim)
    if any(a.shape[k] != 1 for k in axes):
        raise ShapeError(f"np.squeeze: shape {a.shape} has no axis of length 1 at {axis}{at()}")
    return np.reshape(a, [size for k, size in enumerate(a.shape) if k not in axes])


@implements(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    places = np.lib.array_utils.normalize_axis_tuple(axis, a.ndim + np.size(axis))
    sizes = iter(a.shape)
    return np.reshape(a, [1 if k in places else next(sizes) for k in range(a.ndim + len(places))])


@implements(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    shape = (operator.index(shape),) if np.ndim(shape) == 0 else tuple(map(operator.index, shape))
    return array if shape == array.shape else record(broadcast_to, array, shape=shape)


@implements(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    shape = np.broadcast_shapes(*(np.shape(arg) for arg in args))
    return tuple(np.broadcast_to(arg, shape) for arg in args)


def _at_least(count: int, place: Callable[[int], tuple[Any, ...]]) -> Callable[..., Any]:
    def rule(*arys: Any) -> Any:
        found = [a if np.ndim(a) >= count else as_traced(a, *arys)[place(np.ndim(a))] for a in arys]
        return found[0] if len(found) == 1 else tuple(found)

    return rule


_ALL = slice(None)
implements(np.atleast_1d)(_at_least(1, lambda n: (None,)))
implements(np.atleast_2d)(_at_least(2, lambda n: (None,) * (2 - n)))
implements(np.atleast_3d)(_at_least(3, lambda n: [(None, None, None), (None, _ALL, None), (_ALL, _ALL, None)][n]))


@implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [stacked(part) if isinstance(part, list | tuple) else part for part in arrays]
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    if any(np.ndim(part) == 0 for part in parts):
        raise ShapeError(f"np.concatenate: zero-dimensional arrays cannot be concatenated{at()}; use np.stack")
    shapes = [np.shape(part) for part in parts]
    axis = _axis(axis, len(shapes[0]))
    if any(
        len(s) != len(shapes[0]) or s[:axis] + s[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for s in shapes
    ):
        raise ShapeError(f"np.concatenate: shapes {' and '.join(map(str, shapes))} differ outside axis {axis}{at()}")
    if dtype is not None:
        parts = [cast(as_traced(part, *arrays), dtype) for part in parts]
    return record(concatenate, *parts, axis=axis)


@implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [stacked(part) if isinstance(part, list | tuple) else part for part in arrays]
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        raise ShapeError(f"np.stack: all shapes must be equal, got {' and '.join(map(str, sorted(shapes)))}{at()}")
    axis = _axis(axis, len(shapes.pop()) + 1)
    return np.concatenate([np.expand_dims(part, axis) for part in parts], axis=axis, dtype=dtype)


@implements(np.vstack)
def _vstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return np.concatenate([np.atleast_2d(stacked(part)) for part in tup], axis=0, dtype=dtype)


@implements(np.hstack)
def _hstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [np.atleast_1d(stacked(part)) for part in tup]
    return np.concatenate(parts, axis=0 if parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def _dstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_3d(stacked(part)) for part in tup], axis=2)


@implements(np.column_stack)
def _column_stack(tup: Sequence[Any]) -> Any:
    parts = [stacked(part) for part in tup]
    return np.concatenate([x if np.ndim(x) > 1 else np.reshape(x, (np.size(x), 1)) for x in parts], axis=1)


@implements(np.block)
def _block(arrays: Any) -> Any:
    def depth(part: Any) -> int:
        return 1 + max(map(depth, part)) if isinstance(part, list) else 0

    def join(part: Any, level: int) -> Any:
        if level == 0:
            return part
        return np.concatenate([join(each, level - 1) for each in part], axis=-level)

    levels = depth(arrays)

    def widened(part: Any) -> Any:
        if isinstance(part, list):
            return [widened(each) for each in part]
        missing = levels - np.ndim(part)
        return np.reshape(part, (*[1] * missing, *np.shape(part))) if missing > 0 else part

    return join(widened(arrays), levels)


@implements(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    values = stacked(values) if isinstance(values, list | tuple) else values
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis=axis)


@implements(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    axis = _axis(axis, ary.ndim)
    size = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        each, extra = divmod(size, operator.index(indices_or_sections))
        cuts = np.cumsum([each + (k < extra) for k in range(indices_or_sections)])[:-1].tolist()
    else:
        cuts = list(indices_or_sections)
    bounds = [0, *cuts, size]
    lead = (_ALL,) * axis
    return [ary[(*lead, slice(a, b))] for a, b in itertools.pairwise(bounds)]


@implements(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ShapeError(f"np.split: axis {axis} of shape {ary.shape} has no {indices_or_sections} equal parts{at()}")
    return np.array_split(ary, indices_or_sections, axis)


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
    axes = _axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if k in axes else _ALL for k in range(m.ndim))]


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
        k = _axis(k, a.ndim)
        by %= max(a.shape[k], 1)
        lead = (_ALL,) * k
        if by:
            a = np.concatenate([a[(*lead, slice(-by, None))], a[(*lead, slice(None, -by))]], axis=k)
    return a


@implements(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    shape = tuple(size + before + after for size, (before, after) in zip(array.shape, widths, strict=True))
    if mode != "constant":
        places = np.pad(np.arange(array.size).reshape(array.shape), widths, mode)  # type: ignore[call-overload]
        return np.ravel(array)[places]
    index = tuple((before, before + size, 1) for size, (before, _) in zip(array.shape, widths, strict=True))
    placed = record(embed, array, shape=shape, index=index)
    if np.ndim(constant_values) == 0 and not isinstance(constant_values, TracedArray) and constant_values == 0:
        return placed
    if np.ndim(constant_values):
        raise UnsupportedError(f"np.pad: only one constant value is supported with traced arrays{at()}")
    inside = np.pad(np.ones(array.shape, bool), widths)
    return np.where(inside, placed, cast(as_traced(constant_values, array), array.dtype))


@implements(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    x = as_traced(arr, values)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = _axis(axis, x.ndim)
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
    return np.take(x, np.delete(np.arange(x.shape[_axis(axis, x.ndim)]), obj), axis=axis)


@implements(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    x = np.ravel(as_traced(a))
    return x[np.resize(np.arange(x.size), new_shape)] if x.size else np.zeros(new_shape, x.dtype, like=x)


@implements(np.trim_zeros)
def _trim_zeros(filt: Any, trim: str = "fb", axis: Axis = None) -> Any:
    x = as_traced(filt)
    if x.ndim != 1:
        raise UnsupportedError(f"np.trim_zeros: one axis only with traced arrays, got shape {x.shape}{at()}")
    places = np.flatnonzero(x._look())
    first, last = (places[0], places[-1] + 1) if places.size else (0, 0)
    return x[first if "f" in trim.lower() else 0 : last if "b" in trim.lower() else x.size]


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
    rows = np.stack(np.broadcast_arrays(*[part for part in choices], *[places])[: len(choices)])
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
    return np.where(np.tri(m.shape[-2], m.shape[-1], k, dtype=bool), m, m.dtype.type(0))


@implements(np.triu)
def _triu(m: Any, k: int = 0) -> Any:
    return np.where(np.tri(m.shape[-2], m.shape[-1], k - 1, dtype=bool), m.dtype.type(0), m)


@implements(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    a = as_traced(a, prepend, append)
    axis = _axis(axis, a.ndim)
    column = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    before, after = ([] if end is np._NoValue else [stacked(end)] for end in (prepend, append))
    parts = [end if np.ndim(end) else np.broadcast_to(end, column) for end in (*before, a, *after)]
    a = np.concatenate(parts, axis=axis) if before or after else a
    lead = (_ALL,) * axis
    for _ in range(n):
        later, earlier = a[(*lead, slice(1, None))], a[(*lead, slice(None, -1))]
        a = np.not_equal(later, earlier) if a.dtype == bool else later - earlier
    return a


@implements(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = np.diff(np.ravel(as_traced(ary, to_end, to_begin)))
    ends = [None if part is None else np.ravel(stacked(part)) for part in (to_begin, to_end)]
    return np.concatenate([part for part in (ends[0], x, ends[1]) if part is not None])


@implements(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """Differences of second order inside and of first order at both ends, as np.gradient."""
    if edge_order != 1:
        raise UnsupportedError(f"np.gradient: edge_order={edge_order} is not supported with traced arrays{at()}")
    f = as_traced(f, *varargs)
    axes = range(f.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, f.ndim)
    spacings = varargs or (1.0,)
    if len(spacings) not in (1, len(axes)):
        raise ShapeError(f"np.gradient: {len(spacings)} spacings for {len(axes)} axes{at()}")
    found = []
    for k, spacing in zip(axes, [*spacings] * (len(axes) if len(spacings) == 1 else 1), strict=True):
        y = np.moveaxis(f if f.dtype.kind in "fc" else cast(f, float), k, -1)
        if y.shape[-1] < 2:
            raise ShapeError(f"np.gradient: at least 2 points are needed along axis {k}, got shape {f.shape}{at()}")
        if np.ndim(spacing) == 0:
            inner = (y[..., 2:] - y[..., :-2]) / (2.0 * spacing)
            first, last = (y[..., 1:2] - y[..., :1]) / spacing, (y[..., -1:] - y[..., -2:-1]) / spacing
        else:
            h = np.diff(spacing)
            slopes = np.diff(y) / h
            inner = (slopes[..., :-1] * h[1:] + slopes[..., 1:] * h[:-1]) / (h[1:] + h[:-1])
            first, last = slopes[..., :1], slopes[..., -1:]
        found.append(np.moveaxis(np.concatenate([first, inner, last], axis=-1), -1, k))
    return found[0] if len(found) == 1 else tuple(found)


@implements(np.unwrap)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    """The whole periods that are added are steps, without derivative."""
    return p + (np.unwrap(p._look(), discont, axis, period=period) - p.value)


@implements(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(as_traced(y, x, dx), axis, -1)
    steps = dx if x is None else np.diff(x if np.ndim(x) == 1 else np.moveaxis(x, axis, -1))
    return np.sum((y[..., 1:] + y[..., :-1]) * steps, axis=-1) / 2


# -- creation from traced arrays -----------------------------------------------------------------------


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
    {f: _array_like for f in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray)} | {np.full: _full}
)


@implements(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
              axis: int = 0, *, device: Any = None) -> Any:  # fmt: skip
    shares = np.linspace(0.0, 1.0, num, endpoint=endpoint)
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
    return _array(TracedArray(a.builder, a.node))


def _array(x: TracedArray) -> Any:
    """Return x, a NumPy scalar as an array without axes, which can be assigned to."""
    return record(broadcast_to, x, shape=()) if x.is_scalar else x


@implements(np.astype)
def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    x = as_traced(x)
    return np.copy(x) if x.dtype == np.dtype(dtype) else cast(x, dtype)


# -- products ------------------------------------------------------------------------------------------


@implements(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return record(matmul, a, b)
    return np.tensordot(a, b, axes=([np.ndim(a) - 1], [max(np.ndim(b) - 2, 0)]))


@implements(np.inner)
def _inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.tensordot(a, b, axes=([np.ndim(a) - 1], [np.ndim(b) - 1]))[()]


@implements(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return record(matmul, np.conj(np.ravel(a)), np.ravel(b))


@implements(np.vecdot, np.linalg.vecdot)
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    row, column = np.moveaxis(_conjugate(x1), axis, -1), np.moveaxis(x2, axis, -1)
    return np.matmul(row[..., None, :], column[..., None])[..., 0, 0]


def _conjugate(x: Any) -> Any:
    return np.conj(x) if np.iscomplexobj(x) else x


if hasattr(np, "matvec"):  # since NumPy 2.2
    implements(np.matvec)(lambda x1, x2: np.squeeze(np.matmul(x1, np.expand_dims(x2, -1)), -1))
    implements(np.vecmat)(lambda x1, x2: np.squeeze(np.matmul(np.expand_dims(_conjugate(x1), -2), x2), -2))


FUNCTIONS[np.linalg.matmul] = FUNCTIONS[np.matmul]
FUNCTIONS[np.linalg.tensordot] = lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes)
FUNCTIONS[np.linalg.outer] = lambda x1, x2, /: np.outer(x1, x2)
implements(np.outer)(lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)))


@implements(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    rank_a, rank_b = np.ndim(a), np.ndim(b)
    if np.ndim(axes) == 0 and not isinstance(axes, tuple | list):
        axes = (range(rank_a - axes, rank_a), range(axes))
    one, two = ([each] if np.ndim(each) == 0 else list(each) for each in axes)
    one, two = [k % rank_a for k in one], [k % rank_b for k in two]
    labels = [chr(97 + k) for k in range(rank_a)]
    others = [chr(65 + k) for k in range(rank_b)]
    for k, j in zip(one, two, strict=True):
        if np.shape(a)[k] != np.shape(b)[j]:
            raise ShapeError(f"np.tensordot: shapes {np.shape(a)} and {np.shape(b)} differ on axes {k} and {j}{at()}")
        others[j] = labels[k]
    result = [c for k, c in enumerate(labels) if k not in one] + [c for k, c in enumerate(others) if k not in two]
    return _array(record(einsum_op, a, b, subscripts=f"{''.join(labels)},{''.join(others)}->{''.join(result)}"))


@implements(np.einsum)
def _einsum(*operands: Any, optimize: Any = False, dtype: Any = None) -> Any:
    subscripts, *arrays = operands
    if not isinstance(subscripts, str):
        raise UnsupportedError(f"np.einsum: give the subscripts as a string{at()}")
    terms, result = _subscripts(subscripts, arrays)
    sizes: dict[str, int] = {}
    for term, array in zip(terms, arrays, strict=True):
        for letter, size in zip(term, np.shape(array), strict=True):
            if size != 1 and sizes.setdefault(letter, size) != size:
                raise ShapeError(f"np.einsum: axis {letter!r} has lengths {sizes[letter]} and {size}{at()}")
    arrays = [_distinct(array, term) for array, term in zip(arrays, terms, strict=True)]
    pairs = [(array, "".join(dict.fromkeys(term))) for array, term in zip(arrays, terms, strict=True)]
    shapes = [np.broadcast_to(0.0, np.shape(array)) for array, _ in pairs]
    order = np.einsum_path(",".join(term for _, term in pairs) + "->" + result, *shapes, optimize="greedy")[0][1:]
    for step in order if len(pairs) > 1 else []:
        chosen = [pairs[k] for k in sorted(step, reverse=True)]
        pairs = [pair for k, pair in enumerate(pairs) if k not in step]
        total = chosen[0]
        for k, other in enumerate(chosen[1:]):
            remaining = {*result, *(c for _, term in [*pairs, *chosen[k + 2 :]] for c in term)}
            total = _einsum_pair(total, other, remaining)
        pairs.append(total)
    array, term = pairs[0]
    summed = tuple(k for k, c in enumerate(term) if c not in result)
    array = np.sum(array, axis=summed) if summed else array
    kept = [c for c in term if c in result]
    return np.transpose(array, [kept.index(c) for c in result]) if kept != list(result) else array


def _subscripts(text: str, arrays: Sequence[Any]) -> tuple[list[str], str]:
    """Return one letter per axis for each operand and for the result; an ellipsis gets letters of its own."""
    text = text.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(arrays):
        raise ShapeError(f"np.einsum: {len(terms)} terms in {text!r} for {len(arrays)} operands{at()}")
    free = [chr(c) for c in (*range(65, 91), *range(97, 123)) if chr(c) not in text]
    ranks = [np.ndim(array) - len(term.replace("...", "")) for array, term in zip(arrays, terms, strict=True)]
    dots = "".join(free[: max([0, *(rank for rank, term in zip(ranks, terms, strict=True) if "..." in term)])])
    if not arrow:
        letters = inputs.replace(",", "").replace("...", "")
        result = "..." * ("..." in inputs) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    terms = [
        term.replace("...", dots[len(dots) - rank :] if rank else "") for term, rank in zip(terms, ranks, strict=True)
    ]
    for term, array in zip(terms, arrays, strict=True):
        if len(term) != np.ndim(array):
            raise ShapeError(f"np.einsum: {text!r} does not fit shape {np.shape(array)}{at()}")
    return terms, result.replace("...", dots)


def _distinct(array: Any, term: str) -> Any:
    """Take the diagonal where a letter is repeated in one term."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            one = term.index(letter)
            two = term.index(letter, one + 1)
            array = np.moveaxis(np.diagonal(array, axis1=one, axis2=two), -1, one)
            term = term[:two] + term[two + 1 :]
    return array


def _einsum_pair(one: tuple[Any, str], two: tuple[Any, str], remaining: set[str]) -> tuple[Any, str]:
    """Multiply two factors and sum over the letters that nobody needs any more; axes of length 1 broadcast."""
    (a, a_term), (b, b_term) = one, two
    for letter in set(a_term) & set(b_term):
        sizes = np.shape(a)[a_term.index(letter)], np.shape(b)[b_term.index(letter)]
        if sizes[0] != sizes[1]:
            if sizes[0] == 1:
                a, a_term = np.squeeze(a, a_term.index(letter)), a_term.replace(letter, "")
            else:
                b, b_term = np.squeeze(b, b_term.index(letter)), b_term.replace(letter, "")
    result = "".join(c for c in dict.fromkeys(a_term + b_term) if c in remaining)
    if not holds_traced([a, b]):
        return np.einsum(f"{a_term},{b_term}->{result}", a, b), result
    return record(einsum_op, a, b, subscripts=f"{a_term},{b_term}->{result}"), result


@implements(np.kron)
def _kron(a: Any, b: Any) -> Any:
    rank = max(np.ndim(a), np.ndim(b))
    shapes = [(1,) * (rank - np.ndim(x)) + np.shape(x) for x in (a, b)]
    left = np.reshape(a, [size for pair in zip(shapes[0], [1] * rank, strict=True) for size in pair])
    right = np.reshape(b, [size for pair in zip([1] * rank, shapes[1], strict=True) for size in pair])
    return np.reshape(left * right, [m * n for m, n in zip(*shapes, strict=True)])


@implements(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ShapeError(f"np.cross: both need length 3 along the axis, got {a.shape} and {b.shape}{at()}")
    (a0, a1, a2), (b0, b1, b2) = ([x[..., k] for k in range(3)] for x in (a, b))
    parts = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return np.moveaxis(np.stack(parts, axis=-1), -1, axisc)


@implements(np.linalg.multi_dot)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    if len(arrays) > 2:
        shapes = [np.broadcast_to(0.0, np.shape(array)) for array in arrays]
        letters = [chr(97 + k) for k in range(len(arrays) + 1)]
        terms = [letters[k] + letters[k + 1] for k in range(len(arrays))]
        if shapes[0].ndim == 1:
            terms[0] = letters[1]
        if shapes[-1].ndim == 1:
            terms[-1] = letters[-2]
        return np.einsum(",".join(terms), *arrays)
    return functools.reduce(lambda a, b: np.matmul(a, b), arrays)


@implements(np.linalg.matrix_power)
def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    result = None
    while n:
        if n & 1:
            result = a if result is None else result @ a
        a, n = a @ a if n > 1 else a, n >> 1
    return result


# -- linear algebra ------------------------------------------------------------------------------------


def _square(x: Any, name: str) -> Any:
    x = as_traced(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"np.linalg.{name}: a square matrix is needed, got shape {x.shape}{at()}")
    return x if x.dtype.kind in "fc" else cast(x, float)


@implements(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    a, b = _square(as_traced(a, b), "solve"), as_traced(b, a)
    vector = b.ndim == 1
    if (b.shape[0] if vector else b.shape[-2]) != a.shape[-1]:
        raise ShapeError(f"np.linalg.solve: {a.shape} and {b.shape} do not fit{at()}")
    x = record(linalg.solve, a, np.reshape(b, (-1, 1)) if vector else b)
    return np.reshape(x, x.shape[:-1]) if vector else x


implements(np.linalg.inv)(lambda a: record(linalg.inv, _square(a, "inv")))
implements(np.linalg.det)(lambda a: record(linalg.det, _square(a, "det")))


@implements(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    factor = record(linalg.cholesky, _square(a, "cholesky"))
    return np.conj(factor.mT) if upper else factor


@implements(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    both = _several(linalg.slogdet, _square(a, "slogdet"))
    return np.linalg.slogdet(np.eye(1)).__class__(*both)


def _several(op: ir.Op, x: Any, **params: Any) -> list[TracedArray]:
    """Apply an op with several results."""
    results = record(op, x, **params)
    return [record(ir.ITEM, results, index=k) for k in range(len(results.node.spec))]


# -- order and search ----------------------------------------------------------------------------------


@implements(np.argsort)
def _argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return record(reduction.argsort, a, axis=_axis(axis, a.ndim))


@implements(np.sort)
def _sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(a, axis), axis)


def _place(op: ir.Op) -> Callable[..., Any]:
    def rule(a: Any, axis: int | None = None, *, keepdims: Any = False) -> Any:
        x = np.ravel(a) if axis is None else as_traced(a)
        k = _axis(0 if axis is None else axis, x.ndim)
        axes = tuple(range(a.ndim)) if axis is None else (k,)
        return _keep(record(op, x, axis=k), a, axes, keepdims)

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
        size = x.shape[_axis(axis, x.ndim)]
        indices = np.clip(indices, 0, size - 1) if mode == "clip" else np.asarray(indices) % size
    return x[(*(_ALL,) * _axis(axis, x.ndim), indices if isinstance(indices, TracedArray) else np.asarray(indices))]


@implements(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    x = as_traced(arr, indices)
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = _axis(axis, x.ndim)
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


# -- questions that need no graph ----------------------------------------------------------------------

implements(np.shape)(lambda a: a.shape)
implements(np.ndim)(lambda a: a.ndim)
implements(np.size)(lambda a, axis=None: a.size if axis is None else a.shape[axis])
implements(np.iscomplexobj)(lambda x: x.dtype.kind == "c")
implements(np.isrealobj)(lambda x: x.dtype.kind != "c")
implements(np.result_type)(
    lambda *args: np.result_type(*(arg.dtype if isinstance(arg, TracedArray) else arg for arg in args))
)
implements(np.can_cast)(
    lambda from_, to, casting="safe": np.can_cast(from_.dtype if isinstance(from_, TracedArray) else from_, to, casting)
)
implements(np.array_repr)(lambda arr, *args, **kwargs: np.array_repr(np.asarray(arr.value), *args, **kwargs))
implements(np.array_str)(lambda a, *args, **kwargs: np.array_str(np.asarray(a.value), *args, **kwargs))
implements(np.array2string)(lambda a, *args, **kwargs: np.array2string(np.asarray(a.value), *args, **kwargs))
implements(np.shares_memory, np.may_share_memory)(lambda a, b, max_work=None: False)


# -- functions that write into their first argument ----------------------------------------------------


@implements(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    _writable(dst, "copyto")
    dst[...] = src if where is True else np.where(where, src, dst)


@implements(np.put)
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    _writable(a, "put")
    size = a.size
    places = np.asarray(ind) if mode == "raise" else np.clip(ind, 0, size - 1) if mode == "clip" else np.mod(ind, size)
    a.flat[np.ravel(places)] = v


@implements(np.place)
def _place_values(arr: Any, mask: Any, vals: Any) -> None:
    _writable(arr, "place")
    places = np.flatnonzero(mask._look() if isinstance(mask, TracedArray) else mask)
    arr.flat[places] = np.ravel(stacked(vals))


@implements(np.putmask)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    _writable(a, "putmask")
    a[...] = np.where(mask, np.resize(values, a.shape), a)


@implements(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    _writable(arr, "put_along_axis")
    places = np.take_along_axis(np.arange(arr.size).reshape(arr.shape), np.asarray(indices), axis)
    arr.flat[np.ravel(places)] = np.ravel(np.broadcast_to(stacked(values), places.shape))


@implements(np.fill_diagonal)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    _writable(a, "fill_diagonal")
    marked = np.zeros(a.shape, bool)
    np.fill_diagonal(marked, True, wrap)
    a.flat[np.flatnonzero(marked)] = val
