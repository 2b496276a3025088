"""scipy.fft: SciPy's values and signatures, and derivatives of linear maps."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.fft

import chainrule as cr
from chainrule.errors import UnsupportedError
from chainrule.scipy import fft

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 4))
Z = X + 1j * RNG.normal(size=(3, 4))
CUBE = RNG.normal(size=(2, 3, 4))
NORMS = ["backward", "ortho", "forward"]

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    *((name, x, {"norm": norm}) for name in ("fft", "ifft", "hfft", "irfft") for x in (X, Z) for norm in NORMS),
    *((name, X, {"norm": norm}) for name in ("rfft", "ihfft") for norm in NORMS),
    *((name, Z, {"n": n, "axis": 0}) for name in ("fft", "ifft", "hfft", "irfft") for n in (2, 3, 5)),
    *((name, X, {"n": n, "axis": 0}) for name in ("rfft", "ihfft") for n in (2, 3, 5)),
    *((name, Z, {}) for name in ("fft2", "ifft2", "irfft2", "hfft2", "fftn", "ifftn", "irfftn", "hfftn")),
    *((name, X, {}) for name in ("rfft2", "ihfft2", "rfftn", "ihfftn", "fftshift", "ifftshift")),
    ("fftn", CUBE, {"s": (4, 2), "axes": (0, 2), "norm": "ortho"}),
    ("rfftn", CUBE, {"s": (3, 5)}),
    ("irfftn", CUBE + 0j, {"axes": (2, 0), "norm": "forward"}),
    ("hfftn", CUBE + 0j, {"s": (3, 4), "axes": (1, 2), "norm": "ortho"}),
    ("fftshift", CUBE, {"axes": 1}),
    *((name, X, {"type": type, "norm": norm}) for name in ("dct", "idct", "dst", "idst") for type in (1, 2, 3, 4)
      for norm in NORMS),
    *((name, X, {"type": type, "axis": 0, "n": n}) for name, type in (("dct", 1), ("idct", 2), ("dst", 3), ("idst", 4))
      for n in (2, 5)),
    *((name, X, {"type": type, "orthogonalize": True}) for name in ("dct", "idct", "dst", "idst")
      for type in (1, 2, 3)),
    ("dct", Z, {"norm": "ortho"}),
    ("dct", X, {"norm": "ortho", "orthogonalize": False}),
    *((name, CUBE, {"type": 2, "norm": "ortho", "axes": (0, 2)}) for name in ("dctn", "idctn", "dstn", "idstn")),
    *((name, X, {"type": 3, "s": (2, 5)}) for name in ("dctn", "idctn", "dstn", "idstn")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "kwargs"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_values_and_derivatives(name: str, x: Any, kwargs: dict[str, Any]) -> None:
    """A linear map is its own derivative; its transpose pairs as Re(Σ y_bar · y_dot)."""
    f = lambda x: getattr(fft, name)(x, **kwargs)
    theirs = lambda x: getattr(scipy.fft, name)(x, **kwargs)
    y, pullback = cr.vjp(f, x)
    expected = theirs(x)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert y.dtype == expected.dtype
    x_dot = RNG.normal(size=x.shape) + (1j * RNG.normal(size=x.shape) if np.iscomplexobj(x) else 0)
    y_bar = RNG.normal(size=y.shape) + (1j * RNG.normal(size=y.shape) if np.iscomplexobj(y) else 0)
    y_dot = theirs(x_dot)
    np.testing.assert_allclose(cr.jvp(f, (x,), (x_dot,))[1], y_dot, rtol=1e-12, atol=1e-12)
    (x_bar,) = pullback(y_bar)
    assert x_bar.dtype == x.dtype
    assert np.real(np.sum(y_bar * y_dot)) == pytest.approx(np.real(np.sum(x_bar * x_dot)), rel=1e-10, abs=1e-10)


def test_jit_vmap_single_precision_and_second_order() -> None:
    energy = lambda x: np.sum(np.abs(fft.rfft(np.sin(x))) ** 4) + np.sum(fft.dct(x, norm="ortho") ** 3)
    x = X[0]
    assert cr.check_derivatives(energy, x).error < 1e-6
    np.testing.assert_allclose(cr.jit(cr.grad(energy))(x), cr.grad(energy)(x), rtol=1e-12)
    np.testing.assert_allclose(cr.vmap(cr.grad(energy))(X)[0], cr.grad(energy)(x), rtol=1e-12)
    assert cr.grad(energy)(x.astype(np.float32)).dtype == np.float32
    single = cr.vjp(lambda x: fft.fft(x), x.astype(np.float32))[0]
    assert single.dtype == np.complex64


@pytest.mark.parametrize("name", fft.__all__)
def test_signatures(name: str) -> None:
    ours = inspect.signature(getattr(fft, name)).parameters.values()
    theirs = inspect.signature(getattr(scipy.fft, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in theirs]


def test_the_rest_of_the_module() -> None:
    assert fft.next_fast_len(97) == scipy.fft.next_fast_len(97)
    np.testing.assert_array_equal(fft.fftfreq(4), scipy.fft.fftfreq(4))
    np.testing.assert_array_equal(fft.fft([1.0, 2.0]), scipy.fft.fft([1.0, 2.0]))
    with pytest.raises(UnsupportedError, match="scipy.fft.fht has no rule"):
        cr.vjp(lambda x: fft.fht(x, 0.1, 0.5), X[0])
    with pytest.raises(cr.ChainruleError, match="none of 'backward'"):
        cr.vjp(lambda x: fft.fft(x, norm="half"), X)
    with pytest.raises(cr.ChainruleError, match="Invalid number of FFT data points"):
        cr.vjp(lambda x: fft.fft(x, 0), X)
    with pytest.raises(cr.ChainruleError, match="given complex ones"):
        cr.vjp(lambda x: fft.rfft(x), Z)
    assert set(fft.__all__) == {name for name, *_ in CASES}
