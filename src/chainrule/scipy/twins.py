"""What makes a twin: a function or object with SciPy's name and signature that also takes traced arrays.

`TWINS` lists them by the name that a user imports, so that an error can name the twin of a plain SciPy call and so that
the twins can be put in SciPy's place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from chainrule.errors import ChainruleError, UnsupportedError
from chainrule.tracing.array import holds_traced
from chainrule.tracing.origin import at

TWINS: dict[tuple[str, str], Any] = {}
"""(SciPy's module, name in it) → the twin."""


def register(home: ModuleType, name: str, twin: Any) -> None:
    """Enter a twin, a function, class or object, for ``home.name``."""
    TWINS[home.__name__, name] = twin


def twin(home: ModuleType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that makes a rule the twin of SciPy's function of the same name.

    The twin uses the rule where an argument (or an element of a list or tuple given as one) is traced, and is SciPy's
    own function otherwise. The rule has SciPy's signature; parameters that it lacks are refused by Python with their
    name.
    """

    def decorate(rule: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(home, rule.__name__)

        @functools.wraps(rule)
        def function(*args: Any, **kwargs: Any) -> Any:
            if not holds_traced([*args, *kwargs.values()]):
                return original(*args, **kwargs)
            try:
                return rule(*args, **kwargs)
            except ChainruleError:
                raise
            except TypeError as error:  # Python's or NumPy's own, of an argument that does not fit
                raise UnsupportedError(f"{home.__name__}.{rule.__name__}: {error}{at()}") from error

        register(home, rule.__name__, function)
        return function

    return decorate


@functools.cache
def other(home: ModuleType, name: str, advice: str) -> Any:
    """Return what has no twin, unchanged; a function refuses traced arguments with an error that gives advice."""
    found = getattr(home, name)
    if not callable(found) or isinstance(found, type) or name.startswith("_"):
        return found

    @functools.wraps(found)
    def function(*args: Any, **kwargs: Any) -> Any:
        if holds_traced([*args, *kwargs.values()]):
            raise UnsupportedError(f"{home.__name__}.{name} has no rule for traced arrays{at()}; {advice}")
        return found(*args, **kwargs)

    return function
