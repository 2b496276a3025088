"""Loops and branches that stay one node of the graph: cond, while_loop, scan, checkpoint, and their derivative.

The node's parameter `control` holds its bodies, programs of their own; what a body uses from around it is an argument
of the node. Two operations on a control give all derivatives:

- *push*: a control of the same kind whose bodies carry values and tangents together (`Control.pushed`);
- *pull*: the op `pullback`, the reverse sweep through the control, which runs the bodies' own reverse sweeps.

Both come from the edges inside the bodies. The two are closed under differentiation: with f the control, y_bar fixed
and φ(x) = y_bar · f(x), the pullback is the gradient of φ. Its derivative along x_dot is the gradient of
y_bar · (∂f/∂x) x_dot, which is the pullback of the pushed control; and the second derivative of φ is symmetric, so that
this map is its own transpose.

References:
    Griewank & Walther, Algorithm 799: revolve, ACM Trans. Math. Softw. 26 (2000); Evaluating Derivatives, 2nd ed.
    (2008), ch. 12: reversal schedules.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.edges import Diagonal, Edge, Joint, part, pull, push, zeros
from chainrule.errors import UnsupportedError
from chainrule.ir import REGISTRY, Node, Op, Program
from chainrule.types import Spec

KEEP = 1 << 30
"""Bytes up to which a loop keeps the carries of all its steps for a reverse sweep; beyond, the sweep runs it again."""

Values = Sequence[Any]
Flags = tuple[bool, ...]


class Results(tuple[Any, ...]):
    """The results of a loop.

    Attributes:
        history: For each carry the values it had before each step, stacked; None where they were not kept.
    """

    history: list[np.ndarray] | None = None

    @staticmethod
    def of(values: Values, history: list[np.ndarray] | None = None) -> Results:
        """Return results with their history."""
        found = Results(values)
        found.history = history
        return found


# -- running bodies --------------------------------------------------------------------------------------


class Engine:
    """How bodies are run: here by NumPy, step by step. `chainrule.llvm` has one that runs machine code."""

    def run(self, program: Program, values: Values) -> Values:
        """Return the outputs of a program."""
        return self.prepared(program)(values)

    def prepared(self, program: Program) -> Callable[[Values], Values]:
        """Return a function that runs a program; made once."""
        key = ("prepared", program.inputs, program.outputs)
        memo = program.builder.memo
        if key not in memo:
            memo[key] = _prepared(program)
        found: Callable[[Values], Values] = memo[key]
        return found

    def iterate(
        self, body: Program, consts: Values, carry: Values, xs: Values, length: int,
        reverse: bool = False, keep: bool = False,
    ) -> tuple[Values, list[np.ndarray], list[np.ndarray] | None]:  # fmt: skip
        """Run ``*carry, *ys = body(*consts, *carry, *xs[k])`` for all k; `reverse` begins with the last.

        Returns:
            The last carry, the stacked ys, and the stacked carries before each step where asked to `keep` them.
        """
        step, count = self.prepared(body), len(carry)
        ys = [np.empty((length, *node.shape), node.dtype) for node in body.outputs[count:]]
        stacks = [np.empty((length, *node.shape), node.dtype) for node in body.outputs[:count]] if keep else None
        for k in reversed(range(length)) if reverse else range(length):
            for stack, value in zip(stacks or (), carry, strict=False):
                stack[k] = value
            found = step([*consts, *carry, *(x[k] for x in xs)])
            carry = found[:count]
            for y, value in zip(ys, found[count:], strict=True):
                y[k] = value
        return carry, ys, stacks

    def repeat(
        self, test: Program, body: Program, consts: Values, carry: Values, keep: float = 0
    ) -> tuple[Values, list[np.ndarray] | None]:
        """Run ``carry = body(*consts, *carry)`` while the test holds.

        Returns:
            The last carry, and the stacked carries before each step if there are no more than `keep` steps.
        """
        check, step = self.prepared(test), self.prepared(body)
        kept: list[Values] = []
        while check([*consts, *carry])[0]:
            if len(kept) < keep:
                kept.append(carry)
            else:
                keep, kept = 0, []
            carry = step([*consts, *carry])
        if not keep:
            return carry, None
        columns = zip(*kept, strict=True) if kept else [()] * len(carry)
        return carry, [
            np.array(column, node.dtype).reshape(len(kept), *node.shape)
            for column, node in zip(columns, body.outputs, strict=True)
        ]


def _prepared(program: Program) -> Callable[[Values], Values]:
    """Return a function that runs a program with NumPy: who takes what is found out once."""
    nodes = program.nodes
    place = {node: k for k, node in enumerate(dict.fromkeys((*program.inputs, *nodes)))}
    template = [node.value if node.op is ir.CONSTANT else None for node in place]
    steps = [
        (node.op.evaluate, [place[arg] for arg in node.inputs], dict(node.params), place[node])
        for node in nodes
        if node.op not in (ir.INPUT, ir.CONSTANT)
    ]
    count, results = len(program.inputs), [place[node] for node in program.outputs]

    def run(values: Values) -> Values:
        memory = template.copy()
        memory[:count] = values
        for evaluate, args, params, target in steps:
            memory[target] = evaluate(*[memory[k] for k in args], **params)
        return [memory[k] for k in results]

    return run


NUMPY = Engine()


# -- programs from programs --------------------------------------------------------------------------------


def _derived(program: Program, key: Any, make: Callable[[], tuple[Any, Any, Any]]) -> tuple[Program, Any]:
    """Return a program in the builder of another, and what else `make` returns; made once.

    The builder remembers nodes, not programs: these hold it.
    """
    memo = program.builder.memo
    key = (key, program.inputs, program.outputs)
    if key not in memo:
        memo[key] = make()
    inputs, outputs, more = memo[key]
    return Program(tuple(inputs), tuple(outputs), program.builder), more


def _grouped(values: Sequence[Any], groups: Sequence[int]) -> list[Sequence[Any]]:
    """Cut a sequence into parts of these lengths."""
    ends = list(itertools.accumulate(groups))
    return [values[end - size : end] for size, end in zip(groups, ends, strict=True)]


def _paired(values: Sequence[Any], others: Sequence[Any], groups: Sequence[int]) -> list[Any]:
    """Return, group by group, the values and after them the others that are not None."""
    found: list[Any] = []
    for one, two in zip(_grouped(values, groups), _grouped(others, groups), strict=True):
        found += [*one, *(other for other in two if other is not None)]
    return found


def _pushed(
    program: Program, flags: Flags, ins: Sequence[int], outs: Sequence[int], forced: Flags
) -> tuple[Program, Flags]:
    """Return a program of values and tangents: flagged inputs have one; and which outputs have.

    Inputs and outputs come in groups; the tangents of a group stand after its values. Outputs that are `forced` have
    a tangent even if it is zero.
    """

    def make() -> tuple[Any, Any, Any]:
        builder = program.builder
        dots = [
            builder.input(node.spec, name=f"{node.name}_dot") if flag else None
            for node, flag in zip(program.inputs, flags, strict=True)
        ]
        seeds = {node: dot for node, dot in zip(program.inputs, dots, strict=True) if dot is not None}
        found = [
            zeros(builder, node.spec) if dot is None and must else dot
            for node, dot, must in zip(program.outputs, push(seeds, program.outputs), forced, strict=True)
        ]
        inputs, outputs = _paired(program.inputs, dots, ins), _paired(program.outputs, found, outs)
        return inputs, outputs, tuple(dot is not None for dot in found)

    return _derived(program, ("push", flags, forced), make)


def _pulled(program: Program, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Program, Flags]:
    """Return the reverse sweep: inputs and cotangents of given outputs in, cotangents of wanted inputs out.

    Zeros where a wanted input is not reached; the flags say which ones are.
    """

    def make() -> tuple[Any, Any, Any]:
        bars = [program.builder.input(program.outputs[k].spec) for k in given]
        found = pull(_seeds(program, given, bars), [program.inputs[k] for k in wanted])
        filled = [
            zeros(program.builder, program.inputs[k].spec) if bar is None else bar
            for k, bar in zip(wanted, found, strict=True)
        ]
        return (*program.inputs, *bars), filled, tuple(bar is not None for bar in found)

    return _derived(program, ("pull", given, wanted), make)


def _seeds(program: Program, given: Sequence[int], bars: Sequence[Node]) -> dict[Node, Node]:
    """Return the cotangents of a program's outputs by node; the same node may be several outputs."""
    seeds: dict[Node, Node] = {}
    for k, bar in zip(given, bars, strict=True):
        node = program.outputs[k]
        seeds[node] = seeds[node] + bar if node in seeds else bar
    return seeds


