"""`scipy.integrate` for traced arrays: quadratures and initial value problems as differentiable values.

SciPy's own methods run on plain numbers. Integrals are differentiated under the integral sign and at their limits;
solutions of differential equations by forward sensitivities in forward mode and by the adjoint equation in reverse
mode, to the tolerances that are given. Derivatives are with respect to `args`, limits, initial values and times, and to
traced values that the functions close over. Every other name of `scipy.integrate` is here too:

    from chainrule.scipy import integrate  # for: from scipy import integrate

The functions are traced once for all values, as the bodies of loops are: they take NumPy functions, and
`chainrule.cond` or `np.where` for decisions on what they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from chainrule.api import stop_gradient
from chainrule.batching import vmap
from chainrule.errors import ShapeError, UnsupportedError
from chainrule.implicit import traced_body
from chainrule.ir import ITEM, REGISTRY
from chainrule.ops.control import NUMPY
from chainrule.ops.integral import Integral, integral
from chainrule.ops.ode import Method, Ode
from chainrule.scipy.functional import functional
from chainrule.scipy.twins import twin
from chainrule.tracing.array import TracedArray, compute, lift, newest, record, stacked
from chainrule.tracing.bodies import Around, apply
from chainrule.tracing.origin import at
from chainrule.types import Spec

__all__ = [
    "cumulative_simpson", "cumulative_trapezoid", "dblquad", "fixed_quad", "nquad", "odeint", "quad", "quad_vec",
    "romb", "simpson", "solve_ivp", "tplquad", "trapezoid",
]  # fmt: skip

Function = Callable[..., Any]


def __getattr__(name: str) -> Any:
    return getattr(scipy.integrate, name)


# -- sums over samples -----------------------------------------------------------------------------------------


def _last(y: Any, x: Any, dx: Any, axis: int) -> tuple[Any, Any]:
    """Return samples with their axis last, and the distances between them."""
    y = np.moveaxis(stacked(y), axis, -1)
    count = y.shape[-1]
    if x is None:
        return y, np.broadcast_to(stacked(dx) * 1.0, (count - 1,))
    x = stacked(x)
    x = x if x.ndim == 1 else np.moveaxis(x, axis, -1)
    if x.shape[-1] != count:
        raise ShapeError(f"x has {x.shape[-1]} points, y {count} samples along its axis{at()}")
    return y, np.diff(x, axis=-1)


def _with_first(total: Any, axis: int, initial: Any) -> Any:
    """Return running sums with their axis in its place, and the first value in front."""
    if initial is not None:
        first = np.broadcast_to(initial, (*total.shape[:-1], 1))
        total = np.concatenate([first, total], axis=-1)
    return np.moveaxis(total, -1, axis)


@twin(scipy.integrate)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integrate samples by the trapezoidal rule.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import trapezoid
        >>> cr.grad(trapezoid)(np.array([1.0, 2.0, 4.0]))
        array([0.5, 1. , 0.5])
    """
    y, d = _last(y, x, dx, axis)
    return np.sum(d * (y[..., 1:] + y[..., :-1]) / 2, axis=-1)


@twin(scipy.integrate)
def cumulative_trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """Integrate samples by the trapezoidal rule, up to each of them.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import cumulative_trapezoid
        >>> cr.jacobian(cumulative_trapezoid)(np.array([1.0, 2.0, 4.0]))
        array([[0.5, 0.5, 0. ],
               [0.5, 1. , 0.5]])
    """
    if initial is not None and initial != 0:
        raise ValueError("`initial` must be `None` or `0`.")
    y, d = _last(y, x, dx, axis)
    return _with_first(np.cumsum(d * (y[..., 1:] + y[..., :-1]) / 2, axis=-1), axis, initial)


