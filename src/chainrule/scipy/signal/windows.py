"""`scipy.signal.windows` for traced parameters. Windows without real parameters are SciPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.signal
import scipy.signal.windows

from chainrule.scipy.common import floating, guarded, refuse
from chainrule.scipy.twins import register, twin
from chainrule.tracing.array import stacked

__all__ = [
    "exponential", "gaussian", "general_cosine", "general_gaussian", "general_hamming", "get_window", "kaiser",
    "kaiser_bessel_derived", "tukey",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return guarded(scipy.signal.windows, name, "build the window with NumPy functions")


def _formula(M: int, sym: bool, formula: Callable[[np.ndarray, int], Any], like: Any) -> Any:
    """Return a formula of the places 0 ... M - 1, of M + 1 places less the last where the window is periodic."""
    if int(M) != M or M < 0:
        raise ValueError("Window length M must be a non-negative integer")
    if M <= 1:
        return np.ones(int(M)) + 0 * stacked(like)
    size = int(M) + (not sym)
    return formula(np.arange(size), size)[: int(M)]


def _no_namespace(xp: Any, device: Any) -> None:
    if xp not in (None, np) or device not in (None, "cpu"):
        raise refuse("scipy.signal.windows: xp= and device=")


@twin(scipy.signal.windows)
def gaussian(M: int, std: Any, sym: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return a Gaussian window; differentiable in std."""
    _no_namespace(xp, device)
    return _formula(M, sym, lambda n, size: np.exp(-((n - (size - 1) / 2) ** 2) / (2 * std * std)), std)


@twin(scipy.signal.windows)
def general_gaussian(M: int, p: Any, sig: Any, sym: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return a window exp(-|n/sig|^(2p) / 2); differentiable in p and sig."""
    _no_namespace(xp, device)
    return _formula(
        M, sym, lambda n, size: np.exp(-0.5 * np.abs((n - (size - 1) / 2) / sig) ** (2 * p)), stacked([p, sig])[0]
    )


@twin(scipy.signal.windows)
def exponential(M: int, center: Any = None, tau: Any = 1.0, sym: bool = True, *, xp: Any = None,
                device: Any = None) -> Any:  # fmt: skip
    """Return the window exp(-|n - center| / tau); differentiable in center and tau."""
    _no_namespace(xp, device)
    if sym and center is not None:
        raise ValueError("If sym==True, center must be None.")
    return _formula(
        M, sym, lambda n, size: np.exp(-np.abs(n - ((size - 1) / 2 if center is None else center)) / tau), tau
    )


@twin(scipy.signal.windows)
def kaiser(M: int, beta: Any, sym: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return the Kaiser window I0(beta sqrt(1 - t²)) / I0(beta); differentiable in beta."""
    _no_namespace(xp, device)

    def formula(n: np.ndarray, size: int) -> Any:
        t = (2 * n - (size - 1)) / (size - 1)
        return _i0_ratio(np.sqrt(1 - t * t), beta)

    return _formula(M, sym, formula, beta)


def _i0_ratio(share: np.ndarray, beta: Any) -> Any:
    """Return I0(share · beta) / I0(beta) by the mean of exp(x cos θ) over a circle (DLMF 10.32.1).

    The trapezoidal rule with m points on the period is exact but for terms I_2m(beta), which are below rounding where
    2m exceeds beta + 12 beta^(1/3) + 24. Factors exp(-beta) keep large beta from overflow.
    """
    size = 16 * (int(np.abs(beta) / 16) + 1)  # few different numbers, since `jit` checks them
    count = int((size + 12 * size ** (1 / 3) + 24) / 2) + 1
    cosines = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    above = np.mean(np.exp(beta * (share[:, None] * cosines - 1)), axis=-1)
    return above / np.mean(np.exp(beta * (cosines - 1)))


@twin(scipy.signal.windows)
def kaiser_bessel_derived(M: int, beta: Any, *, sym: bool = True, xp: Any = None, device: Any = None) -> Any:
    """Return the Kaiser-Bessel derived window; differentiable in beta."""
    if not sym:
        raise ValueError("Kaiser-Bessel Derived windows are only defined for symmetric shapes")
    if M < 1:
        return np.array([])
    if M % 2:
        raise ValueError("Kaiser-Bessel Derived windows are only defined for even number of points")
    sums = np.cumsum(kaiser(M // 2 + 1, beta, xp=xp, device=device))
    half = np.sqrt(sums[:-1] / sums[-1])
    return np.concatenate([half, np.flip(half)])


@twin(scipy.signal.windows)
def tukey(M: int, alpha: Any = 0.5, sym: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return a flat window with cosine flanks over the share alpha; differentiable in alpha."""
    _no_namespace(xp, device)

    def formula(n: np.ndarray, size: int) -> Any:
        if alpha <= 0:
            return np.ones(size) + 0 * alpha
        share = np.minimum(alpha, 1.0)
        from_end = np.minimum(n, size - 1 - n)
        flank = 0.5 * (1 + np.cos(np.pi * (2.0 * from_end / share / (size - 1) - 1)))
        inside = from_end <= np.floor(share * (size - 1) / 2.0)
        return np.where(inside, flank, 1.0)

    return _formula(M, sym, formula, alpha)


@twin(scipy.signal.windows)
def general_cosine(M: int, a: Any, sym: bool = True) -> Any:
    """Return a weighted sum of cosines; differentiable in the weights."""
    a = floating(a)

    def formula(n: np.ndarray, size: int) -> Any:
        angles = np.linspace(-np.pi, np.pi, size)
        return np.cos(angles[:, None] * np.arange(a.shape[0])) @ a

    return _formula(M, sym, formula, a[0])


@twin(scipy.signal.windows)
def general_hamming(M: int, alpha: Any, sym: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return the window alpha - (1 - alpha) cos(2πn / (M - 1)); differentiable in alpha."""
    _no_namespace(xp, device)
    return general_cosine(M, [alpha, 1.0 - alpha], sym)


_NAMED = {"gaussian": gaussian, "gauss": gaussian, "gss": gaussian, "general_gaussian": general_gaussian,
          "general gaussian": general_gaussian, "general gauss": general_gaussian, "general_gauss": general_gaussian,
          "ggs": general_gaussian, "kaiser": kaiser, "ksr": kaiser, "tukey": tukey, "tuk": tukey,
          "exponential": exponential, "poisson": exponential, "general_cosine": general_cosine,
          "general cosine": general_cosine, "general_hamming": general_hamming}  # fmt: skip


@twin(scipy.signal.windows)
def get_window(window: Any, Nx: int, fftbins: bool = True, *, xp: Any = None, device: Any = None) -> Any:
    """Return a window by name; traced parameters go into a tuple, as in ("gaussian", std)."""
    _no_namespace(xp, device)
    if not isinstance(window, tuple | list):
        name: Any = "kaiser"
        parameters = [window]
    else:
        name, *parameters = window
    sym = not fftbins
    for suffix, symmetric in (("_periodic", False), ("_symmetric", True)):
        if str(name).endswith(suffix):
            name, sym = str(name).removesuffix(suffix), symmetric
    if name not in _NAMED:
        raise refuse(f"scipy.signal.get_window: a window {name!r} with these parameters")
    return _NAMED[name](Nx, *parameters, sym=sym)


register(scipy.signal, "get_window", get_window)
