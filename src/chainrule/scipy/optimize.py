"""`scipy.optimize` for traced arrays: roots, minima and fits as differentiable values.

SciPy's own solvers run on plain numbers, with Jacobians and gradients of ours. The result is differentiated by the
implicit function theorem, with respect to whatever the functions depend on: `args`, and traced values that they close
over. The derivative with respect to a first guess or bracket is zero. Every other name of `scipy.optimize` is here too:

    from chainrule.scipy import optimize  # for: from scipy import optimize

The functions are traced once for all values, as the bodies of loops are. One that looks at its values (`if x > 0`) is
run at each step instead, which is slower, and not in batches nor compiled: `chainrule.cond` or `np.where` are. A
derivative is refused, with `NotDifferentiableError`, where
the search ended without success, and with `LinAlgError` where the solution is not isolated (a singular Jacobian,
or a singular Hessian at a minimum). In results the solution and what is computed from it are differentiable; numbers of
iterations and the like are integers of the graph.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize
from scipy.optimize import LinearConstraint, NonlinearConstraint, OptimizeResult

from chainrule import tree
from chainrule.api import grad, hessian, jacobian
from chainrule.errors import ShapeError, UnsupportedAttributeError, UnsupportedError
from chainrule.implicit import only_here, solved, traced_at, traced_body, vector
from chainrule.ops.control import Engine
from chainrule.ops.host import host
from chainrule.ravel import ravel_pytree
from chainrule.scipy.functional import any_traced, functional, watched
from chainrule.scipy.twins import twin
from chainrule.tracing.array import TracedArray, record, stacked
from chainrule.tracing.origin import at
from chainrule.types import Spec

__all__ = [
    "bisect", "brenth", "brentq", "curve_fit", "fixed_point", "fsolve", "least_squares", "linear_sum_assignment",
    "lsq_linear", "minimize", "minimize_pytree", "minimize_scalar", "newton", "nnls", "ridder",
    "root", "root_scalar", "toms748",
]  # fmt: skip

Function = Callable[..., Any]
_COUNTS = ("success", "status", "nit", "nfev", "njev", "nhev")


def __getattr__(name: str) -> Any:
    return getattr(scipy.optimize, name)


# -- what all have in common -----------------------------------------------------------------------------------


class _Search:
    """A call of a solver: the functions as programs, and what SciPy found.

    Args:
        name: SciPy's function, for messages.
        size: Number of unknowns.
        dtype: Their dtype.
        residual: Function of the unknowns that is zero at the solution.
        **functions: Functions of the unknowns that the solver calls, by name.
    """

    def __init__(self, name: str, size: int, dtype: Any, residual: Function, **functions: Function | None) -> None:
        self.name = name
        self.found: Any = None
        given = {key: f for key, f in functions.items() if f is not None}
        spec = Spec((size,), np.dtype(dtype))
        self.spec = spec
        self.looking: tuple[Function, dict[str, Function], UnsupportedError] | None = None
        try:
            programs, self.around = traced_body(name, [residual, *given.values()], [spec], ["x"])
        except UnsupportedError as error:  # a function looks at values: it is run at each
            self.looking = residual, given, error
            return
        self.residual = programs[0]
        self.programs = dict(zip(given, programs[1:], strict=True))

    def solve(self, find: Function, extras: Any) -> tuple[Any, Any]:
        """Return the solution, a vector, and how the search went, in the order of `_COUNTS`.

        Args:
            find: ``(functions, extras)`` → SciPy's result and the solution; called with plain numbers.
            extras: Structure of arrays, traced or not, that only it takes.
        """
        if self.looking is not None:
            return self._solve_looking(*self.looking, find, extras)
        leaves, structure = tree.flatten(extras)
        numbers = [k for k, leaf in enumerate(leaves) if _is_array(leaf)]
        count = len(self.around)

        def solver(values: Sequence[Any], engine: Engine) -> tuple[Any, Any]:
            rest = list(leaves)
            for k, value in zip(numbers, values[count:], strict=True):
                rest[k] = value
            dtype = self.residual.inputs[0].dtype
            functions = {
                key: _callable(engine.prepared(program), values[:count], dtype)
                for key, program in self.programs.items()
            }
            self.found, y = find(functions, tree.unflatten(structure, rest))
            result = self.found
            info = [int(getattr(result, key, -1)) for key in _COUNTS]
            return np.ravel(y), info

        return solved(self.name, self.residual, self.around, [leaves[k] for k in numbers], solver, len(_COUNTS))

    def _solve_looking(
        self, residual: Function, given: dict[str, Function], error: UnsupportedError, find: Function, extras: Any
    ) -> tuple[Any, Any]:
        def at_plain(f: Function) -> Function:
            def call(x: Any, *_: Any) -> Any:
                found = f(np.array(x, self.spec.dtype).reshape(-1))
                if isinstance(found, TracedArray) and found.builder.lazy:
                    raise error
                return tree.map_leaves(lambda leaf: leaf.value if isinstance(leaf, TracedArray) else leaf, found)

            return call

        functions = {key: at_plain(f) for key, f in given.items()}
        values = tree.map_leaves(lambda leaf: leaf.value if isinstance(leaf, TracedArray) else leaf, extras)
        self.found, y = find(functions, values)
        y = np.array(y, self.spec.dtype).reshape(self.spec.shape)
        program, around = traced_at(self.name, residual, y, error)
        info = [int(getattr(self.found, key, -1)) for key in _COUNTS]
        return solved(self.name, program, around, [], only_here(self.name, around, (y, info)), len(_COUNTS))

    def result(self, info: Any, **fields: Any) -> OptimizeResult:
        """Return SciPy's result with differentiable fields; what SciPy said only where it has run."""
        is_lazy = isinstance(info, TracedArray) and info.builder.lazy
        known: dict[str, Any] = {}
        if not is_lazy and self.found is not None:  # other numbers would lose their derivative
            known = {key: value for key, value in self.found.items() if isinstance(value, _COUNTABLE)}
        for k, key in enumerate(_COUNTS):
            if key in known or is_lazy:
                known[key] = info[k] != 0 if key == "success" else info[k]
        return _Result(known | fields)


