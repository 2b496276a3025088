"""Statistics of samples: moments, means, scores, transformations, tests with a closed form."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import scipy.stats
from scipy.special import xlogy

from chainrule.errors import UnsupportedError
from chainrule.scipy.stats.continuous import expm1_over
from chainrule.scipy.stats.distribution import DISTRIBUTIONS
from chainrule.scipy.twins import twin
from chainrule.tracing.array import TracedArray, cast, stacked
from chainrule.tracing.functions.common import axes_of
from chainrule.tracing.origin import at

Axis = Any
DescribeResult = namedtuple("DescribeResult", "nobs minmax mean variance skewness kurtosis")


class LinregressResult(namedtuple("LinregressResult", "slope intercept rvalue pvalue stderr")):
    """What `linregress` returns: five numbers, and one more by name only."""

    intercept_stderr: Any = None


class PearsonRResult(NamedTuple):
    """What `pearsonr` returns."""

    statistic: Any
    pvalue: Any

    @property
    def correlation(self) -> Any:
        """Another name of the statistic."""
        return self.statistic


class StatisticResult(namedtuple("StatisticResult", "statistic pvalue")):
    """A statistic and its p-value; of Student's tests the degrees of freedom by name only."""

    df: Any = None


def _with(result: Any, **attributes: Any) -> Any:
    """Return a result with attributes that are no part of the tuple."""
    vars(result).update(attributes)
    return result


def _real(a: Any) -> Any:
    """Return a sample as an array of floating-point numbers."""
    x = stacked(a)
    if x.dtype.kind not in "fc":
        return cast(x, float) if isinstance(x, TracedArray) else x.astype(float)
    return x


def _require(name: str, **settings: tuple[Any, Any]) -> None:
    """Refuse settings other than the one that has a rule."""
    for key, (given, known) in settings.items():
        if given is not known and given != known:
            raise UnsupportedError(
                f"stats.{name}: {key}={given!r} has no rule for traced values{at()}; {key}={known!r} has one"
            )


