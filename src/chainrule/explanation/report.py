"""`explain`: everything there is to say about a derivative on a small graph, and the outline of it on a large one."""

from __future__ import annotations

import functools
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from rich.text import Text

from chainrule.errors import ExpressionError, OutputError
from chainrule.explanation.cost import Cost, Elimination, costs, eliminate
from chainrule.explanation.expression import FILE, Expression, parse
from chainrule.explanation.factoring import Factored, count_to, digits, factor
from chainrule.explanation.layout import LANGUAGES, MODES, formula, lay_out, number
from chainrule.explanation.sweeps import Net, Sweep, is_small, product_of, pull_from, push_from
from chainrule.files import replacing
from chainrule.graph import Graph, GraphEdge, GraphNode, Path
from chainrule.tracing import trace_function

__all__ = ["Explanation", "Routes", "check_suffix", "explain", "explain_call"]

_SWEEPS = 8  # of each kind that are walked through
_PAIRS = 16  # of an input and an output whose paths are listed
_SORTED = 256  # paths between arrays that are sorted by the sizes of their products
_ELEMENTS = 1 << 24  # of all derivatives up to which they are computed
_EXACT = 1 << 53  # whole numbers up to here are exact in every reader of JSON
_SMALL = 64  # elements up to which an array is written out


def explain(
    f: Callable[..., Any] | str,
    /,
    *args: Any,
    wrt: str | Sequence[str] | None = None,
    mode: str = "all",
    lang: str = "en",
    paths: int = 20,
    **kwargs: Any,
) -> Explanation:
    """Return a report on the derivatives of a function at given arguments, or of a formula given as text.

    It holds the values of all nodes, the partials of all edges, both sweeps step by step, the paths with their
    products, and what each way to the derivatives costs. `print` shows it.

    Args:
        f: Function of arrays, or text such as ``"(a+b)*(b+1)"`` with the variables as keyword arguments.
        *args: Its arguments.
        wrt: Names of the parameters to differentiate with respect to, as a sequence or with commas between. By
            default all numbers and floating-point arrays among the positional arguments, see `trace`.
        mode: Which parts the printed report shows: "all", "forward", "reverse", "paths" or "eliminate".
        lang: Language of the printed report: "en" or "zh".
        paths: Number of paths to list for each pair of an input and an output.
        **kwargs: Keyword arguments of f.

    Raises:
        ExpressionError: a formula cannot be understood, or an option is unknown.
        NotDifferentiableError: an op has no derivative, or the function returns no real or complex number.

    Example:
        >>> report = explain("(a+b)*(b+1)", a=2, b=1)
        >>> {name: float(value) for name, value in report.values.items()}
        {'a': 2.0, 'b': 1.0, 'c': 3.0, 'd': 2.0, 'e': 6.0}
        >>> report.derivatives
        {('e', 'a'): 2.0, ('e', 'b'): 5.0}
        >>> [(path.product, path) for path in report.paths[1].paths]
        [(2.0, b → c → e: 1 · 2), (3.0, b → d → e: 1 · 3)]
    """
    return explain_call(f, args, kwargs, wrt=wrt, mode=mode, lang=lang, paths=paths)


def explain_call(
    f: Callable[..., Any] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    wrt: str | Sequence[str] | None = None,
    mode: str = "all",
    lang: str = "en",
    paths: int = 20,
) -> Explanation:
    """Return what `explain` does, with the arguments of f as a sequence and a mapping."""
    _require(mode, MODES, "mode")
    _require(lang, LANGUAGES, "lang")
    if paths < 0:
        raise ExpressionError(f"paths is {paths}; it is the number of paths to list, at least 0")
    if isinstance(f, str):
        f = parse(f, None if args else tuple(kwargs))
        if args and len(args) != len(f.variables):
            raise ExpressionError(
                f"{len(f.variables)} values are needed, for {', '.join(f.variables)}; got {len(args)}"
            )
        args, kwargs = (tuple(args) or tuple(kwargs.values())), {}
    called = _called(f, args, kwargs)
    if wrt is None:
        traced = trace_function(f, args, range(len(args)), dict(kwargs), lenient=True)
    else:
        function, chosen = _restricted(f, args, kwargs, wrt)
        traced = trace_function(function, chosen, range(len(chosen)))
    net = Net(Graph(traced.program))
    net.require_outputs()
    if not net.inputs:
        raise ExpressionError(
            "there is nothing to differentiate with respect to: no argument is a real number or a floating-point array"
        )
    net.graph.edges  # noqa: B018 - raises for an op without a derivative
    is_formula = isinstance(f, Expression)
    return Explanation(net.graph, called, mode, lang, paths, is_formula, net)