@twin(scipy.integrate)
def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integrate samples by Simpson's rule; of an even number of them, the last interval by the parabola before it.

    References:
        Cartwright, Simpson's rule cumulative integration with MS Excel and irregularly-spaced data, J. Math. Sci. &
        Math. Educ. 12 (2017).

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import simpson
        >>> cr.grad(simpson)(np.array([1.0, 2.0, 4.0])).round(6)
        array([0.333333, 1.333333, 0.333333])
    """
    y, d = _last(y, x, dx, axis)
    count = y.shape[-1]
    if count < 3:
        return np.sum(d * (y[..., 1:] + y[..., :-1]) / 2, axis=-1)
    even = count - 1 + count % 2  # how many samples the pairs of intervals take
    first, second = d[..., : even - 1 : 2], d[..., 1 : even - 1 : 2]
    f = (y[..., : even - 2 : 2], y[..., 1 : even - 1 : 2], y[..., 2:even:2])
    total = np.sum(_first_of_two(first, second, *f) + _first_of_two(second, first, *f[::-1]), axis=-1)
    if not count % 2:
        total = total + _first_of_two(d[..., -1], d[..., -2], y[..., -1], y[..., -2], y[..., -3])
    return total


def _first_of_two(h: Any, other: Any, f0: Any, f1: Any, f2: Any) -> Any:
    """Return the integral over the first of two intervals of the parabola through three points."""
    both = h + other
    near, far = h / both, h / other
    return h / 6 * ((3 - near) * f0 + (3 + near * far + near) * f1 - near * far * f2)


@twin(scipy.integrate)
def cumulative_simpson(y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None) -> Any:
    """Integrate samples by Simpson's rule, up to each of them.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import cumulative_simpson
        >>> cr.grad(lambda y: cumulative_simpson(y)[-1])(np.array([1.0, 2.0, 4.0])).round(6)
        array([0.333333, 1.333333, 0.333333])
    """
    y, d = _last(y, x, dx, axis)
    count = y.shape[-1]
    if count < 3:
        pieces = d * (y[..., 1:] + y[..., :-1]) / 2
    else:
        here = np.arange(count - 1)
        ahead = (here % 2 == 0) & (here != count - 2)  # whether the parabola goes on to the right
        other = np.where(ahead, here + 1, here - 1)
        near, far = np.where(ahead, here, here + 1), np.where(ahead, here + 1, here)
        beyond = np.where(ahead, here + 2, here - 1)
        pieces = _first_of_two(d, d[..., other], y[..., near], y[..., far], y[..., beyond])
    total = np.cumsum(pieces, axis=-1)
    if initial is not None:
        total = total + (np.moveaxis(stacked(initial), axis, -1) if np.ndim(initial) else initial)
    return _with_first(total, axis, initial if not np.ndim(initial) else np.moveaxis(stacked(initial), axis, -1))


@twin(scipy.integrate)
def romb(y: Any, dx: Any = 1.0, axis: int = -1, show: bool = False) -> Any:
    """Integrate 2ᵏ + 1 equally spaced samples by Romberg's method.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import romb
        >>> cr.grad(romb)(np.array([1.0, 2.0, 4.0])).round(6)
        array([0.333333, 1.333333, 0.333333])
    """
    y = np.moveaxis(stacked(y), axis, -1)
    intervals = y.shape[-1] - 1
    if intervals < 1 or intervals & (intervals - 1):
        raise ValueError("Number of samples must be one plus a non-negative power of 2.")
    row: list[Any] = []
    for k in range(intervals.bit_length()):
        step = intervals >> k
        samples = y[..., ::step]
        new = [dx * step * (np.sum(samples, axis=-1) - (samples[..., 0] + samples[..., -1]) / 2)]
        for j, before in enumerate(row):
            new.append(new[j] + (new[j] - before) / (4 ** (j + 1) - 1))
        row = new
    return row[-1]


# -- integrals of functions ------------------------------------------------------------------------------------


@functional(scipy.integrate, "func")
def fixed_quad(func: Function, a: Any, b: Any, args: Any = (), n: int = 5) -> tuple[Any, None]:
    """Integrate a function by the Gauss-Legendre rule of n points.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import fixed_quad
        >>> cr.grad(lambda b: fixed_quad(np.exp, 0.0, b)[0])(1.0).round(6)
        np.float64(2.718282)
    """
    places, weights = np.polynomial.legendre.leggauss(n)
    values = stacked(func((b - a) * (places + 1) / 2 + a, *args))
    return (b - a) / 2 * np.sum(weights * values, axis=-1), None


@functional(scipy.integrate, "func")
def quad(
    func: Function, a: Any, b: Any, args: Any = (), full_output: Any = 0, epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8, limit: int = 50, points: Any = None, weight: Any = None, wvar: Any = None,
    wopts: Any = None, maxp1: int = 50, limlst: int = 50, complex_func: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Integrate a function of one number from a to b; the estimate of the error has no derivative.

    Derivatives with respect to the limits exist up to the order 6.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import quad
        >>> cr.grad(lambda b, k: quad(lambda x: np.exp(-k * x), 0.0, b)[0], (0, 1))(1.0, 0.0)
        (np.float64(1.0), np.float64(-0.5))
    """
    if full_output:
        raise UnsupportedError(f"quad: full_output is not supported with traced values{at()}")
    if weight is not None and (isinstance(a, TracedArray) or isinstance(b, TracedArray)):
        raise UnsupportedError(f"quad: traced limits are not supported with weight={weight!r}{at()}; multiply by it")
    options = {"epsabs": epsabs, "epsrel": epsrel, "limit": limit, "points": points, "weight": weight, "wvar": wvar,
               "wopts": wopts, "maxp1": maxp1, "limlst": limlst}  # fmt: skip
    vector = {"epsabs": epsabs, "epsrel": epsrel, "points": points}
    args = args if isinstance(args, tuple) else (args,)

    def scalar(x: Any) -> Any:
        value = stacked(func(x, *args))
        if value.size != 1:
            raise ShapeError(f"quad: the function must return one number, got shape {value.shape}{at()}; use quad_vec")
        return np.reshape(value, ())

    return _integral("quad", scalar, a, b, options, vector)


