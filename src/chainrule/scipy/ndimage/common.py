"""What the functions of images share: output dtype, one value per axis, windows around each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.scipy.common import as_dtype, extended, floating, refuse
from chainrule.tracing.array import TracedArray
from chainrule.tracing.functions.common import listed_axes


def image(input: Any) -> Any:
    """Return an image in real or complex numbers, at least in double precision while it is computed with."""
    return floating(input)


def delivered(y: Any, input: Any, output: Any) -> Any:
    """Return a result in the dtype that SciPy would give it; a place to write to is refused."""
    if isinstance(output, np.ndarray | TracedArray):
        raise refuse("scipy.ndimage: an array given as output", "take what the function returns")
    given = np.dtype(input.dtype if hasattr(input, "dtype") else np.asarray(input).dtype)
    dtype = given if output is None else np.dtype(output)
    if y.dtype.kind == "c" and dtype.kind != "c":
        dtype = np.result_type(dtype, np.complex64)
    return as_dtype(y, dtype)


def chosen_axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that a filter works along."""
    return tuple(range(ndim)) if axes is None else listed_axes(axes, ndim)


def per_axis(value: Any, count: int) -> list[Any]:
    """Return one value for each axis."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise RuntimeError(f"sequence argument must have length equal to input rank: {len(values)} for {count}")
    return values


def checked_origin(origin: int, size: int) -> int:
    """Return an origin that lies inside the filter."""
    if not 0 <= size // 2 + origin < max(size, 1):
        raise ValueError("invalid origin")
    return int(origin)


def around(x: Any, shape: Sequence[int], origins: Sequence[int], modes: Sequence[str], cval: Any) -> Any:
    """Return x continued as far as a filter of this shape reaches."""
    widths = [(n // 2 + o, n - 1 - n // 2 - o) for n, o in zip(shape, origins, strict=True)]
    return extended(x, widths, modes, cval)


def windows(x: Any, footprint: np.ndarray, origins: Sequence[int], modes: Sequence[str], cval: Any) -> Any:
    """Return the elements under a footprint around each element, along a last axis."""
    whole = around(x, footprint.shape, origins, modes, cval)
    offsets = np.argwhere(footprint)
    places = tuple(grid[..., None] + offsets[:, k] for k, grid in enumerate(np.indices(x.shape)))
    return whole[places]
