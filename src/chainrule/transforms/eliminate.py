"""Vertex elimination: merge paths at the vertices, in any order.

Eliminating a vertex replaces every pair of edges through it, p → v → s, by one edge p → s, the product added
to what is there. When only inputs and outputs are left, the edges are the Jacobian. Eliminating in the order
of evaluation is forward mode, in the opposite order reverse mode.

Source: Griewank & Walther, Evaluating Derivatives, 2nd ed. (2008), chapter 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.edges import Diagonal, Edge, edges_into
from chainrule.errors import GraphError
from chainrule.ir import Node, Program, between

Edges = dict[Node, dict[Node, Edge]]
"""For each node the edges that start there, by the node at which they end."""


def linearize(program: Program) -> Edges:
    """Attach edges: return those on paths from inputs to outputs, by source, then by target."""
    outgoing: Edges = {}
    order = between(program.outputs, program.inputs)
    active = set(order)
    for node in order:
        for source, edge in edges_into(node, active):
            outgoing.setdefault(source, {})[node] = edge
    return outgoing


def vertices(program: Program) -> list[Node]:
    """Return the nodes that can be eliminated, in the order of evaluation."""
    ends = {*program.inputs, *program.outputs}
    edges = linearize(program)
    heads = {node for targets in edges.values() for node in targets}
    return [node for node in between(program.outputs, program.inputs) if node in heads and node not in ends]


def eliminate(program: Program, order: Iterable[Node] | str = "reverse") -> list[list[Edge | None]]:
    """Return the Jacobian as edges: one row per output, one column per input, None where it is zero.

    Args:
        program: The function.
        order: "forward", "reverse", or every vertex (see `vertices`) once.

    Raises:
        GraphError: the order is not one of all vertices.
    """
    outgoing = linearize(program)
    everything = vertices(program)
    if isinstance(order, str):
        if order not in ("forward", "reverse"):
            raise GraphError(f"order {order!r}: expected 'forward', 'reverse' or a sequence of all vertices")
        sequence: Sequence[Node] = everything if order == "forward" else everything[::-1]
    else:
        sequence = list(order)
        if len(sequence) != len(everything) or set(sequence) != set(everything):
            missing = sorted(node.name for node in set(everything) - set(sequence))
            raise GraphError(
                f"an elimination order holds each of the {len(everything)} vertices once; missing: {missing}"
            )
    incoming: dict[Node, set[Node]] = {}
    for source, targets in outgoing.items():
        for target in targets:
            incoming.setdefault(target, set()).add(source)
    for vertex in sequence:
        successors = outgoing.pop(vertex, {})
        for source in sorted(incoming.pop(vertex, ()), key=lambda node: node.index):
            first = outgoing[source].pop(vertex)
            for target, second in successors.items():
                product = second @ first
                present = outgoing[source].get(target)
                outgoing[source][target] = product if present is None else present + product
                incoming[target].add(source)
        for target in successors:
            incoming[target].discard(vertex)
    _run_on(program, outgoing)
    return [[_identity(x) if x is y else outgoing.get(x, {}).get(y) for x in program.inputs] for y in program.outputs]


def _identity(x: Node) -> Edge:
    return Diagonal(1, x.spec, x.spec, x.shape)


def _run_on(program: Program, outgoing: Edges) -> None:
    """Add the paths that run on through an output (or an input) to another output."""
    ends = sorted({*program.inputs, *program.outputs}, key=lambda node: node.index)
    for source in program.inputs:
        for middle in ends:
            first = outgoing.get(source, {}).get(middle)
            if first is None or middle is source:
                continue
            for target, second in list(outgoing.get(middle, {}).items()):
                product = second @ first
                present = outgoing[source].get(target)
                outgoing[source][target] = product if present is None else present + product
