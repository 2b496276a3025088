"""The four families of ops. Each fills in what its members have in common; `opaque` fills in least.

An op's derivative is stated once, as the edge to each of its arguments:

| family | the author writes | what follows |
| --- | --- | --- |
| pointwise | a NumPy ufunc, one partial per argument as a formula | shape, dtype, diagonal edges, batching |
| structural | an index map or other linear function with its adjoint | the edge, its pattern |
| reduction | the weight of each element in the result | the edge, a contraction |
| contraction | subscripts, as in einsum | one edge per factor |
| opaque | the partials themselves | nothing but batching over leading axes |
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import ir
from chainrule.edges import Diagonal, Edge, Map, Tensor
from chainrule.errors import NotDifferentiableError, ShapeError
from chainrule.ir import Node, Op, Product, register
from chainrule.types import Shape, Spec, broadcast_shapes

Samples = Callable[[np.random.Generator], list[tuple[tuple[Any, ...], dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the samples of an argument are drawn; `integers` for arguments that count."""

    low: float = -2.0
    high: float = 2.0
    integers: bool = False


@dataclass(frozen=True, slots=True)
class Wirtinger:
    """A partial that is only real-linear: ``y_dot = direct · x_dot + conjugate · conj(x_dot)``."""

    direct: Any
    conjugate: Node


Partial = Callable[..., Any] | str | None
"""A formula `(y, *xs)`; None for a derivative that is zero; words for one that does not exist."""


# -- pointwise -----------------------------------------------------------------------------------------


def pointwise(
    name: str,
    evaluate: Callable[..., Any],
    *partials: Partial,
    doc: str = "",
    dtype: Callable[..., Any] | None = None,
    domain: Sequence[Interval] = (),
    dtypes: str = "fd",
    source: str | Callable[..., str] | None = None,
    lower: str | None = None,
    params: dict[str, Any] | None = None,
    listed: bool = True,
) -> Op:
    """Declare an op that works element by element, with broadcasting.

    Args:
        name: Name of the op.
        evaluate: The definition, a ufunc where there is one (NumPy's calls of it then arrive here).
        *partials: One per argument, see `Partial`; `y` is the result.
        doc: What it computes; the ufunc's own first line where empty.
        dtype: Dtype of the result from those of the arguments; the ufunc's own rule by default.
        domain: Where to draw samples for each argument.
        dtypes: As of `Op`.
        source: Template of a NumPy expression, such as ``"{0} + {1}"``.
        lower: Name of the native instruction, where it differs from `name`.
        params: Parameters of the samples.
        listed: Whether it enters the registry; an op that is made for one function of somebody else's does not.
    """
    arity = len(partials)
    ufunc = evaluate if isinstance(evaluate, np.ufunc) else None

    @functools.lru_cache(maxsize=1024)
    def infer(*specs: Spec, **params: Any) -> Spec:
        if len(specs) != arity or (params and dtype is None):
            raise ShapeError(f"{name} takes {arity} arguments and no parameters, got {len(specs)} and {params}")
        shape = broadcast_shapes(*(spec.shape for spec in specs))
        found = tuple(spec.dtype for spec in specs)
        return Spec(shape, np.dtype(dtype(*found, **params)) if dtype else _ufunc_dtype(ufunc, found))

    def edge(k: int, node: Node) -> Edge | None:
        partial = partials[k]
        if partial is None:
            return None
        if isinstance(partial, str):
            raise NotDifferentiableError(f"{name}: {partial}")
        coefficient = partial(node, *node.inputs, **node.params)
        conjugate = None
        if isinstance(coefficient, Wirtinger):
            coefficient, conjugate = coefficient.direct, coefficient.conjugate
        if not isinstance(coefficient, Node) and coefficient == 0 and conjugate is None:
            return None
        return Diagonal(coefficient, node.inputs[k].spec, node.spec, node.shape, conjugate, node)

    def batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
        rank = max(arg.ndim for arg in node.inputs)
        return node.op(*(_align(arg, rank) if flag else arg for arg, flag in zip(args, batched, strict=True)),
                       **node.params)  # fmt: skip

    def samples(rng: np.random.Generator) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        ranges = [*domain, *[Interval()] * (arity - len(domain))]
        cases = []
        for shapes in _POINTWISE_SHAPES[arity]:
            values = [_draw(rng, interval, shape) for interval, shape in zip(ranges, shapes, strict=False)]
            cases.append((tuple(values), dict(params or {})))
        return cases

    op = Op(
        name,
        doc or _first_line(evaluate),
        evaluate,
        infer,
        edge,
        batch,
        _template(source or _numpy_name(evaluate), arity),
        "pointwise",
        samples,
        lower or name,
        dtypes,
    )
    return register(op) if listed else op


