"""Random numbers whose parameters can be differentiated: smooth functions of their parameters and of plain noise.

The first argument is NumPy's generator, the others are as those of its methods, and may be traced or plain:

    rng = np.random.default_rng(0)
    cr.grad(lambda sigma: np.mean(cr.random.normal(rng, 1.0, sigma, 1000) ** 2))(2.0)

Noise is drawn from the generator, and the sample computed from it: location and scale families as loc + scale · noise,
the others by their inverse distribution functions, whose derivative is that of implicit reparameterisation,
dz/da = -(∂F/∂a) / (∂F/∂z). The same state of the generator gives the same samples, traced or not, but not those of
NumPy's own methods.

A function that draws inside gives something else at every call, so `jit` refuses to compile it: it runs uncompiled,
with a warning. Draw the noise outside, and pass it: ``loc + scale * noise``, ``scipy.special.gammaincinv(shape, u)``.

References:
    Kingma & Welling, Auto-encoding variational Bayes, ICLR (2014).
    Figurnov, Mohamed, Mnih, Implicit reparameterization gradients, NeurIPS (2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.tracing.array import holds_traced, stacked
from chainrule.tracing.origin import at

Size = int | tuple[int, ...] | None
"""Shape of the result; that of the parameters, broadcast, where it is None."""

__all__ = ["beta", "cauchy", "chisquare", "dirichlet", "exponential", "f", "gamma", "gumbel", "laplace", "logistic",
           "lognormal", "multivariate_normal", "normal", "pareto", "power", "rayleigh", "standard_t", "triangular",
           "uniform", "weibull"]  # fmt: skip


def __getattr__(name: str) -> Any:
    if hasattr(np.random.Generator, name) and not name.startswith("_"):
        raise AttributeError(
            f"chainrule.random has no {name!r}: its samples are no differentiable function of parameters; draw them "
            f"with rng.{name}, of plain parameters"
        )
    raise AttributeError(f"module 'chainrule.random' has no attribute {name!r}")


def normal(rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
    """Return loc + scale · z with z from the standard normal distribution.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> rng = np.random.default_rng(0)
        >>> cr.grad(lambda mu: np.sum(cr.random.normal(rng, mu, 1.0, 5)))(0.3)
        np.float64(5.0)
    """
    loc, scale = _parameters(loc, scale)
    shape = _shape(rng, size, loc, scale)
    return loc + scale * rng.standard_normal(shape)


def lognormal(rng: np.random.Generator, mean: Any = 0.0, sigma: Any = 1.0, size: Size = None) -> Any:
    """Return the exponential of normal samples."""
    return np.exp(normal(rng, mean, sigma, size))


def uniform(rng: np.random.Generator, low: Any = 0.0, high: Any = 1.0, size: Size = None) -> Any:
    """Return samples between two bounds."""
    low, high = _parameters(low, high)
    return low + (high - low) * _noise(rng, size, low, high)


def exponential(rng: np.random.Generator, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of density exp(-x/scale)/scale."""
    (scale,) = _parameters(scale)
    return -scale * np.log1p(-_noise(rng, size, scale))


