"""`scipy.special` for traced arrays: twins of the functions that are no ufuncs.

The ufuncs of `scipy.special` (gammaln, expit, erf, ...) take traced arrays as they are. The functions named in
`__all__` do not, since SciPy gives nobody a way in. Their twins here have SciPy's signatures, and are SciPy's own
functions where no argument is traced. Every other name of `scipy.special` is found here too, unchanged:

    from chainrule.scipy import special  # for: from scipy import special
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special
from scipy.special import gamma, gammaln, psi

from chainrule import ir
from chainrule.errors import UnsupportedError
from chainrule.ops import special as ops
from chainrule.ops.host import stop_gradient
from chainrule.ops.special import zeta as zeta_op
from chainrule.scipy.twins import twin
from chainrule.tracing.array import record, stacked
from chainrule.tracing.functions.reductions import logsumexp as traced_logsumexp
from chainrule.tracing.origin import at

__all__ = [
    "comb",
    "diric",
    "factorial",
    "h1vp",
    "h2vp",
    "ivp",
    "jvp",
    "kvp",
    "lambertw",
    "log_softmax",
    "logsumexp",
    "multigammaln",
    "perm",
    "polygamma",
    "sinc",
    "softmax",
    "softplus",
    "sph_harm_y",
    "spherical_in",
    "spherical_jn",
    "spherical_kn",
    "spherical_yn",
    "yvp",
    "zeta",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return getattr(scipy.special, name)


@twin(scipy.special)
def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Return log(Σ b exp(a)) over axes without overflow; with `return_sign` the logarithm of its size, and its sign.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.special import logsumexp
        >>> cr.grad(logsumexp)(np.array([1000.0, 1000.0]))
        array([0.5, 0.5])
    """
    a, b = stacked(a), None if b is None else stacked(b)
    if not return_sign:
        return traced_logsumexp(a, axis, b, keepdims)
    top, weights = _top(a, axis), 1.0 if b is None else b
    total = np.sum(weights * np.exp(a - top), axis=axis, keepdims=True)
    size, sign = np.log(np.abs(total)) + top, np.sign(total)
    if keepdims:
        return size, sign
    shape = np.sum(np.zeros(total.shape if total.size else a.shape), axis=axis).shape
    return np.reshape(size, shape), np.reshape(sign, shape)


