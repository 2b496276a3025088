"""Edge derivatives: structured linear maps, and the two ways to run a graph of them.

An edge maps a tangent of its source to a tangent of its target. There are four leaves:

| leaf | the map | comes from |
| --- | --- | --- |
| `Diagonal` | multiply elementwise, with broadcasting or its transpose | pointwise ops |
| `Tensor` | contract with an array whose axes are shared with source and target by label | matmul, einsum, reductions |
| `Map` | a linear function and its transpose, both given | slices, gathers, solves |
| `Traced` | the derivative of a piece of graph | factorizations, custom rules |

`edge @ edge` and `edge + edge` return one leaf again (lazy products of sums would grow exponentially with
depth). Coefficients are nodes, so that derivatives can be differentiated. A coefficient may also be a Python
number: 1 and -1 cost nothing. Zero edges do not exist: no edge means zero.

Products with a coefficient or a tangent that is exactly 0 are exactly 0, even beside inf and NaN (the ops
`scale` and `contract`): a path that is not taken contributes nothing.

Complex numbers: maps are real-linear, and the transpose is the one for the pairing Re(Σ y_bar · y_dot), so
multiplication by c is its own transpose, without conjugation. This is JAX's convention.
"""

from __future__ import annotations

import functools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from chainrule import ir
from chainrule.errors import NotDifferentiableError
from chainrule.ir import ITEM, REGISTRY, Node
from chainrule.types import Shape, Spec, broadcast_shapes

Coefficient = Node | int | float | complex
Labels = tuple[int, ...]
Naming = Callable[[Node], str]
NAME: Naming = operator.attrgetter("name")

Words = str | Callable[[Naming, bool], str]
"""A map in words: a text, or a function of how nodes are spelled and of whether the transpose is meant."""


