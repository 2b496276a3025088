"""What a function takes from around it: closures, globals, its object. Compiled code holds only while they stay."""

from __future__ import annotations

import collections
import dis
import functools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.ir import Origin
from chainrule.tracing import TracedArray

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
_CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque)
_CODE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, np.ufunc, types.ModuleType, type)
_OWN = __name__.partition(".")[0]
_HOLDERS = {"types", "argparse", "collections", "functools"}
"""Modules of the standard library whose objects hold values of the user's."""


class Surroundings:
    """The values around a function at one time, and whether they are still the same.

    Every name that leads to a value is watched: variables of enclosing functions, globals, defaults, attributes of
    objects and classes, members of the user's modules, and of containers. So are the contents of arrays: compiled code
    reads those that the function used as they are at each call, but the function may also have computed something from
    them with plain NumPy, or have chosen its course by them, of which a trace shows nothing.
    """

    def __init__(self, f: Any, others: Iterable[Any] = ()) -> None:
        """Look around f, and at objects that are given to it."""
        self._seen: dict[int, Any] = {}
        self.cells: list[tuple[types.CellType, str, Any]] = []
        self.names: list[tuple[Any, str, Any]] = []
        self.slots: list[tuple[Any, str, Any]] = []
        self.sizes: list[tuple[Any, str, int]] = []
        self.arrays: list[tuple[np.ndarray, str, Any]] = []
        self.containers: list[tuple[Any, str, Any]] = []
        self._function(f)
        for other in others:
            self._value("an argument", other)
        self._seen = {}

    def changed(self) -> str | None:
        """Return the name of something that is no longer the same; None where everything is."""
        for cell, name, value in self.cells:
            try:
                now = cell.cell_contents
            except ValueError:  # deleted
                return name
            if now is not value and not _alike(now, value):
                return name
        for place, name, value in self.names:
            now = place.get(name)
            if now is not value and not _alike(now, value):
                return name
        for place, name, value in self.slots:
            now = getattr(place, name, None)
            if now is not value and not _alike(now, value):
                return name
        for place, name, size in self.sizes:
            if len(place) != size:
                return name
        for container, name, seen in self.containers:
            if not _same_members(_members(container), seen):
                return name
        for array, name, seen in self.arrays:
            if fingerprint(array) != seen:
                return name
        return None

    # -- looking around ---------------------------------------------------------------------------------

    def _function(self, f: Any) -> None:
        """Look around a function, method, partial function or callable object."""
        if id(f) in self._seen:
            return
        if not isinstance(f, (*_CODE, functools.partial)) and not _is_own(type(f)):
            self._object(f)
            return
        self._seen[id(f)] = f
        if isinstance(f, types.MethodType):
            self._value("self", f.__self__)
            self._function(f.__func__)
            return
        if isinstance(f, functools.partial):
            self._function(f.func)
            for each in (*f.args, *f.keywords.values()):
                self._value("an argument", each)
            return
        if _is_own(type(f)):
            for each in list(getattr(f, "__dict__", {}).values()):
                if callable(each) and not isinstance(each, type):
                    self._function(each)
            return
        if not isinstance(f, types.FunctionType):
            return
        own = _is_own(f)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if not own:
                if not isinstance(value, types.ModuleType):
                    self.cells.append((cell, name, value))
                self._value(name, value, f.__code__)
            elif callable(value):
                self._function(value)
        if own or _is_library(f.__globals__.get("__name__", "")):
            return
        for each in (*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()):
            self._value("a default", each)
        wrapped = getattr(f, "__wrapped__", None)
        if wrapped is not None:
            self._function(wrapped)
        for name in _globals(f.__code__):
            if name in f.__globals__:
                value = f.__globals__[name]
                if not isinstance(value, types.ModuleType):
                    self.names.append((f.__globals__, name, value))
                self._value(name, value, f.__code__)

    def _value(self, name: str, value: Any, code: types.CodeType | None = None) -> None:
        """Look into a value that the function can reach."""
        if isinstance(value, _PLAIN) or id(value) in self._seen:
            return
        if isinstance(value, np.ndarray) and not isinstance(value, TracedArray):
            self._seen[id(value)] = value
            if _is_writable(value):
                self.arrays.append((value, name, fingerprint(value)))
        elif isinstance(value, _CONTAINERS):
            self._seen[id(value)] = value
            if not isinstance(value, tuple | frozenset):
                self.containers.append((value, name, _members(value)))
            for each in value.values() if isinstance(value, dict) else value:
                self._value(name, each)
        elif isinstance(value, types.FunctionType | types.MethodType | functools.partial):
            self._function(value)
        elif isinstance(value, types.ModuleType):
            if code is not None and not _is_library(value.__name__):
                for member in _names(code):
                    if member in vars(value):
                        self._member(vars(value), member, vars(value)[member], code)
        elif isinstance(value, type):
            self._class(value)
        elif _is_own(type(value)) and callable(value):
            self._function(value)
        elif not isinstance(value, _CODE):
            self._object(value)

    def _member(self, place: Any, name: str, value: Any, code: types.CodeType | None = None) -> None:
        if not isinstance(value, types.ModuleType):
            self.names.append((place, name, value))
        self._value(name, value, code)

    def _object(self, value: Any) -> None:
        """Look at the attributes of a user's own object, and at its class."""
        home = _home(type(value)).partition(".")[0]
        if (
            id(value) in self._seen
            or _is_own(type(value))
            or (home in sys.stdlib_module_names and home not in _HOLDERS)
        ):
            return
        self._seen[id(value)] = value
        own = getattr(value, "__dict__", {})
        self.sizes.append((own, f"an attribute of a {type(value).__name__}", len(own)))
        for name, each in list(own.items()):
            self._member(own, name, each)
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    self.slots.append((value, name, getattr(value, name)))
                    self._value(name, getattr(value, name))
        self._class(type(value))

    def _class(self, cls: type) -> None:
        for each in cls.__mro__:
            if id(each) in self._seen or _is_library(each.__module__):
                continue
            self._seen[id(each)] = each
            self.sizes.append((vars(each), f"an attribute of {each.__name__}", len(vars(each))))
            for name, value in list(vars(each).items()):
                inner = getattr(value, "fget", None) or getattr(value, "__func__", value)  # properties, class methods
                if isinstance(inner, types.FunctionType):
                    self.names.append((vars(each), name, value))
                    self._function(inner)
                elif not name.startswith("__"):
                    self._member(vars(each), name, value)


