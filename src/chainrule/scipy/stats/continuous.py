"""The continuous distributions: formulas of z = (x - loc) / scale, and of q for their inverses.

Formulas hold inside the support. They are written so that they keep their digits in the tails: `log1p` and `expm1` near
1, complements for upper tails, logarithms of distribution functions on their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.stats
from scipy.special import (
    betainc,
    betaincc,
    betainccinv,
    betaincinv,
    betaln,
    erf,
    erfc,
    erfinv,
    expit,
    gammainc,
    gammaincc,
    gammainccinv,
    gammaincinv,
    gammaln,
    i0e,
    i1e,
    log_expit,
    log_ndtr,
    logit,
    ndtr,
    ndtri,
    psi,
    xlog1py,
    xlogy,
)

from chainrule.scipy.special import zeta
from chainrule.scipy.stats.distribution import (
    DISTRIBUTIONS,
    INF,
    LINE,
    NUMBER,
    POSITIVE,
    REAL,
    Continuous,
    Shape,
    any_of,
    choose,
)
from chainrule.scipy.stats.hosted import slope

HALF = (0.0, INF)
EULER = float(np.euler_gamma)
LOG_2 = math.log(2)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2 * math.pi)
ROOT_2 = math.sqrt(2)
UNIT = Shape(lambda c: (c >= 0) & (c <= 1), 0.5)


# -- helpers -------------------------------------------------------------------------------------------


def log1mexp(x: Any) -> Any:
    """Return log(1 - exp(x)) for x < 0, by M. Mächler, Accurately computing log(1 − exp(−|a|)), 2012."""
    near = x > -LOG_2
    return np.where(near, np.log(-np.expm1(np.where(near, x, -1.0))), np.log1p(-np.exp(np.where(near, -1.0, x))))


def log1p_over(t: Any) -> Any:
    """Return log(1 + t) / t, with its Taylor series near 0."""
    near = np.abs(t) < 0.03
    small, large = np.where(near, t, 0.0), np.where(near, 1.0, t)
    series: Any = 1 / 13.0
    for k in range(12, 0, -1):
        series = 1 / k - small * series
    return np.where(near, series, np.log1p(large) / large)


def expm1_over(t: Any) -> Any:
    """Return (exp(t) - 1) / t, with its Taylor series near 0."""
    near = np.abs(t) < 0.1
    small, large = np.where(near, t, 0.0), np.where(near, 1.0, t)
    series: Any = 1.0
    for k in range(12, 1, -1):
        series = 1 + small * series / k
    return np.where(near, series, np.expm1(large) / large)


def normal(z: Any) -> Any:
    """Return the logarithm of the density of the standard normal distribution."""
    return -0.5 * z * z - 0.5 * LOG_2PI


def kept(condition: Any, value: Any, otherwise: float) -> Any:
    """Return a moment where it exists, with a formula that is only given what it can take."""
    return np.where(condition, value, otherwise)


def above(x: Any, bound: float) -> Any:
    """Return x where it is above a bound, else a number that is."""
    return np.where(x > bound, x, bound + 1.0)


def trigamma(x: Any) -> Any:
    """Return the derivative of psi."""
    return zeta(2.0, x)


def powers(z: Any, c: Any) -> Any:
    """Return |z| ** c, smooth where it is: z² has no kink at 0."""
    return (z * z) ** (c / 2)


def halves(q: Any) -> tuple[Any, Any]:
    """Return whether q is in the upper half, and twice the probability of the tail it is in."""
    upper = q > 0.5
    return upper, 2 * np.where(upper, 1 - q, q)


# -- on the whole line ---------------------------------------------------------------------------------

Continuous(
    "norm",
    LINE,
    logpdf=normal,
    cdf=ndtr,
    sf=lambda z: ndtr(-z),
    logcdf=log_ndtr,
    logsf=lambda z: log_ndtr(-z),
    ppf=ndtri,
    isf=lambda q: -ndtri(q),
)


def _t_logpdf(z: Any, df: Any) -> Any:
    """The normal density in the limit of infinite df."""
    limit = any_of(np.isinf(df))
    df = choose(limit, 1.0, df)
    y = -betaln(df / 2, 0.5) - 0.5 * np.log(df) - (df + 1) / 2 * np.log1p(z * z / df)
    return choose(limit, normal(z), y)


def _t_by_df(z: Any, df: Any) -> Any:
    limit = any_of(np.isinf(df))
    z, df = np.broadcast_arrays(z, choose(limit, 1.0, df))
    change = slope(lambda df: betainc(df / 2, 0.5, df / (df + z * z)), df)
    return choose(limit, 0.0, 0.5 * np.where(z < 0, change, -change))


Continuous(
    "t",
    LINE,
    {"df": POSITIVE},
    logpdf=_t_logpdf,
    by_shape=[_t_by_df],
    mean=lambda df: kept(df > 1, df * 0, INF),
    var=lambda df: kept(df > 2, df / (above(df, 2) - 2), kept(df > 1, INF, math.nan)),
    entropy=lambda df: (df + 1) / 2 * (psi((df + 1) / 2) - psi(df / 2)) + 0.5 * np.log(df) + betaln(df / 2, 0.5),
)
Continuous(
    "laplace",
    LINE,
    logpdf=lambda z: -LOG_2 - np.abs(z),
    cdf=lambda z: np.where(z > 0, 1 - 0.5 * np.exp(-np.where(z > 0, z, 0.0)), 0.5 * np.exp(np.where(z > 0, 0.0, z))),
    sf=lambda z: np.where(z > 0, 0.5 * np.exp(-np.where(z > 0, z, 0.0)), 1 - 0.5 * np.exp(np.where(z > 0, 0.0, z))),
    logcdf=lambda z: np.where(z > 0, np.log1p(-0.5 * np.exp(-np.where(z > 0, z, 0.0))), z - LOG_2),
    logsf=lambda z: np.where(z > 0, -z - LOG_2, np.log1p(-0.5 * np.exp(np.where(z > 0, 0.0, z)))),
    ppf=lambda q: np.where(q > 0.5, -1.0, 1.0) * np.log(halves(q)[1]),
    isf=lambda q: np.where(q > 0.5, 1.0, -1.0) * np.log(halves(q)[1]),
)
Continuous(
    "cauchy",
    LINE,
    logpdf=lambda z: -LOG_PI - np.log1p(z * z),
    pdf=lambda z: 1 / (math.pi * (1 + z * z)),
    cdf=lambda z: np.arctan2(1.0, -z) / math.pi,
    sf=lambda z: np.arctan2(1.0, z) / math.pi,
    ppf=lambda q: -1 / np.tan(math.pi * q),
    isf=lambda q: 1 / np.tan(math.pi * q),
)
Continuous(
    "logistic",
    LINE,
    logpdf=lambda z: log_expit(z) + log_expit(-z),
    cdf=expit,
    sf=lambda z: expit(-z),
    logcdf=log_expit,
    logsf=lambda z: log_expit(-z),
    ppf=logit,
    isf=lambda q: -logit(q),
)
Continuous(
    "gumbel_r",
    LINE,
    logpdf=lambda z: -z - np.exp(-z),
    cdf=lambda z: np.exp(-np.exp(-z)),
    sf=lambda z: -np.expm1(-np.exp(-z)),
    logcdf=lambda z: -np.exp(-z),
    logsf=lambda z: log1mexp(-np.exp(-z)),
    ppf=lambda q: -np.log(-np.log(q)),
    isf=lambda q: -np.log(-np.log1p(-q)),
)
Continuous(
    "gumbel_l",
    LINE,
    logpdf=lambda z: z - np.exp(z),
    cdf=lambda z: -np.expm1(-np.exp(z)),
    sf=lambda z: np.exp(-np.exp(z)),
    logcdf=lambda z: log1mexp(-np.exp(z)),
    logsf=lambda z: -np.exp(z),
    ppf=lambda q: np.log(-np.log1p(-q)),
    isf=lambda q: np.log(-np.log(q)),
)
Continuous(
    "hypsecant",
    LINE,
    logpdf=lambda z: LOG_2 - LOG_PI - np.logaddexp(z, -z),
    cdf=lambda z: 2 / math.pi * np.arctan(np.exp(z)),
    sf=lambda z: 2 / math.pi * np.arctan(np.exp(-z)),
    ppf=lambda q: np.log(np.tan(math.pi / 2 * q)),
    isf=lambda q: -np.log(np.tan(math.pi / 2 * q)),
)
Continuous(
    "moyal",
    LINE,
    logpdf=lambda z: -0.5 * (z + np.exp(-z) + LOG_2PI),
    cdf=lambda z: erfc(np.exp(-0.5 * z) / ROOT_2),
    sf=lambda z: erf(np.exp(-0.5 * z) / ROOT_2),
)


def _delta(a: Any) -> Any:
    return a / np.sqrt(1 + a * a) * math.sqrt(2 / math.pi)


Continuous(
    "skewnorm",
    LINE,
    {"a": REAL},
    logpdf=lambda z, a: LOG_2 + normal(z) + log_ndtr(a * z),
    # of Owen's T function by its second argument, Owen 1956: cdf is Φ(z) - 2 T(z, a)
    by_shape=[lambda z, a: -np.exp(-0.5 * z * z * (1 + a * a)) / (math.pi * (1 + a * a))],
    mean=_delta,
    var=lambda a: 1 - _delta(a) ** 2,
    skew=lambda a: (4 - math.pi) / 2 * _delta(a) ** 3 / (1 - _delta(a) ** 2) ** 1.5,
    kurtosis=lambda a: 2 * (math.pi - 3) * _delta(a) ** 4 / (1 - _delta(a) ** 2) ** 2,
)
Continuous(
    "gennorm",
    LINE,
    {"beta": POSITIVE},
    logpdf=lambda z, beta: np.log(0.5 * beta) - gammaln(1 / beta) - powers(z, beta),
    by_shape=[
        lambda z, beta: np.where(z > 0, -0.5, 0.5) * slope(lambda b: gammaincc(1 / b, np.abs(z) ** b), _fit(beta, z))
    ],
    mean=lambda beta: beta * 0,
    var=lambda beta: np.exp(gammaln(3 / beta) - gammaln(1 / beta)),
    skew=lambda beta: beta * 0,
    kurtosis=lambda beta: np.exp(gammaln(5 / beta) + gammaln(1 / beta) - 2 * gammaln(3 / beta)) - 3,
    entropy=lambda beta: 1 / beta - np.log(0.5 * beta) + gammaln(1 / beta),
)


def _fit(shape: Any, z: Any) -> Any:
    """Return a shape parameter in the common shape of it and z."""
    return np.broadcast_arrays(shape, z)[0]


Continuous(
    "dgamma",
    LINE,
    {"a": POSITIVE},
    logpdf=lambda z, a: xlogy(a - 1, np.abs(z)) - np.abs(z) - LOG_2 - gammaln(a),
    by_shape=[lambda z, a: np.where(z > 0, -0.5, 0.5) * slope(lambda a: gammaincc(a, np.abs(z)), _fit(a, z))],
    mean=lambda a: a * 0,
    var=lambda a: a * (a + 1),
    skew=lambda a: a * 0,
    kurtosis=lambda a: (a + 2) * (a + 3) / (a * (a + 1)) - 3,
    entropy=lambda a: a + gammaln(a) + LOG_2 + (1 - a) * psi(a),
)
Continuous(
    "dweibull",
    LINE,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(0.5 * c) + xlogy(c - 1, np.abs(z)) - powers(z, c),
    by_shape=[lambda z, c: np.where(z > 0, -0.5, 0.5) * slope(lambda c: np.exp(-(np.abs(z) ** c)), _fit(c, z))],
    mean=lambda c: c * 0,
    var=lambda c: np.exp(gammaln(1 + 2 / c)),
    skew=lambda c: c * 0,
    kurtosis=lambda c: np.exp(gammaln(1 + 4 / c) - 2 * gammaln(1 + 2 / c)) - 3,
    entropy=lambda c: (1 - 1 / c) * EULER - np.log(c) + 1 + LOG_2,
)
Continuous(
    "loggamma",
    LINE,
    {"c": POSITIVE},
    logpdf=lambda z, c: c * z - np.exp(z) - gammaln(c),
    by_shape=[lambda z, c: slope(lambda c: gammainc(c, np.exp(z)), _fit(c, z))],
    mean=psi,
    var=trigamma,
    skew=lambda c: -2 * zeta(3.0, c) / trigamma(c) ** 1.5,
    kurtosis=lambda c: 6 * zeta(4.0, c) / trigamma(c) ** 2,
    entropy=lambda c: gammaln(c) + c - c * psi(c),
)


def _exponnorm_tail(z: Any, k: Any) -> Any:
    """Return the difference between the normal distribution function and this one."""
    z = np.maximum(z, -1e100)
    return np.exp((0.5 / k - z) / k + log_ndtr(z - 1 / k))


Continuous(
    "exponnorm",
    LINE,
    {"K": POSITIVE},
    logpdf=lambda z, k: (0.5 / k - z) / k + log_ndtr(z - 1 / k) - np.log(k),
    cdf=lambda z, k: ndtr(z) - _exponnorm_tail(z, k),
    sf=lambda z, k: ndtr(-z) + _exponnorm_tail(z, k),
    mean=lambda k: k,
    var=lambda k: 1 + k * k,
    skew=lambda k: 2 * k**3 / (1 + k * k) ** 1.5,
    kurtosis=lambda k: 6 * k**4 / (1 + k * k) ** 2,
)
Continuous(
    "vonmises",
    LINE,
    {"kappa": Shape(lambda kappa: kappa >= 0, 1.0)},
    logpdf=lambda z, kappa: -2 * kappa * np.sin(z / 2) ** 2 - LOG_2PI - np.log(i0e(kappa)),
    entropy=lambda kappa: -kappa * i1e(kappa) / i0e(kappa) + LOG_2PI + np.log(i0e(kappa)) + kappa,
)
Continuous(
    "genlogistic",
    LINE,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) + log_expit(-z) + c * log_expit(z),
    cdf=lambda z, c: np.exp(c * log_expit(z)),
    sf=lambda z, c: -np.expm1(c * log_expit(z)),
    logcdf=lambda z, c: c * log_expit(z),
    logsf=lambda z, c: log1mexp(c * log_expit(z)),
    ppf=lambda q, c: -np.log(np.expm1(-np.log(q) / c)),
    isf=lambda q, c: -np.log(np.expm1(-np.log1p(-q) / c)),
    mean=lambda c: EULER + psi(c),
    var=lambda c: math.pi**2 / 6 + trigamma(c),
    entropy=lambda c: -np.log(c) + psi(c + 1) + EULER + 1,
)
Continuous(
    "johnsonsu",
    LINE,
    {"a": REAL, "b": POSITIVE},
    logpdf=lambda z, a, b: np.log(b) - 0.5 * np.log1p(z * z) + normal(a + b * np.arcsinh(z)),
    cdf=lambda z, a, b: ndtr(a + b * np.arcsinh(z)),
    sf=lambda z, a, b: ndtr(-a - b * np.arcsinh(z)),
    logcdf=lambda z, a, b: log_ndtr(a + b * np.arcsinh(z)),
    logsf=lambda z, a, b: log_ndtr(-a - b * np.arcsinh(z)),
    ppf=lambda q, a, b: np.sinh((ndtri(q) - a) / b),
    isf=lambda q, a, b: np.sinh((-ndtri(q) - a) / b),
)

# -- on a half line ------------------------------------------------------------------------------------


def _gamma_entropy(a: Any) -> Any:
    return a + gammaln(a) + (1 - a) * psi(a)


for _name in ("gamma", "erlang"):
    Continuous(
        _name,
        HALF,
        {"a": POSITIVE},
        logpdf=lambda z, a: xlogy(a - 1, z) - z - gammaln(a),
        cdf=lambda z, a: gammainc(a, z),
        sf=lambda z, a: gammaincc(a, z),
        ppf=lambda q, a: gammaincinv(a, q),
        isf=lambda q, a: gammainccinv(a, q),
        mean=lambda a: a,
        var=lambda a: a,
        skew=lambda a: 2 / np.sqrt(a),
        kurtosis=lambda a: 6 / a,
        entropy=_gamma_entropy,
    )
Continuous(
    "chi2",
    HALF,
    {"df": POSITIVE},
    logpdf=lambda z, df: xlogy(df / 2 - 1, z) - z / 2 - gammaln(df / 2) - LOG_2 / 2 * df,
    cdf=lambda z, df: gammainc(df / 2, z / 2),
    sf=lambda z, df: gammaincc(df / 2, z / 2),
    ppf=lambda q, df: 2 * gammaincinv(df / 2, q),
    isf=lambda q, df: 2 * gammainccinv(df / 2, q),
    mean=lambda df: df,
    var=lambda df: 2 * df,
    skew=lambda df: np.sqrt(8 / df),
    kurtosis=lambda df: 12 / df,
    entropy=lambda df: _gamma_entropy(df / 2) + LOG_2,
)


def _chi_mean(df: Any) -> Any:
    return ROOT_2 * np.exp(gammaln((df + 1) / 2) - gammaln(df / 2))


Continuous(
    "chi",
    HALF,
    {"df": POSITIVE},
    logpdf=lambda z, df: LOG_2 * (1 - df / 2) - gammaln(df / 2) + xlogy(df - 1, z) - 0.5 * z * z,
    cdf=lambda z, df: gammainc(df / 2, 0.5 * z * z),
    sf=lambda z, df: gammaincc(df / 2, 0.5 * z * z),
    ppf=lambda q, df: np.sqrt(2 * gammaincinv(df / 2, q)),
    isf=lambda q, df: np.sqrt(2 * gammainccinv(df / 2, q)),
    mean=_chi_mean,
    var=lambda df: df - _chi_mean(df) ** 2,
    entropy=lambda df: gammaln(df / 2) + 0.5 * (df - LOG_2 - (df - 1) * psi(df / 2)),
)
Continuous(
    "expon",
    HALF,
    logpdf=lambda z: -z,
    cdf=lambda z: -np.expm1(-z),
    sf=lambda z: np.exp(-z),
    logcdf=lambda z: log1mexp(-z),
    logsf=lambda z: -z,
    ppf=lambda q: -np.log1p(-q),
    isf=lambda q: -np.log(q),
)
Continuous(
    "weibull_min",
    HALF,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) + xlogy(c - 1, z) - z**c,
    cdf=lambda z, c: -np.expm1(-(z**c)),
    sf=lambda z, c: np.exp(-(z**c)),
    logcdf=lambda z, c: log1mexp(-(z**c)),
    logsf=lambda z, c: -(z**c),
    ppf=lambda q, c: (-np.log1p(-q)) ** (1 / c),
    isf=lambda q, c: (-np.log(q)) ** (1 / c),
    mean=lambda c: np.exp(gammaln(1 + 1 / c)),
    var=lambda c: np.exp(gammaln(1 + 2 / c)) - np.exp(2 * gammaln(1 + 1 / c)),
    entropy=lambda c: -EULER / c - np.log(c) + EULER + 1,
)
Continuous(
    "weibull_max",
    (-INF, 0.0),
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) + xlogy(c - 1, -z) - (-z) ** c,
    cdf=lambda z, c: np.exp(-((-z) ** c)),
    sf=lambda z, c: -np.expm1(-((-z) ** c)),
    logcdf=lambda z, c: -((-z) ** c),
    logsf=lambda z, c: log1mexp(-((-z) ** c)),
    ppf=lambda q, c: -((-np.log(q)) ** (1 / c)),
    isf=lambda q, c: -((-np.log1p(-q)) ** (1 / c)),
    mean=lambda c: -np.exp(gammaln(1 + 1 / c)),
    var=lambda c: np.exp(gammaln(1 + 2 / c)) - np.exp(2 * gammaln(1 + 1 / c)),
    entropy=lambda c: -EULER / c - np.log(c) + EULER + 1,
)
Continuous(
    "invweibull",
    HALF,
    {"c": POSITIVE},
    is_open=True,
    logpdf=lambda z, c: np.log(c) - (c + 1) * np.log(z) - z**-c,
    cdf=lambda z, c: np.exp(-(z**-c)),
    sf=lambda z, c: -np.expm1(-(z**-c)),
    logcdf=lambda z, c: -(z**-c),
    logsf=lambda z, c: log1mexp(-(z**-c)),
    ppf=lambda q, c: (-np.log(q)) ** (-1 / c),
    isf=lambda q, c: (-np.log1p(-q)) ** (-1 / c),
    entropy=lambda c: 1 + EULER + EULER / c - np.log(c),
)


def _exponweib(z: Any, c: Any) -> Any:
    return log1mexp(-(z**c))


Continuous(
    "exponweib",
    HALF,
    {"a": POSITIVE, "c": POSITIVE},
    is_open=True,
    logpdf=lambda z, a, c: np.log(a) + np.log(c) + (a - 1) * _exponweib(z, c) - z**c + (c - 1) * np.log(z),
    cdf=lambda z, a, c: np.exp(a * _exponweib(z, c)),
    sf=lambda z, a, c: -np.expm1(a * _exponweib(z, c)),
    logcdf=lambda z, a, c: a * _exponweib(z, c),
    logsf=lambda z, a, c: log1mexp(a * _exponweib(z, c)),
    ppf=lambda q, a, c: (-np.log(-np.expm1(np.log(q) / a))) ** (1 / c),
    isf=lambda q, a, c: (-np.log(-np.expm1(np.log1p(-q) / a))) ** (1 / c),
)


def _lognorm_kurtosis(s: Any) -> Any:
    p = np.exp(s * s)
    return p**4 + 2 * p**3 + 3 * p**2 - 6


Continuous(
    "lognorm",
    HALF,
    {"s": POSITIVE},
    is_open=True,
    logpdf=lambda z, s: normal(np.log(z) / s) - np.log(s) - np.log(z),
    cdf=lambda z, s: ndtr(np.log(z) / s),
    sf=lambda z, s: ndtr(-np.log(z) / s),
    logcdf=lambda z, s: log_ndtr(np.log(z) / s),
    logsf=lambda z, s: log_ndtr(-np.log(z) / s),
    ppf=lambda q, s: np.exp(s * ndtri(q)),
    isf=lambda q, s: np.exp(-s * ndtri(q)),
    mean=lambda s: np.exp(0.5 * s * s),
    var=lambda s: np.expm1(s * s) * np.exp(s * s),
    skew=lambda s: np.sqrt(np.expm1(s * s)) * (2 + np.exp(s * s)),
    kurtosis=_lognorm_kurtosis,
    entropy=lambda s: 0.5 * (1 + LOG_2PI) + np.log(s),
)
Continuous(
    "gibrat",
    HALF,
    is_open=True,
    logpdf=lambda z: normal(np.log(z)) - np.log(z),
    cdf=lambda z: ndtr(np.log(z)),
    sf=lambda z: ndtr(-np.log(z)),
    ppf=lambda q: np.exp(ndtri(q)),
    isf=lambda q: np.exp(-ndtri(q)),
)
Continuous(
    "halfnorm",
    HALF,
    logpdf=lambda z: normal(z) + LOG_2,
    cdf=lambda z: erf(z / ROOT_2),
    sf=lambda z: erfc(z / ROOT_2),
    logsf=lambda z: np.where(z < 1, np.log1p(-erf(np.minimum(z, 1.0) / ROOT_2)), LOG_2 + log_ndtr(-z)),
    ppf=lambda q: ROOT_2 * erfinv(q),
    isf=lambda q: -ndtri(q / 2),
)
Continuous(
    "halfcauchy",
    HALF,
    logpdf=lambda z: LOG_2 - LOG_PI - np.log1p(z * z),
    pdf=lambda z: 2 / (math.pi * (1 + z * z)),
    cdf=lambda z: 2 / math.pi * np.arctan(z),
    sf=lambda z: 2 / math.pi * np.arctan2(1.0, z),
    ppf=lambda q: np.tan(math.pi / 2 * q),
    isf=lambda q: 1 / np.tan(math.pi / 2 * q),
)
Continuous(
    "halflogistic",
    HALF,
    logpdf=lambda z: LOG_2 + log_expit(z) + log_expit(-z),
    cdf=lambda z: np.tanh(z / 2),
    sf=lambda z: 2 * expit(-z),
    logsf=lambda z: np.where(z < 1, np.log1p(-np.tanh(np.minimum(z, 1.0) / 2)), LOG_2 + log_expit(-z)),
    ppf=lambda q: 2 * np.arctanh(q),
    isf=lambda q: np.log((2 - q) / q),
)
Continuous(
    "invgamma",
    HALF,
    {"a": POSITIVE},
    is_open=True,
    logpdf=lambda z, a: -(a + 1) * np.log(z) - gammaln(a) - 1 / z,
    cdf=lambda z, a: gammaincc(a, 1 / z),
    sf=lambda z, a: gammainc(a, 1 / z),
    ppf=lambda q, a: 1 / gammainccinv(a, q),
    isf=lambda q, a: 1 / gammaincinv(a, q),
    mean=lambda a: kept(a > 1, 1 / (above(a, 1) - 1), INF),
    var=lambda a: kept(a > 2, 1 / (above(a, 2) - 1) ** 2 / (above(a, 2) - 2), INF),
    entropy=lambda a: a - (a + 1) * psi(a) + gammaln(a),
)


def _invgauss_logcdf(z: Any, mu: Any) -> Any:
    """Chhikara and Folks, The Inverse Gaussian Distribution, 1989, (2.8)."""
    r = np.sqrt(z)
    first = log_ndtr((z / mu - 1) / r)
    return first + np.log1p(np.exp(2 / mu + log_ndtr(-(z / mu + 1) / r) - first))


def _invgauss_logsf(z: Any, mu: Any) -> Any:
    r = np.sqrt(z)
    first = log_ndtr((1 - z / mu) / r)
    return first + np.log1p(-np.exp(2 / mu + log_ndtr(-(z / mu + 1) / r) - first))


def _invgauss_logpdf(z: Any, mu: Any) -> Any:
    return -0.5 * LOG_2PI - 1.5 * np.log(z) - (z / mu - 1) ** 2 / (2 * z)


Continuous(
    "invgauss",
    HALF,
    {"mu": POSITIVE},
    is_open=True,
    logpdf=_invgauss_logpdf,
    cdf=lambda z, mu: np.exp(_invgauss_logcdf(z, mu)),
    sf=lambda z, mu: np.exp(_invgauss_logsf(z, mu)),
    logcdf=_invgauss_logcdf,
    logsf=_invgauss_logsf,
    mean=lambda mu: mu,
    var=lambda mu: mu**3,
    skew=lambda mu: 3 * np.sqrt(mu),
    kurtosis=lambda mu: 15 * mu,
)
Continuous(
    "wald",
    HALF,
    is_open=True,
    logpdf=lambda z: _invgauss_logpdf(z, 1.0),
    cdf=lambda z: np.exp(_invgauss_logcdf(z, 1.0)),
    sf=lambda z: np.exp(_invgauss_logsf(z, 1.0)),
    logcdf=lambda z: _invgauss_logcdf(z, 1.0),
    logsf=lambda z: _invgauss_logsf(z, 1.0),
)


def _f_logpdf(z: Any, n: Any, m: Any) -> Any:
    y = n / 2 * np.log(n) + m / 2 * np.log(m) + xlogy(n / 2 - 1, z)
    return y - (n + m) / 2 * np.log(m + n * z) - betaln(n / 2, m / 2)


Continuous(
    "f",
    HALF,
    {"dfn": POSITIVE, "dfd": POSITIVE},
    logpdf=_f_logpdf,
    cdf=lambda z, n, m: betainc(n / 2, m / 2, n * z / (m + n * z)),
    sf=lambda z, n, m: betainc(m / 2, n / 2, m / (m + n * z)),
    mean=lambda n, m: kept(m > 2, m / (above(m, 2) - 2), INF),
    var=lambda n, m: kept(m > 4, _f_var(n, above(m, 4)), INF),
)


def _f_var(n: Any, m: Any) -> Any:
    return 2 * m * m * (n + m - 2) / (n * (m - 2) ** 2 * (m - 4))


def _betaprime_logpdf(z: Any, a: Any, b: Any) -> Any:
    return xlogy(a - 1, z) - xlog1py(a + b, z) - betaln(a, b)


Continuous(
    "betaprime",
    HALF,
    {"a": POSITIVE, "b": POSITIVE},
    logpdf=_betaprime_logpdf,
    cdf=lambda z, a, b: betainc(a, b, z / (1 + z)),
    sf=lambda z, a, b: betainc(b, a, 1 / (1 + z)),
    mean=lambda a, b: kept(b > 1, a / (above(b, 1) - 1), INF),
)
Continuous(
    "rayleigh",
    HALF,
    is_open=True,
    logpdf=lambda z: np.log(z) - 0.5 * z * z,
    cdf=lambda z: -np.expm1(-0.5 * z * z),
    sf=lambda z: np.exp(-0.5 * z * z),
    logcdf=lambda z: log1mexp(-0.5 * z * z),
    logsf=lambda z: -0.5 * z * z,
    ppf=lambda q: np.sqrt(-2 * np.log1p(-q)),
    isf=lambda q: np.sqrt(-2 * np.log(q)),
)
Continuous(
    "maxwell",
    HALF,
    is_open=True,
    logpdf=lambda z: LOG_2 + normal(z) + 2 * np.log(z),
    cdf=lambda z: gammainc(1.5, 0.5 * z * z),
    sf=lambda z: gammaincc(1.5, 0.5 * z * z),
    ppf=lambda q: np.sqrt(2 * gammaincinv(1.5, q)),
    isf=lambda q: np.sqrt(2 * gammainccinv(1.5, q)),
)


def _nakagami_mean(nu: Any) -> Any:
    return np.exp(gammaln(nu + 0.5) - gammaln(nu)) / np.sqrt(nu)


Continuous(
    "nakagami",
    HALF,
    {"nu": POSITIVE},
    logpdf=lambda z, nu: LOG_2 + xlogy(nu, nu) - gammaln(nu) + xlogy(2 * nu - 1, z) - nu * z * z,
    cdf=lambda z, nu: gammainc(nu, nu * z * z),
    sf=lambda z, nu: gammaincc(nu, nu * z * z),
    ppf=lambda q, nu: np.sqrt(gammaincinv(nu, q) / nu),
    isf=lambda q, nu: np.sqrt(gammainccinv(nu, q) / nu),
    mean=_nakagami_mean,
    var=lambda nu: 1 - _nakagami_mean(nu) ** 2,
)


def _gengamma_moment(n: int, a: Any, c: Any) -> Any:
    return np.exp(gammaln(a + n / c) - gammaln(a))


Continuous(
    "gengamma",
    HALF,
    {"a": POSITIVE, "c": Shape(lambda c: c != 0, 1.0)},
    is_open=True,
    logpdf=lambda z, a, c: np.log(np.abs(c)) + (c * a - 1) * np.log(z) - z**c - gammaln(a),
    cdf=lambda z, a, c: np.where(c > 0, gammainc(a, z**c), gammaincc(a, z**c)),
    sf=lambda z, a, c: np.where(c > 0, gammaincc(a, z**c), gammainc(a, z**c)),
    ppf=lambda q, a, c: np.where(c > 0, gammaincinv(a, q), gammainccinv(a, q)) ** (1 / c),
    isf=lambda q, a, c: np.where(c > 0, gammainccinv(a, q), gammaincinv(a, q)) ** (1 / c),
    entropy=lambda a, c: psi(a) / c * (1 - a * c) + a + gammaln(a) - np.log(np.abs(c)),
)
Continuous(
    "levy",
    HALF,
    is_open=True,
    logpdf=lambda z: -0.5 * LOG_2PI - 1.5 * np.log(z) - 0.5 / z,
    cdf=lambda z: erfc(np.sqrt(0.5 / z)),
    sf=lambda z: erf(np.sqrt(0.5 / z)),
    ppf=lambda q: ndtri(q / 2) ** -2.0,
    isf=lambda q: 0.5 * erfinv(q) ** -2.0,
)
Continuous(
    "gompertz",
    HALF,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) + z - c * np.expm1(z),
    cdf=lambda z, c: -np.expm1(-c * np.expm1(z)),
    sf=lambda z, c: np.exp(-c * np.expm1(z)),
    logcdf=lambda z, c: log1mexp(-c * np.expm1(z)),
    logsf=lambda z, c: -c * np.expm1(z),
    ppf=lambda q, c: np.log1p(-np.log1p(-q) / c),
    isf=lambda q, c: np.log1p(-np.log(q) / c),
)
Continuous(
    "pareto",
    (1.0, INF),
    {"b": POSITIVE},
    logpdf=lambda z, b: np.log(b) - (b + 1) * np.log(z),
    cdf=lambda z, b: -np.expm1(-b * np.log(z)),
    sf=lambda z, b: z**-b,
    logcdf=lambda z, b: log1mexp(-b * np.log(z)),
    logsf=lambda z, b: -b * np.log(z),
    ppf=lambda q, b: np.exp(-np.log1p(-q) / b),
    isf=lambda q, b: q ** (-1 / b),
    mean=lambda b: kept(b > 1, above(b, 1) / (above(b, 1) - 1), INF),
    var=lambda b: kept(b > 2, above(b, 2) / (above(b, 2) - 2) / (above(b, 2) - 1) ** 2, INF),
    entropy=lambda b: 1 + 1 / b - np.log(b),
)
Continuous(
    "lomax",
    HALF,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) - (c + 1) * np.log1p(z),
    cdf=lambda z, c: -np.expm1(-c * np.log1p(z)),
    sf=lambda z, c: np.exp(-c * np.log1p(z)),
    logcdf=lambda z, c: log1mexp(-c * np.log1p(z)),
    logsf=lambda z, c: -c * np.log1p(z),
    ppf=lambda q, c: np.expm1(-np.log1p(-q) / c),
    isf=lambda q, c: np.expm1(-np.log(q) / c),
    mean=lambda c: kept(c > 1, 1 / (above(c, 1) - 1), INF),
    var=lambda c: kept(c > 2, above(c, 2) / (above(c, 2) - 2) / (above(c, 2) - 1) ** 2, INF),
    entropy=lambda c: 1 + 1 / c - np.log(c),
)


def _burr_log(z: Any, c: Any) -> Any:
    """Return log(zᶜ / (1 + zᶜ))."""
    return log_expit(xlogy(c, z))


Continuous(
    "burr",
    HALF,
    {"c": POSITIVE, "d": POSITIVE},
    logpdf=lambda z, c, d: np.log(c) + np.log(d) + xlogy(c * d - 1, z) + (d + 1) * log_expit(-xlogy(c, z)),
    cdf=lambda z, c, d: np.exp(d * _burr_log(z, c)),
    sf=lambda z, c, d: -np.expm1(d * _burr_log(z, c)),
    logcdf=lambda z, c, d: d * _burr_log(z, c),
    logsf=lambda z, c, d: log1mexp(d * _burr_log(z, c)),
    ppf=lambda q, c, d: np.expm1(-np.log(q) / d) ** (-1 / c),
    isf=lambda q, c, d: np.expm1(-np.log1p(-q) / d) ** (-1 / c),
    mean=lambda c, d: kept(c > 1, d * np.exp(betaln(d + 1 / above(c, 1), 1 - 1 / above(c, 1))), math.nan),
)
Continuous(
    "burr12",
    HALF,
    {"c": POSITIVE, "d": POSITIVE},
    logpdf=lambda z, c, d: np.log(c) + np.log(d) + xlogy(c - 1, z) + (d + 1) * log_expit(-xlogy(c, z)),
    cdf=lambda z, c, d: -np.expm1(d * log_expit(-xlogy(c, z))),
    sf=lambda z, c, d: np.exp(d * log_expit(-xlogy(c, z))),
    logcdf=lambda z, c, d: log1mexp(d * log_expit(-xlogy(c, z))),
    logsf=lambda z, c, d: d * log_expit(-xlogy(c, z)),
    ppf=lambda q, c, d: np.expm1(-np.log1p(-q) / d) ** (1 / c),
    isf=lambda q, c, d: np.expm1(-np.log(q) / d) ** (1 / c),
)


def _fisk_mean(c: Any) -> Any:
    return math.pi / c / np.sin(math.pi / c)


def _fisk_var(c: Any) -> Any:
    return 2 * math.pi / c / np.sin(2 * math.pi / c) - _fisk_mean(c) ** 2


Continuous(
    "fisk",
    HALF,
    {"c": POSITIVE},
    logpdf=lambda z, c: np.log(c) + xlogy(c - 1, z) + 2 * log_expit(-xlogy(c, z)),
    cdf=lambda z, c: expit(xlogy(c, z)),
    sf=lambda z, c: expit(-xlogy(c, z)),
    logcdf=_burr_log,
    logsf=lambda z, c: log_expit(-xlogy(c, z)),
    ppf=lambda q, c: np.exp(logit(q) / c),
    isf=lambda q, c: np.exp(-logit(q) / c),
    mean=lambda c: kept(c > 1, _fisk_mean(above(c, 1)), math.nan),
    var=lambda c: kept(c > 2, _fisk_var(above(c, 2)), math.nan),
    entropy=lambda c: 2 - np.log(c),
)


def _loglaplace(z: Any, c: Any) -> Any:
    return 0.5 * np.exp(-c * np.abs(np.log(z)))


Continuous(
    "loglaplace",
    HALF,
    {"c": POSITIVE},
    is_open=True,
    logpdf=lambda z, c: np.log(0.5 * c) + (np.where(z < 1, c, -c) - 1) * np.log(z),
    cdf=lambda z, c: np.where(z < 1, _loglaplace(z, c), 1 - _loglaplace(z, c)),
    sf=lambda z, c: np.where(z < 1, 1 - _loglaplace(z, c), _loglaplace(z, c)),
    ppf=lambda q, c: np.exp(np.where(q > 0.5, -1.0, 1.0) * np.log(halves(q)[1]) / c),
    isf=lambda q, c: np.exp(np.where(q > 0.5, 1.0, -1.0) * np.log(halves(q)[1]) / c),
    mean=lambda c: kept(c > 1, above(c, 1) ** 2 / (above(c, 1) ** 2 - 1), INF),
    entropy=lambda c: np.log(2 / c) + 1,
)

# -- with ends that depend on the shapes, or two of them -------------------------------------------------


def _gev_log(z: Any, c: Any) -> Any:
    """Return the logarithm of -log(cdf)."""
    return -z * log1p_over(-c * z)


def _gev_mean(c: Any) -> Any:
    c = np.where(c > -1, c, 0.0)
    small = np.abs(c) < 1e-8
    safe = np.where(small, 1.0, c)
    return np.where(small, EULER - c * (math.pi**2 / 12 + EULER**2 / 2), -np.expm1(gammaln(safe + 1)) / safe)


Continuous(
    "genextreme",
    lambda c: (np.where(c < 0, 1 / np.where(c < 0, c, -1.0), -INF), np.where(c > 0, 1 / np.where(c > 0, c, 1.0), INF)),
    {"c": REAL},
    inside=0.0,
    logpdf=lambda z, c: _gev_log(z, c) - np.exp(_gev_log(z, c)) + c * z * log1p_over(-c * z),
    cdf=lambda z, c: np.exp(-np.exp(_gev_log(z, c))),
    sf=lambda z, c: -np.expm1(-np.exp(_gev_log(z, c))),
    logcdf=lambda z, c: -np.exp(_gev_log(z, c)),
    logsf=lambda z, c: log1mexp(-np.exp(_gev_log(z, c))),
    ppf=lambda q, c: -np.log(-np.log(q)) * expm1_over(c * np.log(-np.log(q))),
    isf=lambda q, c: -np.log(-np.log1p(-q)) * expm1_over(c * np.log(-np.log1p(-q))),
    mean=lambda c: kept(c > -1, _gev_mean(c), math.nan),
    entropy=lambda c: EULER * (1 - c) + 1,
)


def _gp_log(z: Any, c: Any) -> Any:
    """Return log(sf)."""
    return -z * log1p_over(c * z)


Continuous(
    "genpareto",
    lambda c: (0.0, np.where(c < 0, -1 / np.where(c < 0, c, -1.0), INF)),
    {"c": REAL},
    inside=lambda c: np.where(c < 0, -0.5 / np.where(c < 0, c, -1.0), 1.0),
    logpdf=lambda z, c: (c + 1) * _gp_log(z, c),
    cdf=lambda z, c: -np.expm1(_gp_log(z, c)),
    sf=lambda z, c: np.exp(_gp_log(z, c)),
    logcdf=lambda z, c: log1mexp(_gp_log(z, c)),
    logsf=_gp_log,
    ppf=lambda q, c: -np.log1p(-q) * expm1_over(-c * np.log1p(-q)),
    isf=lambda q, c: -np.log(q) * expm1_over(-c * np.log(q)),
    mean=lambda c: kept(c < 1, 1 / (1 - np.where(c < 1, c, 0.0)), INF),
    var=lambda c: kept(c < 0.5, 1 / (1 - _below_half(c)) ** 2 / (1 - 2 * _below_half(c)), INF),
    entropy=lambda c: c + 1,
)


def _below_half(c: Any) -> Any:
    return np.where(c < 0.5, c, 0.0)


def _log_mass(a: Any, b: Any) -> Any:
    """Return the logarithm of the normal probability between a and b, from the tail that both are in."""
    flipped = a > 0
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    tail = high <= 0
    lower, upper = np.where(tail, low, -2.0), np.where(tail, high, -1.0)
    first = log_ndtr(upper)
    aside = first + log1mexp(np.minimum(log_ndtr(lower) - first, -1e-300))
    around = np.log1p(-ndtr(np.where(tail, -1.0, low)) - ndtr(-np.where(tail, 1.0, high)))
    return np.where(tail, aside, around)


def _smaller(log_p: Any, log_q: Any) -> Any:
    """Return log(p), for p near 1 by its complement q."""
    most = log_p > -0.1
    return np.where(most, np.log1p(-np.exp(np.where(most, log_q, -1.0))), log_p)


def _truncnorm_moments(a: Any, b: Any) -> tuple[Any, Any]:
    mass = _log_mass(a, b)
    at_a, at_b = np.exp(normal(a) - mass), np.exp(normal(b) - mass)
    finite_a, finite_b = np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)
    mean = at_a - at_b
    return mean, 1 + finite_a * at_a - finite_b * at_b - mean**2


Continuous(
    "truncnorm",
    lambda a, b: (a, b),
    {"a": NUMBER, "b": Shape(lambda b: b == b, 1.5)},
    check=lambda a, b: a < b,
    inside=lambda a, b: np.clip(0.0, a, b),
    logpdf=lambda z, a, b: normal(z) - _log_mass(a, b),
    cdf=lambda z, a, b: np.exp(_log_mass(a, z) - _log_mass(a, b)),
    sf=lambda z, a, b: np.exp(_log_mass(z, b) - _log_mass(a, b)),
    logcdf=lambda z, a, b: _smaller(_log_mass(a, z) - _log_mass(a, b), _log_mass(z, b) - _log_mass(a, b)),
    logsf=lambda z, a, b: _smaller(_log_mass(z, b) - _log_mass(a, b), _log_mass(a, z) - _log_mass(a, b)),
    mean=lambda a, b: _truncnorm_moments(a, b)[0],
    var=lambda a, b: _truncnorm_moments(a, b)[1],
)
Continuous(
    "uniform",
    (0.0, 1.0),
    pdf=lambda z: 1 + 0 * z,
    logpdf=lambda z: 0 * z,
    cdf=lambda z: z,
    sf=lambda z: 1 - z,
    logcdf=np.log,
    logsf=lambda z: np.log1p(-z),
    ppf=lambda q: q,
    isf=lambda q: 1 - q,
)


def _beta_entropy(a: Any, b: Any) -> Any:
    return betaln(a, b) - (a - 1) * psi(a) - (b - 1) * psi(b) + (a + b - 2) * psi(a + b)


Continuous(
    "beta",
    (0.0, 1.0),
    {"a": POSITIVE, "b": POSITIVE},
    logpdf=lambda z, a, b: xlog1py(b - 1, -z) + xlogy(a - 1, z) - betaln(a, b),
    cdf=lambda z, a, b: betainc(a, b, z),
    sf=lambda z, a, b: betaincc(a, b, z),
    ppf=lambda q, a, b: betaincinv(a, b, q),
    isf=lambda q, a, b: betainccinv(a, b, q),
    mean=lambda a, b: a / (a + b),
    var=lambda a, b: a * b / ((a + b) ** 2 * (a + b + 1)),
    skew=lambda a, b: 2 * (b - a) * np.sqrt(a + b + 1) / ((a + b + 2) * np.sqrt(a * b)),
    kurtosis=lambda a, b: 6 * ((a - b) ** 2 * (a + b + 1) - a * b * (a + b + 2)) / (a * b * (a + b + 2) * (a + b + 3)),
    entropy=_beta_entropy,
)
Continuous(
    "powerlaw",
    (0.0, 1.0),
    {"a": POSITIVE},
    logpdf=lambda z, a: np.log(a) + xlogy(a - 1, z),
    cdf=lambda z, a: z**a,
    sf=lambda z, a: -np.expm1(a * np.log(z)),
    logcdf=lambda z, a: a * np.log(z),
    logsf=lambda z, a: log1mexp(a * np.log(z)),
    ppf=lambda q, a: q ** (1 / a),
    isf=lambda q, a: np.exp(np.log1p(-q) / a),
    mean=lambda a: a / (a + 1),
    var=lambda a: a / ((a + 2) * (a + 1) ** 2),
    entropy=lambda a: 1 - 1 / a - np.log(a),
)
Continuous(
    "arcsine",
    (0.0, 1.0),
    pdf=lambda z: 1 / (math.pi * np.sqrt(z * (1 - z))),
    logpdf=lambda z: -LOG_PI - 0.5 * np.log(z) - 0.5 * np.log1p(-z),
    cdf=lambda z: 2 / math.pi * np.arcsin(np.sqrt(z)),
    sf=lambda z: 2 / math.pi * np.arcsin(np.sqrt(1 - z)),
    ppf=lambda q: np.sin(math.pi / 2 * q) ** 2,
    isf=lambda q: np.cos(math.pi / 2 * q) ** 2,
)


def _triang_sides(z: Any, c: Any) -> tuple[Any, Any, Any]:
    """Return whether z is on the rising side, and both sides' widths, which are not 0 where they are used."""
    rising = (z < c) | (c == 1)
    return rising, np.where(rising, c, 1.0), np.where(rising, 1.0, 1 - c)


