"""Spectra and what is made with them: short-time transforms, power densities, analytic signals, resampling."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import scipy.signal

from chainrule.ops.structural import scatter_add
from chainrule.scipy.common import apply, as_dtype, floating, plain
from chainrule.scipy.signal.filters import detrend as detrended
from chainrule.scipy.signal.windows import get_window
from chainrule.scipy.twins import twin
from chainrule.tracing.array import holds_traced

_HANN = inspect.signature(scipy.signal.welch).parameters["window"].default
_TUKEY = inspect.signature(scipy.signal.spectrogram).parameters["window"].default


def _window(window: Any, nperseg: int | None, size: int) -> tuple[Any, int]:
    """Return the window's values and the length of a segment of a signal of this size."""
    if isinstance(window, str | tuple):
        count = 256 if nperseg is None else int(nperseg)
        if count < 1:
            raise ValueError("nperseg must be a positive integer")
        if count > size:
            if nperseg is not None:
                warnings.warn(f"nperseg = {count} is greater than input length  = {size}, using nperseg = {size}",
                              stacklevel=4)  # fmt: skip
            count = size
        return get_window(window, count), count
    values = floating(window)
    if values.ndim != 1:
        raise ValueError("window must be 1-D")
    if nperseg is not None and nperseg != values.shape[0]:
        raise ValueError("value specified for nperseg is different from length of window")
    return values, values.shape[0]


def _overlap(nperseg: int, noverlap: int | None, nfft: int | None) -> tuple[int, int]:
    """Return the step from one segment to the next, and the length of a transform."""
    noverlap = nperseg // 2 if noverlap is None else int(noverlap)
    nfft = nperseg if nfft is None else int(nfft)
    if nfft < nperseg:
        raise ValueError("nfft must be greater than or equal to nperseg.")
    if noverlap >= nperseg:
        raise ValueError("noverlap must be less than nperseg.")
    return nperseg - noverlap, nfft


def _segments(x: Any, size: int, step: int, detrend: Any) -> Any:
    """Return the segments of the last axis, each along a new last axis."""
    count = (x.shape[-1] - size) // step + 1
    rows = x[..., np.arange(count)[:, None] * step + np.arange(size)]
    if not detrend:
        return rows
    return detrend(rows) if callable(detrend) else detrended(rows, type=detrend)


def _real_input(x: Any, onesided: bool) -> bool:
    if onesided and x.dtype.kind == "c":
        warnings.warn("Input data is complex, switching to return_onesided=False", stacklevel=4)
    return onesided and x.dtype.kind != "c"


def _transform(rows: Any, nfft: int, onesided: bool) -> Any:
    return (np.fft.rfft if onesided else np.fft.fft)(rows, n=nfft)


def _scale(win: Any, fs: Any, scaling: str) -> Any:
    if scaling not in ("density", "psd", "spectrum"):
        raise ValueError(f"Unknown scaling: {scaling!r}")
    return 1.0 / np.sum(win) ** 2 if scaling == "spectrum" else 1.0 / (fs * np.sum(win * win))


def _frequencies(nfft: int, fs: Any, onesided: bool) -> Any:
    return (np.fft.rfftfreq if onesided else np.fft.fftfreq)(nfft) * fs


_EXTENSIONS = ("even", "odd", "constant", "zeros", None)


def _extended(x: Any, edge: int, boundary: str | None) -> Any:
    if boundary not in _EXTENSIONS:
        raise ValueError(f"Unknown boundary option '{boundary}', must be one of: {list(_EXTENSIONS)}")
    if boundary is None or not edge:
        return x
    sides = [(0, 0)] * (x.ndim - 1) + [(edge, edge)]
    if boundary in ("zeros", "constant"):
        return np.pad(x, sides, mode="constant" if boundary == "zeros" else "edge")
    if edge > x.shape[-1] - 1:
        raise ValueError(f"The extension length n ({edge}) is too big. It must not exceed x.shape[axis]-1")
    before, after = x[..., edge:0:-1], x[..., -2 : -edge - 2 : -1]
    if boundary == "odd":
        before, after = 2 * x[..., :1] - before, 2 * x[..., -1:] - after
    return np.concatenate([before, x, after], axis=-1)