@twin(scipy.special)
def softmax(x: Any, axis: Any = None) -> Any:
    """Return exp(x) / Σ exp(x), the sum over axes."""
    x = stacked(x)
    powers = np.exp(x - _top(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@twin(scipy.special)
def log_softmax(x: Any, axis: Any = None) -> Any:
    """Return x - log(Σ exp(x)), the sum over axes."""
    x = stacked(x)
    shifted = x - _top(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


@twin(scipy.special)
def polygamma(n: Any, x: Any) -> Any:
    """Return the n-th derivative of psi; differentiable in x."""
    n, x = np.asarray(n), stacked(x)
    return np.where(n == 0, psi(x), (-1.0) ** (n + 1) * gamma(n + 1.0) * zeta(n + 1.0, x))


@twin(scipy.special)
def zeta(x: Any, q: Any = None) -> Any:
    """Return Σ 1 / (k + q)ˣ over k = 0, 1, ...; differentiable in q. Without q, Riemann's zeta function."""
    return record(zeta_op, x, 1.0 if q is None else q)


@twin(scipy.special)
def multigammaln(a: Any, d: int) -> Any:
    """Return the logarithm of the multivariate gamma function of dimension d; differentiable in a."""
    a = stacked(a)
    if d != int(d):
        raise ValueError("d should be a positive integer (dimension)")
    if np.any(a <= 0.5 * (d - 1)):
        raise ValueError(f"condition a (minimum {np.min(a)}) > 0.5 * (d-1) ({0.5 * (d - 1)}) not met")
    return math.log(math.pi) * d * (d - 1) / 4 + sum(gammaln(a - k / 2) for k in range(int(d)))


@twin(scipy.special)
def lambertw(z: Any, k: Any = 0, tol: float = 1e-8) -> Any:
    """Return W with W exp(W) = z, complex; differentiable in z."""
    return record(ops.lambertw, stacked(z) + 0j, np.asarray(k))


@twin(scipy.special)
def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """Return Γ(n + 1), and 0 for negative n; its derivative is that of the gamma function."""
    _inexact(exact, "factorial")
    n = stacked(n)
    return np.where(n < 0, 0.0, gamma(np.where(n < 0, 0.0, n) + 1))


@twin(scipy.special)
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """Return the binomial coefficient Γ(N+1) / (Γ(k+1) Γ(N-k+1)), 0 outside 0 ≤ k ≤ N; differentiable in both."""
    _inexact(exact, "comb")
    N, k = stacked(N), stacked(k)
    if repetition:
        N = N + k - 1
    inside = (k >= 0) & (N >= 0) & (k <= N)
    return np.where(inside, scipy.special.binom(np.where(inside, N, 1.0), np.where(inside, k, 0.5)), 0.0)


@twin(scipy.special)
def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """Return Γ(N+1) / Γ(N-k+1), 0 outside 0 ≤ k ≤ N; differentiable in both."""
    _inexact(exact, "perm")
    N, k = stacked(N), stacked(k)
    inside = (k >= 0) & (N >= 0) & (k <= N)
    return np.where(inside, scipy.special.poch(np.where(inside, N - k + 1, 1.0), np.where(inside, k, 0.5)), 0.0)


def _inexact(exact: Any, name: str) -> None:
    if exact:
        raise UnsupportedError(f"special.{name}: exact=True counts with whole numbers, which have no derivative{at()}")


@twin(scipy.special)
def diric(x: Any, n: Any) -> Any:
    """Return the periodic sinc function sin(n x/2) / (n sin(x/2)), for a whole number n; differentiable in x."""
    if hasattr(n, "builder"):
        raise UnsupportedError(f"special.diric: n counts; there is no derivative with respect to it{at()}")
    n = np.asarray(n)
    half = stacked(x) / 2
    whole = np.abs(np.sin(half)) < 1e-9
    safe = np.where(whole, 1.0, half)
    limit = np.cos(np.pi * np.round(half / np.pi) * (n - 1))
    value = np.where(whole, limit, np.sin(n * safe) / (n * np.sin(safe)))
    return np.where((n <= 0) | (n != np.floor(n)), np.nan, value)


@twin(scipy.special)
def sinc(x: Any) -> Any:
    """Return sin(πx) / (πx)."""
    return np.sinc(stacked(x))


@twin(scipy.special)
def softplus(x: Any, **kwargs: Any) -> Any:
    """Return log(1 + exp(x))."""
    return np.logaddexp(0.0, stacked(x))


@twin(scipy.special)
def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, *, diff_n: int = 0) -> Any:
    """Return the spherical harmonic, complex; differentiable in both angles."""
    if diff_n:
        raise UnsupportedError(f"special.sph_harm_y: diff_n is not supported with traced arguments{at()}; use jvp")
    return record(ops.sph_harm_y, np.asarray(n), np.asarray(m), theta, phi, order=0)


def _spherical(name: str) -> Any:
    op = ir.REGISTRY[name]

    def function(n: Any, z: Any, derivative: bool = False) -> Any:
        if not derivative:
            return record(op, np.asarray(n), stacked(z))
        n = np.asarray(n)
        before = record(op, np.maximum(n - 1, 0), stacked(z)), record(op, n + 1, stacked(z))
        first, last = {"jn": (1, -1), "yn": (1, -1), "in": (1, 1), "kn": (-1, -1)}[name[-2:]]
        return (first * n * before[0] + last * (n + 1) * before[1]) / (2 * n + 1)

    function.__name__ = name
    function.__doc__ = f"Return the spherical Bessel function of `scipy.special.{name}`; differentiable in z."
    return twin(scipy.special)(function)


spherical_jn, spherical_yn, spherical_in, spherical_kn = map(
    _spherical, ["spherical_jn", "spherical_yn", "spherical_in", "spherical_kn"]
)


def _bessel_derivative(name: str, function: Any, sign: float, turn: float) -> Any:
    """Declare the n-th derivative of a Bessel function; DLMF 10.6.7 and 10.29.5."""

    def derivative(v: Any, z: Any, n: int = 1) -> Any:
        if n != int(n) or n < 0:
            raise ValueError("n must be a non-negative integer.")
        z = stacked(z)
        total: Any = 0.0
        for k in range(n + 1):
            total = total + math.comb(n, k) * sign**k * function(v - n + 2 * k, z)
        return turn**n * total / 2**n

    derivative.__name__ = name
    derivative.__doc__ = f"Return the n-th derivative by z of `scipy.special.{function.__name__}`; differentiable in z."
    return twin(scipy.special)(derivative)


jvp = _bessel_derivative("jvp", scipy.special.jv, -1, 1)
yvp = _bessel_derivative("yvp", scipy.special.yv, -1, 1)
h1vp = _bessel_derivative("h1vp", scipy.special.hankel1, -1, 1)
h2vp = _bessel_derivative("h2vp", scipy.special.hankel2, -1, 1)
ivp = _bessel_derivative("ivp", scipy.special.iv, 1, 1)
kvp = _bessel_derivative("kvp", scipy.special.kv, 1, -1)


def _top(x: Any, axis: Any) -> Any:
    """Return the largest element along axes, as a constant, and 0 where it is not finite."""
    top = record(stop_gradient, np.max(np.real(x), axis=axis, keepdims=True))
    return np.where(np.isfinite(top), top, top.dtype.type(0))
