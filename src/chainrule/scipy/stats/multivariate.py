"""The distributions of vectors and matrices.

Covariances enter by their Cholesky factor, so they must be positive definite; a plain one may be singular where
`allow_singular` says so, as in SciPy. A point of a simplex that is traced is not checked to lie on it.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats
from scipy.special import gammaln, psi, xlogy

from chainrule.errors import LinAlgError, ShapeError
from chainrule.scipy.special import multigammaln
from chainrule.scipy.stats.distribution import (
    DISTRIBUTIONS,
    INF,
    Frozen,
    any_of,
    choose,
    guarded,
    numbers,
    refuse,
    whole,
)
from chainrule.scipy.twins import register
from chainrule.tracing.array import TracedArray, holds_traced
from chainrule.tracing.origin import at

LOG_2 = math.log(2)
LOG_PI = math.log(math.pi)
LOG_2PI = math.log(2 * math.pi)


class Multivariate:
    """Twin of one of SciPy's distributions of vectors or matrices: rules for some methods, SciPy's own for others."""

    def __init__(self, name: str, **rules: Callable[..., Any]) -> None:
        self.scipy = getattr(scipy.stats, name)
        self.rules = rules
        self.__name__ = name
        self.__doc__ = self.scipy.__doc__
        DISTRIBUTIONS[name] = self
        register(scipy.stats, name, self)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return type(object.__getattribute__(self, "scipy"))
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("scipy", "rules"):
            raise AttributeError(name)
        theirs = getattr(self.scipy, name)
        if not callable(theirs):
            return theirs
        rule = self.rules.get(name)
        if rule is None:
            return guarded(f"stats.{self.__name__}.{name}", theirs, "give plain parameters, or write it with logpdf")

        @functools.wraps(theirs)
        def call(*args: Any, **kwds: Any) -> Any:
            if holds_traced([*args, *kwds.values()]):
                return rule(*args, **kwds)
            return theirs(*args, **kwds)

        return call

    def __call__(self, *args: Any, **kwds: Any) -> FrozenMultivariate:
        """Freeze the distribution: fix its parameters."""
        return FrozenMultivariate(self, args, kwds)

    def __repr__(self) -> str:
        return f"<chainrule.scipy.stats.{self.__name__}>"

    def __reduce__(self) -> Any:
        return DISTRIBUTIONS.__getitem__, (self.__name__,)


class FrozenMultivariate(Frozen):
    """A distribution of vectors or matrices with fixed parameters, which may be traced."""

    def traced(self, name: str) -> Any:
        """Return a parameter, or a method for traced arguments."""
        args, kwds = self.fixed
        fixed = inspect.signature(self.twin.scipy.__call__).bind(*args, **kwds).arguments
        if name in fixed and name not in self.twin.rules:
            return fixed[name]
        rule = self.twin.rules.get(name)
        if rule is None:
            raise refuse(f"stats.{self.twin.__name__}.{name}", "give plain parameters, or write it with logpdf")
        known = inspect.signature(rule).parameters
        return functools.partial(rule, **{key: value for key, value in fixed.items() if key in known})


def _exp_of(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return the density or mass for its logarithm."""

    @functools.wraps(rule)
    def call(*args: Any, **kwds: Any) -> Any:
        return np.exp(rule(*args, **kwds))

    return call


def _squeezed(y: Any) -> Any:
    """Return what SciPy makes of results: no axes of length 1."""
    return np.squeeze(y)[()]


# -- factors -------------------------------------------------------------------------------------------


class _Factor:
    """What densities need of a symmetric positive definite matrix: its determinant, and division by a root of it."""

    def __init__(self, matrix: Any, allow_singular: bool = False) -> None:
        self.size = self.rank = matrix.shape[-1]
        self.null: Any = None
        if isinstance(matrix, TracedArray) or not allow_singular:
            try:
                self.root = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                raise LinAlgError(
                    f"the input matrix must be symmetric positive definite{at()}; a singular one may be given with "
                    "allow_singular=True where it is not traced"
                ) from None
            self.log_det = 2 * np.sum(np.log(np.diagonal(self.root)))
            self._whiten: Any = None
            return
        values, vectors = np.linalg.eigh(matrix)
        threshold = 1e6 * np.finfo(float).eps * np.max(np.abs(values))
        if np.min(values) < -threshold:
            raise LinAlgError(f"the input matrix must be symmetric positive semidefinite{at()}")
        there = values > threshold
        self.rank = int(np.count_nonzero(there))
        self.log_det = np.sum(np.log(values[there]))
        self._whiten = (vectors[:, there] / np.sqrt(values[there])).T
        self.null = vectors[:, ~there].T if self.rank < self.size else None

    def whiten(self, columns: Any) -> Any:
        """Divide by a root of the matrix, from the left."""
        return np.linalg.solve(self.root, columns) if self._whiten is None else self._whiten @ columns

    def distance(self, rows: Any) -> Any:
        """Return the squared distance of each row from 0."""
        flat = np.reshape(rows, (-1, self.size))
        return np.reshape(np.sum(self.whiten(flat.T) ** 2, axis=0), rows.shape[:-1])

    def outside(self, rows: Any) -> Any:
        """Return which rows are not in the range of a singular matrix; None of a regular one."""
        return None if self.null is None else np.linalg.norm(rows @ self.null.T, axis=-1) >= 1e-8


