"""`scipy.ndimage` for traced arrays.

Linear filters are differentiable in the image, in given weights and in the widths of Gaussians; splines in the image
and in the places; transformations in their parameters. Filters that select pass the gradient to what was selected.
Labels, footprints and the size of a result are constants. Names without a rule are SciPy's, and refuse traced values:

    from chainrule.scipy import ndimage  # for: from scipy import ndimage
"""

from __future__ import annotations

from typing import Any

import scipy.ndimage

from chainrule.scipy.common import guarded
from chainrule.scipy.ndimage.filters import (
    black_tophat,
    convolve,
    convolve1d,
    correlate,
    correlate1d,
    fourier_ellipsoid,
    fourier_gaussian,
    fourier_shift,
    fourier_uniform,
    gaussian_filter,
    gaussian_filter1d,
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    grey_closing,
    grey_dilation,
    grey_erosion,
    grey_opening,
    laplace,
    maximum_filter,
    maximum_filter1d,
    median_filter,
    minimum_filter,
    minimum_filter1d,
    morphological_gradient,
    morphological_laplace,
    percentile_filter,
    prewitt,
    rank_filter,
    sobel,
    uniform_filter,
    uniform_filter1d,
    white_tophat,
)
from chainrule.scipy.ndimage.interpolation import (
    affine_transform,
    geometric_transform,
    map_coordinates,
    rotate,
    shift,
    spline_filter,
    spline_filter1d,
    zoom,
)
from chainrule.scipy.ndimage.measurements import (
    center_of_mass,
    extrema,
    maximum,
    mean,
    median,
    minimum,
    standard_deviation,
    sum,
    sum_labels,
    variance,
)

__all__ = [
    "affine_transform", "black_tophat", "center_of_mass", "convolve", "convolve1d", "correlate", "correlate1d",
    "extrema", "fourier_ellipsoid", "fourier_gaussian", "fourier_shift", "fourier_uniform", "gaussian_filter",
    "gaussian_filter1d", "gaussian_gradient_magnitude", "gaussian_laplace", "generic_gradient_magnitude",
    "generic_laplace", "geometric_transform", "grey_closing", "grey_dilation", "grey_erosion", "grey_opening",
    "laplace", "map_coordinates", "maximum", "maximum_filter", "maximum_filter1d", "mean", "median", "median_filter",
    "minimum", "minimum_filter", "minimum_filter1d", "morphological_gradient", "morphological_laplace",
    "percentile_filter", "prewitt", "rank_filter", "rotate", "shift", "sobel", "spline_filter", "spline_filter1d",
    "standard_deviation", "sum", "sum_labels", "uniform_filter", "uniform_filter1d", "variance", "white_tophat", "zoom",
]  # fmt: skip

_INSTEAD = {
    "generic_filter": "gather the windows by index and apply NumPy functions",
    "vectorized_filter": "gather the windows by index and apply NumPy functions",
    "histogram": "counts have no derivative",
    "label": "labels have no derivative; give it a plain array",
}


def __getattr__(name: str) -> Any:
    return guarded(scipy.ndimage, name, _INSTEAD.get(name, ""))
