"""Run a program with NumPy: the reference semantics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule import ir
from chainrule.ir import Node, Program
from chainrule.tracing.array import TracedArray, record


def run(program: Program, args: Sequence[Any]) -> list[Any]:
    """Return the outputs for the given inputs, arrays or traced arrays of an outer function.

    What a node's own value already is (from the trace) is used again where the inputs are the same. Where an
    input, or a captured value, is traced by an outer function, the operations that depend on it are recorded
    there: this is how derivatives nest.
    """
    bound: dict[Node, Any] = dict(zip(program.inputs, args, strict=True))
    outer: dict[Node, TracedArray] = {node: value for node, value in bound.items() if isinstance(value, TracedArray)}
    if any(isinstance(node.binding, TracedArray) for _, node, _ in program.builder.captured.values()):
        for node in program.nodes:
            if isinstance(node.binding, TracedArray):
                outer[node] = node.binding
    if not outer:
        return ir.evaluate(program.outputs, bound)
    return _replay(program, {node: value for node, value in bound.items() if node not in outer}, outer)


def _replay(program: Program, plain: dict[Node, Any], outer: Mapping[Node, TracedArray]) -> list[Any]:
    """Record in the outer trace what depends on it, and compute the rest."""
    values: dict[Node, Any] = dict(outer)
    depends = ir.between(program.outputs, outer)
    needed = [arg for node in depends for arg in node.inputs if arg not in values]
    plain_nodes = [node for node in {*needed, *program.outputs} if node not in set(depends)]
    values.update(zip(plain_nodes, ir.evaluate(plain_nodes, plain), strict=True))
    for node in depends:
        if node not in values:
            args = [values.get(arg, arg.value) for arg in node.inputs]
            values[node] = record(node.op, *args, **node.params)
            if node.is_named:
                values[node].builder.name(values[node].node, node.name)
    return [values.get(node, node.value) for node in program.outputs]
