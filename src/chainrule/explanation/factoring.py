"""The sum over paths, factored where all paths meet.

If every path from x to z goes through y, the sum over them is the sum over the paths from x to y times the sum over
those from y to z: (α + β + γ)(δ + ε + ζ) instead of nine products.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chainrule.explanation.sweeps import Net
from chainrule.graph import GraphNode, Path

__all__ = ["LETTERS", "Factored", "Letter", "Segment", "count_from", "count_to", "digits", "factor", "power_of"]

Counts = dict[GraphNode, int]

LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
MOST = 12  # paths of a segment that get letters


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """One path of a segment.

    Attributes:
        name: A Greek letter, from the second alphabet on with a number.
        path: The path.
        value: The product of the partials along it.
    """

    name: str
    path: Path
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The part between two nodes through which all paths go.

    Attributes:
        source: Where it begins.
        target: Where it ends.
        count: Number of paths through it.
        letters: One per path; none where there are more than 12.
        value: The sum of the products along the paths: the derivative of target with respect to source.
    """

    source: GraphNode
    target: GraphNode
    count: int
    letters: tuple[Letter, ...]
    value: float


@dataclass(frozen=True, eq=False)
class Factored:
    """The sum over all paths from a source to a target as a product of sums.

    Attributes:
        source: The input.
        target: The output.
        segments: The factors, at least two.
        count: Number of paths, the product of those of the segments.
    """

    source: GraphNode
    target: GraphNode
    segments: tuple[Segment, ...]
    count: int

    @property
    def value(self) -> float:
        """The derivative: the product of the sums; exactly 0 where one of them is."""
        values = [segment.value for segment in self.segments]
        return 0.0 if 0.0 in values else math.prod(values)

    @property
    def expanded_operations(self) -> tuple[int, int]:
        """Multiplications and additions of the sum of products, counted in letters."""
        return self.count * (len(self.segments) - 1), self.count - 1

    @property
    def factored_operations(self) -> tuple[int, int]:
        """Multiplications and additions of the product of sums, counted in letters."""
        return len(self.segments) - 1, sum(segment.count - 1 for segment in self.segments)

    @functools.cached_property
    def power(self) -> tuple[int, int] | None:
        """The number of paths as ``(base, exponent)``, where that many segments have equally many paths."""
        counts = [segment.count for segment in self.segments if segment.count > 1]
        return (counts[0], len(counts)) if len(set(counts)) == 1 and len(counts) > 1 else None


def count_to(net: Net, target: GraphNode) -> Counts:
    """Return for each node the number of paths from there to the target; nodes without one are left out."""
    counts = {target: 1}
    for node in reversed(net.order):
        if node is not target:
            found = sum(counts.get(edge.target, 0) for edge in net.outgoing.get(node, ()))
            if found:
                counts[node] = found
    return counts


def count_from(net: Net, source: GraphNode, within: Mapping[GraphNode, int]) -> Counts:
    """Return for each of some nodes the number of paths from the source to there."""
    counts = {source: 1}
    for node in net.order:
        if node in within and node is not source:
            found = sum(counts.get(edge.source, 0) for edge in net.incoming.get(node, ()))
            if found:
                counts[node] = found
    return counts


def factor(net: Net, source: GraphNode, target: GraphNode, onward: Counts) -> Factored | None:
    """Return the factored sum over the paths, or None where nothing can be factored.

    A node lies on all paths when the number of paths to it times the number from it is the number of all.

    Args:
        net: The graph, of real scalars.
        source: An input.
        target: An output.
        onward: What `count_to` returns for the target.
    """
    total = onward.get(source, 0)
    if total < 2:
        return None
    counts = count_from(net, source, onward)
    cuts = [node for node in net.order if node in counts and counts[node] * onward[node] == total]
    if len(cuts) < 3:
        return None
    spans: list[tuple[GraphNode, GraphNode, int]] = []
    for start, end in itertools.pairwise(cuts):
        count = onward[start] // onward[end]
        if spans and count == 1 and spans[-1][2] == 1:
            spans[-1] = spans[-1][0], end, 1
        else:
            spans.append((start, end, count))
    if len(spans) < 2:
        return None
    names = (f"{LETTERS[k % 24]}{_subscript(k // 24 + 1) if k >= 24 else ''}" for k in itertools.count())
    values = _values(net, source, counts, [end for _, end, _ in spans])
    segments = []
    for (start, end, count), value in zip(spans, values, strict=True):
        paths = _paths(net, start, end, onward) if count <= MOST else ()
        letters = tuple(Letter(next(names), path, path.product) for path in paths)
        segments.append(Segment(start, end, count, letters, value))
    return Factored(source, target, tuple(segments), total)


def _values(net: Net, source: GraphNode, on_paths: Counts, ends: Sequence[GraphNode]) -> list[float]:
    """Return the derivative over each segment: one forward sweep that starts again with 1 at each end."""
    found: dict[GraphNode, float] = {}
    tangents: dict[GraphNode, float] = {source: 1.0}
    last = set(ends)
    for node in net.order:
        if node is source or node not in on_paths:
            continue
        total = 0.0
        for edge in net.incoming[node]:
            factor = tangents.get(edge.source, 0.0)
            if factor and edge.partial:
                total += edge.partial * factor
        tangents[node] = 1.0 if node in last else total
        if node in last:
            found[node] = total
    return [found[end] for end in ends]


def _paths(net: Net, start: GraphNode, end: GraphNode, onward: Counts) -> list[Path]:
    found = []
    stack: list[tuple[GraphNode, tuple[Any, ...]]] = [(start, ())]
    while stack:
        node, edges = stack.pop()
        if node is end:
            found.append(Path(start, edges))
            continue
        stack += [(edge.target, (*edges, edge)) for edge in reversed(net.outgoing[node]) if edge.target in onward]
    return found


def _subscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def power_of(number: int) -> tuple[int, int] | None:
    """Return ``(base, exponent)`` of a whole power with the largest exponent above 1; bases with factors below 100."""
    if number < 4:
        return None
    exponents: dict[int, int] = {}
    for prime in (p for p in range(2, 100) if all(p % q for q in range(2, p))):
        while number % prime == 0:
            # repeated squaring: a number of thousands of digits has thousands of factors
            step, squared = 1, prime
            while number % (squared * squared) == 0:
                step, squared = 2 * step, squared * squared
            number //= squared
            exponents[prime] = exponents.get(prime, 0) + step
    exponent = math.gcd(*exponents.values()) if number == 1 else 1
    if exponent < 2:
        return None
    return math.prod(prime ** (power // exponent) for prime, power in exponents.items()), exponent


def digits(number: int) -> str:
    """Return a whole number in full; `str` refuses more digits than `sys.get_int_max_str_digits` tells."""
    return str(Decimal(number)) if number.bit_length() > 2000 else str(number)
