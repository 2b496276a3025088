"""Filters with and without feedback, in both their coefficients and the signal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.signal

from chainrule.ops.signal import recur
from chainrule.scipy.common import apply, as_dtype, extended, floating, look, on_last, part, plain, refuse
from chainrule.scipy.signal.convolution import convolve, convolved, correlated, reversed_axes, upfirdn
from chainrule.scipy.twins import twin
from chainrule.tracing.array import holds_traced, stacked
from chainrule.tracing.functions.common import axis_of
from chainrule.types import real_dtype


def _normalized(b: Any, a: Any) -> tuple[Any, Any]:
    """Return both coefficients with as many entries, a[0] = 1."""
    b, a = np.atleast_1d(floating(b)), np.atleast_1d(floating(a))
    if b.ndim != 1 or a.ndim != 1:
        raise ValueError("object of too small depth for desired array: b and a have one axis")
    size = max(len(b), len(a))
    b, a = b / a[0], a / a[0]
    return np.pad(b, (0, size - len(b))), np.pad(a, (0, size - len(a)))


@twin(scipy.signal)
def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis; differentiable in b, a, x and zi.

    With zi, the state before the first sample in the transposed direct form II, the state after the last is
    returned as well.
    """
    b, a = _normalized(b, a)
    x = floating(x)
    if not x.ndim:
        raise ValueError("x needs an axis to filter along")
    axis = axis_of(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    state, size = len(b) - 1, x.shape[-1]
    if zi is None:
        y = apply(recur, convolved(x, b, 1, "full")[..., :size], a[1:]) if size else x
        return np.moveaxis(y, -1, axis)
    zi = np.moveaxis(floating(zi), axis, -1)
    if zi.ndim != x.ndim or zi.shape[-1] != state:
        raise ValueError(
            f"Unexpected shape for zi: expected {(*x.shape[:-1], state)} along the axis, found {zi.shape}."
        )
    zi = np.broadcast_to(zi, (*x.shape[:-1], state))
    # Behind the last sample, what is still to come is the state.
    coming = convolved(x, b, 1, "full") + part(zi, [0], [size + state]) if size else zi
    y = apply(recur, coming[..., :size], a[1:])
    after = coming[..., size:] - convolved(y, a, 1, "full")[..., size:] if size else zi
    return np.moveaxis(y, -1, axis), np.moveaxis(after, -1, axis)


@twin(scipy.signal)
def lfilter_zi(b: Any, a: Any) -> Any:
    """Return the state of `lfilter` in which a step of 1 has settled."""
    b, a = _normalized(b, a)
    rest = b - a * (np.sum(b) / np.sum(a))
    return np.flip(np.cumsum(np.flip(rest[1:])))


@twin(scipy.signal)
def lfiltic(b: Any, a: Any, y: Any, x: Any = None) -> Any:
    """Return the state of `lfilter` after outputs y and inputs x, the latest first."""
    b, a = _normalized(b, a)
    state = len(b) - 1
    y = part(np.atleast_1d(floating(y)), [0], [state])
    x = np.zeros(state, y.dtype) if x is None else part(np.atleast_1d(floating(x)), [0], [state])
    later = np.arange(state)[:, None] + 1 + np.arange(state)
    later = np.where(later > state, state + 1, later)
    b, a = np.pad(b, (0, 1)), np.pad(a, (0, 1))
    return b[later] @ x - a[later] @ y


def _sections(sos: Any) -> Any:
    sos = floating(sos)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    return sos


@twin(scipy.signal)
def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis by sections of second order; differentiable in sos, x and zi."""
    sos, x = _sections(sos), floating(x)
    axis = axis_of(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    if zi is None:
        for k in range(len(sos)):
            x = lfilter(sos[k, :3], sos[k, 3:], x)
        return np.moveaxis(x, -1, axis)
    zi = np.moveaxis(floating(zi), axis + 1, -1)
    if zi.shape != (len(sos), *x.shape[:-1], 2):
        raise ValueError(f"Invalid zi shape. With axis={axis}, {len(sos)} sections and an input of {x.shape}, zi must "
                         f"have 2 numbers per section and signal, got {zi.shape}")  # fmt: skip
    states = []
    for k in range(len(sos)):
        x, state = lfilter(sos[k, :3], sos[k, 3:], x, zi=zi[k])
        states.append(state)
    return np.moveaxis(x, -1, axis), np.moveaxis(np.stack(states), -1, axis + 1)


@twin(scipy.signal)
def sosfilt_zi(sos: Any) -> Any:
    """Return the state of `sosfilt` in which a step of 1 has settled."""
    sos = _sections(sos)
    scale, found = 1.0, []
    for k in range(len(sos)):
        found.append(scale * lfilter_zi(sos[k, :3], sos[k, 3:]))
        scale = scale * (np.sum(sos[k, :3]) / np.sum(sos[k, 3:]))
    return np.stack(found)


def _around(x: Any, padtype: str | None, padlen: int | None, default: int) -> tuple[Any, int]:
    """Return x continued on both sides of its last axis, and by how much."""
    if padtype not in ("even", "odd", "constant", None):
        raise ValueError(
            f"Unknown value '{padtype}' given to padtype. padtype must be 'even', 'odd', 'constant', or None."
        )
    edge = 0 if padtype is None else default if padlen is None else int(padlen)
    size = x.shape[-1]
    if size <= edge:
        raise ValueError(f"The length of the input vector x must be greater than padlen, which is {edge}.")
    if not edge:
        return x, 0
    first, last = x[..., :1], x[..., -1:]
    if padtype == "constant":
        return extended(x, [(0, 0)] * (x.ndim - 1) + [(edge, edge)], ["nearest"] * x.ndim), edge
    before, after = x[..., edge:0:-1], x[..., -2 : -edge - 2 : -1]
    if padtype == "odd":
        before, after = 2 * first - before, 2 * last - after
    return np.concatenate([before, x, after], axis=-1), edge


@twin(scipy.signal)
def filtfilt(b: Any, a: Any, x: Any, axis: int = -1, padtype: str | None = "odd", padlen: int | None = None,
             method: str = "pad", irlen: int | None = None) -> Any:  # fmt: skip
    """Filter along an axis forwards, then backwards; differentiable in b, a and x."""
    if method == "gust":
        raise refuse("scipy.signal.filtfilt: method='gust'", "use method='pad'")
    if method != "pad":
        raise ValueError("method must be 'pad' or 'gust'.")
    b, a = np.atleast_1d(floating(b)), np.atleast_1d(floating(a))
    zi = lfilter_zi(b, a)

    def one_way(x: Any) -> Any:
        return lfilter(b, a, x, zi=zi * x[..., :1])[0]

    return on_last(lambda x: _both_ways(one_way, x, padtype, padlen, 3 * max(len(a), len(b))), floating(x), axis)


@twin(scipy.signal)
def sosfiltfilt(sos: Any, x: Any, axis: int = -1, padtype: str | None = "odd", padlen: int | None = None) -> Any:
    """Filter along an axis by sections of second order forwards, then backwards; differentiable in sos and x."""
    sos = _sections(sos)
    zi = sosfilt_zi(sos)
    edge = 3 * (2 * len(sos) + 1 - min(int(np.sum(look(sos[:, k] == 0))) for k in (2, 5)))

    def one_way(x: Any) -> Any:
        state = np.reshape(zi, (len(sos), *[1] * (x.ndim - 1), 2))
        return sosfilt(sos, x, zi=state * x[..., :1])[0]

    return on_last(lambda x: _both_ways(one_way, x, padtype, padlen, edge), floating(x), axis)


def _both_ways(one_way: Any, x: Any, padtype: str | None, padlen: int | None, default: int) -> Any:
    x, edge = _around(x, padtype, padlen, default)
    y = np.flip(one_way(np.flip(one_way(x), -1)), -1)
    return y[..., edge : y.shape[-1] - edge]


@twin(scipy.signal)
def deconvolve(signal: Any, divisor: Any) -> Any:
    """Return quotient and remainder: signal = convolve(divisor, quotient) + remainder."""
    signal, divisor = np.atleast_1d(floating(signal)), np.atleast_1d(floating(divisor))
    if signal.ndim > 1 or divisor.ndim > 1:
        raise ValueError("signal and divisor must be 1-D.")
    steps = len(signal) - len(divisor) + 1
    if steps < 1:
        return np.array([]), signal
    quotient = lfilter(signal, divisor, np.eye(1, steps)[0])
    return quotient, signal - convolve(divisor, quotient)


# -- smoothing ---------------------------------------------------------------------------------------------


@twin(scipy.signal)
def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: bool = False) -> Any:
    """Subtract the mean, or the line of least squares between break points, along an axis."""
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    data = floating(data)
    if type in ("constant", "c"):
        return data - np.mean(data, axis=axis, keepdims=True)
    size = data.shape[axis]
    bounds = np.sort(np.unique(np.concatenate(np.atleast_1d(0, bp, size))))
    if np.any(bounds > size):
        raise ValueError("Breakpoints must be less than length of data along given axis.")

    def straightened(x: Any) -> Any:
        pieces = []
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            line = np.vander(np.linspace(0.0, 1.0, stop - start), 2)
            basis = np.linalg.qr(line)[0].astype(x.real.dtype)
            piece = x[..., start:stop]
            pieces.append(piece - (piece @ basis) @ basis.T)
        return np.concatenate(pieces, axis=-1)

    return on_last(straightened, data, axis)


@twin(scipy.signal)
def savgol_filter(x: Any, window_length: int, polyorder: int, deriv: int = 0, delta: float = 1.0, axis: int = -1,
                  mode: str = "interp", cval: Any = 0.0) -> Any:  # fmt: skip
    """Fit a polynomial around each element along an axis, and evaluate it or its derivative there."""
    if mode not in ("mirror", "constant", "nearest", "interp", "wrap"):
        raise ValueError("mode must be 'mirror', 'constant', 'nearest' 'wrap' or 'interp'.")
    x = floating(x)
    taps = scipy.signal.savgol_coeffs(window_length, polyorder, deriv, plain(delta, "savgol_filter: delta"))
    taps = taps.astype(x.real.dtype)
    half = window_length // 2

    def smoothed(x: Any) -> Any:
        if mode != "interp":
            sides = [(0, 0)] * (x.ndim - 1) + [(window_length - 1 - half, half)]
            return correlated(extended(x, sides, [mode] * x.ndim, cval), reversed_axes(taps, 1), 1)
        if window_length > x.shape[-1]:
            raise ValueError("If mode is 'interp', window_length must be less than or equal to the size of x.")
        # What SciPy does to the first and last window, as a matrix.
        ends = scipy.signal.savgol_filter(np.eye(window_length), window_length, polyorder, deriv, delta, 0)
        ends = ends.astype(taps.dtype)
        first = x[..., :window_length] @ ends[:half].T
        last = x[..., x.shape[-1] - window_length :] @ ends[window_length - half :].T
        middle = correlated(x, reversed_axes(taps, 1), 1)
        return np.concatenate([first, middle[..., : x.shape[-1] - 2 * half], last], axis=-1)

    return on_last(smoothed, x, axis)


def _windows(volume: Any, sizes: Any) -> Any:
    """Return the neighbourhood of each element, zeros outside, along a last axis."""
    sizes = np.broadcast_to(np.asarray(3 if sizes is None else sizes), (volume.ndim,)).tolist()
    if any(size % 2 != 1 for size in sizes):
        raise ValueError("Each element of kernel_size should be odd.")
    around = np.pad(volume, [(size // 2, size // 2) for size in sizes])
    return _neighbours(around, volume.shape, np.argwhere(np.ones(sizes, bool)))


def _neighbours(around: Any, shape: tuple[int, ...], offsets: np.ndarray) -> Any:
    grid = np.indices(shape)
    places = tuple(g[..., None] + offsets[:, k] for k, g in enumerate(grid))
    return around[places]


@twin(scipy.signal)
def medfilt(volume: Any, kernel_size: Any = None) -> Any:
    """Return the median of the neighbourhood of each element; the gradient goes to the median."""
    volume = np.atleast_1d(floating(volume))
    rows = np.sort(_windows(volume, kernel_size), axis=-1)
    return rows[..., rows.shape[-1] // 2]


@twin(scipy.signal)
def medfilt2d(input: Any, kernel_size: Any = 3) -> Any:
    """Return the median of the neighbourhood of each element of a matrix."""
    return medfilt(input, kernel_size)


@twin(scipy.signal)
def order_filter(a: Any, domain: Any, rank: int) -> Any:
    """Return the element of a rank in the neighbourhood of each element, zeros outside."""
    a, domain = floating(a), np.asarray(plain(domain, "order_filter: domain"))
    if any(size % 2 != 1 for size in domain.shape):
        raise ValueError("Each dimension of domain argument should have an odd number of elements.")
    around = np.pad(a, [(size // 2, size // 2) for size in domain.shape])
    rows = np.sort(_neighbours(around, a.shape, np.argwhere(domain)), axis=-1)
    return rows[..., int(rank)]


@twin(scipy.signal)
def wiener(im: Any, mysize: Any = None, noise: Any = None) -> Any:
    """Return the Wiener filter of an array: towards the local mean where the local variance is no more than noise."""
    im = floating(im)
    sizes = np.broadcast_to(np.asarray(3 if mysize is None else mysize), (im.ndim,)).tolist()
    ones, count = np.ones(sizes), math.prod(sizes)
    mean = convolved(im, ones, im.ndim, "same") / count
    variance = convolved(im**2, ones, im.ndim, "same") / count - mean**2
    noise = np.mean(variance) if noise is None else noise
    below = variance < noise
    share = noise / np.where(below, 1.0, variance)
    return np.where(below, mean, mean + (im - mean) * (1 - share))


# -- other rates -------------------------------------------------------------------------------------------


@twin(scipy.signal)
def resample_poly(x: Any, up: int, down: int, axis: int = 0, window: Any = ("kaiser", 5.0),
                  padtype: str = "constant", cval: Any = None) -> Any:  # fmt: skip
    """Change the sampling rate by up / down with a filter; differentiable in x and in a filter given as window."""
    x = floating(x)
    up, down = int(up) // math.gcd(int(up), int(down)), int(down) // math.gcd(int(up), int(down))
    if up < 1 or down < 1:
        raise ValueError("up and down must be >= 1")
    if cval is not None and padtype != "constant":
        raise ValueError("cval has no effect when padtype is " + padtype)
    x = np.moveaxis(x, axis, -1)
    if up == down == 1:
        return np.moveaxis(x + 0, -1, axis)
    size = x.shape[-1]
    wanted = -(-size * up // down)
    if isinstance(window, str | tuple) and not holds_traced(window):
        rate = max(up, down)
        h = scipy.signal.firwin(20 * rate + 1, 1.0 / rate, window=window).astype(x.real.dtype)
    else:
        h = floating(window)
        if h.ndim > 1:
            raise ValueError("window must be 1-D")
    half = (h.shape[0] - 1) // 2
    before = down - half % down
    removed = (half + before) // down
    h = np.pad(h * up, (before, 0))
    missing = (wanted + removed - 1) * down + 1 - ((size - 1) * up + h.shape[0])
    h = np.pad(h, (0, max(0, missing)))
    statistics: dict[str, Any] = {"mean": np.mean, "median": np.median, "minimum": np.min, "maximum": np.max}
    if padtype in statistics:
        level = statistics[padtype](x, axis=-1, keepdims=True)
        y = upfirdn(h, x - level, up, down)[..., removed : removed + wanted] + level
    else:
        y = upfirdn(h, x, up, down, mode=padtype, cval=0 if cval is None else cval)[..., removed : removed + wanted]
    return np.moveaxis(y, -1, axis)


@twin(scipy.signal)
def decimate(x: Any, q: int, n: int | None = None, ftype: Any = "iir", axis: int = -1, zero_phase: bool = True) -> Any:
    """Keep every q-th sample after a low-pass filter."""
    if ftype not in ("fir", "iir"):
        raise refuse("scipy.signal.decimate: a filter object", "use ftype='fir' or 'iir'")
    x = floating(x)
    if ftype == "fir":
        b = scipy.signal.firwin(1 + (20 * q if n is None else n), 1.0 / q, window="hamming").astype(x.real.dtype)
        if zero_phase:
            return resample_poly(x, 1, q, axis=axis, window=b)
        y = upfirdn(b, x, 1, q, axis)
        return np.take(y, np.arange(-(-x.shape[axis] // q)), axis=axis)
    sos = scipy.signal.cheby1(8 if n is None else n, 0.05, 0.8 / q, output="sos").astype(x.real.dtype)
    y = sosfiltfilt(sos, x, axis) if zero_phase else sosfilt(sos, x, axis)
    return np.take(y, np.arange(0, x.shape[axis], q), axis=axis)


# -- responses ---------------------------------------------------------------------------------------------


def _frequencies(worN: Any, whole: bool, fs: float, include_nyquist: bool, *coefficients: Any) -> Any:
    """Return angular frequencies per sample, in the precision of the coefficients."""
    dtype = real_dtype(np.result_type(*(c.dtype for c in coefficients)))
    fs = plain(fs, "fs")
    if worN is None or np.ndim(worN) == 0:
        count = 512 if worN is None else int(worN)
        last = 2 * np.pi if whole else np.pi
        return np.linspace(0, last, count, endpoint=include_nyquist and not whole, dtype=dtype)
    return 2 * np.pi * as_dtype(floating(worN), dtype) / fs


def _along_circle(c: Any, w: Any) -> Any:
    """Return Σ c[k] exp(-i k w)."""
    return np.exp(-1j * (w[:, None] * np.arange(c.shape[0]).astype(w.dtype))) @ c


@twin(scipy.signal)
def freqz(b: Any, a: Any = 1, worN: Any = 512, whole: bool = False, plot: Any = None, fs: float = 2 * math.pi,
          include_nyquist: bool = False) -> Any:  # fmt: skip
    """Return frequencies and the response of a digital filter there; differentiable in b, a and the frequencies."""
    b = np.atleast_1d(floating(b))
    a = np.atleast_1d(b.dtype.type(a) if type(a) in (int, float) else floating(a))
    if b.ndim > 1 or a.ndim > 1:
        raise refuse("scipy.signal.freqz: coefficients with more than one axis", "use chainrule.vmap")
    w = _frequencies(worN, whole, fs, include_nyquist, b, a)
    h = _along_circle(b, w) / _along_circle(a, w)
    w = w * (fs / (2 * np.pi))
    if plot is not None:
        plot(w, h)
    return w, h


@twin(scipy.signal)
def freqz_sos(sos: Any, worN: Any = 512, whole: bool = False, fs: float = 2 * math.pi) -> Any:
    """Return frequencies and the response of a digital filter in sections of second order."""
    sos = _sections(sos)
    h: Any = 1.0
    for k in range(len(sos)):
        w, response = freqz(sos[k, :3], sos[k, 3:], worN, whole, None, fs)
        h = h * response
    return w, h


@twin(scipy.signal)
def sosfreqz(*args: Any, **kwargs: Any) -> Any:
    """Return frequencies and the response, as `freqz_sos`."""
    return freqz_sos(*args, **kwargs)


@twin(scipy.signal)
def freqz_zpk(z: Any, p: Any, k: Any, worN: Any = 512, whole: bool = False, fs: float = 2 * math.pi) -> Any:
    """Return frequencies and the response of a digital filter of given zeros, poles and gain."""
    z, p = floating(z), floating(p)
    w = _frequencies(worN, whole, fs, False, z, p)
    place = np.exp(1j * w)[:, None]
    h = k * np.prod(place - z, axis=-1) / np.prod(place - p, axis=-1)
    return w * (fs / (2 * np.pi)), h


@twin(scipy.signal)
def freqs(b: Any, a: Any, worN: Any = 200, plot: Any = None) -> Any:
    """Return angular frequencies and the response of an analog filter at those given."""
    if worN is None or np.ndim(worN) == 0:
        raise refuse("scipy.signal.freqs: a number of frequencies, chosen from the roots", "give the frequencies")
    w = floating(worN)
    h = np.polyval(np.atleast_1d(floating(b)), 1j * w) / np.polyval(np.atleast_1d(floating(a)), 1j * w)
    if plot is not None:
        plot(w, h)
    return w, h


@twin(scipy.signal)
def freqs_zpk(z: Any, p: Any, k: Any, worN: Any = 200) -> Any:
    """Return angular frequencies and the response of an analog filter of given zeros, poles and gain."""
    if worN is None or np.ndim(worN) == 0:
        raise refuse("scipy.signal.freqs_zpk: a number of frequencies, chosen from the roots", "give the frequencies")
    w = floating(worN)
    place = (1j * w)[:, None]
    return w, k * np.prod(place - stacked(z), axis=-1) / np.prod(place - stacked(p), axis=-1)


@twin(scipy.signal)
def sos2tf(sos: Any) -> Any:
    """Return numerator and denominator of the product of sections of second order."""
    sos = _sections(sos)
    b, a = sos[0, :3], sos[0, 3:]
    for k in range(1, len(sos)):
        b, a = convolved(b, sos[k, :3], 1, "full"), convolved(a, sos[k, 3:], 1, "full")
    return b, a


@twin(scipy.signal)
def normalize(b: Any, a: Any) -> Any:
    """Return both coefficients divided by the first of the denominator."""
    b, a = np.atleast_1d(floating(b)), np.atleast_1d(floating(a))
    if a.ndim != 1 or b.ndim != 1:
        raise refuse("scipy.signal.normalize: several numerators")
    lead = int(np.flatnonzero(look(a))[0]) if np.any(look(a)) else len(a)
    if lead == len(a):
        raise ValueError("Denominator must have at least on nonzero element.")
    return b / a[lead], a[lead:] / a[lead]
