"""Loop nests: elementwise results, reductions, running sums, scattered additions, checks of indices."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chainrule.ir import Node
from chainrule.llvm.emit import TYPES, Body, Flat, Place, Value, literal, memory_type
from chainrule.llvm.index import Index
from chainrule.llvm.plan import Check, Join, Loop, Run, Spread, is_reduction, reshaped
from chainrule.llvm.zeros import CAREFUL, Trust
from chainrule.types import Shape

BLOCK = 512
"""Elements summed before the sum is added, with its rounding error, to the total."""
PIECES = 32
"""Loops into which a nest may be cut so that no condition is left inside."""

_START = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf, "any": False, "all": True}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the module.

    Attributes:
        name: Its symbol.
        pointers: Memory that it takes, in the order of its parameters.
        watches: Whether it takes a pointer to the number that says that a NaN was seen.
    """

    name: str
    pointers: tuple[Memory, ...]
    watches: bool = False


Memory = tuple[Node, int]
"""A place in memory: an element of a node."""


class Pointers(dict[Node, str]):
    """The memory of nodes, by node; remembers which was asked for."""

    def __init__(self, held: Mapping[Node, int], hidden: Collection[Node] = ()) -> None:
        super().__init__()
        self.held, self.hidden = held, frozenset(hidden)
        self.used: dict[Memory, str] = {}

    def at(self, node: Node, element: int) -> str:
        """Return a pointer to an element: loops that differ only in where they begin are one function."""
        return self.used.setdefault((node, element), f"%p{len(self.used)}")

    def __contains__(self, node: object) -> bool:
        return node in self.held and node not in self.hidden

    def __getitem__(self, node: Node) -> str:
        return self.at(node, 0)


@dataclass(frozen=True, slots=True)
class Counter:
    """A loop that is open: its label, the value at which it ends, its variable."""

    name: str
    high: Value
    index: Index


class Nest:
    """A function that holds loops."""

    def __init__(
        self,
        slots: Mapping[Node, int],
        declared: set[str],
        hidden: Sequence[Node] = (),
        plain: Collection[Node] = (),
    ) -> None:
        self.pointers = Pointers(slots, hidden)
        self.all_pointers = Pointers(slots)
        self.all_pointers.used = self.pointers.used
        self.body = Body(self.pointers, declared, "l", plain)
        self.watches = False
        self.body.begin = self.pointers.at

    def pointer(self, node: Node) -> str:
        """Return the memory into which a node of this nest is written."""
        return self.all_pointers[node]

    @contextlib.contextmanager
    def on_one_thread(self, wanted: bool) -> Iterator[None]:
        """Let BLAS and LAPACK use one thread meanwhile: for small matrices it is the faster way, and it never waits."""
        body = self.body
        if not wanted:
            yield
            return
        body.declared.add("declare i32 @chainrule_blas_threads(i32)")
        before = body.let("call i32 @chainrule_blas_threads(i32 1)")
        yield
        several = body.let(f"icmp sgt i32 {before}, 1")
        name = body.label("threads")
        body.do(f"br i1 {several}, label %{name}.back, label %{name}.done")
        body.lines.append(f"{name}.back:")
        body.let(f"call i32 @chainrule_blas_threads(i32 {before})")
        body.do(f"br label %{name}.done")
        body.lines.append(f"{name}.done:")

    # -- loops ----------------------------------------------------------------------------------------

    def open(self, stem: str, low: int | Value, high: int | Value, span: tuple[int, int] | None = None) -> Counter:
        """Begin a loop; `span` are the smallest and largest value of its variable, where the ends are not numbers."""
        body = self.body
        name = body.label(stem)
        if span is None and isinstance(low, int) and isinstance(high, int):
            span = low, high - 1
        if span is not None:
            if span[0] == span[1] and isinstance(low, int):
                return Counter("", str(high), Index(low))
            body.ranges.set(f"%{name}", *span)
        if isinstance(low, int) and isinstance(high, int):
            body.do(f"br label %{name}.before")
        else:
            some = body.let(f"icmp slt i64 {low}, {high}")
            body.do(f"br i1 {some}, label %{name}.before, label %{name}.after")
        body.lines.append(f"{name}.before:")
        body.do(f"br label %{name}.loop")
        body.lines.append(f"{name}.loop:")
        body.do(f"%{name} = phi i64 [ {low}, %{name}.before ], [ %{name}.next, %{name}.end ]")
        return Counter(name, str(high), Index(0, ((f"%{name}", 1),)))

    def close(self, loop: Counter) -> None:
        """End a loop."""
        body, name = self.body, loop.name
        if not name:
            return
        body.do(f"br label %{name}.end")
        body.lines.append(f"{name}.end:")
        body.do(f"%{name}.next = add nuw nsw i64 %{name}, 1")
        body.do(f"%{name}.more = icmp slt i64 %{name}.next, {loop.high}")
        body.do(f"br i1 %{name}.more, label %{name}.loop, label %{name}.after")
        body.lines.append(f"{name}.after:")

    def over(self, domain: Shape, inside: Callable[[tuple[Index, ...]], None]) -> None:
        """Run through a domain."""
        loops = [self.open(f"i{k}_", 0, size) for k, size in enumerate(domain)]
        inside(tuple(loop.index for loop in loops))
        for loop in reversed(loops):
            self.close(loop)

    def text(self, name: str, parallel: bool = False, parts: Sequence[str] = ()) -> str:
        """Return the function."""
        parameters = [f"ptr noalias {pointer}" for pointer in self.pointers.used.values()]
        if parallel:
            parameters += [*(f"ptr noalias {part}" for part in parts), "i64 %lo", "i64 %hi", "i64 %part"]
        if self.watches:
            parameters.append("ptr noalias %watch")
        return "\n".join(
            [
                f"define internal void @{name}({', '.join(parameters)}) #2 {{",
                "entry:",
                *self.body.variables,
                *self.body.lines,
                "  ret void",
                "}",
            ]
        )


