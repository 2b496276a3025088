"""Arrays made of several, and the reverse: concatenate, stack, block, split."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.structural import concatenate
from chainrule.tracing.array import cast, record, stacked
from chainrule.tracing.functions.common import ALL, as_traced, axis_of, implements
from chainrule.tracing.origin import at


@implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [stacked(part) if isinstance(part, list | tuple) else part for part in arrays]
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    if any(np.ndim(part) == 0 for part in parts):
        raise ShapeError(f"np.concatenate: zero-dimensional arrays cannot be concatenated{at()}; use np.stack")
    shapes = [np.shape(part) for part in parts]
    axis = axis_of(axis, len(shapes[0]))
    if any(
        len(s) != len(shapes[0]) or s[:axis] + s[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for s in shapes
    ):
        raise ShapeError(f"np.concatenate: shapes {' and '.join(map(str, shapes))} differ outside axis {axis}{at()}")
    if dtype is not None:
        parts = [cast(as_traced(part, *arrays), dtype) for part in parts]
    return record(concatenate, *parts, axis=axis)


@implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [stacked(part) if isinstance(part, list | tuple) else part for part in arrays]
    shapes = {np.shape(part) for part in parts}
    if len(shapes) > 1:
        raise ShapeError(f"np.stack: all shapes must be equal, got {' and '.join(map(str, sorted(shapes)))}{at()}")
    axis = axis_of(axis, len(shapes.pop()) + 1)
    return np.concatenate([np.expand_dims(part, axis) for part in parts], axis=axis, dtype=dtype)


@implements(np.vstack)
def _vstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return np.concatenate([np.atleast_2d(stacked(part)) for part in tup], axis=0, dtype=dtype)


@implements(np.hstack)
def _hstack(tup: Sequence[Any], *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [np.atleast_1d(stacked(part)) for part in tup]
    return np.concatenate(parts, axis=0 if parts[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def _dstack(tup: Sequence[Any]) -> Any:
    return np.concatenate([np.atleast_3d(stacked(part)) for part in tup], axis=2)


@implements(np.column_stack)
def _column_stack(tup: Sequence[Any]) -> Any:
    parts = [stacked(part) for part in tup]
    return np.concatenate([x if np.ndim(x) > 1 else np.reshape(x, (np.size(x), 1)) for x in parts], axis=1)


@implements(np.block)
def _block(arrays: Any) -> Any:
    def depth(part: Any) -> int:
        return 1 + max(map(depth, part)) if isinstance(part, list) else 0

    def join(part: Any, level: int) -> Any:
        if level == 0:
            return part
        return np.concatenate([join(each, level - 1) for each in part], axis=-level)

    levels = depth(arrays)

    def widened(part: Any) -> Any:
        if isinstance(part, list):
            return [widened(each) for each in part]
        missing = levels - np.ndim(part)
        return np.reshape(part, (*[1] * missing, *np.shape(part))) if missing > 0 else part

    joined = join(widened(arrays), levels)
    return joined if levels else np.copy(joined)


@implements(np.append)
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    values = stacked(values) if isinstance(values, list | tuple) else values
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis=axis)


@implements(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    axis = axis_of(axis, ary.ndim)
    size = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        each, extra = divmod(size, operator.index(indices_or_sections))
        cuts = np.cumsum([each + (k < extra) for k in range(indices_or_sections)])[:-1].tolist()
    else:
        cuts = list(indices_or_sections)
    bounds = [0, *cuts, size]
    lead = (ALL,) * axis
    return [ary[(*lead, slice(a, b))] for a, b in itertools.pairwise(bounds)]


@implements(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ShapeError(f"np.split: axis {axis} of shape {ary.shape} has no {indices_or_sections} equal parts{at()}")
    return np.array_split(ary, indices_or_sections, axis)