def laplace(rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of density exp(-|x - loc|/scale)/(2 scale)."""
    loc, scale = _parameters(loc, scale)
    u = _noise(rng, size, loc, scale) - 0.5
    return loc - scale * (np.sign(u) * np.log1p(-2 * np.abs(u)))


def logistic(rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of the distribution function 1/(1 + exp(-(x - loc)/scale))."""
    loc, scale = _parameters(loc, scale)
    return loc + scale * scipy.special.logit(_noise(rng, size, loc, scale))


def gumbel(rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of the distribution function exp(-exp(-(x - loc)/scale))."""
    loc, scale = _parameters(loc, scale)
    return loc - scale * np.log(-np.log(_noise(rng, size, loc, scale)))


def cauchy(rng: np.random.Generator, loc: Any = 0.0, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of density 1/(π scale (1 + ((x - loc)/scale)²))."""
    loc, scale = _parameters(loc, scale)
    return loc + scale * np.tan(np.pi * (_noise(rng, size, loc, scale) - 0.5))


def rayleigh(rng: np.random.Generator, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of the distribution function 1 - exp(-x²/(2 scale²))."""
    (scale,) = _parameters(scale)
    return scale * np.sqrt(-2 * np.log1p(-_noise(rng, size, scale)))


def weibull(rng: np.random.Generator, a: Any, size: Size = None) -> Any:
    """Return samples of the distribution function 1 - exp(-xᵃ)."""
    (a,) = _parameters(a)
    return (-np.log1p(-_noise(rng, size, a))) ** (1 / a)


def pareto(rng: np.random.Generator, a: Any, size: Size = None) -> Any:
    """Return samples of the distribution function 1 - (1 + x)⁻ᵃ, the Lomax distribution, as NumPy does."""
    (a,) = _parameters(a)
    return np.expm1(-np.log1p(-_noise(rng, size, a)) / a)


def power(rng: np.random.Generator, a: Any, size: Size = None) -> Any:
    """Return samples of the distribution function xᵃ on [0, 1]."""
    (a,) = _parameters(a)
    return _noise(rng, size, a) ** (1 / a)


def triangular(rng: np.random.Generator, left: Any, mode: Any, right: Any, size: Size = None) -> Any:
    """Return samples of the density that rises from left to mode and falls to right."""
    left, mode, right = _parameters(left, mode, right)
    u, width = _noise(rng, size, left, mode, right), right - left
    rising = u * width < mode - left
    return np.where(
        rising,
        left + np.sqrt(np.where(rising, u * width * (mode - left), 0.0)),
        right - np.sqrt(np.where(rising, 0.0, (1 - u) * width * (right - mode))),
    )


def gamma(rng: np.random.Generator, shape: Any, scale: Any = 1.0, size: Size = None) -> Any:
    """Return samples of density x^(shape-1) exp(-x/scale), normalized; differentiable in shape too.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> rng = np.random.default_rng(0)
        >>> slope = cr.grad(lambda a: np.mean(cr.random.gamma(rng, a, 1.0, 4000)))(3.0)
        >>> bool(abs(slope - 1) < 0.05)  # the mean is a
        True
    """
    shape, scale = _parameters(shape, scale)
    return scale * scipy.special.gammaincinv(shape, _noise(rng, size, shape, scale))


def chisquare(rng: np.random.Generator, df: Any, size: Size = None) -> Any:
    """Return samples of the chi-square distribution with df degrees of freedom."""
    (df,) = _parameters(df)
    return gamma(rng, df / 2, 2.0, size)


def beta(rng: np.random.Generator, a: Any, b: Any, size: Size = None) -> Any:
    """Return samples of density x^(a-1) (1-x)^(b-1) on [0, 1], normalized."""
    a, b = _parameters(a, b)
    return scipy.special.betaincinv(a, b, _noise(rng, size, a, b))


def f(rng: np.random.Generator, dfnum: Any, dfden: Any, size: Size = None) -> Any:
    """Return samples of the F distribution: the quotient of two chi-squares by their degrees of freedom."""
    dfnum, dfden = _parameters(dfnum, dfden)
    size = _shape(rng, size, dfnum, dfden)
    return (chisquare(rng, dfnum, size) / dfnum) / (chisquare(rng, dfden, size) / dfden)


def standard_t(rng: np.random.Generator, df: Any, size: Size = None) -> Any:
    """Return samples of Student's t distribution with df degrees of freedom."""
    (df,) = _parameters(df)
    size = _shape(rng, size, df)
    return rng.standard_normal(size) / np.sqrt(chisquare(rng, df, size) / df)


def dirichlet(rng: np.random.Generator, alpha: Any, size: Size = None) -> Any:
    """Return samples (..., k) that are positive and add up to 1, of density Π xᵢ^(alphaᵢ-1), normalized."""
    (alpha,) = _parameters(alpha)
    if np.ndim(alpha) != 1:
        raise ShapeError(f"random.dirichlet: alpha must have one axis, got shape {np.shape(alpha)}{at()}")
    parts = gamma(rng, alpha, 1.0, (*_sizes(size), np.size(alpha)))
    return parts / np.sum(parts, axis=-1, keepdims=True)


def multivariate_normal(rng: np.random.Generator, mean: Any, cov: Any, size: Size = None) -> Any:
    """Return mean + L z (..., d), with z standard normal and L the Cholesky factor of cov (d, d), positive definite."""
    mean, cov = _parameters(mean, cov)
    if np.ndim(mean) != 1 or np.shape(cov) != (np.size(mean),) * 2:
        raise ShapeError(
            f"random.multivariate_normal: mean must have one axis and cov be square of the same size, got shapes "
            f"{np.shape(mean)} and {np.shape(cov)}{at()}"
        )
    z = _checked(rng).standard_normal((*_sizes(size), np.size(mean)))
    return mean + z @ np.linalg.cholesky(cov).T


# -- noise ---------------------------------------------------------------------------------------------------


def _parameters(*values: Any) -> list[Any]:
    return [stacked(each) if holds_traced(each) else np.asarray(each)[()] for each in values]


def _sizes(size: Size) -> tuple[int, ...]:
    return () if size is None else (size,) if np.ndim(size) == 0 else tuple(size)  # type: ignore[arg-type, return-value]


def _checked(rng: Any) -> Any:
    """Return the generator, if it is one."""
    if not isinstance(rng, np.random.Generator | np.random.RandomState):
        raise UnsupportedError(
            f"chainrule.random: the first argument is a generator, got {type(rng).__name__}{at()}; write "
            "rng = np.random.default_rng(0), and pass it first"
        )
    return rng


def _shape(rng: Any, size: Size, *parameters: Any) -> tuple[int, ...]:
    """Return the shape of the samples, and check the generator."""
    _checked(rng)
    together = np.broadcast_shapes(*(np.shape(each) for each in parameters))
    if size is None:
        return together
    wanted = _sizes(size)
    try:
        fits = np.broadcast_shapes(together, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"chainrule.random: parameters of shape {together} do not fit size {wanted}{at()}")
    return wanted


def _noise(rng: Any, size: Size, *parameters: Any) -> Any:
    """Return uniform noise, neither 0 nor 1, where the inverse distribution functions may be infinite."""
    shape = _shape(rng, size, *parameters)
    draw: Any = getattr(rng, "random", None) or rng.random_sample
    return np.maximum(draw(shape), 2.0**-54)
