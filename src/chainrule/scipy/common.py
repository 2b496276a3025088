"""What the twins share: ops on plain or traced values, boundaries, and a refusal where there is no rule."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.errors import UnsupportedError
from chainrule.ir import Op
from chainrule.ops.host import stop_gradient
from chainrule.tracing.array import TracedArray, cast, holds_traced, record, stacked
from chainrule.tracing.origin import at


def apply(op: Op, *args: Any, **params: Any) -> Any:
    """Apply an op: recorded where an argument is traced, else evaluated."""
    return record(op, *args, **params) if holds_traced(args) else op.evaluate(*args, **params)


def floating(x: Any) -> Any:
    """Return an operand as an array, traced or not, of real or complex numbers."""
    x = stacked(x)
    return x if x.dtype.kind in "fc" else as_dtype(x, float)


def as_dtype(x: Any, dtype: Any) -> Any:
    """Return an array in another dtype."""
    return cast(x, dtype) if isinstance(x, TracedArray) else np.asarray(x).astype(dtype)


def constant(x: Any) -> Any:
    """Return a value without its derivative."""
    return record(stop_gradient, x) if isinstance(x, TracedArray) else x


def look(x: Any) -> Any:
    """Return the concrete value for a decision that derivatives do not go through; `jit` checks that it stays."""
    return x._look() if isinstance(x, TracedArray) else np.asarray(x)


def plain(x: Any, what: str) -> Any:
    """Return a parameter that has no derivative as it is; refuse a traced one by its name."""
    if holds_traced(x):
        raise UnsupportedError(f"{what} cannot be traced{at()}; give a plain value, or chainrule.stop_gradient of it")
    return x


def refuse(what: str, instead: str = "") -> UnsupportedError:
    """Return the error for an option that has no rule."""
    return UnsupportedError(f"{what} has no rule for traced arrays{at()}{f'; {instead}' if instead else ''}")


def reads_traced(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a traced value is among arguments, also inside lists, tuples and dicts."""
    found = [*args, *kwargs.values()]
    return holds_traced([list(part.values()) if isinstance(part, dict) else part for part in found])


# -- names without a rule ----------------------------------------------------------------------------------


@functools.cache
def guarded(home: ModuleType, name: str, instead: str = "") -> Any:
    """Return SciPy's own function or class, which refuses traced arguments rather than to lose a derivative."""
    original = getattr(home, name)
    words = f"{home.__name__}.{name}"
    if inspect.isclass(original):
        return original if issubclass(original, BaseException) else _guarded_class(original, words, instead)
    if not callable(original):
        return original

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if reads_traced(args, kwargs):
            raise refuse(words, instead or "write it with NumPy functions, or use chainrule.custom_vjp")
        return original(*args, **kwargs)

    return function


def _guarded_class(original: type, words: str, instead: str) -> type:
    """Return a class that makes objects of the original one, and counts them as its own."""

    class Meta(type(original)):  # type: ignore[misc]
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if reads_traced(args, kwargs):
                raise refuse(words, instead or "write it with NumPy functions, or use chainrule.custom_vjp")
            return original(*args, **kwargs) if cls is guard else super().__call__(*args, **kwargs)

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, original) if cls is guard else super().__instancecheck__(instance)

    guard = Meta(original.__name__, (original,), {"__doc__": original.__doc__, "__module__": original.__module__})
    return guard


# -- beyond the ends of an array ---------------------------------------------------------------------------

MODES = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
    "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip
"""NumPy's names for the boundaries of `scipy.ndimage`."""


def extended(x: Any, widths: Sequence[tuple[int, int]], modes: Sequence[str], cval: Any = 0.0) -> Any:
    """Return x continued beyond its ends, each axis by its own mode of `scipy.ndimage`."""
    for axis, (width, mode) in enumerate(zip(widths, modes, strict=True)):
        if mode not in MODES:
            raise RuntimeError(f"boundary mode {mode!r} not supported")
        if width == (0, 0) or not x.shape[axis]:
            continue
        pairs = [width if k == axis else (0, 0) for k in range(x.ndim)]
        if MODES[mode] == "constant":
            x = np.pad(x, pairs, constant_values=cval)
        else:
            places = np.pad(np.arange(x.shape[axis]), width, MODES[mode])  # type: ignore[call-overload]
            x = np.take(x, places, axis=axis)
    return x


def part(x: Any, starts: Sequence[int], sizes: Sequence[int]) -> Any:
    """Return a window of the last axes of x, with zeros where it reaches beyond the ends."""
    lead = x.ndim - len(starts)
    around, key = [(0, 0)] * lead, [slice(None)] * lead
    for start, size, n in zip(starts, sizes, x.shape[lead:], strict=True):
        before = max(0, -start)
        around.append((before, max(0, start + size - n)))
        key.append(slice(start + before, start + before + size))
    x = np.pad(x, around) if any(pair != (0, 0) for pair in around) else x
    return x[tuple(key)]


def on_last(f: Callable[[Any], Any], x: Any, axis: int) -> Any:
    """Apply a function of the last axis along another one."""
    return np.moveaxis(f(np.moveaxis(x, axis, -1)), -1, axis)
