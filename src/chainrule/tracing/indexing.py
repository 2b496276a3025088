"""NumPy's indexing, in terms of slice, gather, put and reshape."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.ops.structural import Index
from chainrule.types import Shape


@dataclass(frozen=True, slots=True)
class Plan:
    """How to index: a slice, then a reshape that drops and adds axes, then integer arrays.

    Attributes:
        index: One (start, stop, step) per axis of the array.
        shape: Shape after the slice, with integer axes dropped and new axes added.
        axes: Axes of that shape that have an integer array, in order; empty for basic indexing.
        arrays: The integer arrays, NumPy or traced.
        place: Axis of the result at which the axes of the arrays stand.
    """

    index: Index
    shape: Shape
    axes: tuple[int, ...]
    arrays: tuple[Any, ...]
    place: int


def plan(shape: Shape, key: Any) -> Plan:
    """Return the plan for ``array[key]``.

    Args:
        shape: Shape of the array.
        key: Anything NumPy accepts; boolean arrays must have been replaced by their nonzero places.

    Raises:
        IndexError: as NumPy.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    used = sum(1 for part in keys if part is not None and part is not Ellipsis)
    if used > len(shape):
        raise IndexError(f"too many indices: array of shape {shape} with {used}")
    if not any(part is Ellipsis for part in keys):
        keys.append(Ellipsis)
    elif sum(1 for part in keys if part is Ellipsis) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    place = next(k for k, part in enumerate(keys) if part is Ellipsis)
    keys[place : place + 1] = [slice(None)] * (len(shape) - used)

    arrays_present = any(_is_array(part) for part in keys)
    index: list[tuple[int, int | None, int]] = []
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
            k = operator.index(part)
            if not -size <= k < size:
                raise IndexError(f"index {k} is out of bounds for axis {axis - 1} with size {size}")
            k %= size
            if not arrays_present:
                index.append((k, k + 1, 1))
                continue
            part = np.asarray(k)
        separated |= last is not None and last != position - 1
        last = position
        index.append((0, size, 1))
        axes.append(len(kept))
        kept.append(size)
        arrays.append(part)
    return Plan(tuple(index), tuple(kept), tuple(axes), tuple(arrays), 0 if separated or not axes else axes[0])


def _is_array(part: Any) -> bool:
    """Whether a key is an integer array, a list or a traced integer, rather than a plain integer."""
    return isinstance(part, list | np.ndarray) or (hasattr(part, "shape") and not isinstance(part, np.generic))