def _batched(program: Program, flags: Flags, size: int, forced: Flags) -> tuple[Program, Flags]:
    """Return a program with one more axis in front of the flagged inputs, and which outputs have one.

    Outputs that are `forced` have one in any case.
    """

    def make() -> tuple[Any, Any, Any]:
        builder = program.builder
        inputs = [
            builder.input(node.spec.with_shape((size, *node.shape))) if flag else node
            for node, flag in zip(program.inputs, flags, strict=True)
        ]
        mapping = {node: new for node, new in zip(program.inputs, inputs, strict=True) if new is not node}
        found = [
            node.broadcast_to((size, *node.shape)) if new is None and must else new
            for node, new, must in zip(program.outputs, ir.batch(program.outputs, mapping), forced, strict=True)
        ]
        outputs = [node if new is None else new for node, new in zip(program.outputs, found, strict=True)]
        return inputs, outputs, tuple(new is not None for new in found)

    return _derived(program, ("batch", flags, size, forced), make)


# -- what there is to say of a control -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pushed:
    """A control that computes values and tangents.

    Attributes:
        control: It.
        inputs: What each of its inputs is: (k, False) the k-th value of the original, (k, True) its tangent.
        results: Where each result of the original and its tangent stand; None for a tangent that is zero.
    """

    control: Control
    inputs: tuple[tuple[int, bool], ...]
    results: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Batched:
    """A control that computes a batch.

    Attributes:
        control: It.
        inputs: Where the axis of the batch stands in each input; None where there is none.
        results: The same of the results.
    """

    control: Control
    inputs: tuple[int | None, ...]
    results: tuple[int | None, ...]


class Control(ABC):
    """The bodies of a node, and what they are run as."""

    @property
    @abstractmethod
    def op(self) -> Op:
        """The op of its nodes."""

    @property
    @abstractmethod
    def arity(self) -> int:
        """Number of arguments."""

    @property
    @abstractmethod
    def specs(self) -> tuple[Spec, ...]:
        """Specs of the results."""

    @property
    def keeps(self) -> bool:
        """Whether the results hold what a reverse sweep needs."""
        return False

    @property
    @abstractmethod
    def bodies(self) -> tuple[Program, ...]:
        """Its programs."""

    @abstractmethod
    def words(self) -> str:
        """Return what it is, in words."""

    @abstractmethod
    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        """Run it; `keep` what a reverse sweep needs, if that is not too much."""

    @abstractmethod
    def pushed(self, flags: Flags) -> Pushed:
        """Return the control of values and tangents; the flagged inputs have one."""

    @abstractmethod
    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Return those of the wanted inputs that cotangents of the given results reach."""

    @abstractmethod
    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return the cotangents of the wanted inputs, each of which is reached.

        Args:
            results: Those of the forward run, where the control keeps what it needs in them.
            values: All inputs.
            bars: Cotangents of the given results.
            given: Positions of these results.
            wanted: Positions of the wanted inputs.
            batch: Length of the axis that all cotangents have in front; None where they have none.
            engine: What runs the bodies.
        """

    @abstractmethod
    def batched(self, flags: Flags, size: int) -> Batched:
        """Return the control of a batch, of which the flagged inputs have an axis."""