def _triang_pdf(z: Any, c: Any) -> Any:
    rising, left, right = _triang_sides(z, c)
    return np.where(rising, 2 * z / left, 2 * (1 - z) / right)


def _triang_cdf(z: Any, c: Any) -> Any:
    rising, left, right = _triang_sides(z, c)
    return np.where(rising, z * z / left, 1 - (1 - z) ** 2 / right)


def _triang_sf(z: Any, c: Any) -> Any:
    rising, left, right = _triang_sides(z, c)
    return np.where(rising, 1 - z * z / left, (1 - z) ** 2 / right)


def _triang_ppf(q: Any, c: Any) -> Any:
    rising = q < c
    return np.where(
        rising, np.sqrt(np.where(rising, c * q, 1.0)), 1 - np.sqrt(np.where(rising, 1.0, (1 - c) * (1 - q)))
    )


Continuous(
    "triang",
    (0.0, 1.0),
    {"c": UNIT},
    pdf=_triang_pdf,
    cdf=_triang_cdf,
    sf=_triang_sf,
    ppf=_triang_ppf,
    isf=lambda q, c: _triang_ppf(1 - q, c),
    mean=lambda c: (c + 1) / 3,
    var=lambda c: (1 - c + c * c) / 18,
    entropy=lambda c: c * 0 + 0.5 - LOG_2,
)
Continuous(
    "johnsonsb",
    (0.0, 1.0),
    {"a": REAL, "b": POSITIVE},
    is_open=True,
    logpdf=lambda z, a, b: np.log(b) - np.log(z) - np.log1p(-z) + normal(a + b * logit(z)),
    cdf=lambda z, a, b: ndtr(a + b * logit(z)),
    sf=lambda z, a, b: ndtr(-a - b * logit(z)),
    logcdf=lambda z, a, b: log_ndtr(a + b * logit(z)),
    logsf=lambda z, a, b: log_ndtr(-a - b * logit(z)),
    ppf=lambda q, a, b: expit((ndtri(q) - a) / b),
    isf=lambda q, a, b: expit((-ndtri(q) - a) / b),
)
for _name in ("loguniform", "reciprocal"):
    Continuous(
        _name,
        lambda a, b: (a, b),
        {"a": POSITIVE, "b": Shape(lambda b: b > 0, 2.0)},
        check=lambda a, b: a < b,
        logpdf=lambda z, a, b: -np.log(z) - np.log(np.log(b) - np.log(a)),
        cdf=lambda z, a, b: (np.log(z) - np.log(a)) / (np.log(b) - np.log(a)),
        sf=lambda z, a, b: np.log(b / z) / (np.log(b) - np.log(a)),
        ppf=lambda q, a, b: np.exp(np.log(a) + q * (np.log(b) - np.log(a))),
        isf=lambda q, a, b: np.exp(np.log(b) - q * (np.log(b) - np.log(a))),
        mean=lambda a, b: (b - a) / (np.log(b) - np.log(a)),
        entropy=lambda a, b: 0.5 * (np.log(a) + np.log(b)) + np.log(np.log(b) - np.log(a)),
    )

for _name in scipy.stats.__all__:  # the others: SciPy's values, and what follows from the density
    if isinstance(getattr(scipy.stats, _name), scipy.stats.rv_continuous) and _name not in DISTRIBUTIONS:
        Continuous(_name)