class Edge(ABC):
    """A linear map from tangents of `source` to tangents of `target`."""

    source: Spec
    target: Spec

    @abstractmethod
    def apply(self, x: Node) -> Node:
        """Return the image of a tangent: shape and dtype of `source` in, of `target` out."""

    @abstractmethod
    def transpose(self) -> Edge:
        """Return the map that pulls cotangents back."""

    def pull(self, y: Node) -> Node:
        """Return the image of a cotangent under the transposed map."""
        return self.transpose().apply(y)

    @abstractmethod
    def describe(self, name: Naming = NAME) -> str:
        """Return the map in words, with `·` for the tangent; `name` spells coefficients."""

    @property
    def unit(self) -> Any:
        """1 or -1 where the map only copies or negates (perhaps broadcasts or moves), else None."""
        return None

    @property
    def shape(self) -> Shape:
        """Shape of the dense form: the target's followed by the source's."""
        return (*self.target.shape, *self.source.shape)

    def dense(self, builder: ir.Builder) -> Node:
        """Return the array of all partials, of shape ``target.shape + source.shape``."""
        if not self.source.shape:
            return self.apply(builder.constant(self.source.dtype.type(1)))
        size = self.source.size
        basis = builder.constant(np.eye(size, dtype=self.source.dtype).reshape(size, *self.source.shape))
        columns = self.apply_batched(basis)
        axes = (*range(1, 1 + self.target.ndim), 0)
        return columns.permute(axes).reshape(self.shape)

    def apply_batched(self, x: Node) -> Node:
        """Apply the map to many tangents, stacked along one more axis in front."""
        single = x.builder.input(self.source)
        (result,) = ir.batch([self.apply(single)], {single: x})
        spec = self.target.with_shape((x.shape[0], *self.target.shape))
        return zeros(x.builder, spec) if result is None else result  # a map that is zero after all

    def pattern(self) -> scipy.sparse.csr_array:
        """Return where the Jacobian (target.size × source.size) can be nonzero, as a boolean matrix."""
        return scipy.sparse.csr_array(np.ones((self.target.size, self.source.size), dtype=bool))

    @property
    def is_algebraic(self) -> bool:
        """Whether the map is linear over the numbers that its coefficients are, so that it composes densely."""
        return self.source.is_complex == self.target.is_complex

    def __matmul__(self, first: Edge) -> Edge:
        return compose(self, first)

    def __add__(self, other: Edge) -> Edge:
        return add(self, other)

    def __str__(self) -> str:
        return self.describe()


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal(Edge):
    """Elementwise product: ``y = sum_to(target, coefficient · broadcast(x, full) + conjugate · conj(x))``.

    `full` is the shape in which source, coefficient and target meet; broadcasting into a larger target and
    its transpose, summing into a smaller one, are both of this form. `like` is a node of the graph, where the
    coefficient is not one.
    """

    coefficient: Coefficient
    source: Spec
    target: Spec
    full: Shape
    conjugate: Node | None = None
    like: Node | None = None

    def apply(self, x: Node) -> Node:
        y = scale(self.coefficient, x)
        if self.conjugate is None and y.spec is self.target and y.spec.shape == self.full:
            return y
        if self.conjugate is not None:
            y = y + scale(self.conjugate, x.conj())
        if not self.target.is_complex:
            y = y.real()
        return y.broadcast_to(self.full).sum_to(self.target.shape).astype(self.target.dtype)

    def pull(self, y: Node) -> Node:
        if self.conjugate is not None or self.source is not self.target:
            return self.transpose().apply(y)
        return self.apply(y)  # a symmetric map

    def transpose(self) -> Diagonal:
        conjugate = None if self.conjugate is None else self.conjugate.conj()
        return Diagonal(self.coefficient, self.target, self.source, self.full, conjugate)

    @property
    def unit(self) -> Any:
        return self.coefficient if isinstance(self.coefficient, int) and abs(self.coefficient) == 1 else None

    @property
    def is_algebraic(self) -> bool:
        return self.conjugate is None and self.source.is_complex == self.target.is_complex

    def pattern(self) -> scipy.sparse.csr_array:
        rows, columns = (
            np.broadcast_to(np.arange(spec.size).reshape(spec.shape), self.full).ravel()
            for spec in (self.target, self.source)
        )
        return _pattern(rows, columns, (self.target.size, self.source.size))

    def describe(self, name: Naming = NAME) -> str:
        words = [] if self.source.shape == self.full else ["broadcast"]
        if not isinstance(self.coefficient, Node):
            words += [] if self.coefficient == 1 else ["negate" if self.coefficient == -1 else f"{self.coefficient}·"]
        elif self.full:
            words.append(f"diag({name(self.coefficient)})")
        else:
            words.append(f"{name(self.coefficient)}·")
        if self.target.shape != self.full:
            words.append("sum")
        return " → ".join(words) or "identity"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor(Edge):
    """Contraction ``y[target_labels] = Σ coefficient[labels] · x[source_labels]``.

    A label that target and source share is a diagonal axis; one of the source that the target lacks is
    summed over; one of the target that neither source nor coefficient has is a broadcast axis.
    Labels are unique within each of the three lists. `like` is a node of the graph, where the coefficient is
    not one.
    """

    coefficient: Coefficient
    labels: Labels
    source: Spec
    source_labels: Labels
    target: Spec
    target_labels: Labels
    like: Node | None = None

    def apply(self, x: Node) -> Node:
        y = contract(self.coefficient, self.labels, x, self.source_labels, self.target_labels)
        y = _expand(y, [a for a in self.target_labels if a in self.source_labels or a in self.labels], self)
        return (y if self.target.is_complex else y.real()).astype(self.target.dtype)

    def transpose(self) -> Tensor:
        return replace(
            self, source=self.target, source_labels=self.target_labels,
            target=self.source, target_labels=self.source_labels,
        )  # fmt: skip

    @property
    def sizes(self) -> dict[int, int]:
        """Length of the axis behind each label."""
        lengths = dict(zip(self.source_labels, self.source.shape, strict=True))
        return lengths | dict(zip(self.target_labels, self.target.shape, strict=True))

    @property
    def unit(self) -> Any:
        return self.coefficient if isinstance(self.coefficient, int) and abs(self.coefficient) == 1 else None

    def dense(self, builder: ir.Builder) -> Node:
        full = _unshare(self, set(), builder)
        labels = (*full.target_labels, *full.source_labels)
        y = _as_node(full.coefficient, builder, full.source.dtype)
        have = [a for a in labels if a in full.labels]
        y = y.permute([full.labels.index(a) for a in have]) if have else y
        sizes = full.sizes
        y = y.reshape([sizes[a] if a in full.labels else 1 for a in labels])
        return y.broadcast_to([sizes[a] for a in labels])

    def pattern(self) -> scipy.sparse.csr_array:
        sizes = self.sizes
        shape = tuple(sizes.values())
        place = {label: axis for axis, label in enumerate(sizes)}

        def positions(spec: Spec, labels: Labels) -> np.ndarray:
            index = np.arange(spec.size).reshape(spec.shape)
            order = sorted(range(len(labels)), key=lambda k: place[labels[k]])
            placed = [spec.shape[labels.index(a)] if a in labels else 1 for a in sizes]
            return np.broadcast_to(index.transpose(order).reshape(placed), shape).ravel()

        rows = positions(self.target, self.target_labels)
        columns = positions(self.source, self.source_labels)
        return _pattern(rows, columns, (self.target.size, self.source.size))

    def describe(self, name: Naming = NAME) -> str:
        summed = [a for a in self.source_labels if a not in self.target_labels]
        if isinstance(self.coefficient, Node):
            factor = name(self.coefficient)
            letters = _letters([*self.labels, *self.source_labels, *self.target_labels])
            coefficient = "".join(letters[a] for a in self.labels)
            source = "".join(letters[a] for a in self.source_labels)
            target = "".join(letters[a] for a in self.target_labels)
            return self._as_product(factor) or f"einsum({coefficient},{source}->{target}; {factor}, ·)"
        words = ["sum"] if summed else []
        if any(a not in self.source_labels for a in self.target_labels):
            words.append("broadcast")
        if self.coefficient != 1:
            words.append(f"{self.coefficient}·")
        return " → ".join(words) or "permute"

    def _as_product(self, factor: str) -> str | None:
        """Return the map as a product that NumPy has a sign for, where it is one."""
        labels, source, target = self.labels, self.source_labels, self.target_labels
        if not source and target == labels:
            return f"{factor}·"
        if not target and source == labels:
            return f"{factor} @ ·" if len(labels) == 1 else f"sum({factor} * ·)"
        if len(labels) == 1 and (*target, *labels) == source:
            return f"· @ {factor}"
        if len(labels) == 1 and source[-2:-1] == labels and target == (*source[:-2], *source[-1:]):
            return f"{factor} @ ·"
        if len(labels) == 1 and len(source) == 1 and sorted(target) == sorted((*labels, *source)):
            return f"np.outer({factor}, ·)" if target == (*labels, *source) else f"np.outer(·, {factor})"
        summed = [a for a in source if a not in target]
        if len(labels) != 2 or len(summed) != 1 or summed[0] not in labels:
            return None
        inner = summed[0]
        outer = labels[1 - labels.index(inner)]
        moved = tuple(outer if a == inner else a for a in source)
        plain = labels == (outer, inner)  # otherwise transposed, or on the other side
        if moved != target or outer in source:
            return None
        if inner == source[-1] and (len(moved) > 1 or not plain):
            return f"· @ {factor}ᵀ" if plain else f"· @ {factor}"
        if inner == source[-2:][0]:
            return f"{factor} @ ·" if plain else f"{factor}ᵀ @ ·"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Map(Edge):
    """A linear function and its transpose, such as a slice and its padding.

    `like` is a node of the graph in which the map works. `selects` tells that each element of ``forward(x)`` is an
    element of x or zero, `scatters` the same of ``backward``; either gives the sparsity pattern.
    """

    forward: Callable[[Node], Node]
    backward: Callable[[Node], Node]
    source: Spec
    target: Spec
    words: Words
    like: Node | None
    selects: bool = False
    scatters: bool = False
    algebraic: bool = True
    flipped: bool = False

    def apply(self, x: Node) -> Node:
        y = self.forward(x)
        return (y if self.target.is_complex else y.real()).astype(self.target.dtype)

    def transpose(self) -> Map:
        return replace(
            self, forward=self.backward, backward=self.forward, source=self.target, target=self.source,
            selects=self.scatters, scatters=self.selects, flipped=not self.flipped,
        )  # fmt: skip

    @property
    def unit(self) -> Any:
        return 1 if self.selects or self.scatters else None

    @property
    def is_algebraic(self) -> bool:
        return self.algebraic and self.source.is_complex == self.target.is_complex

    def pattern(self) -> scipy.sparse.csr_array:
        if self.scatters and not self.selects:
            return scipy.sparse.csr_array(self.transpose().pattern().T)
        shape = (self.target.size, self.source.size)
        builder = ir.Builder() if self.like is None else self.like.builder  # where `forward` makes nodes
        if self.selects:
            marks = np.arange(1, self.source.size + 1, dtype=float).reshape(self.source.shape)
            single = builder.input(self.source.with_dtype(float), marks)
            (found,) = ir.evaluate([self.forward(single)])
            columns = np.ravel(found).real.astype(int)
            rows = np.flatnonzero(columns)
            return _pattern(rows, columns[rows] - 1, shape)
        return scipy.sparse.csr_array(np.ones(shape, dtype=bool))

    def describe(self, name: Naming = NAME) -> str:
        return _say(self.words, name, self.flipped)


