"""Where in the user's code an operation stands, and which variable takes its result."""

from __future__ import annotations

import dis
import functools
import os
import sys
from types import CodeType, FrameType
from typing import Any

import numpy as np

from chainrule.ir import Origin

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_SKIP = (_HERE, os.path.dirname(np.__file__) + os.sep)
_USERS = _HERE + "learn" + os.sep  # its networks are ordinary functions, seen as the user's


@functools.lru_cache(maxsize=4096)
def is_users(filename: str) -> bool:
    """Whether a file is the user's own rather than chainrule's or NumPy's."""
    return filename.startswith(_USERS) or not filename.startswith(_SKIP)


def user_frame() -> FrameType | None:
    """Return the innermost frame of the user's own code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def origin_of(frame: FrameType | None) -> Origin | None:
    """Return file and line of a frame."""
    return None if frame is None else Origin(frame.f_code.co_filename, frame.f_lineno or 0)


def here() -> Origin | None:
    """Return the line of the user's code that is running."""
    return origin_of(user_frame())


def targets(frame: FrameType | None) -> tuple[str | None, ...]:
    """Return the variables that the running instruction's result is assigned to.

    One name for ``c = a + b``, several for ``q, r = f(x)``, none where there is no assignment.
    """
    return () if frame is None else _targets(frame.f_code, frame.f_lasti)


def variable_of(frame: FrameType | None, value: Any) -> str | None:
    """Return the name under which a frame knows a value."""
    if frame is None:
        return None
    for scope in (frame.f_locals, frame.f_globals):
        for name, found in scope.items():
            if found is value and not name.startswith("_"):
                return str(name)
    return None


@functools.lru_cache(maxsize=1 << 16)
def _targets(code: CodeType, offset: int) -> tuple[str | None, ...]:
    instructions, places = _instructions(code)
    place = places.get(offset)
    if place is None:
        return ()
    if not instructions[place][0].startswith("UNPACK_SEQUENCE"):
        place += 1
    while place < len(instructions) and instructions[place][0] in ("COPY", "NOP", "CACHE"):
        place += 1
    if place >= len(instructions):
        return ()
    name, argument = instructions[place]
    if name.startswith("UNPACK_SEQUENCE"):
        stores: list[str | None] = []
        for name, argument in instructions[place + 1 :]:
            if len(stores) >= _count(instructions[place]) or not name.startswith("STORE"):
                break
            stores += _stored(name, argument)
        return tuple(stores) if len(stores) == _count(instructions[place]) else ()
    return tuple(_stored(name, argument)[:1]) if name.startswith("STORE") else ()


def _count(instruction: tuple[str, Any]) -> int:
    return int(instruction[1])


def _stored(name: str, argument: Any) -> list[str | None]:
    """Return the variables a STORE instruction writes, None for one that is no plain name."""
    if name == "STORE_FAST_LOAD_FAST":
        return [argument[0]]
    if name == "STORE_FAST_STORE_FAST":
        return list(argument)
    if name in ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR"):
        return [argument]
    return [None]


@functools.lru_cache(maxsize=1024)
def _instructions(code: CodeType) -> tuple[list[tuple[str, Any]], dict[int, int]]:
    found = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "EXTENDED_ARG")]
    return [(i.opname, i.argval) for i in found], {i.offset: place for place, i in enumerate(found)}
