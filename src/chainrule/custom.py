"""Functions whose derivative the user gives: custom_jvp and custom_vjp, with JAX's protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ir, tree
from chainrule.edges import Edge, Traced
from chainrule.errors import NotDifferentiableError, ShapeError, UnsupportedError
from chainrule.ir import Node, Op
from chainrule.tracing.array import TracedArray, holds_traced, lift, newest
from chainrule.tracing.origin import here
from chainrule.types import Spec

EdgeMaker = Callable[[Node], list[list[Edge | None]]]
"""From the node to its edges: one row per result, one column per argument."""


class custom_jvp:
    """Give a function its own derivative in forward mode; reverse mode follows from it.

    ``f.defjvp(rule)`` sets the rule: ``rule(primals, tangents)`` returns ``(y, y_dot)``, both with f's
    structure, y_dot linear in the tangents. Primals and tangents are tuples of f's arguments.

    Raises:
        NotDifferentiableError: differentiated before a rule is set.
        ShapeError: the rule returns another structure than f.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> @cr.custom_jvp
        ... def relu(x):
        ...     return np.maximum(x, 0)
        >>> @relu.defjvp
        ... def rule(primals, tangents):
        ...     (x,), (x_dot,) = primals, tangents
        ...     return relu(x), np.where(x > 0, x_dot, 0.0)
        >>> cr.grad(relu)(0.0)
        np.float64(0.0)
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.__name__ = getattr(f, "__name__", type(f).__name__)
        self.rule: Callable[..., Any] | None = None
        functools.update_wrapper(self, f)

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; usable as a decorator."""
        self.rule = rule
        return rule

    def __call__(self, *args: Any) -> Any:
        leaves, structure = tree.flatten(args)
        if not holds_traced(leaves):
            return self.f(*args)
        builder = newest(leaves)
        nodes = tuple(lift(builder, leaf) for leaf in leaves)
        values, out_structure = tree.flatten(self.f(*tree.unflatten(structure, [node.value for node in nodes])))

        def make(node: Node) -> list[list[Edge | None]]:
            if self.rule is None:
                raise NotDifferentiableError(f"{self.__name__}: no rule was set with defjvp")
            primals = tree.unflatten(structure, [TracedArray(builder, arg) for arg in nodes])
            heads = [builder.input(arg.spec, np.ones(arg.shape, arg.dtype)) for arg in nodes]
            tangents = tree.unflatten(structure, [TracedArray(builder, head) for head in heads])
            result = self.rule(primals, tangents)
            tails = _tails(builder, _second(result, self.__name__), out_structure, values, self.__name__)
            return [
                [_edge(head, tail, tail.spec.with_dtype(Spec.of(value).dtype), self.__name__) for head in heads]
                for tail, value in zip(tails, values, strict=True)
            ]

        return _emit(self.__name__, self.f, builder, nodes, structure, values, out_structure, make)


class custom_vjp:
    """Give a function its own derivative in reverse mode; forward mode follows from it.

    ``f.defvjp(forward, backward)``: ``forward(*args)`` returns ``(y, residuals)``; ``backward(residuals,
    y_bar)`` returns a tuple with one cotangent per argument (None for zero), linear in y_bar.

    Raises:
        NotDifferentiableError: differentiated before the rules are set.
        ShapeError: backward returns another number of cotangents than f has arguments.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.__name__ = getattr(f, "__name__", type(f).__name__)
        self.forward: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None
        functools.update_wrapper(self, f)

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set both rules."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args: Any) -> Any:
        leaves, structure = tree.flatten(args)
        if not holds_traced(leaves):
            return self.f(*args)
        if self.forward is None or self.backward is None:
            raise NotDifferentiableError(f"{self.__name__}: no rules were set with defvjp")
        backward = self.backward
        builder = newest(leaves)
        nodes = tuple(lift(builder, leaf) for leaf in leaves)
        handles = tree.unflatten(structure, [TracedArray(builder, node) for node in nodes])
        result = self.forward(*handles)
        residuals = _second(result, self.__name__)
        found, out_structure = tree.flatten(result[0])
        values = [lift(builder, leaf).value for leaf in found]

        def make(node: Node) -> list[list[Edge | None]]:
            specs = [Spec.of(value) for value in values]
            heads = [builder.input(spec, np.ones(spec.shape, spec.dtype)) for spec in specs]
            y_bar = tree.unflatten(out_structure, [TracedArray(builder, head) for head in heads])
            bars = backward(residuals, y_bar)
            if not isinstance(bars, tuple) or len(bars) != len(args):
                raise ShapeError(f"{self.__name__}: backward must return a tuple of {len(args)} cotangents")
            tails: list[Node | None] = []
            for bar, arg in zip(bars, args, strict=True):
                count = len(tree.flatten(arg)[0])
                tails += [None] * count if bar is None else [lift(builder, leaf) for leaf in tree.flatten(bar)[0]]
            return [
                [
                    None if tail is None else Traced(head, tail, arg.spec, spec, self.__name__, flipped=True)
                    for tail, arg in zip(tails, nodes, strict=True)
                ]
                for head, spec in zip(heads, specs, strict=True)
            ]

        return _emit(self.__name__, self.f, builder, nodes, structure, values, out_structure, make)


