"""The text of a module: one function per loop nest, one per stretch of steps between calls of NumPy."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ir import Node
from chainrule.llvm.emit import TYPES, Body, literal
from chainrule.llvm.factor import FactorNest, workspace
from chainrule.llvm.index import Index
from chainrule.llvm.nests import (
    CheckNest,
    Function,
    JoinNest,
    LoopNest,
    Memory,
    Nest,
    Pointers,
    RunNest,
    SpreadNest,
    combine,
    combine_parts,
)
from chainrule.llvm.plan import (
    Check,
    Factor,
    Host,
    Join,
    Loop,
    Multiply,
    Plan,
    Run,
    Spread,
    Step,
    Straight,
    cost_of,
    is_reduction,
)
from chainrule.llvm.product import CareNest, MultiplyNest, extent
from chainrule.llvm.zeros import CAREFUL, Trust

LARGE = 500
"""Elements of straight-line code from which it has a function of its own."""
STRETCH = 256
"""Steps of a stretch: LLVM's effort grows faster than a function."""
LONG = 2000
"""Instructions from which the straight-line code of a stretch goes on in functions of their own."""
PARALLEL = 1 << 21
"""Work, in multiplications and memory accesses, from which a loop is shared among threads."""


@dataclass(frozen=True, slots=True)
class Native:
    """A function to call with the table of pointers; it returns whether an index was no index."""

    name: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A loop that several threads run: a function to call with the table, a range, and the number of the thread.

    Where each of them calls BLAS (`blas`), BLAS is to use no threads of its own.
    """

    name: str
    size: int
    blas: bool = False


@dataclass(slots=True)
class Care:
    """A look at the results of a product that threads have shared."""

    node: Node


Action = Native | Shared | Host


@dataclass(slots=True)
class Module:
    """Functions of a program, as text.

    Attributes:
        slots: Place of each node in memory: in the table of pointers, of which the first is that of the arena.
        offsets: Place in the arena, in bytes, of nodes that live there.
        threads: How many threads may share a loop.
        trust: Products without care for exact zeros, and where to look for NaN because of that.
        watch: Place in the arena, in bytes, of the number that is set where one was seen.
        functions: Loops and library calls.
        straight: Straight-line code.
        declared: Declarations and constants that they need.
        actions: What to do, in order.
        buffers: Size of the partial results, in doubles, by their place in the table.
    """

    slots: Mapping[Node, int]
    offsets: Mapping[Node, int]
    threads: int
    functions: list[str] = field(default_factory=list)
    straight: list[str] = field(default_factory=list)
    trust: Trust = CAREFUL
    watch: int = 0
    declared: set[str] = field(default_factory=set)
    actions: list[Action] = field(default_factory=list)
    buffers: dict[int, int] = field(default_factory=dict)
    slot_count: int = 0
    _buffer_of: dict[Node, int] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _alike: dict[Any, tuple[Function, list[tuple[int, int]]]] = field(default_factory=dict)
    _scratch_slot: int | None = None

    def add(self, plan: Plan) -> None:
        """Emit all steps of a plan."""
        stretch: list[Step | Care] = []
        for step in plan.steps:
            if isinstance(step, Host):
                self._segment(stretch, plan)
                stretch = []
                self.actions.append(step)
            elif isinstance(step, Loop) and self._is_parallel(step):
                self._segment(stretch, plan)
                stretch = []
                nest = self._loop(step, parallel=True)
                self._share(nest, nest.extent, nest.parts)
                if nest.parts:
                    self._finish_shared(step)
            elif isinstance(step, Multiply) and (parts := self._parts(step)):
                self._segment(stretch, plan)
                self._share(MultiplyNest(self.slots, self.declared, step.node, shared=True, care=False), parts)
                stretch = [] if step.node in self.trust.plain else [Care(step.node)]
            else:
                stretch.append(step)
                if len(stretch) >= STRETCH:
                    self._segment(stretch, plan)
                    stretch = []
        self._segment(stretch, plan)

    # -- stretches of native steps ----------------------------------------------------------------------

    def _segment(self, steps: Sequence[Step | Care], plan: Plan) -> None:
        if not steps:
            return
        name = f"segment{len(self.actions)}"
        pointers = Pointers(self.slots)
        body = self._straight_body(pointers)
        fails = False
        for step in steps:
            if isinstance(step, Straight):
                if step.size >= LARGE or len(body.lines) >= LONG:
                    self._large_straight(step, plan, body)
                else:
                    straight(body, step, plan, self.trust.watched, self.watch)
                continue
            function = self._function(step)
            arguments = ", ".join(f"ptr {self._argument(memory, pointers, body)}" for memory in function.pointers)
            if function.watches:
                at = body.let(f"getelementptr inbounds i8, ptr %arena, i64 {self.watch}")
                arguments += f", ptr {at}"
            if isinstance(step, Factor):
                arguments += f", ptr {self._scratch(step.node, body)}"
            if isinstance(step, Check | Factor):
                bad = body.let(f"call i1 @{function.name}({arguments})")
                go = body.label("go")
                body.do(f"br i1 {bad}, label %failed, label %{go}")
                body.lines.append(f"{go}:")
                fails = True
            else:
                body.do(f"call void @{function.name}({arguments})")
        result = "0"
        if self.trust.watched:  # what was computed so far may be wrong: no need to go on
            at = body.let(f"getelementptr inbounds i8, ptr %arena, i64 {self.watch}")
            seen = body.let(f"load i64, ptr {at}")
            result = body.let(f"trunc i64 {seen} to i32")
        lines = [f"define i32 @{name}(ptr %table) {{", "entry:", *self._loads(pointers), *body.variables, *body.lines,
                 f"  ret i32 {result}", *(["failed:", "  ret i32 1"] if fails else []), "}"]  # fmt: skip
        self.functions.append("\n".join(lines))
        self.actions.append(Native(name))

    def _scratch(self, node: Node, body: Body) -> str:
        """Return the scratch memory for factorizations: one for all, as large as the largest needs."""
        if self._scratch_slot is None:
            self._scratch_slot = self.slot_count + len(self.buffers)
            self.buffers[self._scratch_slot] = 0
        self.buffers[self._scratch_slot] = max(self.buffers[self._scratch_slot], workspace(node))
        at = body.let(f"getelementptr inbounds ptr, ptr %table, i64 {self._scratch_slot}")
        return body.let(f"load ptr, ptr {at}")

    def _large_straight(self, step: Straight, plan: Plan, caller: Body) -> None:
        name = f"straight{len(self.straight)}"
        pointers = Pointers(self.slots)
        body = self._straight_body(pointers)
        straight(body, step, plan, self.trust.watched, self.watch)
        self.straight.append(
            "\n".join(
                [
                    f"define void @{name}(ptr %table) {{",
                    "entry:",
                    *self._loads(pointers),
                    *body.lines,
                    "  ret void",
                    "}",
                ]
            )
        )
        caller.do(f"call void @{name}(ptr %table)")

    def _straight_body(self, pointers: Pointers) -> Body:
        body = Body(pointers, self.declared, "s", self.trust.plain)
        body.offsets = self.offsets
        return body

    def _argument(self, memory: Memory, pointers: Pointers, body: Body) -> str:
        """Return a pointer where it is needed: many of them at the beginning of a function would be slow to compile."""
        node, element = memory
        shift = element * node.dtype.itemsize
        if node in self.offsets:
            return body.let(f"getelementptr inbounds i8, ptr %arena, i64 {self.offsets[node] + shift}")
        return body.let(f"getelementptr inbounds i8, ptr {pointers[node]}, i64 {shift}") if shift else pointers[node]

    def _loads(self, pointers: Pointers) -> list[str]:
        lines = ["  %arena = load ptr, ptr %table"]
        for (node, element), pointer in pointers.used.items():
            shift = element * node.dtype.itemsize
            if node in self.offsets:
                lines.append(f"  {pointer} = getelementptr inbounds i8, ptr %arena, i64 {self.offsets[node] + shift}")
                continue
            lines += [
                f"  {pointer}.at = getelementptr inbounds ptr, ptr %table, i64 {self.slots[node]}",
                f"  {pointer}.base = load ptr, ptr {pointer}.at",
                f"  {pointer} = getelementptr inbounds i8, ptr {pointer}.base, i64 {shift}",
            ]
        return lines

    def _nest(self, step: Step | Care) -> Nest:
        if isinstance(step, Loop):
            return self._loop(step, parallel=False)
        if isinstance(step, Multiply):
            return MultiplyNest(self.slots, self.declared, step.node, care=step.node not in self.trust.plain)
        if isinstance(step, Care):
            return CareNest(self.slots, self.declared, step.node)
        if isinstance(step, Spread):
            return SpreadNest(self.slots, self.declared, step)
        if isinstance(step, Factor):
            return FactorNest(self.slots, self.declared, step.node)
        if isinstance(step, Run):
            return RunNest(self.slots, self.declared, step)
        if isinstance(step, Join):
            return JoinNest(self.slots, self.declared, step)
        assert isinstance(step, Check)
        return CheckNest(self.slots, self.declared, step)

    def _loop(self, step: Loop, parallel: bool) -> LoopNest:
        nest = LoopNest(self.slots, self.declared, step, True, parallel, self.trust)
        if nest.body.unflattened and len(step.domain) > 1:
            nest = LoopNest(self.slots, self.declared, step, False, parallel, self.trust)
        return nest

    def _function(self, step: Step | Care) -> Function:
        """Return the function of a step, which may be that of an earlier one with other memory."""
        if not isinstance(step, Loop):
            return self._add_function(self._nest(step))
        key, order = self._signature(step)
        known = self._alike.get(key)
        if known is None:
            function = self._add_function(self._loop(step, parallel=False))
            places = {node: k for k, node in enumerate(order)}
            known = self._alike[key] = function, [(places[node], element) for node, element in function.pointers]
        function, memory = known
        return replace(function, pointers=tuple((order[k], element) for k, element in memory))

    def _signature(self, step: Loop) -> tuple[Any, list[Node]]:
        """Return all that the text of a loop depends on, and the nodes in the order in which it names them."""
        roots = set(step.roots)
        order = list(dict.fromkeys(step.roots))
        places = {node: k for k, node in enumerate(order)}
        parts: list[Any] = [step.domain, step.axes, tuple(places[node] for node in step.roots)]
        for node in order:  # grows on the way
            if node not in roots and node in self.slots:
                parts.append(node.spec)
            elif node.op is ir.CONSTANT:
                parts.append((node.spec, np.asarray(node.value).tobytes()))
            else:
                for arg in node.inputs:
                    if arg not in places:
                        places[arg] = len(order)
                        order.append(arg)
                doubt = node in self.trust.plain, node in self.trust.watched
                params = tuple(sorted(node.params.items()))
                parts.append((node.op, params, node.spec, tuple(places[arg] for arg in node.inputs), *doubt))
        return tuple(parts), order

    def _add_function(self, nest: Nest) -> Function:
        """Add a function, unless there is one that does the same with other memory."""
        text = nest.text("NAME")
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = f"loop{len(self.functions)}"
            self.functions.append(text.replace("@NAME(", f"@{name}(", 1))
        return Function(name, tuple(nest.pointers.used), nest.watches)

    # -- loops that several threads share -----------------------------------------------------------------

    def _is_parallel(self, step: Loop) -> bool:
        if self.threads < 2 or not step.domain:
            return False
        if step.axes is not None and step.roots[0].spec.size < 64:
            return False
        return math.prod(step.domain) * (4 + _work(step, self.slots)) >= PARALLEL

    def _parts(self, step: Multiply) -> int:
        """Return how many parts of a product threads can do apart; 0 where they should not."""
        if self.threads < 2:
            return 0
        return extent(
            step.node, lambda each: each in self.slots or (each.op is ir.CONSTANT and bool(each.shape)), self.threads
        )

    def _share(self, nest: Nest, size: int, partial: Mapping[Node, str] | None = None) -> None:
        """Add the function of a loop that several threads run on parts of a range, perhaps with partial results."""
        name = f"shared{len(self.functions)}"
        partial = partial or {}
        text = nest.text(f"{name}_loop", True, list(partial.values()))
        pointers = list(nest.pointers.used)
        loads = self._loads(nest.pointers)
        spelled = [f"ptr {nest.pointers.used[memory]}" for memory in pointers]
        for node, part in partial.items():
            slot = self.slot_count + len(self.buffers)
            self.buffers[slot] = 2 * self.threads
            self._buffer_of[node] = slot
            loads += [
                f"  {part}.at = getelementptr inbounds ptr, ptr %table, i64 {slot}",
                f"  {part} = load ptr, ptr {part}.at",
            ]
            spelled.append(f"ptr {part}")
        spelled += ["i64 %lo", "i64 %hi", "i64 %part"]
        if nest.watches:
            loads.append(f"  %watch = getelementptr inbounds i8, ptr %arena, i64 {self.watch}")
            spelled.append("ptr %watch")
        self.functions += [
            text,
            "\n".join(
                [
                    f"define void @{name}(ptr %table, i64 %lo, i64 %hi, i64 %part) {{",
                    "entry:",
                    *loads,
                    f"  call void @{name}_loop({', '.join(spelled)})",
                    "  ret void",
                    "}",
                ]
            ),
        ]
        self.actions.append(Shared(name, size, isinstance(nest, MultiplyNest)))

    def _finish_shared(self, step: Loop) -> None:
        """Add the function that adds up the partial results of a shared loop."""
        name = f"segment{len(self.actions)}"
        pointers = Pointers(self.slots)
        body = Body(pointers, self.declared, "s")
        for node in step.roots:
            if is_reduction(node):
                at = body.let(f"getelementptr inbounds ptr, ptr %table, i64 {self._buffer_of[node]}")
                combine_parts(body, node, body.let(f"load ptr, ptr {at}"), self.threads, pointers[node])
        self.functions.append(
            "\n".join(
                [
                    f"define i32 @{name}(ptr %table) {{",
                    "entry:",
                    *self._loads(pointers),
                    *body.variables,
                    *body.lines,
                    "  ret i32 0",
                    "}",
                ]
            )
        )
        self.actions.append(Native(name))


def _work(step: Loop, slots: Mapping[Node, int]) -> int:
    """Return the work per element of a loop, in multiplications."""
    seen: set[Node] = set()
    stack = [arg if is_reduction(node) else node for node in step.roots for arg in (node.inputs[:1] or (node,))]
    stack += [node for node in step.roots if not is_reduction(node)]
    total = 0
    while stack:
        node = stack.pop()
        if node in seen or (node in slots and node not in step.roots) or not node.inputs:
            continue
        seen.add(node)
        total += cost_of(node)
        stack += node.inputs
    return total


def straight(body: Body, step: Straight, plan: Plan, watched: Collection[Node], watch: int) -> None:
    """Emit every element of numbers and small arrays, one after the other; note where a watched one is NaN."""
    pending: dict[str, str] = {}  # by type, a value that is to be compared together with the next
    wrong: list[str] = []
    for node in step.nodes:
        places = _places(node)
        parts = _parts_of(node) if node.op.name == "concatenate" else {}
        for place in places:
            if parts:
                part, inside = parts[place]
                value = body.cast_to(body.read(part, inside), part, node)
            else:
                value = _reduced(body, node, place) if is_reduction(node) else body.compute(node, place)
            body.memo[node, place] = value
            if node in plan.kept:
                body.keep(value, node, place)
            if node in watched:
                kind = TYPES[node.dtype]
                other = pending.pop(kind, None)
                if other is None:
                    pending[kind] = value
                else:
                    wrong.append(body.let(f"fcmp uno {kind} {other}, {value}"))
                if len(wrong) == 2:
                    wrong = [body.let(f"or i1 {wrong[0]}, {wrong[1]}")]
    wrong += [body.let(f"fcmp uno {kind} {value}, {value}") for kind, value in pending.items()]
    if wrong:
        while len(wrong) > 1:
            wrong = [body.let(f"or i1 {wrong[0]}, {wrong[1]}"), *wrong[2:]]
        at = body.let(f"getelementptr inbounds i8, ptr %arena, i64 {watch}")
        old = body.let(f"load i64, ptr {at}")
        new = body.let(f"or i64 {old}, {body.let(f'zext i1 {wrong[0]} to i64')}")
        body.do(f"store i64 {new}, ptr {at}")


def _places(node: Node) -> list[tuple[Index, ...]]:
    places: list[tuple[Index, ...]] = [()]
    for size in node.shape:
        places = [(*place, Index(k)) for place in places for k in range(size)]
    return places


def _parts_of(node: Node) -> dict[tuple[Index, ...], tuple[Node, tuple[Index, ...]]]:
    """Return which element of which part each element of a concatenation is."""
    axis, start = node.params["axis"], 0
    found = {}
    for part in node.inputs:
        for place in _places(part):
            found[(*place[:axis], place[axis] + start, *place[axis + 1 :])] = part, place
        start += part.shape[axis]
    return found


def _reduced(body: Body, node: Node, place: tuple[Index, ...]) -> str:
    """Return one element of a reduction of a small array, by pairs."""
    x, axes = node.inputs[0], node.params["axis"]
    rest = iter(place)
    at = [None if k in axes else next(rest) for k in range(x.ndim)]
    terms: list[str] = []
    for position in _places_of(tuple(x.shape[k] for k in axes)):
        chosen = iter(position)
        terms.append(body.read(x, tuple(next(chosen) if part is None else part for part in at)))
    kind = TYPES[node.dtype]
    while len(terms) > 1:
        pairs = [combine(body, node.op.name, kind, a, b, False) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    if node.op.name == "sum" and kind != "i64":
        return body.let(f"fadd {kind} {terms[0]}, {literal(0.0, kind)}")  # sums begin at 0, also that of -0 and -0
    return terms[0]


def _places_of(shape: tuple[int, ...]) -> list[tuple[Index, ...]]:
    places: list[tuple[Index, ...]] = [()]
    for size in shape:
        places = [(*place, Index(k)) for place in places for k in range(size)]
    return places
