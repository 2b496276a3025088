"""Twins of functions that take functions: traced values may also hide in what those close over."""

from __future__ import annotations

import ctypes
import functools
import inspect
import types
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from chainrule import tree
from chainrule.scipy.twins import register
from chainrule.tracing.array import TracedArray

_FOREIGN = (types.BuiltinFunctionType, type(ctypes.CFUNCTYPE(None)), type)


class Found(BaseException):
    """A function that SciPy calls returned a traced value. It passes through SciPy, which catches many exceptions."""


def functional(
    home: ModuleType, *names: str, prepare: Callable[[dict[str, Any]], None] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that makes a rule the twin of SciPy's function of the same name.

    The rule is used where an argument is traced, or what one of the given functions returns; SciPy's own function
    otherwise.

    Args:
        home: SciPy's module.
        *names: Parameters that take functions.
        prepare: Changes the arguments by name so that functions in other places are watched too.
    """

    def decorate(rule: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(home, rule.__name__)
        signature = inspect.signature(original)

        @functools.wraps(rule)
        def function(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            if not any_traced(list(bound.arguments.values())):
                for name in names:
                    if name in bound.arguments:
                        bound.arguments[name] = watched(bound.arguments[name])
                if prepare is not None:
                    prepare(bound.arguments)
                try:
                    return original(*bound.args, **bound.kwargs)
                except Found:
                    pass
            return rule(*args, **kwargs)

        register(home, rule.__name__, function)
        return function

    return decorate


def any_traced(values: Any) -> bool:
    """Whether a structure holds a traced array."""
    return any(isinstance(leaf, TracedArray) for leaf in tree.flatten(values)[0])


def watched(f: Any) -> Any:
    """Return a function that raises `Found` where f returns traced values; what is no Python function as it is."""
    if not callable(f) or isinstance(f, _FOREIGN) or type(f).__module__.startswith(("scipy", "numpy", "_ctypes")):
        return f

    def watch(*args: Any, **kwargs: Any) -> Any:
        result = f(*args, **kwargs)
        if isinstance(result, TracedArray) or (isinstance(result, list | tuple | dict) and any_traced(result)):
            raise Found
        return result

    return functools.update_wrapper(watch, f) if hasattr(f, "__name__") else watch


def plain(values: Sequence[Any]) -> list[Any]:
    """Return the values of traced arrays among others."""
    return [value.value if isinstance(value, TracedArray) else value for value in values]
