"""Averages with weights, quantiles, covariance, counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops import structural
from chainrule.tracing.array import TracedArray, cast, record
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
    axes = axes_of(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    rows = np.sort(np.reshape(np.transpose(x, (*axes, *kept)), (-1, *(x.shape[k] for k in kept))), 0)
    place = (as_traced(q, x) if np.ndim(q) else q) * (len(rows) - 1)
    low = np.floor(place).astype(int)
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