@dataclass(frozen=True, slots=True, eq=False)
class Traced(Edge):
    """The derivative of a piece of graph from `head` to `tail`; forward or reverse sweeps run it.

    `flipped` marks the transpose.
    """

    head: Node
    tail: Node
    source: Spec
    target: Spec
    words: Words
    flipped: bool = False

    def apply(self, x: Node) -> Node:
        found = pull({self.tail: x}, [self.head])[0] if self.flipped else push({self.head: x}, [self.tail])[0]
        return zeros(x.builder, self.target) if found is None else found

    @property
    def is_algebraic(self) -> bool:
        if not self.source.is_complex or not self.target.is_complex:
            return self.source.is_complex == self.target.is_complex
        inner = set(ir.between([self.tail], [self.head]))
        return all(edge.is_algebraic for node in inner - {self.head} for _, edge in edges_into(node, inner))

    def transpose(self) -> Traced:
        return replace(self, source=self.target, target=self.source, flipped=not self.flipped)

    def describe(self, name: Naming = NAME) -> str:
        return _say(self.words, name, self.flipped)


def _say(words: Words, name: Naming, flipped: bool) -> str:
    if not isinstance(words, str):
        return words(name, flipped)
    return f"{words}ᵀ" if flipped else words


def traced(program: Callable[[Node], Node], source: Spec, like: Node, words: Words) -> Traced:
    """Return the edge of a linear program, written as a function of the tangent.

    The program is recorded once; its transpose is the reverse sweep through it.
    """
    head = like.builder.input(source)
    tail = program(head)
    return Traced(head, tail, source, tail.spec, words)


