"""`chainrule.scipy.signal`: SciPy's values and signatures, and derivatives."""

# ruff: noqa: B023 (functions of loop variables are called within the turn)
from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.signal
from twin_checks import (
    HAS_FFT,
    check_precision,
    check_single,
    check_transforms,
    check_twin,
    needs_fft,
    refuses_or_differentiates,
    with_arguments,
)

import chainrule as cr
from chainrule.scipy import signal
from chainrule.scipy.signal import windows

RNG = np.random.default_rng(7)
X = RNG.normal(size=24)
Y = RNG.normal(size=24)
LONG = RNG.normal(size=(2, 40))
A = RNG.normal(size=(4, 5))
K = RNG.normal(size=(2, 3))
Z = X[:6] + 1j * Y[:6]
BA = scipy.signal.butter(3, 0.3)
SOS = scipy.signal.butter(4, 0.3, output="sos")
FIR = np.array([0.2, 0.5, 0.3])
ZI = RNG.normal(size=3)
SOS_ZI = RNG.normal(size=(2, 2))

Case = tuple[str, tuple[Any, ...], tuple[int | str, ...], dict[str, Any]]
CASES: list[Case] = [
    *[("convolve", (X[:7], Y[:4]), (0, 1), {"mode": mode}) for mode in ("full", "same", "valid")],
    *[("convolve", (Y[:4], X[:7]), (0, 1), {"mode": mode}) for mode in ("full", "same", "valid")],
    *[("correlate", (X[:7], Y[:4]), (0, 1), {"mode": mode}) for mode in ("full", "same", "valid")],
    *[("correlate", (Y[:4], X[:7]), (0, 1), {"mode": mode}) for mode in ("full", "same", "valid")],
    ("convolve", (A, K), (0, 1), {"mode": "same", "method": "fft"}),
    ("correlate", (A, K), (0, 1), {"mode": "full", "method": "direct"}),
    ("correlate", (Z, Z[:3] * 1j), (0, 1), {"mode": "full"}),
    ("convolve", (A[None], K[None]), (0, 1), {}),
    ("convolve", (A, K), (0,), {"mode": "valid"}),
    *[(name, (A, K), (0, 1), {"mode": mode, "boundary": boundary, "fillvalue": fill})
      for name in ("convolve2d", "correlate2d") for mode in ("full", "same", "valid")
      for boundary, fill in (("fill", 0), ("fill", 1.5), ("wrap", 0), ("symm", 0))],
    ("convolve2d", (A, A[:4, :4]), (0, 1), {"mode": "same", "boundary": "wrap"}),
    ("correlate2d", (A, A[:4, :4]), (0, 1), {"mode": "same", "boundary": "symm"}),
    ("fftconvolve", (A, K), (0, 1), {}),
    ("fftconvolve", (A, K[:1]), (0, 1), {"axes": 1, "mode": "same"}),
    ("oaconvolve", (A, A[:, :2]), (0, 1), {"axes": [1], "mode": "valid"}),
    ("lfilter", (*BA, X), (0, 1, 2), {}),
    ("lfilter", (FIR, 1.0, X), (0, 1, 2), {}),
    ("lfilter", (FIR, [2.0, 0.3], A), (0, 2), {"axis": 0}),
    ("lfilter", (*BA, X), (0, 1, 2, "zi"), {"zi": ZI}),
    ("lfilter", (*BA, X[:2]), (0, 1, 2, "zi"), {"zi": ZI}),
    ("lfilter", (*BA, LONG.T), (2, "zi"), {"zi": RNG.normal(size=(3, 2)), "axis": 0}),
    ("lfilter", (FIR, 1.0, X), (0, 2, "zi"), {"zi": ZI[:2]}),
    ("lfilter", (1.0, [1.0, 0.5, 0.2], X), (2,), {}),
    ("lfilter", (BA[0], BA[1], Z), (2,), {}),
    ("lfilter_zi", BA, (0, 1), {}),
    ("lfiltic", (*BA, Y[:3], X[:3]), (0, 1, 2, 3), {}),
    ("lfiltic", (*BA, Y[:1]), (0, 1, 2), {}),
    ("sosfilt", (SOS, LONG.T), (1,), {"axis": 0, "zi": RNG.normal(size=(2, 2, 2))}),
    ("sosfilt_zi", (SOS,), (0,), {}),
    *[("filtfilt", (*BA, X), (0, 1, 2), {"padtype": padtype}) for padtype in ("odd", "even", "constant", None)],
    ("filtfilt", (*BA, LONG.T), (2,), {"axis": 0, "padlen": 5}),
    ("sosfiltfilt", (SOS, LONG), (1,), {"padtype": "even", "padlen": 4}),
    ("deconvolve", (X[:7], [1.0, 0.4, 0.2]), (0,), {}),
    ("deconvolve", (X[:7], np.array([1.5, 0.4, 0.2])), (0, 1), {}),
    ("detrend", (X,), (0,), {}),
    ("detrend", (LONG.T,), (0,), {"axis": 0, "bp": [10, 20]}),
    ("detrend", (A,), (0,), {"type": "constant"}),
    *[("savgol_filter", (X, 5, 2), (0,), {"mode": mode, "cval": 0.5})
      for mode in ("interp", "mirror", "nearest", "wrap", "constant")],
    ("savgol_filter", (LONG.T, 7, 3), (0,), {"deriv": 1, "delta": 0.5, "axis": 0}),
    ("medfilt", (X,), (0,), {}),
    ("medfilt", (A,), (0,), {"kernel_size": [3, 5]}),
    ("medfilt2d", (A,), (0,), {}),
    ("order_filter", (A, np.ones((3, 3)), 2), (0,), {}),
    ("wiener", (X,), (0,), {"mysize": 5}),
    ("wiener", (A,), (0, "noise"), {"noise": 0.4}),
    ("upfirdn", (FIR, X), (0, 1), {"up": 3, "down": 2}),
    ("upfirdn", (FIR, A), (0, 1), {"up": 2, "down": 5, "axis": 0}),
    ("upfirdn", (X[:9], A), (0, 1), {"down": 2}),
    *[("resample_poly", (X, 3, 2), (0,), {"padtype": padtype})
      for padtype in ("constant", "line", "mean", "median", "minimum", "maximum", "edge")],
    *[("upfirdn", (FIR, X[:7], 2, 3, -1, mode), (0, 1), {})
      for mode in ("wrap", "edge", "smooth", "symmetric", "reflect", "antisymmetric", "antireflect", "line")],
    ("upfirdn", (FIR, A, 1, 1, 0, "constant", 2.5), (0, 1, 6), {}),
    ("resample_poly", (LONG, 2, 4, 1), (0,), {}),
    ("resample_poly", (X, 3, 5, 0, Y[:7]), (0, 4), {}),
    ("resample_poly", (X, 7, 7), (0,), {}),
    ("decimate", (LONG, 2), (0,), {}),
    ("decimate", (X, 2), (0,), {"zero_phase": False}),
    ("decimate", (LONG, 3), (0,), {"ftype": "fir"}),
    ("decimate", (LONG, 3, 8), (0,), {"ftype": "fir", "zero_phase": False}),
    ("freqz", BA, (0, 1), {"worN": 5}),
    ("freqz", (FIR,), (0,), {"worN": 4, "include_nyquist": True, "fs": 100.0}),
    ("freqz", (*BA, np.array([0.2, 0.9])), (0, 1, 2), {}),
    ("freqz", BA, (0,), {"worN": 6, "whole": True}),
    ("freqz_zpk", (np.array([-0.5, 0.2]), np.array([0.3, 0.4]), 1.5), (0, 1, 2), {"worN": 5}),
    ("freqs", (FIR, [1.0, 0.5, 2.0], np.array([0.3, 2.0])), (0, 2), {}),
    ("freqs_zpk", (np.array([-0.5]), np.array([-0.3, -0.4]), 1.5, np.array([0.3, 2.0])), (0, 1, 2, 3), {}),
    ("sos2tf", (SOS,), (0,), {}),
    ("normalize", ([1.0, 2.0], np.array([4.0, 3.0])), (1,), {}),
    *[("chirp", (np.abs(X[:5]), 1.5, 2.0, 3.5), (0, 1, 2, 3), {"method": method})
      for method in ("linear", "quadratic", "logarithmic", "hyperbolic")],
    ("chirp", (X[:5], 1.5, 2.0, 3.5), (0, "phi"), {"phi": 20.0, "method": "quadratic", "vertex_zero": False}),
    ("gausspulse", (X[:5] / 9,), (0, "fc", "bw"), {"fc": 3.0, "bw": 0.6, "retquad": True, "retenv": True}),
    ("gausspulse", ("cutoff",), ("fc",), {"fc": 3.0}),
    ("sawtooth", (X, 0.4), (0, 1), {}),
    ("sweep_poly", (X[:5], np.array([0.2, -0.4, 1.0])), (0, 1), {"phi": 30.0}),
]  # fmt: skip


