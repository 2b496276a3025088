"""`scipy.fft` for traced arrays.

The functions named in `__all__` take traced arrays here, with SciPy's signatures; where no argument is traced they are
SciPy's own. `overwrite_x` and `workers` make no difference to traced arrays. Every other function of `scipy.fft` is
found here too, and refuses traced ones:

    from chainrule.scipy import fft  # for: from scipy import fft
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from chainrule.errors import ShapeError, UnsupportedError
from chainrule.ops.fourier import factor, trigonometric
from chainrule.scipy.twins import other, twin
from chainrule.tracing.array import cast, record, stacked
from chainrule.tracing.functions.common import as_traced, axis_of
from chainrule.tracing.functions.fourier import (
    complex_transform,
    complex_transforms,
    fitted,
    from_half,
    from_halves,
    lengths_and_axes,
    norm_of,
    reverse_of,
    to_half,
    to_halves,
)
from chainrule.tracing.origin import at

__all__ = [
    "dct", "dctn", "dst", "dstn", "fft", "fft2", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "idct", "idctn", "idst",
    "idstn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
    "rfft2", "rfftn",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    return other(scipy.fft, name, "write it with fft and ifft of this module")


def _checked(plan: Any) -> None:
    if plan is not None:
        raise UnsupportedError(f"scipy.fft: plan= is not supported{at()}")


@twin(scipy.fft)
def fft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
        plan: Any = None) -> Any:  # fmt: skip
    """Return the discrete Fourier transform along an axis."""
    _checked(plan)
    return complex_transform(x, n, axis, norm, False)


@twin(scipy.fft)
def ifft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
         plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `fft`."""
    _checked(plan)
    return complex_transform(x, n, axis, norm, True)


@twin(scipy.fft)
def rfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
         plan: Any = None) -> Any:  # fmt: skip
    """Return the transform of real numbers along an axis: the coefficients 0 to n/2."""
    _checked(plan)
    return to_half(x, n, axis, norm)


@twin(scipy.fft)
def irfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
          plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `rfft`."""
    _checked(plan)
    return from_half(x, n, axis, norm)


@twin(scipy.fft)
def hfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
         plan: Any = None) -> Any:  # fmt: skip
    """Return the transform of a signal with Hermitian symmetry, of which half is given."""
    _checked(plan)
    return from_half(np.conj(as_traced(stacked(x))), n, axis, reverse_of(norm))


@twin(scipy.fft)
def ihfft(x: Any, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
          plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `hfft`."""
    _checked(plan)
    return np.conj(to_half(x, n, axis, reverse_of(norm)))


@twin(scipy.fft)
def fftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
         plan: Any = None) -> Any:  # fmt: skip
    """Return the discrete Fourier transform over axes."""
    _checked(plan)
    return complex_transforms(x, s, axes, norm, False)


@twin(scipy.fft)
def ifftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
          plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `fftn`."""
    _checked(plan)
    return complex_transforms(x, s, axes, norm, True)


@twin(scipy.fft)
def rfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
          plan: Any = None) -> Any:  # fmt: skip
    """Return the transform of real numbers over axes, half of the coefficients along the last."""
    _checked(plan)
    return to_halves(x, s, axes, norm)


@twin(scipy.fft)
def irfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None,
           *, plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `rfftn`."""
    _checked(plan)
    return from_halves(x, s, axes, norm)


@twin(scipy.fft)
def hfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None, *,
          plan: Any = None) -> Any:  # fmt: skip
    """Return the transform over axes of a signal with Hermitian symmetry, of which half is given."""
    _checked(plan)
    return from_halves(np.conj(as_traced(stacked(x))), s, axes, reverse_of(norm))


@twin(scipy.fft)
def ihfftn(x: Any, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False, workers: Any = None,
           *, plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `hfftn`."""
    _checked(plan)
    return np.conj(to_halves(x, s, axes, reverse_of(norm)))


@twin(scipy.fft)
def fft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
         workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the discrete Fourier transform over two axes."""
    return fftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def ifft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
          workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `fft2`."""
    return ifftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def rfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
          workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the transform of real numbers over two axes."""
    return rfftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def irfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
           workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `rfft2`."""
    return irfftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def hfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
          workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the transform over two axes of a signal with Hermitian symmetry."""
    return hfftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def ihfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, overwrite_x: bool = False,
           workers: Any = None, *, plan: Any = None) -> Any:  # fmt: skip
    """Return the inverse of `hfft2`."""
    return ihfftn(x, s, axes, norm, plan=plan)