@dataclass(frozen=True, slots=True)
class Joint:
    """The map from tangents of all arguments of an op to those of all its results, as one.

    None stands for a tangent or cotangent that is zero. The edge from one argument to one result is this map with
    zeros elsewhere, see `part`.

    Attributes:
        push: Tangents of the arguments → tangents of the results.
        pull: Cotangents of the results, and of which arguments one is wanted → cotangents of these.
        reaches: Whether the k-th argument has an edge to a result, `(k, index)`.
        words: The map in words.
    """

    push: Callable[[Sequence[Node | None]], list[Node | None]]
    pull: Callable[[Sequence[Node | None], Sequence[bool]], list[Node | None]]
    reaches: Callable[[int, int], bool]
    words: str


def part(k: int, result: Node) -> Edge | None:
    """Return the edge from the k-th argument to one of the results of an op that has a joint map."""
    owner, index = result.inputs[0], result.params["index"]
    assert owner.op.joint is not None
    joint = owner.op.joint(owner)
    if not joint.reaches(k, index):
        return None
    alone = [j == k for j in range(len(owner.inputs))]

    def forward(x: Node) -> Node:
        found = joint.push([x if one else None for one in alone])[index]
        return zeros(x.builder, result.spec) if found is None else found

    def backward(y: Node) -> Node:
        found = joint.pull([y if j == index else None for j in range(len(owner.spec))], alone)[k]
        return zeros(y.builder, owner.inputs[k].spec) if found is None else found

    return Map(forward, backward, owner.inputs[k].spec, result.spec, joint.words, result)


# -- running a graph of edges --------------------------------------------------------------------------


def edges_into(node: Node, sources: Iterable[Node] | None = None) -> list[tuple[Node, Edge]]:
    """Return the edges that end in a node, one per distinct argument (`x * x` is one edge, 2x).

    Args:
        node: A result; one of several results of an op has edges from that op's arguments.
        sources: Only edges from these nodes are made, where given.
    """
    owner = node.inputs[0] if node.op is ITEM else node
    found: dict[Node, list[Edge]] = {}
    if not isinstance(node.spec, Spec) or not node.spec.is_inexact:
        return []
    for k, arg in enumerate(owner.inputs):
        wanted = arg.op is not ir.CONSTANT if sources is None else arg in sources
        if not wanted or not isinstance(arg.spec, Spec) or not arg.spec.is_inexact:
            continue
        try:
            edge = owner.op.edge(k, node)
        except NotDifferentiableError as error:
            where = f", at {node.origin}" if node.origin else ""
            raise NotDifferentiableError(f"{error}{where}") from None
        if edge is not None:
            found.setdefault(arg, []).append(edge)
    return [(arg, _merge(parallel)) for arg, parallel in found.items()]


