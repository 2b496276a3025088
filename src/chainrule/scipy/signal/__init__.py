"""`scipy.signal` for traced arrays.

Filters are differentiable in their coefficients and in the signal, windows in their parameters. What is linear is a
linear op of the same cost in both directions: the derivative of a filter is a filter that runs backwards. Spectra are
compositions of `np.fft`. Names without a rule are SciPy's, and refuse traced values:

    from chainrule.scipy import signal  # for: from scipy import signal
"""

from __future__ import annotations

from typing import Any

import scipy.signal

from chainrule.scipy.common import guarded
from chainrule.scipy.signal import windows
from chainrule.scipy.signal.convolution import (
    convolve,
    convolve2d,
    correlate,
    correlate2d,
    fftconvolve,
    oaconvolve,
    upfirdn,
)
from chainrule.scipy.signal.filters import (
    decimate,
    deconvolve,
    detrend,
    filtfilt,
    freqs,
    freqs_zpk,
    freqz,
    freqz_sos,
    freqz_zpk,
    lfilter,
    lfilter_zi,
    lfiltic,
    medfilt,
    medfilt2d,
    normalize,
    order_filter,
    resample_poly,
    savgol_filter,
    sos2tf,
    sosfilt,
    sosfilt_zi,
    sosfiltfilt,
    sosfreqz,
    wiener,
)
from chainrule.scipy.signal.spectral import (
    coherence,
    csd,
    hilbert,
    hilbert2,
    istft,
    periodogram,
    resample,
    spectrogram,
    stft,
    welch,
)
from chainrule.scipy.signal.waveforms import chirp, gausspulse, sawtooth, sweep_poly
from chainrule.scipy.signal.windows import get_window

__all__ = [
    "chirp", "coherence", "convolve", "convolve2d", "correlate", "correlate2d", "csd", "decimate", "deconvolve",
    "detrend", "fftconvolve", "filtfilt", "freqs", "freqs_zpk", "freqz", "freqz_sos", "freqz_zpk", "gausspulse",
    "get_window", "hilbert", "hilbert2", "istft", "lfilter", "lfilter_zi", "lfiltic", "medfilt", "medfilt2d",
    "normalize", "oaconvolve", "order_filter", "periodogram", "resample", "resample_poly", "savgol_filter", "sawtooth",
    "sos2tf", "sosfilt", "sosfilt_zi", "sosfiltfilt", "sosfreqz", "spectrogram", "stft", "sweep_poly", "upfirdn",
    "welch", "wiener", "windows",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return guarded(scipy.signal, name)