def _rows(a: Any, axis: Axis) -> tuple[Any, Callable[[Any, bool], Any]]:
    """Return a sample with the axes that are reduced in front, as one, and what puts results into shape."""
    x = _real(a)
    axes = axes_of(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    rows = np.reshape(np.transpose(x, (*axes, *kept)), (-1, *(x.shape[k] for k in kept)))
    sizes = [1 if k in axes else size for k, size in enumerate(x.shape)]

    def restore(y: Any, keepdims: bool) -> Any:
        return np.reshape(y, sizes) if keepdims else y

    return rows, restore


def _weights(weights: Any, a: Any, axis: Axis) -> Any:
    """Return weights as a sample of a's shape, reduced along the same axes; None of none."""
    if weights is None:
        return None
    w = _real(weights)
    if w.shape != np.shape(a) and w.ndim == 1 and axis is not None:
        ndim = np.ndim(a)
        w = np.reshape(w, [-1 if k == axis % ndim else 1 for k in range(ndim)])
    return _rows(np.broadcast_to(w, np.shape(a)), axis)[0]


def _mean(rows: Any, weights: Any) -> Any:
    return np.mean(rows, axis=0) if weights is None else np.sum(rows * weights, axis=0) / np.sum(weights, axis=0)


def _typed(a: Any, dtype: Any) -> Any:
    x = _real(a)
    return x if dtype is None else x.astype(dtype)


# -- moments -------------------------------------------------------------------------------------------


def _central(rows: Any, order: int) -> Any:
    return np.mean((rows - np.mean(rows, axis=0)) ** order, axis=0)


def _spread(rows: Any) -> Any:
    """Return the variance, NaN where all elements are the same, as SciPy has it for skewness and kurtosis."""
    second = _central(rows, 2)
    flat = second <= (np.finfo(second.dtype).resolution * np.mean(rows, axis=0)) ** 2
    return np.where(flat, second.dtype.type(np.nan), second)


@twin(scipy.stats)
def moment(a: Any, order: Any = 1, axis: Axis = 0, nan_policy: str = "propagate", *, center: Any = None,
           keepdims: bool = False) -> Any:  # fmt: skip
    """Return moments about the mean, or about `center`."""
    _require("moment", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    middle = np.mean(rows, axis=0) if center is None else center
    if np.ndim(order):
        return np.stack([restore(np.mean((rows - middle) ** each, axis=0), keepdims) for each in order])
    return restore(np.mean((rows - middle) ** order, axis=0), keepdims)


@twin(scipy.stats)
def skew(a: Any, axis: Axis = 0, bias: bool = True, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """Return the skewness."""
    _require("skew", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    n = len(rows)
    y = _central(rows, 3) / _spread(rows) ** 1.5
    return restore(y if bias or n < 3 else y * math.sqrt((n - 1) * n) / (n - 2), keepdims)


@twin(scipy.stats)
def kurtosis(a: Any, axis: Axis = 0, fisher: bool = True, bias: bool = True, nan_policy: str = "propagate", *,
             keepdims: bool = False) -> Any:  # fmt: skip
    """Return the kurtosis."""
    _require("kurtosis", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    n = len(rows)
    y = _central(rows, 4) / _spread(rows) ** 2
    if not bias and n > 3:
        y = ((n**2 - 1) * y - 3 * (n - 1) ** 2) / ((n - 2) * (n - 3)) + 3
    return restore(y - 3 if fisher else y, keepdims)


@twin(scipy.stats)
def variation(a: Any, axis: Axis = 0, nan_policy: str = "propagate", ddof: float = 0, *, keepdims: bool = False) -> Any:
    """Return the standard deviation over the mean."""
    _require("variation", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    return restore(np.std(rows, axis=0, ddof=ddof) / np.mean(rows, axis=0), keepdims)


@twin(scipy.stats)
def sem(a: Any, axis: Axis = 0, ddof: float = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """Return the standard error of the mean."""
    _require("sem", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    return restore(np.std(rows, axis=0, ddof=ddof) / math.sqrt(len(rows)), keepdims)


@twin(scipy.stats)
def describe(a: Any, axis: Axis = 0, ddof: float = 1, bias: bool = True, nan_policy: str = "propagate") -> Any:
    """Return the number of observations, their extremes, mean, variance, skewness and kurtosis."""
    _require("describe", nan_policy=(nan_policy, "propagate"))
    rows, _ = _rows(a, axis)
    extremes = np.min(rows, axis=0), np.max(rows, axis=0)
    third, fourth = skew(rows, 0, bias), kurtosis(rows, 0, True, bias)
    return DescribeResult(len(rows), extremes, np.mean(rows, axis=0), np.var(rows, axis=0, ddof=ddof), third, fourth)


# -- means ---------------------------------------------------------------------------------------------


@twin(scipy.stats)
def gmean(a: Any, axis: Axis = 0, dtype: Any = None, weights: Any = None, *, nan_policy: str = "propagate",
          keepdims: bool = False) -> Any:  # fmt: skip
    """Return the geometric mean."""
    _require("gmean", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(_typed(a, dtype), axis)
    return restore(np.exp(_mean(np.log(rows), _weights(weights, a, axis))), keepdims)


@twin(scipy.stats)
def hmean(a: Any, axis: Axis = 0, dtype: Any = None, *, weights: Any = None, nan_policy: str = "propagate",
          keepdims: bool = False) -> Any:  # fmt: skip
    """Return the harmonic mean."""
    _require("hmean", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(_typed(a, dtype), axis)
    return restore(1 / _mean(1 / rows, _weights(weights, a, axis)), keepdims)


@twin(scipy.stats)
def pmean(a: Any, p: Any, *, axis: Axis = 0, dtype: Any = None, weights: Any = None, nan_policy: str = "propagate",
          keepdims: bool = False) -> Any:  # fmt: skip
    """Return the power mean of exponent p."""
    _require("pmean", nan_policy=(nan_policy, "propagate"))
    if not isinstance(p, TracedArray) and p == 0:
        return gmean(a, axis=axis, dtype=dtype, weights=weights, keepdims=keepdims)
    rows, restore = _rows(_typed(a, dtype), axis)
    return restore(_mean(rows**p, _weights(weights, a, axis)) ** (1 / p), keepdims)


@twin(scipy.stats)
def trim_mean(a: Any, proportiontocut: float, axis: Axis = 0, *, nan_policy: str = "propagate",
              keepdims: bool = False) -> Any:  # fmt: skip
    """Return the mean without a share of the smallest and of the largest elements."""
    _require("trim_mean", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    cut = int(proportiontocut * len(rows))
    if 2 * cut >= len(rows):
        raise ValueError("Proportion too big.")
    return restore(np.mean(np.sort(rows, axis=0)[cut : len(rows) - cut], axis=0), keepdims)


def _limited(rows: Any, limits: Any, inclusive: tuple[bool, bool]) -> Any:
    """Return which elements lie within limits."""
    low, high = limits if limits is not None else (None, None)
    kept: Any = np.ones(rows.shape, bool)
    if low is not None:
        kept = kept & (rows >= low if inclusive[0] else rows > low)
    if high is not None:
        kept = kept & (rows <= high if inclusive[1] else rows < high)
    return kept


@twin(scipy.stats)
def tmean(a: Any, limits: Any = None, inclusive: tuple[bool, bool] = (True, True), axis: Axis = None, *,
          nan_policy: str = "propagate", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the mean of the elements within limits."""
    _require("tmean", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    return restore(np.mean(rows, axis=0, where=_limited(rows, limits, inclusive)), keepdims)


@twin(scipy.stats)
def tvar(a: Any, limits: Any = None, inclusive: tuple[bool, bool] = (True, True), axis: Axis = 0, ddof: float = 1, *,
         nan_policy: str = "propagate", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the variance of the elements within limits."""
    _require("tvar", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    return restore(np.var(rows, axis=0, ddof=ddof, where=_limited(rows, limits, inclusive)), keepdims)


@twin(scipy.stats)
def tstd(a: Any, limits: Any = None, inclusive: tuple[bool, bool] = (True, True), axis: Axis = 0, ddof: float = 1, *,
         nan_policy: str = "propagate", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the standard deviation of the elements within limits."""
    return np.sqrt(tvar(a, limits, inclusive, axis, ddof, nan_policy=nan_policy, keepdims=keepdims))


@twin(scipy.stats)
def tsem(a: Any, limits: Any = None, inclusive: tuple[bool, bool] = (True, True), axis: Axis = 0, ddof: float = 1, *,
         nan_policy: str = "propagate", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the standard error of the mean of the elements within limits."""
    rows, restore = _rows(a, axis)
    count = np.sum(_limited(rows, limits, inclusive), axis=0).astype(rows.dtype)
    deviation = tstd(a, limits, inclusive, axis, ddof, nan_policy=nan_policy, keepdims=keepdims)
    return deviation / np.sqrt(restore(count, keepdims))


# -- scores --------------------------------------------------------------------------------------------


@twin(scipy.stats)
def zmap(scores: Any, compare: Any, axis: Axis = 0, ddof: float = 0, nan_policy: str = "propagate") -> Any:
    """Return scores less the mean of `compare`, over its standard deviation."""
    _require("zmap", nan_policy=(nan_policy, "propagate"))
    scores, compare = _real(scores), _real(compare)
    deviation = np.std(compare, axis=axis, ddof=ddof, keepdims=True)
    return (scores - np.mean(compare, axis=axis, keepdims=True)) / deviation


@twin(scipy.stats)
def zscore(a: Any, axis: Axis = 0, ddof: float = 0, nan_policy: str = "propagate") -> Any:
    """Return a less its mean, over its standard deviation."""
    return zmap(a, a, axis, ddof, nan_policy)


@twin(scipy.stats)
def gzscore(a: Any, *, axis: Axis = 0, ddof: float = 0, nan_policy: str = "propagate") -> Any:
    """Return the scores of the logarithms."""
    return zscore(np.log(_real(a)), axis, ddof, nan_policy)


@twin(scipy.stats)
def gstd(a: Any, axis: Axis = 0, ddof: float = 1, *, keepdims: bool = False, nan_policy: str = "propagate") -> Any:
    """Return the geometric standard deviation."""
    _require("gstd", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    return restore(np.exp(np.std(np.log(rows), axis=0, ddof=ddof)), keepdims)


@twin(scipy.stats)
def iqr(x: Any, axis: Axis = None, rng: Any = (25, 75), scale: Any = 1.0, nan_policy: str = "propagate",
        interpolation: str = "linear", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the range between two percentiles."""
    _require("iqr", nan_policy=(nan_policy, "propagate"), interpolation=(interpolation, "linear"))
    if isinstance(scale, str):
        scale = {"normal": 2 * math.sqrt(2) * float(scipy.special.erfinv(0.5))}[scale.lower()]
    rows, restore = _rows(x, axis)
    low, high = (np.percentile(rows, each, axis=0) for each in sorted(rng))
    return restore((high - low) / scale, keepdims)


@twin(scipy.stats)
def median_abs_deviation(x: Any, axis: Axis = 0, center: Any = None, scale: Any = 1.0, nan_policy: str = "propagate",
                         *, keepdims: bool = False) -> Any:  # fmt: skip
    """Return the median of the distances from the median."""
    _require("median_abs_deviation", nan_policy=(nan_policy, "propagate"))
    if isinstance(scale, str):
        scale = {"normal": float(scipy.special.ndtri(0.75))}[scale.lower()]
    rows, restore = _rows(x, axis)
    middle = np.median(rows, axis=0) if center is None else center(rows, axis=0)
    return restore(np.median(np.abs(rows - middle), axis=0) / scale, keepdims)


# -- information ---------------------------------------------------------------------------------------


@twin(scipy.stats)
def entropy(pk: Any, qk: Any = None, base: Any = None, axis: Axis = 0, *, nan_policy: str = "propagate",
            keepdims: bool = False) -> Any:  # fmt: skip
    """Return the entropy of probabilities, or their divergence from those in `qk`."""
    _require("entropy", nan_policy=(nan_policy, "propagate"))
    pk = _real(pk)
    qk = None if qk is None else _real(qk)
    if qk is not None and qk.shape != pk.shape:
        pk, qk = np.broadcast_arrays(pk, qk)
    rows, restore = _rows(pk, axis)
    p = rows / np.sum(rows, axis=0)
    if qk is None:
        y = -np.sum(xlogy(p, p), axis=0)
    else:
        others = _rows(qk, axis)[0]
        q = others / np.sum(others, axis=0)
        y = np.sum(xlogy(p, p) - xlogy(p, q), axis=0)
    return restore(y if base is None else y / _log(base), keepdims)


@twin(scipy.stats)
def differential_entropy(values: Any, *, window_length: int | None = None, base: Any = None, axis: Axis = 0,
                         method: str = "auto", nan_policy: str = "propagate",
                         keepdims: bool = False) -> Any:  # fmt: skip
    """Return an estimate of the entropy of a sample from the gaps in it.

    References:
        O. Vasicek, J. Royal Stat. Soc. B 38 (1976); B. van Es, Scand. J. Stat. 19 (1992); N. Ebrahimi, K. Pflughoeft,
        E. Soofi, Stat. Prob. Letters 20 (1994).
    """
    _require("differential_entropy", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(values, axis)
    n = len(rows)
    m = math.floor(math.sqrt(n) + 0.5) if window_length is None else window_length
    if not 2 <= 2 * m < n:
        raise ValueError(f"Window length ({m}) must be positive and less than half the sample size ({n}).")
    way = ("van es" if n <= 10 else "ebrahimi" if n <= 1000 else "vasicek") if method == "auto" else method
    x = np.sort(rows, axis=0)
    if way == "van es":
        y = np.mean(np.log((n + 1) / m * (x[m:] - x[:-m])), axis=0)
        y = y + float(np.sum(1 / np.arange(m, n + 1))) + math.log(m) - math.log(n + 1)
    elif way in ("vasicek", "ebrahimi"):
        places = np.arange(n)
        gaps = x[np.minimum(places + m, n - 1)] - x[np.maximum(places - m, 0)]
        share = np.minimum(1, np.minimum(places, n - 1 - places) / m) + 1 if way == "ebrahimi" else np.full(n, 2.0)
        share = np.reshape(n / (share * m), (-1, *[1] * (x.ndim - 1))).astype(x.dtype)
        y = np.mean(np.log(share * gaps), axis=0)
    else:
        raise UnsupportedError(
            f"stats.differential_entropy: method={method!r} has no rule for traced values{at()}; "
            "'vasicek', 'van es' and 'ebrahimi' have one"
        )
    return restore(y if base is None else y / _log(base), keepdims)


def _log(base: Any) -> Any:
    """Return the logarithm of a base, a Python number of one, which takes the precision of arrays beside it."""
    return np.log(base) if isinstance(base, TracedArray) else math.log(base)


def _steps(values: Any, weights: Any, points: Any) -> Any:
    """Return the share of a sample up to each point."""
    order = np.argsort(values)
    places = np.searchsorted(values[order], points, side="right")
    if weights is None:
        return places / values.shape[0]
    total = np.concatenate([np.zeros(1), np.cumsum(_real(weights)[order])])
    return total[places] / total[-1]


def _distance(u: Any, v: Any, u_weights: Any, v_weights: Any, p: int) -> Any:
    """Return ∫ |U - V|ᵖ for distribution functions U and V of two samples."""
    u, v = _real(u), _real(v)
    points = np.sort(np.concatenate([u, v]))
    gaps = points[1:] - points[:-1]
    differ = _steps(u, u_weights, points[:-1]) - _steps(v, v_weights, points[:-1])
    return np.sum((np.abs(differ) if p == 1 else differ**2) * gaps)


@twin(scipy.stats)
def wasserstein_distance(u_values: Any, v_values: Any, u_weights: Any = None, v_weights: Any = None) -> Any:
    """Return the first Wasserstein distance of two samples on the line."""
    return _distance(u_values, v_values, u_weights, v_weights, 1)


@twin(scipy.stats)
def energy_distance(u_values: Any, v_values: Any, u_weights: Any = None, v_weights: Any = None) -> Any:
    """Return the energy distance of two samples on the line."""
    return np.sqrt(2 * _distance(u_values, v_values, u_weights, v_weights, 2))


# -- transformations -----------------------------------------------------------------------------------


def _boxcox(log_x: Any, lmbda: Any) -> Any:
    """Return (exp(λ log x) - 1) / λ."""
    return log_x * expm1_over(lmbda * log_x)


@twin(scipy.stats)
def boxcox(x: Any, lmbda: Any = None, alpha: Any = None, optimizer: Any = None) -> Any:
    """Return the Box-Cox transform of x for a given lmbda."""
    if lmbda is None:
        raise UnsupportedError(f"stats.boxcox: lmbda of traced data is not fitted{at()}; maximise stats.boxcox_llf")
    return _boxcox(np.log(_real(x)), lmbda)


@twin(scipy.stats)
def boxcox_llf(lmb: Any, data: Any, *, axis: Axis = 0, keepdims: bool = False, nan_policy: str = "propagate") -> Any:
    """Return the log-likelihood of the Box-Cox transform."""
    _require("boxcox_llf", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(data, axis)
    logs = np.log(rows)
    y = (lmb - 1) * np.sum(logs, axis=0) - len(rows) / 2 * np.log(np.var(_boxcox(logs, lmb), axis=0))
    return restore(y, keepdims)


@twin(scipy.stats)
def yeojohnson(x: Any, lmbda: Any = None) -> Any:
    """Return the Yeo-Johnson transform of x for a given lmbda."""
    if lmbda is None:
        raise UnsupportedError(
            f"stats.yeojohnson: lmbda of traced data is not fitted{at()}; maximise stats.yeojohnson_llf"
        )
    x = _real(x)
    up = x >= 0
    rising, falling = np.log1p(np.where(up, x, 0.0)), np.log1p(-np.where(up, 0.0, x))
    return np.where(up, _boxcox(rising, lmbda), -_boxcox(falling, 2 - lmbda))


@twin(scipy.stats)
def yeojohnson_llf(lmb: Any, data: Any, *, axis: Axis = 0, nan_policy: str = "propagate",
                   keepdims: bool = False) -> Any:  # fmt: skip
    """Return the log-likelihood of the Yeo-Johnson transform."""
    _require("yeojohnson_llf", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(data, axis)
    spread = np.var(yeojohnson(rows, lmb), axis=0)
    y = (lmb - 1) * np.sum(np.sign(rows) * np.log1p(np.abs(rows)), axis=0) - len(rows) / 2 * np.log(spread)
    return restore(y, keepdims)


# -- angles --------------------------------------------------------------------------------------------


def _resultant(samples: Any, high: Any, low: Any, axis: Axis) -> tuple[Any, Any, Callable[[Any, bool], Any]]:
    rows, restore = _rows(samples, axis)
    angles = (rows - low) * 2 * math.pi / (high - low)
    return np.mean(np.sin(angles), axis=0), np.mean(np.cos(angles), axis=0), restore


@twin(scipy.stats)
def circmean(samples: Any, high: Any = 2 * math.pi, low: Any = 0, axis: Axis = None, nan_policy: str = "propagate", *,
             keepdims: bool = False) -> Any:  # fmt: skip
    """Return the mean of angles."""
    _require("circmean", nan_policy=(nan_policy, "propagate"))
    sine, cosine, restore = _resultant(samples, high, low, axis)
    return restore(np.mod(np.arctan2(sine, cosine), 2 * math.pi) * (high - low) / (2 * math.pi) + low, keepdims)


@twin(scipy.stats)
def circvar(samples: Any, high: Any = 2 * math.pi, low: Any = 0, axis: Axis = None, nan_policy: str = "propagate", *,
            keepdims: bool = False) -> Any:  # fmt: skip
    """Return the variance of angles."""
    _require("circvar", nan_policy=(nan_policy, "propagate"))
    sine, cosine, restore = _resultant(samples, high, low, axis)
    return restore(1 - np.hypot(sine, cosine), keepdims)


@twin(scipy.stats)
def circstd(samples: Any, high: Any = 2 * math.pi, low: Any = 0, axis: Axis = None, nan_policy: str = "propagate", *,
            normalize: bool = False, keepdims: bool = False) -> Any:  # fmt: skip
    """Return the standard deviation of angles."""
    _require("circstd", nan_policy=(nan_policy, "propagate"))
    sine, cosine, restore = _resultant(samples, high, low, axis)
    y = np.sqrt(-2 * np.log(np.hypot(sine, cosine)))
    return restore(y if normalize else y * (high - low) / (2 * math.pi), keepdims)


# -- tests ---------------------------------------------------------------------------------------------


def _pvalue(name: str, statistic: Any, alternative: str, *shapes: Any, **place: Any) -> Any:
    """Return the p-value of a statistic with a symmetric distribution."""
    distribution = DISTRIBUTIONS[name]
    if alternative == "two-sided":
        return 2 * distribution.sf(np.abs(statistic), *shapes, **place)
    return {"less": distribution.cdf, "greater": distribution.sf}[alternative](statistic, *shapes, **place)


@twin(scipy.stats)
def pearsonr(x: Any, y: Any, *, alternative: str = "two-sided", method: Any = None, axis: Axis = 0) -> Any:
    """Return the correlation coefficient of two samples, and its p-value."""
    _require("pearsonr", method=(method, None))
    (x, restore), (y, _) = _rows(x, axis), _rows(y, axis)
    n = len(x)
    if n < 3:
        raise ValueError("pearsonr: three pairs or more have a derivative")
    x, y = x - np.mean(x, axis=0), y - np.mean(y, axis=0)
    x, y = x / np.linalg.norm(x, axis=0), y / np.linalg.norm(y, axis=0)
    r = np.clip(np.sum(x * y, axis=0), -1, 1)
    p = _pvalue("beta", r, alternative, n / 2 - 1, n / 2 - 1, loc=-1, scale=2)
    return PearsonRResult(restore(r, False), p)


@twin(scipy.stats)
def linregress(x: Any, y: Any, alternative: str = "two-sided", *, axis: Axis = 0, nan_policy: str = "propagate",
               keepdims: bool = False) -> Any:  # fmt: skip
    """Return the line of least squares through pairs, its correlation, p-value and standard errors."""
    _require("linregress", nan_policy=(nan_policy, "propagate"))
    (x, restore), (y, _) = _rows(x, axis), _rows(y, axis)
    n = len(x)
    x_mean, y_mean = np.mean(x, axis=0), np.mean(y, axis=0)
    xx, yy = np.mean((x - x_mean) ** 2, axis=0), np.mean((y - y_mean) ** 2, axis=0)
    xy = np.mean((x - x_mean) * (y - y_mean), axis=0)
    r, slope = np.clip(xy / np.sqrt(xx * yy), -1, 1), xy / xx
    error = np.sqrt((1 - r * r) * yy / xx / (n - 2))
    p = _pvalue("t", r * np.sqrt((n - 2) / ((1 - r) * (1 + r))), alternative, n - 2)
    found = LinregressResult(*(restore(each, keepdims) for each in (slope, y_mean - slope * x_mean, r, p, error)))
    return _with(found, intercept_stderr=restore(error * np.sqrt(xx + x_mean**2), keepdims))


@twin(scipy.stats)
def ttest_1samp(a: Any, popmean: Any, axis: Axis = 0, nan_policy: str = "propagate", alternative: str = "two-sided", *,
                keepdims: bool = False) -> Any:  # fmt: skip
    """Return Student's statistic of a sample and its p-value."""
    _require("ttest_1samp", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(a, axis)
    n = len(rows)
    t = (np.mean(rows, axis=0) - popmean) / (np.std(rows, axis=0, ddof=1) / math.sqrt(n))
    found = StatisticResult(restore(t, keepdims), restore(_pvalue("t", t, alternative, n - 1), keepdims))
    return _with(found, df=n - 1)


@twin(scipy.stats)
def ttest_rel(a: Any, b: Any, axis: Axis = 0, nan_policy: str = "propagate", alternative: str = "two-sided", *,
              keepdims: bool = False) -> Any:  # fmt: skip
    """Return Student's statistic of the differences of pairs and its p-value."""
    return ttest_1samp(_real(a) - _real(b), 0.0, axis, nan_policy, alternative, keepdims=keepdims)


@twin(scipy.stats)
def ttest_ind(a: Any, b: Any, *, axis: Axis = 0, equal_var: bool = True, nan_policy: str = "propagate",
              alternative: str = "two-sided", trim: float = 0, method: Any = None,
              keepdims: bool = False) -> Any:  # fmt: skip
    """Return Student's (or with unequal variances Welch's) statistic of two samples and its p-value."""
    _require("ttest_ind", nan_policy=(nan_policy, "propagate"), trim=(trim, 0), method=(method, None))
    (a, restore), (b, _) = _rows(a, axis), _rows(b, axis)
    n, m = len(a), len(b)
    one, two = np.var(a, axis=0, ddof=1), np.var(b, axis=0, ddof=1)
    if equal_var:
        df: Any = n + m - 2
        error = np.sqrt(((n - 1) * one + (m - 1) * two) / df * (1 / n + 1 / m))
    else:
        df = (one / n + two / m) ** 2 / ((one / n) ** 2 / (n - 1) + (two / m) ** 2 / (m - 1))
        error = np.sqrt(one / n + two / m)
    t = (np.mean(a, axis=0) - np.mean(b, axis=0)) / error
    return _with(StatisticResult(restore(t, keepdims), restore(_pvalue("t", t, alternative, df), keepdims)), df=df)


@twin(scipy.stats)
def chisquare(f_obs: Any, f_exp: Any = None, ddof: Any = 0, axis: Axis = 0, *, sum_check: bool = True,
              nan_policy: str = "propagate", keepdims: bool = False) -> Any:  # fmt: skip
    """Return the chi-squared statistic of frequencies and its p-value. Sums of traced frequencies are not compared."""
    _require("chisquare", nan_policy=(nan_policy, "propagate"))
    rows, restore = _rows(f_obs, axis)
    expected = np.mean(rows, axis=0) if f_exp is None else _rows(f_exp, axis)[0]
    y = np.sum((rows - expected) ** 2 / expected, axis=0)
    p = DISTRIBUTIONS["chi2"].sf(y, len(rows) - 1 - ddof)
    return StatisticResult(restore(y, keepdims), restore(p, keepdims))