def push(tangents: Mapping[Node, Node], targets: Sequence[Node]) -> list[Node | None]:
    """Forward sweep: push tangents of some nodes along the edges; None for a target that none reaches."""
    dots = dict(tangents)
    order = ir.between(targets, tangents)
    joint: dict[Node, list[Node | None]] = {}
    for node in order:
        if node in dots:
            continue
        total: Node | None = None
        if node.op.joint is not None:
            joint[node] = node.op.joint(node).push([dots.get(arg) for arg in node.inputs])
        elif node.op is ITEM and node.inputs[0].op.joint is not None:
            total = joint[node.inputs[0]][node.params["index"]]
        else:
            for source, edge in edges_into(node, dots):
                term = edge.apply(dots[source])
                total = term if total is None else total + term
        if total is not None:
            dots[node] = total
            _name_after(total, node, "dot", order)
    return [dots.get(node) for node in targets]


def pull(cotangents: Mapping[Node, Node], sources: Sequence[Node]) -> list[Node | None]:
    """Reverse sweep: pull cotangents of some nodes back along the edges; None for a source that none reaches."""
    bars = dict(cotangents)
    order = ir.between(cotangents, sources)
    reached = set(order)
    terms: dict[Node, list[Node]] = {node: [bar] for node, bar in bars.items()}
    for node in reversed(order):
        if node in terms:
            bars[node] = _total(terms.pop(node))
            _name_after(bars[node], node, "bar", order)
        for source, term in _pulled(node, bars, reached):
            terms.setdefault(source, []).append(term)
    return [bars.get(node) for node in sources]


MANY = 8
"""Parts of an array that were used one by one, from which their cotangents are put together at once."""


def _total(terms: list[Node]) -> Node:
    """Return the sum of contributions to a cotangent.

    An array read element by element gets one contribution per element, zero elsewhere: adding those up would take n²
    steps. They are put one after another instead.
    """
    blocks = [(block, term) for term in terms if (block := _block(term)) is not None] if len(terms) > MANY else []
    layers: list[list[tuple[range, Node]]] = []
    for block, term in sorted(blocks, key=lambda each: (each[0].start, each[1].index)):
        layer = next((each for each in layers if each[-1][0].stop <= block.start), None)
        if layer is None:
            layers.append([(block, term)])
        else:
            layer.append((block, term))
    if not blocks or len(layers) * MANY > len(blocks):
        return functools.reduce(operator.add, terms)
    placed = {term for _, term in blocks}
    return functools.reduce(operator.add, [*(_joined(each) for each in layers), *(t for t in terms if t not in placed)])


def _block(term: Node) -> range | None:
    """Return which elements in C order a contribution consists of, if it is zero but for a run of them."""
    if term.op.name != "embed":
        return None
    start, length, stride, is_whole = 0, 1, 1, True
    for part, size in zip(reversed(term.params["index"]), reversed(term.shape), strict=True):
        first, stop, step = (part, part + 1, 1) if isinstance(part, int) else part
        count = stop - first
        if step != 1 or not 0 <= first < stop <= size or (not is_whole and count != 1):
            return None
        start, length = start + first * stride, length * count
        is_whole = is_whole and count == size
        stride *= size
    return range(start, start + length)


def _joined(layer: list[tuple[range, Node]]) -> Node:
    """Return the sum of contributions that do not overlap, in the order of their places."""
    term = layer[0][1]
    parts, end = [], 0
    for block, each in layer:
        if block.start > end:
            parts.append(zeros(each.builder, Spec((block.start - end,), each.dtype)))
        parts.append(each.inputs[0].reshape((len(block),)))
        end = block.stop
    if end < term.spec.size:
        parts.append(zeros(term.builder, Spec((term.spec.size - end,), term.dtype)))
    return REGISTRY["concatenate"](*parts, axis=0).reshape(term.shape)


def _pulled(node: Node, bars: Mapping[Node, Node], reached: set[Node]) -> Iterable[tuple[Node, Node]]:
    """Yield what the cotangent of a node, or of all results of an op, contributes to its arguments."""
    if node.op.joint is not None:
        given = [bars.get(ir.item(node, k)) for k in range(len(node.spec))]
        found = node.op.joint(node).pull(given, [arg in reached for arg in node.inputs])
        yield from ((arg, term) for arg, term in zip(node.inputs, found, strict=True) if term is not None)
    elif node in bars and not (node.op is ITEM and node.inputs[0].op.joint is not None):
        for source, edge in edges_into(node, reached):
            yield source, edge.pull(bars[node])


