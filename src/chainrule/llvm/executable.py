"""From a program to a callable: memory for its values, and the steps that NumPy runs in between."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ir import Node
from chainrule.llvm import engine, threads
from chainrule.llvm.emit import TYPES
from chainrule.llvm.engine import Code, compile_module
from chainrule.llvm.loops import Compiled
from chainrule.llvm.module import Action, Module, Native, Shared
from chainrule.llvm.plan import Host, Loop, Plan, Straight, plan
from chainrule.llvm.zeros import CAREFUL, trust
from chainrule.ops.control import Results, pullback

SMALL = 8192
"""Bytes up to which inputs and results are copied through the arena."""
_ALIGN = 64
TRIES = 2
"""Calls in which NaN was found, and all was computed again with care, from which all calls are careful at once."""
_NOTHING = contextlib.nullcontext()


def _fast_address(array: np.ndarray) -> int:
    """Return where an array's first element is: the first field of NumPy's array object after Python's own."""
    return int(ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value or 0)


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


_PROBE = np.empty(1)
address_of = _fast_address if _fast_address(_PROBE) == _address(_PROBE) else _address
"""Return where an array's first element is."""


class EvaluationError(Exception):
    """An index array holds what is no index, or NumPy could not evaluate an op; run by NumPy, the function says why."""


class _SeenNaN(Exception):
    """A product without care for exact zeros may have been wrong."""


class Executable:
    """A compiled program. Calls are thread-safe: each thread has an arena of its own.

    Products in which an exact zero wins are formed by plain multiplication where that would show as a NaN, and
    with care in a second version, which is compiled once a NaN is seen (`zeros.py`).

    Where it is `pointed`, it is the body of a loop, which reads inputs and writes outputs where the table of pointers
    says.

    Attributes:
        inputs: Nodes that a call gives values.
        outputs: Nodes of which a call returns the values.
        plan: Steps and kept nodes.
        arena_bytes: Memory for values between steps.
        compile_seconds: Time to plan, emit and compile.
        code: The machine code; None where there is none.
        careful: The version with care for exact zeros, once it was needed.
        seen_nan: Calls in which it was.
    """

    def __init__(
        self, inputs: Sequence[Node], outputs: Sequence[Node], pointed: bool = False, careful: bool = False
    ) -> None:
        start = time.perf_counter()
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.plan: Plan = plan(self.outputs)
        nodes = ir.ancestors(self.outputs, self.inputs)
        self.constants = [node for node in nodes if node.op is ir.CONSTANT and node.shape]
        kept = [node for node in nodes if node in self.plan.kept and not isinstance(node.spec, tuple)]
        self.fresh = [
            node for node in dict.fromkeys(self.outputs) if node in self.plan.kept and (pointed or _bytes(node) > SMALL)
        ]  # results that are written into arrays of the caller
        self.offsets, self.arena_bytes = _arrange(self.plan, kept, set(self.fresh), set(self.outputs))
        for node in self.inputs:
            if is_staged(node) and not pointed:
                self.offsets[node] = self.arena_bytes
                self.arena_bytes += _rounded(_bytes(node))
        trusted = CAREFUL if pointed or careful else trust(self.plan, self.outputs)
        self.watches = bool(trusted.watched)
        self.watch = self.arena_bytes
        self.arena_bytes += _ALIGN * self.watches
        memory = [*self.inputs, *self.constants, *kept]
        apart = [node for node in memory if node not in self.offsets]
        self.slots = {node: k for k, node in enumerate(apart, start=1)} | dict.fromkeys(self.offsets, 0)
        self.pointers = len(apart) + 1
        self.seen = {*self.inputs, *self.outputs}  # what Python reads or writes
        self.swept: set[Node] = set()  # loops that a reverse sweep goes through
        for step in self.plan.steps:
            if isinstance(step, Host):
                self.seen |= {step.node, *step.node.inputs}
                self.swept.update(arg for arg in step.node.inputs if step.node.op is pullback)
        self.threads = 1 if pointed else threads.count()
        native = {node: k for node, k in self.slots.items() if node.dtype in TYPES}
        module = Module(native, self.offsets, self.threads, trust=trusted, watch=self.watch)
        module.slot_count = self.pointers
        module.add(self.plan)
        self.buffers = module.buffers
        self.code: Code | None = compile_module(module) if module.functions or module.straight else None
        self.actions: list[tuple[Any, Action]] = [(self._bound(action), action) for action in module.actions]
        self._local = threading.local()
        self.careful: Executable | None = None
        self.seen_nan = 0
        self.compile_seconds = time.perf_counter() - start

    def _bound(self, action: Action) -> Any:
        if isinstance(action, Host):
            return None
        assert self.code is not None
        address = self.code.address(action.name)
        if isinstance(action, Native):
            return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(address)
        kinds = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
        return ctypes.CFUNCTYPE(None, *kinds)(address)

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """Return the outputs for inputs of the traced shapes and dtypes: arrays that belong to the caller.

        Raises:
            EvaluationError: an index array holds what is no index, or NumPy raised an error.
        """
        if self.seen_nan >= TRIES and self.careful is not None:
            return self.careful(args)
        local = self._local.__dict__
        frame = local.pop("frame", None) or Frame(self)  # a call inside a call, from an op that NumPy runs, has its own
        try:
            return frame.run(args)
        except _SeenNaN:
            self.seen_nan += 1
            if self.careful is None:
                self.careful = Executable(self.inputs, self.outputs, careful=True)
                self.compile_seconds += self.careful.compile_seconds
            return self.careful(args)
        finally:
            local["frame"] = frame

    def take(self) -> Frame:
        """Return memory of this thread that is not in use."""
        return self._local.__dict__.pop("frame", None) or Frame(self)

    def give(self, frame: Frame) -> None:
        """Take memory back that is no longer in use."""
        self._local.__dict__["frame"] = frame


