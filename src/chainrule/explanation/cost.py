"""What each way to the derivatives costs, in multiplications and additions, without going it.

Convention, that of the literature: every product of two partials (or of a partial and a tangent) is one
multiplication, also where a factor happens to be 1; the seed of a sweep is no factor. Evaluating the function and its
partials is not counted. `nontrivial` counts without the products in which a factor is known to be 1 or -1 from the
form of the op, as those of a sum are.

Arrays count by element, through the structure of the edge: a diagonal its elements, a contraction the product of the
lengths of its axes, a selection nothing, any other map as many as its dense matrix has elements. Elimination holds
the partials of arrays as matrices, except diagonals and selections.

Source: Griewank & Walther, Evaluating Derivatives, 2nd ed. (2008), chapter 9.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.edges import Diagonal, Edge, Map, Tensor
from chainrule.explanation.sweeps import Net
from chainrule.graph import GraphEdge, GraphNode
from chainrule.ir import Node

__all__ = ["Cost", "Elimination", "costs", "eliminate"]

_MOST = 300_000  # products of an elimination up to which they are counted


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way costs.

    Attributes:
        way: "paths", "forward", "reverse" or "elimination".
        passes: Number of paths, of sweeps, or of vertices to eliminate.
        multiplications: Of all products.
        additions: Of all sums.
        nontrivial: Multiplications without those by a known 1 or -1.
    """

    way: str
    passes: int
    multiplications: int
    additions: int
    nontrivial: int


def costs(net: Net) -> tuple[Cost, ...]:
    """Return the cost of all derivatives, of every output with respect to every input, on each way."""
    work = {edge: _work(edge.map) for edge in net.graph.edges}
    heads = {edge: edge.target for edge in net.graph.edges}
    tails = {edge: edge.source for edge in net.graph.edges}
    forward = _sweeps("forward", net.inputs, net.order, net.incoming, tails, work)
    reverse = _sweeps("reverse", net.outputs, net.order[::-1], net.outgoing, heads, work)
    found = [_paths(net, work, heads, tails), forward, reverse]
    elimination = _elimination(net, work)
    return (*found, elimination) if elimination else tuple(found)


Work = Mapping[GraphEdge, tuple[int, int, bool]]
"""For each edge: multiplications and additions of applying it, and whether it is ±1."""


def _size(node: GraphNode) -> int:
    return math.prod(node.shape)


def _work(edge: Edge) -> tuple[int, int, bool]:
    known = edge.unit is not None
    if isinstance(edge, Diagonal):
        full = math.prod(edge.full)
        return full, full - edge.target.size, known
    if isinstance(edge, Tensor):
        full = math.prod(edge.sizes.values())
        summed = [size for label, size in edge.sizes.items() if label not in edge.target_labels]
        factor = isinstance(edge.coefficient, Node) or abs(edge.coefficient) != 1
        return full if factor else 0, full - full // math.prod(summed) if full else 0, known
    if isinstance(edge, Map) and (edge.selects or edge.scatters):
        return 0, 0, True
    return edge.target.size * edge.source.size, edge.target.size * max(edge.source.size - 1, 0), False


# -- sweeps --------------------------------------------------------------------------------------------


def _sweeps(
    way: str,
    starts: Sequence[GraphNode],
    order: Sequence[GraphNode],
    arriving: Mapping[GraphNode, list[GraphEdge]],
    far_end: Mapping[GraphEdge, GraphNode],
    work: Work,
) -> Cost:
    """Return the cost of one sweep from each element of the starts.

    Which starts reach a node is a set, kept as the bits of a whole number, so that all sweeps are counted at once.
    """
    sizes = [_size(node) for node in starts]

    def weight(members: int) -> int:
        if len(set(sizes)) == 1:
            return members.bit_count() * sizes[0]
        return sum(size for k, size in enumerate(sizes) if members >> k & 1)

    own = {node: 1 << k for k, node in enumerate(starts)}
    reach: dict[GraphNode, int] = {}
    known: dict[GraphNode, int] = {}  # the starts from which what arrives is known to be ±1
    multiplications = additions = nontrivial = 0
    for node in order:
        seed = own.get(node, 0)
        once = twice = ones = 0
        arrivals = 0
        for edge in arriving.get(node, ()):
            far = far_end[edge]
            members = reach.get(far, 0)
            if not members:
                continue
            times, plus, unit = work[edge]
            seeds = own.get(far, 0)
            multiplications += times * weight(members & ~seeds)
            additions += plus * weight(members & ~seeds)
            if unit:
                ones |= known[far]
            else:
                nontrivial += times * weight(members & ~known[far])
            twice |= once & members
            once |= members
            arrivals += weight(members)
        additions += _size(node) * (arrivals - weight(once))
        reach[node] = once | seed
        known[node] = (ones & ~twice) | seed
    return Cost(way, sum(sizes), multiplications, additions, nontrivial)