@dataclass(frozen=True, slots=True)
class Call(Control):
    """A program run as one node; its reverse sweep computes the inside again."""

    body: Program

    @property
    def op(self) -> Op:
        return checkpoint

    @property
    def arity(self) -> int:
        return len(self.body.inputs)

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(node.spec for node in self.body.outputs)

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.body,)

    def words(self) -> str:
        return "checkpoint"

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        return Results(engine.run(self.body, values))

    def pushed(self, flags: Flags) -> Pushed:
        groups = [len(flags)], [len(self.body.outputs)]
        program, has = _pushed(self.body, flags, *groups, (False,) * len(self.body.outputs))
        return Pushed(Call(program), *_places(flags, has, *groups))

    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        _, flags = _pulled(self.body, given, wanted)
        return tuple(itertools.compress(wanted, flags))

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        program = _over_bars(_pulled(self.body, given, wanted)[0], len(values), batch)
        return tuple(engine.run(program, [*values, *bars]))

    def batched(self, flags: Flags, size: int) -> Batched:
        program, has = _batched(self.body, flags, size, (False,) * len(self.body.outputs))
        return Batched(Call(program), _front(flags), _front(has))


@dataclass(frozen=True, slots=True)
class Cond(Control):
    """Two programs of the same inputs, of which the first argument chooses one."""

    true: Program
    false: Program

    @property
    def op(self) -> Op:
        return cond

    @property
    def arity(self) -> int:
        return 1 + len(self.true.inputs)

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(node.spec for node in self.true.outputs)

    @property
    def bodies(self) -> tuple[Program, ...]:
        return self.true, self.false

    def words(self) -> str:
        return "cond"

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        return Results(engine.run(self.true if values[0] else self.false, values[1:]))

    def pushed(self, flags: Flags) -> Pushed:
        groups = [len(flags) - 1], [len(self.specs)]
        has = (False,) * len(self.specs)
        for branch in (self.true, self.false):
            has = tuple(map(max, has, _pushed(branch, flags[1:], *groups, (False,) * len(has))[1]))
        branches = [_pushed(branch, flags[1:], *groups, has)[0] for branch in (self.true, self.false)]
        inputs, results = _places(flags[1:], has, *groups)
        return Pushed(Cond(*branches), ((0, False), *((k + 1, is_dot) for k, is_dot in inputs)), results)

    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        inner = tuple(k - 1 for k in wanted)
        flags = map(max, *(_pulled(branch, given, inner)[1] for branch in (self.true, self.false)))
        return tuple(itertools.compress(wanted, flags))

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        branch = self.true if values[0] else self.false
        program = _pulled(branch, given, tuple(k - 1 for k in wanted))[0]
        program = _over_bars(program, len(values) - 1, batch)
        return tuple(engine.run(program, [*values[1:], *bars]))

    def batched(self, flags: Flags, size: int) -> Batched:
        if flags[0]:
            return Call(self._selection()).batched(flags, size)
        every = (True,) * len(self.specs)
        branches = [_batched(branch, flags[1:], size, every)[0] for branch in (self.true, self.false)]
        return Batched(Cond(*branches), _front(flags), _front(every))

    def _selection(self) -> Program:
        """Return the program that computes both branches and takes each element from one of them."""

        def make() -> tuple[Any, Any, Any]:
            builder = self.true.builder
            predicate = builder.input(Spec((), np.dtype(bool)))
            mapping = dict(zip(self.false.inputs, self.true.inputs, strict=True))
            others = ir.inline(self.false.outputs, mapping, builder)
            pairs = zip(self.true.outputs, others, strict=True)
            return (predicate, *self.true.inputs), [REGISTRY["where"](predicate, a, b) for a, b in pairs], None

        return _derived(self.true, ("select", self.false.inputs, self.false.outputs), make)[0]