@twin(scipy.fft)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Move the coefficient of frequency zero to the middle."""
    return np.fft.fftshift(stacked(x), axes)


@twin(scipy.fft)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """Return the inverse of `fftshift`."""
    return np.fft.ifftshift(stacked(x), axes)


# -- cosine and sine transforms ------------------------------------------------------------------------

_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


def _numbers(x: Any) -> Any:
    x = as_traced(stacked(x))
    return x if x.dtype.kind in "fc" and x.dtype.char != "e" else cast(x, np.float32 if x.dtype.char == "e" else float)


def _along(x: Any, type: int, axis: int, norm: str, orthogonalize: bool, sine: bool) -> Any:
    """Return the transform along one axis.

    To be orthogonal a transform counts its first and last element by √2: those of the argument of type 1 and 3, of the
    result of type 1 and 2, at the end where the function is even about a sample.
    """
    if type not in _INVERSE:
        raise ShapeError(f"scipy.fft: type={type!r} is none of 1, 2, 3 and 4{at()}")
    n = x.shape[axis]
    shape = [n if k == axis else 1 for k in range(x.ndim)]
    weights = np.ones(n, np.finfo(x.dtype).dtype)
    if orthogonalize and not (sine and type in (1, 4)) and type != 4:
        places = [-1] if sine else [0, -1] if type == 1 else [0]
        for place in places:
            weights[place] *= math.sqrt(2)
    weights = weights.reshape(shape)
    if orthogonalize and type in (1, 3):
        x = x * weights
    y = record(trigonometric, x, axis=axis, type=type, sine=sine)
    if orthogonalize and type in (1, 2):
        y = y / weights
    count = 2 * (n + (1 if sine else -1)) if type == 1 else 2 * n
    return y / factor(norm, count) if norm != "backward" else y


def _transform(x: Any, type: int, n: Any, axis: int, norm: Any, orthogonalize: Any, sine: bool, inverse: bool) -> Any:
    x = _numbers(x)
    axis = axis_of(axis, x.ndim)
    x = x if n is None else fitted(x, int(n), axis)
    orthogonalize = norm == "ortho" if orthogonalize is None else bool(orthogonalize)
    if inverse:
        type, norm = _INVERSE.get(type, type), reverse_of(norm)
    return _along(x, type, axis, norm_of(norm), orthogonalize, sine)


def _transforms(x: Any, type: int, s: Any, axes: Any, norm: Any, orthogonalize: Any, sine: bool, inverse: bool) -> Any:
    x = _numbers(x)
    s = (s,) if isinstance(s, int | np.integer) else s
    axes = (axes,) if isinstance(axes, int | np.integer) else axes
    for size, axis in zip(*lengths_and_axes(x, s, axes), strict=True):
        x = _transform(x, type, size, axis, norm, orthogonalize, sine, inverse)
    return x


def _one(name: str, sine: bool, inverse: bool, words: str) -> Callable[..., Any]:
    def rule(x: Any, type: int = 2, n: Any = None, axis: int = -1, norm: Any = None, overwrite_x: bool = False,
             workers: Any = None, orthogonalize: Any = None) -> Any:  # fmt: skip
        return _transform(x, type, n, axis, norm, orthogonalize, sine, inverse)

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"Return the {words} along an axis."
    return twin(scipy.fft)(rule)


dct = _one("dct", False, False, "cosine transform")
idct = _one("idct", False, True, "inverse cosine transform")
dst = _one("dst", True, False, "sine transform")
idst = _one("idst", True, True, "inverse sine transform")


@twin(scipy.fft)
def dctn(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False,
         workers: Any = None, *, orthogonalize: Any = None) -> Any:  # fmt: skip
    """Return the cosine transform over axes."""
    return _transforms(x, type, s, axes, norm, orthogonalize, False, False)


def _many(name: str, sine: bool, inverse: bool, words: str) -> Callable[..., Any]:
    def rule(x: Any, type: int = 2, s: Any = None, axes: Any = None, norm: Any = None, overwrite_x: bool = False,
             workers: Any = None, orthogonalize: Any = None) -> Any:  # fmt: skip
        return _transforms(x, type, s, axes, norm, orthogonalize, sine, inverse)

    rule.__name__ = rule.__qualname__ = name
    rule.__doc__ = f"Return the {words} over axes."
    return twin(scipy.fft)(rule)


idctn = _many("idctn", False, True, "inverse cosine transform")
dstn = _many("dstn", True, False, "sine transform")
idstn = _many("idstn", True, True, "inverse sine transform")
