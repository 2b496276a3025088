"""What is known of an array without its numbers: shape and dtype."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

Shape = tuple[int, ...]

_SPECS: WeakValueDictionary[tuple[Shape, np.dtype[Any]], Spec] = WeakValueDictionary()
_LOCK = threading.RLock()


class Spec:
    """Shape and dtype of an array. Equal ones are one object, so that they compare and hash at no cost.

    Attributes:
        shape: Length of each axis.
        dtype: Type of the elements.
        size: Number of elements.
        ndim: Number of axes.
        is_inexact: Whether the elements are real or complex floating-point numbers.
        is_complex: Whether the elements are complex.
    """

    __slots__ = ("__weakref__", "dtype", "is_complex", "is_inexact", "ndim", "shape", "size")

    shape: Shape
    dtype: np.dtype[Any]
    size: int
    ndim: int
    is_inexact: bool
    is_complex: bool

    def __new__(cls, shape: Shape, dtype: np.dtype[Any]) -> Spec:
        """Return the Spec of a shape and dtype."""
        found = _SPECS.get((shape, dtype))
        if found is not None:
            return found
        with _LOCK:
            found = _SPECS.get((shape, dtype))
            if found is None:
                found = super().__new__(cls)
                shape = tuple(map(int, shape))
                dtype = np.dtype(dtype.str) if dtype.isbuiltin == 1 else dtype  # int64 for its equal, C's long long
                for name, value in (
                    ("shape", shape),
                    ("dtype", dtype),
                    ("size", math.prod(shape)),
                    ("ndim", len(shape)),
                    ("is_inexact", dtype.kind in "fc"),
                    ("is_complex", dtype.kind == "c"),
                ):
                    object.__setattr__(found, name, value)
                _SPECS[shape, dtype] = found
            return found

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to {name!r}: a Spec does not change")

    def __reduce__(self) -> Any:
        return Spec, (self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"Spec(shape={self.shape!r}, dtype={self.dtype!r})"

    @staticmethod
    def of(value: Any) -> Spec:
        """Return the Spec of an array with NumPy's dtypes, or of a number."""
        if not isinstance(getattr(value, "dtype", None), np.dtype):
            value = np.asarray(value)
        return Spec(value.shape, value.dtype)

    def with_shape(self, shape: Iterable[int]) -> Spec:
        """Return a Spec of the same dtype and another shape."""
        return Spec(tuple(shape), self.dtype)

    def with_dtype(self, dtype: Any) -> Spec:
        """Return a Spec of the same shape and another dtype."""
        return Spec(self.shape, np.dtype(dtype))

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}" if self.shape else str(self.dtype)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the common shape of NumPy's broadcasting; ValueError where there is none."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    return np.broadcast_shapes(*shapes)


def real_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the real dtype of the same precision: complex128 gives float64, float32 itself."""
    dtype = np.dtype(dtype)
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