def names(cases: list[Case]) -> list[str]:
    return [f"{k}-{case[0]}" for k, case in enumerate(cases)]


@pytest.mark.parametrize(("name", "args", "where", "kwargs"), CASES, ids=names(CASES))
def test_twins(name: str, args: tuple[Any, ...], where: tuple[int | str, ...], kwargs: dict[str, Any]) -> None:
    order = 2 if len(where) > 1 or name in ("wiener", "chirp") else 1  # most are linear in one argument
    check_twin(getattr(signal, name), getattr(scipy.signal, name), args, where, kwargs, order=order)
    check_precision(getattr(signal, name), getattr(scipy.signal, name), args, where, kwargs)


@pytest.mark.parametrize(
    ("name", "args"),
    [("sosfilt", (X,)), ("sosfilt", (X, -1, SOS_ZI)), ("sosfiltfilt", (X,)), ("freqz_sos", (5,)), ("sosfreqz", (5,))],
)
def test_sections(name: str, args: tuple[Any, ...]) -> None:
    """SciPy takes sections with a 1 in the fourth place only."""

    def with_ones(function: Any) -> Any:
        return lambda sos, *args: function(np.insert(sos, 3, 1.0, axis=1), *args)

    ours, theirs = (with_ones(getattr(home, name)) for home in (signal, scipy.signal))
    where = [k for k in range(len(args) + 1) if k == 0 or isinstance(args[k - 1], np.ndarray)]
    check_twin(ours, theirs, (np.delete(SOS, 3, axis=1), *args), where)


