"""Run a program with NumPy: the reference semantics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ir import Builder, Node, Program
from chainrule.tracing.array import TracedArray, leaked, lift


def run(program: Program, args: Sequence[Any], looked_at: Mapping[Node, Any] | None = None) -> list[Any]:
    """Return the outputs for the given inputs, arrays or traced arrays of an outer function.

    What a node's own value already is (from the trace) is used again where the inputs are the same. Where an
    input, or a captured value, is traced by an outer function, the operations that depend on it are recorded
    there: this is how derivatives nest.

    Args:
        program: What to run.
        args: One value per input.
        looked_at: Nodes whose values the function looked at, with what it saw: those of the trace by default.
    """
    bound: dict[Node, Any] = dict(zip(program.inputs, args, strict=True))
    outer: dict[Node, TracedArray] = {node: value for node, value in bound.items() if isinstance(value, TracedArray)}
    looked_at = program.builder.guards if looked_at is None else looked_at
    if any(isinstance(node.binding, TracedArray) for _, node, _ in program.builder.captured.values()):
        for node in ir.ancestors((*program.outputs, *looked_at), program.inputs):
            if isinstance(node.binding, TracedArray):
                outer[node] = node.binding
    if not outer:
        return ir.evaluate(program.outputs, bound)
    return _replay(program, {node: value for node, value in bound.items() if node not in outer}, outer, looked_at)


def _replay(
    program: Program, plain: dict[Node, Any], outer: Mapping[Node, TracedArray], guards: Mapping[Node, Any]
) -> list[Any]:
    """Record in the outer trace what depends on it, also what was looked at, and compute the rest.

    A lazy outer trace records the rest too: there is nothing to compute yet.
    """
    builder = max((value.builder for value in outer.values()), key=lambda each: each.serial)
    if not builder.open:
        raise leaked(outer.values(), builder)
    targets = (*program.outputs, *guards)
    known = {node: lift(builder, value) for node, value in outer.items()}
    if builder.lazy:
        order = ir.ancestors(targets, outer)
        values = {node: lift(builder, value) for node, value in plain.items()}
    else:
        order = ir.between(targets, outer)
        inside = set(order)
        needed = {arg for node in order for arg in node.inputs if arg not in inside and arg not in known}
        needed |= {node for node in targets if node not in inside}
        values = dict(zip(needed, ir.evaluate(list(needed), plain), strict=True))
    with np.errstate(all="ignore"):
        for node in order:
            if node not in known:
                known[node] = _copied(node, builder, known, values)
    for node, seen in guards.items():
        if node in known and known[node].op is not ir.CONSTANT:
            builder.guards.setdefault(known[node], seen)
    return [TracedArray(builder, known[node]) if node in known else values.get(node, node.value)
            for node in program.outputs]  # fmt: skip


def _copied(node: Node, builder: Builder, known: Mapping[Node, Node], values: Mapping[Node, Any]) -> Node:
    """Return the node of another builder that computes the same."""
    if node in values:
        return values[node] if builder.lazy else lift(builder, values[node])
    if node.op is ir.CONSTANT:
        return lift(builder, node.value if node.binding is None else node.binding)
    args = tuple(known[arg] if arg in known else lift(builder, values.get(arg, arg.value)) for arg in node.inputs)
    value = None if builder.lazy else node.value
    if value is None and not builder.lazy:
        value = node.op.evaluate(*(arg.value for arg in args), **node.params)
    copy = builder.emit(node.op, args, node.params, value, node.origin)
    if node.is_named:
        builder.name(copy, node.name)
    return copy