def _edge(head: Node, tail: Node, target: Spec, name: str) -> Edge | None:
    return Traced(head, tail, head.spec, target, name) if head.spec.is_inexact and tail.spec.is_inexact else None


def _second(pair: Any, name: str) -> Any:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ShapeError(f"{name}: the rule must return a pair")
    return pair[1]


def _tails(builder: ir.Builder, dots: Any, structure: Any, values: Sequence[Any], name: str) -> list[Node]:
    leaves, found = tree.flatten(dots)
    if found != structure:
        raise ShapeError(f"{name}: the rule's tangent has structure {found}, the function's result has {structure}")
    nodes = [lift(builder, leaf) for leaf in leaves]
    for node, value in zip(nodes, values, strict=True):
        if node.shape != np.shape(value):
            raise ShapeError(
                f"{name}: the rule's tangent has shape {node.shape}, the function's result {np.shape(value)}"
            )
    return nodes


def _emit(
    name: str,
    f: Callable[..., Any],
    builder: ir.Builder,
    nodes: tuple[Node, ...],
    structure: Any,
    values: Sequence[Any],
    out_structure: Any,
    make: EdgeMaker,
) -> Any:
    """Return f's result as traced arrays on a node of its own, whose edges `make` gives when they are asked for."""
    made: list[list[list[Edge | None]]] = []

    def edge(k: int, node: Node) -> Edge | None:
        if not made:
            made.append(make(node))
        return made[0][node.params["index"]][k]

    def evaluate(*args: Any) -> tuple[Any, ...]:
        return tuple(np.asarray(leaf)[()] for leaf in tree.flatten(f(*tree.unflatten(structure, args)))[0])

    def infer(*specs: Spec) -> tuple[Spec, ...]:
        return tuple(map(Spec.of, evaluate(*(np.ones(spec.shape, spec.dtype) for spec in specs))))

    def batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
        raise UnsupportedError(f"{name}: the value of a function with a custom rule cannot be batched")

    def source(*args: str) -> str:
        raise UnsupportedError(f"{name}: a function with a custom rule has no NumPy source")

    op = Op(name, f"{name}, with a custom rule.", evaluate, infer, edge, batch, source, "custom")
    results = tuple(np.asarray(value)[()] for value in values)
    whole = Node(builder, op, nodes, {}, tuple(map(Spec.of, results)), results, here())
    parts = [builder.emit(ir.ITEM, (whole,), {"index": k}, value, here()) for k, value in enumerate(results)]
    return tree.unflatten(out_structure, [TracedArray(builder, part) for part in parts])


__all__ = ["custom_jvp", "custom_vjp"]