# -- paths ---------------------------------------------------------------------------------------------


def _paths(net: Net, work: Work, heads: Mapping[GraphEdge, GraphNode], tails: Mapping[GraphEdge, GraphNode]) -> Cost:
    """Return the cost of one product per path and their sum, each from the end with fewer elements."""
    backward = sum(map(_size, net.outputs)) <= sum(map(_size, net.inputs))
    starts, ends = (net.outputs, net.inputs) if backward else (net.inputs, net.outputs)
    order = net.order[::-1] if backward else net.order
    arriving, far_end = (net.outgoing, heads) if backward else (net.incoming, tails)
    passes = multiplications = additions = nontrivial = 0
    for start in starts:
        # at each node, over the paths to it: how many, all of whose edges are ±1; sums over them of the
        # multiplications of all edges, of the first edge, of those that are not ±1, of the first of these, of additions
        found: dict[GraphNode, tuple[int, int, int, int, int, int, int]] = {start: (1, 1, 0, 0, 0, 0, 0)}
        for node in order:
            rows = []
            for edge in arriving.get(node, ()) if node is not start else ():
                far = far_end[edge]
                if far not in found:
                    continue
                count, plain, total, first, hard, first_hard, sums = found[far]
                times, plus, unit = work[edge]
                rows.append((
                    count,
                    plain if unit else 0,
                    total + times * count,
                    times if far is start else first,
                    hard + (0 if unit else times * count),
                    first_hard + (0 if unit else times * plain),
                    sums + (0 if far is start else plus * count),
                ))  # fmt: skip
            if rows:
                found[node] = tuple(map(sum, zip(*rows, strict=True)))  # type: ignore[assignment]
        for end in ends:
            if end in found:
                count, _, total, first, hard, first_hard, sums = found[end]
                passes += count
                multiplications += _size(start) * (total - first)
                nontrivial += _size(start) * (hard - first_hard)
                additions += _size(start) * sums + (count - 1) * _size(start) * _size(end)
    return Cost("paths", passes, multiplications, additions, nontrivial)


# -- elimination ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Elimination:
    """One vertex merged away.

    Attributes:
        node: The vertex.
        products: For each pair of edges through it: source, target, partial after the vertex, partial before it,
            what was there already (None where nothing was), and what is there now. The partials are None for arrays.
    """

    node: GraphNode
    products: tuple[tuple[GraphNode, GraphNode, float | None, float | None, float | None, float | None], ...]


def eliminate(net: Net) -> list[Elimination]:
    """Return the elimination of all vertices, always one with the fewest products next (Markowitz).

    Empty where it takes more than 300,000 products.
    """
    steps: list[Elimination] = []

    def merge(node: GraphNode, products: list[tuple[GraphNode, GraphNode, Any, Any, Any, Any]]) -> None:
        steps.append(Elimination(node, tuple(products)))

    scalar = net.is_scalar
    start = {edge: edge.partial if scalar else None for edge in net.graph.edges}
    done = _merge_all(net, start, _product if scalar else _nothing, _sum if scalar else _nothing, merge)
    return steps if done else []


def _product(second: float, first: float) -> float:
    return 0.0 if second == 0 or first == 0 else second * first


def _sum(one: float, two: float) -> float:
    return one + two


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class _Block:
    """A partial between arrays, by its form: elementwise, a selection, or a matrix."""

    rows: int
    columns: int
    form: str
    unit: bool