@functional(scipy.integrate, "f")
def quad_vec(
    f: Function, a: Any, b: Any, epsabs: float = 1e-200, epsrel: float = 1e-8, norm: str = "2",
    cache_size: float = 100e6, limit: float = 10000, workers: Any = 1, points: Any = None,
    quadrature: Any = None, full_output: bool = False, *, args: Any = (),
) -> tuple[Any, Any]:  # fmt: skip
    """Integrate an array-valued function of one number from a to b.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import quad_vec
        >>> cr.jacobian(lambda k: quad_vec(lambda x: np.exp(-k * x), 0.0, np.inf)[0])(np.array([1.0, 2.0])).diagonal()
        array([-1.  , -0.25])
    """
    if full_output:
        raise UnsupportedError(f"quad_vec: full_output is not supported with traced values{at()}")
    vector = {"epsabs": epsabs, "epsrel": epsrel, "norm": norm, "cache_size": cache_size, "limit": limit,
              "points": points, "quadrature": quadrature}  # fmt: skip
    options = {"epsabs": epsabs, "epsrel": epsrel, "points": points}
    args = args if isinstance(args, tuple) else (args,)
    return _integral("quad_vec", lambda x: stacked(f(x, *args)) * 1.0, a, b, options, vector)


def _integral(
    name: str, f: Function, a: Any, b: Any, options: dict[str, Any], vector: dict[str, Any]
) -> tuple[Any, Any]:
    fixed = [stop_gradient(end) for end in (a, b)]
    (body,), around = traced_body(name, [f], [Spec((), np.dtype(float))], ["x"])
    if len(body.outputs) != 1:
        raise ShapeError(f"{name}: the function must return one array, got {len(body.outputs)}{at()}")
    value, error = _recorded(Integral(body, options, vector, name), fixed, around)
    for end, sign in ((b, 1), (a, -1)):
        if isinstance(end, TracedArray):
            value = value + sign * _beyond(f, end)
    return value, error


def _recorded(control: Integral, first: Sequence[Any], around: Around) -> list[Any]:
    operands = [*first, *around.values]
    if not any(isinstance(value, TracedArray) for value in operands):
        return list(control.evaluate(operands, NUMPY))
    builder = newest(operands)
    if builder.lazy:
        for number in around.numbers:
            builder.constant(number)
    nodes = tuple(lift(builder, value) for value in operands)
    for look in around.looked:
        look(builder, nodes[len(first) :])
    owner = compute(builder, integral, nodes, {"control": control})
    return [TracedArray(builder, compute(builder, ITEM, (owner,), {"index": k})) for k in range(2)]


