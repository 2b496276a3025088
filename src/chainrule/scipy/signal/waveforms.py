"""Waveforms, in their time and their parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal

from chainrule.scipy.common import floating
from chainrule.scipy.twins import twin


@twin(scipy.signal)
def chirp(t: Any, f0: Any, t1: Any, f1: Any, method: str = "linear", phi: Any = 0, vertex_zero: bool = True, *,
          complex: bool = False) -> Any:  # fmt: skip
    """Return a cosine whose frequency goes from f0 at time 0 to f1 at time t1; phi in degrees."""
    t = floating(t)
    phase = _chirp_phase(t, f0, t1, f1, method, vertex_zero) + phi * np.pi / 180
    return np.exp(1j * phase) if complex else np.cos(phase)


def _chirp_phase(t: Any, f0: Any, t1: Any, f1: Any, method: str, vertex_zero: bool) -> Any:
    if method in ("linear", "lin", "li"):
        return 2 * np.pi * (f0 * t + 0.5 * (f1 - f0) / t1 * t * t)
    if method in ("quadratic", "quad", "q"):
        bend = (f1 - f0) / t1**2
        if vertex_zero:
            return 2 * np.pi * (f0 * t + bend * t**3 / 3)
        return 2 * np.pi * (f1 * t + bend * ((t1 - t) ** 3 - t1**3) / 3)
    if method in ("logarithmic", "log", "lo"):
        if f0 * f1 <= 0.0:
            raise ValueError("For a logarithmic chirp, f0 and f1 must be nonzero and have the same sign.")
        if f0 == f1:
            return 2 * np.pi * (f0 * t + 0.5 * (f1 - f0) / t1 * t * t)
        ratio = np.log(f1 / f0)
        return 2 * np.pi * t1 / ratio * f0 * np.expm1(ratio * t / t1)
    if method in ("hyperbolic", "hyp"):
        if f0 == 0 or f1 == 0:
            raise ValueError("For a hyperbolic chirp, f0 and f1 must be nonzero.")
        if f0 == f1:
            return 2 * np.pi * f0 * t + 0 * f1
        singular = -f1 * t1 / (f0 - f1)
        return 2 * np.pi * (-singular * f0) * np.log(np.abs(1 - t / singular))
    raise ValueError("method must be 'linear', 'quadratic', 'logarithmic', or 'hyperbolic'")


@twin(scipy.signal)
def gausspulse(t: Any, fc: Any = 1000, bw: Any = 0.5, bwr: Any = -6, tpr: Any = -60, retquad: bool = False,
               retenv: bool = False) -> Any:  # fmt: skip
    """Return a sinusoid under a Gaussian, perhaps with its quadrature and its envelope."""
    if fc < 0:
        raise ValueError(f"Center frequency (fc={fc:.2f}) must be >=0.")
    if bw <= 0:
        raise ValueError(f"Fractional bandwidth (bw={bw:.2f}) must be > 0.")
    if bwr >= 0:
        raise ValueError(f"Reference level for bandwidth (bwr={bwr:.2f}) must be < 0 dB")
    level = 10.0 ** (bwr / 20.0)
    a = -((np.pi * fc * bw) ** 2) / (4.0 * np.log(level))
    if isinstance(t, str):
        if t != "cutoff":
            raise ValueError("If `t` is a string, it must be 'cutoff'")
        if tpr >= 0:
            raise ValueError("Reference level for time cutoff must be < 0 dB")
        return np.sqrt(-np.log(10.0 ** (tpr / 20.0)) / a)
    t = floating(t)
    envelope = np.exp(-a * t * t)
    wave, quadrature = (envelope * f(2 * np.pi * fc * t) for f in (np.cos, np.sin))
    found = [wave, *([quadrature] if retquad else []), *([envelope] if retenv else [])]
    return found[0] if len(found) == 1 else tuple(found)


@twin(scipy.signal)
def sawtooth(t: Any, width: Any = 1) -> Any:
    """Return a wave of period 2π that rises over the share `width` of it from -1 to 1, then falls."""
    t, width = floating(t), floating(width)
    within = np.remainder(t, 2 * np.pi) / (2 * np.pi)
    rising = within < width
    up = 2 * within / np.where(width == 0, 1.0, width) - 1
    down = (width + 1 - 2 * within) / np.where(width == 1, 1.0, 1 - width)
    y = np.where(rising, up, down)
    return np.where((width > 1) | (width < 0), np.nan, y)


@twin(scipy.signal)
def sweep_poly(t: Any, poly: Any, phi: Any = 0) -> Any:
    """Return a cosine whose frequency is a polynomial of time; phi in degrees."""
    t = floating(t)
    c = floating(poly.coeffs if isinstance(poly, np.poly1d) else poly)
    integral = np.concatenate([c / np.arange(c.shape[0], 0, -1), np.zeros(1)])
    return np.cos(2 * np.pi * np.polyval(integral, t) + phi * np.pi / 180)
