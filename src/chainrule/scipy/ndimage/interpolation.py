"""Images at other places: differentiable in the image, the places, and the parameters of the transformations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from chainrule.ops.signal import spline_coefficients
from chainrule.scipy.common import apply, as_dtype, extended, floating, look, plain
from chainrule.scipy.interpolate.bsplines import basis
from chainrule.scipy.ndimage.common import delivered, image, per_axis
from chainrule.scipy.twins import twin
from chainrule.tracing.array import newest, stacked, traced
from chainrule.tracing.functions.common import axis_of

_FILTERED_AS = {"grid-wrap": "grid-wrap", "reflect": "reflect", "grid-mirror": "reflect", "nearest": "reflect"}
_MODES = ("constant", "grid-constant", "nearest", "mirror", "reflect", "grid-mirror", "wrap", "grid-wrap")
_MARGIN = 12
"""By so many elements SciPy continues an image where a mode has no spline boundary of its own."""


def _prefiltered(x: Any, axis: int, order: int, mode: str) -> Any:
    if order < 2 or x.shape[axis] < 2:
        return x
    return apply(spline_coefficients, x, axis=axis, order=order, mode=_FILTERED_AS.get(mode, "mirror"))


@twin(scipy.ndimage)
def spline_filter1d(input: Any, order: int = 3, axis: int = -1, output: Any = np.float64, mode: str = "mirror") -> Any:
    """Return the coefficients of the B-spline through the elements along an axis."""
    if not 0 <= order <= 5:
        raise RuntimeError("spline order not supported")
    x = image(input)
    return delivered(_prefiltered(x, axis_of(axis, x.ndim), order, mode), input, output)


@twin(scipy.ndimage)
def spline_filter(input: Any, order: int = 3, output: Any = np.float64, mode: str = "mirror") -> Any:
    """Return the coefficients of the B-spline through the elements."""
    if not 2 <= order <= 5:
        raise RuntimeError("spline order not supported")
    x = image(input)
    for axis in range(x.ndim):
        x = _prefiltered(x, axis, order, mode)
    return delivered(x, input, output)


def _sampled(input: Any, places: list[Any], output: Any, order: int, mode: str, cval: Any, prefilter: bool) -> Any:
    """Return the image at places, one array of coordinates per axis (they broadcast)."""
    if not 0 <= order <= 5:
        raise RuntimeError("spline order not supported")
    if mode not in _MODES:
        raise RuntimeError("boundary mode not supported")
    x = image(input)
    x = as_dtype(x, np.result_type(x.dtype, float))
    margin = 0
    if prefilter and order > 1:
        if mode in ("nearest", "grid-constant"):
            margin = _MARGIN
            x = extended(x, [(margin, margin)] * x.ndim, [mode] * x.ndim, cval)
        for axis in range(x.ndim):
            x = _prefiltered(x, axis, order, mode)
    shape = np.broadcast_shapes(*(np.shape(place) for place in places))
    axes = len(places)
    index, weights, beyond = [], [], []
    for k, place in enumerate(places):
        chosen, share, out = _neighbours(place + margin, x.shape[k], order, mode)
        lead = [1] * axes
        lead[k] = order + 1
        index.append(np.reshape(chosen, (*lead, *chosen.shape[1:])))
        weights.append(np.reshape(share, (*lead, *share.shape[1:])))
        beyond.append(np.reshape(out, (*lead, *out.shape[1:])) if mode == "grid-constant" else out)
    index = list(np.broadcast_arrays(*index)) if axes > 1 else index
    builder = _builder([x, *index])
    x = x if builder is None else traced(builder, x)
    found = x[tuple(index)]
    if mode == "grid-constant":
        found = np.where(_any(beyond), cval, found)
    product: Any = 1.0
    for weight in weights:
        product = product * weight
    y = np.sum(found * product, axis=tuple(range(axes)))
    if mode == "constant":
        y = np.where(_any(beyond), cval, y)
    return delivered(np.broadcast_to(y, shape), input, output)


def _builder(parts: list[Any]) -> Any:
    return newest(parts) if any(hasattr(part, "node") for part in parts) else None


def _any(masks: list[Any]) -> Any:
    total = masks[0]
    for mask in masks[1:]:
        total = total | mask
    return total


def _neighbours(place: Any, size: int, order: int, mode: str) -> tuple[Any, Any, Any]:
    """Return which elements a place depends on, their weights, and what lies outside the image.

    Outside is told of places in the mode "constant", of elements in "grid-constant".
    """
    if mode == "nearest":
        place = np.clip(place, 0, size - 1)
    out = (place < 0) | (place > size - 1)
    if mode == "wrap" and size > 1:  # of period size - 1, as SciPy has it
        period = size - 1.0
        down = place - period * np.trunc(place / period)
        up = place + period * (np.trunc(-place / period) + 1)
        place = np.where(place < 0, up, np.where(place > size - 1, down, place))
    half = 0.5 if order % 2 == 0 else 0.0
    base = np.floor(place + half)
    share = place + half - base
    weights = basis(np.arange(2.0 * order + 2), order, share + order, order)
    offsets = np.arange(order + 1).reshape(-1, *[1] * np.ndim(place))
    chosen = as_dtype(base, int)[None] - order // 2 + offsets
    if mode == "grid-constant":
        return np.clip(chosen, 0, size - 1), weights, (chosen < 0) | (chosen > size - 1)
    return _folded(chosen, size, _FILTERED_AS.get(mode, "mirror")), weights, out


def _folded(k: Any, size: int, mode: str) -> Any:
    """Return the elements inside that stand for those outside."""
    if size == 1:
        return 0 * k
    if mode == "grid-wrap":
        return np.remainder(k, size)
    period = 2 * size - 2 if mode == "mirror" else 2 * size
    k = np.remainder(k, period)
    return np.minimum(k, period - k if mode == "mirror" else period - 1 - k)


@twin(scipy.ndimage)
def map_coordinates(input: Any, coordinates: Any, output: Any = None, order: int = 3, mode: str = "constant",
                    cval: Any = 0.0, prefilter: bool = True) -> Any:  # fmt: skip
    """Return the image at coordinates, by splines; differentiable in image and coordinates."""
    coordinates = floating(coordinates)
    if coordinates.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    if coordinates.ndim < 2 or coordinates.shape[0] != np.ndim(stacked(input)):
        raise RuntimeError("invalid shape for coordinate array")
    return _sampled(input, [coordinates[k] for k in range(coordinates.shape[0])], output, order, mode, cval, prefilter)


def _axes_of(shape: Any) -> list[np.ndarray]:
    """Return the coordinate of each element along each axis, shaped to broadcast."""
    rank = len(shape)
    return [np.arange(float(n)).reshape([-1 if j == k else 1 for j in range(rank)]) for k, n in enumerate(shape)]


@twin(scipy.ndimage)
def shift(input: Any, shift: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0,
          prefilter: bool = True) -> Any:  # fmt: skip
    """Return the image moved; differentiable in the shift."""
    shape = np.shape(stacked(input))
    places = [axis - by for axis, by in zip(_axes_of(shape), per_axis(shift, len(shape)), strict=True)]
    return _sampled(input, places, output, order, mode, cval, prefilter)


@twin(scipy.ndimage)
def zoom(input: Any, zoom: Any, output: Any = None, order: int = 3, mode: str = "constant", cval: Any = 0.0,
         prefilter: bool = True, *, grid_mode: bool = False) -> Any:  # fmt: skip
    """Return the image at another resolution; how many elements that are is a constant."""
    x = stacked(input)
    factors = per_axis(plain(zoom, "scipy.ndimage.zoom: zoom"), x.ndim)
    shape = [round(n * factor) for n, factor in zip(x.shape, factors, strict=True)]
    if all(factor == 1 for factor in factors) and prefilter:
        return delivered(image(x), x, output)
    if grid_mode and mode in ("constant", "wrap"):
        warnings.warn(f"It is recommended to use mode = grid-{mode} instead of {mode} when grid_mode is True.",
                      stacklevel=3)  # fmt: skip
    places = []
    for axis, n, m in zip(_axes_of(shape), x.shape, shape, strict=True):
        if grid_mode:
            places.append((axis + 0.5) * (n / m) - 0.5 if m else axis)
        else:
            places.append(axis * ((n - 1) / (m - 1)) if m != 1 else axis)
    return _sampled(x, places, output, order, mode, cval, prefilter)


@twin(scipy.ndimage)
def affine_transform(input: Any, matrix: Any, offset: Any = 0.0, output_shape: Any = None, output: Any = None,
                     order: int = 3, mode: str = "constant", cval: Any = 0.0,
                     prefilter: bool = True) -> Any:  # fmt: skip
    """Return the image at matrix @ place + offset; differentiable in all three."""
    x, matrix = stacked(input), as_dtype(floating(matrix), float)
    rank = x.ndim
    shape = x.shape if output_shape is None else tuple(output_shape)
    if matrix.ndim not in (1, 2) or matrix.shape[0] < 1:
        raise RuntimeError("no proper affine matrix provided")
    if matrix.ndim == 2 and matrix.shape[1] == rank + 1 and matrix.shape[0] in (rank, rank + 1):
        if matrix.shape[0] == rank + 1 and look(matrix[rank]).tolist() != [0.0] * rank + [1.0]:
            raise ValueError(f"Expected homogeneous transformation matrix with shape {matrix.shape} for image shape "
                             f"{x.shape}, but bottom row was not equal to {[0] * rank + [1]}")  # fmt: skip
        offset, matrix = matrix[:rank, rank], matrix[:rank, :rank]
    if matrix.shape[0] != rank:
        raise RuntimeError("affine matrix has wrong number of rows")
    if matrix.ndim == 2 and matrix.shape[1] != len(shape):
        raise RuntimeError("affine matrix has wrong number of columns")
    axes, offsets = _axes_of(shape), per_axis(offset, rank)
    if matrix.ndim == 1:
        places = [matrix[k] * axes[k] + offsets[k] for k in range(rank)]
    else:
        places = [sum(matrix[k, j] * axes[j] for j in range(len(shape))) + offsets[k] for k in range(rank)]
    return _sampled(x, places, output, order, mode, cval, prefilter)


@twin(scipy.ndimage)
def rotate(input: Any, angle: Any, axes: Any = (1, 0), reshape: bool = True, output: Any = None, order: int = 3,
           mode: str = "constant", cval: Any = 0.0, prefilter: bool = True) -> Any:  # fmt: skip
    """Return the image turned by an angle in degrees; differentiable in it. The size of the result is a constant."""
    x = stacked(input)
    if x.ndim < 2:
        raise ValueError("input array should be at least 2D")
    if len(axes) != 2:
        raise ValueError("axes should contain exactly two values")
    one, two = sorted(axis_of(k, x.ndim) for k in axes)
    turn = angle * (math.pi / 180)
    c, s = np.cos(turn), np.sin(turn)
    plane = np.array([x.shape[one], x.shape[two]])
    size = plane.tolist()
    if reshape:
        extents = [np.abs(c) * plane[0] + np.abs(s) * plane[1], np.abs(s) * plane[0] + np.abs(c) * plane[1]]
        size = [int(extent + 0.5) for extent in extents]
    shape = list(x.shape)
    shape[one], shape[two] = size
    places: list[Any] = _axes_of(shape)
    rows, columns = places[one] - (size[0] - 1) / 2, places[two] - (size[1] - 1) / 2
    places[one] = c * rows + s * columns + (plane[0] - 1) / 2
    places[two] = -s * rows + c * columns + (plane[1] - 1) / 2
    others = [k for k in range(x.ndim) if k not in (one, two)]
    if not others:
        return _sampled(x, places, output, order, mode, cval, prefilter)
    # SciPy turns plane by plane: nothing is filtered across them.
    flat = np.reshape(np.transpose(x, [*others, one, two]), (-1, *plane.tolist()))
    in_plane = [np.squeeze(place, axis=tuple(others)) for place in (places[one], places[two])]
    turned = np.stack([_sampled(flat[k], in_plane, output, order, mode, cval, prefilter) for k in range(flat.shape[0])])
    turned = np.reshape(turned, (*(x.shape[k] for k in others), *size))
    return np.transpose(turned, np.argsort([*others, one, two]))


@twin(scipy.ndimage)
def geometric_transform(input: Any, mapping: Callable[..., Any], output_shape: Any = None, output: Any = None,
                        order: int = 3, mode: str = "constant", cval: Any = 0.0, prefilter: bool = True,
                        extra_arguments: Any = (), extra_keywords: Any = None) -> Any:  # fmt: skip
    """Return the image at mapping(place), which is called once for each element of the result."""
    x = stacked(input)
    shape = x.shape if output_shape is None else tuple(output_shape)
    rows = [stacked(list(mapping(place, *extra_arguments, **(extra_keywords or {})))) for place in np.ndindex(*shape)]
    coordinates = np.reshape(np.stack(rows, axis=-1), (x.ndim, *shape))
    return _sampled(x, [coordinates[k] for k in range(x.ndim)], output, order, mode, cval, prefilter)
