"""Sums, means and extremes over the regions of a labelled image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from chainrule.ops.structural import scatter_add
from chainrule.scipy.common import apply, as_dtype, look, plain
from chainrule.scipy.ndimage.common import image
from chainrule.scipy.twins import twin


def _regions(x: Any, labels: Any, index: Any) -> tuple[Any, np.ndarray, list[Any], bool]:
    """Return the elements, the region of each, the regions asked for, and whether one result is wanted."""
    labels, index = plain(labels, "scipy.ndimage: labels"), plain(index, "scipy.ndimage: index")
    if labels is None:
        if index is not None:
            raise ValueError("index without defined labels")
        return np.ravel(x), np.ones(x.size, int), [1], True
    labels = np.broadcast_to(np.asarray(labels), x.shape).ravel()
    if index is None:
        return np.ravel(x), (labels > 0).astype(int), [1], True
    return np.ravel(x), labels, np.ravel(index).tolist(), np.ndim(index) == 0


def _sums(x: Any, labels: Any, index: Any) -> tuple[Any, np.ndarray, bool]:
    """Return sums and counts of the regions asked for, by one pass over the elements."""
    flat, region, wanted, single = _regions(x, labels, index)
    known, places = np.unique(region, return_inverse=True)
    if np.ndim(index):  # as SciPy, which counts with weights there
        flat = as_dtype(flat, np.result_type(flat.dtype, float))
    totals = apply(scatter_add, flat, places, shape=(len(known) + 1,))
    rows = np.searchsorted(known, wanted)
    rows = np.where(known[np.minimum(rows, len(known) - 1)] == wanted, rows, len(known))
    return totals[rows], np.bincount(places, minlength=len(known) + 1)[rows], single


def _shaped(values: Any, index: Any, single: bool) -> Any:
    return values[0] if single else np.reshape(values, np.shape(index))


@twin(scipy.ndimage)
def sum_labels(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the sum over each region."""
    sums, _, single = _sums(image(input), labels, index)
    return _shaped(sums, index, single)


@twin(scipy.ndimage)
def sum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the sum over each region."""
    return sum_labels(input, labels, index)


@twin(scipy.ndimage)
def mean(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the mean over each region."""
    sums, counts, single = _sums(image(input), labels, index)
    return _shaped(sums / counts, index, single)


@twin(scipy.ndimage)
def variance(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the variance of each region."""
    x = image(input)
    flat, region, wanted, single = _regions(x, labels, index)
    known, places = np.unique(region, return_inverse=True)
    totals = apply(scatter_add, flat, places, shape=(len(known),)) / np.bincount(places)
    squares, counts, _ = _sums((flat - totals[places]) ** 2, None if labels is None else region,
                               None if labels is None else wanted)  # fmt: skip
    return _shaped(squares / counts, index, single)


@twin(scipy.ndimage)
def standard_deviation(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the standard deviation of each region."""
    return np.sqrt(variance(input, labels, index))


def _each(f: Callable[[Any], Any], input: Any, labels: Any, index: Any) -> Any:
    """Return a function of the elements of each region."""
    x = image(input)
    flat, region, wanted, single = _regions(x, labels, index)
    order = np.argsort(region, kind="stable")
    ranked = region[order]
    found = []
    for each in wanted:
        part = order[np.searchsorted(ranked, each, "left") : np.searchsorted(ranked, each, "right")]
        found.append(f(flat[part]) if len(part) else 0 * np.sum(flat[:1]))
    return found[0] if single else np.reshape(np.stack(found), np.shape(index))


@twin(scipy.ndimage)
def maximum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the largest element of each region."""
    return _each(np.max, input, labels, index)


@twin(scipy.ndimage)
def minimum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the smallest element of each region."""
    return _each(np.min, input, labels, index)


@twin(scipy.ndimage)
def median(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the median of each region."""
    return _each(np.median, input, labels, index)


@twin(scipy.ndimage)
def extrema(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return smallest and largest element of each region, and where they are."""
    x = image(input)
    places = scipy.ndimage.extrema(look(x), labels, index)[2:]
    return minimum(x, labels, index), maximum(x, labels, index), *places


@twin(scipy.ndimage)
def center_of_mass(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Return the center of each region, weighted by the elements."""
    x = image(input)
    total = sum_labels(x, labels, index)
    grids = np.meshgrid(*[np.arange(float(n)) for n in x.shape], indexing="ij", sparse=True)
    centers = [sum_labels(x * grid, labels, index) / total for grid in grids]
    if np.ndim(total) == 0:
        return tuple(centers)
    return [tuple(center[k] for center in centers) for k in range(total.shape[0])]
