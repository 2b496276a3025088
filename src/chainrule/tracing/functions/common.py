"""What the rules share: registering one, axes, the traced form of an argument."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import AxisError
from chainrule.ops.structural import broadcast_to, reshape
from chainrule.tracing.array import FUNCTIONS, TracedArray, newest, record, traced
from chainrule.tracing.origin import at

Axis = int | Sequence[int] | None


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what stands for NumPy functions."""

    def add(rule: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return add


def as_traced(x: Any, *others: Any) -> Any:
    """Return x as a traced array of the newest graph among the arguments."""
    return x if isinstance(x, TracedArray) and not others else traced(newest((x, *others)), x)


def listed_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes in the order given, none negative."""
    try:
        return tuple(np.lib.array_utils.normalize_axis_tuple(axis, ndim))
    except np.exceptions.AxisError as error:
        raise AxisError(f"{error}{at()}") from None


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return axes in ascending order, none negative; all of them for None."""
    return tuple(range(ndim)) if axis is None else tuple(sorted(listed_axes(axis, ndim)))


def axis_of(axis: int, ndim: int) -> int:
    """Return one axis, not negative."""
    return listed_axes(operator.index(axis), ndim)[0]


def kept(y: Any, x: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    """Return y, what x was reduced to, with axes of size 1 where x's were if `keepdims` asks for them."""
    if keepdims is np._NoValue or not keepdims:
        return y
    return record(reshape, y, shape=tuple(1 if k in axes else size for k, size in enumerate(x.shape)))


def count_along(x: Any, axes: tuple[int, ...]) -> int:
    """Return how many elements of x lie along axes."""
    return math.prod(x.shape[k] for k in axes)


ALL = slice(None)


def as_array(x: TracedArray) -> Any:
    """Return x, a NumPy scalar as an array without axes, which can be assigned to."""
    return record(broadcast_to, x, shape=()) if x.is_scalar else x
