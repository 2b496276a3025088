"""Choice, rounding, parts of complex numbers, comparison of whole arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special

from chainrule.ir import Op
from chainrule.ops.pointwise import imag, real, where
from chainrule.tracing.array import TracedArray, TracedNumber, cast, holds_traced, newest, record, stacked, traced
from chainrule.tracing.functions.common import as_array, as_traced, implements


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
    y[condition] = cast(as_traced(value, y), y.dtype)
    return y


@implements(np.select)
def _select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    builder = newest((condlist, choicelist, default))
    parts = [traced(builder, stacked(part)) if np.ndim(part) or holds_traced(part) else part
             for part in (*choicelist, default)]  # fmt: skip
    dtype = np.result_type(*(part.dtype if isinstance(part, TracedArray) else part for part in parts))
    result = cast(traced(builder, parts[-1]), dtype)
    for condition, choice in list(zip(condlist, parts[:-1], strict=True))[::-1]:
        result = np.where(condition, cast(traced(builder, choice), dtype), result)
    return result


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    a_min, a_max = (None if bound is np._NoValue else bound for bound in (a_min, a_max))
    low = a_min if a_min is not None else min if min is not np._NoValue else None
    high = a_max if a_max is not None else max if max is not np._NoValue else None
    if low is None and high is None:
        return np.copy(a) if np.ndim(a) else a[()]
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
    return _part(imag, val) if val.dtype.kind == "c" else np.zeros_like(val)[() if val.is_scalar else ...]


@implements(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    angle = np.arctan2(np.imag(z), np.real(z))
    return np.degrees(angle) if deg else angle


@implements(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = as_traced(x)
    if x.dtype.kind == "c":
        parts = [_nan_to_num(part, copy, nan, posinf, neginf) for part in (np.real(x), np.imag(x))]
        return (parts[0] + 1j * parts[1])[()]
    if x.dtype.kind != "f":
        return np.copy(x)
    limits = np.finfo(x.dtype)
    y = x
    for found, value in (
        (np.isnan(x), nan),
        (x == np.inf, limits.max if posinf is None else posinf),
        (x == -np.inf, limits.min if neginf is None else neginf),
    ):
        y = np.where(found, cast(value, x.dtype) if isinstance(value, TracedArray) else x.dtype.type(value), y)
    if not copy and not x.is_scalar:
        x[...] = y
    return y[()]


@implements(np.sinc)
def _sinc(x: Any) -> Any:
    """sin(πx)/(πx); a Taylor polynomial near 0, where its derivatives are 0/0."""
    x = as_traced(x)
    t = np.pi * x
    near = np.abs(t) < 0.05
    safe = np.where(near, t.dtype.type(1), t)
    u = t * t
    series = 1 - u / 6 * (1 - u / 20 * (1 - u / 42 * (1 - u / 72 * (1 - u / 110))))
    return np.where(near, series, np.sin(safe) / safe)[()]


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


@implements(np.array_equiv)
def _array_equiv(a1: Any, a2: Any) -> bool:
    try:
        np.broadcast_shapes(np.shape(a1), np.shape(a2))
    except ValueError:
        return False
    return bool(np.all(np.equal(a1, a2)))


@implements(np.real_if_close)
def _real_if_close(a: Any, tol: float = 100) -> Any:
    x = as_array(as_traced(a))
    if x.dtype.kind != "c":
        return x
    bound = tol * np.finfo(x.dtype).eps if tol > 1 else tol
    return np.real(x) if np.all(np.abs(np.imag(x)) < bound) else x


@implements(np.isreal)
def _isreal(x: Any) -> Any:
    return np.imag(x) == 0


@implements(np.iscomplex)
def _iscomplex(x: Any) -> Any:
    return np.imag(x) != 0


def _sided(sign: int) -> Callable[..., Any]:
    return lambda x: np.isinf(x) & (np.less(x, 0) if sign < 0 else np.greater(x, 0))


implements(np.isposinf)(_sided(1))
implements(np.isneginf)(_sided(-1))
implements(np.i0)(lambda x: scipy.special.i0(as_traced(x)))


def _extended(function: Callable[..., Any], outside: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function that takes real numbers outside its domain as complex ones, as numpy.emath does."""

    def rule(x: Any) -> Any:
        return function(_widened(x, outside))

    return rule


def _widened(x: Any, outside: Callable[[Any], Any]) -> Any:
    if np.iscomplexobj(x) or not bool(np.any(outside(x))):
        return x
    return np.astype(as_traced(x), np.result_type(x.dtype, np.complex64)) if isinstance(x, TracedArray) else x + 0j


_NEGATIVE, _LARGE = (lambda x: np.less(x, 0)), (lambda x: np.greater(np.abs(x), 1))
for _name in ("sqrt", "log", "log2", "log10"):
    implements(getattr(np.emath, _name))(_extended(getattr(np, _name), _NEGATIVE))
for _name in ("arccos", "arcsin", "arctanh"):
    implements(getattr(np.emath, _name))(_extended(getattr(np, _name), _LARGE))


@implements(np.emath.logn)
def _logn(n: Any, x: Any) -> Any:
    return np.log(_widened(x, _NEGATIVE)) / np.log(_widened(n, _NEGATIVE))


@implements(np.emath.power)
def _emath_power(x: Any, p: Any) -> Any:
    x = _widened(x, _NEGATIVE)
    whole = np.result_type(p if not isinstance(p, TracedArray) else p.dtype).kind in "iu"
    return np.power(x, np.multiply(p, 1.0) if whole and np.any(np.less(p, 0)) else stacked(p))
