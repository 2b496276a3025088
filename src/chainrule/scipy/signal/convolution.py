"""Convolution and correlation in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.signal

from chainrule.ops.signal import correlate as correlate_op
from chainrule.scipy.common import apply, extended, floating, part, refuse
from chainrule.scipy.twins import twin
from chainrule.tracing.array import holds_traced, stacked

Axes = Sequence[int] | int | None


def correlated(x: Any, w: Any, rank: int) -> Any:
    """Return Σ_k x[i + k] w[k] over the last axes, where w lies inside x."""
    return apply(correlate_op, x, w, rank=rank)


def reversed_axes(x: Any, rank: int) -> Any:
    """Return x with its last axes reversed."""
    return np.flip(x, tuple(range(x.ndim - rank, x.ndim)))


def convolved(a: Any, b: Any, rank: int, mode: str) -> Any:
    """Return the convolution over the last axes, cut as `mode` says."""
    n, k = a.shape[a.ndim - rank :], b.shape[b.ndim - rank :]
    full = [i + j - 1 for i, j in zip(n, k, strict=True)]
    if mode == "full":
        starts, sizes = [0] * rank, full
    elif mode == "same":
        starts, sizes = [(size - i) // 2 for size, i in zip(full, n, strict=True)], list(n)
    elif mode == "valid":
        if not (all(i >= j for i, j in zip(n, k, strict=True)) or all(i <= j for i, j in zip(n, k, strict=True))):
            raise ValueError("For 'valid' mode, one must be at least as large as the other in every dimension")
        starts = [min(i, j) - 1 for i, j in zip(n, k, strict=True)]
        sizes = [abs(i - j) + 1 for i, j in zip(n, k, strict=True)]
    else:
        raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")
    if math.prod(k) > math.prod(n):
        a, b, k = b, a, n
    begin = [start - (j - 1) for start, j in zip(starts, k, strict=True)]
    window = part(a, begin, [size + j - 1 for size, j in zip(sizes, k, strict=True)])
    return correlated(window, reversed_axes(b, rank), rank)


def _conjugate_reversed(x: Any) -> Any:
    x = stacked(x)
    x = reversed_axes(x, x.ndim)
    return np.conj(x) if x.dtype.kind == "c" else x


@twin(scipy.signal)
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Return the convolution of two arrays with as many axes."""
    in1, in2 = stacked(in1), stacked(in2)
    if method not in ("auto", "direct", "fft"):
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    if in1.ndim != in2.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if not in1.ndim:
        return in1 * in2
    if not in1.size or not in2.size:
        return np.array([])
    return convolved(in1, in2, in1.ndim, mode)


@twin(scipy.signal)
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Return the cross-correlation of two arrays with as many axes: the second is conjugated."""
    return convolve(in1, _conjugate_reversed(in2), mode, method)


@twin(scipy.signal)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Axes = None) -> Any:
    """Return the convolution over axes; the others broadcast."""
    in1, in2 = floating(in1), floating(in2)
    if in1.ndim != in2.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if not in1.ndim:
        return in1 * in2
    if not in1.size or not in2.size:
        return np.array([])
    rank = in1.ndim
    chosen = list(range(rank)) if axes is None else [k % rank for k in np.atleast_1d(axes)]
    if len(set(chosen)) != len(chosen):
        raise ValueError("all axes must be unique")
    others = [k for k in range(rank) if k not in chosen]
    if any(in1.shape[k] != in2.shape[k] and 1 not in (in1.shape[k], in2.shape[k]) for k in others):
        raise ValueError(f"incompatible shapes for in1 and in2: {in1.shape} and {in2.shape}")
    order = [*others, *chosen]
    y = convolved(np.transpose(in1, order), np.transpose(in2, order), len(chosen), mode)
    y = np.transpose(y, np.argsort(order))
    if mode == "same":  # SciPy centers on in1 along the axes that broadcast, too
        starts = [(size - n) // 2 for size, n in zip(y.shape, in1.shape, strict=True)]
        y = part(y, starts, in1.shape)
    return y


@twin(scipy.signal)
def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Axes = None) -> Any:
    """Return the convolution over axes; the others broadcast."""
    return fftconvolve(in1, in2, mode, axes)


@twin(scipy.signal)
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Return the convolution of two matrices, the first continued beyond its ends as `boundary` says."""
    in1, in2 = stacked(in1), stacked(in2)
    if mode == "valid" and in1.ndim == in2.ndim == 2:
        return convolved(in1, in2, 2, mode)
    return _correlated_around(in1, reversed_axes(in2, in2.ndim), mode, boundary, fillvalue, 1)


