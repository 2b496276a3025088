"""Choice, rounding, parts of complex numbers, comparison of whole arrays."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.ir import Op
from chainrule.ops.pointwise import imag, real, where
from chainrule.tracing.array import TracedArray, TracedNumber, cast, record
from chainrule.tracing.functions.common import as_traced, implements
from chainrule.types import real_dtype


@implements(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if not branches:
        return np.nonzero(condition)
    a, b = branches
    condition = condition if not isinstance(condition, list | tuple) else np.asarray(condition)
    return record(where, condition, a, b)


@implements(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = as_traced(x)
    if isinstance(condlist, TracedArray | np.ndarray) or np.ndim(condlist[0]) != x.ndim:
        condlist = [condlist] if np.ndim(condlist) == x.ndim else list(condlist)
    if len(funclist) == len(condlist) + 1:
        others = functools.reduce(np.logical_or, condlist)
        condlist = [*condlist, ~others]
    y = np.zeros_like(x)
    for condition, piece in zip(condlist, funclist, strict=True):
        condition = condition._look() if isinstance(condition, TracedArray) else np.asarray(condition)
        if np.any(condition):
            y = np.copy(y)
            value = piece(x[condition] if x.ndim else x, *args, **kw) if callable(piece) else piece
            y = _assigned(y, condition, value)
    return y


def _assigned(y: Any, condition: Any, value: Any) -> Any:
    if not y.ndim:
        return np.copy(cast(as_traced(value, y)[()], y.dtype))
    y[condition] = value
    return y


@implements(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    result = default
    for condition, choice in list(zip(condlist, choicelist, strict=True))[::-1]:
        result = np.where(condition, choice, result)
    return result


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    a_min, a_max = (None if bound is np._NoValue else bound for bound in (a_min, a_max))
    low = a_min if a_min is not None else min if min is not np._NoValue else None
    high = a_max if a_max is not None else max if max is not np._NoValue else None
    result = a if low is None else np.maximum(a, low)
    return result if high is None else np.minimum(result, high)


@implements(np.round, np.around)
def _round(a: Any, decimals: int = 0) -> Any:
    x = as_traced(a)
    if x.dtype.kind in "iu" and decimals >= 0:
        return TracedArray(x.builder, x.node)
    if not decimals:
        return np.rint(x)
    factor = x.dtype.type(10.0 ** abs(decimals))
    return np.rint(x * factor) / factor if decimals > 0 else cast(np.rint(x / factor) * factor, x.dtype)


@implements(np.fix)
def _fix(x: Any) -> Any:
    return np.trunc(x)


def _part(op: Op, val: TracedArray) -> TracedArray:
    """Return the real or imaginary part: a Python number of a Python number."""
    part = record(op, val)
    return TracedNumber(part.builder, part.node) if type(val) is TracedNumber else part


@implements(np.real)
def _real(val: Any) -> Any:
    return _part(real, val) if val.dtype.kind == "c" else val


@implements(np.imag)
def _imag(val: Any) -> Any:
    return _part(imag, val) if val.dtype.kind == "c" else np.zeros_like(val)


@implements(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(np.imag(z), np.real(z))
    return np.degrees(angle) if deg else angle


@implements(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if x.dtype.kind not in "fc":
        return np.copy(x)
    limits = np.finfo(real_dtype(x.dtype))
    x = np.where(np.isnan(x), x.dtype.type(nan), x)
    x = np.where(x == np.inf, x.dtype.type(limits.max if posinf is None else posinf), x)
    return np.where(x == -np.inf, x.dtype.type(limits.min if neginf is None else neginf), x)


@implements(np.sinc)
def _sinc(x: Any) -> Any:
    """sin(πx)/(πx); a Taylor polynomial near 0, where its derivatives are 0/0."""
    x = as_traced(x)
    t = np.pi * x
    near = np.abs(t) < 0.05
    safe = np.where(near, t.dtype.type(1), t)
    u = t * t
    series = 1 - u / 6 * (1 - u / 20 * (1 - u / 42 * (1 - u / 72 * (1 - u / 110))))
    return np.where(near, series, np.sin(safe) / safe)


@implements(np.isclose)
def _isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    close = np.abs(a - b) <= atol + rtol * np.abs(b)
    close = close | (a == b)
    return close | (np.isnan(a) & np.isnan(b)) if equal_nan else close


@implements(np.allclose)
def _allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    return bool(np.all(np.isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    if np.shape(a1) != np.shape(a2):
        return False
    return bool(np.all((a1 == a2) | (np.isnan(a1) & np.isnan(a2)) if equal_nan else a1 == a2))