class LoopNest(Nest):
    """Elementwise results and reductions over one domain.

    Where several threads share the work (`parallel`), the function takes the part of the outermost loop that it is to
    run, and its number; reductions of everything then leave one partial result each.
    """

    def __init__(
        self,
        slots: Mapping[Node, int],
        declared: set[str],
        step: Loop,
        flat: bool,
        parallel: bool,
        trust: Trust = CAREFUL,
    ) -> None:
        super().__init__(slots, declared, step.roots, trust.plain)
        self.step, self.flat, self.parallel = step, flat, parallel
        self.watched = trust.watched
        self.parts: dict[Node, str] = {}
        self.size = math.prod(step.domain)
        self.extent = self.size if flat else (step.domain or (1,))[0]
        if self.size:
            self.watches = any(node in self.watched for node in step.roots)
            if self.watches:
                self._seen = self.body.variable("i32")
                self.body.do(f"store i32 0, ptr {self._seen}")
            if step.axes is not None:
                self._partial()
            else:
                self._whole()
            if self.watches:
                self._report()

    def _watch(self, node: Node, value: Value) -> None:
        """Note whether a value of a watched node is NaN."""
        if node in self.watched:
            body = self.body
            wrong = body.let(f"fcmp uno {TYPES[node.dtype]} {value}, {value}")
            old = body.let(f"load i32, ptr {self._seen}")
            new = body.let(f"or i32 {old}, {body.let(f'zext i1 {wrong} to i32')}")
            body.do(f"store i32 {new}, ptr {self._seen}")

    def _report(self) -> None:
        """Say so where a watched value was NaN."""
        body = self.body
        name = body.label("seen")
        seen = body.let(f"load i32, ptr {self._seen}")
        wrong = body.let(f"icmp ne i32 {seen}, 0")
        body.do(f"br i1 {wrong}, label %{name}.yes, label %{name}.no")
        body.lines.append(f"{name}.yes:")
        body.do("store i64 1, ptr %watch")
        body.do(f"br label %{name}.no")
        body.lines.append(f"{name}.no:")

    def _whole(self) -> None:
        domain = (self.size,) if self.flat else self.step.domain
        totals = self._totals()
        blocked = bool(totals) and domain[-1:] and domain[-1] > 2 * BLOCK
        for piece in self._pieces(domain):
            *outer, inner = piece or [(0, 1)]
            if not domain:
                self._elements((), totals, direct=True)
                continue
            loops = [self._ranged(k, low, high, k == 0) for k, (low, high) in enumerate(outer)]
            if blocked:
                self._blocks(loops, inner, not outer, totals)
            else:
                parts = self._start(totals)
                last = self._ranged(len(outer), *inner, not outer)
                self._elements((*(loop.index for loop in loops), last.index), parts)
                self.close(last)
                self._add_up(totals, parts)
            for loop in reversed(loops):
                self.close(loop)
        self._finish(totals)

    def _blocks(
        self, loops: list[Counter], inner: tuple[int, int], outermost: bool, totals: dict[Node, tuple[str, str]]
    ) -> None:
        """Run the innermost loop in blocks, and add the sum of each to the total."""
        body = self.body
        low, high = self._ends(*inner, outermost)
        count = inner[1] - inner[0]
        length = body.let(f"sub nsw i64 {high}, {low}")
        rounded = body.let(f"add nsw i64 {length}, {BLOCK - 1}")
        blocks = body.let(f"sdiv i64 {rounded}, {BLOCK}")
        block = self.open("block", 0, blocks, (0, max((count + BLOCK - 1) // BLOCK - 1, 1)))
        offset = body.integer(block.index * BLOCK)
        first = body.let(f"add nsw i64 {low}, {offset}")
        end = body.let(f"add nsw i64 {first}, {BLOCK}")
        last = body.call("i64", "llvm.smin.i64", ("i64", end), ("i64", str(high)))
        parts = self._start(totals)
        loop = self.open("i", first, last, (inner[0], inner[1] - 1))
        self._elements((*(each.index for each in loops), loop.index), parts)
        self.close(loop)
        self._add_up(totals, parts)
        self.close(block)

    def _ranged(self, k: int, low: int, high: int, outermost: bool) -> Counter:
        ends = self._ends(low, high, outermost)
        return self.open(f"i{k}_", *ends, (low, high - 1))

    def _ends(self, low: int, high: int, outermost: bool) -> tuple[int | Value, int | Value]:
        """Return the ends of a loop; of the outermost loop of a thread, those of its share."""
        if not (self.parallel and outermost):
            return low, high
        body = self.body
        return (
            body.call("i64", "llvm.smax.i64", ("i64", str(low)), ("i64", "%lo")),
            body.call("i64", "llvm.smin.i64", ("i64", str(high)), ("i64", "%hi")),
        )

    def _pieces(self, domain: Shape) -> list[list[tuple[int, int]]]:
        """Return boxes of the domain such that inside each no condition depends on the place."""
        whole = [(0, size) for size in domain]
        if not domain:
            return [[]]
        trial = LoopTrial(self, domain)
        per_axis = []
        for axis, size in enumerate(domain):
            marks = sorted({0, size, *(mark for mark in trial.cuts.get(axis, ()) if 0 < mark < size)})
            per_axis.append(list(itertools.pairwise(marks)))
        count = math.prod(map(len, per_axis))
        if count > PIECES or count * trial.lines > min(
            max(256, 2 * self.size), 20_000
        ):  # code costs more than it saves
            return [whole]
        return [list(piece) for piece in itertools.product(*per_axis)]

    def _elements(self, place: tuple[Index, ...], parts: Mapping[Node, object], direct: bool = False) -> None:
        body = self.body
        body.memo.clear()
        where: Place = Flat(place[0], self.step.domain) if self.flat else place
        for node in self.step.roots:
            if is_reduction(node):
                value = body.read(node.inputs[0], where)
                part = parts[node]
                self._accumulate(node, value, part[0] if direct else part)  # type: ignore[index, arg-type]
            else:
                value = body.compute(node, where)
                body.remember(node, where, value)
                self._watch(node, value)
                body.store(value, node, self.pointer(node), body.flat(where, node.shape))
        body.memo.clear()

    # -- reductions over some axes --------------------------------------------------------------------

    def _partial(self) -> None:
        """Reduce over some axes: one number at a time where the last axis is reduced, else one row at a time.

        Neighboring axes that are both reduced, or both kept, are one loop where no element needs their places apart.
        """
        (node,) = self.step.roots
        axes = self.step.axes or ()
        groups = self._groups(axes)
        kept = [g for g, (_, reduced) in enumerate(groups) if not reduced]
        reduced = [g for g, (_, is_reduced) in enumerate(groups) if is_reduced]
        self.extent = groups[kept[0]][0]
        loops: dict[int, Counter] = {}
        if kept[-1] != len(groups) - 1:
            for g in kept:
                loops[g] = self._ranged(g, 0, groups[g][0], g == kept[0])
            self._reduce_number(node, groups, reduced, loops)
            for g in reversed(kept):
                self.close(loops[g])
            return
        *front, last = kept
        for g in front:
            loops[g] = self._ranged(g, 0, groups[g][0], g == kept[0])
        clear = loops[last] = self._ranged(last, 0, groups[last][0], last == kept[0])
        start = _start_of(node, TYPES[node.dtype])
        self.body.store(start, node, self.pointer(node), self._offset(groups, loops))
        self.close(clear)
        for g in reduced:
            loops[g] = self.open(f"r{g}_", 0, groups[g][0])
        loops[last] = self._ranged(last, 0, groups[last][0], last == kept[0])
        self._add_to_row(node, self._spot(groups, loops), self._offset(groups, loops))
        for g in (last, *reversed(reduced), *reversed(front)):
            self.close(loops[g])

    def _reduce_number(
        self, node: Node, groups: Sequence[tuple[int, bool]], reduced: list[int], loops: dict[int, Counter]
    ) -> None:
        """Reduce the innermost axes to one number; a long sum in blocks, with the errors of their additions."""
        body, inner = self.body, reduced[-1]
        size = groups[inner][0]
        offset = self._offset(groups, {**loops, **dict.fromkeys(reduced, Counter("", "", Index()))})
        blocks = -(-size // BLOCK) if size > 2 * BLOCK else 1

        def run(low: int | Value, high: int | Value, part: str) -> None:
            loops[inner] = self.open("r", low, high, (0, size - 1))
            body.memo.clear()
            self._accumulate(node, body.read(node.inputs[0], self._spot(groups, loops)), part)
            self.close(loops[inner])

        if blocks == 1 and len(reduced) == 1:
            kind = _wide(node)
            part = body.variable(kind)
            body.do(f"store {kind} {_start_of(node, kind)}, ptr {part}")
            run(0, size, part)
            value = body.cast(body.let(f"load {kind}, ptr {part}"), kind, TYPES[node.dtype])
            self._watch(node, value)
            body.store(value, node, self.pointer(node), offset)
            return
        totals = self._totals()
        for g in reduced[:-1]:
            loops[g] = self.open(f"r{g}_", 0, groups[g][0])
        block = self.open("block", 0, blocks)
        first = body.integer(block.index * BLOCK)
        last = (
            size
            if blocks == 1
            else body.call(
                "i64", "llvm.smin.i64", ("i64", body.let(f"add nsw i64 {first}, {BLOCK}")), ("i64", str(size))
            )
        )
        parts = self._start(totals)
        run(0 if blocks == 1 else first, last, parts[node])
        self._add_up(totals, parts)
        self.close(block)
        for g in reversed(reduced[:-1]):
            self.close(loops[g])
        self._finish(totals, offset)

    def _groups(self, axes: tuple[int, ...]) -> list[tuple[int, bool]]:
        """Return lengths of the loops, and whether each is reduced: of groups of axes (if flat), or of single axes."""
        groups: list[tuple[int, bool]] = []
        for k, size in enumerate(self.step.domain):
            if self.flat and groups and groups[-1][1] == (k in axes):
                groups[-1] = groups[-1][0] * size, groups[-1][1]
            else:
                groups.append((size, k in axes))
        return groups

    def _spot(self, groups: Sequence[tuple[int, bool]], loops: Mapping[int, Counter]) -> Place:
        """Return the place of the loops in the domain."""
        if not self.flat:
            return tuple(loops[g].index for g in range(len(groups)))
        return Flat(_position(groups, loops, range(len(groups))), self.step.domain)

    def _offset(self, groups: Sequence[tuple[int, bool]], loops: Mapping[int, Counter]) -> Index:
        """Return the place of the loops in the result."""
        return _position(groups, loops, [g for g, (_, reduced) in enumerate(groups) if not reduced])

    def _add_to_row(self, node: Node, place: Place, offset: Index) -> None:
        body, memory, kind = self.body, memory_type(node), TYPES[node.dtype]
        body.memo.clear()
        value = body.read(node.inputs[0], place)
        self._watch(node, value)
        pointer = body.let(f"getelementptr inbounds {memory}, ptr {self.pointer(node)}, i64 {body.integer(offset)}")
        old = body.let(f"load {memory}, ptr {pointer}")
        if kind == "i1":
            old = body.let(f"icmp ne i8 {old}, 0")
        new = combine(body, node.op.name, kind, old, value)
        if kind == "i1":
            new = body.let(f"zext i1 {new} to i8")
        body.do(f"store {memory} {new}, ptr {pointer}")

    # -- totals: sums are kept with the error of their additions --------------------------------------

    def _totals(self) -> dict[Node, tuple[str, str]]:
        totals = {}
        for node in self.step.roots:
            if is_reduction(node):
                kind = _wide(node)
                total, error = (self.body.variable(kind) for _ in range(2))
                self.body.do(f"store {kind} {_start_of(node, kind)}, ptr {total}")
                if kind == "double":
                    self.body.do(f"store double {literal(0.0, kind)}, ptr {error}")
                totals[node] = total, error
        return totals

    def _start(self, totals: dict[Node, tuple[str, str]]) -> dict[Node, str]:
        parts = {}
        for node in totals:
            kind = _wide(node)
            parts[node] = self.body.variable(kind)
            self.body.do(f"store {kind} {_start_of(node, kind)}, ptr {parts[node]}")
        return parts

    def _accumulate(self, node: Node, value: str, part: str) -> None:
        kind = _wide(node)
        value = self.body.cast(value, TYPES[node.inputs[0].dtype], kind)
        old = self.body.let(f"load {kind}, ptr {part}")
        self.body.do(f"store {kind} {combine(self.body, node.op.name, kind, old, value)}, ptr {part}")

    def _add_up(self, totals: dict[Node, tuple[str, str]], parts: dict[Node, str]) -> None:
        body = self.body
        for node, (total, error) in totals.items():
            kind = _wide(node)
            part = body.let(f"load {kind}, ptr {parts[node]}")
            add_part(body, node, kind, part, total, error)

    def _finish(self, totals: dict[Node, tuple[str, str]], offset: Index | None = None) -> None:
        body = self.body
        for node, (total, error) in totals.items():
            kind = _wide(node)
            if self.parallel and offset is None:
                self.parts[node] = f"%parts{len(self.parts)}"
                for k, source in enumerate((total, error) if kind == "double" else (total,)):
                    value = body.let(f"load {kind}, ptr {source}")
                    if not k:
                        self._watch(node, body.cast(value, kind, TYPES[node.dtype]))
                    slot = body.let("mul nsw i64 %part, 2")
                    slot = body.let(f"add nsw i64 {slot}, {k}")
                    where = body.let(f"getelementptr inbounds double, ptr {self.parts[node]}, i64 {slot}")
                    body.do(f"store {kind} {value}, ptr {where}")
                continue
            value = store_total(body, node, kind, total, error, self.pointer(node), offset or Index())
            self._watch(node, value)


def _position(groups: Sequence[tuple[int, bool]], loops: Mapping[int, Counter], chosen: Sequence[int]) -> Index:
    total, stride = Index(), 1
    for g in reversed(chosen):
        total = total + loops[g].index * stride
        stride *= groups[g][0]
    return total


class LoopTrial:
    """What a nest would emit: at which places its conditions change, and how many instructions it has."""

    def __init__(self, nest: LoopNest, domain: Shape) -> None:
        trial = Nest({}, set())
        trial.pointers = Pointers(nest.pointers.held, nest.pointers.hidden)
        body = trial.body = Body(trial.pointers, set(), "t")
        names = [f"%t.{k}" for k in range(len(domain))]
        for name, size in zip(names, domain, strict=True):
            body.ranges.set(name, 0, size - 1)
        place = tuple(Index(0, ((name, 1),)) for name in names)
        where: Place = Flat(place[0], nest.step.domain) if nest.flat else place
        for node in nest.step.roots:
            if is_reduction(node):
                body.read(node.inputs[0], where)
            else:
                body.remember(node, where, body.compute(node, where))
        self.lines = len(body.lines)
        self.cuts = {k: body.cuts.get(name, set()) for k, name in enumerate(names)}


def combine_parts(body: Body, node: Node, parts: str, threads: int, pointer: str) -> None:
    """Add the partial results of several threads, in the order of their numbers."""
    kind = _wide(node)
    total, error = (body.variable(kind) for _ in range(2))
    body.do(f"store {kind} {_start_of(node, kind)}, ptr {total}")
    if kind == "double":
        body.do(f"store double {literal(0.0, kind)}, ptr {error}")
    for k in range(threads):
        for j in range(2 if kind == "double" and node.op.name == "sum" else 1):
            where = body.let(f"getelementptr inbounds double, ptr {parts}, i64 {2 * k + j}")
            add_part(body, node, kind, body.let(f"load {kind}, ptr {where}"), total, error)
    store_total(body, node, kind, total, error, pointer, Index())


def add_part(body: Body, node: Node, kind: str, part: str, total: str, error: str) -> None:
    """Add a part to the total (for sums by Knuth's TwoSum, keeping the rounding error)."""
    old = body.let(f"load {kind}, ptr {total}")
    if node.op.name != "sum" or kind != "double":
        body.do(f"store {kind} {combine(body, node.op.name, kind, old, part)}, ptr {total}")
        return
    new = body.let(f"fadd double {old}, {part}")
    back = body.let(f"fsub double {new}, {old}")
    lost_old = body.let(f"fsub double {old}, {body.let(f'fsub double {new}, {back}')}")
    lost_part = body.let(f"fsub double {part}, {back}")
    lost = body.let(f"fadd double {lost_old}, {lost_part}")
    kept = body.let(f"load double, ptr {error}")
    body.do(f"store double {body.let(f'fadd double {kept}, {lost}')}, ptr {error}")
    body.do(f"store double {new}, ptr {total}")


def store_total(body: Body, node: Node, kind: str, total: str, error: str, pointer: str, offset: Index) -> Value:
    """Write a total, with its error added, to memory, and return it."""
    value = body.let(f"load {kind}, ptr {total}")
    if node.op.name == "sum" and kind == "double":
        lost = body.let(f"load double, ptr {error}")
        number = body.let(f"fcmp ord double {lost}, {lost}")  # not so where the sum is infinite
        value = body.let(f"select i1 {number}, double {body.let(f'fadd double {value}, {lost}')}, double {value}")
    value = body.cast(value, kind, TYPES[node.dtype])
    body.store(value, node, pointer, offset)
    return value


def _wide(node: Node) -> str:
    """Return the type in which a reduction accumulates: sums and products of float32 in double."""
    kind = TYPES[node.dtype]
    return "double" if kind == "float" and node.op.name in ("sum", "prod") else kind


def _start_of(node: Node, kind: str) -> str:
    start = _START[node.op.name]
    if kind == "i64" and node.op.name in ("max", "min"):
        return str(-(2**63) if node.op.name == "max" else 2**63 - 1)
    return literal(start, kind)


def combine(body: Body, name: str, kind: str, one: str, two: str, freely: bool = True) -> str:
    """Return one step of a reduction."""
    if name in ("any", "all"):
        return body.let(f"{'or' if name == 'any' else 'and'} i1 {one}, {two}")
    if name in ("max", "min"):
        if kind == "i64":
            return body.call("i64", f"llvm.s{name}.i64", ("i64", one), ("i64", two))
        suffix = "f64" if kind == "double" else "f32"
        return body.call(kind, f"llvm.{name}imum.{suffix}", (kind, one), (kind, two))
    if kind == "i64":
        return body.let(f"{'add' if name == 'sum' else 'mul'} i64 {one}, {two}")
    return body.let(f"{'fadd' if name == 'sum' else 'fmul'} {'reassoc ' if freely else ''}{kind} {one}, {two}")


# -- running sums, scattered elements, checks ----------------------------------------------------------


class RunNest(Nest):
    """A running sum along an axis."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], step: Run) -> None:
        node = step.node
        super().__init__(slots, declared, [node])
        body, (x,) = self.body, node.inputs
        axis, backwards = node.params["axis"], node.params["reverse"]
        kind, length = TYPES[node.dtype], node.shape[axis]
        outer, inner = node.shape[:axis], node.shape[axis + 1 :]

        def line(place: tuple[Index, ...]) -> None:
            front, back = place[: len(outer)], place[len(outer) :]
            total = body.variable(kind)
            body.do(f"store {kind} {literal(0, kind)}, ptr {total}")
            loop = self.open("r", 0, length)
            along = Index(length - 1) + loop.index * -1 if backwards else loop.index
            at = (*front, along, *back)
            body.memo.clear()
            value = body.read(x, at)
            old = body.let(f"load {kind}, ptr {total}")
            new = combine(body, "sum", kind, old, value, freely=False)
            body.do(f"store {kind} {new}, ptr {total}")
            body.store(new, node, self.pointer(node), body.flat(at, node.shape))
            body.memo.clear()
            self.close(loop)

        self.over((*outer, *inner), line)


class SpreadNest(Nest):
    """Elements added (`scatter_add`) or written (`put`) at places given by integer arrays, in their order."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], step: Spread) -> None:
        node = step.node
        super().__init__(slots, declared, [node])
        body = self.body
        adds = node.op.name == "scatter_add"
        if adds:
            part, *indices = node.inputs
        else:
            start, part, *indices = node.inputs
        if node.spec.size:
            fill = self.open("z", 0, node.spec.size)
            value = body.zero(node) if adds else body.read(start, Flat(fill.index, node.shape))
            body.store(value, node, self.pointer(node), fill.index)
            self.close(fill)
        count = indices[0].ndim
        rest = node.shape[len(indices) :]
        domain = (*indices[0].shape, *rest)
        kind, memory = TYPES[node.dtype], memory_type(node)

        def element(place: tuple[Index, ...]) -> None:
            body.memo.clear()
            where = [
                body.wrapped(body.read(index, place[:count]), size)
                for index, size in zip(indices, node.shape, strict=False)
            ]
            value = body.cast_to(body.read(part, body.projected(place, domain, part.shape)), part, node)
            target = body.flat((*where, *place[count:]), node.shape)
            if adds:
                offset = body.integer(target)
                pointer = body.let(f"getelementptr inbounds {memory}, ptr {self.pointer(node)}, i64 {offset}")
                old = body.let(f"load {memory}, ptr {pointer}")
                body.do(f"store {memory} {combine(body, 'sum', kind, old, value, freely=False)}, ptr {pointer}")
            else:
                body.store(value, node, self.pointer(node), target)
            body.memo.clear()

        if math.prod(domain):
            self.over(domain, element)


class JoinNest(Nest):
    """Parts copied to their places in a concatenation."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], step: Join) -> None:
        node = step.node
        super().__init__(slots, declared, [node])
        axis, memory = node.params["axis"], memory_type(node)
        outer = math.prod(node.shape[:axis])
        whole = math.prod(node.shape[axis:])
        declared.add("declare void @llvm.memcpy.p0.p0.i64(ptr noalias, ptr noalias, i64, i1 immarg)")
        start = 0
        for part in node.inputs:
            size = math.prod(part.shape[axis:])
            if part.spec.size:
                self._copy(reshaped(part), node, memory, outer, size, whole, start)
            start += size

    def _copy(self, part: Node, node: Node, memory: str, outer: int, size: int, whole: int, start: int) -> None:
        body = self.body
        row = self.open("row", 0, outer)
        source = body.integer(row.index * size)
        target = body.integer(row.index * whole + start)
        read = body.let(f"getelementptr inbounds {memory}, ptr {self.pointers[part]}, i64 {source}")
        write = body.let(f"getelementptr inbounds {memory}, ptr {self.pointer(node)}, i64 {target}")
        width = size * node.dtype.itemsize
        body.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {write}, ptr {read}, i64 {width}, i1 false)")
        self.close(row)


class CheckNest(Nest):
    """Sets a flag where an integer is no index of an axis."""

    def __init__(self, slots: Mapping[Node, int], declared: set[str], step: Check) -> None:
        super().__init__(slots, declared)
        body, node, size = self.body, step.node, step.size
        bad = body.variable("i1")
        body.do(f"store i1 false, ptr {bad}")

        def element(place: tuple[Index, ...]) -> None:
            body.memo.clear()
            value = body.read(node, place)
            shifted = body.let(f"add i64 {value}, {size}")
            outside = body.let(f"icmp uge i64 {shifted}, {2 * size}")
            old = body.let(f"load i1, ptr {bad}")
            body.do(f"store i1 {body.let(f'or i1 {old}, {outside}')}, ptr {bad}")
            body.memo.clear()

        if node.spec.size:
            self.over(node.shape, element)
        self.flag = body.let(f"load i1, ptr {bad}")

    def text(self, name: str, parallel: bool = False, parts: Sequence[str] = ()) -> str:
        text = super().text(name).replace("define internal void", "define internal i1")
        return text.removesuffix("  ret void\n}") + f"  ret i1 {self.flag}\n}}"
