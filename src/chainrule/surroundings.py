"""What a function takes from around it: closures, globals, its object. Compiled code holds only while they stay."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.ir import CONSTANT, Builder

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
_OWN = __name__.partition(".")[0]
_FOREIGN = ("numpy", "scipy", "optree", _OWN)


SMALL = 1 << 14
"""Bytes up to which the contents of an array are compared at every call."""


class Surroundings:
    """The values around a function at the time of a trace, and whether they are still the same.

    Arrays that the trace took up are read anew at every call, so only the name that leads to them has to be watched.
    But the function may also have computed something from them with plain NumPy, which is a constant of the trace. So
    the contents of small arrays are compared, and those of large ones where the trace holds numbers of unknown origin.
    """

    def __init__(self, f: Any, builder: Builder) -> None:
        seen: dict[int, Any] = {}
        found = list(_around(f, seen))
        taken = {id(array) for array, _, _ in builder.captured.values()}
        if _has_unknown(builder, found, seen):
            taken = set()
        self.cells: list[tuple[Any, Any]] = []
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.contents: list[tuple[Any, Any]] = []
        for kind, place, name, value in found:
            if kind == "cell":
                self.cells.append((place, value))
            else:
                self.names.append((place, name, value))
            leaves = [value] if isinstance(value, np.ndarray) else tree.flatten(value)[0] if _holds(value) else []
            if _holds(value):
                self.contents.append((value, _identity(value)))
            for leaf in leaves:
                if not isinstance(leaf, np.ndarray) or not leaf.flags.writeable:
                    continue
                if id(leaf) not in taken or leaf.nbytes <= SMALL:
                    self.contents.append((leaf, _print(leaf)))

    def same(self) -> bool:
        """Whether every name still stands for the same."""
        for cell, value in self.cells:
            if cell.cell_contents is not value and not _alike(cell.cell_contents, value):
                return False
        for place, name, value in self.names:
            now = place.get(name)
            if now is not value and not _alike(now, value):
                return False
        for value, seen in self.contents:
            if (_print(value) if isinstance(value, np.ndarray) else _identity(value)) != seen:
                return False
        return True


def _alike(one: Any, two: Any) -> bool:
    return isinstance(one, _PLAIN) and type(one) is type(two) and bool(one == two or (one != one and two != two))


def _holds(value: Any) -> bool:
    """Whether a value is a container that may hold arrays."""
    return isinstance(value, list | tuple | dict)


def _identity(value: Any) -> Any:
    """Return what changes when another object is put into a container."""
    leaves, structure = tree.flatten(value)
    return structure, tuple(leaf if isinstance(leaf, _PLAIN) else id(leaf) for leaf in leaves)


def _print(array: np.ndarray) -> Any:
    """Return what changes when the array does: its bytes up to 64 KiB, else sums over parts of it."""
    if array.nbytes <= 1 << 16 or array.dtype.hasobject:
        return array.tobytes()
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = flat[: flat.size // 8192 * 8192].view(np.uint64).reshape(-1, 1024)
    return np.add.reduce(whole, axis=0).tobytes() + flat[whole.nbytes :].tobytes()


def _has_unknown(builder: Builder, found: list[Found], seen: dict[int, Any]) -> bool:
    """Whether a trace holds constants that are written neither in the functions nor among the values around them."""
    numbers: set[Any] = {0, 1, -1}
    arrays: set[int] = set()
    for value in [part for *_, each in found for part in ([each, *tree.flatten(each)[0]] if _holds(each) else [each])]:
        if isinstance(value, np.ndarray):
            arrays.add(id(value))
        elif isinstance(value, int | float | complex):
            numbers.add(value)
    for f in seen.values():
        if isinstance(f, types.FunctionType):
            numbers |= _literals(f.__code__)
    for node in builder.table.values():
        if node.op is CONSTANT and not node.shape and node.value.item() not in numbers:
            return True
        if node.op is CONSTANT and node.shape:
            return True
    return any(isinstance(array, np.ndarray) and id(array) not in arrays for array, _, _ in builder.captured.values())


def _literals(code: types.CodeType) -> set[Any]:
    numbers: set[Any] = set()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            numbers |= _literals(constant)
        elif isinstance(constant, int | float | complex):
            numbers |= {constant, -constant, float(constant) if not isinstance(constant, complex) else constant}
    return numbers


Found = tuple[str, Any, str, Any]


def _around(f: Any, seen: dict[int, Any]) -> Iterator[Found]:
    """Yield where each value that a function uses is found, and the value; functions that it uses are followed."""
    if id(f) in seen:
        return
    seen[id(f)] = f
    if isinstance(f, types.MethodType):
        yield from _attributes(f.__self__, seen)
        f = f.__func__
    for each in (getattr(f, "__wrapped__", None), getattr(f, "f", None) if _is_own(type(f)) else None):
        if each is not None:
            yield from _around(each, seen)
    if not isinstance(f, types.FunctionType):
        if not isinstance(f, type | types.BuiltinFunctionType) and callable(f):
            yield from _attributes(f, seen)
            call = vars(type(f)).get("__call__")
            if isinstance(call, types.FunctionType):
                yield from _around(call, seen)
        return
    own = _is_own(f)
    for cell in f.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if not own or callable(value):
            yield from _value("cell", cell, "", value, seen)
    if _home(f) in _FOREIGN:
        return
    for name in _names(f.__code__):
        if name in f.__globals__:
            yield from _value("name", f.__globals__, name, f.__globals__[name], seen)


def _value(kind: str, place: Any, name: str, value: Any, seen: dict[int, Any]) -> Iterator[Found]:
    if isinstance(value, (*_PLAIN, np.ndarray, list, tuple, dict, types.FunctionType)):
        yield kind, place, name, value
    if isinstance(value, types.FunctionType | types.MethodType) or (_is_own(type(value)) and callable(value)):
        yield from _around(value, seen)
    elif not isinstance(value, types.ModuleType | type | np.ndarray | np.ufunc | list | tuple | dict):
        yield from _attributes(value, seen)


def _attributes(value: Any, seen: dict[int, Any]) -> Iterator[Found]:
    """Yield the attributes of a user's own object."""
    names = getattr(value, "__dict__", None)
    if not isinstance(names, dict) or id(names) in seen or _is_own(type(value)):
        return
    if _home(type(value)) in _FOREIGN:
        return
    seen[id(names)] = names
    for name, each in list(names.items()):
        yield from _value("name", names, name, each, seen)


def _home(f: Any) -> str:
    """Return the package in which a function or class is defined, whatever a wrapper says of itself."""
    name = f.__globals__.get("__name__") if isinstance(f, types.FunctionType) else getattr(f, "__module__", "")
    return str(name or "").partition(".")[0]


def _is_own(f: Any) -> bool:
    return _home(f) == _OWN


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
