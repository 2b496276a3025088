"""`scipy.interpolate` for traced arrays.

The classes are SciPy's with two more abilities: made of traced data, they keep it, and their values are differentiable
in it; called at traced places, they are differentiable there, whatever they were made of. Names without a rule are
SciPy's, and refuse traced values:

    from chainrule.scipy import interpolate  # for: from scipy import interpolate
"""

from __future__ import annotations

from typing import Any

import scipy.interpolate

from chainrule.scipy.common import guarded
from chainrule.scipy.interpolate import bsplines
from chainrule.scipy.interpolate.bsplines import (
    BSpline,
    InterpolatedUnivariateSpline,
    LSQUnivariateSpline,
    UnivariateSpline,
    make_interp_spline,
    make_lsq_spline,
    make_smoothing_spline,
    splantider,
    splder,
    splev,
    splint,
    splrep,
)
from chainrule.scipy.interpolate.grids import (
    LinearNDInterpolator,
    NearestNDInterpolator,
    RBFInterpolator,
    RectBivariateSpline,
    RegularGridInterpolator,
    griddata,
    interpn,
)
from chainrule.scipy.interpolate.piecewise import (
    Akima1DInterpolator,
    CubicHermiteSpline,
    CubicSpline,
    PchipInterpolator,
    PPoly,
    pchip_interpolate,
)
from chainrule.scipy.interpolate.univariate import (
    BarycentricInterpolator,
    KroghInterpolator,
    barycentric_interpolate,
    interp1d,
    krogh_interpolate,
)

__all__ = [
    "Akima1DInterpolator", "BSpline", "BarycentricInterpolator", "CubicHermiteSpline", "CubicSpline",
    "InterpolatedUnivariateSpline", "KroghInterpolator", "LSQUnivariateSpline", "LinearNDInterpolator",
    "NearestNDInterpolator", "PPoly", "PchipInterpolator", "RBFInterpolator", "RectBivariateSpline",
    "RegularGridInterpolator",
    "UnivariateSpline", "barycentric_interpolate", "griddata", "interp1d", "interpn", "krogh_interpolate",
    "make_interp_spline", "make_lsq_spline", "make_smoothing_spline",
    "pchip_interpolate", "splantider", "splder",
    "splev", "splint", "splrep",
]  # fmt: skip

_INSTEAD = {
    "lagrange": "use BarycentricInterpolator",
    "CloughTocher2DInterpolator": "use LinearNDInterpolator or RBFInterpolator",
    "Rbf": "use RBFInterpolator",
}


def __getattr__(name: str) -> Any:
    if name == "make_splrep" and hasattr(bsplines, name):
        return bsplines.make_splrep
    return guarded(scipy.interpolate, name, _INSTEAD.get(name, ""))
