"""Interpolation, polynomials, convolution, differences and integrals along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.host import host, stop_gradient
from chainrule.ops.signal import correlate
from chainrule.tracing.array import cast, newest, record, stacked, traced
from chainrule.tracing.functions.common import ALL, Axis, as_traced, axis_of, implements, listed_axes
from chainrule.tracing.origin import at


@implements(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear between the points (xp, fp), constant outside or periodic; differentiable in all arguments."""
    like = newest((x, xp, fp, left, right, period))
    x, xp, fp = (traced(like, part) for part in (x, xp, fp))
    x, xp, fp = cast(x, float), cast(xp, float), cast(fp, np.result_type(fp.dtype, float))
    if xp.ndim != 1 or fp.ndim != 1 or len(xp) != len(fp) or not len(xp):
        raise ShapeError(f"np.interp: points need one axis of the same length, got {xp.shape} and {fp.shape}{at()}")
    if period is not None:
        if period == 0:
            raise ValueError("period must be a non-zero value")
        x, xp = np.remainder(x, abs(period)), np.remainder(xp, abs(period))
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - abs(period), xp, xp[:1] + abs(period)])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    k = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(len(xp) - 2, 0))
    above = np.minimum(k + 1, len(xp) - 1)
    if len(xp) == 1:
        y = fp[k] + 0 * x
    else:
        y = fp[k] + (fp[above] - fp[k]) / (xp[above] - xp[k]) * (x - xp[k])
    y = np.where(x < xp[0], fp[0] if left is None else left, y)
    return np.where(x > xp[-1], fp[-1] if right is None else right, np.where(x == xp[-1], fp[-1], y))[()]


@implements(np.convolve)
def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = np.atleast_1d(as_traced(a, v)), np.atleast_1d(as_traced(v, a))
    if a.ndim > 1 or v.ndim > 1 or not a.size or not v.size:
        raise ShapeError(f"np.convolve: two vectors that are not empty are needed, got {a.shape} and {v.shape}{at()}")
    a, v = (a, v) if len(a) >= len(v) else (v, a)
    full = record(correlate, np.pad(a, len(v) - 1), np.flip(v), rank=1)
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
    axis = axis_of(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    found = [as_traced(func1d(rows[place], *args, **kwargs), arr) for place in np.ndindex(lead)]
    y = np.reshape(np.stack(found), (*lead, *found[0].shape))
    places = list(range(len(lead), y.ndim))
    return np.moveaxis(y, places, [axis + k for k in range(len(places))])


@implements(np.apply_over_axes)
def _apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    x = as_traced(a)
    rank = x.ndim
    for axis in [axes] if np.ndim(axes) == 0 else axes:
        axis = axis_of(axis, rank)
        y = func(x, axis)
        x = y if np.ndim(y) == rank else np.expand_dims(y, axis)
        if np.ndim(x) != rank:
            raise ShapeError(f"np.apply_over_axes: the function returned an array of wrong shape {np.shape(y)}{at()}")
    return x


@implements(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    a = as_traced(a, prepend, append)
    axis = axis_of(axis, a.ndim)
    column = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    before, after = ([] if end is np._NoValue else [stacked(end)] for end in (prepend, append))
    parts = [end if np.ndim(end) else np.broadcast_to(end, column) for end in (*before, a, *after)]
    a = np.concatenate(parts, axis=axis) if before or after else a
    lead = (ALL,) * axis
    for _ in range(n):
        later, earlier = a[(*lead, slice(1, None))], a[(*lead, slice(None, -1))]
        a = np.not_equal(later, earlier) if a.dtype == bool else later - earlier
    return a


@implements(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = np.diff(np.ravel(as_traced(ary, to_end, to_begin)))
    ends = [
        None if part is None else np.ravel(cast(as_traced(stacked(part), x), x.dtype)) for part in (to_begin, to_end)
    ]
    return np.concatenate([part for part in (ends[0], x, ends[1]) if part is not None])


@implements(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """Differences of second order inside, of the given order at both ends."""
    f = as_traced(f, *varargs)
    axes = range(f.ndim) if axis is None else listed_axes(axis, f.ndim)
    spacings = varargs or (1.0,)
    if len(spacings) not in (1, len(axes)):
        raise ShapeError(f"np.gradient: {len(spacings)} spacings for {len(axes)} axes{at()}")
    if edge_order not in (1, 2):
        raise ShapeError(f"np.gradient: edge_order must be 1 or 2, got {edge_order}{at()}")
    found = []
    for k, spacing in zip(axes, [*spacings] * (len(axes) if len(spacings) == 1 else 1), strict=True):
        y = np.moveaxis(f if f.dtype.kind in "fc" else cast(f, float), k, -1)
        if y.shape[-1] < edge_order + 1:
            raise ShapeError(
                f"np.gradient: at least {edge_order + 1} points are needed along axis {k}, got shape {f.shape}{at()}"
            )
        if np.ndim(spacing) == 0:
            slopes = np.diff(y) / spacing
            mean = (y[..., 2:] - y[..., :-2]) / (2.0 * spacing)
        else:
            h = np.diff(spacing)
            slopes = np.diff(y) / h
            mean = (slopes[..., :-1] * h[1:] + slopes[..., 1:] * h[:-1]) / (h[1:] + h[:-1])
        first, last = slopes[..., :1], slopes[..., -1:]
        if edge_order == 2:  # of the parabola through three points, whose slope between two is the mean of theirs
            first = 2 * first - mean[..., :1]
            last = 2 * last - mean[..., -1:]
        found.append(np.moveaxis(cast(np.concatenate([first, mean, last], axis=-1), y.dtype), -1, k))
    return found[0] if len(found) == 1 else tuple(found)


@implements(np.unwrap)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    """The whole periods that are added are steps, without derivative."""
    kwargs = (("discont", discont), ("axis", axis), ("period", period))
    return p + (record(host, p, function=np.unwrap, kwargs=kwargs) - record(stop_gradient, p))


@implements(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(as_traced(y, x, dx), axis, -1)
    steps = dx if x is None else np.diff(x if np.ndim(x) == 1 else np.moveaxis(x, axis, -1))
    return np.sum((y[..., 1:] + y[..., :-1]) * steps, axis=-1) / 2