@dataclass(frozen=True, slots=True)
class _Loop(Control):
    """What loops have in common: a body of constants, carries and elements, to carries and elements."""

    body: Program
    consts: int
    carries: int

    @property
    def ins(self) -> list[int]:
        """Number of constants, carries and elements taken."""
        return [self.consts, self.carries, len(self.body.inputs) - self.consts - self.carries]

    @property
    def outs(self) -> list[int]:
        """Number of carries and elements given."""
        return [self.carries, len(self.body.outputs) - self.carries]

    @property
    def arity(self) -> int:
        return len(self.body.inputs)

    @property
    def carry_bytes(self) -> int:
        """Memory of a carry."""
        return sum(node.spec.size * node.dtype.itemsize for node in self.body.outputs[: self.carries])

    def split(self, values: Values) -> list[Values]:
        """Return constants, carries and arrays of elements."""
        return list(_grouped(values, self.ins))

    def _active(self, flags: Flags) -> Flags:
        """Return which inputs of the body depend on the flagged ones, through any number of steps."""
        flags = tuple(flag and node.spec.is_inexact for node, flag in zip(self.body.inputs, flags, strict=True))
        while True:
            sources = itertools.compress(self.body.inputs, flags)
            reached = set(ir.between(self.body.outputs, sources))
            grown = list(flags)
            for k, node in enumerate(self.body.outputs[: self.carries]):
                grown[self.consts + k] |= node in reached and node.spec.is_inexact
            if tuple(grown) == flags:
                return flags
            flags = tuple(grown)

    def _pushed_body(self, flags: Flags) -> tuple[Flags, Program, Flags]:
        flags = self._active(flags)
        forced = (*flags[self.consts : self.consts + self.carries], *[False] * self.outs[1])
        return flags, *_pushed(self.body, flags, self.ins, self.outs, forced)

    def reached(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
        return self.back(given, wanted)[1].reached

    def back(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Program, Back]:
        """Return the step of the reverse sweep: a body for `Engine.iterate`, and what it works on.

        Its constants are those of the loop; its carries the sums of the cotangents of the constants, then the
        cotangents of carries; its elements the carries and elements of the forward step, then cotangents of ys.
        """

        def make() -> tuple[Any, Any, Any]:
            body, builder = self.body, self.body.builder
            first, last = self.consts, self.consts + self.carries
            flags = self._active(tuple(k in wanted for k in range(len(body.inputs))))
            places = [k for k, flag in enumerate(flags) if flag]
            ys = [k for k in given if k >= self.carries]
            y_bars = [builder.input(body.outputs[k].spec) for k in ys]
            held = [k for k in range(self.carries) if flags[first + k] and k in given]
            bars = {k: builder.input(body.outputs[k].spec) for k in held}
            while True:  # cotangents reach more carries with each step, until they do not
                seeds = _seeds(body, [*bars, *ys], [*bars.values(), *y_bars])
                found = dict(zip(places, pull(seeds, [body.inputs[k] for k in places]), strict=True))
                new = [k - first for k in places if first <= k < last and found[k] is not None]
                more = [k for k in new if k not in bars]
                if not more:
                    break
                bars |= {k: builder.input(body.outputs[k].spec) for k in more}
            held = sorted(bars)
            reached = tuple(k for k in wanted if (k - first in bars if first <= k < last else found[k] is not None))
            sums = [builder.input(body.inputs[k].spec) for k in reached if k < first]
            outputs: list[Any] = [total + found[k] for total, k in zip(sums, reached, strict=False)]
            for k in held:
                bar = found[first + k]
                outputs.append(zeros(builder, body.outputs[k].spec) if bar is None else bar)
            outputs += [found[k] for k in reached if k >= last]
            inputs = [*body.inputs[:first], *sums, *(bars[k] for k in held), *body.inputs[first:], *y_bars]
            return inputs, outputs, Back(reached, tuple(held), len(sums))

        return _derived(self.body, ("back", self.consts, self.carries, given, wanted), make)

    def _sweep(
        self, history: Values, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine, reverse: bool, length: int,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Run the reverse sweep with the carries of all steps at hand."""
        program, back = self.back(given, wanted)
        consts, _, xs = self.split(values)
        sums, held, y_bars = self._starts(program, back, bars, given, batch)
        program = self._over(program, back, batch)
        carry, elements, _ = engine.iterate(program, consts, [*sums, *held], [*history, *xs, *y_bars], length, reverse)
        return self._ordered(back, wanted, carry, elements, batch)

    def _starts(
        self, program: Program, back: Back, bars: Values, given: tuple[int, ...], batch: int | None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return what the reverse sweep starts from: zeros, cotangents of carries, and those of ys, steps in front."""
        lead = () if batch is None else (batch,)
        inputs = program.inputs[self.consts :]
        by_place = dict(zip(given, bars, strict=True))
        sums = [np.zeros((*lead, *node.shape), node.dtype)[()] for node in inputs[: back.sums]]
        held = [
            by_place[k] if k in by_place else np.zeros((*lead, *node.shape), node.dtype)[()]
            for k, node in zip(back.held, inputs[back.sums :], strict=False)
        ]
        y_bars = [bar if batch is None else np.moveaxis(bar, 1, 0) for k, bar in by_place.items() if k >= self.carries]
        return sums, held, y_bars

    def _over(self, program: Program, back: Back, batch: int | None) -> Program:
        """Return the step of the reverse sweep for cotangents with an axis in front."""
        if batch is None:
            return program
        carried = back.sums + len(back.held)
        forward = self.carries + self.ins[2]
        rest = len(program.inputs) - self.consts - carried - forward
        flags = (*[False] * self.consts, *[True] * carried, *[False] * forward, *[True] * rest)
        return _batched(program, flags, batch, (True,) * len(program.outputs))[0]

    def _ordered(
        self, back: Back, wanted: tuple[int, ...], carry: Values, elements: Values, batch: int | None
    ) -> tuple[Any, ...]:
        """Return the cotangents in the order in which they are wanted."""
        sums, rest = iter(carry[: back.sums]), dict(zip(back.held, carry[back.sums :], strict=True))
        parts = iter(elements)
        found = []
        for k in wanted:
            if k < self.consts:
                found.append(next(sums))
            elif k < self.consts + self.carries:
                found.append(rest[k - self.consts])
            else:
                element = next(parts)
                found.append(element if batch is None else np.moveaxis(element, 0, 1))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Back:
    """What the step of a reverse sweep works on.

    Attributes:
        reached: Inputs of the loop that have a cotangent, of those wanted.
        held: Carries that have one.
        sums: How many of the constants do.
    """

    reached: tuple[int, ...]
    held: tuple[int, ...]
    sums: int


@dataclass(frozen=True, slots=True)
class Scan(_Loop):
    """A loop of known length. With `slots`, its reverse sweep stores so many carries and computes the others again."""

    length: int
    reverse: bool = False
    slots: int | None = None

    @property
    def op(self) -> Op:
        return scan

    @property
    def specs(self) -> tuple[Spec, ...]:
        carry, ys = _grouped([node.spec for node in self.body.outputs], self.outs)
        return (*carry, *(spec.with_shape((self.length, *spec.shape)) for spec in ys))

    @property
    def keeps(self) -> bool:
        return self.slots is None

    @property
    def bodies(self) -> tuple[Program, ...]:
        return (self.body,)

    def words(self) -> str:
        return f"scan of {self.length} steps"

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        consts, carry, xs = self.split(values)
        keep &= self.keeps and self.length * self.carry_bytes <= KEEP
        carry, ys, history = engine.iterate(self.body, consts, carry, xs, self.length, self.reverse, keep)
        return Results.of((*carry, *ys), history)

    def pushed(self, flags: Flags) -> Pushed:
        flags, program, has = self._pushed_body(flags)
        count = self.carries + sum(has[: self.carries])
        consts = self.consts + sum(flags[: self.consts])
        control = replace(self, body=program, consts=consts, carries=count)
        return Pushed(control, *_places(flags, has, self.ins, self.outs))

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        if self.slots is not None:
            return self._revolve(self.slots, values, bars, given, wanted, batch, engine)
        history = None if results is None else results.history
        if history is None:
            consts, carry, xs = self.split(values)
            *_, history = engine.iterate(self._advance, consts, carry, xs, self.length, self.reverse, True)
            assert history is not None
        return self._sweep(history, values, bars, given, wanted, batch, engine, not self.reverse, self.length)

    @property
    def _advance(self) -> Program:
        """The body without its ys."""
        return replace_outputs(self.body, self.body.outputs[: self.carries])

    def _revolve(
        self, slots: int, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Run the reverse sweep with few stored carries: those in between are computed again from them."""
        program, back = self.back(given, wanted)
        consts, carry, xs = self.split(values)
        sums, held, y_bars = self._starts(program, back, bars, given, batch)
        program = self._over(program, back, batch)
        turn = -1 if self.reverse else 1
        xs, y_bars = [x[::turn] for x in xs], [bar[::turn] for bar in y_bars]
        lead = () if batch is None else (batch,)
        elements = [
            np.empty((self.length, *lead, *self.body.inputs[k].shape), self.body.inputs[k].dtype)
            for k in back.reached
            if k >= self.consts + self.carries
        ]
        state: Values = [*sums, *held]
        stored = {0: carry}
        for action, start, stop in schedule(self.length, slots):
            if action == "advance":
                carry = stored[start]
                pieces = [x[start:stop] for x in xs]
                carry, *_ = engine.iterate(self._advance, consts, carry, pieces, stop - start)
            elif action == "store":
                stored[start] = carry
            elif action == "free":
                del stored[start]
            else:
                carry = stored.get(start, carry)
                one = [*(np.asarray(value)[None] for value in carry), *(x[start:stop] for x in (*xs, *y_bars))]
                state, parts, _ = engine.iterate(program, consts, state, one, 1)
                for element, part_ in zip(elements, parts, strict=True):
                    element[start] = part_[0]
        return self._ordered(back, wanted, state, [element[::turn] for element in elements], batch)

    def batched(self, flags: Flags, size: int) -> Batched:
        flags, program, has = _batched_body(self, flags, size)
        control = replace(self, body=program)
        carries = has[: self.carries]
        inputs = [(1 if k >= self.consts + self.carries else 0) if flag else None for k, flag in enumerate(flags)]
        results = [*_front(carries), *(1 if flag else None for flag in has[self.carries :])]
        return Batched(control, tuple(inputs), tuple(results))


@dataclass(frozen=True, slots=True)
class While(_Loop):
    """A loop that runs while a test of its carries holds; a run keeps its carries, and so their number."""

    test: Program

    @property
    def op(self) -> Op:
        return while_loop

    @property
    def specs(self) -> tuple[Spec, ...]:
        return tuple(node.spec for node in self.body.outputs)

    @property
    def keeps(self) -> bool:
        return True

    @property
    def bodies(self) -> tuple[Program, ...]:
        return self.test, self.body

    def words(self) -> str:
        return "while loop"

    def evaluate(self, values: Values, engine: Engine, keep: bool = True) -> Results:
        consts, carry, _ = self.split(values)
        room = KEEP // max(self.carry_bytes, 1) if keep else 0
        carry, history = engine.repeat(self.test, self.body, consts, carry, room)
        return Results.of(carry, history)

    def pushed(self, flags: Flags) -> Pushed:
        flags, program, has = self._pushed_body(flags)
        test = _widened(self.test, flags, program, [self.consts, self.carries])
        consts = self.consts + sum(flags[: self.consts])
        control = While(program, consts, self.carries + sum(has), test)
        return Pushed(control, *_places(flags, has, self.ins, self.outs))

    def pull(
        self, results: Results | None, values: Values, bars: Values, given: tuple[int, ...], wanted: tuple[int, ...],
        batch: int | None, engine: Engine,
    ) -> tuple[Any, ...]:  # fmt: skip
        history = None if results is None else results.history
        if history is None:
            consts, carry, _ = self.split(values)
            _, history = engine.repeat(self.test, self.body, consts, carry, math.inf)
            assert history is not None
        return self._sweep(history, values, bars, given, wanted, batch, engine, True, len(history[0]))

    def batched(self, flags: Flags, size: int) -> Batched:
        new_flags, program, _ = _batched_body(self, flags, size)
        _, (together,) = _batched(self.test, new_flags, size, (False,))
        if not together:
            test = _batched(self.test, new_flags, size, (False,))[0]
            control = While(program, self.consts, self.carries, test)
            return Batched(control, _front(new_flags), _front(new_flags[self.consts :]))
        flags = (*flags[: self.consts], *[True] * self.carries)
        every = (True,) * self.carries
        program, _ = _batched(self._holding(), flags, size, every)
        test = _any_of(_batched(self.test, flags, size, (True,))[0])
        return Batched(While(program, self.consts, self.carries, test), _front(flags), _front(every))

    def _holding(self) -> Program:
        """Return a body that changes nothing where the test does not hold."""

        def make() -> tuple[Any, Any, Any]:
            body = self.body
            (runs,) = ir.inline(self.test.outputs, dict(zip(self.test.inputs, body.inputs, strict=True)), body.builder)
            carry = body.inputs[self.consts :]
            pairs = zip(body.outputs, carry, strict=True)
            return body.inputs, [REGISTRY["where"](runs, new, old) for new, old in pairs], None

        return _derived(self.body, ("hold", self.test.inputs, self.test.outputs), make)[0]


def replace_outputs(program: Program, outputs: Sequence[Node]) -> Program:
    """Return a program that computes other nodes from the same inputs."""
    return Program(program.inputs, tuple(outputs), program.builder)


def _batched_body(loop: _Loop, flags: Flags, size: int) -> tuple[Flags, Program, Flags]:
    """Return which inputs of a loop have a batch, the body for them, and which outputs have one."""
    while True:
        forced = (*flags[loop.consts : loop.consts + loop.carries], *[False] * loop.outs[1])
        program, has = _batched(loop.body, flags, size, forced)
        grown = (*flags[: loop.consts], *has[: loop.carries], *flags[loop.consts + loop.carries :])
        if grown == flags:
            return flags, program, has
        flags = grown


def _widened(test: Program, flags: Flags, body: Program, groups: Sequence[int]) -> Program:
    """Return a test that takes, and ignores, tangents too."""

    def make() -> tuple[Any, Any, Any]:
        dots = [test.builder.input(node.spec) if flag else None for node, flag in zip(test.inputs, flags, strict=True)]
        return _paired(test.inputs, dots, groups), test.outputs, None

    return _derived(test, ("widen", flags), make)[0]


def _any_of(test: Program) -> Program:
    """Return a test that holds where one of a batch does."""

    def make() -> tuple[Any, Any, Any]:
        return test.inputs, [REGISTRY["any"](test.outputs[0], axis=(0,))], None

    return _derived(test, "any", make)[0]


def _places(
    flags: Flags, has: Flags, ins: Sequence[int], outs: Sequence[int]
) -> tuple[tuple[tuple[int, bool], ...], tuple[tuple[int, int | None], ...]]:
    """Return the inputs and results of a pushed control, as in `Pushed`."""

    def order(marks: Flags, groups: Sequence[int]) -> list[tuple[int, bool]]:
        tangents = [(k, True) if mark else None for k, mark in enumerate(marks)]
        return _paired([(k, False) for k in range(len(marks))], tangents, groups)

    place = {entry: k for k, entry in enumerate(order(has, outs))}
    return tuple(order(flags, ins)), tuple((place[k, False], place.get((k, True))) for k in range(len(has)))


def _front(flags: Sequence[bool]) -> tuple[int | None, ...]:
    return tuple(0 if flag else None for flag in flags)


def _over_bars(program: Program, values: int, batch: int | None) -> Program:
    """Return a reverse sweep for cotangents, its inputs after the values, with an axis in front."""
    if batch is None:
        return program
    flags = tuple(k >= values for k in range(len(program.inputs)))
    return _batched(program, flags, batch, (True,) * len(program.outputs))[0]


# -- binomial checkpoints ------------------------------------------------------------------------------------


def schedule(length: int, slots: int) -> Iterator[tuple[str, int, int]]:
    """Yield how to reverse a chain of steps with few stored states and as few steps forward as possible.

    Actions are ("advance", start, stop), from the stored state at `start`; ("store", k, k), the state just reached;
    ("reverse", k, k + 1), a step back from the state before it; ("free", k, k). The initial state counts as one of the
    slots.

    References:
        Griewank & Walther, Algorithm 799: revolve, ACM Trans. Math. Softw. 26 (2000).
    """
    stack, stop = [0], length
    while stop:
        start = stack[-1]
        while stop - start > 1 and len(stack) < slots:
            middle = start + _split(stop - start, slots - len(stack) + 1)
            yield "advance", start, middle
            yield "store", middle, middle
            stack.append(middle)
            start = middle
        if stop - 1 > start:
            yield "advance", start, stop - 1
        stop -= 1
        yield "reverse", stop, stop + 1
        if stack[-1] >= stop > 0:
            yield "free", stack[-1], stack[-1]
            stack.pop()


def _split(length: int, slots: int) -> int:
    """Return after how many of `length` steps to store the next state, with `slots` in all."""
    times = 0
    while math.comb(slots + times, slots) < length:
        times += 1
    return min(_reach(slots, times - 1), length - _reach(slots - 1, times - 1))


def _reach(slots: int, times: int) -> int:
    """Return the longest chain that can be reversed with so many slots, no step being run forward more often."""
    return math.comb(slots + times, slots) if times >= 0 else 0


# -- the ops ---------------------------------------------------------------------------------------------------


def _moved(node: Node, source: int, target: int) -> Node:
    """Return an array with an axis at another place."""
    axes = list(range(node.ndim))
    axes.insert(target, axes.pop(source))
    return node.permute(axes)


def _lead(node: Node, size: int) -> Node:
    return node.broadcast_to((size, *node.shape))


def _size(args: Sequence[Node], flags: Sequence[bool]) -> int:
    return next(arg.shape[0] for arg, flag in zip(args, flags, strict=True) if flag)


def emit(builder: ir.Builder, control: Control, args: Sequence[Node]) -> Node:
    """Return the node of a control applied to arguments."""
    return builder.emit(control.op, tuple(args), {"control": control})


def _batched_node(control: Control, args: Sequence[Node], flags: Flags, size: int) -> tuple[Node, Batched]:
    found = control.batched(flags, size)
    nodes = []
    for arg, flag, axis in zip(args, flags, found.inputs, strict=True):
        if axis is not None:
            arg = _moved(arg if flag else _lead(arg, size), 0, axis)
        nodes.append(arg)
    return emit(args[0].builder, found.control, nodes), found


def _batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = _size(args, batched)
    owner, found = _batched_node(node.params["control"], args, tuple(batched), size)
    parts = []
    for k, axis in enumerate(found.results):
        one = ir.item(owner, k)
        parts.append(_lead(one, size) if axis is None else _moved(one, axis, 0))
    return node.builder.emit(bundle, tuple(parts), {})


def _joint(node: Node) -> Joint:
    control: Control = node.params["control"]
    specs = [arg.spec for arg in node.inputs]

    def pushing(dots: Sequence[Node | None]) -> list[Node | None]:
        dots = [dot if spec.is_inexact else None for dot, spec in zip(dots, specs, strict=True)]
        if not any(dots):
            return [None] * len(node.spec)
        owner, found = _pushed_node(control, node.inputs, dots)
        return [None if dot is None else ir.item(owner, dot) for _, dot in found.results]

    def pulling(bars: Sequence[Node | None], wanted: Sequence[bool]) -> list[Node | None]:
        places = tuple(k for k, (spec, want) in enumerate(zip(specs, wanted, strict=True)) if want and spec.is_inexact)
        given = {k: bar for k, bar in enumerate(bars) if bar is not None and node.spec[k].is_inexact}
        return _pulled_node(node, control, node.inputs, given, places)

    def reaches(k: int, index: int) -> bool:
        return specs[k].is_inexact and node.spec[index].is_inexact and bool(control.reached((index,), (k,)))

    return Joint(pushing, pulling, reaches, control.words())


def _pushed_node(control: Control, args: Sequence[Node], dots: Sequence[Node | None]) -> tuple[Node, Pushed]:
    found = control.pushed(tuple(dot is not None for dot in dots))
    nodes = []
    for k, is_dot in found.inputs:
        dot = dots[k]
        nodes.append(args[k] if not is_dot else zeros(args[k].builder, args[k].spec) if dot is None else dot)
    return emit(args[0].builder, found.control, nodes), found


def _pulled_node(
    owner: Node, control: Control, args: Sequence[Node], given: dict[int, Node], wanted: tuple[int, ...]
) -> list[Node | None]:
    """Return cotangents of the arguments of a control, None where they are zero, from those of its results."""
    found: list[Node | None] = [None] * len(args)
    places = tuple(sorted(given))
    reached = control.reached(places, wanted) if given else ()
    if reached:
        inputs = (*((owner,) if control.keeps else ()), *args, *(given[k] for k in places))
        params = {"control": control, "given": places, "wanted": reached, "batch": None}
        node = owner.builder.emit(pullback, inputs, params)
        for index, k in enumerate(reached):
            found[k] = ir.item(node, index)
    return found


def _no_source(*args: str, control: Control, **params: Any) -> str:
    raise UnsupportedError(f"source: a {control.words()} has no NumPy source; a plain Python loop or `if` has")


def _control(name: str, doc: str) -> Op:
    return Op(
        name,
        doc,
        evaluate=lambda *values, control, engine=NUMPY, keep=True: control.evaluate(values, engine, keep),
        infer=lambda *specs, control: control.specs,
        edge=part,
        batch=_batch,
        source=_no_source,
        family="control",
        lower="control",
        joint=_joint,
    )


checkpoint = _control("checkpoint", "A function of its own, computed again in a reverse sweep.")
cond = _control("cond", "One of two functions, chosen by the first argument.")
scan = _control("scan", "A loop of known length over the first axis of arrays.")
while_loop = _control("while_loop", "A loop that runs while a test holds.")


# -- the reverse sweep -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Application:
    """A node of `pullback`, taken apart: the forward node where it is needed, arguments, cotangents."""

    node: Node

    @property
    def control(self) -> Control:
        found: Control = self.node.params["control"]
        return found

    @property
    def head(self) -> int:
        return int(self.control.keeps)

    def owner(self) -> Node:
        """Return the forward node; where it is not needed, any node of the builder."""
        return self.node.inputs[0]

    def args(self) -> tuple[Node, ...]:
        return self.node.inputs[self.head : self.head + self.control.arity]

    def bars(self) -> tuple[Node, ...]:
        return self.node.inputs[self.head + self.control.arity :]


def _evaluate_pullback(*values: Any, control: Control, given: Any, wanted: Any, batch: Any, engine: Engine = NUMPY,
                       keep: bool = True) -> Any:  # fmt: skip
    head, end = int(control.keeps), int(control.keeps) + control.arity
    results = values[0] if control.keeps else None
    return Results(control.pull(results, values[head:end], values[end:], given, wanted, batch, engine))


def _infer_pullback(*specs: Any, control: Control, given: Any, wanted: Any, batch: int | None) -> tuple[Spec, ...]:
    args = specs[int(control.keeps) :]
    lead = () if batch is None else (batch,)
    return tuple(args[k].with_shape((*lead, *args[k].shape)) for k in wanted)


def _batch_pullback(node: Node, args: list[Node], batched: list[bool]) -> Node:
    own, params, builder = _Application(node), dict(node.params), node.builder
    control, batch = own.control, params["batch"]
    size = _size(args[own.head :], batched[own.head :])
    end = own.head + control.arity
    values, flags = args[own.head : end], batched[own.head : end]
    bars = [arg if flag else _lead(arg, size) for arg, flag in zip(args[end:], batched[end:], strict=True)]
    if not any(flags):
        if batch is not None:
            bars = [bar.reshape((size * batch, *bar.shape[2:])) for bar in bars]
        inputs = (*node.inputs[:end], *bars)
        found = builder.emit(pullback, inputs, params | {"batch": size * (1 if batch is None else batch)})
        parts = [ir.item(found, k) for k in range(len(found.spec))]
        if batch is not None:
            parts = [each.reshape((size, batch, *each.shape[1:])) for each in parts]
        return builder.emit(bundle, tuple(parts), {})
    wanted = params["wanted"]
    forced = tuple(flag or k in wanted for k, flag in enumerate(flags))
    values = [
        _lead(arg, size) if must and not flag else arg for arg, must, flag in zip(values, forced, flags, strict=True)
    ]
    owner, found_batch = _batched_node(control, values, forced, size)
    shift = 0 if batch is None else 1
    given: dict[int, Node] = {}
    for k, bar in zip(params["given"], bars, strict=True):
        axis = found_batch.results[k]
        if axis is not None:  # else it does not depend on what is wanted
            given[k] = _moved(bar, 0, axis + shift)
    places, new = tuple(sorted(given)), found_batch.control
    reached = new.reached(places, wanted) if given else ()
    head = (owner,) if new.keeps else ()
    inputs = (*head, *owner.inputs, *(given[k] for k in places))
    swept = builder.emit(pullback, inputs, {"control": new, "given": places, "wanted": reached, "batch": batch})
    parts = []
    for k, spec in zip(wanted, node.spec, strict=True):
        axis = found_batch.inputs[k]
        if k in reached and axis is not None:
            parts.append(_moved(ir.item(swept, reached.index(k)), axis + shift, 0))
        else:
            parts.append(zeros(builder, spec.with_shape((size, *spec.shape))))
    return builder.emit(bundle, tuple(parts), {})


def _joint_pullback(node: Node) -> Joint:
    own, control = _Application(node), node.params["control"]
    given, wanted, batch = (node.params[key] for key in ("given", "wanted", "batch"))
    args, owner = own.args(), own.owner()
    specs = [arg.spec for arg in args]

    def split(parts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        parts = list(parts[own.head :])
        return parts[: len(args)], parts[len(args) :]

    def pushing(dots: Sequence[Node | None]) -> list[Node | None]:
        arg_dots, bar_dots = split(dots)
        arg_dots = [dot if spec.is_inexact else None for dot, spec in zip(arg_dots, specs, strict=True)]

        def single(bars: Sequence[Node], bar_dots: Sequence[Node | None]) -> list[Node | None]:
            if not any(arg_dots):
                seeds = {k: dot for k, dot in zip(given, bar_dots, strict=True) if dot is not None}
                found = _pulled_node(owner, control, args, seeds, wanted)
                return [found[k] for k in wanted]
            swept, pushed = _pushed_node(control, args, arg_dots)
            seeds = {}
            for k, bar, dot in zip(given, bars, bar_dots, strict=True):
                value, tangent = pushed.results[k]
                if dot is not None:
                    seeds[value] = dot
                if tangent is not None:
                    seeds[tangent] = bar
            places = [pushed.inputs.index((k, False)) for k in wanted]
            found = _pulled_node(swept, pushed.control, swept.inputs, seeds, tuple(sorted(places)))
            return [found[k] for k in places]

        return _in_batch(batch, single, own.bars(), bar_dots)

    def pulling(bars: Sequence[Node | None], asked: Sequence[bool]) -> list[Node | None]:
        ask_args, ask_bars = split(asked)
        ask = tuple(k for k, (flag, spec) in enumerate(zip(ask_args, specs, strict=True)) if flag and spec.is_inexact)

        def single(own_bars: Sequence[Node], dots: Sequence[Node | None]) -> list[Node | None]:
            by_place = dict(zip(wanted, dots, strict=True))
            found: list[Node | None] = [None] * (len(args) + len(given))
            if not any(dots):
                return found
            swept, pushed = _pushed_node(control, args, [by_place.get(k) for k in range(len(args))])
            for j, (k, flag) in enumerate(zip(given, ask_bars, strict=True)):
                tangent = pushed.results[k][1]
                if flag and tangent is not None:
                    found[len(args) + j] = ir.item(swept, tangent)
            if ask:
                seeds = {}
                for k, bar in zip(given, own_bars, strict=True):
                    tangent = pushed.results[k][1]
                    if tangent is not None:
                        seeds[tangent] = bar
                places = {k: pushed.inputs.index((k, False)) for k in ask}
                back = _pulled_node(swept, pushed.control, swept.inputs, seeds, tuple(sorted(places.values())))
                for k, place in places.items():
                    found[k] = back[place]
            return found

        found = _in_batch(batch, single, own.bars(), bars)
        if batch is not None:
            found[: len(args)] = [None if bar is None else bar.sum((0,)) for bar in found[: len(args)]]
        return [*[None] * own.head, *found]

    return Joint(pushing, pulling, lambda k, index: True, f"{control.words()}ᵀ")


def _in_batch(
    batch: int | None,
    single: Callable[[Sequence[Node], Sequence[Node | None]], list[Node | None]],
    bars: Sequence[Node],
    dots: Sequence[Node | None],
) -> list[Node | None]:
    """Return what `single` makes of cotangents and tangents, for each of a batch of them."""
    if batch is None:
        return single(bars, dots)
    builder, mapping = bars[0].builder, {}

    def one(node: Node | None) -> Any:
        if node is None:
            return None
        alone = builder.input(node.spec.with_shape(node.shape[1:]))
        mapping[alone] = node
        return alone

    found = single([one(bar) for bar in bars], [one(dot) for dot in dots])
    some = [node for node in found if node is not None]
    rest = iter(zip(some, ir.batch(some, mapping), strict=True))
    results: list[Node | None] = []
    for node in found:
        if node is None:
            results.append(None)
        else:
            alone, many = next(rest)
            results.append(_lead(alone, batch) if many is None else many)
    return results


pullback = Op(
    "pullback",
    "The reverse sweep through a loop or branch: from cotangents of results to those of arguments.",
    evaluate=_evaluate_pullback,
    infer=_infer_pullback,
    edge=part,
    batch=_batch_pullback,
    source=_no_source,
    family="control",
    lower="control",
    joint=_joint_pullback,
)


# -- several values as one -------------------------------------------------------------------------------------


def _bundle_edge(k: int, node: Node) -> Edge | None:
    return Diagonal(1, node.spec, node.spec, node.shape) if node.params["index"] == k else None


def _batch_bundle(node: Node, args: list[Node], batched: list[bool]) -> Node:
    size = _size(args, batched)
    parts = [arg if flag else _lead(arg, size) for arg, flag in zip(args, batched, strict=True)]
    return node.builder.emit(bundle, tuple(parts), {})


bundle = Op(
    "bundle",
    "Several values as the results of one op.",
    evaluate=lambda *values: values,
    infer=lambda *specs: specs,
    edge=_bundle_edge,
    batch=_batch_bundle,
    source=lambda *args: f"({', '.join(args)},)",
    family="leaf",
)

__all__ = [
    "KEEP",
    "NUMPY",
    "Call",
    "Cond",
    "Control",
    "Engine",
    "Results",
    "Scan",
    "While",
    "bundle",
    "emit",
    "pullback",
    "schedule",
]
