"""Derivatives of functions: thin compositions of trace, transforms and run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.errors import DtypeError, NotDifferentiableError, ShapeError
from chainrule.interpret import run
from chainrule.ir import CONSTANT, INPUT, Node, Program
from chainrule.namespaces import Foreign, home_of, released, wrap
from chainrule.ops.host import stop_gradient as stop_gradient_op
from chainrule.tracing import Traced, TracedArray, differentiable, record, trace_function
from chainrule.tracing.origin import at
from chainrule.transforms.forward import forward
from chainrule.transforms.jacobian import jacobian as jacobian_program
from chainrule.transforms.reverse import reverse
from chainrule.types import Spec

Function = Callable[..., Any]


def grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """Return a function that computes the gradient of a scalar function.

    For y = f(x) with a real scalar y it returns ∂y/∂x, in x's structure, shapes and dtypes, by one reverse
    sweep, whatever the size of x. For complex x it is ∂y/∂Re(x) - i ∂y/∂Im(x), JAX's convention.

    A Python or NumPy integer counts as float64; an array of integers is refused. A list is a structure, as tuples and
    dictionaries are: f sees a list of traced numbers, and the gradient of ``[1, 2]`` is a list of two float64 numbers.

    Args:
        f: Function of arrays, or of structures of arrays, that returns a real scalar.
        argnums: Position of the argument, or a tuple of positions; then the result is a tuple.
        has_aux: f returns ``(y, aux)``, and the result is ``(gradient, aux)``.

    Raises:
        NotDifferentiableError: y is not a real scalar, or an op on the way has no derivative.
        DtypeError: an argument is not of real or complex numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda a, b: (a + b) * (b + 1), argnums=(0, 1))(2.0, 1.0)
        (np.float64(2.0), np.float64(5.0))
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, derivative = both(*args, **kwargs)
        return (derivative, value[1]) if has_aux else derivative

    return gradient


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """Return a function that computes ``(f(x), gradient)``, sharing the work; see `grad`.

    With `has_aux` the result is ``((value, aux), gradient)``.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
        (np.float64(5.0), array([2., 4.]))
    """
    _require(f, argnums, "grad")

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        places = _positions(argnums, args, "grad")
        traced = trace_function(f, args, places, kwargs, has_aux=has_aux)
        y = _scalar(traced)
        backward = reverse(Program(traced.program.inputs, (y,), traced.program.builder))
        program = Program(backward.inputs, (*traced.program.outputs, *backward.outputs), backward.builder)
        value, *found = _run(program, [*traced.bound, y.dtype.type(1)])
        count = len(found) - len(backward.outputs)
        gradients = _arguments(traced, found[count:])
        derivative = gradients[0] if isinstance(argnums, int) else gradients
        return ((value, traced.rebuild_aux(found[:count])), derivative) if has_aux else (value, derivative)

    return value_and_gradient


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Evaluate f and push tangents forward through it.

    Returns ``(y, y_dot)`` with y = f(x) and y_dot = (dy/dx) x_dot, at a small multiple of the cost of f.

    Args:
        f: Function of arrays or structures of arrays.
        primals: Tuple of its arguments.
        tangents: Tuple of the same structure and shapes.

    Raises:
        ShapeError: tangents do not fit the primals.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.jvp(np.sin, (0.0,), (2.0,))
        (np.float64(0.0), np.float64(2.0))
    """
    y, push = linearize(f, *_tuple(primals, "jvp: primals"))
    return y, push(*_tuple(tangents, "jvp: tangents"))


def linearize(f: Function, *primals: Any) -> tuple[Any, Function]:
    """Evaluate f and return ``(y, pushforward)``, where pushforward maps tangents to y_dot = (dy/dx) x_dot.

    f is run once; each call of pushforward is one forward sweep.

    Example:
        >>> import chainrule as cr
        >>> y, push = cr.linearize(lambda x: x * x, 3.0)
        >>> push(1.0), push(10.0)
        (np.float64(6.0), np.float64(60.0))
    """
    traced = trace_function(f, tree.map_leaves(_snapshot, primals), range(len(primals)))
    program = forward(traced.program)

    def pushforward(*tangents: Any) -> Any:
        program.builder.verify()
        if len(tangents) != len(primals):
            raise ShapeError(f"{len(primals)} tangents are needed, one per argument; got {len(tangents)}")
        dots = _like(tangents, traced.arguments, [node.spec for node in traced.program.inputs], "tangent")
        return tree.unflatten(traced.result, _run(program, [*traced.bound, *dots]))

    return _values(traced), pushforward


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """Evaluate f and return ``(y, pullback)``, where pullback maps a cotangent of y to one of each argument.

    For y = f(x) the pullback computes x_bar = (dy/dx)ᵀ y_bar without forming the Jacobian. It takes one
    value with y's structure and shapes and returns a tuple, one cotangent per argument.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> y, pullback = cr.vjp(np.sin, np.zeros(2))
        >>> pullback(np.ones(2))
        (array([1., 1.]),)

    References:
        Griewank & Walther, Evaluating Derivatives, 2nd ed. (2008), ch. 3.
    """
    traced = trace_function(f, tree.map_leaves(_snapshot, primals), range(len(primals)))
    program = reverse(traced.program)

    def pullback(y_bar: Any) -> tuple[Any, ...]:
        program.builder.verify()
        specs = [node.spec for node in traced.program.outputs]
        bars = _like((y_bar,), (traced.result,), specs, "cotangent")
        return _arguments(traced, _run(program, [*traced.bound, *bars]))

    return _values(traced), pullback


def jacobian(f: Function, argnums: int | Sequence[int] = 0, *, mode: str = "auto") -> Function:
    """Return a function that computes all partials of f's results.

    For f: shape (n,) → (m,) the result has shape (m, n); in general ``y.shape + x.shape``. With structures it
    is y's structure, each leaf holding x's structure. All directions run as one batch. Of a real y with respect to
    a complex x it is ∂y/∂Re(x) - i ∂y/∂Im(x), as `grad` has it; a complex y of a complex x counts as holomorphic.

    Args:
        f: Function of arrays or structures of arrays.
        argnums: Position of the argument, or a tuple of positions; then each leaf holds a tuple.
        mode: "forward" (one sweep per element of x), "reverse" (one per element of y), "eliminate" (vertex
            elimination), "auto" (whichever of the first two has fewer sweeps).

    Raises:
        GraphError: unknown mode.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
    """
    _require(f, argnums, "jacobian")

    @functools.wraps(f)
    def all_partials(*args: Any, **kwargs: Any) -> Any:
        places = _positions(argnums, args, "jacobian")
        traced = trace_function(f, args, places, kwargs)
        found = iter(_run(jacobian_program(traced.program, mode), traced.bound))
        rows = []
        for _ in traced.program.outputs:
            row = _arguments(traced, [next(found) for _ in traced.program.inputs])
            rows.append(row[0] if isinstance(argnums, int) else row)
        return tree.unflatten(traced.result, rows)

    return all_partials


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function that computes all second partials of a scalar function, forward over reverse.

    For x of shape (n,) the result has shape (n, n).

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 1.0]))
        array([[2., 6.],
               [6., 0.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="forward")


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the Hessian of a scalar function times a vector, without the Hessian; forward over reverse.

    Args:
        f: Function that returns a real scalar.
        primals: Tuple of its arguments.
        tangents: Tuple of the same structure and shapes.

    Returns:
        One array (or structure) for one argument, a tuple for several.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> cr.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 0.0]),))
        array([6., 0.])
    """
    primals = _tuple(primals, "hvp: primals")
    argnums: int | tuple[int, ...] = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(f, argnums), primals, tangents)[1]


