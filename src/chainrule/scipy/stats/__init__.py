"""`scipy.stats` for traced arrays: twins of the distributions and of the statistics that have a derivative.

    from chainrule.scipy import stats  # for: from scipy import stats

    stats.norm.logpdf(x, loc, scale), stats.gamma(a).cdf(x), stats.multivariate_normal.logpdf(x, mean, cov)

Derivatives are with respect to x and every continuous parameter. Outside the support the value is SciPy's and the
derivative 0; invalid parameters give NaN. On arguments that are not traced everything is SciPy's own. What has no
derivative here raises a `ChainruleError` that names the line when it is given a traced value.
"""

from __future__ import annotations

import types
from typing import Any

import scipy.stats

from chainrule.scipy.stats import continuous, density, discrete, multivariate, samples  # noqa: F401
from chainrule.scipy.stats.distribution import guarded
from chainrule.scipy.twins import TWINS

_GUARDED: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    found = TWINS.get((scipy.stats.__name__, name))
    if found is not None:
        return found
    if name in _GUARDED:
        return _GUARDED[name]
    theirs = getattr(scipy.stats, name)
    if not isinstance(theirs, types.FunctionType) or name.startswith("_"):
        return theirs
    advice = "write it with NumPy functions, or give it a derivative with chainrule.custom_vjp"
    _GUARDED[name] = guarded(f"scipy.stats.{name}", theirs, advice)
    return _GUARDED[name]


def __dir__() -> list[str]:
    return sorted(scipy.stats.__all__)