SPECTRAL: list[Case] = [
    ("hilbert", (X,), (0,), {}),
    ("hilbert", (LONG.T,), (0,), {"N": 31, "axis": 0}),
    ("hilbert2", (A,), (0,), {}),
    *[("resample", (x, num), (0,), {"axis": -1}) for x in (X, X[:23]) for num in (10, 11, 24, 31, 48)],
    ("resample", (Z, 4), (0,), {}),
    ("resample", (Z, 9), (0,), {}),
    ("resample", (X, 10), (0,), {"window": "hann"}),
    ("resample", (LONG, 12, np.arange(40.0)), (0,), {"axis": 1}),
    ("stft", (X,), (0,), {"nperseg": 8}),
    ("stft", (LONG.T,), (0,), {"nperseg": 8, "noverlap": 6, "axis": 0, "boundary": "even", "fs": 4.0}),
    ("stft", (X,), (0,), {"nperseg": 7, "nfft": 10, "boundary": None, "padded": False, "scaling": "psd"}),
    ("stft", (X,), (0,), {"nperseg": 8, "boundary": "odd", "detrend": "linear", "return_onesided": False}),
    ("istft", (scipy.signal.stft(X, nperseg=8)[2],), (0,), {}),
    ("istft", (scipy.signal.stft(LONG, nperseg=7, scaling="psd")[2],), (0,), {"nperseg": 7, "scaling": "psd"}),
    ("spectrogram", (LONG,), (0,), {"nperseg": 16}),
    *[("spectrogram", (X,), (0,), {"nperseg": 8, "mode": mode, "window": "hamming"})
      for mode in ("complex", "magnitude", "angle", "phase")],
    ("welch", (X,), (0,), {"nperseg": 8, "fs": 3.0}),
    ("welch", (LONG,), (0,), {"nperseg": 9, "noverlap": 3, "average": "median", "scaling": "spectrum"}),
    ("welch", (X,), (0, "window"), {"window": np.hanning(8) + 0.1, "detrend": "linear"}),
    ("csd", (X, Y), (0, 1), {"nperseg": 8}),
    ("csd", (X, Y[:20]), (0, 1), {"nperseg": 8, "nfft": 12, "detrend": False, "return_onesided": False}),
    ("csd", (LONG, LONG[::-1] ** 2), (0, 1), {"nperseg": 10, "average": "median"}),
    ("periodogram", (X,), (0,), {}),
    ("periodogram", (LONG,), (0,), {"nfft": 50, "window": "hann"}),
    ("periodogram", (LONG,), (0,), {"nfft": 31, "scaling": "spectrum"}),
    ("coherence", (X, Y), (0, 1), {"nperseg": 8}),
]  # fmt: skip