@dataclass(frozen=True, slots=True)
class Routes:
    """The paths from an input to an output.

    Attributes:
        source: The input.
        target: The output.
        count: How many there are, exactly.
        paths: As many of them as were asked for; those with the largest products where that is not all.
        are_largest: Whether they are those; of very many paths between arrays the first are listed, since the sizes
            of products of matrices are known only when they are formed.
    """

    source: GraphNode
    target: GraphNode
    count: int
    paths: tuple[Path, ...]
    are_largest: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether all paths are listed."""
        return len(self.paths) == self.count

    @property
    def total(self) -> Any:
        """The sum of the products of the listed paths; None for more than four million partials."""
        if not is_small(self.source, self.target):
            return None
        return sum((path.product for path in self.paths), start=0.0)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A report on the derivatives of a function at given arguments; `str` and `print` show it, 80 columns wide.

    Attributes:
        graph: The graph.
        title: What was called, as text.
        mode: Which parts are shown.
        lang: In which language.
        limit: Number of paths listed for each pair of an input and an output.
        is_formula: Whether it explains a text rather than a function.
        net: The nodes and edges on which derivatives travel.
    """

    graph: Graph
    title: str
    mode: str
    lang: str
    limit: int
    is_formula: bool
    net: Net = field(repr=False)

    @functools.cached_property
    def values(self) -> dict[str, Any]:
        """The values of inputs and results by name, in the order of evaluation; numbers in the text are left out."""
        return {node.name: node.value for node in self.nodes}

    @functools.cached_property
    def nodes(self) -> tuple[GraphNode, ...]:
        """The inputs and results, in the order of evaluation."""
        return tuple(node for node in self.graph.nodes if node.op != "constant" or node.shape)

    @property
    def edges(self) -> tuple[GraphEdge, ...]:
        """The edges, each with its partial."""
        return self.graph.edges

    @functools.cached_property
    def forward(self) -> tuple[Sweep, ...]:
        """The forward sweeps, one per element of the inputs; the first eight."""
        return tuple(push_from(self.net, node, index) for node, index in _elements(self.net.inputs))

    @functools.cached_property
    def reverse(self) -> tuple[Sweep, ...]:
        """The reverse sweeps, one per element of the outputs; the first eight."""
        return tuple(pull_from(self.net, node, index) for node, index in _elements(self.net.outputs))

    def sweep_back(self) -> Sweep:
        """Return the first reverse sweep, made anew."""
        node, index = _elements(self.net.outputs)[0]
        return pull_from(self.net, node, index)

    @functools.cached_property
    def elimination(self) -> tuple[Elimination, ...]:
        """The elimination of all vertices, that with the fewest products first."""
        return tuple(eliminate(self.net))

    @functools.cached_property
    def paths(self) -> tuple[Routes, ...]:
        """The paths from each input to each output, of the first sixteen such pairs."""
        found: list[Routes] = []
        for target in self.net.outputs:
            counts = count_to(self.net, target)
            for source in self.net.inputs[: _PAIRS - len(found)]:
                count = counts.get(source, 0)
                sorts = is_small(source, target) and (self.net.is_scalar or count <= _SORTED)
                listed = self.graph.paths(source, target, self.limit, largest=sorts and count > self.limit)
                found.append(Routes(source, target, count, tuple(listed if count else ()), sorts))
        return tuple(found)

    @functools.cached_property
    def count(self) -> int:
        """The number of paths from all inputs to all outputs, exactly."""
        return self.cost[0].passes

    @functools.cached_property
    def factored(self) -> tuple[Factored, ...]:
        """The sums over paths that factor, because all paths of an input and an output meet on the way."""
        if not self.net.is_scalar:
            return ()
        found = []
        for target in self.net.outputs[:_PAIRS]:
            counts = count_to(self.net, target)
            found += [factor(self.net, source, target, counts) for source in self.net.inputs[:_PAIRS]]
        return tuple(each for each in found if each is not None)

    @functools.cached_property
    def cost(self) -> tuple[Cost, ...]:
        """What each way to all derivatives costs, see `chainrule.explanation.cost`."""
        return costs(self.net)

    @functools.cached_property
    def derivatives(self) -> dict[tuple[str, str], Any]:
        """The derivatives by names of output and input: numbers between scalars, else arrays.

        Empty where they are more than 16 million numbers.
        """
        inputs, outputs = self.net.inputs, self.net.outputs
        if self.net.is_scalar and len(outputs) <= _SWEEPS:
            totals = [{step.node: step.value for step in sweep.steps} for sweep in self.reverse]
            return {
                (target.name, source.name): total.get(source, 0.0)
                for target, total in zip(outputs, totals, strict=True)
                for source in inputs
            }
        sizes = [sum(math.prod(node.shape) for node in nodes) for nodes in (inputs, outputs)]
        if math.prod(sizes) > _ELEMENTS:
            return {}
        # with respect to a complex number the derivative of a real one has two parts, which a reverse sweep finds
        halves = any(node.dtype.kind == "c" for node in inputs) and any(node.dtype.kind == "f" for node in outputs)
        found = iter(self.graph.derivative("reverse" if halves else "auto").outputs)
        pairs = {(target, source): next(found).value for target in self.graph.outputs for source in self.graph.inputs}
        return {
            (target.name, source.name): value if np.ndim(value) else np.asarray(value).item()
            for (target, source), value in pairs.items()
            if target in outputs
        }

    def __str__(self) -> str:
        return self.text()

    def __rich__(self) -> Text:
        return lay_out(self)

    def text(self, *, ascii_only: bool = False) -> str:
        """Return the report as plain text.

        Args:
            ascii_only: Write d for ∂, -> for →, and so on.
        """
        return lay_out(self, ascii_only=ascii_only).plain

    def to_json(self) -> str:
        """Return everything in the report as JSON text.

        Numbers that JSON lacks are the strings "nan", "inf" and "-inf". Whole numbers above 2**53, which many readers
        would round, are strings of digits. Arrays of up to 64 elements are nested lists, larger ones an object with
        shape, dtype and norm.
        """
        return json.dumps(self._document(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    def save(self, path: str | FilePath) -> None:
        """Write the report to a file: as text (.txt) or as JSON (.json), by the suffix.

        The file appears whole or not at all.

        Raises:
            OutputError: another suffix, or a place that cannot be written.
        """
        path = FilePath(path)
        check_suffix(path)
        content = self.to_json() if path.suffix.lower() == ".json" else f"{self.text()}\n"
        with replacing(path) as (temporary,):
            temporary.write_text(content, encoding="utf-8")

    # -- JSON ------------------------------------------------------------------------------------------

    def _document(self) -> dict[str, Any]:
        return {
            "format": "chainrule-explanation",
            "version": 1,
            "title": self.title,
            "inputs": [node.name for node in self.net.inputs],
            "outputs": [node.name for node in self.net.outputs],
            "values": [self._node(node) for node in self.nodes],
            "edges": [
                {
                    "source": edge.source.name,
                    "target": edge.target.name,
                    "partial": _plain(edge.partial) if not edge.map.shape else edge.formula,
                    "formula": edge.formula,
                }
                for edge in self.edges
            ],
            "derivatives": [
                {"of": of, "with_respect_to": by, "value": _plain(value)}
                for (of, by), value in self.derivatives.items()
            ],
            "forward": [_sweep(sweep) for sweep in self.forward],
            "reverse": [_sweep(sweep) for sweep in self.reverse],
            "path_count": _whole(self.count),
            "paths": [
                {
                    "source": routes.source.name,
                    "target": routes.target.name,
                    "count": _whole(routes.count),
                    "paths": [
                        {
                            "nodes": [node.name for node in path.nodes],
                            "partials": [_plain(edge.partial) if not edge.map.shape else edge.formula
                                         for edge in path.edges],
                            "product": _plain(product_of(path)),
                        }
                        for path in routes.paths
                    ],
                }
                for routes in self.paths
            ],
            "factored": [_factored(each) for each in self.factored],
            "cost": [
                {
                    "way": cost.way,
                    "passes": _whole(cost.passes),
                    "multiplications": _whole(cost.multiplications),
                    "additions": _whole(cost.additions),
                    "nontrivial_multiplications": _whole(cost.nontrivial),
                }
                for cost in self.cost
            ],
        }  # fmt: skip

    def _node(self, node: GraphNode) -> dict[str, Any]:
        found = {"name": node.name, "op": node.op, "formula": formula(node), "value": _plain(node.value)}
        if node.shape:
            found |= {"shape": list(node.shape), "dtype": str(node.dtype)}
        if node.origin is not None and node.op != "input" and node.origin.file != FILE:
            found["origin"] = str(node.origin)
        return found


def check_suffix(path: FilePath) -> None:
    """Refuse a file name whose suffix does not say how to write a report."""
    if path.suffix.lower() not in (".txt", ".json"):
        raise OutputError(f"cannot write {path}: the suffix says in which form, and there are .txt and .json")


def _sweep(sweep: Sweep) -> dict[str, Any]:
    return {
        "start": sweep.name,
        "steps": [
            {
                "node": step.node.name,
                "value": _plain(step.value),
                "terms": [
                    {
                        "edge": [term.edge.source.name, term.edge.target.name],
                        "factor": _plain(term.factor),
                        "product": _plain(term.product),
                    }
                    for term in step.terms
                ],
            }
            for step in sweep.steps
        ],
    }


def _factored(each: Factored) -> dict[str, Any]:
    expanded, short = each.expanded_operations, each.factored_operations
    return {
        "source": each.source.name,
        "target": each.target.name,
        "count": _whole(each.count),
        "power": list(each.power) if each.power else None,
        "value": _plain(each.value),
        "segments": [
            {
                "source": segment.source.name,
                "target": segment.target.name,
                "count": _whole(segment.count),
                "value": _plain(segment.value),
                "letters": {letter.name: _plain(letter.value) for letter in segment.letters},
            }
            for segment in each.segments
        ],
        "expanded_operations": {"multiplications": _whole(expanded[0]), "additions": _whole(expanded[1])},
        "factored_operations": {"multiplications": _whole(short[0]), "additions": _whole(short[1])},
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.size > _SMALL:
        norm = float(np.linalg.norm(np.ravel(array)))
        return {"shape": list(array.shape), "dtype": str(array.dtype), "norm": _plain(norm)}
    if array.ndim:
        return [_plain(part) for part in array]
    item = array.item()
    if isinstance(item, complex):
        return {"real": _plain(item.real), "imag": _plain(item.imag)}
    return str(item) if isinstance(item, float) and not math.isfinite(item) else item


def _whole(count: int) -> int | str:
    return count if count <= _EXACT else digits(count)


# -- the call ------------------------------------------------------------------------------------------


def _require(value: str, known: Sequence[str], what: str) -> None:
    if value not in known:
        raise ExpressionError(f"{what} {value!r} is unknown; there are {', '.join(known)}")


def _elements(nodes: Sequence[GraphNode]) -> list[tuple[GraphNode, tuple[int, ...] | None]]:
    """Return the first elements of some nodes, as many as there are sweeps to show."""
    found: list[tuple[GraphNode, tuple[int, ...] | None]] = []
    for node in nodes:
        if len(found) >= _SWEEPS:
            break
        if not node.shape:
            found.append((node, None))
            continue
        count = min(math.prod(node.shape), _SWEEPS - len(found))
        found += [(node, tuple(int(i) for i in np.unravel_index(k, node.shape))) for k in range(count)]
    return found


def _bound(f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """Return the arguments by the names of the parameters."""
    name = _name(f)
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        raise ExpressionError(f"{name}: the names of its parameters cannot be read; leave out wrt") from None
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "nothing"
        raise ExpressionError(f"{name}: {error}; it takes {takes}") from None
    bound.apply_defaults()
    return bound


def _restricted(
    f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], wrt: str | Sequence[str]
) -> tuple[Callable[..., Any], list[Any]]:
    """Return f as a function of some of its parameters, and their values."""
    names = [name.strip() for name in wrt.split(",")] if isinstance(wrt, str) else list(wrt)
    if isinstance(f, Expression):
        args, kwargs = tuple(args) or tuple(kwargs[name] for name in f.variables), {}
    bound = _bound(f, args, kwargs)
    for name in names:
        if name not in bound.arguments:
            raise ExpressionError(
                f"wrt (--wrt) names {name!r}, which {_name(f)} does not take; it takes {', '.join(bound.arguments)}"
            )
    if len(set(names)) < len(names):
        raise ExpressionError(f"wrt names a parameter twice: {', '.join(names)}")
    chosen = [bound.arguments[name] for name in names]

    def function(*values: Any) -> Any:
        bound.arguments.update(zip(names, values, strict=True))
        return f(*bound.args, **bound.kwargs)

    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    return function, chosen


def _name(f: Callable[..., Any]) -> str:
    if isinstance(f, Expression):
        return repr(f.text)
    name = getattr(f, "__name__", type(f).__name__)
    return "f" if name == "<lambda>" else str(name)


def _called(f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the call as text: a formula with the values of its variables, or a function with its arguments."""
    names: list[str] = []
    rest = ["…"] if args else []
    try:
        parameters = list(inspect.signature(f).parameters.values())
        names = [each.name for each in parameters if each.kind is not each.VAR_POSITIONAL][: len(args)]
        rest = [f"*{each.name}" for each in parameters if each.kind is each.VAR_POSITIONAL and len(args) > len(names)]
    except (TypeError, ValueError):
        pass
    given = [f"{name} = {_brief(value)}" for name, value in zip(names, args, strict=False)]
    given += [_brief(value) for value in args[len(names) :]]
    given += [f"{name} = {_brief(value)}" for name, value in kwargs.items()]
    what = f.text if isinstance(f, Expression) else f"{_name(f)}({', '.join([*names, *rest, *kwargs])})"
    return f"{what}\n{', '.join(given)}"


def _brief(value: Any) -> str:
    if isinstance(value, int | float | complex | np.generic) and not isinstance(value, bool | np.bool_):
        return number(value)
    if isinstance(value, np.ndarray):
        return number(value) if value.ndim <= 1 and value.size <= 4 else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return repr(value) if len(repr(value)) <= 20 else f"{repr(value)[:19]}…"
    return type(value).__name__
