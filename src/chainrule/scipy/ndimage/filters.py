"""Linear filters of images, in the image, the weights and the widths; and filters that select."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.ndimage

from chainrule.ops.signal import correlate as correlate_op
from chainrule.scipy.common import apply, floating, plain
from chainrule.scipy.ndimage.common import around, checked_origin, chosen_axes, delivered, image, per_axis, windows
from chainrule.scipy.twins import twin
from chainrule.tracing.functions.common import axis_of
from chainrule.types import real_dtype

# -- correlation -------------------------------------------------------------------------------------------


def _along(x: Any, weights: Any, axis: int, mode: str, cval: Any, origin: int) -> Any:
    """Return Σ_j weights[j] x[i + j - size // 2 - origin] along an axis."""
    size = weights.shape[0]
    x = np.moveaxis(x, axis, -1)
    rest = x.ndim - 1
    whole = around(x, [1] * rest + [size], [0] * rest + [origin], ["nearest"] * rest + [mode], cval)
    return np.moveaxis(apply(correlate_op, whole, weights, rank=1), -1, axis)


@twin(scipy.ndimage)
def correlate1d(input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
                origin: int = 0) -> Any:  # fmt: skip
    """Correlate with a vector along an axis."""
    weights = floating(weights)
    if weights.ndim != 1 or weights.shape[0] < 1:
        raise RuntimeError("no filter weights given")
    x = image(input)
    origin = checked_origin(origin, weights.shape[0])
    return delivered(_along(x, weights, axis_of(axis, x.ndim), mode, cval, origin), input, output)


@twin(scipy.ndimage)
def convolve1d(input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
               origin: int = 0) -> Any:  # fmt: skip
    """Convolve with a vector along an axis."""
    weights = np.flip(floating(weights))
    return correlate1d(input, weights, axis, output, mode, cval, -origin - (weights.shape[0] % 2 == 0))


def _filled(weights: Any, origins: list[int], axes: tuple[int, ...], ndim: int) -> tuple[Any, list[int]]:
    """Return weights and origins for all axes, of which only some were given; weights stay in their order."""
    sizes = iter(weights.shape)
    shape = [next(sizes) if k in axes else 1 for k in range(ndim)]
    origin = [0] * ndim
    for k, o in zip(axes, origins, strict=True):
        origin[k] = o
    return np.reshape(weights, shape), origin


@twin(scipy.ndimage)
def correlate(input: Any, weights: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
              axes: Any = None) -> Any:  # fmt: skip
    """Correlate with an array."""
    x, weights = image(input), floating(weights)
    chosen = chosen_axes(axes, x.ndim)
    if weights.ndim != len(chosen):
        raise RuntimeError(f"weights.ndim ({weights.ndim}) must match len(axes) ({len(chosen)})")
    origins = [checked_origin(o, n) for o, n in zip(per_axis(origin, len(chosen)), weights.shape, strict=True)]
    weights, origins = _filled(weights, origins, chosen, x.ndim)
    whole = around(x, weights.shape, origins, per_axis(mode, x.ndim), cval)
    return delivered(apply(correlate_op, whole, weights, rank=x.ndim), input, output)


@twin(scipy.ndimage)
def convolve(input: Any, weights: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
             axes: Any = None) -> Any:  # fmt: skip
    """Convolve with an array."""
    weights = floating(weights)
    origins = [-o - (n % 2 == 0) for o, n in zip(per_axis(origin, weights.ndim), weights.shape, strict=True)]
    return correlate(input, np.flip(weights), output, mode, cval, origins, axes=axes)


@twin(scipy.ndimage)
def uniform_filter1d(input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
                     origin: int = 0) -> Any:  # fmt: skip
    """Return running means along an axis."""
    return uniform_filter(input, [size], output, mode, cval, [origin], axes=(axis,))


@twin(scipy.ndimage)
def uniform_filter(input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
                   origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return means over a box around each element."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    count = len(chosen)
    for k, n, m, o in zip(chosen, per_axis(size, count), per_axis(mode, count), per_axis(origin, count), strict=True):
        if n > 1:
            x = _along(x, np.ones(int(n)), k, m, cval, checked_origin(o, int(n))) / int(n)
    return delivered(x, input, output)


# -- Gaussians ---------------------------------------------------------------------------------------------


def _gaussian(sigma: Any, order: int, truncate: float, radius: Any) -> Any:
    """Return the weights of a Gaussian or its derivative; how many is taken from the concrete width."""
    if order < 0:
        raise ValueError("order must be non-negative")
    reach = int(truncate * sigma + 0.5) if radius is None else radius
    if reach < 0 or reach != int(reach):
        raise ValueError("Radius must be a nonnegative integer.")
    x = np.arange(-int(reach), int(reach) + 1)
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    weights = weights / np.sum(weights)
    # The derivative of q(x) exp(-x² / 2σ²) has the factor q' - q x / σ².
    q: list[Any] = [1.0]
    for _ in range(order):
        slope = [*(k * c for k, c in enumerate(q) if k), 0.0, 0.0]
        bend = [0.0, *(-c / (sigma * sigma) for c in q)]
        q = [a + b for a, b in zip(slope, bend, strict=True)]
    return sum(c * x**k for k, c in enumerate(q)) * weights if order else weights


@twin(scipy.ndimage)
def gaussian_filter1d(input: Any, sigma: Any, axis: int = -1, order: int = 0, output: Any = None,
                      mode: str = "reflect", cval: Any = 0.0, truncate: float = 4.0, *,
                      radius: Any = None) -> Any:  # fmt: skip
    """Filter with a Gaussian along an axis; differentiable in its width, of which the reach is a constant."""
    weights = np.flip(_gaussian(sigma, order, truncate, radius))
    return correlate1d(input, weights, axis, output, mode, cval)


@twin(scipy.ndimage)
def gaussian_filter(input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect",
                    cval: Any = 0.0, truncate: float = 4.0, *, radius: Any = None,
                    axes: Any = None) -> Any:  # fmt: skip
    """Filter with a Gaussian; differentiable in its widths."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    count = len(chosen)
    options = (per_axis(each, count) for each in (sigma, order, mode, radius))
    for k, s, o, m, r in zip(chosen, *options, strict=True):
        if s > 1e-15:
            x = _along(x, np.flip(_gaussian(s, o, truncate, r)), k, m, cval, 0)
    return delivered(x, input, output)


# -- differences -------------------------------------------------------------------------------------------


def _edge(input: Any, axis: int, output: Any, mode: Any, cval: Any, smooth: list[float]) -> Any:
    x = image(input)
    axis, modes = axis_of(axis, x.ndim), per_axis(mode, x.ndim)
    y = _along(x, np.array([-1.0, 0.0, 1.0]), axis, modes[axis], cval, 0)
    for k in range(x.ndim):
        if k != axis:
            y = _along(y, np.array(smooth), k, modes[k], cval, 0)
    return delivered(y, input, output)


@twin(scipy.ndimage)
def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Return differences along an axis, summed over three neighbours along the others."""
    return _edge(input, axis, output, mode, cval, [1.0, 1.0, 1.0])


@twin(scipy.ndimage)
def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Any:
    """Return differences along an axis, smoothed along the others."""
    return _edge(input, axis, output, mode, cval, [1.0, 2.0, 1.0])


@twin(scipy.ndimage)
def generic_laplace(input: Any, derivative2: Callable[..., Any], output: Any = None, mode: Any = "reflect",
                    cval: Any = 0.0, extra_arguments: Any = (), extra_keywords: Any = None, *,
                    axes: Any = None) -> Any:  # fmt: skip
    """Return the sum of a function of second derivatives along the axes."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    modes = per_axis(mode, len(chosen))
    if not chosen:
        return delivered(x, input, output)
    terms = [derivative2(x, k, None, m, cval, *extra_arguments, **(extra_keywords or {}))
             for k, m in zip(chosen, modes, strict=True)]  # fmt: skip
    return delivered(sum(terms), input, output)


@twin(scipy.ndimage)
def generic_gradient_magnitude(input: Any, derivative: Callable[..., Any], output: Any = None, mode: Any = "reflect",
                               cval: Any = 0.0, extra_arguments: Any = (), extra_keywords: Any = None, *,
                               axes: Any = None) -> Any:  # fmt: skip
    """Return the length of the vector of a function of first derivatives along the axes; its derivative at 0 is 0."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    modes = per_axis(mode, len(chosen))
    if not chosen:
        return delivered(x, input, output)
    terms = [derivative(x, k, None, m, cval, *extra_arguments, **(extra_keywords or {})) ** 2
             for k, m in zip(chosen, modes, strict=True)]  # fmt: skip
    return delivered(np.sqrt(sum(terms)), input, output)


@twin(scipy.ndimage)
def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
    """Return the sum of second differences."""

    def second(x: Any, axis: int, output: Any, mode: str, cval: Any) -> Any:
        return _along(x, np.array([1.0, -2.0, 1.0]), axis, mode, cval, 0)

    return generic_laplace(input, second, output, mode, cval, axes=axes)


@twin(scipy.ndimage)
def gaussian_laplace(input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *,
                     axes: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    """Return the sum of second derivatives of a Gaussian filter."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    return delivered(_summed_gaussians(x, sigma, 2, chosen, mode, cval, kwargs), input, output)


@twin(scipy.ndimage)
def gaussian_gradient_magnitude(input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *,
                                axes: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    """Return the length of the gradient of a Gaussian filter; its derivative at 0 is 0."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    return delivered(np.sqrt(_summed_gaussians(x, sigma, 1, chosen, mode, cval, kwargs)), input, output)


def _summed_gaussians(x: Any, sigma: Any, order: int, chosen: tuple[int, ...], mode: Any, cval: Any,
                      options: dict[str, Any]) -> Any:  # fmt: skip
    total: Any = 0.0
    for axis in chosen:
        orders = [order if k == axis else 0 for k in chosen]
        term = gaussian_filter(x, sigma, orders, None, mode, cval, axes=chosen, **options)
        total = total + (term**2 if order == 1 else term)
    return total


# -- selection ---------------------------------------------------------------------------------------------


def _footprint(x: Any, size: Any, footprint: Any, origin: Any, mode: Any, chosen: tuple[int, ...]) -> Any:
    """Return footprint, origins and modes for all axes."""
    count = len(chosen)
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        footprint = np.ones([int(n) for n in per_axis(size, count)], bool)
    footprint = np.asarray(plain(footprint, "scipy.ndimage: a footprint"), bool)
    if footprint.ndim != count:
        raise RuntimeError("footprint array has incorrect shape.")
    if not footprint.any():
        raise ValueError("All-zero footprint is not supported.")
    origins = [checked_origin(o, n) for o, n in zip(per_axis(origin, count), footprint.shape, strict=True)]
    modes = ["nearest"] * x.ndim
    for k, m in zip(chosen, per_axis(mode, count), strict=True):
        modes[k] = m
    full, origins = _filled(footprint, origins, chosen, x.ndim)
    return full, origins, modes


def _selected(select: Callable[[Any], Any], input: Any, size: Any, footprint: Any, output: Any, mode: Any, cval: Any,
              origin: Any, axes: Any) -> Any:  # fmt: skip
    x = image(input)
    full, origins, modes = _footprint(x, size, footprint, origin, mode, chosen_axes(axes, x.ndim))
    return delivered(select(windows(x, full, origins, modes, cval)), input, output)


def _largest(rows: Any) -> Any:
    return np.max(rows, axis=-1)


def _smallest(rows: Any) -> Any:
    return np.min(rows, axis=-1)


def _ranked(rank: Callable[[int], int]) -> Callable[[Any], Any]:
    def select(rows: Any) -> Any:
        count = rows.shape[-1]
        place = rank(count)
        place = place + count if place < 0 else place
        if not 0 <= place < count:
            raise RuntimeError("rank not within filter footprint size")
        return np.sort(rows, axis=-1)[..., place]

    return select


@twin(scipy.ndimage)
def maximum_filter(input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect",
                   cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the largest element around each; equal ones share the gradient."""
    return _selected(_largest, input, size, footprint, output, mode, cval, origin, axes)


@twin(scipy.ndimage)
def minimum_filter(input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect",
                   cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the smallest element around each; equal ones share the gradient."""
    return _selected(_smallest, input, size, footprint, output, mode, cval, origin, axes)


@twin(scipy.ndimage)
def maximum_filter1d(input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect",
                     cval: Any = 0.0, origin: int = 0) -> Any:  # fmt: skip
    """Return the largest element around each, along an axis."""
    return _selected(_largest, input, [size], None, output, mode, cval, [origin], (axis,))


@twin(scipy.ndimage)
def minimum_filter1d(input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect",
                     cval: Any = 0.0, origin: int = 0) -> Any:  # fmt: skip
    """Return the smallest element around each, along an axis."""
    return _selected(_smallest, input, [size], None, output, mode, cval, [origin], (axis,))


@twin(scipy.ndimage)
def rank_filter(input: Any, rank: int, size: Any = None, footprint: Any = None, output: Any = None,
                mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the element of a rank around each."""
    return _selected(_ranked(lambda count: int(rank)), input, size, footprint, output, mode, cval, origin, axes)


@twin(scipy.ndimage)
def median_filter(input: Any, size: Any = None, footprint: Any = None, output: Any = None, mode: Any = "reflect",
                  cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the median around each element; the gradient goes to it."""
    return _selected(_ranked(lambda count: count // 2), input, size, footprint, output, mode, cval, origin, axes)


@twin(scipy.ndimage)
def percentile_filter(input: Any, percentile: float, size: Any = None, footprint: Any = None, output: Any = None,
                      mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the element of a percentile around each."""
    share = float(percentile) + (100.0 if percentile < 0 else 0.0)
    if not 0 <= share <= 100:
        raise RuntimeError("invalid percentile")
    rank = _ranked(lambda count: count - 1 if share == 100.0 else int(count * share / 100.0))
    return _selected(rank, input, size, footprint, output, mode, cval, origin, axes)


# -- morphology in gray ------------------------------------------------------------------------------------


def _morphed(input: Any, size: Any, footprint: Any, structure: Any, mode: Any, cval: Any, origin: Any, axes: Any,
             up: bool) -> Any:  # fmt: skip
    """Return the largest element plus structure, or the smallest one minus it, around each."""
    x = image(input)
    chosen = chosen_axes(axes, x.ndim)
    if structure is not None:
        structure = floating(structure)
        footprint = np.ones(structure.shape, bool) if footprint is None else footprint
    elif footprint is None and size is None:
        raise ValueError("size, footprint, or structure must be specified")
    if footprint is None:
        footprint = np.ones([int(n) for n in per_axis(size, len(chosen))], bool)
    footprint = np.asarray(plain(footprint, "scipy.ndimage: a footprint"), bool)
    origins = per_axis(origin, len(chosen))
    if up:
        footprint = np.flip(footprint)
        structure = None if structure is None else np.flip(structure)
        origins = [-o - (n % 2 == 0) for o, n in zip(origins, footprint.shape, strict=True)]
    full, origins, modes = _footprint(x, None, footprint, origins, mode, chosen)
    rows = windows(x, full, origins, modes, cval)
    if structure is not None:
        heights = _filled(structure, [0] * len(chosen), chosen, x.ndim)[0][np.nonzero(full)]
        rows = rows + heights if up else rows - heights
    return _largest(rows) if up else _smallest(rows)


@twin(scipy.ndimage)
def grey_dilation(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                  mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the largest element around each, plus a structure."""
    return delivered(_morphed(input, size, footprint, structure, mode, cval, origin, axes, True), input, output)


@twin(scipy.ndimage)
def grey_erosion(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                 mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the smallest element around each, minus a structure."""
    return delivered(_morphed(input, size, footprint, structure, mode, cval, origin, axes, False), input, output)


@twin(scipy.ndimage)
def grey_opening(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                 mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return an erosion followed by a dilation."""
    x = grey_erosion(input, size, footprint, structure, None, mode, cval, origin, axes=axes)
    return delivered(grey_dilation(x, size, footprint, structure, None, mode, cval, origin, axes=axes), input, output)


@twin(scipy.ndimage)
def grey_closing(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                 mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return a dilation followed by an erosion."""
    x = grey_dilation(input, size, footprint, structure, None, mode, cval, origin, axes=axes)
    return delivered(grey_erosion(x, size, footprint, structure, None, mode, cval, origin, axes=axes), input, output)


@twin(scipy.ndimage)
def morphological_gradient(input: Any, size: Any = None, footprint: Any = None, structure: Any = None,
                           output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
                           axes: Any = None) -> Any:  # fmt: skip
    """Return the dilation less the erosion."""
    options = (size, footprint, structure, None, mode, cval, origin)
    return delivered(
        grey_dilation(input, *options, axes=axes) - grey_erosion(input, *options, axes=axes), input, output
    )


@twin(scipy.ndimage)
def morphological_laplace(input: Any, size: Any = None, footprint: Any = None, structure: Any = None,
                          output: Any = None, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *,
                          axes: Any = None) -> Any:  # fmt: skip
    """Return the sum of dilation and erosion less twice the image."""
    options = (size, footprint, structure, None, mode, cval, origin)
    both = grey_dilation(input, *options, axes=axes) + grey_erosion(input, *options, axes=axes)
    return delivered(both - 2 * image(input), input, output)


@twin(scipy.ndimage)
def white_tophat(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                 mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the image less its opening."""
    opened = grey_opening(input, size, footprint, structure, None, mode, cval, origin, axes=axes)
    return delivered(image(input) - opened, input, output)


@twin(scipy.ndimage)
def black_tophat(input: Any, size: Any = None, footprint: Any = None, structure: Any = None, output: Any = None,
                 mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Return the closing of the image less it."""
    closed = grey_closing(input, size, footprint, structure, None, mode, cval, origin, axes=axes)
    return delivered(closed - image(input), input, output)


# -- filters of a Fourier transform ------------------------------------------------------------------------


def _multiplied(name: str, input: Any, parameter: Any, n: int, axis: int, output: Any) -> Any:
    """Multiply by what SciPy's function multiplies by, which does not depend on the input."""
    x = image(input)
    parameter = plain(parameter, f"scipy.ndimage.{name}: its parameter")
    ones = np.ones(x.shape, complex if name == "fourier_shift" else float)
    factors = getattr(scipy.ndimage, name)(ones, parameter, n, axis)
    precision = real_dtype(x.dtype)
    y = x * factors.astype(np.result_type(precision, np.complex64) if factors.dtype.kind == "c" else precision)
    return y if output is None else delivered(y, input, output)


@twin(scipy.ndimage)
def fourier_gaussian(input: Any, sigma: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of a Gaussian."""
    return _multiplied("fourier_gaussian", input, sigma, n, axis, output)


@twin(scipy.ndimage)
def fourier_uniform(input: Any, size: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of a box."""
    return _multiplied("fourier_uniform", input, size, n, axis, output)


@twin(scipy.ndimage)
def fourier_ellipsoid(input: Any, size: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of an ellipsoid."""
    return _multiplied("fourier_ellipsoid", input, size, n, axis, output)


@twin(scipy.ndimage)
def fourier_shift(input: Any, shift: Any, n: int = -1, axis: int = -1, output: Any = None) -> Any:
    """Multiply a Fourier transform by that of a shift."""
    return _multiplied("fourier_shift", input, shift, n, axis, output)
