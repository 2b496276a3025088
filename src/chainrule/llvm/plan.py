"""Which values are kept in memory, and in which steps they are computed.

A node is *kept* if somebody needs it as an array: the caller, an op that NumPy runs, a library call, more than one
loop. All others are computed inside the loops of those that need them, element by element. Loops over the same domain
that do not wait for each other become one. Small arrays and numbers are straight-line code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.ir import Node, Product
from chainrule.llvm.emit import TYPES, has_code, is_simple_power
from chainrule.llvm.layout import as_matrices
from chainrule.types import Shape, Spec

TINY = 16
"""Elements up to which an array is computed by straight-line code."""
STRAIGHT = 3000
"""Elements of straight-line code from which only numbers, and no small arrays, are computed in this way."""
CHUNK = 2000
"""Elements computed per function of straight-line code: LLVM's effort grows faster than the function."""
INNER = 4
"""Terms up to which a product of two arrays is computed inside the loops that use it."""

FACTORS = {"solve", "solve_triangular", "inv", "det", "cholesky"}
REDUCTIONS = {"sum", "max", "min", "prod", "any", "all"}
COSTS = dict.fromkeys(
    ["exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
     "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "hypot", "power", "erf", "erfc", "expit",
     "cbrt"], 20,
) | {"sqrt": 4, "divide": 4, "reciprocal": 4}  # fmt: skip
"""Work of an element, in multiplications."""
REPEAT = 16
"""Work that may be done again rather than kept in memory."""
LENGTH = 200
"""Ops in a row from which the result is kept: LLVM's effort grows faster than the body of a loop."""
BODY = 2500
"""Ops from which nothing more is computed in a loop."""
ROOTS = 80
"""Results from which a loop gets no more: LLVM compares the memory of each with that of all others."""
PARTS = 8
"""Parts of a concatenation up to which an element of it is looked for among them."""
DEPTH = 40
"""Changes of place that may be composed into one address."""


@dataclass(slots=True)
class Host:
    """One op, run by NumPy."""

    node: Node


@dataclass(slots=True)
class Straight:
    """Straight-line code for numbers and small arrays."""

    nodes: list[Node] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class Loop:
    """A loop nest over one domain.

    Attributes:
        domain: Shape that is run through.
        roots: Nodes computed: elementwise ones of this shape, and reductions of arrays of this shape.
        axes: Axes reduced, where that is not all of them; then there is one root.
    """

    domain: Shape
    roots: list[Node]
    axes: tuple[int, ...] | None = None


@dataclass(slots=True)
class Multiply:
    """A product of two arrays, summed over common axes, by BLAS."""

    node: Node


@dataclass(slots=True)
class Spread:
    """Elements added, or written, at places given by integer arrays."""

    node: Node


@dataclass(slots=True)
class Run:
    """A running sum along an axis."""

    node: Node


@dataclass(slots=True)
class Factor:
    """A factorization, by LAPACK."""

    node: Node


@dataclass(slots=True)
class Join:
    """Arrays in memory, copied one after another along an axis."""

    node: Node


@dataclass(slots=True)
class Check:
    """Whether integers are valid indices of an axis."""

    node: Node
    size: int


