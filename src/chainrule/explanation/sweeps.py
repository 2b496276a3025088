"""The two sweeps, step by step: what is multiplied, what is added, at every node."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import NotDifferentiableError
from chainrule.graph import Graph, GraphEdge, GraphNode, Path

__all__ = ["Net", "Step", "Sweep", "Term", "is_small", "product_of", "pull_from", "push_from"]

_DENSE = 1 << 22  # elements of a Jacobian up to which products of paths are formed


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One product of a sweep.

    Attributes:
        edge: Whose partial is multiplied.
        factor: With what: the tangent at its source, or the cotangent at its target.
        product: The result, a number between scalars, else an array.
    """

    edge: GraphEdge
    factor: Any
    product: Any


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a sweep does at one node.

    Attributes:
        node: The node.
        terms: What arrives, one product per edge; none at the start, and where the sweep does not get to.
        value: Their sum: the derivative of the node, or with respect to it; 1 at the start.
    """

    node: GraphNode
    terms: tuple[Term, ...]
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One pass through the graph.

    Attributes:
        start: The input that is pushed from, or the output that is pulled from.
        index: Which element of it, for an array.
        steps: The nodes in the order of the pass.
    """

    start: GraphNode
    index: tuple[int, ...] | None
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """What is moved, as ``x[0, 1]``."""
        return self.start.name + (f"[{', '.join(map(str, self.index))}]" if self.index is not None else "")

    @property
    def values(self) -> dict[str, Any]:
        """The sums by the names of the nodes."""
        return {step.node.name: step.value for step in self.steps}


@dataclass(frozen=True, eq=False)
class Net:
    """The nodes and edges on which derivatives travel, arranged for walks in both directions."""

    graph: Graph

    @functools.cached_property
    def incoming(self) -> dict[GraphNode, list[GraphEdge]]:
        """The edges into each node."""
        found: dict[GraphNode, list[GraphEdge]] = {}
        for edge in self.graph.edges:
            found.setdefault(edge.target, []).append(edge)
        return found

    @functools.cached_property
    def outgoing(self) -> dict[GraphNode, list[GraphEdge]]:
        """The edges from each node."""
        found: dict[GraphNode, list[GraphEdge]] = {}
        for edge in self.graph.edges:
            found.setdefault(edge.source, []).append(edge)
        return found

    @functools.cached_property
    def inputs(self) -> tuple[GraphNode, ...]:
        """The inputs."""
        return tuple(dict.fromkeys(self.graph.inputs))

    @functools.cached_property
    def outputs(self) -> tuple[GraphNode, ...]:
        """The outputs that have derivatives, each once."""
        return tuple(node for node in dict.fromkeys(self.graph.outputs) if node.dtype.kind in "fc")

    @functools.cached_property
    def order(self) -> tuple[GraphNode, ...]:
        """Nodes with edges, and inputs and outputs, in the order of evaluation."""
        ends = {*self.inputs, *self.outputs}
        return tuple(
            node for node in self.graph.nodes if node in ends or node in self.incoming or node in self.outgoing
        )

    @functools.cached_property
    def is_scalar(self) -> bool:
        """Whether every partial is a real number."""
        scalars = all(not node.shape and node.dtype.kind != "c" for node in self.order)
        return scalars and all(isinstance(edge.partial, float) for edge in self.graph.edges)

    def require_outputs(self) -> None:
        """Refuse a function that returns nothing with a derivative."""
        if not self.outputs:
            kinds = ", ".join(f"{node.name} of {node.dtype}" for node in self.graph.outputs) or "nothing"
            raise NotDifferentiableError(f"the function returns no real or complex number, but {kinds}")


def push_from(net: Net, start: GraphNode, index: tuple[int, ...] | None = None) -> Sweep:
    """Return the forward sweep from an input, or from one element of it."""
    tangents: dict[GraphNode, Any] = {start: _seed(start, index)}
    steps = [Step(start, (), tangents[start])]
    for node in net.order:
        if node not in net.incoming or node is start:
            continue
        terms = tuple(
            Term(edge, tangents[edge.source], _times(edge, tangents[edge.source], backward=False))
            for edge in net.incoming[node]
            if edge.source in tangents
        )
        if terms:
            tangents[node] = _total(term.product for term in terms)
        steps.append(Step(node, terms, tangents.get(node, 0.0)))
    return Sweep(start, index, tuple(steps))


def pull_from(net: Net, start: GraphNode, index: tuple[int, ...] | None = None) -> Sweep:
    """Return the reverse sweep from an output, or from one element of it."""
    cotangents: dict[GraphNode, Any] = {start: _seed(start, index)}
    steps = [Step(start, (), cotangents[start])]
    inputs = set(net.inputs)
    results = [node for node in reversed(net.order) if node not in inputs]
    for node in [*results, *net.inputs]:
        if node is start or not (node in net.outgoing or node in inputs):
            continue
        terms = tuple(
            Term(edge, cotangents[edge.target], _times(edge, cotangents[edge.target], backward=True))
            for edge in net.outgoing.get(node, ())
            if edge.target in cotangents
        )
        if terms:
            cotangents[node] = _total(term.product for term in terms)
        steps.append(Step(node, terms, cotangents.get(node, 0.0)))
    return Sweep(start, index, tuple(steps))


def is_small(source: GraphNode, target: GraphNode) -> bool:
    """Whether there are at most four million partials of a target with respect to a source."""
    return math.prod(source.shape) * math.prod(target.shape) <= _DENSE


def product_of(path: Path) -> Any:
    """Return the product along a path; None where it would have more than four million elements."""
    return path.product if is_small(path.nodes[0], path.nodes[-1]) else None


def _seed(node: GraphNode, index: tuple[int, ...] | None) -> Any:
    if index is None:
        return 1.0
    seed = np.zeros(node.shape, node.dtype)
    seed[index] = 1
    return seed


def _times(edge: GraphEdge, factor: Any, *, backward: bool) -> Any:
    """Return the product of a partial and a tangent, exactly 0 where either is."""
    partial = edge.partial
    if isinstance(partial, float) and isinstance(factor, float):
        return 0.0 if partial == 0 or factor == 0 else partial * factor
    found = edge.pull(factor) if backward else edge.push(factor)
    return found if found.ndim else found.item()


def _total(products: Iterable[Any]) -> Any:
    with np.errstate(all="ignore"):
        total = functools.reduce(lambda one, two: one + two, products)
    return total