def stop_gradient(x: Any) -> Any:
    """Return x, with derivative zero from here on; structures too.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda x: x * cr.stop_gradient(x))(3.0)
        np.float64(3.0)
    """
    return tree.map_leaves(lambda leaf: record(stop_gradient_op, leaf) if isinstance(leaf, TracedArray) else leaf, x)


# -- what callers give and get -------------------------------------------------------------------------


def _require(f: Any, argnums: Any, caller: str) -> None:
    """Raise unless a derivative of a function with respect to positions is asked."""
    if not callable(f):
        raise DtypeError(
            f"{caller}: a function is expected, got {type(f).__name__}{at()}; its arguments come after, as in "
            f"{caller}(f)(x)"
        )
    places = [argnums] if not isinstance(argnums, tuple | list) else argnums
    if any(isinstance(place, bool) or not isinstance(place, int | np.integer) for place in places):
        raise DtypeError(
            f"{caller}: argnums must be an integer or a tuple of integers, got {argnums!r:.60}{at()}; the function's "
            f"arguments come after, as in {caller}(f)(x)"
        )


def _positions(argnums: int | Sequence[int], args: Sequence[Any], caller: str) -> list[int]:
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    for place in places:
        if not -len(args) <= place < len(args):
            raise ShapeError(f"{caller}: argnums {argnums} asks for argument {place}, but {len(args)} were given")
    places = [place % len(args) for place in places]
    for k, place in enumerate(places):
        if place in places[:k]:
            raise ShapeError(f"{caller}: argnums {argnums} asks for argument {place} twice")
    return places