def _short_time(x: Any, fs: Any, window: Any, nperseg: int | None, noverlap: int | None, nfft: int | None,
                detrend: Any, onesided: bool, scaling: str, axis: int, boundary: str | None,
                padded: bool) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return frequencies, times, and the scaled transforms of the segments."""
    x = np.moveaxis(floating(x), axis, -1)
    win, size = _window(window, nperseg, x.shape[-1])
    step, nfft = _overlap(size, noverlap, nfft)
    x = _extended(x, size // 2, boundary)
    if padded:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, (-(x.shape[-1] - size) % step) % size)])
    onesided = _real_input(x, onesided)
    win = as_dtype(win, np.real(x[..., :0]).dtype)
    found = _transform(_segments(x, size, step, detrend) * win, nfft, onesided) * np.sqrt(_scale(win, fs, scaling))
    times = (size / 2 + step * np.arange(found.shape[-2])) / fs
    times = times if boundary is None else times - size / 2 / fs
    found = np.swapaxes(found, -1, -2)  # frequencies, then times
    axis = axis if axis >= 0 else x.ndim + axis
    return _frequencies(nfft, fs, onesided), times, np.moveaxis(found, -2, axis)


@twin(scipy.signal)
def stft(x: Any, fs: Any = 1.0, window: Any = _HANN, nperseg: int | None = 256, noverlap: int | None = None,
         nfft: int | None = None, detrend: Any = False, return_onesided: bool = True, boundary: str | None = "zeros",
         padded: bool = True, axis: int = -1, scaling: str = "spectrum") -> Any:  # fmt: skip
    """Return frequencies, times and the short-time Fourier transform."""
    if scaling not in ("psd", "spectrum"):
        raise ValueError(f"Parameter scaling={scaling!r} not in ['spectrum', 'psd']!")
    return _short_time(x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, boundary,
                       padded)  # fmt: skip


@twin(scipy.signal)
def istft(Zxx: Any, fs: Any = 1.0, window: Any = _HANN, nperseg: int | None = None, noverlap: int | None = None,
          nfft: int | None = None, input_onesided: bool = True, boundary: bool = True, time_axis: int = -1,
          freq_axis: int = -2, scaling: str = "spectrum") -> Any:  # fmt: skip
    """Return times and the signal of a short-time Fourier transform."""
    z = floating(Zxx) + 0j
    if z.ndim < 2:
        raise ValueError("Input stft must be at least 2d!")
    if freq_axis == time_axis:
        raise ValueError("Must specify differing time and frequency axes!")
    z = np.moveaxis(z, (time_axis, freq_axis), (-2, -1))
    count = z.shape[-2]
    usual = 2 * (z.shape[-1] - 1) if input_onesided else z.shape[-1]
    size = usual if nperseg is None else int(nperseg)
    if size < 1:
        raise ValueError("nperseg must be a positive integer")
    if nfft is None:
        nfft = size if input_onesided and size == usual + 1 else usual
    step, nfft = _overlap(size, noverlap, nfft)
    rows = (np.fft.irfft if input_onesided else np.fft.ifft)(z, n=nfft)[..., :size]
    win = get_window(window, size) if isinstance(window, str | tuple) else floating(window)
    if win.shape != (size,):
        raise ValueError(f"window must have length of {size}")
    win = as_dtype(win, np.real(rows[..., :0]).dtype)
    if scaling not in ("spectrum", "psd"):
        raise ValueError(f"Parameter scaling={scaling!r} not in ['spectrum', 'psd']!")
    factor = np.sum(win) if scaling == "spectrum" else np.sqrt(fs * np.sum(win**2))
    places = np.arange(count)[:, None] * step + np.arange(size)
    length = size + (count - 1) * step
    norm = apply(scatter_add, win**2 + np.zeros((count, size), win.dtype), places, shape=(length,))
    x = np.moveaxis(rows * (factor * win), (-2, -1), (0, 1))
    x = np.moveaxis(apply(scatter_add, x, places, shape=(length, *z.shape[:-2])), 0, -1)
    if boundary:
        inner = slice(size // 2, length - size // 2)
        x, norm = x[..., inner], norm[inner]
    enough = norm > 1e-10
    if not np.all(enough):
        warnings.warn("NOLA condition failed, STFT may not be invertible.", stacklevel=3)
    x = x / np.where(enough, norm, 1.0)
    if x.ndim > 1:
        time_axis, freq_axis = time_axis % z.ndim, freq_axis % z.ndim
        x = np.moveaxis(x, -1, time_axis - (freq_axis < time_axis))
    return np.arange(x.shape[0]) / float(fs), x


@twin(scipy.signal)
def spectrogram(x: Any, fs: Any = 1.0, window: Any = _TUKEY, nperseg: int | None = None, noverlap: int | None = None,
                nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True,
                scaling: str = "density", axis: int = -1, mode: str = "psd") -> Any:  # fmt: skip
    """Return frequencies, times and the power of each segment."""
    if mode not in ("psd", "complex", "magnitude", "angle", "phase"):
        raise ValueError(f"unknown value for mode {mode}")
    x = floating(x)
    win, size = _window(window, nperseg, x.shape[axis])
    noverlap = size // 8 if noverlap is None else noverlap
    f, t, found = _short_time(x, fs, win, size, noverlap, nfft, detrend, return_onesided, scaling, axis, None, False)
    if mode == "complex":
        return f, t, found
    if mode == "magnitude":
        return f, t, np.abs(found)
    if mode in ("angle", "phase"):
        found = np.angle(found)
        return f, t, np.unwrap(found, axis=axis - (axis < 0)) if mode == "phase" else found
    power = np.real(found) ** 2 + np.imag(found) ** 2
    onesided = return_onesided and x.dtype.kind != "c"
    return f, t, power * _doubled(power, size if nfft is None else nfft, onesided, axis - (axis < 0))


def _doubled(power: Any, nfft: int, onesided: bool, axis: int) -> Any:
    """Return the factors that put the power of negative frequencies to the positive ones."""
    factors = np.full(power.shape[axis], 2.0 if onesided else 1.0, np.real(power[..., :0]).dtype)
    if onesided:
        factors[0] = 1.0
        if nfft % 2 == 0:
            factors[-1] = 1.0
    return factors.reshape([-1 if k == axis % power.ndim else 1 for k in range(power.ndim)])


@twin(scipy.signal)
def csd(x: Any, y: Any, fs: Any = 1.0, window: Any = _HANN, nperseg: int | None = None, noverlap: int | None = None,
        nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
        axis: int = -1, average: str = "mean") -> Any:  # fmt: skip
    """Return frequencies and the cross power spectral density, by Welch's method."""
    x, y = floating(x), floating(y)
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    length = max(x.shape[-1], y.shape[-1])
    x, y = (np.pad(z, [(0, 0)] * (z.ndim - 1) + [(0, length - z.shape[-1])]) for z in (x, y))
    win, size = _window(window, nperseg, length)
    step, nfft = _overlap(size, noverlap, nfft)
    onesided = return_onesided and x.dtype.kind != "c" and y.dtype.kind != "c"
    win = as_dtype(win, np.real(x[..., :0]).dtype)
    of_x, of_y = (_transform(_segments(z, size, step, detrend) * win, nfft, onesided) for z in (x, y))
    power = np.conj(of_x) * of_y * _scale(win, fs, scaling)
    power = power * _doubled(power, nfft, onesided, -1)
    if average == "mean":
        power = np.mean(power, axis=-2)
    elif average == "median":
        count = power.shape[-2]
        power = np.median(np.real(power), axis=-2) + 1j * np.median(np.imag(power), axis=-2)
        later = 2.0 * np.arange(1, (count - 1) // 2 + 1)  # the bias of a median of exponential variables
        power = power / float(1 + np.sum(1 / (later + 1) - 1 / later)) if count > 1 else power
    else:
        raise ValueError(f"Parameter average={average!r} must be 'median' or 'mean'!")
    return _frequencies(nfft, fs, onesided), np.moveaxis(power, -1, axis)


@twin(scipy.signal)
def welch(x: Any, fs: Any = 1.0, window: Any = _HANN, nperseg: int | None = None, noverlap: int | None = None,
          nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
          axis: int = -1, average: str = "mean") -> Any:  # fmt: skip
    """Return frequencies and the power spectral density, by Welch's method."""
    f, power = csd(x, x, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)
    return f, np.real(power)


@twin(scipy.signal)
def periodogram(x: Any, fs: Any = 1.0, window: Any = "boxcar", nfft: int | None = None, detrend: Any = "constant",
                return_onesided: bool = True, scaling: str = "density", axis: int = -1) -> Any:  # fmt: skip
    """Return frequencies and the power spectral density of the whole signal."""
    x = np.moveaxis(floating(x), axis, -1)
    size = x.shape[-1]
    if nfft is not None and nfft < size:
        x, size = x[..., :nfft], nfft
    window = "boxcar" if window is None else window
    f, power = welch(x, fs, window, size, 0, nfft, detrend, return_onesided, scaling)
    return f, np.moveaxis(power, -1, axis)


@twin(scipy.signal)
def coherence(x: Any, y: Any, fs: Any = 1.0, window: Any = _HANN, nperseg: int | None = None,
              noverlap: int | None = None, nfft: int | None = None, detrend: Any = "constant",
              axis: int = -1) -> Any:  # fmt: skip
    """Return frequencies and the squared coherence of two signals, by Welch's method."""
    options = (fs, window, nperseg, noverlap, nfft, detrend)
    f, of_x = welch(x, *options, axis=axis)
    _, of_y = welch(y, *options, axis=axis)
    _, both = csd(x, y, *options, axis=axis)
    return f, (np.real(both) ** 2 + np.imag(both) ** 2) / of_x / of_y


# -- analytic signals, other rates -------------------------------------------------------------------------


def _half(count: int) -> np.ndarray:
    """Return the factors that keep non-negative frequencies, the positive ones twice."""
    factors = np.zeros(count)
    factors[0] = 1
    factors[1 : (count + 1) // 2] = 2
    if count % 2 == 0:
        factors[count // 2] = 1
    return factors


@twin(scipy.signal)
def hilbert(x: Any, N: int | None = None, axis: int = -1) -> Any:
    """Return the analytic signal, whose imaginary part is the Hilbert transform."""
    x = floating(x)
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")
    count = x.shape[axis] if N is None else int(N)
    if count <= 0:
        raise ValueError("N must be positive.")
    y = np.fft.fft(np.moveaxis(x, axis, -1), n=count)
    return np.moveaxis(np.fft.ifft(y * _half(count).astype(x.dtype)), -1, axis)


@twin(scipy.signal)
def hilbert2(x: Any, N: Any = None, axes: tuple[int, int] = (-2, -1)) -> Any:
    """Return the analytic signal of a matrix."""
    x = floating(x)
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")
    if axes[0] == axes[1]:
        raise ValueError("axes must contain 2 distinct axes")
    x = np.moveaxis(x, axes, (-2, -1))
    sizes = x.shape[-2:] if N is None else (int(N), int(N)) if np.ndim(N) == 0 else tuple(N)
    rows, columns = (_half(count).astype(x.dtype) * (np.arange(count) < (count + 1) // 2) for count in sizes)
    y = np.fft.fft(np.fft.fft(x, n=sizes[0], axis=-2), n=sizes[1], axis=-1)
    y = np.fft.ifft(np.fft.ifft(y * (rows[:, None] * columns), axis=-2), axis=-1)
    return np.moveaxis(y, (-2, -1), axes)


@twin(scipy.signal)
def resample(x: Any, num: int, t: Any = None, axis: int = 0, window: Any = None, domain: str = "time") -> Any:
    """Return the signal at another number of points, by its Fourier transform."""
    if domain not in ("time", "freq"):
        raise ValueError(f"Parameter domain={domain!r} not in ('time', 'freq')!")
    x = np.moveaxis(floating(x), axis, -1)
    size, real = x.shape[-1], domain == "time" and x.dtype.kind != "c"
    spectrum = np.fft.fft(x) if domain == "time" else x
    factors = _spectral_window(window, size)
    if factors is not None:
        spectrum = as_dtype(spectrum * factors, spectrum.dtype)
    common = min(num, size)
    half = common // 2 + 1
    low, high = spectrum[..., :half], spectrum[..., size - (common - half) :] if common > half else None
    if common % 2 == 0 and num != size:  # the frequency without a partner
        middle = spectrum[..., common // 2 : common // 2 + 1]
        if num < size:
            low = np.concatenate([low[..., :-1], middle + spectrum[..., size - common // 2][..., None]], axis=-1)
        else:
            low = np.concatenate([low[..., :-1], middle / 2], axis=-1)
            high = middle / 2 if high is None else np.concatenate([middle / 2, high], axis=-1)
    filled = low.shape[-1] + (0 if high is None else high.shape[-1])
    parts = [low, np.zeros((*low.shape[:-1], num - filled), low.dtype), *([] if high is None else [high])]
    y = np.fft.ifft(np.concatenate(parts, axis=-1) * (num / size))
    y = np.moveaxis(np.real(y) if real else y, -1, axis)
    return y if t is None else (y, t[0] + (t[1] - t[0]) * (size / num) * np.arange(num))


def _spectral_window(window: Any, size: int) -> Any:
    if window is None:
        return None
    if callable(window):
        return window(np.fft.fftfreq(size))
    if isinstance(window, np.ndarray) or holds_traced(window):
        if window.shape != (size,):
            raise ValueError(f"window.shape={window.shape} != ({size},)")
        return window
    return np.fft.ifftshift(plain(scipy.signal.get_window(window, size), "resample: window"))