_GAUSS = np.polynomial.legendre.leggauss(3)


def _beyond(f: Function, end: Any) -> Any:
    """Return the integral from a limit to itself: 0, with the derivatives that the limit has.

    Three Gauss points integrate over a distance δ to order δ⁷, so at δ = 0 the derivatives up to the order 6 are exact.
    """
    fixed = stop_gradient(end)
    reach = np.where(np.isfinite(fixed), end - np.where(np.isfinite(fixed), fixed, 0.0), 0.0)
    start = np.where(np.isfinite(fixed), fixed, 0.0)
    total = 0.0
    with np.errstate(all="ignore"):  # the integral may exist where the integrand does not
        for place, weight in zip(*_GAUSS, strict=True):
            total = total + record(REGISTRY["scale"], weight / 2 * reach, f(start + (place + 1) / 2 * reach))
    return total


@functional(scipy.integrate, "func", "gfun", "hfun")
def dblquad(
    func: Function,
    a: Any,
    b: Any,
    gfun: Any,
    hfun: Any,
    args: Any = (),
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
) -> tuple[Any, Any]:
    """Integrate func(y, x) for x from a to b and y from gfun(x) to hfun(x).

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import dblquad
        >>> cr.grad(lambda r: dblquad(lambda y, x: x * y, 0, r, 0, lambda x: x)[0])(2.0).round(6)  # r⁴ / 8
        np.float64(4.0)
    """
    ranges = [lambda x, *_: (_end(gfun, x), _end(hfun, x)), (a, b)]
    return nquad(func, ranges, args, {"epsabs": epsabs, "epsrel": epsrel})


def _end(end: Any, *values: Any) -> Any:
    """Return a limit that may be a function."""
    return end(*values) if callable(end) else end


@functional(scipy.integrate, "func", "gfun", "hfun", "qfun", "rfun")
def tplquad(
    func: Function, a: Any, b: Any, gfun: Any, hfun: Any, qfun: Any, rfun: Any, args: Any = (), epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
) -> tuple[Any, Any]:  # fmt: skip
    """Integrate func(z, y, x) for x from a to b, y from gfun(x) to hfun(x) and z from qfun(x, y) to rfun(x, y).

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import tplquad
        >>> cr.grad(lambda r: tplquad(lambda z, y, x: x * y * z, 0, r, 0, 1, 0, 1)[0])(2.0).round(6)  # r² / 8
        np.float64(0.5)
    """
    ranges = [
        lambda y, x, *_: (_end(qfun, x, y), _end(rfun, x, y)),
        lambda x, *_: (_end(gfun, x), _end(hfun, x)),
        (a, b),
    ]
    return nquad(func, ranges, args, {"epsabs": epsabs, "epsrel": epsrel})


@functional(scipy.integrate, "func")
def nquad(
    func: Function, ranges: Any, args: Any = None, opts: Any = None, full_output: bool = False
) -> tuple[Any, Any]:
    """Integrate a function of several numbers, the first of them in the innermost integral.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import nquad
        >>> cr.grad(lambda k: nquad(lambda x, y: np.exp(-k * x * y), [(0.0, 1.0), (1.0, 2.0)])[0])(0.5).round(4)
        np.float64(-0.4564)
    """
    if full_output:
        raise UnsupportedError(f"nquad: full_output is not supported with traced values{at()}")
    more = () if args is None else args if isinstance(args, tuple) else (args,)
    errors: list[Any] = []

    def level(depth: int, outer: tuple[Any, ...]) -> Any:
        """Return the integral over the variable `depth`, those after it being given."""
        limits = ranges[depth]
        limits = limits(*outer, *more) if callable(limits) else limits
        given = opts[depth] if isinstance(opts, list | tuple) else opts or {}
        given = given(*outer, *more) if callable(given) else given
        inner = (lambda x: func(x, *outer, *more)) if not depth else (lambda x: level(depth - 1, (x, *outer)))
        value, error = quad(inner, *limits, **given)
        if depth == len(ranges) - 1:
            errors.append(error)
        return value

    value = level(len(ranges) - 1, ())
    return value, errors[0]


