"""Averages with weights, quantiles, covariance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.tracing.array import TracedArray, cast, stacked
from chainrule.tracing.functions.common import Axis, as_traced, axes_of, implements, listed_axes
from chainrule.tracing.origin import at


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
        axes = listed_axes(axis, x.ndim)
        shape = [x.shape[k] if k in axes else 1 for k in range(x.ndim)]
        weights = np.broadcast_to(np.reshape(np.transpose(weights, np.argsort(np.argsort(axes))), shape), x.shape)
    weights = weights if isinstance(weights, TracedArray) else np.asarray(weights)
    scale = np.sum(weights, axis=axis, dtype=np.result_type(x.dtype, weights.dtype), keepdims=kept)
    y = np.sum(x * weights, axis=axis, keepdims=kept) / scale
    return (y, np.broadcast_to(scale, y.shape)) if returned else y


_QUANTILES = {"linear": (1.0, 1.0), "weibull": (0.0, 0.0), "hazen": (0.5, 0.5), "interpolated_inverted_cdf": (0.0, 1.0),
              "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (0.375, 0.375)}  # fmt: skip
"""The methods of Hyndman and Fan that interpolate, by their parameters alpha and beta.

R. J. Hyndman & Y. Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996).
"""

_STEPS = ("lower", "higher", "nearest", "midpoint", "inverted_cdf", "averaged_inverted_cdf", "closest_observation")


def _quantile_place(q: Any, n: Any, method: str) -> tuple[Any, Any]:
    """Return the place before a quantile, and the share of the next element, for n sorted ones."""
    if method in _QUANTILES:
        alpha, beta = _QUANTILES[method]
        place = n * q + (alpha + q * (1 - alpha - beta)) - 1 if method != "linear" else (n - 1) * q
        place = np.minimum(np.maximum(place, 0), n - 1)
        low = np.minimum(np.floor(place), np.maximum(n - 2, 0))
        return low, place - low
    if method in ("lower", "higher", "nearest", "midpoint"):
        place = (n - 1) * q
        low, high = np.floor(place), np.ceil(place)
        if method == "nearest":
            return np.rint(place), 0.0
        return (high, 0.0) if method == "higher" else (low, 0.0 if method == "lower" else 0.5 * (high - low))
    if method == "closest_observation":
        place = n * q - 1.5
        low = np.floor(place)
        low = low + ((place != low) | (np.remainder(low, 2) == 0))
        return np.minimum(np.maximum(low, 0), n - 1), 0.0
    place = n * q - 1
    low = np.floor(place)
    if method == "inverted_cdf":
        return np.minimum(np.maximum(low + (place != low), 0), n - 1), 0.0
    share = np.where(place == low, 0.5, 1.0)
    return np.minimum(np.maximum(low, 0), n - 1), np.where((low < 0) | (low >= n - 1), 0.0, share)


def _quantile_dtype(dtype: np.dtype[Any], q: Any, method: str) -> np.dtype[Any]:
    if method in _QUANTILES or method in ("midpoint", "averaged_inverted_cdf"):
        return np.result_type(dtype, q.dtype if isinstance(q, TracedArray) else np.asarray(q) if np.ndim(q) else q)
    return dtype


def _sorted_rows(a: Any, axis: Axis, *others: Any) -> tuple[Any, list[int], list[int]]:
    """Return the elements along axes sorted, in the first axis of a matrix; the other axes; what keepdims keeps."""
    x = as_traced(a, *others)
    x = cast(x, float) if x.dtype.kind in "biu" else x
    axes = axes_of(axis, x.ndim)
    rest = [k for k in range(x.ndim) if k not in axes]
    count = math.prod(x.shape[k] for k in axes)
    rows = np.reshape(np.transpose(x, (*axes, *rest)), (count, math.prod(x.shape[k] for k in rest)))
    return rows, [x.shape[k] for k in rest], [1 if k in axes else size for k, size in enumerate(x.shape)]


def _quantile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
              keepdims: Any = False, *, weights: Any = None, skip: bool = False) -> Any:  # fmt: skip
    """Between two neighbouring elements of the sorted array; `skip` leaves out NaN."""
    if method not in _QUANTILES and method not in _STEPS:
        raise ShapeError(f"np.quantile: no method {method!r}; there are {', '.join([*_QUANTILES, *_STEPS])}{at()}")
    if np.any((np.less(q, 0)) | np.greater(q, 1)):
        raise ShapeError(f"np.quantile: quantiles must lie between 0 and 1{at()}")
    if weights is not None:
        return _weighted_quantile(a, q, axis, method, keepdims, weights, skip)
    rows, rest, sizes = _sorted_rows(a, axis, q)
    if not len(rows):
        kept = keepdims is not np._NoValue and bool(keepdims)
        return np.full((*np.shape(q), *(sizes if kept else rest)), np.nan, rows.dtype)[()]
    rows = np.sort(rows, 0)
    missing = np.isnan(rows)
    shape = np.shape(q)
    level = np.reshape(q, (-1, 1)) if shape else q
    n: Any = len(rows)
    if skip:
        n = np.sum(~missing, axis=0)
    with np.errstate(invalid="ignore"):
        low, share = _quantile_place(level, n, method)
    low = np.maximum(low, 0).astype(int) if hasattr(low, "astype") else int(low)
    high = np.minimum(low + 1, max(len(rows) - 1, 0))
    if skip:
        columns = np.arange(rows.shape[1])
        below, above = rows[low, columns], rows[high, columns]
    else:
        below, above = (rows[np.reshape(place, shape) if shape else place] for place in (low, high))
    share = share if np.ndim(share) or isinstance(share, TracedArray) else float(share)
    dtype = _quantile_dtype(as_traced(a, q).dtype, q, method)
    if dtype.kind == "f":
        below, above = cast(below, dtype), cast(above, dtype)
    y = np.where(share == 0, below, below + (above - below) * share)  # beside NaN, and infinities
    nothing = n == 0 if skip else np.any(missing, axis=0)
    y = np.where(nothing, y.dtype.type(np.nan), y)
    y = cast(y, dtype)
    kept = keepdims is not np._NoValue and bool(keepdims)
    return np.reshape(y, (*shape, *(sizes if kept else rest)))[()]


def _weighted_quantile(a: Any, q: Any, axis: Axis, method: str, keepdims: Any, weights: Any, skip: bool) -> Any:
    """The first element up to which the weights are at least the share q of all; a step in the weights."""
    if method != "inverted_cdf":
        raise ShapeError(f"np.quantile: weights need method='inverted_cdf', got {method!r}{at()}")
    x = as_traced(a, weights, q)
    weights = as_traced(stacked(weights), x)
    if weights.shape != x.shape:
        if axis is None:
            raise ShapeError(f"np.quantile: weights of shape {weights.shape} for {x.shape} need axis={at()}")
        axes = listed_axes(axis, x.ndim)
        shape = [x.shape[k] if k in axes else 1 for k in range(x.ndim)]
        weights = np.broadcast_to(np.reshape(np.transpose(weights, np.argsort(np.argsort(axes))), shape), x.shape)
    if np.any(weights < 0):
        raise ShapeError(f"np.quantile: weights must not be negative{at()}")
    rows, rest, sizes = _sorted_rows(x, axis)
    shares = _sorted_rows(weights, axis)[0]
    missing = np.isnan(rows)
    if skip:
        shares = np.where(missing, shares.dtype.type(0), shares)
    order = np.argsort(rows, 0)
    rows, shares = np.take_along_axis(rows, order, 0), np.take_along_axis(shares, order, 0)
    total = np.cumsum(shares, axis=0)
    total = total / total[-1:]
    found = []
    for level in np.ravel(q) if np.ndim(q) else [q]:
        place = np.sum((total < level) | (total == 0), axis=0)
        place = np.minimum(place, len(rows) - 1)
        found.append(rows[place, np.arange(rows.shape[1])])
    y = np.stack(found)
    if not skip:
        y = np.where(np.any(missing, axis=0), y.dtype.type(np.nan), y)
    y = cast(y, x.dtype)
    kept = keepdims is not np._NoValue and bool(keepdims)
    return np.reshape(y, (*np.shape(q), *(sizes if kept else rest)))


@implements(np.quantile)
def _quantile_rule(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
                   keepdims: Any = False, *, weights: Any = None) -> Any:  # fmt: skip
    return _quantile(a, _levels(q), axis, method=method, keepdims=keepdims, weights=weights)


def _levels(q: Any) -> Any:
    """Return what was asked for as an array; a Python number stays one, without a precision of its own."""
    return q if isinstance(q, int | float) else stacked(q)


def _level(q: Any) -> Any:
    """Return a percentage as a share; a Python number stays one."""
    return q / 100 if isinstance(q, int | float) else np.true_divide(stacked(q), 100)


@implements(np.percentile)
def _percentile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
                keepdims: Any = False, *, weights: Any = None) -> Any:  # fmt: skip
    return _quantile(a, _level(q), axis, method=method, keepdims=keepdims, weights=weights)


@implements(np.nanquantile)
def _nanquantile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
                 keepdims: Any = np._NoValue, *, weights: Any = None) -> Any:  # fmt: skip
    return _quantile(a, _levels(q), axis, method=method, keepdims=keepdims, weights=weights, skip=True)


@implements(np.nanpercentile)
def _nanpercentile(a: Any, q: Any, axis: Axis = None, overwrite_input: bool = False, method: str = "linear",
                   keepdims: Any = np._NoValue, *, weights: Any = None) -> Any:  # fmt: skip
    return _quantile(a, _level(q), axis, method=method, keepdims=keepdims, weights=weights, skip=True)


@implements(np.median)
def _median(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    return _quantile(a, 0.5, axis, keepdims=keepdims)


@implements(np.nanmedian)
def _nanmedian(a: Any, axis: Axis = None, overwrite_input: bool = False, keepdims: Any = np._NoValue) -> Any:
    return _quantile(a, 0.5, axis, keepdims=keepdims, skip=True)


@implements(np.cov)
def _cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
         aweights: Any = None, *, dtype: Any = None) -> Any:  # fmt: skip
    x = np.atleast_2d(as_traced(stacked(m), y, aweights))
    x = x if rowvar or np.ndim(m) == 1 else x.T
    if y is not None:
        other = np.atleast_2d(as_traced(stacked(y), x))
        x = np.concatenate([x, other if rowvar or np.ndim(y) == 1 else other.T])
    x = cast(x, dtype or np.result_type(x.dtype, np.float64))
    ddof = ddof if ddof is not None else 0 if bias else 1
    weights = None if fweights is None else np.asarray(fweights, float)
    if aweights is not None:
        aweights = cast(as_traced(stacked(aweights), x), float)
        weights = aweights if weights is None else weights * aweights
    if weights is None:
        centered = x - np.mean(x, axis=1, keepdims=True)
        return np.squeeze(centered @ np.conj(centered.T) / x.real.dtype.type(max(x.shape[1] - ddof, 0)))
    total = np.sum(weights)
    centered = x - np.sum(x * weights, axis=1, keepdims=True) / total
    lost = 0.0 if not ddof else ddof if aweights is None else ddof * np.sum(weights * aweights) / total
    return np.squeeze((centered * weights) @ np.conj(centered.T) / (total - lost))


@implements(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = np.cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.real(np.diagonal(c)))
    return c / deviation[:, None] / deviation[None, :]
