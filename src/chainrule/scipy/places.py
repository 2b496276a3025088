"""The twins in SciPy's place: `install`, `uninstall`, and the words that name the twin of a SciPy function."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

from chainrule.scipy.twins import TWINS
from chainrule.tracing.array import TWIN_ADVICE
from chainrule.tracing.origin import is_users

_PACKAGE = "chainrule.scipy"


def _public(path: Any, prefix: str = "") -> list[str]:
    """Return the modules of this package that stand for one of SciPy's, as paths below it."""
    found = []
    for module in pkgutil.iter_modules(path):
        name = prefix + module.name
        if not module.name.startswith("_") and importlib.util.find_spec(f"scipy.{name}") is not None:
            found.append(name)
    return found


MODULES: list[str] = _public(sys.modules[_PACKAGE].__path__)
"""The modules of SciPy that have twins."""


def load(only: str = "") -> dict[tuple[str, str], Any]:
    """Return the table of all twins, with every module of this package (or one of them and what it holds) loaded."""
    for name in [only] if only else MODULES:
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        for inner in _public(getattr(module, "__path__", []), f"{name}."):
            importlib.import_module(f"{_PACKAGE}.{inner}")
    return TWINS


# -- install and uninstall -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A name of a module that holds a twin, and what it held before."""

    module: ModuleType
    name: str
    twin: Any
    original: Any
    own: bool  # whether the module itself held the name, rather than its __getattr__


_PLACED: dict[tuple[str, str], _Place] = {}


class Installed:
    """What `install` did. As a context manager it takes that back at the end, and nothing that was there before."""

    def __init__(self, places: list[_Place]) -> None:
        self._places = places

    def __enter__(self) -> Installed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._places)

    def __repr__(self) -> str:
        return f"<{len(self._places)} names hold twins; chainrule.scipy.uninstall() takes them back>"


def install() -> Installed:
    """Put all twins in SciPy's place, so that code with unchanged imports differentiates.

    Afterwards `scipy.special.logsumexp`, `from scipy.stats import norm` and the like are twins: SciPy's own functions
    for plain arguments, differentiable ones for traced arguments. Names that modules of the user's imported before are
    replaced too; names inside functions, classes and containers are not. SciPy's own modules keep what they imported,
    and the twins call SciPy's functions as they were.

    Twice is the same as once; `uninstall` takes everything back, and so does the end of a `with` block. A name that
    was imported from SciPy in between keeps its twin, which does what SciPy's function does.

    Example:
        >>> import numpy as np, scipy.special, chainrule as cr
        >>> with cr.scipy.install():
        ...     cr.grad(lambda x: scipy.special.logsumexp(x))(np.array([1000.0, 1000.0]))
        array([0.5, 0.5])
    """
    fresh = []
    replaced: dict[int, tuple[Any, Any]] = {}
    for (home, name), twin in load().items():
        module = importlib.import_module(home)
        original = getattr(module, name)
        if (home, name) in _PLACED or original is twin:
            continue
        fresh.append(_Place(module, name, twin, original, name in vars(module)))
        replaced[id(original)] = original, twin
    fresh += [
        _Place(module, name, replaced[id(value)][1], value, True)
        for module, name, value in _users_names()
        if id(value) in replaced
    ]
    for place in fresh:
        setattr(place.module, place.name, place.twin)
        _PLACED[place.module.__name__, place.name] = place
    return Installed(fresh)


def uninstall() -> None:
    """Put SciPy's functions back where `install` found them; nothing where it was not called."""
    _restore(list(_PLACED.values()))


def _restore(places: list[_Place]) -> None:
    for place in places:
        key = place.module.__name__, place.name
        if _PLACED.get(key) is not place:
            continue  # taken back already
        del _PLACED[key]
        if vars(place.module).get(place.name) is not place.twin:
            continue  # somebody else has put something there
        if place.own:
            setattr(place.module, place.name, place.original)
        else:
            delattr(place.module, place.name)


def _users_names() -> Iterator[tuple[ModuleType, str, Any]]:
    """Yield the global names of modules that are the user's: not SciPy's, NumPy's, Python's or chainrule's."""
    for module in list(sys.modules.values()):
        if hasattr(module, "__dict__") and is_users(getattr(module, "__file__", None) or ""):
            yield from ((module, name, value) for name, value in list(vars(module).items()))


# -- which twin a SciPy function has -------------------------------------------------------------------


def advise(home: str, path: str, value: Any) -> str | None:
    """Return what to write for something of SciPy's that traced values were given to; None where it has no twin.

    Args:
        home: Its module as the user's code has it, ``scipy.stats``, or where it was made.
        path: Its name there and attributes, as ``norm.logpdf``.
        value: The function or object itself, None where it is not known.
    """
    top = home.split(".")[1] if "." in home else ""
    if top not in MODULES:
        return None
    name, _, attributes = path.partition(".")
    twins = load(top)
    for known, known_name in twins:
        if value is _original(known, known_name) is not None:
            home, name = known, known_name
    twin = twins.get((home, name))
    if twin is None:
        return None
    part = home.partition(".")[2]
    parent, _, leaf = part.rpartition(".")
    called = f"{leaf}.{name}{attributes and '.'}{attributes}"
    if f"{_PACKAGE}.{part}" in sys.modules:
        return f"use its twin, {called} after `from {_PACKAGE}{parent and '.'}{parent} import {leaf}`, or {_INSTALL}"
    made = getattr(twin, "__module__", None) or ""
    if made.startswith(_PACKAGE) and getattr(sys.modules.get(made), name, None) is twin:
        return f"use its twin, after `from {made} import {name}`, or {_INSTALL}"
    return f"use its twin: {_INSTALL}"


_INSTALL = "call chainrule.scipy.install() once"


def _original(home: str, name: str) -> Any:
    place = _PLACED.get((home, name))
    return place.original if place else getattr(sys.modules.get(home), name, None)


TWIN_ADVICE.append(advise)