Step = Host | Straight | Loop | Multiply | Spread | Run | Factor | Join | Check


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and the nodes that are kept in memory."""

    steps: tuple[Step, ...]
    kept: frozenset[Node]


def plan(outputs: Sequence[Node]) -> Plan:
    """Return the steps that compute the outputs."""
    order = [node for node in ir.ancestors(outputs) if node.op not in (ir.INPUT, ir.CONSTANT)]
    small = sum(size for node in order if isinstance(node.spec, Spec) and (size := node.spec.size) <= TINY)
    return _Planner(order, outputs, TINY if small <= STRAIGHT else 1).plan()


def kind_of(node: Node, tiny: int = TINY) -> str:
    """Return the kind of step that computes a node; "inline" where the loops that need it do."""
    lower = node.op.lower
    specs = (node.spec, *(arg.spec for arg in node.inputs))
    if any(isinstance(spec, tuple) or spec.dtype not in TYPES for spec in specs):
        return "host"
    small = node.spec.size <= tiny and all(arg.spec.size <= tiny for arg in node.inputs)
    if is_reduction(node):
        if not node.inputs[0].spec.size:
            return "host"
        return "straight" if small else "reduce"
    if isinstance(lower, Product):
        if node.dtype.kind != "f" or any(arg.dtype != node.dtype for arg in node.inputs) or not node.spec.size:
            return "host"
        inner = inner_size(node)
        if not inner:
            return "host"
        return "straight" if small else "inline" if inner <= INNER else "multiply"
    if lower in ("scatter_add", "put"):
        return "spread" if all(arg.dtype == np.int64 for arg in node.inputs[1 if lower != "put" else 2 :]) else "host"
    if lower in FACTORS:
        return "factor" if node.dtype.kind == "f" and node.inputs[0].spec.size else "host"
    if lower == "cumsum":
        return "run" if node.dtype == node.inputs[0].dtype and node.spec.size else "host"
    if lower is None or lower in REDUCTIONS or not has_code(node):
        return "host"
    if node.op.name == "concatenate" and len(node.inputs) > PARTS:
        if all(arg.spec.size <= tiny for arg in node.inputs):
            return "straight"
        if all(arg.dtype == node.dtype for arg in node.inputs):
            return "join"
    if small and node.op.name != "gather":
        return "straight"
    return "inline"


def is_reduction(node: Node) -> bool:
    """Whether a node is a reduction that loops compute."""
    if node.op.lower not in REDUCTIONS or "axis" not in node.params:
        return False
    source = node.inputs[0].dtype
    if node.op.name in ("any", "all"):
        return source.kind == "b"
    return source == node.dtype and source in TYPES and source.kind != "b"


def inner_size(node: Node) -> int:
    """Return over how many terms a product is summed."""
    assert isinstance(node.op.lower, Product)
    a, b = node.inputs
    one, two, result = node.op.lower.labels(a.spec, b.spec, **node.params)
    sizes = dict(zip(one, a.shape, strict=True)) | dict(zip(two, b.shape, strict=True))
    return math.prod(size for label, size in sizes.items() if label not in result)


def cost_of(node: Node) -> int:
    """Return the work of one element, its arguments given, in multiplications."""
    if node.op.name == "power" and is_simple_power(node):
        return 1
    return COSTS.get(node.op.name, 1)


def is_view(node: Node) -> bool:
    """Whether a node only says where its argument's elements are."""
    return node.op.name in ("reshape", "permute", "broadcast_to", "slice", "stop_gradient")


_ALONE: dict[str, Callable[[Node], Step]] = {"multiply": Multiply, "spread": Spread, "run": Run, "factor": Factor,
                                                "join": Join}  # fmt: skip