def _elimination(net: Net, work: Work) -> Cost | None:
    spent = [0, 0, 0]  # multiplications, nontrivial ones, additions
    count = 0

    def multiply(second: _Block, first: _Block) -> _Block:
        forms = {second.form, first.form}
        unit = second.unit and first.unit
        if "selection" in forms:
            times = plus = 0
            form = "selection" if len(forms) == 1 else "matrix" if "matrix" in forms else "elementwise"
        elif forms == {"elementwise"}:
            times, plus, form = max(second.rows, first.columns), 0, "elementwise"
        elif "elementwise" in forms:
            times, plus, form = second.rows * first.columns, 0, "matrix"
        else:
            times, form = second.rows * second.columns * first.columns, "matrix"
            plus = second.rows * max(second.columns - 1, 0) * first.columns
        spent[0] += times
        spent[1] += 0 if second.unit or first.unit else times
        spent[2] += plus
        return _Block(second.rows, first.columns, form, unit)

    def add(one: _Block, two: _Block) -> _Block:
        matrix = one.form != "elementwise" or two.form != "elementwise"
        spent[2] += one.rows * one.columns if matrix else max(one.rows, one.columns)
        return _Block(one.rows, one.columns, "matrix" if matrix else "elementwise", False)

    def merge(node: GraphNode, products: list[Any]) -> None:
        nonlocal count
        count += 1

    start = {}
    for edge in net.graph.edges:
        linear = edge.map
        if isinstance(linear, Map) and (linear.selects or linear.scatters):
            form = "selection"
        else:
            same = isinstance(linear, Diagonal) and linear.source.shape == linear.target.shape
            form = "elementwise" if same else "matrix"
        start[edge] = _Block(_size(edge.target), _size(edge.source), form, work[edge][2])
    if not _merge_all(net, start, multiply, add, merge):
        return None
    return Cost("elimination", count, spent[0], spent[2], spent[1])


def _merge_all(
    net: Net,
    start: Mapping[GraphEdge, Any],
    multiply: Callable[[Any, Any], Any],
    add: Callable[[Any, Any], Any],
    merge: Callable[[GraphNode, list[Any]], None],
) -> bool:
    """Eliminate every vertex, that with the fewest products first; False where that becomes too much."""
    after: dict[GraphNode, dict[GraphNode, Any]] = {}
    before: dict[GraphNode, dict[GraphNode, None]] = {}
    for edge, partial in start.items():
        after.setdefault(edge.source, {})[edge.target] = partial
        before.setdefault(edge.target, {})[edge.source] = None
    ends = {*net.inputs, *net.outputs}
    place = {node: k for k, node in enumerate(net.order)}

    def degree(node: GraphNode) -> int:
        return len(before.get(node, ())) * len(after.get(node, ()))

    def through(node: GraphNode, targets: dict[GraphNode, Any], *, stays: bool = False) -> None:
        """Replace the pairs of edges through a node, or add what they carry where the node stays."""
        rows = []
        for source in list(before[node] if stays else before.pop(node, {})):
            first = after[source][node] if stays else after[source].pop(node)
            for target, second in targets.items():
                product = multiply(second, first)
                present = after[source].get(target)
                is_new = target not in after[source]
                after[source][target] = product if is_new else add(present, product)
                before[target][source] = None
                rows.append((source, target, second, first, None if is_new else present, after[source][target]))
        for target in () if stays else targets:
            before[target].pop(node, None)
            if target in left:
                heapq.heappush(heap, (degree(target), -place[target], target))
        merge(node, rows)

    # among equals the last one, so that without a reason to do otherwise the order is that of reverse mode
    left: set[GraphNode] = set()
    heap = [(degree(node), -place[node], node) for node in net.order if node not in ends]
    heapq.heapify(heap)
    left.update(node for _, _, node in heap)
    products = 0
    while heap:
        found, _, node = heapq.heappop(heap)
        if node not in left:
            continue
        if degree(node) != found:
            heapq.heappush(heap, (degree(node), -place[node], node))
            continue
        left.discard(node)
        products += found
        if products > _MOST:
            return False
        through(node, after.pop(node, {}))
    for node in net.order:  # paths that run on through an output to another one
        if node in ends and node in after and node in before:
            through(node, after[node], stays=True)
    return True
