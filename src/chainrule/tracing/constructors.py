"""NumPy's functions that make arrays, while a function is traced.

NumPy offers no way to see ``np.zeros(n)`` or ``np.array([a, b])``: no argument is dispatched on. While this thread
traces a function, the names in the numpy module therefore lead to what is here, for calls from the user's own code; for
other threads, for NumPy's and SciPy's own code, and once nothing is traced, they are NumPy's own. See
docs/decisions, "Filling arrays".
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from chainrule.errors import DetachError, ShapeError, UnsupportedError
from chainrule.ir import Builder
from chainrule.tracing.array import (
    CREATORS,
    FUNCTIONS,
    TracedArray,
    cast,
    finish,
    holds_traced,
    newest,
    stacked,
    traced,
)
from chainrule.tracing.local import TRACES, Local, nowhere
from chainrule.tracing.origin import at, call_at, is_users


def joined(value: Any, *others: Any) -> Any:
    """Return an array, number or nested list as a traced array of the newest graph among the arguments."""
    inside = [end for each in others if isinstance(each, slice) for end in (each.start, each.stop, each.step)]
    return traced(newest((value, *others, *inside)), stacked(value))


# -- what stands for NumPy's functions --------------------------------------------------------------------------


def _of_list(a: Any, dtype: Any, ndmin: int = 0) -> Any:
    x = a if isinstance(a, TracedArray) else joined(a)
    x = x if dtype is None else cast(x, dtype)
    return np.reshape(x, (*[1] * (ndmin - x.ndim), *x.shape)) if x.ndim < ndmin else x


def _array(object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: Any = False, ndmin: int = 0,
           ndmax: int = 0, like: Any = None) -> Any:  # fmt: skip
    x = _of_list(object, dtype, ndmin)
    return np.copy(x) if copy or x.is_scalar else x


def _asarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None,
             like: Any = None) -> Any:  # fmt: skip
    return _array(a, dtype, copy=bool(copy))


def _asarray_chkfinite(a: Any, dtype: Any = None, order: Any = None) -> Any:
    x = _asarray(a, dtype)
    if x.dtype.kind in "fc" and not np.isfinite(x).all():
        raise ValueError("array must not contain infs or NaNs")
    return x


def _ascontiguousarray(a: Any, dtype: Any = None, *, like: Any = None) -> Any:
    return _of_list(a, dtype, 1)


def _frombuffer(buffer: Any, *args: Any, **kwargs: Any) -> Any:
    raise DetachError(f"np.frombuffer: the bytes of traced values are not there{at()}; use the array as it is")


def _require(a: Any, dtype: Any = None, requirements: Any = None, *, like: Any = None) -> Any:
    return _asarray(a, dtype)


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None,
          like: Any = None) -> Any:  # fmt: skip
    return CREATORS[np_full](like or _some(fill_value, shape), shape, fill_value, dtype)


def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *,
               device: Any = None) -> Any:  # fmt: skip
    return FUNCTIONS[np_full_like](a, fill_value, dtype, order, subok, shape)


def _arange(*args: Any, dtype: Any = None, device: Any = None, like: Any = None, **named: Any) -> Any:
    names = ["start", "stop", "step"]
    given = {**dict(zip(["stop"] if len(args) == 1 else names, args[:3], strict=False)), **named}
    if len(args) > 3:
        dtype = args[3]
    start, stop, step = given.get("start", 0), given.get("stop"), given.get("step", 1)
    if stop is None:
        start, stop = 0, start
    x = _some((start, stop, step))
    count = max(int(np.ceil((stop - start) / step)), 0)
    y = start + step * np.arange(count)
    return cast(joined(y, x), np.result_type(*map(_kind, (start, stop, step))) if dtype is None else dtype)


def _kind(value: Any) -> Any:
    return value.dtype if isinstance(value, TracedArray) else value


def _fromiter(iter: Any, dtype: Any, count: int = -1, *, like: Any = None) -> Any:
    parts = list(itertools.islice(iter, count)) if count >= 0 else list(iter)
    if len(parts) < count:
        raise ValueError(f"iterator too short: Expected {count} but iterator had only {len(parts)} items.")
    return cast(joined(parts), dtype) if holds_traced(parts) else NUMPY[np, "fromiter"](parts, dtype, count)


def _empty(shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None) -> Any:
    """As np.empty, with zeros: what the memory holds by chance would make two traces differ."""
    return NUMPY[np, "zeros"](shape, dtype, order)


def _empty_like(prototype: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *,
                device: Any = None) -> Any:  # fmt: skip
    return NUMPY[np, "zeros_like"](prototype, dtype, order, subok, shape)


def _some(*values: Any) -> TracedArray:
    """Return one of the traced arrays among values."""
    builder = newest(values)
    return TracedArray(builder, builder.constant(0.0))


def _concatenated(self: Any, key: Any) -> Any:
    """As np.r_[key] and np.c_[key]."""
    keys = key if isinstance(key, tuple) else (key,)
    if not any(holds_traced((k.start, k.stop, k.step) if isinstance(k, slice) else k) for k in keys):
        result, frame = NUMPY[_CONCATENATOR, "__getitem__"](self, key), sys._getframe(1)
        is_ours = TRACES.builders and is_users(frame.f_code.co_filename)
        return _own(result, keys, frame) if is_ours else result
    axis, depth, place = self.axis, self.ndmin, self.trans1d
    if isinstance(keys[0], str):
        if keys[0] in ("r", "c"):
            raise UnsupportedError(f"np.r_[{keys[0]!r}, ...] makes a matrix{at()}, which is not traced; use np.c_")
        numbers = [int(each) for each in keys[0].split(",")]
        axis, depth, place = numbers + [axis, depth, place][len(numbers) :]
        keys = keys[1:]
    parts = []
    for part in keys:
        x = joined(_ranged(part) if isinstance(part, slice) else part, *keys)
        missing = depth - x.ndim
        if missing > 0:  # where the axes of the part stand among those of the result, as np.r_ has it
            first = place if place >= 0 else missing + 1 + place
            x = np.reshape(x, (*[1] * first, *x.shape, *[1] * (missing - first)))
        parts.append(np.reshape(x, (1,)) if not x.ndim else x)
    return finish(np.concatenate(parts, axis=axis))


def _ranged(part: slice) -> Any:
    start, stop, step = part.start or 0, part.stop, 1 if part.step is None else part.step
    if isinstance(step, complex):
        return np.linspace(start, stop, int(abs(step)))
    return _arange(start, stop, step) if holds_traced([start, stop, step]) else np.arange(start, stop, step)


def _vectorized(self: Any, *args: Any, **kwargs: Any) -> Any:
    """As a call of np.vectorize(f): f of every element."""
    if not holds_traced([*args, *kwargs.values()]):
        return NUMPY[np.vectorize, "__call__"](self, *args, **kwargs)
    if self.signature is not None or kwargs or self.excluded:
        raise UnsupportedError(
            f"np.vectorize: signature=, excluded= and keyword arguments are not supported with traced arrays{at()}; "
            "write a loop, and np.stack of its results"
        )
    shape = np.broadcast_shapes(*(np.shape(arg) for arg in args))
    columns = [np.ravel(np.broadcast_to(stacked(arg), shape)) for arg in args]
    rows = [self.pyfunc(*row) for row in zip(*columns, strict=True)]
    if not rows:
        raise ShapeError(f"np.vectorize: there are no elements{at()}")
    several = isinstance(rows[0], tuple)
    results = zip(*rows, strict=True) if several else [rows]
    found = tuple([np.reshape(joined(list(each), *columns), shape)[()] for each in results])
    return finish(found if several else found[0])


np_full, np_full_like = np.full, np.full_like
_CONCATENATOR: Any = type(np.r_).__mro__[1]

TAKE_TRACED: dict[str, Callable[..., Any]] = {
    "array": _array, "asarray": _asarray, "asanyarray": _asarray, "ascontiguousarray": _ascontiguousarray,
    "asfortranarray": _ascontiguousarray, "asarray_chkfinite": _asarray_chkfinite, "require": _require,
    "full": _full, "full_like": _full_like, "arange": _arange, "frombuffer": _frombuffer,
}  # fmt: skip
"""What makes arrays of traced values, given as numbers or nested lists: NumPy would not ask."""

MAKE_OWN = ["array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "asarray_chkfinite", "require",
            "full", "full_like", "arange", "zeros", "ones", "eye", "identity", "tri", "linspace", "logspace",
            "geomspace", "zeros_like", "ones_like", "copy", "diag", "diagflat", "vander", "fromfunction",
            "indices"]  # fmt: skip
"""What makes new arrays, which traced values may be stored into later."""

TAKE_LISTS: dict[Any, list[str]] = {
    np: ["sum", "mean", "max", "min", "amax", "amin", "prod", "std", "var", "median", "average", "ptp", "dot", "vdot",
         "inner", "outer", "cross", "diag", "where", "argmax", "argmin", "argsort", "sort", "cumsum", "cumprod", "diff",
         "trapezoid", "any", "all", "clip", "polyval", "interp", "copyto", "put", "place", "putmask", "put_along_axis",
         "fill_diagonal", "concatenate", "stack", "hstack", "vstack", "append"],
    np.linalg: ["norm", "inv", "det", "slogdet", "solve", "cholesky", "eigh", "eigvalsh", "pinv"],
}  # fmt: skip
"""Functions that are given lists of traced numbers, into which NumPy does not look."""


def _own(result: Any, given: tuple[Any, ...], frame: FrameType) -> Any:
    """Return a new array as one that traced values can be stored into."""
    if type(result) is not np.ndarray or result.dtype.kind not in "biufc":
        return result
    if result.base is not None:  # linspace and eye return a part of what they made
        if type(result.base) is not np.ndarray or not result.flags.writeable:
            return result
        if any(isinstance(each, np.ndarray) and np.may_share_memory(each, result) for each in given):
            return result
        result = result.copy()
    elif any(result is each for each in given):
        return result
    own = result.view(Local)
    own._made = frame.f_code, frame.f_lasti
    return own


def _wrapped(numpys: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return what a name in the numpy module leads to while a function is traced."""
    takes, is_maker = TAKE_TRACED.get(name), name in MAKE_OWN
    joins = takes is None
    looked_into = _parts_joined if name in ("concatenate", "stack", "hstack", "vstack") else _joined_list

    @functools.wraps(numpys)
    def function(*args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        if not TRACES.builders or not is_users(frame.f_code.co_filename):
            return numpys(*args, **kwargs)
        if takes is not None and kwargs.get("like") is None and holds_traced([*args, *kwargs.values()]):
            is_called = _is_called(frame, name, function)
            return finish(takes(*args, **kwargs), frame) if is_called else numpys(*args, **kwargs)
        if joins:
            args = tuple([looked_into(each) if type(each) in _LISTS else each for each in args])
        result = numpys(*args, **kwargs)
        if type(result) in _NAMED:
            return finish(result, frame)
        return _own(result, args, frame) if is_maker else result

    return function


def _is_called(frame: FrameType, name: str, function: Any) -> bool:
    """Whether the user's code calls a function of NumPy itself, rather than one compiled from C or Cython that does."""
    text, found = call_at(frame, frame.f_lasti)
    return not text or found is function or re.search(rf"\b{name}\b", text) is not None


def _joined_list(value: Any) -> Any:
    return stacked(value) if holds_traced(value) else value


def _parts_joined(value: Any) -> Any:
    return [_joined_list(part) if type(part) in _LISTS else part for part in value]


_LISTS = frozenset([list, tuple])
_NAMED = frozenset([list, tuple, TracedArray])


def _replacing(space: Any, name: str, substitute: Callable[..., Any]) -> Callable[..., Any]:
    """Return what a name leads to where we do otherwise than NumPy for plain arguments too."""
    numpys = NUMPY[space, name]

    @functools.wraps(numpys)
    def function(*args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        if not TRACES.builders or not is_users(frame.f_code.co_filename):
            return numpys(*args, **kwargs)
        if kwargs.get("like") is not None or (args and isinstance(args[0], TracedArray)):
            return finish(numpys(*args, **kwargs), frame)
        result = substitute(*args, **kwargs)
        return finish(result, frame) if isinstance(result, TracedArray) else _own(result, args, frame)

    return function


# -- putting them into the numpy module, and out again ----------------------------------------------------------

NUMPY: dict[tuple[Any, str], Any] = {
    (np, name): getattr(np, name) for name in {*TAKE_TRACED, *MAKE_OWN, "fromiter", "empty", "empty_like"}
}
"""NumPy's own functions, by where they are and their names."""
NUMPY[_CONCATENATOR, "__getitem__"] = _CONCATENATOR.__getitem__
NUMPY[np.vectorize, "__call__"] = np.vectorize.__call__

NUMPY |= {(space, name): getattr(space, name) for space, names in TAKE_LISTS.items() for name in names}

_SUBSTITUTES: dict[tuple[Any, str], Any] = {
    (space, name): _wrapped(function, name) for (space, name), function in NUMPY.items() if space in (np, np.linalg)
} | {
    (np, "fromiter"): _replacing(np, "fromiter", _fromiter),
    (np, "empty"): _replacing(np, "empty", _empty),
    (np, "empty_like"): _replacing(np, "empty_like", _empty_like),
    (_CONCATENATOR, "__getitem__"): _concatenated,
    (np.vectorize, "__call__"): _vectorized,
}


def _by_space(functions: dict[tuple[Any, str], Any]) -> list[tuple[Any, dict[str, Any]]]:
    spaces = dict.fromkeys(space for space, _ in functions)
    return [(space, {name: f for (home, name), f in functions.items() if home is space}) for space in spaces]


_LOCK = threading.Lock()
_in_use = 0


def _put(functions: list[tuple[Any, dict[str, Any]]]) -> None:
    for space, names in functions:
        if isinstance(space, type):
            for name, function in names.items():
                setattr(space, name, function)
        else:
            vars(space).update(names)


_OURS, _THEIRS = _by_space(_SUBSTITUTES), _by_space({key: NUMPY[key] for key in _SUBSTITUTES})


class tracing_into:
    """While in this context, this thread's array-making calls belong to a graph that is being built."""

    __slots__ = ("builder",)

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def __enter__(self) -> None:
        global _in_use
        with _LOCK:
            _in_use += 1
            if _in_use == 1:
                _put(_OURS)
        TRACES.builders.append(self.builder)
        TRACES.home = weakref.ref(self.builder)

    def __exit__(self, *_: object) -> None:
        global _in_use
        builders = TRACES.builders
        builders.pop()
        TRACES.home = weakref.ref(builders[-1]) if builders else nowhere
        with _LOCK:
            _in_use -= 1
            if not _in_use:
                _put(_THEIRS)


__all__ = ["tracing_into"]