def _scalar(traced: Traced) -> Node:
    """Return the one real scalar output, or say what is wrong with it."""
    count = traced.result.num_leaves
    y = traced.program.outputs[0] if count else None
    if count != 1 or y is None or traced.result.num_nodes != 1:
        raise NotDifferentiableError(
            f"grad: the function must return one scalar, got a structure of {count}; use has_aux=True for "
            "more results, or jacobian for all their derivatives"
        )
    where = f", at {y.origin}" if y.origin else ""
    if y.shape:
        raise NotDifferentiableError(
            f"grad: the function must return a scalar, got shape {y.shape}{where}; "
            "sum it, or use jacobian for all partials or vjp for a product with one vector"
        )
    if y.spec.is_complex:
        raise NotDifferentiableError(
            f"grad: the function must return a real scalar, got {y.dtype}{where}; take its real part, or use jacobian"
        )
    if not y.spec.is_inexact:
        raise NotDifferentiableError(f"grad: the function must return a real scalar, got {y.dtype}{where}")
    return y


def _values(traced: Traced) -> Any:
    program = traced.program
    return tree.unflatten(traced.result, _run(program, traced.bound))


def _arguments(traced: Traced, leaves: list[Any]) -> tuple[Any, ...]:
    """Distribute one value per input leaf over the structures of the arguments."""
    rest = iter(leaves)
    return tuple(
        tree.unflatten(structure, [next(rest) for _ in range(structure.num_leaves)]) for structure in traced.arguments
    )


def _run(program: Program, args: Sequence[Any]) -> list[Any]:
    """Run a program and return arrays that the caller may keep: they share memory with nothing."""
    taken = {id(arg) for arg in args}
    results = []
    home = home_of(args)
    for node, value in zip(program.outputs, run(program, args), strict=True):
        if home is not None or isinstance(value, Foreign):
            value = value if isinstance(value, TracedArray) else released(value, home)
        elif not isinstance(value, TracedArray):
            value = np.asarray(value)
            if not value.ndim:
                value = value[()]
            elif value is node.value or node.op in (INPUT, CONSTANT) or value.base is not None or id(value) in taken:
                value = value.copy()
            taken.add(id(value))
        results.append(value)
    return results


def _snapshot(leaf: Any) -> Any:
    """Return a copy of an array, for derivatives that are evaluated after the caller may have overwritten it."""
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    foreign = wrap(leaf) if not isinstance(leaf, TracedArray) else None
    return leaf if foreign is None else released(foreign, None)


def _like(values: Sequence[Any], structures: Sequence[Any], specs: Sequence[Spec], what: str) -> list[Any]:
    """Return the leaves of tangents or cotangents, checked against what they belong to."""
    leaves: list[Any] = []
    for value, structure in zip(values, structures, strict=True):
        found, given = tree.flatten(value)
        if given != structure:
            raise ShapeError(f"{what}: structure {given} does not fit {structure}")
        leaves += found
    for k, (leaf, spec) in enumerate(zip(leaves, specs, strict=True)):
        foreign = wrap(leaf) if not isinstance(leaf, TracedArray) else None
        leaf = leaf if foreign is None else foreign
        leaf = leaf if not spec.is_inexact else differentiable(_array(leaf), what)
        shape = np.shape(leaf) if not isinstance(leaf, TracedArray) else leaf.shape
        if shape != spec.shape:
            raise ShapeError(f"{what}: shape {shape} does not fit the value's shape {spec.shape}")
        if not isinstance(leaf, TracedArray) and spec.is_inexact:
            if np.iscomplexobj(leaf) and not spec.is_complex:
                raise DtypeError(f"{what}: complex, but the value is {spec.dtype}")
            leaf = leaf.astype(spec.dtype) if foreign is not None else np.asarray(leaf, dtype=spec.dtype)[()]
        leaves[k] = leaf
    return leaves


def _array(leaf: Any) -> Any:
    """Integers are welcome as tangents."""
    return leaf.astype(float) if isinstance(leaf, np.ndarray | Foreign) and leaf.dtype.kind in "iub" else leaf


def _tuple(values: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(values, tuple | list):
        raise ShapeError(f"{what} must be a tuple with one entry per argument, got {type(values).__name__}; write (x,)")
    return tuple(values)