def _name_after(derivative: Node, node: Node, suffix: str, order: list[Node]) -> None:
    """Name a new node of a sweep after the one whose derivative it is."""
    if node.is_named and derivative.index > order[-1].index:
        node.builder.name(derivative, f"{node.name}_{suffix}")


def _merge(parallel: list[Edge]) -> Edge:
    """Return the sum of edges between the same two nodes; lazily unless both are diagonal."""
    total = parallel[0]
    for edge in parallel[1:]:
        if isinstance(total, Diagonal) and isinstance(edge, Diagonal) and edge.full == total.full:
            total = add(total, edge)
        else:
            total = _lazy_sum(total, edge)
    return total


# -- the algebra ---------------------------------------------------------------------------------------


def compose(second: Edge, first: Edge) -> Edge:
    """Return the leaf of ``second ∘ first``."""
    if not (first.is_algebraic and second.is_algebraic):
        return _lazy_product(second, first)
    if isinstance(first, Diagonal) and isinstance(second, Diagonal):
        combined = _compose_diagonal(second, first)
        if combined is not None:
            return combined
    one, two = as_tensor(first), as_tensor(second)
    if one is not None and two is not None:
        return _compose_tensor(two, one)
    like = _held(first, second)
    if like is None:
        return _lazy_product(second, first)
    builder = like.builder
    if first.source.size <= second.target.size:
        inner = first.dense(builder)  # target1 + source1
        count = first.target.ndim
        columns = inner.permute([*range(count, inner.ndim), *range(count)])
        columns = columns.reshape((first.source.size, *first.target.shape))
        outer = second.apply_batched(columns).permute([*range(1, second.target.ndim + 1), 0])
    else:
        inner = second.dense(builder)  # target2 + source2
        rows = inner.reshape((second.target.size, *second.source.shape))
        outer = first.transpose().apply_batched(rows)
    outer = outer.reshape((*second.target.shape, *first.source.shape))
    return full_tensor(outer, first.source, second.target)


def add(one: Edge, two: Edge) -> Edge:
    """Return the leaf of ``one + two``, two maps between the same nodes."""
    if isinstance(one, Diagonal) and isinstance(two, Diagonal) and one.full == two.full:
        conjugate = one.conjugate if two.conjugate is None else two.conjugate
        if one.conjugate is not None and two.conjugate is not None:
            conjugate = one.conjugate + two.conjugate
        return replace(one, coefficient=one.coefficient + two.coefficient, conjugate=conjugate)
    if not (one.is_algebraic and two.is_algebraic):
        return _lazy_sum(one, two)
    first, second = as_tensor(one), as_tensor(two)
    like = _held(one, two)
    builder = None if like is None else like.builder
    if first is not None and second is not None:
        shared = _shared(first) & _shared(second)
        if (_shared(first) == shared == _shared(second)) or builder is not None:
            return _add_tensor(first, second, shared, builder)
    if builder is None:
        return _lazy_sum(one, two)
    return full_tensor(one.dense(builder) + two.dense(builder), one.source, one.target)


def full_tensor(partials: Node, source: Spec, target: Spec) -> Tensor:
    """Return the edge with the given dense array of partials, of shape ``target.shape + source.shape``."""
    count, total = target.ndim, target.ndim + source.ndim
    return Tensor(partials, tuple(range(total)), source, tuple(range(count, total)), target, tuple(range(count)))


def as_tensor(edge: Edge) -> Tensor | None:
    """Return the same map as a Tensor where it can be one without becoming dense."""
    if isinstance(edge, Tensor):
        return edge
    if not isinstance(edge, Diagonal) or edge.conjugate is not None:
        return None
    rank = len(edge.full)
    fresh = iter(range(rank, rank + edge.source.ndim + edge.target.ndim))

    def labels_of(shape: Shape) -> Labels:
        offset = rank - len(shape)
        return tuple(offset + k if size == edge.full[offset + k] else next(fresh) for k, size in enumerate(shape))

    coefficient = edge.coefficient
    labels: Labels = ()
    if isinstance(coefficient, Node) and coefficient.ndim:
        offset = rank - coefficient.ndim
        labels = tuple(offset + k for k, size in enumerate(coefficient.shape) if size == edge.full[offset + k])
        coefficient = coefficient.reshape([edge.full[a] for a in labels])
    source_labels, target_labels = labels_of(edge.source.shape), labels_of(edge.target.shape)
    return Tensor(coefficient, labels, edge.source, source_labels, edge.target, target_labels, edge.like)