@needs_fft
@pytest.mark.parametrize(("name", "args", "where", "kwargs"), SPECTRAL, ids=names(SPECTRAL))
def test_spectra(name: str, args: tuple[Any, ...], where: tuple[int | str, ...], kwargs: dict[str, Any]) -> None:
    order = 1 if kwargs.get("mode") in ("angle", "phase") else 2
    check_twin(getattr(signal, name), getattr(scipy.signal, name), args, where, kwargs, order=order, rtol=1e-9)
    check_precision(getattr(signal, name), getattr(scipy.signal, name), args, where, kwargs)


WINDOWS: list[Case] = [
    ("gaussian", (7, 1.5), (1,), {}),
    ("gaussian", (8, 1.5, False), (1,), {}),
    ("general_gaussian", (8, 1.3, 2.5), (1, 2), {}),
    ("exponential", (7,), ("tau",), {"tau": 2.0}),
    ("exponential", (8, 2.3, 1.5, False), (1, 2), {}),
    *[("kaiser", (9, beta), (1,), {}) for beta in (0.3, 8.0, 30.0)],
    ("kaiser", (8, 5.0, False), (1,), {}),
    ("kaiser_bessel_derived", (8, 4.0), (1,), {}),
    ("tukey", (12, 0.45), (1,), {}),
    ("tukey", (9, 0.7, False), (1,), {}),
    ("general_cosine", (7, np.array([0.4, 0.3, 0.3])), (1,), {}),
    ("general_hamming", (6, 0.6, False), (1,), {}),
]


@pytest.mark.parametrize(("name", "args", "where", "kwargs"), WINDOWS, ids=names(WINDOWS))
def test_windows(name: str, args: tuple[Any, ...], where: tuple[int | str, ...], kwargs: dict[str, Any]) -> None:
    check_twin(getattr(windows, name), getattr(scipy.signal.windows, name), args, where, kwargs)


@pytest.mark.parametrize("window", [("gaussian", 1.5), ("kaiser", 3.0), ("tukey", 0.4), ("general_gaussian", 1.2, 3.0)])
def test_windows_by_name(window: tuple[Any, ...]) -> None:
    name, *parameters = window
    value, gradient = cr.value_and_grad(lambda p: np.sum(signal.get_window((name, *p), 9) ** 2))(parameters)
    assert value == pytest.approx(np.sum(scipy.signal.get_window(window, 9) ** 2), rel=1e-12)
    assert all(g != 0 for g in gradient)


TRANSFORMS = [
    ("convolve", (X, Y[:5]), 0, {}),
    ("convolve", (X, Y[:5]), 1, {"mode": "same"}),
    ("convolve2d", (A, K), 1, {"boundary": "symm"}),
    ("lfilter", (*BA, X), 1, {}),
    ("lfilter", (*BA, X), 2, {}),
    ("sosfiltfilt", (SOS, X), 1, {}),
    ("savgol_filter", (X, 5, 2), 0, {}),
    ("medfilt", (X,), 0, {}),
    ("upfirdn", (FIR, X, 2, 3), 0, {}),
    ("detrend", (X,), 0, {}),
]


@pytest.mark.parametrize(("name", "args", "place", "kwargs"), TRANSFORMS)
def test_transforms(name: str, args: tuple[Any, ...], place: int, kwargs: dict[str, Any]) -> None:
    f, (x,) = with_arguments(getattr(signal, name), args, [place], kwargs)
    if (name, place) == ("lfilter", 1):  # stable feedback whatever is done to it
        check_transforms(lambda x: f(np.concatenate([np.ones(1), x])), x[1:] / 3, rtol=1e-8)
    else:
        check_transforms(f, x, rtol=1e-8)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: [signal.convolve(x, FIR.astype(np.float32))],
        lambda x: [signal.lfilter(FIR.astype(np.float32), np.float32([1, 0.3]), x)],
        lambda x: [signal.savgol_filter(x, 5, 2)],
        lambda x: [signal.detrend(x)],
        lambda x: [signal.resample_poly(x, 2, 3)],
        lambda x: [signal.medfilt(x)],
    ],
)
def test_single_precision(f: Any) -> None:
    check_single(f, X)


