"""Checks of derivatives that users can run on their own functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.api import linearize, vjp
from chainrule.edges import pull, zeros
from chainrule.errors import CheckError, NotDifferentiableError
from chainrule.interpret import run
from chainrule.ir import INPUT, Node, Origin, Program, between, evaluate
from chainrule.namespaces import wrap
from chainrule.tracing import TracedArray, trace_function
from chainrule.transforms.eliminate import eliminate
from chainrule.types import Spec

__all__ = ["Check", "check_derivatives"]

Arrays = tuple[Any, ...]
Function = Callable[..., Arrays]

MODES = ("forward", "reverse", "eliminate")


@dataclass(frozen=True, slots=True)
class Check:
    """What `check_derivatives` compared.

    Attributes:
        comparisons: How many derivatives were compared with differences, over all modes, orders and directions.
        error: The largest relative error among them.
        tolerance: The largest relative error that would have passed.
        order: The highest order of derivatives.
        modes: The modes that were compared.
    """

    comparisons: int
    error: float
    tolerance: float
    order: int
    modes: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{', '.join(self.modes)} and differences agree to order {self.order} in {self.comparisons} numbers; "
            f"largest relative error {self.error:.1e} (tolerance {self.tolerance:.1e})"
        )


def check_derivatives(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    modes: Sequence[str] = MODES,
    tolerance: float | None = None,
    seed: int = 0,
    directions: int = 2,
    entries: int = 24,
) -> Check:
    """Check the derivatives of a function: every mode against each other and against differences.

    The partials are compared one by one where there are few numbers, else along random directions. Differences
    are central, of decreasing step, extrapolated by Richardson's method. Second derivatives are the derivatives
    of the first, along random directions: every mode over every mode. Real and complex numbers anywhere in the
    arguments are varied; integers, strings and other objects stay as they are. The function must be smooth where
    it is checked.

    Args:
        f: Function of arrays or structures of arrays, returning the same.
        *args: Where to check.
        order: Highest order of derivatives.
        modes: Some of "forward", "reverse" and "eliminate".
        tolerance: Largest relative error against differences; by default 1e-6 in double and 2e-3 in single
            precision. Modes are held to its power 1.6 among each other, 4e-10 in double precision.
        seed: Of the random directions.
        directions: How many random directions to take.
        entries: Up to how many numbers in the arguments, or in the result, each has a direction of its own.

    Returns:
        What was compared; it prints as a sentence.

    Raises:
        CheckError: two values disagree; the message holds them, and where they stand.
        NotDifferentiableError: there is nothing to differentiate.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> check = cr.check_derivatives(lambda x: np.sum(np.sin(x) ** 2), np.array([0.5, 1.0]))
        >>> check.error < 1e-6
        True

    References:
        C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4 (1982).
    """
    if order < 1 or not modes or not set(modes) <= set(MODES):
        raise ValueError(f"check_derivatives: order {order}, modes {modes!r}: expected at least 1, and some of {MODES}")
    leaves, structure = tree.flatten(args)
    leaves = [leaf if (foreign := wrap(leaf)) is None else np.asarray(foreign)[()] for leaf in leaves]
    places = [k for k, leaf in enumerate(leaves) if _varies(leaf)]
    if not places:
        raise NotDifferentiableError("check_derivatives: no argument holds real or complex numbers")

    def call(*values: Any) -> Any:
        filled = list(leaves)
        for k, value in zip(places, values, strict=True):
            filled[k] = value
        copies = [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in filled]  # f may overwrite them
        return f(*tree.unflatten(structure, copies))

    xs = tuple(np.array(leaves[k])[()] for k in places)
    result = call(*xs)
    kept = [k for k, leaf in enumerate(tree.flatten(result)[0]) if _varies(leaf)]
    if not kept:
        raise NotDifferentiableError("check_derivatives: the function returns no real or complex numbers")

    def flat(*values: Any) -> Arrays:
        found = tree.flatten(call(*values))[0]
        return tuple(found[k] for k in kept)

    epsilon = max(float(np.finfo(np.asarray(value).dtype).eps) for value in (*xs, *flat(*xs)))
    inputs = [name + path for name, arg in zip(_parameters(f, len(args)), args, strict=True)
              for path in tree.leaf_paths(arg)]  # fmt: skip
    outputs = [f"result{path}" for path in tree.leaf_paths(result)]
    task = _Task(
        f=flat,
        xs=xs,
        modes=tuple(modes),
        order=order,
        tolerance=epsilon**0.375 if tolerance is None else tolerance,
        epsilon=epsilon,
        rng=np.random.default_rng(seed),
        directions=directions,
        entries=entries,
        inputs=[inputs[k] for k in places],
        outputs=[outputs[k] for k in kept],
        what="the derivative",
        where=_defined(f),
    )
    comparisons, error = task.check()
    return Check(comparisons, error, task.tolerance, order, task.modes)


# -- one function, first derivatives -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Directions:
    """Tangents or cotangents: the units of single numbers, each of some length, or random ones."""

    vectors: list[Arrays]
    names: list[str]
    lengths: list[float]


@dataclass(frozen=True, slots=True)
class _Values:
    """Derivatives of results (rows) along directions (columns), found in one way."""

    source: str
    matrix: np.ndarray
    doubt: np.ndarray | None = None
    """How uncertain differences are."""

    def weighted(self, weights: np.ndarray) -> _Values:
        doubt = None if self.doubt is None else np.abs(weights) @ np.nan_to_num(self.doubt)
        return _Values(self.source, _product(weights, self.matrix), doubt)


@dataclass(frozen=True, slots=True)
class _Task:
    """A function of arrays whose derivatives are checked. Complex numbers count as two real ones."""

    f: Function
    xs: Arrays
    modes: tuple[str, ...]
    order: int
    tolerance: float
    epsilon: float
    rng: np.random.Generator
    directions: int
    entries: int
    inputs: list[str]
    outputs: list[str]
    what: str
    where: str

    def check(self) -> tuple[int, float]:
        """Compare everything; return how many derivatives, and their largest relative error."""
        ys = tuple(np.asarray(y) for y in self.f(*self.xs))
        if not sum(y.size for y in ys) or not sum(np.size(x) for x in self.xs):
            return 0, 0.0
        dots = self._choose([_scale(x, self.epsilon) for x in self.xs], self.inputs)
        bars = self._choose([np.ones_like(y) for y in ys], self.outputs)
        expected = self._differences(dots.vectors)
        pushed = [_Values(f"{mode} mode", _matrix(_PUSH[mode](self.f, self.xs, dots.vectors)))
                  for mode in self.modes if mode in _PUSH]  # fmt: skip
        size = np.maximum(_sizes(ys, [expected, *pushed]), self._noise())
        names = _entries(ys, self.outputs) if size.size <= 1000 else [f"number {k}" for k in range(len(size))]
        error = 0.0
        for k, found in enumerate(pushed):
            error = max(error, self._compare(found, expected, size, dots, names))
            for other in pushed[:k]:
                self._compare(found, other, size, dots, names)
        comparisons = sum(found.matrix.size for found in pushed)
        if "reverse" in self.modes:
            weights = np.stack([_vector(bar) for bar in bars.vectors])
            rows = _matrix(_pull(self.f, self.xs, [tuple(map(np.conj, bar)) for bar in bars.vectors]), dual=True).T
            found = _Values("reverse mode", rows @ _matrix(dots.vectors))
            size = _product(np.abs(weights), size)
            for other in [expected, *pushed]:
                error = max(error, self._compare(found, other.weighted(weights), size, dots, bars.names))
            comparisons += found.matrix.size
        for task in self._next(ys) if self.order > 1 else ():
            count, worst = task.check()
            comparisons, error = comparisons + count, max(error, worst)
        return comparisons, error

    def _choose(self, scales: Sequence[Any], names: list[str]) -> _Directions:
        """Return a direction for each number where they are few, else random ones."""
        flat = _vector(scales)
        if len(flat) <= self.entries:
            units = [_arrays(row, scales) for row in np.eye(len(flat)) * flat[:, None]] if len(flat) else []
            return _Directions(units, _entries(scales, names), flat.tolist())
        vectors = [self._random(scales) for _ in range(self.directions)]
        listed = ", ".join(names)
        return _Directions(vectors, [f"random direction {k} of {listed}" for k in range(self.directions)],
                           [1.0] * self.directions)  # fmt: skip

    def _noise(self) -> np.ndarray:
        """Return for each result the size of numbers that may be rounding errors of intermediate values.

        A value off by one rounding moves the results by the derivative with respect to it times the rounding.
        """
        program = trace_function(self.f, self.xs, range(len(self.xs))).program
        inner = between(program.outputs, program.inputs)
        nodes = [node for node in inner if isinstance(node.spec, Spec) and node.spec.is_inexact]
        floors = []
        for y in program.outputs:
            seed = program.builder.constant(np.ones(y.shape, y.dtype))
            pairs = zip(pull({y: seed}, nodes), nodes, strict=True)
            bars = [(bar, node) for bar, node in pairs if bar is not None and node.op is not INPUT]
            moved = [np.ravel(bar * node.value) for bar, (_, node) in
                     zip(evaluate([bar for bar, _ in bars]), bars, strict=True)]  # fmt: skip
            sizes = [float(np.max(np.abs(part[np.isfinite(part)]), initial=0.0)) for part in moved]
            count = 2 * y.spec.size if y.spec.is_complex else y.spec.size
            floors.append(np.full(count, max(sizes, default=0.0)))
        return 100 * self.epsilon / self.tolerance**1.6 * np.concatenate(floors)[:, None]

    def _random(self, scales: Sequence[Any]) -> Arrays:
        flat = _vector(scales)
        return _arrays(self.rng.normal(size=flat.shape) * flat, scales)

    def _next(self, ys: Arrays) -> list[_Task]:
        """Return the tasks for one derivative more: of the derivative along a random direction, in each mode."""
        dot = self._random([_scale(x, self.epsilon) for x in self.xs])
        bar = self._random([np.ones_like(y) for y in ys])
        tasks = []
        for mode in self.modes:
            if mode == "reverse":
                outputs = [f"the gradient by {name}" for name in self.inputs]
                task = replace(self, f=lambda *xs: _pull(self.f, xs, [bar])[0], outputs=outputs)
            else:
                outputs = [f"the derivative of {name}" for name in self.outputs]
                task = replace(self, f=lambda *xs, push=_PUSH[mode]: push(self.f, xs, [dot])[0], outputs=outputs)
            what = f"the derivative (over {mode} mode)"
            tasks.append(replace(task, order=self.order - 1, entries=self.entries // 4, what=what))
        return tasks

    def _differences(self, dots: list[Arrays]) -> _Values:
        """Return the derivatives along directions by differences, and how uncertain they are."""

        def moved(dot: Arrays, h: float) -> np.ndarray:
            xs = [np.asarray(x + h * d).astype(np.asarray(x).dtype)[()] for x, d in zip(self.xs, dot, strict=True)]
            with np.errstate(all="ignore"):
                return _vector(self.f(*xs))

        found = [_ridders(lambda h, dot=dot: moved(dot, h), 0.01 * self.tolerance) for dot in dots]  # type: ignore[misc]
        rows = len(_vector(self.f(*self.xs)))
        columns = [np.array([pair[k] for pair in found]).reshape(len(found), rows).T for k in (0, 1)]
        return _Values("differences", columns[0], columns[1])

    def _compare(
        self, found: _Values, expected: _Values, size: np.ndarray, dots: _Directions, names: list[str]
    ) -> float:
        """Return the largest relative error, or raise an error that says where it is too large."""
        if not found.matrix.size:
            return 0.0
        one, two, doubt = found.matrix, expected.matrix, expected.doubt
        tolerance = self.tolerance if doubt is not None else self.tolerance**1.6
        with np.errstate(all="ignore"):
            whole = np.maximum(np.maximum(np.abs(one), np.abs(two)), size)
            gap = np.where(one == two, 0.0, np.abs(one - two))
            unknown = np.isnan(two) & ((doubt is not None) | np.isnan(one))
            allowed = tolerance * whole + (0.0 if doubt is None else np.minimum(3 * doubt, 0.01 * whole))
            wrong = ~(gap <= allowed) & ~unknown
            relative = np.where(unknown | (gap == 0), 0.0, gap / whole)
        if not wrong.any():
            return 0.0 if doubt is None else float(relative.max())
        worst = np.argmax(np.where(wrong, np.nan_to_num(relative, nan=np.inf, posinf=np.inf), -1.0))
        row, column = map(int, np.unravel_index(worst, gap.shape))
        length = dots.lengths[column]
        values = [float(matrix[row, column] / length) for matrix in (one, two)]
        precision, hint = "", ""
        if doubt is not None:
            precision = f" ± {doubt[row, column] / length:.1g}"
            if doubt[row, column] > tolerance * whole[row, column]:
                hint = "; the differences do not settle: the function is not smooth there, or noisy"
        raise CheckError(
            f"{found.source} and {expected.source} disagree on {self.what} of {names[row]} with respect to "
            f"{dots.names[column]}: {values[0]!r} and {values[1]!r}{precision}, relative error "
            f"{relative[row, column]:.1e} where {tolerance:.1e} is allowed{self.where}{hint}"
        )


# -- three ways to a derivative ------------------------------------------------------------------------


def _push_forward(f: Function, xs: Arrays, dots: list[Arrays]) -> list[Arrays]:
    _, push = linearize(f, *xs)
    return [push(*dot) for dot in dots]


def _push_eliminated(f: Function, xs: Arrays, dots: list[Arrays]) -> list[Arrays]:
    """Push tangents along the edges from inputs to outputs that are left when all vertices are eliminated."""
    traced = trace_function(f, xs, range(len(xs)))
    program, builder = traced.program, traced.program.builder
    heads = [builder.input(node.spec) for node in program.inputs]
    outputs: list[Node] = []
    for node, row in zip(program.outputs, eliminate(program), strict=True):
        terms = [edge.apply(head) for edge, head in zip(row, heads, strict=True) if edge is not None]
        total = zeros(builder, node.spec)
        for term in terms:
            total = total + term
        outputs.append(total)
    tangents = Program((*program.inputs, *heads), tuple(outputs), builder)
    return [tuple(run(tangents, [*traced.bound, *dot])) for dot in dots]


_PUSH = {"forward": _push_forward, "eliminate": _push_eliminated}


def _pull(f: Function, xs: Arrays, bars: list[Arrays]) -> list[Arrays]:
    _, pullback = vjp(f, *xs)
    return [pullback(bar) for bar in bars]


def _ridders(f: Callable[[float], np.ndarray], enough: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of f at 0, and how uncertain it is; NaN and infinity where no step gives a number."""
    ratio, rows = 4.0, 6
    previous: list[np.ndarray] = []
    best, doubt = np.empty(0), np.empty(0)
    for k in range(rows):
        h = 0.125 / ratio**k
        with np.errstate(all="ignore"):
            row = [(f(h) - f(-h)) / (2 * h)]
            if not k:
                best, doubt = np.full_like(row[0], np.nan), np.full_like(row[0], np.inf)
            for j, before in enumerate(previous, 1):
                row.append(row[-1] + (row[-1] - before) / (ratio ** (2 * j) - 1))
                error = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - before))
                better = error < doubt
                best, doubt = np.where(better, row[j], best), np.where(better, error, doubt)
            previous = row
            if k > 1 and (doubt <= enough * np.maximum(np.abs(best), 1e-3 * np.max(np.abs(best), initial=0.0))).all():
                break
    return best, doubt