_POINTWISE_SHAPES: dict[int, list[list[Shape]]] = {
    1: [[()], [(3,)], [(2, 3)], [(0,)], [(1, 1)]],
    2: [[(), ()], [(3,), (3,)], [(2, 3), (3,)], [(2, 1), (1, 3)], [(), (2,)], [(0, 2), (2,)]],
    3: [[(), (), ()], [(3,), (3,), (3,)], [(2, 1), (3,), ()], [(0,), (1,), ()]],
    4: [[(), (), (), ()], [(2, 1), (3,), (), (3,)], [(0,), (1,), (), ()]],
    5: [[(), (), (), (), ()], [(2, 1), (2,), (), (1,), (2,)], [(0,), (1,), (), (), ()]],
}


@functools.lru_cache(maxsize=4096)
def _ufunc_dtype(ufunc: np.ufunc, dtypes: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """Return the dtype of a ufunc's result by its own promotion."""
    try:
        return np.dtype(ufunc.resolve_dtypes((*dtypes, None))[-1].str)  # int64 for its equal, C's long long
    except TypeError:  # a rule of NumPy's outside the loops, such as bool
        return np.asarray(ufunc(*(np.ones((), dtype) for dtype in dtypes))).dtype


def as_array(x: Any) -> Any:
    """Return a value with the methods of arrays: NumPy's arrays and those of other libraries as they are."""
    return x if hasattr(x, "__array_function__") else np.asarray(x)


def _align(arg: Node, rank: int) -> Node:
    """Insert axes of length 1 behind the batch axis, up to `rank` axes without it."""
    missing = rank - (arg.ndim - 1)
    return arg.reshape((arg.shape[0], *[1] * missing, *arg.shape[1:])) if missing else arg


def _draw(rng: np.random.Generator, interval: Interval, shape: Shape) -> Any:
    if interval.integers:
        return rng.integers(int(interval.low), int(interval.high) + 1, shape)
    return np.asarray(rng.uniform(interval.low, interval.high, shape))[()]


# -- structural ----------------------------------------------------------------------------------------


def structural(
    name: str,
    evaluate: Callable[..., Any],
    *,
    infer: Callable[..., Spec],
    adjoint: Callable[..., Node],
    batch: Callable[[Node, list[Node], list[bool]], Node],
    source: str | Callable[..., str],
    doc: str,
    samples: Samples,
    words: Callable[..., str] | str | None = None,
    labels: Callable[..., tuple[Sequence[int], Sequence[int]]] | None = None,
    selects: bool = True,
    scatters: bool = True,
    lower: str | Callable[..., str] | None = None,
    dtypes: str = "fdD",
) -> Op:
    """Declare a linear op on its first argument; the others say where things go and carry no derivative.

    Args:
        name: Name of the op.
        evaluate: `(x, *others, **params)`, in NumPy.
        infer: `(x_spec, *other_specs, **params)` → Spec.
        adjoint: `(y_bar, x_spec, *others, **params)` → x_bar, as nodes.
        batch: `(node, args, batched)` → node with one more axis in front.
        source: Template of a NumPy expression, or a function for one.
        doc: What it computes.
        samples: `(rng)` → list of (values, params) for the rule tests.
        words: The map in words, for explanations; the name by default.
        labels: `(x_spec, y_spec, **params)` → labels of the axes of x and y, where the map only matches,
            sums over or repeats axes; such edges compose without becoming dense.
        selects: Each element of the result is an element of x, or zero.
        scatters: The same of the adjoint.
        lower: As of `Op`.
        dtypes: As of `Op`.
    """

    def edge(k: int, node: Node) -> Edge | None:
        if k:
            return None
        x, *others = node.inputs
        if labels is not None:
            x_labels, y_labels = labels(x.spec, node.spec, **node.params)
            return Tensor(1, (), x.spec, tuple(x_labels), node.spec, tuple(y_labels), node)
        spoken = words(**node.params) if callable(words) else words or name
        return Map(
            lambda x_dot: node.op(x_dot, *others, **node.params),
            lambda y_bar: adjoint(y_bar, x.spec, *others, **node.params),
            x.spec,
            node.spec,
            spoken,
            node,
            selects,
            scatters,
        )

    return register(
        Op(name, doc, evaluate, infer, edge, batch, _template(source, 1), "structural", samples, lower, dtypes)
    )


# -- reduction -----------------------------------------------------------------------------------------


def reduction(
    name: str,
    evaluate: Callable[..., Any],
    weight: Callable[..., Node] | None,
    *,
    doc: str,
    source: str,
    dtypes: str = "fd",
) -> Op:
    """Declare a nonlinear reduction over the axes in parameter `axis` (a tuple, never negative, not kept).

    Args:
        name: Name of the op.
        evaluate: `(x, axis)`, in NumPy.
        weight: `(y, x, axis)` → array of x's shape: the partial of each result with respect to each of its
            elements; `y` comes with the reduced axes kept as length 1. None where the derivative is zero.
        doc: What it computes.
        source: Template of a NumPy expression.
        dtypes: As of `Op`.
    """

    def infer(x: Spec, axis: tuple[int, ...]) -> Spec:
        shape = tuple(size for k, size in enumerate(x.shape) if k not in axis)
        return Spec(shape, evaluate(np.ones(1, x.dtype), axis=(0,)).dtype)

    def edge(k: int, node: Node) -> Edge | None:
        if weight is None:
            return None
        x, axis = node.inputs[0], node.params["axis"]
        kept = node.reshape([1 if k in axis else size for k, size in enumerate(x.shape)])
        labels = tuple(range(x.ndim))
        target_labels = tuple(k for k in labels if k not in axis)
        return Tensor(weight(kept, x, axis), labels, x.spec, labels, node.spec, target_labels)

    def batch(node: Node, args: list[Node], batched: list[bool]) -> Node:
        return node.op(args[0], axis=tuple(k + 1 for k in node.params["axis"]))

    def samples(rng: np.random.Generator) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        cases = [((3,), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)), ((1, 2, 3), (0, 2)), ((1,), (0,)), ((2, 0), (0,)),
                 ((), ()), ((2, 2), ())]  # fmt: skip
        return [((_draw(rng, Interval(), shape),), {"axis": axis}) for shape, axis in cases]

    return register(
        Op(name, doc, evaluate, infer, edge, batch, _template(source, 1), "reduction", samples, name, dtypes)
    )


