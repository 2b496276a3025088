"""Functions that write into their first argument: copyto, put, place, fill_diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import DetachError
from chainrule.tracing.array import MAKE_INSIDE, LocalArray, TracedArray, newest, stacked
from chainrule.tracing.functions.common import implements
from chainrule.tracing.origin import at


def writable(x: Any, name: str, *values: Any) -> TracedArray:
    """Return the traced array to write into: x, or what stands for x if it is a plain array made in the function.

    Raises:
        DetachError: x is another plain array, and cannot hold the derivatives of what is written.
    """
    if isinstance(x, TracedArray):
        return x
    if isinstance(x, LocalArray):
        return x.opened(newest(values))
    raise DetachError(f"np.{name}: a plain NumPy array cannot hold traced values{at()}; {MAKE_INSIDE}")


@implements(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    dst = writable(dst, "copyto", src, where)
    dst[...] = src if where is True else np.where(where, src, dst)


@implements(np.put)
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    a = writable(a, "put", ind, v)
    size = a.size
    places = np.asarray(ind) if mode == "raise" else np.clip(ind, 0, size - 1) if mode == "clip" else np.mod(ind, size)
    a.flat[np.ravel(places)] = v


@implements(np.place)
def _place_values(arr: Any, mask: Any, vals: Any) -> None:
    arr = writable(arr, "place", mask, vals)
    places = np.flatnonzero(mask._look() if isinstance(mask, TracedArray) else mask)
    arr.flat[places] = np.ravel(stacked(vals))


@implements(np.putmask)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    a = writable(a, "putmask", mask, values)
    a[...] = np.where(mask, np.resize(values, a.shape), a)


@implements(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    arr = writable(arr, "put_along_axis", indices, values)
    places = np.take_along_axis(np.arange(arr.size).reshape(arr.shape), np.asarray(indices), axis)
    arr.flat[np.ravel(places)] = np.ravel(np.broadcast_to(stacked(values), places.shape))


@implements(np.fill_diagonal)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    a = writable(a, "fill_diagonal", val)
    marked = np.zeros(a.shape, bool)
    np.fill_diagonal(marked, True, wrap)
    a.flat[np.flatnonzero(marked)] = val