_COUNTABLE = (bool, int, str, np.bool_, np.integer)


class _Result(OptimizeResult):  # type: ignore[misc]
    """SciPy's result with those fields that have derivatives, or need none."""

    def __getattr__(self, name: str) -> Any:
        if name in self or name.startswith("__"):
            return super().__getattr__(name)
        raise UnsupportedAttributeError(
            f"the field {name!r} of a result with traced values is not there{at()}: it would have no derivative; "
            "compute it from x, as chainrule.hessian(f)(x)"
        )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, TracedArray | np.ndarray | np.generic | float) or type(leaf) is int


def _callable(run: Function, consts: Sequence[Any], dtype: Any) -> Function:
    """Return a program as a function of an array."""

    def call(x: Any, *_: Any) -> Any:
        found = [np.array(value) for value in run([np.array(x, dtype).reshape(-1), *consts])]
        return found[0][()] if len(found) == 1 else [each[()] for each in found]

    return call


def _args(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def _number(value: Any, name: str) -> Any:
    """Return what a function returned as one number."""
    value = stacked(value)
    if value.size != 1:
        raise ShapeError(f"{name}: the function must return one number, got shape {value.shape}{at()}")
    return np.reshape(value, ())


def _guess(x0: Any) -> Any:
    """Return a first guess as an array of floating-point numbers."""
    x0 = stacked(x0)
    return x0 if x0.dtype.kind in "fc" else x0.astype(float)


# -- roots -----------------------------------------------------------------------------------------------------


def _scalar_root(
    name: str, f: Function, extras: Any, find: Function, **functions: Function
) -> tuple[Any, _Search, Any]:
    def number(x: Any) -> Any:
        return _number(f(x[0]), name)

    given = {key: lambda x, each=each: _number(each(x[0]), name) for key, each in functions.items()}
    search = _Search(name, 1, float, lambda x: np.reshape(number(x), (1,)), f=number, **given)

    def run(functions: dict[str, Function], rest: Any) -> tuple[Any, Any]:
        x, report = find(functions, rest)
        found = OptimizeResult(success=report.converged, nit=report.iterations, nfev=report.function_calls)
        found.report = report
        return found, x

    y, info = search.solve(run, extras)
    return y[0], search, info


def _report(search: _Search, root: Any, info: Any, method: str) -> Any:
    """Return SciPy's report on a root."""
    flag = 0 if search.found is None else search.found.report.flag
    report = scipy.optimize.RootResults(root, info[2], info[3], flag, method)
    report.root, report.converged = root, info[0] != 0
    return report


def _bracketed(name: str, f: Function, a: Any, b: Any, args: Any, full_output: bool, **options: Any) -> Any:
    """Return what a method finds between two ends."""
    original = getattr(scipy.optimize, name)

    def find(functions: dict[str, Function], ends: Any) -> Any:
        return original(functions["f"], *ends, full_output=True, **options)

    x, search, info = _scalar_root(name, lambda x: f(x, *_args(args)), (a, b), find)
    return (x, _report(search, x, info, name)) if full_output else x


_RTOL = 4 * np.finfo(float).eps


@functional(scipy.optimize, "f")
def bisect(
    f: Function, a: Any, b: Any, args: Any = (), xtol: float = 2e-12, rtol: float = _RTOL, maxiter: int = 100,
    full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root of f between a and b, found by bisection.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import bisect
        >>> cr.grad(lambda a: bisect(lambda x: x**3 - a, 0.0, 5.0))(8.0).round(6)
        np.float64(0.083333)
    """
    return _bracketed("bisect", f, a, b, args, full_output, xtol=xtol, rtol=rtol, maxiter=maxiter, disp=disp)


@functional(scipy.optimize, "f")
def brenth(
    f: Function, a: Any, b: Any, args: Any = (), xtol: float = 2e-12, rtol: float = _RTOL, maxiter: int = 100,
    full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root of f between a and b, found by hyperbolic extrapolation and bisection.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import brenth
        >>> cr.grad(lambda a: brenth(lambda x: x**3 - a, 0.0, 5.0))(8.0).round(6)
        np.float64(0.083333)
    """
    return _bracketed("brenth", f, a, b, args, full_output, xtol=xtol, rtol=rtol, maxiter=maxiter, disp=disp)


@functional(scipy.optimize, "f")
def brentq(
    f: Function, a: Any, b: Any, args: Any = (), xtol: float = 2e-12, rtol: float = _RTOL, maxiter: int = 100,
    full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root of f between a and b, found by inverse quadratic interpolation and bisection.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import brentq
        >>> cr.grad(lambda a: brentq(lambda x: x**3 - a, 0.0, 5.0))(8.0).round(6)
        np.float64(0.083333)
    """
    return _bracketed("brentq", f, a, b, args, full_output, xtol=xtol, rtol=rtol, maxiter=maxiter, disp=disp)


@functional(scipy.optimize, "f")
def ridder(
    f: Function, a: Any, b: Any, args: Any = (), xtol: float = 2e-12, rtol: float = _RTOL, maxiter: int = 100,
    full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root of f between a and b, found by Ridder's method.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import ridder
        >>> cr.grad(lambda a: ridder(lambda x: x**3 - a, 0.0, 5.0))(8.0).round(6)
        np.float64(0.083333)
    """
    return _bracketed("ridder", f, a, b, args, full_output, xtol=xtol, rtol=rtol, maxiter=maxiter, disp=disp)


@functional(scipy.optimize, "f")
def toms748(
    f: Function, a: Any, b: Any, args: Any = (), k: int = 1, xtol: float = 2e-12, rtol: float = _RTOL,
    maxiter: int = 100, full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root of f between a and b, found by Alefeld, Potra and Shi's method.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import toms748
        >>> cr.grad(lambda a: toms748(lambda x: x**3 - a, 0.0, 5.0))(8.0).round(6)
        np.float64(0.083333)
    """
    return _bracketed("toms748", f, a, b, args, full_output, k=k, xtol=xtol, rtol=rtol, maxiter=maxiter, disp=disp)


@functional(scipy.optimize, "f", "fprime", "fprime2")
def root_scalar(
    f: Function, args: Any = (), method: Any = None, bracket: Any = None, fprime: Any = None, fprime2: Any = None,
    x0: Any = None, x1: Any = None, xtol: Any = None, rtol: Any = None, maxiter: Any = None, options: Any = None,
) -> Any:  # fmt: skip
    """Return a root of a function of one number, in a `RootResults` with a differentiable `root`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import root_scalar
        >>> cr.grad(lambda a: root_scalar(lambda x: x**2 - a, x0=1.0, method="newton").root)(9.0).round(6)
        np.float64(0.166667)
    """

    def value(x: Any) -> Any:
        found = f(x, *_args(args))
        return found[0] if isinstance(found, tuple) else found

    wanted = method or ("halley" if fprime2 else "newton" if fprime else None)
    derivatives: dict[str, Function] = {}
    if wanted in ("newton", "halley") or (x0 is not None and x1 is None and bracket is None and wanted is None):
        derivatives["fprime"] = grad(value)
    if wanted == "halley":
        derivatives["fprime2"] = grad(grad(value))
    used: list[str] = []

    def find(functions: dict[str, Function], rest: Any) -> Any:
        starts = dict(zip(("bracket", "x0", "x1"), rest, strict=True))
        found = scipy.optimize.root_scalar(
            functions["f"], method=method, **starts, xtol=xtol, rtol=rtol, maxiter=maxiter, options=options,
            **{key: functions[key] for key in derivatives},
        )  # fmt: skip
        used[:] = [found.method]
        return found.root, found

    x, search, info = _scalar_root("root_scalar", value, (bracket, x0, x1), find, **derivatives)
    return _report(search, x, info, used[0] if used else wanted or "")


@functional(scipy.optimize, "func", "fprime", "fprime2")
def newton(
    func: Function, x0: Any, fprime: Any = None, args: Any = (), tol: float = 1.48e-8, maxiter: int = 50,
    fprime2: Any = None, x1: Any = None, rtol: float = 0.0, full_output: bool = False, disp: bool = True,
) -> Any:  # fmt: skip
    """Return a root near x0 by the method of Newton, secants or Halley; elementwise where x0 is an array.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import newton
        >>> cr.jacobian(lambda a: newton(lambda x: x**2 - a, np.ones(2)))(np.array([4.0, 9.0])).diagonal().round(6)
        array([0.25    , 0.166667])
    """
    start = _guess(x0)
    shape = start.shape

    def value(x: Any) -> Any:
        found = stacked(func(np.reshape(x, shape) if shape else x[0], *_args(args)))
        return np.ravel(np.broadcast_to(found, shape))

    functions: dict[str, Function] = {"f": value}
    if fprime is not None:
        functions["fprime"] = grad(lambda x: np.sum(value(x)))
    if fprime is not None and fprime2 is not None:
        functions["fprime2"] = grad(lambda x: np.sum(grad(lambda x: np.sum(value(x)))(x)))
    search = _Search("newton", start.size, start.dtype, value, **functions)

    def find(functions: dict[str, Function], rest: Any) -> Any:
        def shaped(f: Function) -> Function:
            return lambda x: np.reshape(f(x), shape)[()]

        steps = {key: shaped(f) for key, f in functions.items()}
        begin = rest[0] if shape else rest[0][()]
        found = scipy.optimize.newton(
            steps.pop("f"), begin, **steps, tol=tol, maxiter=maxiter, x1=rest[1], rtol=rtol, full_output=True, disp=disp
        )
        if shape:
            x, converged, zero = found
            result = OptimizeResult(success=np.all(converged), converged=converged, zero=zero)
        else:
            x, report = found
            result = OptimizeResult(
                success=report.converged, nit=report.iterations, nfev=report.function_calls, report=report
            )
        return result, x

    y, info = search.solve(find, (start, x1))
    x = np.reshape(y, shape) if shape else y[0]
    if not full_output:
        return x
    if shape:
        if search.found is None:
            raise UnsupportedError(f"newton: full_output=True for an array is not known before it runs{at()}")
        return x, search.found.converged, search.found.zero
    return x, _report(search, x, info, "newton" if fprime is not None else "secant")


@functional(scipy.optimize, "func")
def fixed_point(
    func: Function, x0: Any, args: Any = (), xtol: float = 1e-8, maxiter: int = 500, method: str = "del2"
) -> Any:
    """Return the x of func(x) = x near x0.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import fixed_point
        >>> cr.grad(lambda a: fixed_point(lambda x: a * np.cos(x), 0.5))(1.0).round(6)
        np.float64(0.441611)
    """
    start = _guess(x0)
    shape = start.shape

    def value(x: Any) -> Any:
        return np.ravel(stacked(func(np.reshape(x, shape) if shape else x[0], *_args(args))))

    search = _Search("fixed_point", start.size, start.dtype, lambda x: x - value(x), f=value)

    def find(functions: dict[str, Function], begin: Any) -> Any:
        x = scipy.optimize.fixed_point(
            lambda x: np.reshape(functions["f"](x), shape)[()], begin, xtol=xtol, maxiter=maxiter, method=method
        )
        return OptimizeResult(success=True), x

    y, _ = search.solve(find, start)
    return np.reshape(y, shape) if shape else y[0]


_WITH_JACOBIAN = {"hybr", "lm"}


@functional(scipy.optimize, "fun", "jac")
def root(
    fun: Function, x0: Any, args: Any = (), method: str = "hybr", jac: Any = None, tol: Any = None,
    callback: Any = None, options: Any = None,
) -> OptimizeResult:  # fmt: skip
    """Return a root of a function of a vector, in a result with differentiable `x` and `fun`.

    The methods "hybr" and "lm" are given the exact Jacobian.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import root
        >>> def circle(r):
        ...     return root(lambda x: [x[0] ** 2 + x[1] ** 2 - r**2, x[0] - x[1]], [1.0, 1.0]).x
        >>> cr.jacobian(circle)(2.0).round(6)
        array([0.707107, 0.707107])
    """
    start = _guess(x0)

    def value(x: Any) -> Any:
        found = fun(np.reshape(x, start.shape), *_args(args))
        return vector(found[0] if jac is True else found, "root: fun")

    exact = method.lower() in _WITH_JACOBIAN
    search = _Search("root", start.size, start.dtype, value, fun=value, jac=jacobian(value) if exact else None)
    if (options or {}).get("col_deriv"):
        options = {**options, "col_deriv": 0}

    def find(functions: dict[str, Function], begin: Any) -> Any:
        found = scipy.optimize.root(
            functions["fun"],
            begin,
            method=method,
            jac=functions.get("jac"),
            tol=tol,
            callback=callback,
            options=options,
        )
        return found, found.x

    y, info = search.solve(find, start)
    x = np.reshape(y, start.shape)
    return search.result(info, x=x, fun=np.reshape(value(x), start.shape))


@functional(scipy.optimize, "func", "fprime")
def fsolve(
    func: Function, x0: Any, args: Any = (), fprime: Any = None, full_output: Any = 0, col_deriv: Any = 0,
    xtol: float = 1.49012e-8, maxfev: int = 0, band: Any = None, epsfcn: Any = None, factor: float = 100,
    diag: Any = None,
) -> Any:  # fmt: skip
    """Return a root of a function of a vector; the exact Jacobian is used.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import fsolve
        >>> cr.jacobian(lambda a: fsolve(lambda x: x**2 - a, [1.0, 2.0]))(np.array([4.0, 9.0])).diagonal().round(6)
        array([0.25    , 0.166667])
    """
    start = _guess(x0)
    shape = start.shape or (1,)

    def value(x: Any) -> Any:
        return vector(func(np.reshape(x, shape), *_args(args)), "fsolve: func")

    search = _Search("fsolve", start.size, start.dtype, value, fun=value, jac=jacobian(value))

    def find(functions: dict[str, Function], begin: Any) -> Any:
        x, details, flag, message = scipy.optimize.fsolve(
            functions["fun"], begin, fprime=functions["jac"], full_output=True, xtol=xtol, maxfev=maxfev, factor=factor,
            diag=diag,
        )  # fmt: skip
        result = OptimizeResult(success=flag == 1, status=flag, nfev=details["nfev"], message=message, details=details)
        return result, x

    y, info = search.solve(find, start)
    x = np.reshape(y, shape)
    if not full_output:
        return x
    details = {} if search.found is None else search.found.details
    details = {key: value for key, value in details.items() if isinstance(value, _COUNTABLE)}
    return x, {**details, "fvec": value(x)}, info[1], "" if search.found is None else search.found.message


# -- minima ----------------------------------------------------------------------------------------------------

_GRADIENT = {
    "cg", "bfgs", "newton-cg", "l-bfgs-b", "tnc", "slsqp", "dogleg", "trust-ncg", "trust-krylov", "trust-exact",
    "trust-constr",
}  # fmt: skip
_HESSIAN = {"newton-cg", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr"}
_ACTIVE = 1e-5
"""Distance, relative to 1 and the constraint's own size, up to which an inequality counts as an equality."""


def _watch_constraints(arguments: dict[str, Any]) -> None:
    """Let functions of constraints be watched too."""
    given = arguments.get("constraints", ())
    many = given if isinstance(given, list | tuple) else [given]
    found: list[Any] = []
    for each in many:
        if isinstance(each, dict) and "fun" in each:
            each = {**each, "fun": watched(each["fun"])}
        elif isinstance(each, NonlinearConstraint):
            each = NonlinearConstraint(
                watched(each.fun), each.lb, each.ub, each.jac, each.hess, each.keep_feasible, each.finite_diff_rel_step,
                each.finite_diff_jac_sparsity,
            )  # fmt: skip
        found.append(each)
    if many:
        arguments["constraints"] = found


@functional(scipy.optimize, "fun", "jac", "hess", "hessp", prepare=_watch_constraints)
def minimize(
    fun: Function, x0: Any, args: Any = (), method: Any = None, jac: Any = None, hess: Any = None, hessp: Any = None,
    bounds: Any = None, constraints: Any = (), tol: Any = None, callback: Any = None, options: Any = None,
) -> OptimizeResult:  # fmt: skip
    """Minimize a function of a vector; the result has differentiable `x`, `fun` and `jac`.

    Methods that use a gradient or Hessian are given the exact ones. A coordinate at a bound moves with the bound.
    Constraints that hold with equality keep doing so: the conditions of Karush, Kuhn and Tucker are differentiated.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import minimize
        >>> def nearest(a):  # to a, of the points with x[0] at most 1
        ...     return minimize(lambda x: np.sum((x - a) ** 2), [0.0, 0.0], bounds=[(None, 1.0), (None, None)]).x
        >>> cr.jacobian(nearest)(np.array([3.0, 4.0])).diagonal().round(6)
        array([0., 1.])
    """
    start = np.atleast_1d(_guess(x0))
    n = start.size

    def value(x: Any) -> Any:
        found = fun(x, *_args(args))
        return _number(found[0] if jac is True else found, "minimize")

    limits = None if bounds is None else _bounds(bounds, n)
    parts = _constraints(constraints)
    kind = method.lower() if isinstance(method, str) else method
    if kind is None:
        kind = "slsqp" if parts else "l-bfgs-b" if bounds is not None else "bfgs"
    smooth = callable(kind) or kind in _GRADIENT
    curved = kind in _HESSIAN and (callable(hess) or hessp is not None or (hess is None and kind != "trust-constr"))
    curved &= kind != "newton-cg" or hess is not None or hessp is not None
    functions: dict[str, Function | None] = {
        "fun": value,
        "jac": grad(value) if smooth else None,
        "hess": hessian(value) if curved else None,
    }
    if parts:
        return _constrained(value, start, parts, limits, functions, kind, hess, tol, callback, options)

    def stationary(x: Any) -> Any:
        slope = grad(value)(x)
        return slope if limits is None else x - np.clip(x - slope, *limits)

    search = _Search("minimize", n, start.dtype, stationary, **functions)

    def find(functions: dict[str, Function], rest: Any) -> Any:
        begin, box = rest
        found = scipy.optimize.minimize(
            functions["fun"], begin, method=method, jac=functions.get("jac"),
            hess=functions.get("hess", hess if not callable(hess) else None),
            bounds=None if box is None else scipy.optimize.Bounds(*box), tol=tol, callback=callback, options=options,
        )  # fmt: skip
        return found, found.x

    y, info = search.solve(find, (start, limits))
    return _minimum(search, info, value, y)


def minimize_pytree(fun: Function, x0: Any, args: Any = (), **options: Any) -> OptimizeResult:
    """Minimize a function of a structure of arrays, with the exact gradient; `x` and `jac` are such structures.

    Args:
        fun: Function of the structure and of args that returns a number.
        x0: First guess.
        args: More arguments of the function.
        **options: As of `scipy.optimize.minimize`: method, tol, callback, options, ...; not jac, hess and hessp.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import minimize_pytree
        >>> x, y = np.arange(3.0), np.array([1.0, 3.0, 5.0])
        >>> found = minimize_pytree(lambda p: np.sum((p["a"] + p["b"] * x - y) ** 2), {"a": 0.0, "b": 0.0})
        >>> float(found.x["a"].round(4)), float(found.x["b"].round(4))
        (1.0, 2.0)
    """
    start, unravel = ravel_pytree(x0)

    def flat(x: Any, *args: Any) -> Any:
        return fun(unravel(x), *args)

    method = options.get("method")
    smooth = not isinstance(method, str) or method.lower() in _GRADIENT
    found = minimize(flat, start, args, jac=grad(flat) if smooth else None, **options)
    found.x = unravel(found.x)
    if "jac" in found:
        found.jac = unravel(found.jac)
    return found


def _minimum(search: _Search, info: Any, value: Function, x: Any) -> OptimizeResult:
    fields: dict[str, Any] = {"x": x, "fun": value(x)}
    if search.found is None or "jac" in search.found:
        fields["jac"] = grad(value)(x)
    return search.result(info, **fields)


def _bounds(bounds: Any, n: int) -> tuple[Any, Any]:
    """Return lower and upper bounds as arrays."""
    if isinstance(bounds, scipy.optimize.Bounds):
        low, high = bounds.lb, bounds.ub
    else:
        pairs = [tuple(pair) for pair in bounds]
        low = stacked([-np.inf if pair[0] is None else pair[0] for pair in pairs])
        high = stacked([np.inf if pair[1] is None else pair[1] for pair in pairs])
    return tuple(np.broadcast_to(stacked(each) * 1.0, (n,)) for each in (low, high))  # type: ignore[return-value]


Part = tuple[str, Function, Any]
"""A constraint: its kind, "eq" or "ineq" (at least 0), its function, and the given object."""


def _constraints(given: Any) -> list[Part]:
    many = given if isinstance(given, list | tuple) else [given]
    found: list[Part] = []
    for each in many:
        if isinstance(each, LinearConstraint):
            found += _between(lambda x, a=each.A: a @ x, each, each.A.shape[0])
        elif isinstance(each, NonlinearConstraint):
            found += _between(each.fun, each, None)
        elif isinstance(each, dict) and str(each.get("type", "")).lower() in ("eq", "ineq"):
            more = _args(each.get("args", ()))
            found.append((each["type"].lower(), lambda x, f=each["fun"], more=more: f(x, *more), each))
        else:
            raise UnsupportedError(
                f"minimize: a constraint of type {type(each).__name__} is not supported with traced values{at()}; give "
                "a dictionary with type and fun, a LinearConstraint or a NonlinearConstraint"
            )
    return found


def _between(f: Function, given: Any, size: int | None) -> list[Part]:
    """Return a constraint with lower and upper bounds as equalities and inequalities."""
    low, high = (np.asarray(each, float) for each in (given.lb, given.ub))
    low, high = np.broadcast_arrays(np.atleast_1d(low), np.atleast_1d(high))
    equal = low == high
    found: list[Part] = []

    def picked(x: Any, where: np.ndarray, bound: np.ndarray, sign: int) -> Any:
        values = np.ravel(stacked(f(x)))
        places = np.broadcast_to(where, values.shape).nonzero()[0]
        return sign * (values[places] - np.broadcast_to(bound, values.shape)[places])

    for kind, where, bound, sign in (
        ("eq", equal, low, 1),
        ("ineq", ~equal & np.isfinite(low), low, 1),
        ("ineq", ~equal & np.isfinite(high), high, -1),
    ):
        if where.any():
            found.append((kind, functools.partial(picked, where=where, bound=bound, sign=sign), given))
    return found


def _constrained(
    value: Function, start: Any, parts: Sequence[Part], limits: Any, functions: dict[str, Function | None], method: Any,
    hess: Any, tol: Any, callback: Any, options: Any,
) -> OptimizeResult:  # fmt: skip
    """Minimize with constraints: unknowns are x, then a multiplier for each constraint and finite bound."""
    if method == "trust-constr":
        functions = {**functions, "hess": hessian(value) if hess is None or callable(hess) else None}
    n = start.size

    def equalities(x: Any) -> Any:
        return [np.ravel(stacked(f(x))) * 1.0 for kind, f, _ in parts if kind == "eq"]

    box = () if limits is None else tuple(each.value if isinstance(each, TracedArray) else each for each in limits)
    finite = [np.isfinite(each).nonzero()[0] for each in box]

    def inequalities(x: Any) -> Any:
        found = [np.ravel(stacked(f(x))) * 1.0 for kind, f, _ in parts if kind == "ineq"]
        if limits is not None:
            found += [(x - limits[0])[finite[0]], (limits[1] - x)[finite[1]]]
        return found

    def joined(found: Sequence[Any]) -> Any:
        return np.concatenate(found) if found else np.zeros(0)

    def active(x: Any) -> Any:
        return joined([*equalities(x), *inequalities(x)])

    spec = Spec((n,), start.dtype)
    (whole, equal), _ = traced_body("minimize", [active, lambda x: joined(equalities(x))], [spec], ["x"])
    count, fixed = whole.outputs[0].spec.size, equal.outputs[0].spec.size

    def conditions(y: Any) -> Any:
        x, weights = y[:n], y[n:]
        held = active(x)
        slope = grad(lambda x: value(x) - np.sum(weights * active(x)))(x)
        return np.concatenate([slope, held[:fixed], np.minimum(held[fixed:], weights[fixed:])])

    def of_x(f: Function | None) -> Function | None:
        return None if f is None else lambda y: f(y[:n])

    every = {key: of_x(f) for key, f in functions.items()}
    every |= {f"c{k}": of_x(lambda x, f=f: np.ravel(stacked(f(x)))) for k, (_, f, _) in enumerate(parts)}
    every |= {f"j{k}": of_x(jacobian(lambda x, f=f: np.ravel(stacked(f(x))))) for k, (_, f, _) in enumerate(parts)}
    every |= {"slope": of_x(grad(value)), "active": of_x(active), "normals": of_x(jacobian(active))}
    search = _Search("minimize", n + count, start.dtype, conditions, **every)

    def find(functions: dict[str, Function], rest: Any) -> Any:
        begin, box = rest

        def padded(name: str) -> Function | None:
            f = functions.get(name)
            return None if f is None else lambda x, *_: f(np.concatenate([x, np.zeros(count)]))

        found = scipy.optimize.minimize(
            padded("fun"), begin, method=method, jac=padded("jac"), hess=padded("hess"),
            bounds=None if box is None else scipy.optimize.Bounds(*box),
            constraints=[
                {"type": kind, "fun": padded(f"c{k}"), "jac": padded(f"j{k}")} for k, (kind, _, _) in enumerate(parts)
            ] if method != "trust-constr" else [
                NonlinearConstraint(padded(f"c{k}"), 0, 0 if kind == "eq" else np.inf, jac=padded(f"j{k}"))
                for k, (kind, _, _) in enumerate(parts)
            ],
            tol=tol, callback=callback, options=options,
        )  # fmt: skip
        held, normals, slope = (padded(name)(found.x) for name in ("active", "normals", "slope"))  # type: ignore[misc]
        tight = np.abs(held) <= _ACTIVE * (1 + np.max(np.abs(found.x), initial=0))
        tight[:fixed] = True
        weights = np.zeros(count)
        weights[tight] = np.linalg.lstsq(normals[tight].T, slope, rcond=None)[0]
        weights[fixed:] = np.maximum(weights[fixed:], 0)
        return found, np.concatenate([found.x, weights])

    y, info = search.solve(find, (start, limits))
    return _minimum(search, info, value, y[:n])


@functional(scipy.optimize, "fun")
def minimize_scalar(
    fun: Function, bracket: Any = None, bounds: Any = None, args: Any = (), method: Any = None, tol: Any = None,
    options: Any = None,
) -> OptimizeResult:  # fmt: skip
    """Minimize a function of one number; the result has differentiable `x` and `fun`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import minimize_scalar
        >>> cr.grad(lambda a: minimize_scalar(lambda x: (x - a) ** 2 + a * x).x)(3.0).round(6)  # x = a / 2
        np.float64(0.5)
    """

    def value(x: Any) -> Any:
        return _number(fun(x, *_args(args)), "minimize_scalar")

    def stationary(x: Any) -> Any:
        slope = np.reshape(grad(value)(x[0]), (1,))
        return slope if bounds is None else x - np.clip(x - slope, *bounds)

    search = _Search("minimize_scalar", 1, float, stationary, fun=lambda x: value(x[0]))

    def find(functions: dict[str, Function], rest: Any) -> Any:
        found = scipy.optimize.minimize_scalar(
            functions["fun"], bracket=rest[0], bounds=rest[1], method=method, tol=tol, options=options
        )
        return found, found.x

    y, info = search.solve(find, (bracket, bounds))
    return search.result(info, x=y[0], fun=value(y[0]))


# -- fits ------------------------------------------------------------------------------------------------------

_LOSSES: dict[str, Function] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2 * (np.sqrt(1 + z) - 1),
    "huber": lambda z: np.where(z <= 1, z, 2 * np.sqrt(np.where(z <= 1, 1.0, z)) - 1),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}


@functional(scipy.optimize, "fun", "jac")
def least_squares(
    fun: Function, x0: Any, jac: Any = "2-point", bounds: Any = (-np.inf, np.inf), method: str = "trf",
    ftol: Any = 1e-8, xtol: Any = 1e-8, gtol: Any = 1e-8, x_scale: Any = None, loss: Any = "linear",
    f_scale: float = 1.0, diff_step: Any = None, tr_solver: Any = None, tr_options: Any = None,
    jac_sparsity: Any = None, max_nfev: Any = None, verbose: int = 0, args: Any = (), kwargs: Any = None,
    callback: Any = None, workers: Any = None,
) -> OptimizeResult:  # fmt: skip
    """Minimize a sum of squares; the result has differentiable `x`, `fun`, `cost`, `jac` and `grad`.

    The exact Jacobian is used whatever `jac` says, and the exact Hessian for the derivative.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import least_squares
        >>> cr.grad(lambda a: least_squares(lambda x: x - a, [0.0, 0.0]).x[0])(2.0).round(6)
        np.float64(1.0)
    """
    if loss not in _LOSSES:
        raise UnsupportedError(f"least_squares: loss={loss!r} is not supported with traced values{at()}; use a name")
    start = np.atleast_1d(_guess(x0))
    n = start.size
    box = (bounds.lb, bounds.ub) if isinstance(bounds, scipy.optimize.Bounds) else bounds
    limits = tuple(np.broadcast_to(stacked(each) * 1.0, (n,)) for each in box)
    is_free = not any_traced(limits) and not np.isfinite(np.concatenate(limits)).any()

    def value(x: Any) -> Any:
        return np.ravel(stacked(fun(x, *_args(args), **(kwargs or {}))))

    def cost(x: Any) -> Any:
        return 0.5 * f_scale**2 * np.sum(_LOSSES[loss]((value(x) / f_scale) ** 2))

    def stationary(x: Any) -> Any:
        slope = grad(cost)(x)
        return slope if is_free else x - np.clip(x - slope, *limits)

    search = _Search("least_squares", n, start.dtype, stationary, fun=value, jac=jacobian(value))

    def find(functions: dict[str, Function], rest: Any) -> Any:
        found = scipy.optimize.least_squares(
            functions["fun"], rest[0], jac=functions["jac"], bounds=rest[1], method=method, ftol=ftol, xtol=xtol,
            gtol=gtol, x_scale=x_scale, loss=loss, f_scale=f_scale, tr_solver=tr_solver, tr_options=tr_options or {},
            max_nfev=max_nfev, verbose=verbose,
        )  # fmt: skip
        return found, found.x

    y, info = search.solve(find, (start, limits))
    return search.result(info, x=y, fun=value(y), cost=cost(y), jac=jacobian(value)(y), grad=grad(cost)(y))


@functional(scipy.optimize, "f", "jac")
def curve_fit(
    f: Function, xdata: Any, ydata: Any, p0: Any = None, sigma: Any = None, absolute_sigma: bool = False,
    check_finite: Any = None, bounds: Any = (-np.inf, np.inf), method: Any = None, jac: Any = None, *,
    full_output: bool = False, nan_policy: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    """Fit a function to data; optimal parameters and their covariance are differentiable in the data.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import curve_fit
        >>> x = np.array([0.0, 1.0, 2.0])
        >>> cr.jacobian(lambda y: curve_fit(lambda x, a, b: a + b * x, x, y)[0])(np.array([1.0, 2.0, 4.0]))[0].round(6)
        array([ 0.833333,  0.333333, -0.166667])
    """
    if full_output or nan_policy is not None:
        raise UnsupportedError(f"curve_fit: full_output and nan_policy are not supported with traced values{at()}")
    x, y = stacked(xdata) if _is_numeric(xdata) else xdata, np.ravel(stacked(ydata))
    box = (bounds.lb, bounds.ub) if isinstance(bounds, scipy.optimize.Bounds) else bounds
    n = _parameters(f) if p0 is None else np.atleast_1d(stacked(p0)).size
    limits = tuple(np.broadcast_to(stacked(each) * 1.0, (n,)) for each in box)
    is_free = not any_traced(limits) and not np.isfinite(np.concatenate(limits)).any()
    if p0 is None:
        start = np.ones(n) if is_free else _inside(*limits)
    else:
        start = np.atleast_1d(_guess(p0))
    spread = None if sigma is None else stacked(sigma)

    def value(p: Any) -> Any:
        difference = np.ravel(stacked(f(x, *[p[k] for k in range(n)]))) - y
        if spread is None:
            return difference
        return difference / spread if spread.ndim == 1 else np.linalg.solve(np.linalg.cholesky(spread), difference)

    def stationary(p: Any) -> Any:
        slope = grad(lambda p: 0.5 * np.sum(value(p) ** 2))(p)
        return slope if is_free else p - np.clip(p - slope, *limits)

    search = _Search("curve_fit", n, start.dtype, stationary, fun=value, jac=jacobian(value))

    def find(functions: dict[str, Function], rest: Any) -> Any:
        begin, box = rest
        found, _, details, message, flag = scipy.optimize.curve_fit(
            lambda _, *p: functions["fun"](np.array(p)), np.arange(y.size), np.zeros(y.size), begin, bounds=box,
            method=method, jac=lambda _, *p: functions["jac"](np.array(p)), full_output=True, **kwargs,
        )  # fmt: skip
        return OptimizeResult(success=True, status=flag, message=message, nfev=details["nfev"]), found

    p, _ = search.solve(find, (start, limits))
    partials = jacobian(value)(p)
    covariance = np.linalg.inv(partials.T @ partials)
    if not absolute_sigma:
        if y.size <= n:
            raise UnsupportedError(f"curve_fit: {y.size} data for {n} parameters leave no covariance{at()}")
        covariance = covariance * (np.sum(value(p) ** 2) / (y.size - n))
    return p, covariance


def _is_numeric(value: Any) -> bool:
    return any_traced([value]) or np.asarray(value).dtype.kind in "fciub"


def _parameters(f: Function) -> int:
    """Return how many parameters a model has behind its first argument."""
    kinds = [each.kind for each in inspect.signature(f).parameters.values()]
    count = sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)
    if inspect.Parameter.VAR_POSITIONAL in kinds or count < 2:
        raise ValueError("Unable to determine number of fit parameters.")
    return count - 1


def _inside(low: Any, high: Any) -> Any:
    """Return a point between bounds, as a first guess."""
    low, high = (each.value if isinstance(each, TracedArray) else each for each in (low, high))
    middle = np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), 1.0)
    middle = np.where(np.isfinite(low) & ~np.isfinite(high), low + 1, middle)
    return np.where(~np.isfinite(low) & np.isfinite(high), high - 1, middle)


def _boxed(name: str, A: Any, b: Any, limits: Any, find: Function) -> tuple[Any, Any, _Search, Any]:
    """Return the x in a box for which |A x - b| is least, and the residual there."""
    A, b = stacked(A), stacked(b)
    low, high = limits

    def value(x: Any) -> Any:
        return A @ x - b

    def stationary(x: Any) -> Any:
        return x - np.clip(x - A.T @ value(x), low, high)

    search = _Search(name, A.shape[1], float, stationary)
    x, info = search.solve(lambda _, rest: find(*rest), (A, b, (low, high)))
    return x, value(x), search, info


@twin(scipy.optimize)
def nnls(A: Any, b: Any, *, maxiter: Any = None) -> tuple[Any, Any]:
    """Return the x ≥ 0 for which |A x - b| is least, and that norm.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import nnls
        >>> cr.jacobian(lambda b: nnls(np.eye(2), b)[0])(np.array([1.0, -1.0])).diagonal()
        array([1., 0.])
    """

    def find(A: Any, b: Any, _: Any) -> tuple[Any, Any]:
        return OptimizeResult(success=True), scipy.optimize.nnls(A, b, maxiter=maxiter)[0]

    x, residual, _, _ = _boxed("nnls", A, b, (0.0, np.inf), find)
    return x, np.linalg.norm(residual)


@twin(scipy.optimize)
def lsq_linear(
    A: Any, b: Any, bounds: Any = (-np.inf, np.inf), method: str = "trf", tol: float = 1e-10, lsq_solver: Any = None,
    lsmr_tol: Any = None, max_iter: Any = None, verbose: int = 0, *, lsmr_maxiter: Any = None,
) -> OptimizeResult:  # fmt: skip
    """Return the x within bounds for which |A x - b| is least; the result has differentiable `x`, `cost` and `fun`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import lsq_linear
        >>> cr.jacobian(lambda b: lsq_linear(np.eye(2), b, (0.0, 2.0)).x)(np.array([1.0, 3.0])).diagonal().round(6)
        array([1., 0.])
    """
    limits = (bounds.lb, bounds.ub) if isinstance(bounds, scipy.optimize.Bounds) else tuple(bounds)

    def find(A: Any, b: Any, box: Any) -> tuple[Any, Any]:
        found = scipy.optimize.lsq_linear(
            A, b, box, method, tol, lsq_solver, lsmr_tol, max_iter, verbose, lsmr_maxiter=lsmr_maxiter
        )
        return found, found.x

    x, residual, search, info = _boxed("lsq_linear", A, b, limits, find)
    return search.result(info, x=x, fun=residual, cost=0.5 * np.sum(residual**2))


# -- assignments -----------------------------------------------------------------------------------------------


@twin(scipy.optimize)
def linear_sum_assignment(cost_matrix: Any, maximize: bool = False) -> tuple[Any, Any]:
    """Return rows and columns of the cheapest assignment: integers, which do not vary with the costs.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.optimize import linear_sum_assignment
        >>> def cheapest(cost):
        ...     rows, columns = linear_sum_assignment(cost)
        ...     return cost[rows, columns].sum()
        >>> cr.grad(cheapest)(np.array([[4.0, 1.0], [2.0, 3.0]]))
        array([[0., 1.],
               [1., 0.]])
    """
    pairs = record(host, stacked(cost_matrix), function=_assignment, kwargs=(("maximize", maximize),))
    return pairs[0], pairs[1]


def _assignment(cost: Any, maximize: bool = False) -> np.ndarray:
    return np.stack(scipy.optimize.linear_sum_assignment(cost, maximize))