def _alike(one: Any, two: Any) -> bool:
    return isinstance(one, _PLAIN) and type(one) is type(two) and bool(one == two or (one != one and two != two))


def _members(container: Any) -> Any:
    """Return what a container holds, and what those inside it hold."""
    if isinstance(container, set | collections.deque):
        return None, list(container)
    leaves, structure = tree.flatten(container)
    return structure, leaves


def _same_members(one: Any, two: Any) -> bool:
    return (
        one[0] == two[0]
        and len(one[1]) == len(two[1])
        and all(a is b or _alike(a, b) for a, b in zip(one[1], two[1], strict=True))
    )


def fingerprint(array: np.ndarray) -> Any:
    """Return what changes when an array does: its bytes up to 64 KiB, else sums over its rows and columns of 8 KiB."""
    if array.nbytes <= 1 << 16 or array.dtype.hasobject:
        return array.tobytes()
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = flat[: flat.size // 8192 * 8192].view(np.uint64).reshape(-1, 1024)
    columns, rows = np.add.reduce(whole, axis=0), np.add.reduce(whole, axis=1)
    return columns.tobytes() + rows.tobytes() + flat[whole.nbytes :].tobytes()


def _is_writable(array: np.ndarray) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return True
        base = base.base
    return False


def _home(f: Any) -> str:
    """Return the module in which a function or class is defined, whatever a wrapper says of itself."""
    return str((f.__globals__.get("__name__") if isinstance(f, types.FunctionType) else f.__module__) or "")


def _is_own(f: Any) -> bool:
    """Whether a function or class is chainrule's; its networks are ordinary functions."""
    name = _home(f)
    return name.partition(".")[0] == _OWN and not name.startswith(f"{_OWN}.learn")


@functools.lru_cache(maxsize=4096)
def _is_library(name: str) -> bool:
    """Whether a module is installed, or Python's own: its functions and globals are taken not to change."""
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names or root == _OWN:
        return not name.startswith(f"{_OWN}.learn")
    return "-packages" in (getattr(sys.modules.get(root), "__file__", None) or "")


def _codes(code: types.CodeType) -> list[types.CodeType]:
    """Return a function's code and that of the functions defined inside it."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return [code, *(found for each in inner for found in _codes(each))]


@functools.lru_cache(maxsize=4096)
def _globals(code: types.CodeType) -> tuple[str, ...]:
    """Return the global names that a function reads."""
    found = [
        instruction.argval
        for each in _codes(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    ]
    return tuple(dict.fromkeys(found))


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """Return the names of attributes, among others, that a function mentions."""
    return tuple(dict.fromkeys(name for each in _codes(code) for name in each.co_names))


def line_of(f: Callable[..., Any], name: str) -> Origin | None:
    """Return the line of a function that assigns to a name, or else the first that mentions it, or else its first."""
    while hasattr(f, "__wrapped__"):
        f = f.__wrapped__
    code = getattr(f, "__code__", None)
    if code is None:
        return None
    mentions = [
        (not instruction.opname.startswith("STORE"), instruction.positions.lineno)
        for each in _codes(code)
        for instruction in dis.get_instructions(each)
        if instruction.argval == name and instruction.positions is not None and instruction.positions.lineno
    ]
    return Origin(code.co_filename, min(mentions, default=(True, code.co_firstlineno))[1] or 0)


__all__ = ["Surroundings", "fingerprint", "line_of"]
