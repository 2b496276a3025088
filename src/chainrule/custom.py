"""Functions whose derivative the user gives: custom_jvp and custom_vjp, with JAX's protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import ir, tree
from chainrule.edges import NAME, Edge, Traced, edges_into, pull, zeros
from chainrule.errors import GraphError, NotDifferentiableError, ShapeError, UnsupportedError
from chainrule.ir import Node, Op
from chainrule.namespaces import Foreign
from chainrule.ops.control import bundle
from chainrule.ops.structural import concatenate, slice_
from chainrule.tracing import tracing_into
from chainrule.tracing.array import TracedArray, finish, holds_traced, lift, newest
from chainrule.tracing.origin import at, here
from chainrule.types import Spec

__all__ = ["custom_jvp", "custom_vjp"]

Rows = list[list[Edge | None]]
"""The edges of one application: one row per result, one column per argument of the node."""


class _Custom(ABC):
    """A function that is one node of the graph, with edges that the user's rule gives.

    The rule runs when the edges are asked for, on traced values, so that it can be differentiated itself.
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.__name__ = getattr(f, "__name__", type(f).__name__)
        self.f = f
        self.nondiff_argnums = tuple(nondiff_argnums)
        self._ops: dict[Any, Op] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return f's result; as a node of the graph where an argument is traced."""
        if kwargs:
            args = self._positional(args, kwargs)
        leaves, structure = tree.flatten(args)
        if not holds_traced(leaves):
            return self.f(*args)
        builder = newest(leaves)
        layout = self._layout(leaves, structure)
        op = self._op(layout)
        nodes = tuple(lift(builder, leaf) for leaf, fixed in zip(leaves, layout.fixed, strict=True) if fixed is None)
        heads = builder.memo.get(self)
        if heads and ir.between(nodes, heads):
            return self.f(*args)  # a linear function in its own rule, applied to the tangent
        owner = builder.table.get(builder.key(op, nodes, {}))
        if owner is None or owner not in builder.memo:
            values = _known(nodes)
            some = values if values is not None else [np.ones(node.shape, node.dtype)[()] for node in nodes]
            found, out = tree.flatten(self.f(*layout.fill(some)))
            owner = builder.emit(op, nodes, {}, None if values is None else tuple(map(self._plain, found)), here())
            builder.memo[owner] = out
        out = builder.memo[owner]
        parts = [
            builder.emit(ir.ITEM, (owner,), {"index": k}, owner.value and owner.value[k], owner.origin)
            for k in range(len(owner.spec))
        ]
        return finish(tree.unflatten(out, [TracedArray(builder, part) for part in parts]))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a method to its object, as functions do; the object is then the rule's first argument."""
        return self if instance is None else functools.partial(self, instance)

    def _layout(self, leaves: Sequence[Any], structure: Any) -> _Layout:
        """Tell the leaves that are arrays from those that take no part in the graph."""
        fixed: list[_Fixed | None] = []
        for k, argument in enumerate(structure.children()):
            for leaf in leaves[len(fixed) : len(fixed) + argument.num_leaves]:
                is_held = k in self.nondiff_argnums
                if is_held and isinstance(leaf, TracedArray):
                    raise NotDifferentiableError(
                        f"{self.__name__}: argument {k} is one of nondiff_argnums, but a derivative with respect to "
                        f"it is asked{at()}; leave it out of nondiff_argnums"
                    )
                fixed.append(None if _is_number(leaf) and not is_held else _Fixed(leaf))
        return _Layout(structure, tuple(fixed))

    def _apart(self, args: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the arguments in nondiff_argnums, which rules take in front, and the others."""
        held = tuple(args[k] for k in self.nondiff_argnums)
        return held, tuple(arg for k, arg in enumerate(args) if k not in self.nondiff_argnums)

    @abstractmethod
    def _edges(self, owner: Node, layout: _Layout) -> Rows:
        """Run the rule at the arguments of a node."""

    @contextlib.contextmanager
    def _linear_in(self, builder: ir.Builder, heads: Sequence[Node | None]) -> Iterator[None]:
        """While the rule runs, know the tangents or cotangents that it is linear in."""
        builder.memo[self] = [head for head in heads if head is not None]
        try:
            yield
        finally:
            del builder.memo[self]

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        bound = inspect.signature(self.f).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise UnsupportedError(f"{self.__name__}: keyword-only argument {next(iter(bound.kwargs))!r} has no place "
                                   f"in a custom rule{at()}; make it positional")  # fmt: skip
        return bound.args

    def _plain(self, leaf: Any) -> Any:
        if isinstance(leaf, TracedArray):
            raise UnsupportedError(
                f"{self.__name__}: a function with a custom rule uses the traced value {leaf.node.name!r} of a "
                f"function around it{at()}; pass it as an argument"
            )
        if isinstance(leaf, Foreign):
            return leaf
        value = np.array(leaf)
        if value.dtype.hasobject:
            raise UnsupportedError(f"{self.__name__}: returned {type(leaf).__name__}{at()}; expected arrays")
        return value[()]

    def _op(self, layout: _Layout) -> Op:
        """Return the op for arguments of one structure; the same one for the same structure."""
        if any(layout.fixed):  # their number has no bound, so the ops are not kept
            return self._make(layout)
        if layout not in self._ops:
            self._ops[layout] = self._make(layout)
        return self._ops[layout]

    def _make(self, layout: _Layout) -> Op:
        def evaluate(*values: Any) -> tuple[Any, ...]:
            return tuple(map(self._plain, tree.flatten(self.f(*layout.fill(values)))[0]))

        def infer(*specs: Spec) -> tuple[Spec, ...]:
            return tuple(map(Spec.of, evaluate(*(np.ones(spec.shape, spec.dtype)[()] for spec in specs))))

        def edge(k: int, node: Node) -> Edge | None:
            owner = node.inputs[0]
            key = ir.item(owner, node.params["index"])  # edges are kept by result, the structure by the whole
            memo = node.builder.memo
            if key not in memo:
                with reopened(owner.builder):
                    rows = self._edges(owner, layout)
                for index, row in enumerate(rows):
                    memo[ir.item(owner, index)] = row
            return memo[key][k]

        def source(*args: str) -> str:
            raise UnsupportedError(f"{self.__name__}: a function with a custom rule has no NumPy source")

        doc = f"{self.__name__}, with a custom rule."
        return Op(self.__name__, doc, evaluate, infer, edge, _batch, source, "custom")


@contextlib.contextmanager
def reopened(builder: ir.Builder) -> Iterator[None]:
    """Record once more in a graph whose trace may have ended, since a rule runs when its edges are asked for."""
    was_open, builder.open = builder.open, True
    try:
        with tracing_into(builder):
            yield
    finally:
        builder.open = was_open


class custom_jvp(_Custom):
    """Give a function its own derivative in forward mode; reverse mode follows from it.

    ``f.defjvp(rule)`` sets the rule: ``rule(primals, tangents)`` returns ``(y, y_dot)``, both with f's
    structure, y_dot linear in the tangents. Primals and tangents are tuples of f's arguments; the tangents of
    integers are 0, those of strings and other objects None. The function itself sees plain NumPy values, so it
    may call anything; its results must depend on its arguments alone.

    Args:
        f: The function; a method too, its object is then the first argument.
        nondiff_argnums: Positions of arguments without a derivative. The rule takes them in front, as in
            ``rule(n, primals, tangents)``, and primals and tangents are those of the other arguments.

    Raises:
        NotDifferentiableError: differentiated before a rule is set.
        ShapeError: the rule returns another structure, or other shapes, than f.

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

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        super().__init__(f, nondiff_argnums)
        self.rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; usable as a decorator."""
        self.rule = rule
        return rule

    def _edges(self, owner: Node, layout: _Layout) -> Rows:
        if self.rule is None:
            raise NotDifferentiableError(f"{self.__name__}: no rule was set with defjvp")
        builder, name = owner.builder, self.__name__
        heads, dots = _probes(builder, [arg.spec for arg in owner.inputs])
        held, primals = self._apart(layout.fill([TracedArray(builder, arg) for arg in owner.inputs]))
        with self._linear_in(builder, heads):
            result = self.rule(*held, primals, self._apart(layout.fill(dots, tangents=True))[1])
        y, y_dot = _pair(result, name, "the rule", "(y, y_dot)")
        (values, structure), (leaves, found) = tree.flatten(y), tree.flatten(y_dot)
        if found != structure or len(values) != len(owner.spec):
            raise ShapeError(f"{name}: the rule's tangent has structure {found}, its value {structure}")
        rows: Rows = []
        for leaf, spec in zip(leaves, owner.spec, strict=True):
            tail = lift(builder, leaf)
            if tail.shape != spec.shape:
                raise ShapeError(
                    f"{name}: the rule's tangent has shape {tail.shape}, the function's result {spec.shape}"
                )
            linear = tail.spec.is_inexact and spec.is_inexact
            tail = tail.astype(spec.dtype) if linear else tail
            rows.append([Traced(head, tail, head.spec, spec, name) if head and linear else None for head in heads])
        return rows


class custom_vjp(_Custom):
    """Give a function its own derivative in reverse mode; forward mode follows from it.

    ``f.defvjp(forward, backward)``: ``forward(*args)`` returns ``(y, residuals)``; ``backward(residuals,
    y_bar)`` returns a tuple with one cotangent per argument (None for zero). Without derivatives, and for the
    value, f itself is called, on plain NumPy values; its results must depend on its arguments alone. Forward and
    backward run on traced values, so that they can be differentiated again; backward runs once, on ones, and what
    it computes is what every cotangent runs through; where f has several results, the cotangent of one at a time.
    Forward mode takes it to be linear in y_bar.

    Args:
        f: The function; a method too, its object is then the first argument.
        nondiff_argnums: Positions of arguments without a derivative. ``backward`` takes them in front and returns
            the cotangents of the others.

    Raises:
        NotDifferentiableError: differentiated before the rules are set.
        ShapeError: a cotangent does not fit its argument, or there is another number of them than of arguments.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> @cr.custom_vjp
        ... def clipped(x):  # the identity, with a gradient of at most 1
        ...     return x
        >>> clipped.defvjp(lambda x: (clipped(x), None), lambda _, y_bar: (np.clip(y_bar, -1, 1),))
        >>> cr.grad(lambda x: 5 * clipped(x))(2.0)
        np.float64(1.0)
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        super().__init__(f, nondiff_argnums)
        self.forward: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set both rules."""
        self.forward, self.backward = forward, backward

    def _edges(self, owner: Node, layout: _Layout) -> Rows:
        if self.forward is None or self.backward is None:
            raise NotDifferentiableError(f"{self.__name__}: no rules were set with defvjp")
        builder, name = owner.builder, self.__name__
        args = layout.fill([TracedArray(builder, arg) for arg in owner.inputs])
        y, residuals = _pair(self.forward(*args), name, "forward", "(y, residuals)")
        values, structure = tree.flatten(y)
        shapes = [np.shape(value) if not isinstance(value, TracedArray) else value.shape for value in values]
        if shapes != [spec.shape for spec in owner.spec]:
            wanted = [spec.shape for spec in owner.spec]
            raise ShapeError(f"{name}: forward returns arrays of shapes {shapes}, the function {wanted}")
        heads, bars = _probes(builder, owner.spec)
        held, rest = self._apart(args)
        with self._linear_in(builder, heads):
            found = self.backward(*held, residuals, tree.unflatten(structure, bars))
        if not isinstance(found, tuple | list) or len(found) != len(rest):
            given = f"{len(found)}" if isinstance(found, tuple | list) else type(found).__name__
            raise ShapeError(f"{name}: backward must return a tuple of {len(rest)} cotangents, got {given}")
        given_bars = iter(found)
        every = [None if k in self.nondiff_argnums else next(given_bars) for k in range(len(args))]
        tails = self._tails(every, owner, layout)
        return [
            [
                _Backward(head, tail, arg.spec, spec, name, tuple(filter(None, heads))) if head and tail else None
                for tail, arg in zip(tails, owner.inputs, strict=True)
            ]
            for head, spec in zip(heads, owner.spec, strict=True)
        ]

    def _tails(self, bars: Sequence[Any], owner: Node, layout: _Layout) -> list[Node | None]:
        """Return one cotangent per argument of the node, None where it is zero."""
        leaves: list[Any] = []
        for k, (bar, structure) in enumerate(zip(bars, layout.structure.children(), strict=True)):
            if bar is None:
                leaves += [None] * structure.num_leaves
                continue
            try:
                leaves += structure.flatten_up_to(bar)
            except ValueError:
                raise ShapeError(
                    f"{self.__name__}: backward's cotangent {k} has structure {tree.flatten(bar)[1]}, "
                    f"the argument {structure}"
                ) from None
        rest = iter(owner.inputs)
        tails: list[Node | None] = []
        for leaf, fixed in zip(leaves, layout.fixed, strict=True):
            if fixed is not None:
                continue
            arg = next(rest)
            if leaf is None or not arg.spec.is_inexact:
                tails.append(None)
                continue
            tail = lift(owner.builder, leaf)
            if tail.shape != arg.shape:
                raise ShapeError(
                    f"{self.__name__}: backward's cotangent has shape {tail.shape}, the argument {arg.shape}"
                )
            tails.append(tail.astype(arg.dtype) if tail.spec.is_inexact else None)
        return tails


# -- the edge of a backward rule -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Backward(Edge):
    """The map whose transpose is the backward rule, recorded from `head`, the cotangent, to `tail`.

    Cotangents run through the rule itself, so that it may do what is not linear, such as clip them. Tangents run
    through the transpose of its derivative, the same thing for a linear rule.
    """

    head: Node
    tail: Node
    source: Spec
    target: Spec
    words: str
    heads: tuple[Node, ...]
    flipped: bool = False

    def apply(self, x: Node) -> Node:
        if self.flipped:
            given = {head: zeros(x.builder, head.spec) for head in self.heads}
            return _rerun(self.tail, {**given, self.head: x})
        found = pull({self.tail: x}, [self.head])[0]
        return zeros(x.builder, self.target) if found is None else found

    def transpose(self) -> _Backward:
        return dataclasses.replace(self, source=self.target, target=self.source, flipped=not self.flipped)

    def describe(self, name: Callable[[Node], str] = NAME) -> str:
        return f"{self.words}ᵀ" if self.flipped else self.words


def _rerun(tail: Node, given: dict[Node, Node]) -> Node:
    """Return what the recorded piece of graph up to `tail` gives for other inputs.

    Where a node is linear its edges are applied, in which an exact 0 wins over infinity and NaN.
    """
    order = ir.between([tail], given)
    active = set(order)
    found = dict(given)
    for node in order:
        if node in found:
            continue
        edges = edges_into(node, active)
        if edges and _is_linear(node, edges, active):
            found[node] = functools.reduce(operator.add, [edge.apply(found[source]) for source, edge in edges])
        else:
            inputs = tuple(found.get(arg, arg) for arg in node.inputs)
            found[node] = node.builder.emit(node.op, inputs, node.params)
    return found.get(tail, tail)


def _is_linear(node: Node, edges: Sequence[tuple[Node, Edge]], active: set[Node]) -> bool:
    """Whether the edges do not depend on what runs through them, and nothing is added to it."""
    for _, edge in edges:
        held = [getattr(edge, name, None) for name in ("coefficient", "conjugate", "tail")]
        if ir.between([other for other in held if isinstance(other, Node)], active):
            return False
    if node.op is ir.ITEM:
        return False
    others = _known([arg for arg in node.inputs if arg not in active])
    if others is None:
        return False
    with np.errstate(all="ignore"):
        known = iter(others)
        rest = [np.zeros(arg.shape, arg.dtype) if arg in active else next(known) for arg in node.inputs]
        return not np.any(np.nan_to_num(node.op.evaluate(*rest, **node.params)))


def _known(nodes: Sequence[Node]) -> list[Any] | None:
    """Return the values of nodes; None in the body of a loop, which has none."""
    try:
        return [ir.value_of(node) for node in nodes]
    except (GraphError, UnsupportedError):
        return None


# -- arguments -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Fixed:
    """A leaf that is no array and takes no part in the graph: an integer, a string, a function."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """The structure of the arguments, with the leaves that are fixed; None for those that are arrays."""

    structure: Any
    fixed: tuple[_Fixed | None, ...]

    def fill(self, values: Sequence[Any], tangents: bool = False) -> tuple[Any, ...]:
        """Return the arguments with these values for the arrays."""
        rest = iter(values)
        leaves = []
        for fixed in self.fixed:
            if fixed is None:
                leaves.append(next(rest))
            elif tangents:
                leaves.append(0.0 if isinstance(fixed.value, int) else None)
            else:
                leaves.append(fixed.value)
        return tuple(tree.unflatten(self.structure, leaves))


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, TracedArray | np.ndarray | np.generic | float | complex)


def _probes(builder: ir.Builder, specs: Sequence[Spec]) -> tuple[list[Node | None], list[Any]]:
    """Return inputs to record a linear rule with, and what the rule is given: them, or zeros for integers."""
    heads = [builder.input(spec, np.ones(spec.shape, spec.dtype)[()]) if spec.is_inexact else None for spec in specs]
    given = [
        np.zeros(spec.shape)[()] if head is None else TracedArray(builder, head)
        for head, spec in zip(heads, specs, strict=True)
    ]
    return heads, given


def _pair(result: Any, name: str, rule: str, parts: str) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ShapeError(f"{name}: {rule} must return a pair {parts}, got {type(result).__name__}")
    return result


# -- batches -------------------------------------------------------------------------------------------


def _batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
    """Apply the function to each row, and join the results."""
    builder = node.builder
    count = next(arg.shape[0] for arg, flag in zip(args, batched, strict=True) if flag)
    op = dataclasses.replace(node.op, infer=lambda *specs: node.spec)  # the function itself need not run for it
    rows = [
        builder.emit(op, tuple(_row(arg, k) if flag else arg for arg, flag in zip(args, batched, strict=True)), {})
        for k in range(count)
    ]
    parts = []
    for index, spec in enumerate(node.spec):
        items = [ir.item(row, index).reshape((1, *spec.shape)) for row in rows]
        parts.append(concatenate(*items, axis=0) if items else zeros(builder, spec.with_shape((0, *spec.shape))))
    return builder.emit(bundle, tuple(parts), {})


def _row(arg: Node, k: int) -> Node:
    return slice_(arg, index=(k, *((0, size, 1) for size in arg.shape[1:])))