class _Diagonal(_Factor):
    """The same of a diagonal matrix."""

    def __init__(self, variances: Any) -> None:
        self.size = self.rank = variances.shape[0]
        self.null = None
        if not isinstance(variances, TracedArray) and np.any(variances <= 0):
            raise LinAlgError(f"the input matrix must be symmetric positive definite{at()}")
        self.deviation = np.sqrt(variances)
        self.log_det = np.sum(np.log(variances))

    def whiten(self, columns: Any) -> Any:
        return columns / self.deviation[:, None]


def _factor(matrix: Any, size: int, allow_singular: bool = False) -> _Factor:
    """Return the factor of a number, the diagonal or the whole of a matrix."""
    if matrix.ndim < 2:
        variances = np.broadcast_to(matrix, (size,))
        if not allow_singular or isinstance(variances, TracedArray):
            return _Diagonal(variances)
        matrix = np.diag(variances)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"the covariance must be square, got shape {matrix.shape}{at()}")
    return _Factor(matrix, allow_singular)


def _array(x: Any) -> Any:
    """Return an argument in double precision; of one of SciPy's covariance objects its matrix."""
    return numbers(x.covariance if isinstance(x, scipy.stats.Covariance) else x)


def _centred(x: Any, mean: Any, matrix: Any) -> tuple[Any, Any]:
    """Return rows of x less the mean, and the matrix, by SciPy's rules for arguments with fewer axes."""
    x, matrix = _array(x), np.squeeze(m) if (m := _array(matrix)).size == 1 else m
    mean = None if mean is None else np.ravel(_array(mean))
    sizes = [each.shape[0] for each in (mean, matrix) if each is not None and each.ndim]
    size = sizes[0] if sizes else 1
    size = mean.shape[0] if mean is not None and mean.shape[0] > size else size
    if not x.ndim:
        x = np.reshape(x, (1, 1))
    elif x.ndim == 1:
        x = x[:, None] if size == 1 else x[None, :]
    if any(each != size for each in sizes if each != 1) or x.shape[-1] != size:
        shapes = f"x {x.shape}, mean {'none' if mean is None else mean.shape}, covariance {matrix.shape}"
        raise ShapeError(f"the shapes do not fit together: {shapes}{at()}")
    return x if mean is None else x - mean, matrix


# -- vectors -------------------------------------------------------------------------------------------


