"""numpy.fft: transforms of complex and real arrays, over one axis or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops import fourier
from chainrule.tracing.array import cast, record, stacked
from chainrule.tracing.functions.common import as_array, as_traced, axis_of, implements, listed_axes
from chainrule.tracing.origin import at

Lengths = Sequence[int | None] | None

_REVERSED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def norm_of(norm: str | None) -> str:
    """Return the name of a norm; None is "backward"."""
    if norm is not None and norm not in _REVERSED:
        raise ShapeError(f"norm={norm!r} is none of 'backward', 'ortho' and 'forward'{at()}")
    return norm or "backward"


def reverse_of(norm: str | None) -> str:
    """Return the norm that the inverse transform has, asked of the transform itself."""
    return _REVERSED[norm_of(norm)]


def fitted(x: Any, n: int, axis: int) -> Any:
    """Return x cut, or filled up with zeros, to a length along an axis."""
    if n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n}) specified{at()}")
    have = x.shape[axis]
    if have > n:
        return x[tuple(slice(n) if k == axis else slice(None) for k in range(x.ndim))]
    if have == n:
        return x
    return np.pad(x, [(0, n - have) if k == axis else (0, 0) for k in range(x.ndim)])


def _numbers(a: Any, real: bool) -> Any:
    """Return an array in a precision that there are transforms for."""
    x = as_traced(stacked(a))
    if real and x.dtype.kind == "c":
        raise ShapeError(f"a transform of real numbers is given complex ones{at()}; use np.fft.fft")
    dtype = fourier.complex_dtype(x.dtype)
    return cast(x, np.finfo(dtype).dtype if x.dtype.kind != "c" else dtype)


def complex_transform(a: Any, n: int | None, axis: int, norm: str | None, inverse: bool) -> Any:
    """Return the transform along one axis."""
    x = _numbers(a, False)
    axis = axis_of(axis, x.ndim)
    x = fitted(x, x.shape[axis] if n is None else n, axis)
    x = cast(x, fourier.complex_dtype(x.dtype))
    return record(fourier.fft, x, axes=(axis,), inverse=inverse, norm=norm_of(norm))


def to_half(a: Any, n: int | None, axis: int, norm: str | None) -> Any:
    """Return the coefficients 0 to n/2 of real numbers along one axis."""
    x = _numbers(a, True)
    axis = axis_of(axis, x.ndim)
    x = fitted(x, x.shape[axis] if n is None else n, axis)
    return record(fourier.rfft, x, axis=axis, norm=norm_of(norm))


def from_half(a: Any, n: int | None, axis: int, norm: str | None) -> Any:
    """Return the n real numbers to which the coefficients 0 to n/2 belong along one axis."""
    x = _numbers(a, False)
    axis = axis_of(axis, x.ndim)
    n = 2 * (x.shape[axis] - 1) if n is None else n
    if n < 1:
        raise ShapeError(f"Invalid number of FFT data points ({n}) specified{at()}")
    x = cast(fitted(x, n // 2 + 1, axis), fourier.complex_dtype(x.dtype))
    return record(fourier.irfft, x, axis=axis, n=n, norm=norm_of(norm))


def lengths_and_axes(x: Any, s: Lengths, axes: Any, last: bool = False) -> tuple[list[int], list[int]]:
    """Return the length of every axis to transform, and the axes.

    Args:
        x: The array.
        s: Lengths asked for; -1 and None leave a length as it is.
        axes: Axes asked for; the last ones, or all, where it is None.
        last: The last axis holds half of the coefficients.
    """
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    places = [axis_of(axis, x.ndim) for axis in axes]
    if s is not None and len(s) != len(places):
        raise ShapeError(f"Shape and axes have different lengths: {tuple(s)} and {tuple(axes)}{at()}")
    given = [-1] * len(places) if s is None else [-1 if size is None else int(size) for size in s]
    sizes = [x.shape[axis] if size == -1 else size for size, axis in zip(given, places, strict=True)]
    if last and given and given[-1] == -1:
        sizes[-1] = 2 * (x.shape[places[-1]] - 1)
    return sizes, places


def complex_transforms(a: Any, s: Lengths, axes: Any, norm: str | None, inverse: bool) -> Any:
    """Return the transform over several axes."""
    x = _numbers(a, False)
    sizes, places = lengths_and_axes(x, s, axes)
    if not places:
        return np.copy(as_array(x))
    if len(set(places)) < len(places):  # one after the other, from the last
        for size, axis in reversed(list(zip(sizes, places, strict=True))):
            x = complex_transform(x, size, axis, norm, inverse)
        return x
    for size, axis in zip(sizes, places, strict=True):
        x = fitted(x, size, axis)
    x = cast(x, fourier.complex_dtype(x.dtype))
    return record(fourier.fft, x, axes=tuple(places), inverse=inverse, norm=norm_of(norm))


def to_halves(a: Any, s: Lengths, axes: Any, norm: str | None) -> Any:
    """Return the transform of real numbers over several axes, half of the coefficients along the last."""
    x = _numbers(a, True)
    sizes, places = lengths_and_axes(x, s, axes)
    x = to_half(x, sizes[-1], places[-1], norm)
    return complex_transforms(x, sizes[:-1], places[:-1], norm, False) if places[:-1] else x


def from_halves(a: Any, s: Lengths, axes: Any, norm: str | None) -> Any:
    """Return the real numbers of which half of the coefficients along the last axis is given."""
    x = _numbers(a, False)
    sizes, places = lengths_and_axes(x, s, axes, last=True)
    x = complex_transforms(x, sizes[:-1], places[:-1], norm, True) if places[:-1] else x
    return from_half(x, sizes[-1], places[-1], norm)


def _one(transform: Callable[..., Any], *extra: Any) -> Callable[..., Any]:
    return lambda a, n=None, axis=-1, norm=None: transform(a, n, axis, norm, *extra)


def _many(transform: Callable[..., Any], axes: Any, *extra: Any) -> Callable[..., Any]:
    default = axes
    return lambda a, s=None, axes=default, norm=None: transform(a, s, axes, norm, *extra)


implements(np.fft.fft)(_one(complex_transform, False))
implements(np.fft.ifft)(_one(complex_transform, True))
implements(np.fft.rfft)(_one(to_half))
implements(np.fft.irfft)(_one(from_half))
implements(np.fft.fft2)(_many(complex_transforms, (-2, -1), False))
implements(np.fft.ifft2)(_many(complex_transforms, (-2, -1), True))
implements(np.fft.fftn)(_many(complex_transforms, None, False))
implements(np.fft.ifftn)(_many(complex_transforms, None, True))
implements(np.fft.rfft2)(_many(to_halves, (-2, -1)))
implements(np.fft.rfftn)(_many(to_halves, None))
implements(np.fft.irfft2)(_many(from_halves, (-2, -1)))
implements(np.fft.irfftn)(_many(from_halves, None))
implements(np.fft.hfft)(
    lambda a, n=None, axis=-1, norm=None: from_half(np.conj(as_traced(stacked(a))), n, axis, reverse_of(norm))
)
implements(np.fft.ihfft)(lambda a, n=None, axis=-1, norm=None: np.conj(to_half(a, n, axis, reverse_of(norm))))


def _turned(x: Any, axes: Any, back: bool) -> Any:
    x = as_traced(stacked(x))
    places = tuple(range(x.ndim)) if axes is None else listed_axes(axes, x.ndim)
    return np.roll(x, [-(x.shape[k] // 2) if back else x.shape[k] // 2 for k in places], places)


implements(np.fft.fftshift)(lambda x, axes=None: _turned(x, axes, False))
implements(np.fft.ifftshift)(lambda x, axes=None: _turned(x, axes, True))