# -- arrays and vectors --------------------------------------------------------------------------------


def _varies(leaf: Any) -> bool:
    if isinstance(leaf, TracedArray | np.ndarray | np.generic):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, float | complex)


def _scale(x: Any, epsilon: float) -> Any:
    """Return the lengths by which elements are varied: their own size, but not much less than 1."""
    x = np.asarray(x)
    size = np.maximum(np.abs(x), epsilon**0.125)
    return (size * (1 + 1j) if np.iscomplexobj(x) else size).astype(x.dtype)


def _vector(arrays: Iterable[Any]) -> np.ndarray:
    """Return all numbers as one vector of real ones."""
    parts = []
    for array in arrays:
        flat = np.ravel(array)
        parts.append(flat.astype(complex).view(float) if np.iscomplexobj(flat) else flat.astype(float))
    return np.concatenate(parts) if parts else np.empty(0)


def _arrays(vector: np.ndarray, like: Sequence[Any]) -> Arrays:
    """Return the arrays whose `_vector` this is, with the shapes and dtypes of others."""
    found, start = [], 0
    for array in map(np.asarray, like):
        count = array.size * (2 if np.iscomplexobj(array) else 1)
        part = vector[start : start + count]
        part = part.view(complex) if np.iscomplexobj(array) else part
        found.append(part.reshape(array.shape).astype(array.dtype)[()])
        start += count
    return tuple(found)