def is_staged(node: Node) -> bool:
    """Whether an input is copied into the arena at each call: cheaper than asking for its address."""
    return node.dtype in TYPES and _bytes(node) <= SMALL


class Frame:
    """Memory of an executable for one thread."""

    def __init__(self, code: Executable) -> None:
        self.code = code
        raw = np.empty(code.arena_bytes + _ALIGN, np.uint8)
        self.arena = raw[-raw.ctypes.data % _ALIGN :]
        base = self.arena.ctypes.data
        self.table = np.zeros(code.pointers + len(code.buffers), np.uintp)
        self.table[0] = base
        self.address = self.table.ctypes.data
        self.flag = self.arena[code.watch : code.watch + 8].view(np.int64) if code.watches else None
        if self.flag is not None:
            self.flag[0] = 0
        self.values: dict[Node, Any] = {}
        self.moving: list[tuple[int, Node, np.ndarray]] = []
        seen = code.seen
        for node, k in code.slots.items():
            offset = code.offsets.get(node)
            if offset is not None:
                if node in seen:
                    view = self.arena[offset : offset + _bytes(node)].view(node.dtype).reshape(node.shape)
                    self.values[node] = view
            elif node.op is ir.CONSTANT:
                bound = isinstance(node.binding, np.ndarray)  # somebody else's array: read as it is at each call
                array = node.binding if bound else np.ascontiguousarray(node.value)
                if array.flags.c_contiguous:
                    self.values[node] = array
                    self.table[k] = array.ctypes.data
                else:
                    self.moving.append((k, node, array))
        self.buffers = [np.empty(size) for size in code.buffers.values()]
        for k, buffer in zip(code.buffers, self.buffers, strict=True):
            self.table[k] = buffer.ctypes.data
        self.staged: list[Any] = [self.values.get(node) for node in code.inputs]
        self.fresh = [(node, code.slots[node]) for node in code.fresh]
        fresh = set(code.fresh)
        self.results = [(node, node in fresh and node not in code.outputs[:k]) for k, node in enumerate(code.outputs)]

        places = [self.values[node] for node in code.outputs if node in self.values and node not in fresh]
        simple = len(places) == len(code.outputs) and all(stage is not None for stage in self.staged)
        simple &= not self.moving and [type(action) for _, action in code.actions] == [Native]
        self.only = (code.actions[0][0], [(place, bool(place.shape)) for place in places]) if simple else None

    def failure(self) -> Exception:
        """Return what to raise where a function did not return 0."""
        if self.flag is not None and self.flag[0]:
            self.flag[0] = 0
            return _SeenNaN()
        return EvaluationError()

    def run(self, args: Sequence[Any]) -> list[Any]:
        """Return the outputs."""
        if self.only is not None:  # small arrays and one native call: here every tenth of a microsecond counts
            function, places = self.only
            for stage, arg in zip(self.staged, args):  # noqa: B905 - the check costs time
                stage[...] = arg
            if function(self.address):
                raise self.failure()
            return [place.copy() if shape else place[()] for place, shape in places]
        code, table = self.code, self.table
        values = dict(self.values)  # those of this call alone: nothing of the caller's is kept
        for k, stage in enumerate(self.staged):
            if stage is not None:
                stage[...] = args[k]
            else:
                array = np.asarray(args[k])
                if not array.flags.c_contiguous:
                    array = np.ascontiguousarray(array)
                node = code.inputs[k]
                values[node] = array
                table[code.slots[node]] = address_of(array)
        for k, node, array in self.moving:
            values[node] = np.ascontiguousarray(array)
            table[k] = values[node].ctypes.data
        for node, k in self.fresh:
            fresh = values[node] = np.empty(node.shape, node.dtype)
            table[k] = address_of(fresh)
        for function, action in code.actions:
            if type(action) is Native:
                if function(self.address):
                    raise self.failure()
            elif type(action) is Shared:
                part = functools.partial(function, self.address)
                with engine.blas_on_one_thread() if action.blas else _NOTHING:
                    threads.share(part, action.size, code.threads)
            else:
                node = action.node  # type: ignore[union-attr]
                _host(node, values, node in code.swept)
        if self.flag is not None and self.flag[0]:
            raise self.failure()
        results = []
        for node, is_fresh in self.results:
            if is_fresh:
                results.append(values[node])
            else:
                value = values.get(node, node.value)
                results.append(value.copy() if node.shape else value[()])
        return results