@twin(scipy.signal)
def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Return the cross-correlation of two matrices: the second is conjugated."""
    in1, in2 = stacked(in1), stacked(in2)
    if mode == "valid" and in1.ndim == in2.ndim == 2:
        return convolved(in1, _conjugate_reversed(in2), 2, mode)
    conjugate = np.conj(in2) if in2.dtype.kind == "c" else in2
    return _correlated_around(in1, conjugate, mode, boundary, fillvalue, 0)


_BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "reflect",
               "symmetric": "reflect"}  # fmt: skip


def _correlated_around(x: Any, w: Any, mode: str, boundary: str, fillvalue: Any, odd: int) -> Any:
    """Correlate with x continued; of an even length the center is the earlier element where `odd` is 1."""
    if not x.ndim == w.ndim == 2:
        raise ValueError("inputs must both be 2-D arrays")
    if boundary not in _BOUNDARIES:
        raise ValueError("Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm').")
    if mode not in ("full", "same"):
        raise ValueError("Acceptable mode flags are 'valid', 'same', or 'full'.")
    widths = [(k - 1, k - 1) for k in w.shape]
    if mode == "same":
        before = [(k - 1) // 2 if not odd else k // 2 for k in w.shape]
        widths = [(b, k - 1 - b) for k, b in zip(w.shape, before, strict=True)]
    return correlated(extended(x, widths, [_BOUNDARIES[boundary]] * 2, fillvalue), w, 2)


@twin(scipy.signal)
def upfirdn(h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1, mode: str = "constant", cval: Any = 0) -> Any:
    """Upsample by zeros, filter, downsample; x goes on beyond its ends as `mode` says."""
    h, x = floating(h), np.moveaxis(floating(x), axis, -1)
    up, down = int(up), int(down)
    if h.ndim != 1 or not h.size:
        raise ValueError("h must be 1-D with non-zero length")
    if up < 1 or down < 1:
        raise ValueError("Both up and down must be >= 1")
    return np.moveaxis(_polyphase(h, x, up, down, mode or "constant", cval), -1, axis)


def _polyphase(h: Any, x: Any, up: int, down: int, mode: str, cval: Any) -> Any:
    """y[m] = Σ_j h[(m down) mod up + j up] x[(m down) div up - j]."""
    nothing = mode == "constant" and not holds_traced(cval) and not cval
    if up == down == 1 and nothing:
        return convolved(x, h, 1, "full")
    size, taps = x.shape[-1], h.shape[0]
    count = ((size - 1) * up + taps - 1) // down + 1
    place = np.arange(count)[:, None] * down
    reach = -(-taps // up)
    j = np.arange(reach)
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)]) if nothing else _continued(x, reach, mode, cval)
    h = np.pad(h, [(0, reach * up - taps)])
    return np.sum(x[..., place // up - j + reach] * h[place % up + j * up], axis=-1)


def _continued(x: Any, reach: int, mode: str, cval: Any) -> Any:
    """Return x with `reach` more elements at both ends of its last axis, by a mode of `upfirdn`."""
    size, sides = x.shape[-1], [(0, 0)] * (x.ndim - 1) + [(reach, reach)]
    if mode == "constant":
        return np.pad(x, sides, constant_values=cval)
    if mode in ("wrap", "edge", "symmetric", "reflect"):
        return np.pad(x, sides, mode=mode)  # type: ignore[call-overload]
    if mode == "antisymmetric":
        turns = np.floor_divide(np.arange(-reach, size + reach), size)
        return np.pad(x, sides, mode="symmetric") * np.where(turns % 2, -1, 1).astype(x.real.dtype)
    first, last = x[..., :1], x[..., -1:]
    steps = np.arange(1, reach + 1).astype(x.real.dtype)
    if mode == "antireflect" and reach < size:
        before, after = 2 * first - x[..., reach:0:-1], 2 * last - x[..., -2 : -reach - 2 : -1]
    elif mode in ("smooth", "line") and size > 1:
        rise = (last - first) / (size - 1)
        starts, ends = (rise, rise) if mode == "line" else (x[..., 1:2] - first, last - x[..., -2:-1])
        before, after = first - starts * steps[::-1], last + ends * steps
    else:
        raise refuse(f"scipy.signal.upfirdn: mode={mode!r} for {size} samples and a filter that reaches {reach} beyond")
    return np.concatenate([before, x, after], axis=-1)