def test_long_filters_go_through_fourier_transforms() -> None:
    x, w = RNG.normal(size=3000), RNG.normal(size=500)
    y, pull = cr.vjp(signal.convolve, x, w)
    np.testing.assert_allclose(y, np.convolve(x, w), atol=1e-10)
    bar = RNG.normal(size=y.shape)
    for found, expected in zip(pull(bar), (np.correlate(bar, w, "valid"), np.correlate(bar, x, "valid")), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    image, kernel = RNG.normal(size=(60, 50)), RNG.normal(size=(20, 22))
    y, pull = cr.vjp(lambda a, b: signal.convolve2d(a, b, "same"), image, kernel)
    np.testing.assert_allclose(y, scipy.signal.convolve2d(image, kernel, "same"), atol=1e-10)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    import jax.scipy.signal

    for mode in ("full", "same", "valid"):
        for ours, theirs in (
            (signal.convolve, jax.scipy.signal.convolve),
            (signal.correlate, jax.scipy.signal.correlate),
        ):
            found = cr.grad(lambda a, b: np.sum(np.sin(ours(a, b, mode))), (0, 1))(A, K)
            expected = jax.grad(lambda a, b: jnp.sum(jnp.sin(theirs(a, b, mode))), (0, 1))(A, K)
            for one, two in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)
    found = cr.grad(lambda x: np.sum(signal.detrend(x) ** 3))(X)
    np.testing.assert_allclose(found, jax.grad(lambda x: jnp.sum(jax.scipy.signal.detrend(x) ** 3))(X), rtol=1e-9)
    if HAS_FFT:
        for name in ("stft", "welch"):
            f = lambda x, home, xp: xp.sum(xp.abs(getattr(home, name)(x, nperseg=8)[-1]) ** 1.5)
            found = cr.grad(lambda x: f(x, signal, np))(X)
            np.testing.assert_allclose(found, jax.grad(lambda x: f(x, jax.scipy.signal, jnp))(X), rtol=1e-8)


def test_a_fitted_filter() -> None:
    """Gradient descent on coefficients finds the filter that made a signal."""
    x = RNG.normal(size=200)
    target = scipy.signal.lfilter([0.5, 0.2], [1.0, -0.6], x)
    loss = cr.jit(
        cr.value_and_grad(
            lambda b, a: np.mean((signal.lfilter(b, np.concatenate([np.ones(1), a]), x) - target) ** 2), (0, 1)
        )
    )
    b, a = np.array([0.1, 0.0]), np.array([0.0])
    for _ in range(300):
        _, (b_bar, a_bar) = loss(b, a)
        b, a = b - 0.2 * b_bar, a - 0.2 * a_bar
    np.testing.assert_allclose([*b, *a], [0.5, 0.2, -0.6], atol=1e-3)


@pytest.mark.parametrize(
    "name", [*sorted(set(signal.__all__) - {"windows", "sosfreqz"}), *(f"windows.{n}" for n in windows.__all__)]
)
def test_signatures(name: str) -> None:
    ours, theirs = signal, scipy.signal
    for part in name.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    a, b = (list(inspect.signature(f).parameters.values()) for f in (ours, theirs))
    assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b]


@pytest.mark.parametrize("name", sorted(set(scipy.signal.__all__)))
def test_no_public_name_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(signal, name)


@pytest.mark.parametrize("name", sorted(set(scipy.signal.windows.__all__)))
def test_no_window_loses_a_derivative(name: str) -> None:
    refuses_or_differentiates(windows, name)


def test_names_without_a_rule_are_scipys() -> None:
    assert isinstance(scipy.signal.lti([1.0], [1.0, 2.0]), signal.lti)
    np.testing.assert_array_equal(signal.butter(2, 0.3), scipy.signal.butter(2, 0.3))
    with pytest.raises(cr.ChainruleError, match=r"scipy.signal.find_peaks has no rule.*test_scipy_signal.py:\d+"):
        cr.grad(lambda x: signal.find_peaks(x)[0].sum())(X)
    with pytest.raises(cr.ChainruleError, match=r"method='gust'.*use method='pad'"):
        cr.grad(lambda x: np.sum(signal.filtfilt(*BA, x, method="gust")))(X)
    with pytest.raises(AttributeError, match="nonsense"):
        signal.nonsense