def _compose_diagonal(second: Diagonal, first: Diagonal) -> Diagonal | None:
    reduces = first.target.shape != first.full
    if reduces and second.full != second.source.shape:
        return None  # a sum followed by a broadcast
    if reduces and second.target.shape != second.full:
        full = first.full
    else:
        full = first.full if reduces else second.full
    ends = [(1,) * (len(full) - len(shape)) + shape for shape in (first.source.shape, second.target.shape)]
    if np.broadcast_shapes(*ends) != full:
        return None  # a broadcast followed by a sum over the same axis
    coefficient = _product(second.coefficient, first.coefficient)
    return Diagonal(coefficient, first.source, second.target, full, like=_held(second, first))


def _product(one: Coefficient, two: Coefficient) -> Coefficient:
    if isinstance(two, Node):
        return scale(one, two)
    return scale(two, one) if isinstance(one, Node) else one * two


def _compose_tensor(second: Tensor, first: Tensor) -> Tensor:
    fresh = 1 + max([*first.labels, *first.source_labels, *first.target_labels], default=-1)
    rename = dict(zip(second.source_labels, first.target_labels, strict=True))
    for label in (*second.labels, *second.target_labels):
        if label not in rename:
            rename[label] = fresh
            fresh += 1
    labels2 = tuple(rename[a] for a in second.labels)
    target_labels = tuple(rename[a] for a in second.target_labels)
    kept = set(first.source_labels) | set(target_labels)
    result = tuple(a for a in dict.fromkeys((*labels2, *first.labels)) if a in kept)
    coefficient = contract(second.coefficient, labels2, first.coefficient, first.labels, result)
    unseen = set(first.target_labels) - kept - set(first.labels) - set(labels2)
    repeats = math.prod(first.sizes[a] for a in unseen)
    if repeats != 1:
        coefficient = _product(repeats, coefficient)
    like = _held(second, first)
    return Tensor(coefficient, result, first.source, first.source_labels, second.target, target_labels, like)


def _shared(edge: Tensor) -> set[tuple[int, int]]:
    """Return the pairs (axis of target, axis of source) that run together."""
    place = {label: axis for axis, label in enumerate(edge.source_labels)}
    return {(axis, place[label]) for axis, label in enumerate(edge.target_labels) if label in place}


def _unshare(edge: Tensor, keep: set[tuple[int, int]], builder: ir.Builder) -> Tensor:
    """Return the same map with only the axes in `keep` shared; the others become explicit identity factors."""
    source_labels = list(edge.source_labels)
    labels, coefficient = edge.labels, edge.coefficient
    fresh = 1 + max([*labels, *source_labels, *edge.target_labels], default=-1)
    for target_axis, source_axis in sorted(_shared(edge) - keep):
        old = edge.target_labels[target_axis]
        source_labels[source_axis] = fresh
        eye = builder.constant(np.eye(edge.target.shape[target_axis], dtype=edge.target.dtype))
        result = tuple(dict.fromkeys((*labels, old, fresh)))
        coefficient = contract(coefficient, labels, eye, (old, fresh), result)
        labels = result
        fresh += 1
    return replace(edge, coefficient=coefficient, labels=labels, source_labels=tuple(source_labels))


def _add_tensor(one: Tensor, two: Tensor, shared: set[tuple[int, int]], builder: ir.Builder | None) -> Tensor:
    if builder is not None:
        one, two = _unshare(one, shared, builder), _unshare(two, shared, builder)
    rename = dict(zip(two.source_labels, one.source_labels, strict=True))
    rename |= dict(zip(two.target_labels, one.target_labels, strict=True))
    labels2 = tuple(rename[a] for a in two.labels)
    labels = tuple(dict.fromkeys((*one.labels, *labels2)))
    sizes = one.sizes

    def aligned(coefficient: Coefficient, have: Labels) -> Coefficient:
        if not isinstance(coefficient, Node):
            return coefficient
        order = sorted(range(len(have)), key=lambda k: labels.index(have[k]))
        return coefficient.permute(order).reshape([sizes[a] if a in have else 1 for a in labels])

    total = aligned(one.coefficient, one.labels) + aligned(two.coefficient, labels2)
    if isinstance(total, Node):
        total = total.broadcast_to([sizes[a] for a in labels])
    return replace(one, coefficient=total, labels=labels, like=_held(one, two))