def _host(node: Node, values: dict[Node, Any], keep: bool) -> None:
    """Let NumPy evaluate an op; a loop is to `keep` what the reverse sweep through it needs, if there is one."""
    args = [_scalar(values[arg]) if arg in values else arg.value for arg in node.inputs]
    try:
        with np.errstate(all="ignore"):
            if node.op.lower == "control":
                result = node.op.evaluate(*args, **node.params, engine=BODIES, keep=keep)
            else:
                result = node.op.evaluate(*args, **node.params)
    except Exception as error:
        raise EvaluationError from error
    place = values.get(node)
    if isinstance(result, tuple):
        values[node] = _owned(result, args)
    elif place is None:
        values[node] = result
    else:
        place[...] = result


def _owned(results: tuple[Any, ...], args: Sequence[Any]) -> tuple[Any, ...]:
    """Return several results of an op so that none is memory of its arguments, which may be used again."""
    taken = {id(arg) for arg in args}
    parts = [
        part.copy() if isinstance(part, np.ndarray) and (part.base is not None or id(part) in taken) else part
        for part in results
    ]
    return Results.of(parts, getattr(results, "history", None))


def _scalar(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) and not value.shape else value


def _bytes(node: Node) -> int:
    return node.spec.size * node.dtype.itemsize


def _rounded(size: int) -> int:
    return -(-max(size, 1) // _ALIGN) * _ALIGN


def _arrange(plan: Plan, kept: Sequence[Node], fresh: set[Node], outputs: set[Node]) -> tuple[dict[Node, int], int]:
    """Return the places of kept nodes in an arena, and its size: memory is used again after a value's last use."""
    first: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for position, step in enumerate(plan.steps):
        if isinstance(step, Straight):
            made = step.nodes
        elif isinstance(step, Loop):
            made = step.roots
        else:
            made = [step.node]
        for node in _reads(made, plan.kept):
            last[node] = position
        for node in made:
            first.setdefault(node, position)
    steps = len(plan.steps)
    offsets: dict[Node, int] = {}
    free: list[tuple[int, int]] = []  # offset, size
    ending: dict[int, list[Node]] = {}
    top = 0
    for node in kept:  # numbers and the like: no reuse
        if _bytes(node) <= _ALIGN and node not in fresh:
            width = 8 if _bytes(node) <= 8 else _ALIGN
            top = -(-top // width) * width
            offsets[node], top = top, top + max(_bytes(node), 8)
    top = _rounded(top) if top else 0
    for node in sorted(kept, key=lambda node: first.get(node, 0)):
        if node in fresh or node in offsets:
            continue
        begin = first.get(node, 0)
        for position in [p for p in ending if p < begin]:
            free += [(offsets[done], _rounded(_bytes(done))) for done in ending.pop(position)]
        free = _joined(free)
        size = _rounded(_bytes(node))
        fitting = [block for block in free if block[1] >= size]
        if fitting:
            offset, room = min(fitting, key=lambda block: block[1])
            free.remove((offset, room))
            if room > size:
                free.append((offset + size, room - size))
        else:
            offset, top = top, top + size
        offsets[node] = offset
        ending.setdefault(steps if node in outputs else last.get(node, begin), []).append(node)
    return offsets, top


def _joined(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for offset, size in sorted(free):
        if found and found[-1][0] + found[-1][1] == offset:
            found[-1] = found[-1][0], found[-1][1] + size
        else:
            found.append((offset, size))
    return found


def _reads(made: Sequence[Node], kept: frozenset[Node]) -> set[Node]:
    """Return the kept nodes that a step reads."""
    found: set[Node] = set()
    seen: set[Node] = set()
    stack = [arg for node in made for arg in node.inputs] + [node for node in made if node in kept]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in kept:
            found.add(node)
        else:
            stack += node.inputs
    return found


BODIES = Compiled(Executable, EvaluationError)
"""What runs the bodies of loops."""

__all__ = ["EvaluationError", "Executable"]