# -- contraction ---------------------------------------------------------------------------------------


def contraction(
    name: str,
    evaluate: Callable[..., Any],
    *,
    subscripts: Callable[..., tuple[Sequence[int], Sequence[int], Sequence[int]]],
    batch: Callable[[Node, list[Node], list[bool]], Node],
    doc: str,
    source: str,
    samples: Samples,
    careful: bool = False,
) -> Op:
    """Declare a product of two arrays summed over common axes; linear in each of them.

    Args:
        name: Name of the op.
        evaluate: `(a, b, **params)`, in NumPy.
        subscripts: `(a_spec, b_spec, **params)` → labels of the axes of a, b and the result. An axis of
            length 1 that is broadcast has a label of its own.
        batch: As for structural ops.
        doc: What it computes.
        source: Template of a NumPy expression.
        samples: `(rng)` → list of (values, params) for the rule tests.
        careful: A factor that is exactly 0 contributes 0, even beside inf and NaN.
    """

    def infer(a: Spec, b: Spec, **params: Any) -> Spec:
        a_labels, b_labels, labels = subscripts(a, b, **params)
        sizes = dict(zip(a_labels, a.shape, strict=True)) | dict(zip(b_labels, b.shape, strict=True))
        return Spec(tuple(sizes[label] for label in labels), np.result_type(a.dtype, b.dtype))

    def edge(k: int, node: Node) -> Edge | None:
        specs = [arg.spec for arg in node.inputs]
        *factors, labels = subscripts(*specs, **node.params)
        seen = {*factors[k], *labels}
        alone = [axis for axis, label in enumerate(factors[1 - k]) if label not in seen]
        other_labels = tuple(label for label in factors[1 - k] if label in seen)
        other = node.inputs[1 - k].sum(alone)
        return Tensor(other, other_labels, specs[k], tuple(factors[k]), node.spec, tuple(labels))

    lower = Product(subscripts, careful)
    return register(
        Op(name, doc, evaluate, infer, edge, batch, _template(source, 2), "contraction", samples, lower, "fdD")
    )