def _lazy_product(second: Edge, first: Edge) -> Map:
    def forward(x: Node) -> Node:
        return second.apply(first.apply(x))

    def backward(y: Node) -> Node:
        return first.transpose().apply(second.transpose().apply(y))

    def words(name: Naming, flipped: bool) -> str:
        way = [second.transpose(), first.transpose()] if flipped else [first, second]
        return " → ".join(edge.describe(name) for edge in way)

    like = _held(second, first)
    return Map(forward, backward, first.source, second.target, words, like, algebraic=False)


def _lazy_sum(one: Edge, two: Edge) -> Map:
    def forward(x: Node) -> Node:
        return one.apply(x) + two.apply(x)

    def backward(y: Node) -> Node:
        return one.transpose().apply(y) + two.transpose().apply(y)

    def words(name: Naming, flipped: bool) -> str:
        left, right = (edge.transpose().describe(name) if flipped else edge.describe(name) for edge in (one, two))
        return f"2 ({left})" if left == right else f"({left}) + ({right})"

    algebraic = one.is_algebraic and two.is_algebraic
    return Map(forward, backward, one.source, one.target, words, _held(one, two), algebraic=algebraic)


def _held(*edges: Edge) -> Node | None:
    """Return a node that one of the edges holds."""
    for edge in edges:
        for name in ("coefficient", "head", "like"):
            node = getattr(edge, name, None)
            if isinstance(node, Node):
                return node
    return None


# -- products that respect exact zeros -----------------------------------------------------------------


def scale(coefficient: Coefficient, x: Node) -> Node:
    """Return ``coefficient · x``, exactly 0 wherever either is."""
    if not isinstance(coefficient, Node):
        if coefficient == 1:
            return x
        return -x if coefficient == -1 else REGISTRY["multiply"](x, coefficient)
    if coefficient.op is ir.CONSTANT and not coefficient.ndim and coefficient.value == 1:
        return x.broadcast_to(broadcast_shapes(coefficient.shape, x.shape))
    if x.op is ir.CONSTANT and not x.ndim and x.value == 1:
        return coefficient.astype(np.result_type(coefficient.dtype, x.dtype))
    return REGISTRY["scale"](coefficient, x)


def contract(one: Coefficient, labels1: Labels, two: Coefficient, labels2: Labels, result: Labels) -> Coefficient:
    """Return ``Σ one[labels1] · two[labels2]`` over labels that the result lacks, exactly 0 where a factor is.

    Labels of the result that neither factor has are left out.
    """
    result = tuple(a for a in result if a in labels1 or a in labels2)
    if not labels1 and isinstance(two, Node):
        return _sum_permute(_product(one, two), labels2, result)
    if not labels2 and isinstance(one, Node):
        return _sum_permute(_product(two, one), labels1, result)
    if not isinstance(one, Node) or not isinstance(two, Node):
        return _product(one, two)
    letters = _letters([*labels1, *labels2])
    spell = ["".join(letters[a] for a in labels) for labels in (labels1, labels2, result)]
    return REGISTRY["contract"](one, two, subscripts=f"{spell[0]},{spell[1]}->{spell[2]}")


def _sum_permute(x: Coefficient, labels: Labels, result: Labels) -> Coefficient:
    if not isinstance(x, Node):
        return x
    x = x.sum([axis for axis, label in enumerate(labels) if label not in result])
    kept = [label for label in labels if label in result]
    return x.permute([kept.index(label) for label in result])


def _expand(y: Any, have: Sequence[int], edge: Tensor) -> Node:
    """Repeat y, which has the axes `have`, along the other axes of the target."""
    missing = len(edge.target_labels) - len(have)
    if edge.target_labels[missing:] != tuple(have):  # else broadcasting adds what is missing in front
        y = y.reshape([edge.sizes[a] if a in have else 1 for a in edge.target_labels])
    return y.broadcast_to(edge.target.shape)


def _letters(labels: Iterable[int]) -> dict[int, str]:
    return {
        label: chr(ord("a") + k) if k < 26 else chr(ord("A") + k - 26) for k, label in enumerate(dict.fromkeys(labels))
    }


def _as_node(value: Coefficient, builder: ir.Builder, dtype: Any) -> Node:
    return value if isinstance(value, Node) else builder.constant(value, [dtype])


def zeros(builder: ir.Builder, spec: Spec) -> Node:
    """Return a node of zeros: one number, repeated."""
    return builder.constant(spec.dtype.type(0)).broadcast_to(spec.shape)


def _pattern(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    entries = np.ones(len(rows), dtype=bool)
    found = scipy.sparse.coo_array((entries, (rows, columns)), shape=shape).tocsr()
    found.data[:] = True
    return found
