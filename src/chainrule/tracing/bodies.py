"""Functions traced without values, as programs that a loop, a solver or an integral holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import ir, tree
from chainrule.errors import DtypeError
from chainrule.ir import Builder, Node, Program
from chainrule.ops.control import NUMPY, Control
from chainrule.tracing.array import TracedArray, TracedNumber, compute, lift, newest
from chainrule.tracing.constructors import tracing_into
from chainrule.tracing.origin import at
from chainrule.types import Spec


def is_python(value: Any) -> bool:
    """Whether a value is a number of Python's own, which takes the dtype of what stands beside it."""
    return isinstance(value, int | float | complex) and not isinstance(value, np.generic | bool)


class Body:
    """A function traced without values, in a graph of its own.

    Attributes:
        builder: Its graph.
        inputs: Its arguments.
        outputs: Its results.
    """

    def __init__(
        self,
        loop: str,
        specs: Sequence[Spec],
        weak: Sequence[bool],
        names: Sequence[str],
        bound: Sequence[TracedArray] | None = None,
    ) -> None:
        self.builder = Builder(lazy=True, body_of=loop)
        self.bound = bound
        self.inputs: list[Node] = []
        self.outputs: list[Node] = []
        for k, (spec, name) in enumerate(zip(specs, names, strict=True)):
            value = bound[k].node.value if bound else None
            self.inputs.append(self.builder.input(spec, value, name, binding=bound[k] if bound else None))
        self.handles = [
            TracedNumber(self.builder, node) if weak and weak[k] else TracedArray(self.builder, node)
            for k, node in enumerate(self.inputs)
        ]

    def run(self, f: Callable[[list[Any]], Any], flat: bool = True) -> tuple[Any, Any]:
        """Return what f makes of the arguments: leaves and structure, or as it is."""
        with tracing_into(self.builder):
            result = f(list(self.handles))
        self.builder.verify()
        return tree.flatten(result) if flat else (result, None)

    def output(self, leaf: Any, dtypes: Sequence[np.dtype[Any]] = ()) -> Node:
        """Add a result; a Python number takes the dtype it has beside `dtypes`."""
        if not isinstance(leaf, TracedArray | np.ndarray | np.generic | int | float | complex):
            raise DtypeError(f"{self.builder.body_of}: arrays are expected, got {type(leaf).__name__} {leaf!r}{at()}")
        node = lift(self.builder, leaf, dtypes if is_python(leaf) else ())
        self.outputs.append(node)
        return node


@dataclass(frozen=True, slots=True)
class Around:
    """What bodies use from around them.

    Attributes:
        values: Traced and plain arrays, which become arguments of the loop.
        numbers: Numbers that the bodies hold.
        looked: For each body that looked at values around it, how to say so in the graph outside.
    """

    values: list[Any]
    numbers: list[Any]
    looked: list[Callable[[Builder, Sequence[Node]], None]]

    def __len__(self) -> int:
        return len(self.values)


def close(traces: Sequence[Body]) -> tuple[list[Program], Around]:
    """Return bodies whose first arguments are what they use from around them, and this.

    They are built anew, without what only tracing needs.
    """
    places: dict[Any, int] = {}
    values: list[Any] = []
    specs: list[Spec] = []
    found: list[dict[Node, int]] = []
    for trace in traces:
        trace.builder.open = False
        own: dict[Node, int] = {}
        for node in ir.ancestors((*trace.outputs, *trace.builder.guards)):
            if node.op is not ir.CONSTANT or node.binding is None:
                continue
            key = node.binding.node if isinstance(node.binding, TracedArray) else id(node.binding)
            if key not in places:
                places[key] = len(values)
                values.append(node.binding)
                specs.append(node.spec)
            own[node] = places[key]
        found.append(own)
    programs = []
    for trace, own in zip(traces, found, strict=True):
        builder = Builder(lazy=True, body_of=trace.builder.body_of or "checkpoint")
        captured = [builder.input(spec) for spec in specs]
        for node, k in own.items():
            if node.is_named:
                builder.name(captured[k], node.name)
        inputs = []
        for node in trace.inputs:
            inputs.append(builder.input(node.spec, name=node.name))
        mapping = {node: captured[k] for node, k in own.items()} | dict(zip(trace.inputs, inputs, strict=True))
        outputs = ir.inline(trace.outputs, mapping, builder)
        programs.append(Program((*captured, *inputs), tuple(outputs), builder))
    numbers = [
        node.value
        for trace in traces
        for node in trace.builder.table.values()
        if node.op is ir.CONSTANT and not node.shape
    ]
    looked: list[Callable[[Builder, Sequence[Node]], None]] = [
        functools.partial(_look_outside, trace, own)
        for trace, own in zip(traces, found, strict=True)
        if trace.builder.guards
    ]
    return programs, Around(values, numbers, looked)


def _look_outside(trace: Body, own: dict[Node, int], builder: Builder, nodes: Sequence[Node]) -> None:
    """Note in the graph outside what a body looked at: it depends on nothing but what is around the body."""
    mapping = {node: nodes[k] for node, k in own.items()}
    if trace.bound is not None:
        mapping |= {node: lift(builder, value) for node, value in zip(trace.inputs, trace.bound, strict=True)}
    guards = trace.builder.guards
    for node, seen in zip(ir.inline(list(guards), mapping, builder), guards.values(), strict=True):
        if node.op is not ir.CONSTANT:
            builder.guards.setdefault(node, seen)


def apply(control: Control, first: Sequence[Any], around: Around, rest: Sequence[Any]) -> list[Any]:
    """Record a loop in the newest graph among its arguments, and return its results; run it if nothing is traced."""
    operands = [*first, *around.values, *rest]
    if not any(isinstance(value, TracedArray) for value in operands):
        return list(control.evaluate(operands, NUMPY))
    builder = newest(operands)
    if builder.lazy:
        for number in around.numbers:
            builder.constant(number)
    nodes = [lift(builder, value) for value in operands]
    for look in around.looked:
        look(builder, nodes[len(first) : len(first) + len(around)])
    owner = compute(builder, control.op, tuple(nodes), {"control": control})
    count = range(len(control.specs))
    return [TracedArray(builder, compute(builder, ir.ITEM, (owner,), {"index": k})) for k in count]


__all__ = ["Around", "Body", "apply", "close", "is_python"]