# -- initial value problems ------------------------------------------------------------------------------------


@functional(scipy.integrate, "fun")
def solve_ivp(
    fun: Function, t_span: Any, y0: Any, method: Any = "RK45", t_eval: Any = None, dense_output: bool = False,
    events: Any = None, vectorized: bool = False, args: Any = None, **options: Any,
) -> Any:  # fmt: skip
    """Solve y' = fun(t, y) from y(t_span[0]) = y0; the result has a differentiable `y`, and `t` if a time is traced.

    The methods that use a Jacobian are given the exact one. The derivatives are solutions of equations that the same
    method solves to the same tolerances: tighten `rtol` and `atol` for more digits. In a batch (by `vmap`) all problems
    take their steps together. Without `t_eval` the times are those of SciPy's steps, in compiled code those of the
    call that was traced. Derivatives with respect to times exist up to the order 4.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import solve_ivp
        >>> def decayed(k):
        ...     return solve_ivp(lambda t, y: -k * y, (0.0, 1.0), [2.0], rtol=1e-9, atol=1e-9).y[0, -1]
        >>> cr.grad(decayed)(0.5).round(6)  # -2 exp(-k)
        np.float64(-1.213061)
    """
    if events is not None:
        raise UnsupportedError(
            f"solve_ivp: events are not supported with traced values{at()}; find the time with "
            "chainrule.scipy.optimize, as the root of a function that solves the problem up to it"
        )
    more = () if args is None else tuple(args)

    def slope(t: Any, y: Any) -> Any:
        found = fun(t, y[:, None] if vectorized else y, *more)
        return np.ravel(stacked(found))

    known = dict(options)
    rtol, atol = known.pop("rtol", 1e-3), known.pop("atol", 1e-6)
    for key in ("jac", "jac_sparsity"):
        known.pop(key, None)
    problem = _Problem("solve_ivp", slope, y0, method, rtol, atol, known)
    first, last = t_span
    if t_eval is None:
        places = problem.mesh(first, last)  # from 0 to 1
        times = first + (last - first) * places
        if not isinstance(times, TracedArray):
            times[-1] = last
    else:
        times = stacked(t_eval)
    y = problem.values(first, last, times)
    told = problem.method.told
    return scipy.integrate._ivp.ivp.OdeResult(
        t=times, y=y.T, sol=(lambda t: problem.between(first, last, t)) if dense_output else None, t_events=None,
        y_events=None, nfev=told.get("nfev", 0), njev=told.get("njev", 0), nlu=told.get("nlu", 0), status=0,
        message=told.get("message", ""), success=True,
    )  # fmt: skip


