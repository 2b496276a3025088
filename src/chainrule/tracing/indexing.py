"""NumPy's indexing, in terms of slice, gather, put and reshape."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import IndexingError
from chainrule.ops.structural import Index
from chainrule.tracing.origin import at
from chainrule.types import Shape


@dataclass(frozen=True, slots=True)
class Plan:
    """How to index: a slice, then a reshape that drops and adds axes, then integer arrays.

    Attributes:
        index: One integer or (start, stop, step) per axis of the array.
        shape: Shape after the slice, with integer axes dropped and new axes added.
        axes: Axes of that shape that have an integer array, in order; empty for basic indexing.
        arrays: The integer arrays, NumPy or traced.
        place: Axis of the result at which the axes of the arrays stand.
        scalar: Every axis has an integer and there is nothing else: one element, no view.
    """

    index: Index
    shape: Shape
    axes: tuple[int, ...]
    arrays: tuple[Any, ...]
    place: int
    scalar: bool


def plan(shape: Shape, key: Any) -> Plan:
    """Return the plan for ``array[key]``.

    Args:
        shape: Shape of the array.
        key: Anything NumPy accepts; boolean arrays must have been replaced by their nonzero places.

    Raises:
        IndexingError: where NumPy raises IndexError.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(1 for part in keys if part is not None and part is not Ellipsis)
    if used > len(shape):
        raise IndexingError(f"too many indices: {used} for an array of shape {shape}{at()}")
    explicit = any(part is Ellipsis for part in keys)
    if not explicit:
        keys.append(Ellipsis)
    elif sum(1 for part in keys if part is Ellipsis) > 1:
        raise IndexingError(f"an index can only have a single ellipsis ('...'){at()}")
    place = next(k for k, part in enumerate(keys) if part is Ellipsis)
    keys[place : place + 1] = [slice(None)] * (len(shape) - used)

    arrays_present = any(_is_array(part) for part in keys)
    sliced = any(isinstance(part, slice) for part in keys)
    scalar = not (explicit or arrays_present or sliced or len(keys) > used)
    index: list[tuple[int, int | None, int] | int] = []
    kept: list[int] = []
    arrays: list[Any] = []
    axes: list[int] = []
    separated, last = False, None
    axis = 0
    for position, part in enumerate(keys):
        if part is None:
            kept.append(1)
            continue
        size = shape[axis]
        axis += 1
        if isinstance(part, slice):
            part = slice(*(None if k is None else operator.index(k) for k in (part.start, part.stop, part.step)))
            start, stop, step = part.indices(size)
            index.append((start, None if stop < 0 else stop, step) if step < 0 else (start, max(stop, start), step))
            kept.append(len(range(start, stop, step)))
            continue
        if not _is_array(part):
            try:
                k = operator.index(part)
            except TypeError:
                raise IndexingError(
                    f"only integers, slices, `...`, None and integer or boolean arrays are indices, got {part!r}{at()}"
                ) from None
            if not -size <= k < size:
                raise IndexingError(f"index {k} is out of bounds for axis {axis - 1} of length {size}{at()}")
            k %= size
            if not arrays_present:
                index.append(k if sliced or scalar else (k, k + 1, 1))  # without a slice: a view with no axes
                continue
            part = np.asarray(k)
        separated |= last is not None and last != position - 1
        last = position
        index.append((0, size, 1))
        axes.append(len(kept))
        kept.append(size)
        arrays.append(part)
    return Plan(tuple(index), tuple(kept), tuple(axes), tuple(arrays), 0 if separated or not axes else axes[0], scalar)


def _is_array(part: Any) -> bool:
    """Whether a key is an integer array, a list or a traced integer, rather than a plain integer."""
    return isinstance(part, list | np.ndarray) or (hasattr(part, "shape") and not isinstance(part, np.generic))