def _matrix(vectors: list[Arrays], dual: bool = False) -> np.ndarray:
    """Return tangents as columns; or cotangents, so that columns of both multiply to Re(Σ x_bar · x_dot)."""
    return np.stack([_vector(map(np.conj, v) if dual else v) for v in vectors], axis=1) if vectors else np.empty((0, 0))


def _product(weights: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the matrix product in which 0 · NaN and 0 · inf are 0."""
    bad = ~np.isfinite(matrix)
    product = weights @ np.where(bad, 0.0, matrix)
    return np.where((weights != 0).astype(float) @ bad.astype(float) > 0, np.nan, product) if bad.any() else product


def _sizes(ys: Arrays, found: list[_Values]) -> np.ndarray:
    """Return, for each result, the size against which errors count: its own, or a part of its array's largest."""
    sizes, start = [], 0
    for y in ys:
        own = np.abs(_vector([y]))
        largest = np.max(own, initial=0.0)
        for values in found:
            part = values.matrix[start : start + len(own)]
            largest = max(largest, np.max(np.abs(part[np.isfinite(part)]), initial=0.0))
        sizes.append(np.maximum(own, 1e-3 * largest))
        start += len(own)
    return np.concatenate(sizes)[:, None]


def _entries(arrays: Sequence[Any], names: list[str]) -> list[str]:
    """Return a name for each number of the `_vector` of arrays."""
    found = []
    for array, name in zip(arrays, names, strict=True):
        for index in np.ndindex(np.shape(array)):
            place = f"{name}[{', '.join(map(str, index))}]" if index else name
            found += [f"{place}.real", f"{place}.imag"] if np.iscomplexobj(array) else [place]
    return found


# -- names ---------------------------------------------------------------------------------------------


def _parameters(f: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*names, *(f"argument {k}" for k in range(len(names), count))][:count]


def _defined(f: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(f), "__code__", None)
    if code is None:
        return ""
    name = "" if code.co_name == "<lambda>" else f" of {code.co_name}"
    return f"{name}, at {Origin(code.co_filename, code.co_firstlineno)}"