# -- opaque --------------------------------------------------------------------------------------------


def opaque(
    name: str,
    evaluate: Callable[..., Any],
    *,
    infer: Callable[..., Any],
    partials: Sequence[Callable[..., Edge | None] | str | None],
    doc: str,
    source: str | Callable[..., str],
    samples: Samples | None = None,
    core: Sequence[int] = (),
    batch: Callable[[Node, list[Node], list[bool]], Node] | None = None,
    edge: Callable[[int, Node], Edge | None] | None = None,
    lower: str | Callable[..., str] | None = None,
    dtypes: str = "fdD",
) -> Op:
    """Declare an op whose edges are written by hand.

    Args:
        name: Name of the op.
        evaluate: `(*values, **params)`, in NumPy; over leading axes where `core` is given.
        infer: `(*specs, **params)` → Spec.
        partials: One per argument: `(y, *xs, **params)` → edge or None; None; or words for a derivative
            that does not exist.
        doc: What it computes.
        source: Template of a NumPy expression.
        samples: `(rng)` → list of (values, params) for the rule tests.
        core: How many trailing axes of each argument belong to one application; leading axes broadcast.
        batch: Instead of `core`, where the op does not work over leading axes.
        edge: Instead of `partials`, where the number of arguments varies: `(k, result)` → edge.
        lower: As of `Op`.
        dtypes: As of `Op`.
    """

    def edge_by_partial(k: int, node: Node) -> Edge | None:
        partial = partials[k]
        owner = node.inputs[0] if node.op is ir.ITEM else node
        if isinstance(partial, str):
            raise NotDifferentiableError(f"{name}: {partial}")
        return None if partial is None else partial(node, *owner.inputs, **owner.params)

    def batch_leading(node: Node, args: list[Node], batched: list[bool]) -> Node:
        loop = max(arg.ndim - count for arg, count in zip(node.inputs, core, strict=True))
        aligned = [
            _align(arg, loop + count) if flag else arg for arg, flag, count in zip(args, batched, core, strict=True)
        ]
        return node.op(*aligned, **node.params)

    arity = len(partials)
    return register(
        Op(name, doc, evaluate, infer, edge or edge_by_partial, batch or batch_leading, _template(source, arity),
           "opaque", samples, lower, dtypes)
    )  # fmt: skip


# -- source --------------------------------------------------------------------------------------------

HELPERS: dict[str, str | Callable[[], str]] = {}
"""Functions that NumPy lacks and sources call, as NumPy source by name. Written while ops are imported."""


def helper(text: str) -> str:
    """Declare a function for sources to call: source of its own that needs nothing but NumPy; returns its name."""
    text = inspect.cleandoc(text)
    name = text.removeprefix("def ").partition("(")[0]
    HELPERS[name] = text
    return name


def helper_text(name: str) -> str:
    """Return the source of a helper, which may be made when it is first asked for."""
    text = HELPERS[name]
    if not isinstance(text, str):
        text = HELPERS[name] = inspect.cleandoc("\n" + text())
    return text


# -- what declarations are made of ---------------------------------------------------------------------


def _template(source: str | Callable[..., str], arity: int) -> Callable[..., str]:
    """Return the function that writes an op as NumPy source."""
    if callable(source):
        return source
    if "{" not in source:
        source = f"{source}({', '.join(f'{{{k}}}' for k in range(arity))})"
    return source.format


def _numpy_name(evaluate: Callable[..., Any]) -> str:
    name = getattr(evaluate, "__name__", "")
    if isinstance(evaluate, np.ufunc):
        return f"np.{name}" if hasattr(np, name) else f"scipy.special.{name}"
    raise TypeError(f"{name}: a source template is needed")


def _first_line(evaluate: Callable[..., Any]) -> str:
    """Return the first sentence of a function's docstring (a ufunc's begins with its signature)."""
    lines = [line.strip() for line in (inspect.getdoc(evaluate) or "").splitlines()]
    return next((line for line in lines if line and "(" not in line), "")
