"""Bodies of loops as machine code: whole loops without Python in between where a body needs none."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from chainrule import ir
from chainrule.ir import REGISTRY, Node, Program
from chainrule.llvm.emit import TYPES
from chainrule.llvm.engine import Code, compile_module
from chainrule.llvm.module import Module, Native
from chainrule.ops.control import Engine, Values

CHUNK = 64
"""Steps for which a loop of unknown length has room at first; then for twice as many, and so on."""
ENDLESS = 1 << 62


class Runnable(Protocol):
    """What is asked of an executable."""

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    slots: dict[Node, int]
    actions: list[tuple[Any, Any]]

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """Return the outputs."""

    def take(self) -> Any:
        """Return memory of this thread that is not in use, with a table of pointers."""

    def give(self, frame: Any) -> None:
        """Take the memory back."""


class Compiled(Engine):
    """Runs bodies as machine code.

    Args:
        make: Compiles a program: `(inputs, outputs, pointed)`. Where `pointed`, inputs and outputs are read and
            written where the table of pointers says.
        failure: What to raise if an index is none.
    """

    def __init__(self, make: Callable[[Any, Any, bool], Runnable], failure: type[Exception]) -> None:
        self.make, self.failure = make, failure

    def prepared(self, program: Program) -> Callable[[Values], Values]:
        key = ("compiled", program.inputs, program.outputs)
        memo = program.builder.memo
        if key not in memo:
            memo[key] = self.make(program.inputs, program.outputs, False)
        found: Callable[[Values], Values] = memo[key]
        return found

    def iterate(
        self, body: Program, consts: Values, carry: Values, xs: Values, length: int,
        reverse: bool = False, keep: bool = False,
    ) -> tuple[Values, list[np.ndarray], list[np.ndarray] | None]:  # fmt: skip
        code = self._looped(body)
        if code is None or not length:
            return super().iterate(body, consts, carry, xs, length, reverse, keep)
        loop = _Table(code, len(consts), len(carry), reverse)
        try:
            loop.point_consts(consts)
            ys = loop.point_elements(xs, length)
            last, stacks = loop.point_carry(carry, length if keep else None)
            if _drive(loop.frame.address, code, loop, length) < 0:
                raise self.failure
            return last(length), ys, stacks
        finally:
            code.give(loop.frame)

    def repeat(
        self, test: Program, body: Program, consts: Values, carry: Values, keep: float = 0
    ) -> tuple[Values, list[np.ndarray] | None]:
        code = self._looped(_tested(test, body, len(consts)))
        if code is None:
            return super().repeat(test, body, consts, carry, keep)
        if not self.run(test, [*consts, *carry])[0]:
            return super().repeat(test, body, consts, carry, keep)
        loop = _Table(code, len(consts), len(carry), False)
        chunks: list[list[np.ndarray]] = []
        flag = np.ones((), bool)
        try:
            loop.point_consts(consts)
            loop.point(code.outputs[-1], flag)
            room = CHUNK
            while flag:
                loop.moves, loop.swaps = [], []
                last, stacks = loop.point_carry(carry, room if keep else None)
                count = _drive(loop.frame.address, code, loop, room if keep else ENDLESS, flag)
                if count < 0:
                    raise self.failure
                carry = last(count)
                if stacks is not None:
                    chunks.append([stack[:count] for stack in stacks])
                    if sum(len(chunk[0]) for chunk in chunks) > keep:
                        keep, chunks = 0, []
                room *= 2
        finally:
            code.give(loop.frame)
        return carry, [np.concatenate(parts) for parts in zip(*chunks, strict=True)] if keep else None

    def _looped(self, body: Program) -> Runnable | None:
        """Return a body as code without a step for Python, if there is one."""
        key = ("looped", body.inputs, body.outputs)
        memo = body.builder.memo
        if key not in memo:
            memo[key] = self._loop(body)
        found: Runnable | None = memo[key]
        return found

    def _loop(self, body: Program) -> Runnable | None:
        if any(node.dtype not in TYPES for node in (*body.inputs, *body.outputs)):
            return None
        if any(node.op.lower == "control" for node in body.nodes):
            return None
        outputs: list[Node] = []
        for node in body.outputs:  # each is to be written to a place of its own
            while node.op in (ir.INPUT, ir.CONSTANT) or node in outputs:
                node = REGISTRY["stop_gradient"](node)
            outputs.append(node)
        code = self.make(body.inputs, outputs, True)
        return code if all(type(action) is Native for _, action in code.actions) else None


def _tested(test: Program, body: Program, consts: int) -> Program:
    """Return a body that also says whether the loop goes on."""
    key = ("tested", body.inputs, body.outputs, test.inputs, test.outputs)
    memo = body.builder.memo
    if key not in memo:
        after = dict(zip(test.inputs, (*body.inputs[:consts], *body.outputs), strict=True))
        memo[key] = tuple(ir.inline(test.outputs, after, body.builder))
    return Program(body.inputs, (*body.outputs, *memo[key]), body.builder)


class _Table:
    """Pointers of a loop, and how they move from step to step.

    Attributes:
        frame: Memory of the body.
        moves: Slots, and by how many bytes each moves.
        swaps: Pairs of slots that are exchanged.
    """

    def __init__(self, code: Runnable, consts: int, carries: int, reverse: bool) -> None:
        self.code, self.consts, self.carries, self.reverse = code, consts, carries, reverse
        self.frame = code.take()
        self.moves: list[int] = []
        self.swaps: list[int] = []
        self.held: list[Any] = []

    def point(self, node: Node, array: np.ndarray) -> int | None:
        """Let a slot point to an array; None where the body does not use it."""
        slot = self.code.slots.get(node)
        if slot is not None:
            self.frame.table[slot] = array.ctypes.data
            self.held.append(array)
        return slot

    def point_consts(self, values: Values) -> None:
        """Point to the constants."""
        for node, value in zip(self.code.inputs, values, strict=False):
            self.point(node, np.ascontiguousarray(value, node.dtype))

    def point_elements(self, xs: Values, length: int) -> list[np.ndarray]:
        """Point to the first elements of xs and of ys, which are returned."""
        arrays = [
            (node, np.ascontiguousarray(x, node.dtype))
            for node, x in zip(self.code.inputs[self.consts + self.carries :], xs, strict=True)
        ]
        outputs = self.code.outputs[self.carries :]
        ys = [np.empty((length, *node.shape), node.dtype) for node in outputs]
        for node, array in (*arrays, *zip(outputs, ys, strict=True)):
            slot = self.point(node, array)
            if slot is not None:
                self._move(slot, node, length - 1)
        return ys

    def point_carry(
        self, carry: Values, room: int | None
    ) -> tuple[Callable[[int], list[Any]], list[np.ndarray] | None]:
        """Point to the carry before a step and after it; with `room` for so many steps, all carries are kept.

        Returns:
            The carry after a number of steps, and the stacked carries before each.
        """
        ends = list(zip(self.code.inputs[self.consts :], self.code.outputs, carry, strict=False))
        if room is None:
            pairs = []
            for node, after, value in ends:
                now, then = np.array(value, node.dtype), np.empty(node.shape, node.dtype)
                one, two = self.point(node, now), self.point(after, then)
                assert two is not None
                if one is None:
                    now = then
                else:
                    self.swaps += [one, two]
                pairs.append((now, then))
            return lambda count: [pair[count % 2][()] for pair in pairs], None
        buffers = []
        for node, after, value in ends:
            buffer = np.empty((room + 1, *node.shape), node.dtype)
            buffer[room if self.reverse else 0] = value
            before, behind = (buffer[1:], buffer) if self.reverse else (buffer, buffer[1:])
            for each, first in ((node, before), (after, behind)):
                slot = self.point(each, first)
                if slot is not None:
                    self._move(slot, node, room - 1)
            buffers.append(buffer)
        shift = 1 if self.reverse else 0
        return (
            lambda count: [np.array(buffer[room - count if self.reverse else count])[()] for buffer in buffers],
            [buffer[shift : room + shift] for buffer in buffers],
        )

    def _move(self, slot: int, node: Node, last: int) -> None:
        size = node.spec.size * node.dtype.itemsize
        if self.reverse:
            self.frame.table[slot] += np.uintp(last * size)
        if size:
            self.moves += [slot, -size if self.reverse else size]


def _drive(address: int, code: Runnable, loop: _Table, steps: int, flag: np.ndarray | None = None) -> int:
    """Run the body so many times, or until the flag is down; return how many times, or -1 where it failed."""
    functions = np.array(
        [ctypes.cast(function, ctypes.c_void_p).value or 0 for function, _ in code.actions], np.uintp
    )  # fmt: skip
    moves, swaps = np.array(loop.moves, np.int64), np.array(loop.swaps, np.int64)
    pointer = 0 if flag is None else flag.ctypes.data
    return int(
        _driver()[0](functions.ctypes.data, len(functions), address, steps, moves.ctypes.data, len(moves) // 2,
                     swaps.ctypes.data, len(swaps) // 2, pointer)
    )  # fmt: skip


@functools.cache
def _driver() -> tuple[Any, Code]:
    """Return the function that runs bodies, and its code."""
    module = Module({}, {}, 1)
    module.functions.append(_DRIVER)
    code = compile_module(module)
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    kind = ctypes.CFUNCTYPE(integer, pointer, integer, pointer, integer, pointer, integer, pointer, integer, pointer)
    return kind(code.address("drive")), code


_DRIVER = """
define i64 @drive(ptr %functions, i64 %count, ptr %table, i64 %steps, ptr %moves, i64 %nmoves, ptr %swaps, \
i64 %nswaps, ptr %flag) {
entry:
  %some = icmp sgt i64 %count, 0
  %endless = icmp eq ptr %flag, null
  br label %step
step:
  %k = phi i64 [ 0, %entry ], [ %k1, %step.again ]
  br i1 %some, label %call, label %move
call:
  %f = phi i64 [ 0, %step ], [ %f1, %called ]
  %f.at = getelementptr inbounds ptr, ptr %functions, i64 %f
  %function = load ptr, ptr %f.at
  %bad = call i32 %function(ptr %table)
  %failed = icmp ne i32 %bad, 0
  br i1 %failed, label %fail, label %called
called:
  %f1 = add nuw nsw i64 %f, 1
  %f.more = icmp slt i64 %f1, %count
  br i1 %f.more, label %call, label %move
move:
  %m = phi i64 [ 0, %step ], [ 0, %called ], [ %m1, %moved ]
  %m.more = icmp slt i64 %m, %nmoves
  br i1 %m.more, label %moved, label %swap
moved:
  %m.two = shl nuw nsw i64 %m, 1
  %m.at = getelementptr inbounds i64, ptr %moves, i64 %m.two
  %m.slot = load i64, ptr %m.at
  %m.by.at = getelementptr inbounds i64, ptr %m.at, i64 1
  %m.by = load i64, ptr %m.by.at
  %m.place = getelementptr inbounds ptr, ptr %table, i64 %m.slot
  %m.old = load ptr, ptr %m.place
  %m.new = getelementptr i8, ptr %m.old, i64 %m.by
  store ptr %m.new, ptr %m.place
  %m1 = add nuw nsw i64 %m, 1
  br label %move
swap:
  %s = phi i64 [ 0, %move ], [ %s1, %swapped ]
  %s.more = icmp slt i64 %s, %nswaps
  br i1 %s.more, label %swapped, label %next
swapped:
  %s.two = shl nuw nsw i64 %s, 1
  %s.at = getelementptr inbounds i64, ptr %swaps, i64 %s.two
  %s.one = load i64, ptr %s.at
  %s.other.at = getelementptr inbounds i64, ptr %s.at, i64 1
  %s.other = load i64, ptr %s.other.at
  %s.p = getelementptr inbounds ptr, ptr %table, i64 %s.one
  %s.q = getelementptr inbounds ptr, ptr %table, i64 %s.other
  %s.a = load ptr, ptr %s.p
  %s.b = load ptr, ptr %s.q
  store ptr %s.b, ptr %s.p
  store ptr %s.a, ptr %s.q
  %s1 = add nuw nsw i64 %s, 1
  br label %swap
next:
  %k1 = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k1, %steps
  br i1 %endless, label %go, label %look
look:
  %raised = load i8, ptr %flag
  %up = icmp ne i8 %raised, 0
  %both = and i1 %up, %k.more
  br i1 %both, label %step.again, label %done
go:
  br i1 %k.more, label %step.again, label %done
step.again:
  br label %step
done:
  ret i64 %k1
fail:
  ret i64 -1
}
""".strip()

__all__ = ["Compiled"]
