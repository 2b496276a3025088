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

from chainrule.ops.host import stop_gradient
from chainrule.ops.special import zeta as zeta_op
from chainrule.scipy.twins import twin
from chainrule.tracing.array import record, stacked
from chainrule.tracing.functions.reductions import logsumexp as traced_logsumexp

__all__ = ["log_softmax", "logsumexp", "multigammaln", "polygamma", "softmax", "zeta"]


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


def _top(x: Any, axis: Any) -> Any:
    """Return the largest element along axes, as a constant, and 0 where it is not finite."""
    top = record(stop_gradient, np.max(np.real(x), axis=axis, keepdims=True))
    return np.where(np.isfinite(top), top, top.dtype.type(0))