class _Problem:
    """An initial value problem: f as a program, and how it is solved."""

    def __init__(
        self, name: str, f: Function, y0: Any, solver: Any, rtol: Any, atol: Any, options: dict[str, Any]
    ) -> None:
        y0 = stacked(y0)
        if y0.ndim != 1:
            raise ValueError("`y0` must be 1-dimensional.")
        self.f = f
        self.y0 = y0 if y0.dtype.kind == "c" else y0.astype(float)
        self.method = Method(name, solver, rtol, atol, y0.size, options, {}, at())
        specs = [Spec((), np.dtype(float)), Spec(y0.shape, self.y0.dtype)]
        (body,), self.around = traced_body(name, [lambda t, y: self._fitted(f(t, y))], specs, ["t", "y"])
        t, y, *consts = body.inputs
        self.body = type(body)((t, *consts, y), body.outputs, body.builder)

    def _fitted(self, found: Any) -> Any:
        if found.shape != self.y0.shape:
            raise ShapeError(f"{self.method.name}: y has shape {self.y0.shape}, its derivative {found.shape}{at()}")
        if found.dtype.kind == "c" and self.y0.dtype.kind != "c":
            raise ShapeError(f"{self.method.name}: the derivative is complex, y is not{at()}; begin with complex y0")
        return found.astype(self.y0.dtype)

    def mesh(self, first: Any, last: Any) -> np.ndarray:
        """Return the times of SciPy's own steps, from 0 at the first time to 1 at the last."""
        start, end, *consts, y0 = [
            each.value if isinstance(each, TracedArray) else each
            for each in (first, last, *self.around.values, self.y0)
        ]
        run = NUMPY.prepared(self.body)
        options = dict(self.method.options)
        if self.method.is_implicit and "lband" not in options and "uband" not in options:
            control = Ode(self.body, len(consts), 1, self.method)
            partials = NUMPY.prepared(control.jacobian)
            options["jac"] = lambda t, y: np.asarray(partials([t, y, *consts])[0])
        found = scipy.integrate.solve_ivp(
            lambda t, y: run([t, *consts, y])[0], (start, end), y0, method=self.method.solver, rtol=self.method.rtol,
            atol=self.method.atol, **options,
        )  # fmt: skip
        return (found.t - start) / (end - start)

    def values(self, first: Any, last: Any, times: Any) -> Any:
        """Return y at given times, of shape (times, y)."""
        y0 = self.y0
        fixed = stop_gradient(first)
        if isinstance(first, TracedArray):
            y0 = self._step(first, y0, fixed - first)
        times_fixed = stop_gradient(times)
        control = Ode(self.body, len(self.around), len(times), self.method)
        (found,) = apply(control, [fixed, stop_gradient(last), times_fixed], self.around, [y0])
        if isinstance(times, TracedArray):
            found = vmap(self._step)(times_fixed, found, times - times_fixed)
        return found

    def between(self, first: Any, last: Any, t: Any) -> Any:
        """Return y at any times, as SciPy's dense output does: of shape (y,) or (y, times)."""
        times = stacked(t) * 1.0
        flat = np.reshape(times, (-1,))
        order = np.argsort(stop_gradient(flat) * np.sign(stop_gradient(last) - stop_gradient(first)))
        found = self.values(first, last, flat[order])[np.argsort(order)]
        return found.T if times.ndim else found[0]

    def _step(self, t: Any, y: Any, h: Any) -> Any:
        """Return y after a step of length h, which is 0: it has the derivatives that time has, up to the order 4.

        The method of Runge and Kutta is exact to order h⁴.
        """
        k1 = self.f(t, y)
        k2 = self.f(t + h / 2, y + h / 2 * k1)
        k3 = self.f(t + h / 2, y + h / 2 * k2)
        k4 = self.f(t + h, y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@functional(scipy.integrate, "func")
def odeint(
    func: Function, y0: Any, t: Any, args: Any = (), Dfun: Any = None, col_deriv: Any = 0, full_output: Any = 0,
    ml: Any = None, mu: Any = None, rtol: Any = None, atol: Any = None, tcrit: Any = None, h0: float = 0.0,
    hmax: float = 0.0, hmin: float = 0.0, ixpr: Any = 0, mxstep: int = 0, mxhnil: int = 0, mxordn: int = 12,
    mxords: int = 5, printmessg: Any = 0, tfirst: bool = False,
) -> Any:  # fmt: skip
    """Solve y' = func(y, t) and return y at the times t, beginning with y(t[0]) = y0; see `solve_ivp`.

    Example:
        >>> import numpy as np, chainrule as cr
        >>> from chainrule.scipy.integrate import odeint
        >>> cr.grad(lambda k: odeint(lambda y, t, k: -k * y, 2.0, [0.0, 1.0], (k,))[1, 0])(0.5).round(6)
        np.float64(-1.213061)
    """
    if full_output:
        raise UnsupportedError(f"odeint: full_output is not supported with traced values{at()}")
    more = args if isinstance(args, tuple) else (args,)

    def slope(t: Any, y: Any) -> Any:
        return np.ravel(stacked(func(t, y, *more) if tfirst else func(y, t, *more)))

    default = 1.49012e-8
    options = {key: value for key, value in {"first_step": h0, "max_step": hmax, "min_step": hmin}.items() if value}
    problem = _Problem("odeint", slope, np.atleast_1d(stacked(y0)), "LSODA", default if rtol is None else rtol,
                       default if atol is None else atol, options)  # fmt: skip
    times = stacked(t)
    times = times if isinstance(times, TracedArray) else times.astype(float)
    return problem.values(times[0], times[-1], times)
