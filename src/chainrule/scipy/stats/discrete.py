"""The discrete distributions: formulas of whole k, with derivatives by their continuous parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats
from scipy.special import betainc, betaln, expit, gammainc, gammaincc, gammaln, ive, xlog1py, xlogy

from chainrule.scipy.special import zeta
from chainrule.scipy.stats.distribution import (
    COUNT,
    DISTRIBUTIONS,
    INF,
    NONNEGATIVE,
    POSITIVE,
    PROBABILITY,
    Discrete,
    Shape,
    refuse,
)
from chainrule.tracing.array import TracedArray

CHANCE = Shape(lambda p: (p > 0) & (p <= 1), 0.5)
BELOW_ONE = Shape(lambda p: (p > 0) & (p < 1), 0.5)


def _bernoulli_logpmf(k: Any, p: Any) -> Any:
    return xlogy(k, p) + xlog1py(1 - k, -p)


def _coins_entropy(p: Any) -> Any:
    return -xlogy(p, p) - xlog1py(1 - p, -p)


Discrete(
    "bernoulli",
    (0.0, 1.0),
    {"p": PROBABILITY},
    logpmf=_bernoulli_logpmf,
    cdf=lambda k, p: 1 - p,
    sf=lambda k, p: p,
    logcdf=lambda k, p: np.log1p(-p),
    logsf=lambda k, p: np.log(p),
    mean=lambda p: p,
    var=lambda p: p * (1 - p),
    skew=lambda p: (1 - 2 * p) / np.sqrt(p * (1 - p)),
    kurtosis=lambda p: (1 - 6 * p * (1 - p)) / (p * (1 - p)),
    entropy=_coins_entropy,
)


def _log_choices(n: Any, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


Discrete(
    "binom",
    lambda n, p: (0.0, n),
    {"n": COUNT, "p": PROBABILITY},
    whole=["n"],
    logpmf=lambda k, n, p: _log_choices(n, k) + xlogy(k, p) + xlog1py(n - k, -p),
    cdf=lambda k, n, p: betainc(np.maximum(n - k, 1.0), k + 1, 1 - p),
    sf=lambda k, n, p: betainc(k + 1, np.maximum(n - k, 1.0), p),
    mean=lambda n, p: n * p,
    var=lambda n, p: n * p * (1 - p),
    skew=lambda n, p: (1 - 2 * p) / np.sqrt(n * p * (1 - p)),
    kurtosis=lambda n, p: (1 - 6 * p * (1 - p)) / (n * p * (1 - p)),
)
Discrete(
    "poisson",
    (0.0, INF),
    {"mu": NONNEGATIVE},
    logpmf=lambda k, mu: xlogy(k, mu) - gammaln(k + 1) - mu,
    cdf=lambda k, mu: gammaincc(k + 1, mu),
    sf=lambda k, mu: gammainc(k + 1, mu),
    mean=lambda mu: mu,
    var=lambda mu: mu,
    skew=lambda mu: mu**-0.5,
    kurtosis=lambda mu: 1 / mu,
)
Discrete(
    "geom",
    (1.0, INF),
    {"p": CHANCE},
    inside=1.0,
    logpmf=lambda k, p: xlog1py(k - 1, -p) + np.log(p),
    cdf=lambda k, p: -np.expm1(xlog1py(k, -p)),
    sf=lambda k, p: np.exp(xlog1py(k, -p)),
    logsf=lambda k, p: xlog1py(k, -p),
    mean=lambda p: 1 / p,
    var=lambda p: (1 - p) / p**2,
    skew=lambda p: (2 - p) / np.sqrt(1 - p),
    kurtosis=lambda p: 6 + p * p / (1 - p),
    entropy=lambda p: _coins_entropy(p) / p,
)
Discrete(
    "nbinom",
    (0.0, INF),
    {"n": POSITIVE, "p": CHANCE},
    logpmf=lambda k, n, p: gammaln(n + k) - gammaln(k + 1) - gammaln(n) + xlogy(n, p) + xlog1py(k, -p),
    cdf=lambda k, n, p: betainc(n, k + 1, p),
    sf=lambda k, n, p: betainc(k + 1, n, 1 - p),
    mean=lambda n, p: n * (1 - p) / p,
    var=lambda n, p: n * (1 - p) / p**2,
    skew=lambda n, p: (2 - p) / np.sqrt(n * (1 - p)),
    kurtosis=lambda n, p: 6 / n + p * p / (n * (1 - p)),
)


def _betabinom_logpmf(k: Any, n: Any, a: Any, b: Any) -> Any:
    return -np.log(n + 1) - betaln(n - k + 1, k + 1) + betaln(k + a, n - k + b) - betaln(a, b)


def _betabinom_var(n: Any, a: Any, b: Any) -> Any:
    return n * (a + b + n) * a * b / ((a + b) ** 2 * (a + b + 1))


def _betabinom_share(k: Any, n: Any, a: Any, b: Any, above: bool) -> Any:
    """Return the sum of the masses up to k, or above it."""
    if isinstance(n, TracedArray):
        raise refuse("stats.betabinom: cdf and sf of a traced n", "give n as a plain number")
    places = np.arange(np.max(n, initial=0.0) + 1)
    k, n, a, b = (
        np.asarray(each)[..., None] if not isinstance(each, TracedArray) else each[..., None] for each in (k, n, a, b)
    )
    there = places <= n
    masses = np.exp(_betabinom_logpmf(np.where(there, places, 0.0), n, a, b))
    return np.sum(np.where(there & ((places > k) if above else (places <= k)), masses, 0.0), axis=-1)


Discrete(
    "betabinom",
    lambda n, a, b: (0.0, n),
    {"n": COUNT, "a": POSITIVE, "b": POSITIVE},
    whole=["n"],
    logpmf=_betabinom_logpmf,
    cdf=lambda k, n, a, b: _betabinom_share(k, n, a, b, False),
    sf=lambda k, n, a, b: _betabinom_share(k, n, a, b, True),
    mean=lambda n, a, b: n * a / (a + b),
    var=_betabinom_var,
)
Discrete(
    "zipf",
    (1.0, INF),
    {"a": Shape(lambda a: a > 1, 2.0)},
    inside=1.0,
    logpmf=lambda k, a: -a * np.log(k) - np.log(zeta(a, 1.0)),
)


def _skellam_logpmf(k: Any, one: Any, two: Any) -> Any:
    """Skellam 1946: exp(-μ₁ - μ₂) (μ₁/μ₂)^(k/2) I_|k|(2 √(μ₁ μ₂))."""
    bessel = np.log(ive(np.abs(k), 2 * np.sqrt(one * two)))
    return bessel + k / 2 * (np.log(one) - np.log(two)) - (np.sqrt(one) - np.sqrt(two)) ** 2


Discrete(
    "skellam",
    (-INF, INF),
    {"mu1": POSITIVE, "mu2": POSITIVE},
    logpmf=_skellam_logpmf,
    mean=lambda one, two: one - two,
    var=lambda one, two: one + two,
    skew=lambda one, two: (one - two) / (one + two) ** 1.5,
    kurtosis=lambda one, two: 1 / (one + two),
)


def _dlaplace_cdf(k: Any, a: Any) -> Any:
    up = k >= 0
    high = 1 - np.exp(-a * np.where(up, k, 0.0)) * expit(-a)
    return np.where(up, high, np.exp(a * np.where(up, 0.0, k)) * expit(a))


Discrete(
    "dlaplace",
    (-INF, INF),
    {"a": POSITIVE},
    logpmf=lambda k, a: np.log(np.tanh(a / 2)) - a * np.abs(k),
    cdf=_dlaplace_cdf,
    sf=lambda k, a: _dlaplace_cdf(-k - 1, a),
    mean=lambda a: a * 0,
    var=lambda a: 0.5 / np.sinh(a / 2) ** 2,
    skew=lambda a: a * 0,
    entropy=lambda a: a / np.sinh(a) - np.log(np.tanh(a / 2)),
)
Discrete(
    "planck",
    (0.0, INF),
    {"lambda_": POSITIVE},
    logpmf=lambda k, rate: np.log(-np.expm1(-rate)) - rate * k,
    cdf=lambda k, rate: -np.expm1(-rate * (k + 1)),
    sf=lambda k, rate: np.exp(-rate * (k + 1)),
    logsf=lambda k, rate: -rate * (k + 1),
    mean=lambda rate: 1 / np.expm1(rate),
    var=lambda rate: np.exp(-rate) / np.expm1(-rate) ** 2,
)
Discrete(
    "logser",
    (1.0, INF),
    {"p": BELOW_ONE},
    inside=1.0,
    logpmf=lambda k, p: xlogy(k, p) - np.log(k) - np.log(-np.log1p(-p)),
    mean=lambda p: -p / ((1 - p) * np.log1p(-p)),
)
Discrete("hypergeom", whole=["M", "n", "N"])
Discrete("randint", whole=["low", "high"])

for _name in scipy.stats.__all__:
    if isinstance(getattr(scipy.stats, _name), scipy.stats.rv_discrete) and _name not in DISTRIBUTIONS:
        Discrete(_name)
