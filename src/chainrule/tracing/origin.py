"""Where in the user's code an operation stands, and which variable takes its result."""

from __future__ import annotations

import bisect
import builtins
import dis
import functools
import itertools
import linecache
import os
import sys
import sysconfig
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np
import scipy

from chainrule.ir import Origin

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_SKIP = (_HERE, os.path.dirname(np.__file__) + os.sep, os.path.dirname(scipy.__file__) + os.sep, "<frozen ")
_USERS = _HERE + "learn" + os.sep  # its networks are ordinary functions, seen as the user's


@functools.lru_cache(maxsize=4096)
def is_users(filename: str) -> bool:
    """Whether a file is the user's own rather than chainrule's, NumPy's, SciPy's or Python's."""
    standard = filename.startswith(_STANDARD) and "-packages" not in filename
    return filename.startswith(_USERS) or not (standard or filename.startswith(_SKIP))


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


def at() -> str:
    """Return ``, at file.py:line`` of the user's code, for the end of a message."""
    origin = here()
    return f", at {origin}" if origin else ""


def targets(frame: FrameType | None) -> tuple[str | None, ...]:
    """Return the variables that the running instruction's result is assigned to.

    One name for ``c = a + b``, several for ``q, r = f(x)``, none where there is no assignment.
    """
    return () if frame is None else _targets(frame.f_code, frame.f_lasti)


def call_at(frame: FrameType, offset: int) -> tuple[str, Any]:
    """Return the source text of the call that a frame makes at an instruction, and the function that is called.

    The text is empty where the source cannot be read; the function None where its name is no plain path into a
    module.
    """
    text = _source_of(frame.f_code, offset, frame.f_globals)
    names = text.partition("(")[0].split(".")
    scope: Any = {**vars(builtins), **frame.f_globals, **frame.f_locals}
    found = scope.get(names[0])
    for name in names[1:]:
        found = getattr(found, name, None) if isinstance(found, ModuleType) else None
    return text, found


def _source_of(code: CodeType, offset: int, scope: dict[str, Any]) -> str:
    """Return the source text of an instruction's expression; its first line where there are several."""
    line, last, start, end = next(itertools.islice(code.co_positions(), offset // 2, None), (None,) * 4)
    if line is None or start is None or end is None:
        return ""
    text = linecache.getline(code.co_filename, line, scope).rstrip("\n").encode()
    if last != line:
        return text[start:].decode(errors="replace") + " ..."
    return text[start:end].decode(errors="replace")


def library_function(frame: FrameType | None) -> str | None:
    """Return the SciPy function that the user's frame has called, as ``scipy.stats.rv_continuous.logpdf``."""
    inner: list[FrameType] = []
    each: FrameType | None = sys._getframe(1)
    while each is not None and each is not frame:
        inner.append(each)
        each = each.f_back
    for each in reversed(inner):
        module = each.f_globals.get("__name__", "")
        parts = module.split(".")
        if parts[0] == "scipy" and parts[1:2] != ["_lib"] and "<locals>" not in each.f_code.co_qualname:
            public = itertools.takewhile(lambda part: not part.startswith("_"), parts)
            return f"{'.'.join(public)}.{each.f_code.co_qualname}"
    return None


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
    instructions, offsets = _instructions(code)
    place = bisect.bisect_right(offsets, offset) - 1  # the offset may be that of the instruction's inline cache
    if place < 0:
        return ()
    if not instructions[place][0].startswith("UNPACK_SEQUENCE"):
        place += 1
    while place < len(instructions) and instructions[place][0] in ("COPY", "NOP", "CACHE"):
        place += 1
    if place >= len(instructions):
        return ()
    name, argument = instructions[place]
    if name.startswith("LOAD"):  # the object of an attribute that is assigned to
        rest = itertools.dropwhile(lambda each: each[0] == "LOAD_ATTR", instructions[place + 1 :])
        name, argument = next(rest, ("", None))
        return (argument,) if name == "STORE_ATTR" else ()
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
def _instructions(code: CodeType) -> tuple[list[tuple[str, Any]], list[int]]:
    """Return the instructions of a code object and their offsets."""
    found = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "EXTENDED_ARG")]
    return [(i.opname, i.argval) for i in found], [i.offset for i in found]