class _Planner:
    def __init__(self, order: list[Node], outputs: Sequence[Node], tiny: int) -> None:
        self.order = order
        self.outputs = outputs
        self.computed = set(order)
        kinds: dict[Any, str] = {}  # of elementwise ops, which are many and alike
        self.kind = {}
        for node in order:
            if node.op.family == "pointwise" and isinstance(node.op.lower, str):
                key = (node.op, node.spec, *[arg.spec for arg in node.inputs])
                if key not in kinds:
                    kinds[key] = kind_of(node, tiny)
                self.kind[node] = kinds[key]
            else:
                self.kind[node] = kind_of(node, tiny)
        self.users: dict[Node, list[Node]] = {}
        for node in order:
            for arg in dict.fromkeys(node.inputs):
                if arg in self.computed:
                    self.users.setdefault(arg, []).append(node)
        self.kept = {node for node in outputs if node in self.computed}
        self.work: dict[Node, int] = {}
        self.bodies: dict[int, set[Node]] = {}

    def plan(self) -> Plan:
        self._keep_by_kind()
        self._keep_by_work()
        while True:
            steps, where, step_of = self._schedule()
            again = {
                node
                for node, positions in where.items()
                if len(positions) > 1 and (len(positions) - 1) * self.work[node] > REPEAT
            } - self.kept
            if not again:
                break
            self.kept |= again
        self._keep_across(steps, step_of)
        return Plan(tuple(steps), frozenset(self.kept))

    def _keep_by_kind(self) -> None:
        for node in self.order:
            kind = self.kind[node]
            if kind not in ("inline", "straight"):
                self.kept.add(node)
            if node.op.name == "gather":  # reads at places that only the running code knows
                self.kept.update(arg for arg in node.inputs[:1] if self.kind.get(arg) == "straight")
            if kind in ("host", "spread", "run", "factor"):
                self.kept.update(arg for arg in node.inputs if arg in self.computed)
            elif kind == "join":
                self.kept.update(part for arg in node.inputs if (part := reshaped(arg)) in self.computed)
            elif kind == "multiply":
                self._keep_factors(node)

    def _keep_factors(self, node: Node) -> None:
        """Keep the factors of a product, or the arrays of which they are views that BLAS can read."""
        under = [source for arg in node.inputs if (source := _under_views(arg)) in self.computed]
        for needed in (under, [arg for arg in node.inputs if arg in self.computed]):
            memory = self.kept.union(needed)
            if as_matrices(node, lambda each, memory=memory: each in memory or each not in self.computed):  # type: ignore[misc]
                self.kept.update(needed)
                return
        self.kind[node] = "host"
        self.kept.update(arg for arg in node.inputs if arg in self.computed)

    def _keep_by_work(self) -> None:
        """Keep what would be computed again and again at different places of one loop, and parts of long chains."""
        places: dict[Node, int] = {}
        for node in self.order:
            self._count_work(node)
        for node in reversed(self.order):
            if self.kind[node] != "inline":
                places[node] = 1
                continue
            shared, own = 0, 0
            for user in self.users.get(node, ()):
                count = 1 if user in self.kept else places[user]
                if user.op.family == "pointwise":
                    shared = max(shared, count)
                else:
                    own += count * (inner_size(user) if isinstance(user.op.lower, Product) else 1)
                if _repeats(user) and user.spec.size > node.spec.size > 1 and self.work[node] > 2:
                    own += REPEAT + 1
            places[node] = max(shared + own, 1)
            if (places[node] - 1) * self.work[node] > REPEAT:
                self.kept.add(node)
        depth: dict[Node, int] = {}
        steps: dict[Node, int] = {}
        for node in self.order:
            if self.kind[node] == "inline":
                depth[node] = max((depth.get(arg, 0) for arg in node.inputs), default=0)
                depth[node] += not isinstance(node.op.lower, str)
                steps[node] = 1 + max((steps.get(arg, 0) for arg in node.inputs), default=0)
                if depth[node] > DEPTH or (steps[node] > LENGTH and node.shape):
                    self.kept.add(node)
                if node in self.kept:
                    depth[node] = steps[node] = 0
            self._count_work(node)

    def _count_work(self, node: Node) -> None:
        if self.kind[node] != "inline":
            self.work[node] = 0
            return
        own = 0 if is_view(node) else cost_of(node)
        if isinstance(node.op.lower, Product):
            own = inner_size(node)
        inherited = sum(
            self.work.get(arg, 0) for arg in node.inputs if arg not in self.kept and self.kind.get(arg) == "inline"
        )
        self.work[node] = min(own + inherited, 1 << 20)

    def _schedule(self) -> tuple[list[Step], dict[Node, set[int]], dict[Node, int]]:
        """Return steps in order, in which of them each node that is not kept is computed, and where the others are."""
        steps: list[Step] = []
        step_of: dict[Node, int] = {}
        latest: dict[Node, int] = {}  # the last step that must come before a node can be computed
        beside: dict[Node, int] = {}  # the last loop of which it needs an element, at its own place: it can join that
        loops: dict[Shape, list[int]] = {}
        where: dict[Node, set[int]] = {}
        checked: set[tuple[Node, int]] = set()

        def place(node: Node, step: Step) -> None:
            steps.append(step)
            step_of[node] = len(steps) - 1

        for node in self.order:
            kind = self.kind[node]
            before, joined = self._needs(node, kind, steps, step_of, latest, beside)
            for index, size in _indices(node) if kind != "host" else ():
                if (index, size) not in checked:
                    checked.add((index, size))
                    steps.append(Check(index, size))
                    self._mark([index], len(steps) - 1, step_of, where)
                    before = max(before, len(steps) - 1)
            latest[node], beside[node] = before, joined
            if kind == "host":
                place(node, Host(node))
            elif kind == "straight":
                last = steps[-1] if steps else None
                if isinstance(last, Straight) and last.size < CHUNK:
                    step_of[node] = len(steps) - 1
                else:
                    last = Straight()
                    place(node, last)
                last.nodes.append(node)
                last.size += max(node.spec.size, 1)
            elif node in self.kept:
                if kind in _ALONE:
                    place(node, _ALONE[kind](node))
                else:
                    self._place_in_loop(node, kind, before, joined, steps, step_of, loops)
                self._mark(node.inputs, step_of[node], step_of, where)
        for position, step in enumerate(steps):
            for node in step.nodes if isinstance(step, Straight) else ():
                self._mark(node.inputs, position, step_of, where)
        return steps, where, step_of

    def _needs(
        self,
        node: Node,
        kind: str,
        steps: list[Step],
        step_of: dict[Node, int],
        latest: dict[Node, int],
        beside: dict[Node, int],
    ) -> tuple[int, int]:
        """Return after which step a node can be computed anywhere but in one loop, and that loop.

        In a loop that computes an argument, elements at the same place are at hand.
        """
        before, joined = -1, -1
        domain = node.inputs[0].shape if kind == "reduce" else () if kind == "host" else node.shape
        same_place = kind == "reduce" or (kind == "inline" and node.op.family == "pointwise")
        for arg in node.inputs:
            position = step_of.get(arg)
            if same_place and arg.shape == domain:
                if position is None:
                    before, joined = max(before, latest.get(arg, -1)), max(joined, beside.get(arg, -1))
                    continue
                step = steps[position]
                if (
                    isinstance(step, Loop)
                    and step.axes is None
                    and step.domain == domain
                    and self.kind[arg] == "inline"
                ):
                    joined = max(joined, position)
                    continue
            if position is None:
                position = max(latest.get(arg, -1), beside.get(arg, -1))
            before = max(before, position)
        return before, joined

    def _place_in_loop(
        self,
        node: Node,
        kind: str,
        before: int,
        joined: int,
        steps: list[Step],
        step_of: dict[Node, int],
        loops: dict[Shape, list[int]],
    ) -> None:
        domain, axes = node.shape, None
        if kind == "reduce":
            domain = node.inputs[0].shape
            axes = node.params["axis"] if node.shape and len(node.params["axis"]) < len(domain) else None
            if axes is not None and math.prod(domain[k] for k in axes) == math.prod(domain):
                axes = None if math.prod(node.shape) == 1 else axes
        usable = [k for k in loops.get(domain, ()) if k > before and k >= joined] if axes is None else []
        own = self._body(node, step_of)
        usable = [k for k in usable if len(self.bodies[k] | own) <= BODY and len(_roots(steps[k])) < ROOTS]
        if usable:
            loop = steps[usable[0]]
            assert isinstance(loop, Loop)
            loop.roots.append(node)
            step_of[node] = usable[0]
            self.bodies[usable[0]] |= own
            return
        steps.append(Loop(domain, [node], axes))
        step_of[node] = len(steps) - 1
        self.bodies[len(steps) - 1] = own
        if axes is None:
            loops.setdefault(domain, []).append(len(steps) - 1)
            del loops[domain][:-8]

    def _body(self, root: Node, step_of: dict[Node, int]) -> set[Node]:
        """Return the ops that a loop computes for a root, at most a little more than the limit."""
        seen = {root}
        stack = [root]
        while stack and len(seen) <= BODY:
            for arg in stack.pop().inputs:
                if arg in self.computed and arg not in step_of and arg not in seen:
                    seen.add(arg)
                    stack.append(arg)
        return seen

    def _mark(
        self, roots: Iterable[Node], position: int, step_of: dict[Node, int], where: dict[Node, set[int]]
    ) -> None:
        """Note the nodes that a step computes on the way."""
        stack = [arg for arg in roots if arg in self.computed and arg not in step_of]
        while stack:
            node = stack.pop()
            positions = where.setdefault(node, set())
            if position not in positions:
                positions.add(position)
                stack += [arg for arg in node.inputs if arg in self.computed and arg not in step_of]

    def _keep_across(self, steps: list[Step], step_of: dict[Node, int]) -> None:
        """Keep what straight-line code computes and another step needs."""

        def need(node: Node, position: int) -> None:
            stack = [node]
            while stack:
                for arg in stack.pop().inputs:
                    if arg not in self.computed:
                        continue
                    at = step_of.get(arg)
                    if at is None:
                        stack.append(arg)
                    elif at != position and self.kind[arg] == "straight":
                        self.kept.add(arg)

        for position, step in enumerate(steps):
            if isinstance(step, Straight):
                nodes = step.nodes
            elif isinstance(step, Loop):
                nodes = step.roots
            elif isinstance(step, Check):
                if self.kind.get(step.node) == "straight":
                    self.kept.add(step.node)
                nodes = [step.node] if step.node in self.computed and step.node not in step_of else []
            else:
                nodes = [step.node]
            for node in nodes:
                need(node, position)


def _roots(step: Step) -> list[Node]:
    return step.roots if isinstance(step, Loop) else []


def _repeats(user: Node) -> bool:
    """Whether an op may read an element of its argument many times."""
    return (
        user.op.family == "pointwise"
        or user.op.name in ("broadcast_to", "gather")
        or isinstance(user.op.lower, Product)
    )


def reshaped(node: Node) -> Node:
    """Return the node whose elements, in the same order, are those of this one."""
    while node.op.name in ("reshape", "stop_gradient"):
        node = node.inputs[0]
    return node


def _under_views(node: Node) -> Node:
    """Return the node of which this one is a view, else itself."""
    while node.op.name in ("permute", "reshape", "stop_gradient", "slice", "broadcast_to"):
        node = node.inputs[0]
    return node


def _indices(node: Node) -> list[tuple[Node, int]]:
    """Return the index arrays of a gather or scatter, with the length of the axis of each."""
    if node.op.name == "gather":
        return list(zip(node.inputs[1:], node.inputs[0].shape, strict=False))
    if node.op.name in ("scatter_add", "put"):
        first = 1 if node.op.name == "scatter_add" else 2
        return list(zip(node.inputs[first:], node.shape, strict=False))
    return []
