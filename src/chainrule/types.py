"""What is known of an array without its numbers: shape and dtype."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of an array."""

    shape: Shape
    dtype: np.dtype[Any]

    @staticmethod
    def of(value: Any) -> Spec:
        """Return the Spec of an array with NumPy's dtypes, or of a number."""
        if not isinstance(getattr(value, "dtype", None), np.dtype):
            value = np.asarray(value)
        return Spec(value.shape, value.dtype)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_inexact(self) -> bool:
        """Whether the elements are real or complex floating-point numbers."""
        return self.dtype.kind in "fc"

    @property
    def is_complex(self) -> bool:
        """Whether the elements are complex."""
        return self.dtype.kind == "c"

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
