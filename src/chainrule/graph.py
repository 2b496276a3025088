"""The graph as an object: nodes with values, edges with partials, paths with products.

`trace` runs a function once and returns its `Graph`. The derivative of an output with respect to an input is
the sum, over all paths between them, of the products of the partials on the path; `Graph.paths` shows the
terms of that sum, `Graph.derivative` is the graph that computes it without listing them.
"""

from __future__ import annotations

import difflib
import functools
import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.edges import Diagonal, Edge, Map, as_tensor, edges_into
from chainrule.errors import GraphError, UnsupportedError
from chainrule.ir import CONSTANT, INPUT, ITEM, Node, Origin, Program
from chainrule.namespaces import home_of, released, wrap
from chainrule.serialize import from_json, to_json
from chainrule.source import source
from chainrule.tracing import trace_function
from chainrule.transforms.jacobian import jacobian
from chainrule.types import Shape

_DENSE = 1 << 16  # partials up to which a norm is computed from the dense matrix


def trace(f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Graph:
    """Run a function once and return the graph of what it did.

    Every real or complex number and every floating-point array among the positional arguments, also inside
    lists, dicts and other structures, is an input. Python and NumPy integers count as float64, except where the
    function needs an integer (``x[:k]``, ``range(k)``, ``np.zeros(k)``): then it is run again with that argument as it
    is. Anything else (strings, arrays of integers, None) and keyword arguments reach the function as they are.

    Args:
        f: Function of arrays.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Example:
        >>> def f(a, b):
        ...     c = a + b
        ...     d = b + 1
        ...     e = c * d
        ...     return e
        >>> g = trace(f, 2, 1)
        >>> [(node.name, float(node.value)) for node in g.nodes if node.op != "constant"]
        [('a', 2.0), ('b', 1.0), ('c', 3.0), ('d', 2.0), ('e', 6.0)]
        >>> [f"{edge.source.name} to {edge.target.name}: {edge.partial}" for edge in g.edges]
        ['a to c: 1.0', 'b to c: 1.0', 'b to d: 1.0', 'c to e: 2.0', 'd to e: 3.0']
        >>> g.count_paths("b", "e"), sum(path.product for path in g.paths("b", "e"))
        (2, 5.0)
    """
    return Graph(trace_function(f, args, range(len(args)), kwargs, lenient=True).program)


class GraphNode:
    """One value of a graph: an input, a constant or the result of an op."""

    __slots__ = ("_graph", "_node", "name")

    def __init__(self, graph: Graph, node: Node, name: str) -> None:
        self._graph = graph
        self._node = node
        self.name = name

    @property
    def op(self) -> str:
        """Name of the op; "input" and "constant" for what is not computed."""
        return self._owner.op.name

    @property
    def inputs(self) -> tuple[GraphNode, ...]:
        """The arguments of the op."""
        return tuple(self._graph._of[arg] for arg in self._owner.inputs)

    @property
    def params(self) -> dict[str, Any]:
        """What else the op was told, such as an axis."""
        return dict(self._owner.params)

    @property
    def value(self) -> Any:
        """The concrete NumPy value; None where an input that it needs has none."""
        return self._node.value if self._node.value is not None else self._graph._values.get(self._node)

    @property
    def shape(self) -> Shape:
        """Shape of the value."""
        return self._node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the value."""
        return self._node.dtype

    @property
    def origin(self) -> Origin | None:
        """The line of the user's code that computed it; prints as ``file.py:12``."""
        return self._node.origin

    @property
    def _owner(self) -> Node:
        """The node of the op, which for one of several results stands behind this one."""
        return self._node.inputs[0] if self._node.op is ITEM else self._node

    def __repr__(self) -> str:
        return f"{self.name} = {self._graph._call(self)}"


class Partial:
    """The partial of an edge between arrays: a linear map, kept in the form in which the op states it."""

    __slots__ = ("_edge", "_graph", "_programs")

    def __init__(self, graph: Graph, edge: Edge) -> None:
        self._graph = graph
        self._edge = edge
        self._programs: dict[tuple[int, bool], tuple[Node, Node]] = {}

    @property
    def shape(self) -> Shape:
        """Shape of the dense form: the target's followed by the source's."""
        return self._edge.shape

    def dense(self) -> np.ndarray:
        """Return the array of all partials, of shape ``target.shape + source.shape``."""
        return self._graph._compose([self])

    def norm(self) -> float:
        """Return the Frobenius norm, the root of the sum of the squares of all partials."""
        edge = self._edge
        if isinstance(edge, Map) and edge.selects:
            return math.sqrt(edge.pattern().nnz)
        tensor = as_tensor(edge)
        if tensor is None or set(tensor.labels) - {*tensor.source_labels, *tensor.target_labels}:
            return float(np.linalg.norm(np.ravel(self.dense())))
        repeats = math.prod(size for label, size in tensor.sizes.items() if label not in tensor.labels)
        coefficient = np.abs(self._graph._number(tensor.coefficient))
        return math.sqrt(repeats) * float(np.linalg.norm(np.ravel(coefficient)))

    def gain(self) -> float:
        """Return a bound on how much longer the map can make a vector: the spectral norm, where that is cheap."""
        edge = self._edge
        if isinstance(edge, Diagonal) and edge.full in (edge.source.shape, edge.target.shape):
            size = np.abs(self._graph._number(edge.coefficient))
            if edge.conjugate is not None:
                size = size + np.abs(self._graph._number(edge.conjugate))
            squares = np.broadcast_to(size * size, edge.full)
            smaller = edge.source.shape if edge.full == edge.target.shape else edge.target.shape
            padded = (1,) * (len(edge.full) - len(smaller)) + smaller
            axes = tuple(k for k, length in enumerate(padded) if length != edge.full[k])
            return math.sqrt(np.max(np.sum(squares, axis=axes), initial=0.0))
        if math.prod(self.shape) > _DENSE:
            return self.norm()
        matrix = self.dense().reshape(edge.target.size, edge.source.size)
        if not np.isfinite(matrix).all():
            return math.inf
        return float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0

    def __str__(self) -> str:
        return self._edge.describe(lambda node: self._graph._spell(node))

    def __repr__(self) -> str:
        return f"<{self} : {list(self._edge.target.shape)} from {list(self._edge.source.shape)}>"

    def _apply(self, rows: np.ndarray, backward: bool) -> np.ndarray:
        """Push tangents, one per row, through the map, or pull cotangents back through it."""
        key = len(rows), backward
        if key not in self._programs:
            edge = self._edge.transpose() if backward else self._edge
            stack = self._graph.program.builder.input(edge.source.with_shape(rows.shape))
            self._programs[key] = stack, edge.apply_batched(stack)
        stack, images = self._programs[key]
        (found,) = ir.evaluate([images], {**self._graph._values, stack: rows})
        return np.asarray(found)


class GraphEdge:
    """How a result changes with one of the op's arguments.

    Attributes:
        source: The argument.
        target: The result.
    """

    __slots__ = ("_map", "source", "target")

    def __init__(self, source: GraphNode, target: GraphNode, edge: Edge) -> None:
        self.source = source
        self.target = target
        self._map = Partial(source._graph, edge)

    @property
    def partial(self) -> Any:
        """The partial derivative: a number between two scalars, else a `Partial`.

        Of a map from complex numbers that is not holomorphic it is the partial along the real axis, and of a
        real result ∂/∂Re - i ∂/∂Im, as `grad` has it.
        """
        number = self.source._graph._numbers.get(self)
        return self._map if number is None else number

    @property
    def map(self) -> Edge:
        """The partial as a linear map on nodes, of which transforms are made."""
        return self._map._edge

    @property
    def formula(self) -> str:
        """The partial in terms of the graph's values, as the op states it: ``d`` for that of c * d by c."""
        edge = self._map._edge
        if self._map.shape or not isinstance(edge, Diagonal) or edge.conjugate is not None:
            return str(self._map)
        coefficient = edge.coefficient
        return self.source._graph._spell(coefficient) if isinstance(coefficient, Node) else _short(coefficient)

    @property
    def backward_formula(self) -> str:
        """The transposed map, by which cotangents are pulled back, in terms of the graph's values."""
        return self._map._edge.transpose().describe(self.source._graph._spell) if self._map.shape else self.formula

    def push(self, x_dot: Any) -> np.ndarray:
        """Return the tangent of the target that a tangent of the source causes."""
        return self._map._apply(np.asarray(x_dot, self.source.dtype)[None], backward=False)[0]

    def pull(self, y_bar: Any) -> np.ndarray:
        """Return the cotangent of the source that a cotangent of the target causes."""
        return self._map._apply(np.asarray(y_bar, self.target.dtype)[None], backward=True)[0]

    def __repr__(self) -> str:
        return f"{self.source.name} → {self.target.name}: {_short(self.partial)}"


class Path:
    """One way from a source to a target along edges.

    Attributes:
        nodes: The nodes on it, both ends included.
        edges: The edges on it, one fewer.
    """

    def __init__(self, start: GraphNode, edges: Sequence[GraphEdge]) -> None:
        self.edges = tuple(edges)
        self.nodes = (start, *(edge.target for edge in edges))

    @property
    def partials(self) -> tuple[Any, ...]:
        """The partial of each edge."""
        return tuple(edge.partial for edge in self.edges)

    @functools.cached_property
    def product(self) -> Any:
        """The product of the partials, of shape ``target.shape + source.shape``; a number between scalars.

        Exactly 0 where a partial is, even beside inf and NaN.
        """
        partials = self.partials
        if not partials and self.nodes[0].shape:
            shape, size = self.nodes[0].shape, math.prod(self.nodes[0].shape)
            return np.eye(size, dtype=self.nodes[0].dtype).reshape((*shape, *shape))
        if all(isinstance(partial, float) for partial in partials):
            return 0.0 if 0.0 in partials else math.prod(partials, start=1.0)
        graph = self.nodes[0]._graph
        dense = graph._compose([edge._map for edge in self.edges])
        return dense if dense.ndim else dense.item()

    def __repr__(self) -> str:
        names = " → ".join(node.name for node in self.nodes)
        numbers = all(isinstance(partial, int | float | complex) for partial in self.partials)
        factors = (" · " if numbers else "; ").join(_short(partial) for partial in self.partials)
        return f"{names}: {factors or 1}"


class Graph:
    """A function as nodes and edges, at the values at which it was traced.

    Attributes:
        program: What it computes; the form in which transforms take it.
        nodes: Inputs, constants and results, each after what it needs; without what the outputs do not need.
        inputs: The inputs.
        outputs: The results of the function.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        shown = [node for node in program.nodes if not isinstance(node.spec, tuple)]
        self._of = {node: GraphNode(self, node, name) for node, name in zip(shown, _names(shown), strict=True)}
        self.nodes: tuple[GraphNode, ...] = tuple(self._of.values())
        self.inputs: tuple[GraphNode, ...] = tuple(self._of[node] for node in program.inputs)
        self.outputs: tuple[GraphNode, ...] = tuple(self._of[node] for node in program.outputs)

    @staticmethod
    def from_json(text: str) -> Graph:
        """Return the graph that `to_json` wrote.

        Nothing in the text is executed.

        Raises:
            GraphError: the text is no graph; the message says where and why.
        """
        return Graph(from_json(text))

    def node(self, name: str) -> GraphNode:
        """Return the node of a name.

        Raises:
            GraphError: there is none; the message holds names that are close.
        """
        found = self._by_name.get(name)
        if found is None:
            close = difflib.get_close_matches(name, self._by_name, n=3, cutoff=0.5)
            names = close or [node.name for node in self.nodes if node._node.is_named][:8]
            raise GraphError(f"no node is named {name!r}; {'close' if close else 'there'} are: {', '.join(names)}")
        return found

    @functools.cached_property
    def edges(self) -> tuple[GraphEdge, ...]:
        """One edge per pair of a result and an argument on which it depends, in the order of the results.

        Constants, and results that depend on no input, have no edges from them. An op used twice on the same
        argument, as in ``x * x``, has one edge, 2x.

        Raises:
            NotDifferentiableError: an op has no derivative; names op and source line.
        """
        found = []
        order = ir.between(self.program.outputs, self.program.inputs)
        active = set(order)
        for node in order:
            if node in self._of:
                target = self._of[node]
                found += [GraphEdge(self._of[arg], target, edge) for arg, edge in edges_into(node, active)]
        return tuple(found)

    # -- what can be made of it ---------------------------------------------------------------------------

    def evaluate(self, *args: Any) -> Any:
        """Return the outputs at other values of the inputs: one value, or a tuple of several.

        The operations are those of the trace: branches that it took stay taken. Where the function looked at a
        value to decide (``if x > 0``, ``int(n)``), the value must be the same again.

        Args:
            *args: One value per input, in the order of `inputs`, of the same shape; arrays of another library
                (PyTorch, CuPy, Dask, JAX) give results of that library.

        Raises:
            GraphError: the values do not fit the inputs, or a decision would be another one.
        """
        if len(args) != len(self.inputs):
            raise GraphError(f"{len(self.inputs)} values are needed, for {_listed(self.inputs)}; got {len(args)}")
        bound = {node._node: _fitted(node, arg) for node, arg in zip(self.inputs, args, strict=True)}
        guards = self.program.builder.guards
        found = ir.evaluate([*self.program.outputs, *guards], bound)
        for (node, seen), now in zip(guards.items(), found[len(self.outputs) :], strict=True):
            if not np.array_equal(seen, now, equal_nan=node.spec.is_inexact):
                where = f", at {node.origin}" if node.origin else ""
                raise GraphError(
                    f"the function looked at {self._spell(node)} and found {seen}{where}; at these values it is {now}, "
                    "and the function might do something else: trace it again"
                )
        home = home_of([*bound.values(), *found])
        results = [
            np.array(value)[()] if home is None else released(value, home) for value in found[: len(self.outputs)]
        ]
        return results[0] if len(results) == 1 else tuple(results)

    __call__ = evaluate

    def derivative(self, mode: str = "reverse") -> Graph:
        """Return the graph of the partials of the outputs with respect to the inputs.

        Its outputs are, for each output and each input of this graph, an array of shape
        ``output.shape + input.shape``.

        Args:
            mode: "forward", "reverse", "eliminate", or "auto", see `chainrule.jacobian`.

        Raises:
            GraphError: unknown mode.
            NotDifferentiableError: an op on the way has no derivative; names op and source line.
        """
        return Graph(jacobian(self.program, mode))

    def source(self, name: str = "f") -> str:
        """Return NumPy source of a function that computes the outputs from the inputs.

        Its parameters are the inputs, under their names as far as Python allows; it returns one value, or a tuple
        of several. It is meant for NumPy numbers and arrays of the dtypes of the trace (Python's own numbers raise
        where NumPy returns inf). Constants of more than 64 elements are keyword arguments.

        Args:
            name: What to call the function.

        Raises:
            GraphError: the name is no identifier.
            UnsupportedError: a function with a custom rule cannot be written.
        """
        return source(self.program, self._labels, name)

    def to_json(self) -> str:
        """Return the graph as JSON text, with its values, to be read by `from_json`.

        Raises:
            GraphError: a function with a custom rule cannot be written.
        """
        return to_json(self.program, self._labels)

    # -- paths -----------------------------------------------------------------------------------------

    def count_paths(self, source: GraphNode | str | None = None, target: GraphNode | str | None = None) -> int:
        """Return the number of paths, exactly, in time linear in the size of the graph.

        Args:
            source: Where they start, a node or its name; any input by default.
            target: Where they end; any output by default.
        """
        counts = dict.fromkeys(self._ends(source, self.inputs), 1)
        for edge in self.edges:
            if edge.source in counts:
                counts[edge.target] = counts.get(edge.target, 0) + counts[edge.source]
        return sum(counts.get(node, 0) for node in self._ends(target, self.outputs))

    def paths(
        self,
        source: GraphNode | str | None = None,
        target: GraphNode | str | None = None,
        limit: int | None = None,
        largest: bool = False,
    ) -> Iterator[Path]:
        """Yield the paths; the sum of their products is the derivative of target with respect to source.

        Args:
            source: Where they start, a node or its name; any input by default.
            target: Where they end; any output by default.
            limit: How many to yield at most.
            largest: Yield those with the largest products first (by absolute value, of arrays by Frobenius norm;
                up to rounding), without listing all: a search that knows the best way on from every node. Between
                arrays it knows only a bound on a product before it is formed, so of millions of paths of about the
                same size it may form very many.
        """
        starts, ends = self._ends(source, self.inputs), self._ends(target, self.outputs)
        found = self._best_first(starts, ends) if largest else self._depth_first(starts, ends)
        return itertools.islice(found, limit)

    def _depth_first(self, starts: Sequence[GraphNode], ends: Sequence[GraphNode]) -> Iterator[Path]:
        useful = self._onward(ends)
        goals = set(ends)
        for start in starts:
            trail: list[GraphEdge] = []
            if start in goals:
                yield Path(start, trail)
            stack = [iter(useful.get(start, ()))]
            while stack:
                edge = next(stack[-1], None)
                if edge is None:
                    stack.pop()
                    if trail:
                        trail.pop()
                    continue
                trail.append(edge)
                if edge.target in goals:
                    yield Path(start, trail)
                stack.append(iter(useful.get(edge.target, ())))

    def _best_first(self, starts: Sequence[GraphNode], ends: Sequence[GraphNode]) -> Iterator[Path]:
        """Yield paths by falling product: the k longest paths by their deviations from the longest.

        A path is the best way on from every node but for the edges at which it deviates; each deviation has a
        price, the logarithm of what it loses, never negative. Following the best way is free, exactly, so that
        rounding cannot make the search wander among equal paths. Products of arrays are only bounded in this way
        (by spectral norms); such a path waits until no other can be larger.

        Source: D. Eppstein, Finding the k shortest paths, SIAM J. Comput. 28 (1998).
        """
        onward, goals = self._onward(ends), set(ends)
        weights = {edge: _log2(self._gain(edge)) for edges in onward.values() for edge in edges}
        best: dict[GraphNode, float] = {}
        for node in reversed(self.nodes):
            ways = [weights[edge] + best[edge.target] for edge in onward.get(node, ())]
            if node in goals:
                ways.append(0.0)
            if ways:
                best[node] = max(ways)
        exact = all(isinstance(edge.partial, float) for edge in weights)
        starts = [node for node in starts if node in best]
        if not starts:
            return
        top = max(best[node] for node in starts)
        rank = min(max(math.prod(node.shape) for node in group) for group in (starts, ends))
        top_norm = top + 0.5 * _log2(rank)  # a matrix of rank r has at most √r times its spectral norm
        count = itertools.count()
        # price, newest first among equals, end node, whether it stops there, (edges so far, last edge), start
        heap: list[tuple[float, int, GraphNode, bool, Any, GraphNode]] = []
        ready: list[tuple[float, int, Path]] = []
        for node in reversed(starts):
            heapq.heappush(heap, (_lost(top, best[node]), -next(count), node, False, None, node))
        while heap:
            while ready and -ready[0][0] >= top_norm - heap[0][0] - 1e-9:
                yield heapq.heappop(ready)[2]
            price, _, node, stops, trail, start = heapq.heappop(heap)
            if stops:
                path = Path(start, _unroll(trail))
                if exact:
                    yield path
                else:
                    norm = _log2(float(np.linalg.norm(np.ravel(path.product))))
                    heapq.heappush(ready, (-norm, next(count), path))
                continue
            for edge in reversed(onward.get(node, ())):
                lost = _lost(best[node], weights[edge] + best[edge.target])
                heapq.heappush(heap, (price + lost, -next(count), edge.target, False, (trail, edge), start))
            if node in goals:
                heapq.heappush(heap, (price + _lost(best[node], 0.0), -next(count), node, True, trail, start))
        while ready:
            yield heapq.heappop(ready)[2]

    def _onward(self, ends: Sequence[GraphNode]) -> dict[GraphNode, list[GraphEdge]]:
        """Return for each node the edges from it that lead to an end."""
        reaches = set(ends)
        found: dict[GraphNode, list[GraphEdge]] = {}
        for edge in reversed(self.edges):
            if edge.target in reaches:
                reaches.add(edge.source)
                found.setdefault(edge.source, []).append(edge)
        return {node: edges[::-1] for node, edges in found.items()}

    def _ends(self, end: GraphNode | str | None, default: Sequence[GraphNode]) -> list[GraphNode]:
        if end is None:
            return list(dict.fromkeys(default))
        if isinstance(end, str):
            return [self.node(end)]
        node: Any = getattr(end, "_node", None)
        if self._of.get(node) is not end:
            raise GraphError(f"{end!r} is no node of this graph; give one of its nodes, or a name")
        return [end]

    # -- numbers -----------------------------------------------------------------------------------------

    @property
    def _labels(self) -> dict[Node, str]:
        return {node._node: node.name for node in self.nodes}

    @functools.cached_property
    def _by_name(self) -> dict[str, GraphNode]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def _values(self) -> dict[Node, Any]:
        """Values of the nodes that have none from the trace, as far as the inputs have."""
        missing = [node for node in self._of if node.value is None]
        unknown = set(ir.between(missing, [node for node in missing if node.op is INPUT]))
        missing = [node for node in missing if node not in unknown]
        return dict(zip(missing, ir.evaluate(missing), strict=True))

    @functools.cached_property
    def _numbers(self) -> dict[GraphEdge, float | complex]:
        """Partials of the edges between scalars, all at once."""
        builder = self.program.builder
        scalar = [edge for edge in self.edges if not edge._map.shape]
        nodes = []
        for edge in scalar:
            source, target = edge.source._node.spec, edge.target._node.spec
            if source.is_complex and not target.is_complex:
                nodes.append(edge._map._edge.transpose().apply(builder.constant(target.dtype.type(1))))
            else:
                nodes.append(edge._map._edge.apply(builder.constant(source.dtype.type(1))))
        return {edge: value.item() for edge, value in zip(scalar, ir.evaluate(nodes, self._values), strict=True)}

    def _number(self, coefficient: Any) -> Any:
        """Return the value of a coefficient."""
        return ir.evaluate([coefficient], self._values)[0] if isinstance(coefficient, Node) else coefficient

    def _gain(self, edge: GraphEdge) -> float:
        partial = edge.partial
        return abs(partial) if isinstance(partial, float) else edge._map.gain()

    def _compose(self, maps: Sequence[Partial]) -> np.ndarray:
        """Return the dense form of maps one after another, from the end at which fewer numbers are carried."""
        source, target = maps[0]._edge.source, maps[-1]._edge.target
        only_real = target.size < source.size and not source.is_complex and not target.is_complex
        backward = only_real or (source.is_complex and not target.is_complex)
        start = target if backward else source
        rows = np.eye(start.size, dtype=start.dtype).reshape(start.size, *start.shape)
        for each in reversed(maps) if backward else maps:
            rows = each._apply(rows, backward)
        columns = rows if backward else np.moveaxis(rows, 0, -1)
        return columns.reshape((*target.shape, *source.shape))

    # -- text ----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(node.name for node in ends) for ends in (self.inputs, self.outputs))
        return f"<graph of {len(self.nodes)} nodes: {inputs} → {outputs}>"

    def __str__(self) -> str:
        rows = [
            (f"{node.name} = {self._call(node)}", _shown(node), str(node.origin or ""))
            for node in self.nodes
            if not self._is_literal(node)
        ]
        wide, narrow = (max((len(row[k]) for row in rows), default=0) for k in (0, 1))
        lines = [f"{call:<{min(wide, 60)}}  {value:<{narrow}}  {origin}".rstrip() for call, value, origin in rows]
        return "\n".join([*lines, f"return {', '.join(self._label(node) for node in self.outputs)}"])

    def _is_literal(self, node: GraphNode) -> bool:
        """Whether a node is a number that needs no name."""
        return node._node.op is CONSTANT and not node.shape and not node._node.is_named

    def _label(self, node: GraphNode) -> str:
        return _short(node.value) if self._is_literal(node) else node.name

    def _call(self, node: GraphNode) -> str:
        """Return how a node is computed, as text."""
        if node._node.op in (INPUT, CONSTANT):
            return node.op
        args = [*map(self._label, node.inputs), *(f"{key}={_spoken(value)}" for key, value in node.params.items())]
        return f"{node.op}({', '.join(args)})" + (f"[{node._node.params['index']}]" if node._node.op is ITEM else "")

    def _spell(self, node: Node, depth: int = 2) -> str:
        """Return the formula of a coefficient in terms of the graph's nodes."""
        known = self._of.get(node)
        if known is not None:
            return self._label(known)
        if node.op is CONSTANT and not node.shape:
            return _short(node.value)
        if not depth or not node.inputs or node.op is ITEM:
            return "…"
        try:
            text = node.op.source(*(self._spell(arg, depth - 1) for arg in node.inputs), **node.params)
        except UnsupportedError:
            return node.op.name
        return text if depth == 2 or text.endswith(")") else f"({text})"


def _names(nodes: Sequence[Node]) -> list[str]:
    """Return a name for each node: the user's own, else a letter and a number."""
    taken = {node.name for node in nodes if node.is_named}

    def fresh(letter: str) -> Iterator[str]:
        return (name for k in itertools.count(1) if (name := f"{letter}{k}") not in taken)

    results, constants = fresh("v"), fresh("k")
    return [node.name if node.is_named else next(constants if node.op is CONSTANT else results) for node in nodes]


def _listed(nodes: Sequence[GraphNode]) -> str:
    return ", ".join(node.name for node in nodes) or "no inputs"


def _fitted(node: GraphNode, value: Any) -> Any:
    """Return a value for an input, in the input's dtype."""
    foreign = wrap(value)
    array = np.asarray(value) if foreign is None else foreign
    if array.shape != node.shape:
        raise GraphError(
            f"{node.name}: the graph was traced with shape {node.shape}, got {array.shape}; trace it again"
        )
    if not np.can_cast(array.dtype, node.dtype, "same_kind"):
        raise GraphError(f"{node.name}: the graph was traced with {node.dtype}, got {array.dtype}; trace it again")
    return array.astype(node.dtype)[()]


def _unroll(trail: Any) -> list[GraphEdge]:
    edges = []
    while trail is not None:
        trail, edge = trail
        edges.append(edge)
    return edges[::-1]


def _log2(size: float) -> float:
    """Return the binary logarithm; an infinite or undefined factor counts as 2**1024."""
    return -math.inf if size == 0 else math.log2(size) if math.isfinite(size) else 1024.0


def _lost(best: float, this: float) -> float:
    """Return by how much one logarithm is below another; nothing where both are -inf."""
    return 0.0 if this == best else best - this


def _short(value: Any) -> str:
    """Return a number with six digits, anything else as it prints."""
    if isinstance(value, Partial):
        return str(value)
    value = np.asarray(value)
    if value.ndim:
        return f"array{list(value.shape)}"
    number = value.item()
    return str(number) if isinstance(number, bool | int | str) else f"{number:.6g}"


def _shown(node: GraphNode) -> str:
    """Return a value for a listing: numbers themselves, larger arrays by dtype and shape."""
    kind = "" if node.dtype == np.float64 else f"{node.dtype} "
    if node.value is None or len(node.shape) > 1 or math.prod(node.shape) > 4:
        return str(node._node.spec)
    return f"{kind}[{', '.join(map(_short, node.value))}]" if node.shape else f"{kind}{_short(node.value)}"


def _spoken(value: Any) -> str:
    """Return a parameter as text."""
    return value.__name__ if callable(value) and not isinstance(value, np.dtype) else str(value)


__all__ = ["Graph", "GraphEdge", "GraphNode", "Partial", "Path", "trace"]
