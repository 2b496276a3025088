"""What the interpolators share: axes, intervals, the traced form of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.scipy.common import as_dtype, floating
from chainrule.tracing.array import holds_traced, newest, stacked, traced


def double(x: Any) -> Any:
    """Return an operand in double precision, as SciPy's interpolators compute."""
    x = stacked(x)
    return as_dtype(x, complex if x.dtype.kind == "c" else float)


def together(*parts: Any) -> Any:
    """Return operands as traced arrays of one graph, if one of them is traced; else as they are."""
    if not holds_traced(parts):
        return parts
    builder = newest(parts)
    return tuple(traced(builder, part) for part in parts)


def axis_first(x: Any, y: Any, axis: int) -> tuple[Any, Any, int]:
    """Return the places and the values with the interpolated axis in front, after a check of their shapes."""
    x, y = floating(x), double(y)
    if x.dtype.kind == "c":
        raise ValueError("`x` must contain real values.")
    x = as_dtype(x, float)
    axis = axis % y.ndim
    y = np.moveaxis(y, axis, 0)
    if x.ndim != 1:
        raise ValueError("`x` must be 1-dimensional.")
    if x.shape[0] < 2:
        raise ValueError("`x` must contain at least 2 elements.")
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"The length of `y` along `axis`={axis} doesn't match the length of `x`")
    if np.any(np.diff(x) <= 0):
        raise ValueError("`x` must be strictly increasing sequence.")
    return x, y, axis


def column(x: Any, like: Any) -> Any:
    """Return a vector shaped to multiply the rows of an array."""
    return np.reshape(x, (-1, *[1] * (like.ndim - 1)))


def at_places(f: Callable[[Any], Any], x: Any, axis: int) -> Any:
    """Return f of the flattened places, in their shape, where the interpolated axis was."""
    x = stacked(x)
    found = f(np.reshape(x, (-1,)))
    trailing = found.shape[1:]
    found = np.reshape(found, (*x.shape, *trailing))
    if not axis:
        return found
    places = list(range(x.ndim))
    return np.moveaxis(found, places, [axis + k for k in places])


def interval(breaks: Any, x: Any, low: int, high: int) -> Any:
    """Return k with breaks[k] <= x < breaks[k + 1], kept from `low` to `high`."""
    breaks, x = together(breaks, x)
    return np.clip(np.searchsorted(breaks, x, side="right") - 1, low, high)


def outside(x: Any, start: Any, stop: Any) -> Any:
    """Return where places lie outside an interval."""
    return (x < start) | (x > stop)
