"""Histograms: which bin a number falls into is a step, the weights and the edges are differentiated."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.structural import scatter_add
from chainrule.tracing.array import TracedArray, cast, newest, record, stacked, traced
from chainrule.tracing.functions.common import as_traced, implements
from chainrule.tracing.origin import at


def _edges(x: Any, bins: Any, range: Any, weights: Any = None) -> Any:
    """Return the edges of the bins, which follow the smallest and the largest number where no range is given."""
    if isinstance(bins, str):
        value = x._look() if isinstance(x, TracedArray) else x
        bins = len(np.histogram_bin_edges(value, bins, range)) - 1
    if isinstance(bins, list | tuple) or np.ndim(bins):
        edges = stacked(bins)
        if np.ndim(edges) != 1 or np.any(edges[1:] < edges[:-1]):
            raise ShapeError(f"np.histogram: the edges of the bins must rise{at()}")
        return edges
    count = operator.index(bins)
    if count < 1:
        raise ShapeError(f"np.histogram: at least one bin is needed, got {count}{at()}")
    low: Any
    high: Any
    low, high = range if range is not None else (np.min(x), np.max(x)) if np.size(x) else (0.0, 1.0)
    if low > high:
        raise ShapeError(f"np.histogram: the range must rise, got {low} to {high}{at()}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    dtype = np.result_type(*(part.dtype if hasattr(part, "dtype") else part for part in (low, high, x)))
    return np.linspace(low, high, count + 1).astype(dtype if dtype.kind in "fc" else float)


def _bins(x: Any, edges: Any) -> Any:
    """Return the bin of each number, and the number of bins for those in none."""
    count = len(edges) - 1
    k = np.searchsorted(edges, x, side="right") - 1
    k = np.where(x == edges[-1], count - 1, k)
    return np.where((k < 0) | (k >= count) | (x != x), count, k)


@implements(np.histogram_bin_edges)
def _histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    return _edges(np.ravel(stacked(a)), bins, range, weights)


@implements(np.histogram)
def _histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    x = np.ravel(stacked(a))
    if weights is not None and np.shape(weights) != np.shape(stacked(a)):
        raise ShapeError(f"np.histogram: weights of shape {np.shape(weights)} for {np.shape(a)}{at()}")
    edges = _edges(x, bins, range, weights)
    counts = _counted([_bins(x, edges)], [len(edges) - 1], weights, (a, bins, range, weights))
    if density:
        counts = counts / np.diff(edges).astype(float) / np.sum(counts)
    return counts, edges


def _counted(places: Sequence[Any], sizes: Sequence[int], weights: Any, like: Any) -> Any:
    """Return the sum of the weights (or how many) in each bin of a grid."""
    inside: Any = True
    flat: Any = 0
    for place, size in zip(places, sizes, strict=True):
        inside = inside & (place < size)
        flat = flat * size + place
    total = math.prod(sizes)
    flat = np.where(inside, flat, total)
    builder = newest((places, like))
    each = np.ones(np.shape(flat), np.intp) if weights is None else np.ravel(stacked(weights))
    sums = record(scatter_add, traced(builder, each), flat, shape=(total + 1,))
    return np.reshape(sums[:total], tuple(sizes))


@implements(np.histogramdd)
def _histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    if isinstance(sample, list | tuple):
        sample = np.stack([stacked(part) for part in sample])
        columns = [sample[k] for k in np.arange(len(sample)).tolist()]
    else:
        sample = np.atleast_2d(sample) if np.ndim(sample) != 1 else np.reshape(sample, (-1, 1))
        columns = [sample[:, k] for k in np.arange(sample.shape[1]).tolist()]
    each = list(bins) if isinstance(bins, list | tuple) or np.ndim(bins) else [bins] * len(columns)
    if len(each) != len(columns):
        raise ShapeError(f"np.histogramdd: {len(each)} bins for {len(columns)} dimensions{at()}")
    ranges = [None] * len(columns) if range is None else list(range)
    edges = [_edges(*parts, weights) for parts in zip(columns, each, ranges, strict=True)]
    places = [_bins(x, edge) for x, edge in zip(columns, edges, strict=True)]
    counts = _counted(places, [len(edge) - 1 for edge in edges], weights, (sample, bins, range, weights))
    counts = cast(counts, float)
    if density:
        total = np.sum(counts)
        for axis, edge in enumerate(edges):
            shape = [1] * len(edges)
            shape[axis] = -1
            counts = counts / np.reshape(np.diff(edge).astype(float), shape)
        counts = counts / total
    return counts, edges


@implements(np.histogram2d)
def _histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, list | tuple) or np.ndim(bins):
        bins = [bins[0], bins[-1]] if len(bins) in (1, 2) else [stacked(bins)] * 2
    like = newest((x, y, bins, range, weights))
    counts, edges = _histogramdd([traced(like, stacked(x)), traced(like, stacked(y))], bins, range, density, weights)
    return counts, edges[0], edges[1]


@implements(np.bincount)
def _bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if isinstance(x, TracedArray):
        x = x._look()
    if weights is None:
        return np.bincount(x, minlength=minlength)
    size = max(minlength, int(np.max(x, initial=-1)) + 1)
    return record(scatter_add, cast(as_traced(weights), float), np.asarray(x), shape=(size,))