def _normal_logpdf(x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    rows, cov = _centred(x, mean, cov)
    factor = _factor(cov, rows.shape[-1], allow_singular)
    y = -0.5 * (factor.rank * LOG_2PI + factor.log_det + factor.distance(rows))
    return _squeezed(choose(any_of(factor.outside(rows)), -INF, y))


def _normal_entropy(mean: Any = None, cov: Any = 1) -> Any:
    size = 1 if mean is None else np.size(mean)
    cov = _array(cov)
    size = max(size, cov.shape[0] if cov.ndim else 1)
    return 0.5 * (size * (LOG_2PI + 1) + _factor(cov, size).log_det)


Multivariate("multivariate_normal", logpdf=_normal_logpdf, pdf=_exp_of(_normal_logpdf), entropy=_normal_entropy)


def _t_logpdf(x: Any, loc: Any = None, shape: Any = 1, df: Any = 1) -> Any:
    df = numbers(df)
    if not isinstance(df, TracedArray) and df == INF:
        return _normal_logpdf(x, loc, shape)
    rows, shape = _centred(x, loc, shape)
    size = rows.shape[-1]
    factor = _factor(shape, size)
    half = (df + size) / 2
    y = gammaln(half) - gammaln(df / 2) - size / 2 * (np.log(df) + LOG_PI) - 0.5 * factor.log_det
    return _squeezed(y - half * np.log1p(factor.distance(rows) / df))


def _t_entropy(loc: Any = None, shape: Any = 1, df: Any = 1) -> Any:
    df, shape = numbers(df), _array(shape)
    size = max(1 if loc is None else np.size(loc), shape.shape[0] if shape.ndim else 1)
    half = (df + size) / 2
    y = -gammaln(half) + gammaln(df / 2) + size / 2 * (np.log(df) + LOG_PI) + half * (psi(half) - psi(df / 2))
    return y + 0.5 * _factor(shape, size).log_det


Multivariate("multivariate_t", logpdf=_t_logpdf, pdf=_exp_of(_t_logpdf), entropy=_t_entropy)

# -- shares and counts ---------------------------------------------------------------------------------


def _concentration(alpha: Any) -> Any:
    alpha = numbers(alpha)
    if alpha.ndim != 1:
        raise ShapeError(f"the parameter alpha must have one axis, got shape {alpha.shape}{at()}")
    if not isinstance(alpha, TracedArray) and np.any(alpha <= 0):
        raise ValueError("All parameters must be greater than 0")
    return alpha


def _log_beta(alpha: Any) -> Any:
    return np.sum(gammaln(alpha)) - gammaln(np.sum(alpha))


def _dirichlet_logpdf(x: Any, alpha: Any) -> Any:
    x, alpha = numbers(x), _concentration(alpha)
    if x.shape[0] + 1 == alpha.shape[0]:
        x = np.concatenate([x, 1 - np.sum(x, axis=0, keepdims=True)])
    if x.shape[0] != alpha.shape[0]:
        raise ShapeError(f"x of shape {x.shape} does not fit alpha of shape {alpha.shape}{at()}")
    powers = xlogy(np.reshape(alpha - 1, (-1, *[1] * (x.ndim - 1))), x)
    return _squeezed(np.sum(powers, axis=0) - _log_beta(alpha))


def _dirichlet_var(alpha: Any) -> Any:
    alpha = _concentration(alpha)
    total = np.sum(alpha)
    return _squeezed(alpha * (total - alpha) / (total * total * (total + 1)))


def _dirichlet_cov(alpha: Any) -> Any:
    alpha = _concentration(alpha)
    total = np.sum(alpha)
    share = alpha / total
    return (np.diag(share) - np.outer(share, share)) / (total + 1)


def _dirichlet_mean(alpha: Any) -> Any:
    alpha = _concentration(alpha)
    return _squeezed(alpha / np.sum(alpha))


def _dirichlet_entropy(alpha: Any) -> Any:
    alpha = _concentration(alpha)
    total = np.sum(alpha)
    return _log_beta(alpha) + (total - alpha.shape[0]) * psi(total) - np.sum((alpha - 1) * psi(alpha))


Multivariate(
    "dirichlet",
    logpdf=_dirichlet_logpdf,
    pdf=_exp_of(_dirichlet_logpdf),
    mean=_dirichlet_mean,
    var=_dirichlet_var,
    cov=_dirichlet_cov,
    entropy=_dirichlet_entropy,
)


def _shares(n: Any, p: Any) -> tuple[Any, Any, Any]:
    """Return n, p with a last element that makes its sum 1, and where either is invalid."""
    n, p = whole(numbers(n)), numbers(p)
    rest = 1 - np.sum(p[..., :-1], axis=-1)
    differs = np.abs(1 - np.sum(p, axis=-1)) > np.finfo(float).eps
    last = np.where(differs, rest, p[..., -1])
    p = np.concatenate([p[..., :-1], last[..., None]], axis=-1)
    bad = any_of(np.any((p < 0) | (p > 1), axis=-1), n < 0, np.floor(n) != n)
    return n, p, bad


def _multinomial_logpmf(x: Any, n: Any, p: Any) -> Any:
    n, p, bad = _shares(n, p)
    x = numbers(x)
    outside = any_of(np.any((x < 0) | (np.floor(x) != x), axis=-1), np.sum(x, axis=-1) != n)
    x = whole(choose(None if outside is None else outside[..., None], 0.0, x))
    y = gammaln(n + 1) + np.sum(xlogy(x, p) - gammaln(x + 1), axis=-1)
    return choose(bad, math.nan, choose(outside, -INF, y))


def _multinomial_cov(n: Any, p: Any) -> Any:
    n, p, bad = _shares(n, p)
    y = n[..., None, None] * (np.eye(p.shape[-1]) * p[..., None, :] - p[..., :, None] * p[..., None, :])
    return choose(None if bad is None else bad[..., None, None], math.nan, y)


def _multinomial_mean(n: Any, p: Any) -> Any:
    n, p, bad = _shares(n, p)
    return choose(None if bad is None else bad[..., None], math.nan, n[..., None] * p)


Multivariate(
    "multinomial",
    logpmf=_multinomial_logpmf,
    pmf=_exp_of(_multinomial_logpmf),
    mean=_multinomial_mean,
    cov=_multinomial_cov,
)


def _dirichlet_multinomial(alpha: Any, n: Any) -> tuple[Any, Any, Any]:
    alpha, n = numbers(alpha), whole(numbers(n))
    return alpha, n, np.sum(alpha, axis=-1)


def _dirichlet_multinomial_logpmf(x: Any, alpha: Any, n: Any) -> Any:
    alpha, n, total = _dirichlet_multinomial(alpha, n)
    x = whole(numbers(x))
    y = gammaln(total) + gammaln(n + 1) - gammaln(n + total)
    y = y + np.sum(gammaln(x + alpha) - gammaln(alpha) - gammaln(x + 1), axis=-1)
    return _squeezed(choose(any_of(np.sum(x, axis=-1) != n), -INF, y))


def _dirichlet_multinomial_mean(alpha: Any, n: Any) -> Any:
    alpha, n, total = _dirichlet_multinomial(alpha, n)
    return _squeezed(n[..., None] * alpha / total[..., None])


def _dirichlet_multinomial_cov(alpha: Any, n: Any) -> Any:
    alpha, n, total = _dirichlet_multinomial(alpha, n)
    share = alpha / total[..., None]
    factor = n * (n + total) / (1 + total)
    spread = np.eye(alpha.shape[-1]) * share[..., None, :] - share[..., :, None] * share[..., None, :]
    return _squeezed(factor[..., None, None] * spread)


def _dirichlet_multinomial_var(alpha: Any, n: Any) -> Any:
    alpha, n, total = _dirichlet_multinomial(alpha, n)
    share = alpha / total[..., None]
    return _squeezed((n * (n + total) / (1 + total))[..., None] * share * (1 - share))


Multivariate(
    "dirichlet_multinomial",
    logpmf=_dirichlet_multinomial_logpmf,
    pmf=_exp_of(_dirichlet_multinomial_logpmf),
    mean=_dirichlet_multinomial_mean,
    var=_dirichlet_multinomial_var,
    cov=_dirichlet_multinomial_cov,
)

# -- matrices ------------------------------------------------------------------------------------------


def _stack(x: Any, df: Any, scale: Any) -> tuple[Any, Any, Any, bool]:
    """Return matrices with the stack in front, df, a scale matrix, and whether x was one matrix."""
    df, scale = numbers(df), numbers(scale)
    scale = np.reshape(scale, (1, 1)) if not scale.ndim else np.diag(scale) if scale.ndim == 1 else scale
    size = scale.shape[0]
    if not isinstance(df, TracedArray) and df < size:
        raise ValueError(f"Degrees of freedom must be greater than the dimension of scale matrix: {df} < {size}{at()}")
    if x is None:
        return None, df, scale, True
    x = numbers(x)
    if x.ndim < 2:
        x = x * np.eye(size) if not x.ndim else x[:, None, None] if size == 1 else np.diag(x)
        return x if x.ndim == 3 else x[None], df, scale, x.ndim == 2
    if x.shape[:2] != scale.shape:
        raise ShapeError(f"x of shape {x.shape} does not fit a scale of shape {scale.shape}{at()}")
    return np.moveaxis(x, 2, 0) if x.ndim == 3 else x[None], df, scale, x.ndim == 2


def _log_dets(x: Any) -> Any:
    return 2 * np.sum(np.log(np.diagonal(np.linalg.cholesky(x), axis1=-2, axis2=-1)), axis=-1)


def _wishart_norm(df: Any, size: int) -> Any:
    return df * size / 2 * LOG_2 + multigammaln(df / 2, size)


def _wishart_logpdf(x: Any, df: Any, scale: Any) -> Any:
    x, df, scale, _ = _stack(x, df, scale)
    size = scale.shape[0]
    traces = np.sum(np.linalg.solve(scale, np.eye(size)).T * x, axis=(-2, -1))
    y = (df - size - 1) / 2 * _log_dets(x) - traces / 2 - _wishart_norm(df, size)
    return _squeezed(y - df / 2 * _log_dets(scale))


def _invwishart_logpdf(x: Any, df: Any, scale: Any) -> Any:
    x, df, scale, _ = _stack(x, df, scale)
    size = scale.shape[0]
    inverses = np.linalg.solve(x, np.broadcast_to(np.eye(size), x.shape))
    y = df / 2 * _log_dets(scale) - np.sum(scale.T * inverses, axis=(-2, -1)) / 2 - _wishart_norm(df, size)
    return _squeezed(y - (df + size + 1) / 2 * _log_dets(x))


def _wishart_mean(df: Any, scale: Any) -> Any:
    _, df, scale, _ = _stack(None, df, scale)
    return _squeezed(df * scale)


def _wishart_var(df: Any, scale: Any) -> Any:
    _, df, scale, _ = _stack(None, df, scale)
    diagonal = np.diagonal(scale)
    return _squeezed(df * (scale * scale + np.outer(diagonal, diagonal)))


def _wishart_entropy(df: Any, scale: Any) -> Any:
    _, df, scale, _ = _stack(None, df, scale)
    size = scale.shape[0]
    digamma = sum(psi((df - k) / 2) for k in range(size))
    y = (size + 1) / 2 * (_log_dets(scale) + size * LOG_2) + multigammaln(df / 2, size)
    return y - (df - size - 1) / 2 * digamma + df * size / 2


def _invwishart_mean(df: Any, scale: Any) -> Any:
    _, df, scale, _ = _stack(None, df, scale)
    return _squeezed(scale / (df - scale.shape[0] - 1)) if df > scale.shape[0] + 1 else None


Multivariate(
    "wishart",
    logpdf=_wishart_logpdf,
    pdf=_exp_of(_wishart_logpdf),
    mean=_wishart_mean,
    var=_wishart_var,
    entropy=_wishart_entropy,
)
Multivariate("invwishart", logpdf=_invwishart_logpdf, pdf=_exp_of(_invwishart_logpdf), mean=_invwishart_mean)


def _matrix_normal_logpdf(X: Any, mean: Any = None, rowcov: Any = 1, colcov: Any = 1) -> Any:
    X, mean = numbers(X), None if mean is None else numbers(mean)
    rows, columns = X.shape[-2:]
    one, two = _factor(numbers(rowcov), rows), _factor(numbers(colcov), columns)
    centred = X if mean is None else X - mean
    flat = np.reshape(np.moveaxis(centred, -2, 0), (rows, -1))  # rows first, the stack and the columns after them
    flat = np.reshape(np.moveaxis(np.reshape(one.whiten(flat), (rows, *X.shape[:-2], columns)), -1, 0), (columns, -1))
    whitened = np.reshape(two.whiten(flat), (columns, rows, *X.shape[:-2]))
    distance = np.sum(whitened**2, axis=(0, 1))
    y = -0.5 * (rows * columns * LOG_2PI + columns * one.log_det + rows * two.log_det + distance)
    return _squeezed(y)


def _matrix_normal_entropy(rowcov: Any = 1, colcov: Any = 1) -> Any:
    rowcov, colcov = numbers(rowcov), numbers(colcov)
    rows, columns = (each.shape[0] if each.ndim else 1 for each in (rowcov, colcov))
    one, two = _factor(rowcov, rows), _factor(colcov, columns)
    return 0.5 * (rows * columns * (1 + LOG_2PI) + columns * one.log_det + rows * two.log_det)


Multivariate(
    "matrix_normal",
    logpdf=_matrix_normal_logpdf,
    pdf=_exp_of(_matrix_normal_logpdf),
    entropy=_matrix_normal_entropy,
)


def _normal_inverse_gamma_logpdf(x: Any, s2: Any, mu: Any = 0, lmbda: Any = 1, a: Any = 1, b: Any = 1) -> Any:
    x, s2, mu, lmbda, a, b = map(numbers, (x, s2, mu, lmbda, a, b))
    bad = any_of(np.logical_not((lmbda > 0) & (a > 0) & (b > 0)))
    lmbda, a, b = (choose(bad, 1.0, each) for each in (lmbda, a, b))
    outside = any_of(s2 <= 0)
    s2 = choose(outside, 1.0, s2)
    y = a * np.log(b) - gammaln(a) + 0.5 * (np.log(lmbda) - LOG_2PI) - (a + 1.5) * np.log(s2)
    y = y - (2 * b + lmbda * (x - mu) ** 2) / (2 * s2)
    return choose(bad, math.nan, choose(outside, -INF, y))


Multivariate("normal_inverse_gamma", logpdf=_normal_inverse_gamma_logpdf, pdf=_exp_of(_normal_inverse_gamma_logpdf))
for _name in ("matrix_t", "multivariate_hypergeom", "random_table", "uniform_direction", "vonmises_fisher"):
    if hasattr(scipy.stats, _name):
        Multivariate(_name)
