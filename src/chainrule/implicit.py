"""Functions that are given by an equation: implicit_root, and what solvers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import ir, tree
from chainrule.errors import DtypeError, ShapeError, UnsupportedError
from chainrule.ir import Node, Program
from chainrule.ops.control import NUMPY, Engine
from chainrule.ops.implicit import Root, Solver, implicit
from chainrule.tracing.array import TracedArray, compute, finish, lift, newest, stacked
from chainrule.tracing.bodies import Around, Body, close
from chainrule.tracing.origin import at
from chainrule.types import Spec

__all__ = ["implicit_root", "only_here", "solved", "traced_at", "traced_body", "vector"]


def implicit_root(residual: Callable[..., Any], solution: Any, *args: Any) -> Any:
    """Return the solution y of ``residual(y, *args) = 0`` as a differentiable function of args and of closures.

    How y is found plays no part in its derivative, -(∂F/∂y)⁻¹ ∂F/∂θ, which holds in every mode and order. So the
    solver may be anything that runs on plain numbers.

    Args:
        residual: Function of y and args that returns as many numbers as y has, traceable for all values at once. It may
            use traced values of functions around it.
        solution: y, an array or a structure of arrays; or the solver, a function ``solve(*args)`` that returns y. It is
            given plain NumPy values.
        *args: Arrays, structures of arrays, or anything else.

    Raises:
        ShapeError: residual returns another number of elements than y has.
        LinAlgError: a derivative is asked where ∂F/∂y is singular.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> def cube_root(a):
        ...     return cr.implicit_root(lambda y, a: y**3 - a, np.cbrt, a)
        >>> cr.grad(cube_root)(8.0).round(6)  # 1 / (3 y²)
        np.float64(0.083333)
    """
    given, args_structure = tree.flatten(args)
    places = [k for k, leaf in enumerate(given) if isinstance(leaf, TracedArray)]
    traced = [given[k] for k in places]

    def solve(values: Sequence[Any]) -> Any:
        leaves = list(given)
        for k, value in zip(places, values, strict=True):
            leaves[k] = value
        return solution(*tree.unflatten(args_structure, leaves))

    plain = solve([leaf.value for leaf in traced]) if callable(solution) else solution
    leaves, structure = tree.flatten(plain)
    parts = [leaf if isinstance(leaf, TracedArray) else np.asarray(leaf) for leaf in leaves]
    if not parts or any(part.dtype.kind not in "fciu" for part in parts):
        raise DtypeError(f"implicit_root: the solution must hold real or complex numbers{at()}")
    dtype = np.result_type(*(part.dtype for part in parts))
    spec = Spec((sum(part.size for part in parts),), dtype if dtype.kind in "fc" else np.dtype(float))

    def flat_residual(y: Any) -> Any:
        return vector(residual(tree.unflatten(structure, _cut(y, parts)), *args), "implicit_root: residual")

    try:
        (program,), around = traced_body("implicit_root", [flat_residual], [spec], ["y"])
    except UnsupportedError as error:  # it looks at values
        flat = np.concatenate([np.ravel(part.value if isinstance(part, TracedArray) else part) for part in parts])
        program, around = traced_at("implicit_root", flat_residual, flat.astype(spec.dtype), error)
        solution, parts = None, [np.asarray(part.value if isinstance(part, TracedArray) else part) for part in parts]
    if callable(solution):

        def solver(values: Sequence[Any], engine: Engine) -> tuple[Any, Any]:
            found = tree.flatten(solve(values[len(around) :]))[0]
            return np.concatenate([np.ravel(part) for part in found]), [1]

        extras: list[Any] = traced
    else:

        def solver(values: Sequence[Any], engine: Engine) -> tuple[Any, Any]:
            return values[-1], [1]

        extras = [np.concatenate([np.ravel(part) for part in parts])]
    y, _ = solved("implicit_root", program, around, extras, solver)
    return finish(tree.unflatten(structure, _cut(y, parts)))


def _cut(y: Any, parts: Sequence[Any]) -> list[Any]:
    """Return a vector in pieces of given shapes."""
    found, start = [], 0
    for part in parts:
        found.append(np.reshape(y[start : start + part.size], part.shape) if part.shape else y[start])
        start += part.size
    return found


def vector(value: Any, what: str) -> Any:
    """Return an array, or the arrays of a structure, as one vector."""
    leaves, _ = tree.flatten(value)
    if not leaves:
        raise DtypeError(f"{what} returned no numbers{at()}")
    parts = [np.ravel(stacked(leaf)) for leaf in leaves]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def traced_body(
    name: str, functions: Sequence[Callable[..., Any]], specs: Sequence[Spec], names: Sequence[str]
) -> tuple[list[Program], Around]:
    """Trace functions of the same arguments without values.

    Returns:
        For each a program whose first inputs are the arguments and whose others are what the functions use from around
        them, and this.
    """
    bodies = [Body(name, specs, [], names) for _ in functions]
    for body, f in zip(bodies, functions, strict=True):
        leaves, _ = body.run(lambda handles, f=f: f(*handles))  # type: ignore[misc]
        for leaf in leaves:
            body.output(leaf)
    programs, around = close(bodies)
    count = len(around)
    turned = [
        Program((*program.inputs[count:], *program.inputs[:count]), program.outputs, program.builder)
        for program in programs
    ]
    return turned, around


def traced_at(name: str, f: Callable[..., Any], x: np.ndarray, error: Exception) -> tuple[Program, Around]:
    """Trace a function of a vector at one value, with the course that it takes there; see `traced_body`.

    Args:
        name: The function that asks.
        f: It.
        x: The value.
        error: What to raise in code to be compiled, which runs at other values too.
    """
    body = Body(name, [Spec.of(x)], [], ["x"])
    body.inputs[0].value = x
    leaves, _ = body.run(lambda handles: f(*handles))
    for leaf in leaves:
        body.output(leaf)
    body.builder.guards.clear()
    (program,), around = close([body])
    if any(isinstance(value, TracedArray) and value.builder.lazy for value in around.values):
        raise error
    count = len(around)
    return Program((*program.inputs[count:], *program.inputs[:count]), program.outputs, program.builder), around


def only_here(name: str, around: Around, result: Any) -> Solver:
    """Return a solver that knows one result, for the present values of what is around it."""
    present = [value.value if isinstance(value, TracedArray) else value for value in around.values]

    def solver(values: Sequence[Any], engine: Engine) -> tuple[Any, Any]:
        if not all(np.array_equal(one, two) for one, two in zip(values, present, strict=False)):
            raise UnsupportedError(
                f"{name}: a function that looks at its values cannot be part of a batch; choose with chainrule.cond or "
                "np.where"
            )
        return result

    return solver


def solved(
    name: str, residual: Program, around: Around, extras: Sequence[Any], solver: Solver, count: int = 1
) -> tuple[Any, Any]:
    """Return the solution of a residual as a traced vector, and the integers that tell how the search went.

    Plain values where nothing around it is traced.

    Args:
        name: The function that solves it.
        residual: As of `Root`.
        around: What the residual uses from around it.
        extras: What only the solver takes.
        solver: It.
        count: How many integers it returns.
    """
    (output,), y = residual.outputs, residual.inputs[0]
    if output.shape != y.shape:
        raise ShapeError(f"{name}: {output.spec.size} equations for {y.spec.size} unknowns{at()}")
    if output.dtype != y.dtype:
        residual = Program(residual.inputs, (_converted(output, y.spec, name),), residual.builder)
    control = Root(residual, solver, name, at(), count)
    operands = [*around.values, *extras]
    if not any(isinstance(value, TracedArray) for value in operands):
        return control.evaluate(operands, NUMPY)
    builder = newest(operands)
    nodes = tuple(lift(builder, value) for value in operands)
    if builder.lazy:
        for number in around.numbers:
            builder.constant(number)
    for look in around.looked:
        look(builder, nodes[: len(around)])
    owner = compute(builder, implicit, nodes, {"control": control})
    parts = [compute(builder, ir.ITEM, (owner,), {"index": k}) for k in range(2)]
    return TracedArray(builder, parts[0]), TracedArray(builder, parts[1])


def _converted(node: Node, spec: Spec, name: str) -> Node:
    if node.spec.is_complex and not spec.is_complex:
        raise DtypeError(f"{name}: the equations are complex, the unknowns {spec.dtype}{at()}; begin with complex ones")
    return node.astype(spec.dtype)
