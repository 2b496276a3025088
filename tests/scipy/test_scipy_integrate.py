"""The twins of `scipy.integrate`: SciPy's values, and derivatives of integrals and of solutions of equations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from jax.experimental.ode import odeint as jax_odeint
from scipy.linalg import expm

import chainrule as cr
from chainrule.errors import NotDifferentiableError, ShapeError, UnsupportedError
from chainrule.ops import ode
from chainrule.scipy import integrate, optimize, sparse

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(3)
X9 = 3.0 * np.arange(9) + rng.uniform(0, 1, 9)
Y = rng.normal(size=(3, 9))
TIGHT = {"rtol": 1e-10, "atol": 1e-12}

# -- sums over samples ---------------------------------------------------------------------------------------------

SAMPLES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("trapezoid", (Y,), {}),
    ("trapezoid", (Y, X9), {}),
    ("trapezoid", (Y.T, X9), {"axis": 0}),
    ("trapezoid", (Y, X9 + np.zeros((3, 9))), {}),
    ("trapezoid", (Y,), {"dx": 0.3}),
    ("cumulative_trapezoid", (Y, X9), {}),
    ("cumulative_trapezoid", (Y.T, X9), {"axis": 0, "initial": 0}),
    ("cumulative_trapezoid", (Y[0],), {"dx": 0.5}),
    ("simpson", (Y,), {}),
    ("simpson", (Y[:, :8],), {"dx": 0.1}),
    ("simpson", (Y, X9), {}),
    ("simpson", (Y[:, :8], X9[:8]), {}),
    ("simpson", (Y.T[:4], X9[:4]), {"axis": 0}),
    ("simpson", (Y[:, :3], X9[:3]), {}),
    ("simpson", (Y[:, :2], X9[:2]), {}),
    ("cumulative_simpson", (Y,), {}),
    ("cumulative_simpson", (Y[:, :8],), {"x": X9[:8], "initial": 0.0}),
    ("cumulative_simpson", (Y,), {"x": X9}),
    ("cumulative_simpson", (Y.T,), {"x": X9, "axis": 0, "initial": 2.0}),
    ("cumulative_simpson", (Y[0, :3],), {"dx": 0.1}),
    ("cumulative_simpson", (Y[0, :2],), {"dx": 0.1}),
    ("romb", (Y,), {}),
    ("romb", (Y.T, 0.2), {"axis": 0}),
    ("romb", (Y[:, :2],), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), SAMPLES)
def test_samples(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    function = getattr(integrate, name)
    expected = getattr(scipy.integrate, name)(*args, **kwargs)
    x = kwargs.get("x")
    rest = {key: value for key, value in kwargs.items() if key != "x"}
    f = lambda x, *args: function(*args, **rest) if x is None else function(*args, x=x, **rest)
    found = cr.vjp(lambda y: f(x, y, *args[1:]), args[0])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
    assert cr.check_derivatives(lambda y: f(x, y, *args[1:]), args[0]).error < 1e-6
    if len(args) > 1:
        assert cr.check_derivatives(lambda x: f(None, args[0], x), args[1]).error < 1e-5
    if x is not None:
        assert cr.check_derivatives(lambda x: f(x, *args), x).error < 1e-5


def test_wrong_samples() -> None:
    with pytest.raises(ValueError, match="power of 2"):
        cr.grad(lambda y: integrate.romb(y))(np.ones(4))
    with pytest.raises(ShapeError, match=r"x has 3 points, y 4 samples along its axis, at test_scipy_integrate.py"):
        cr.grad(lambda y: integrate.trapezoid(y, np.ones(3)))(np.ones(4))


# -- integrals -----------------------------------------------------------------------------------------------------

E = np.exp
INTEGRALS: dict[str, tuple[Callable[..., Any], tuple[float, ...], Callable[..., Any]]] = {
    "closure": (lambda k: integrate.quad(lambda x: np.exp(-k * x), 0, 1)[0], (1.3,), lambda k: (1 - np.exp(-k)) / k),
    "args": (lambda k, m: integrate.quad(lambda x, k, m: m * np.exp(-k * x), 0, 1, args=(k, m))[0], (1.3, 2.0),
             lambda k, m: m * (1 - np.exp(-k)) / k),
    "limits": (lambda a, b, k: integrate.quad(lambda x: np.exp(-k * x), a, b)[0], (0.2, 1.0, 1.3),
               lambda a, b, k: (np.exp(-k * a) - np.exp(-k * b)) / k),
    "infinite": (lambda a, k: integrate.quad(lambda x: np.exp(-k * x), a, np.inf)[0], (0.2, 1.3),
                 lambda a, k: np.exp(-k * a) / k),
    "bell": (lambda s: integrate.quad(lambda x: np.exp(-((x / s) ** 2)), -np.inf, np.inf)[0], (1.7,),
             lambda s: s * np.sqrt(np.pi)),
    "weight": (lambda k: integrate.quad(lambda x: np.exp(-k * x), 0, 1, weight="cos", wvar=3.0)[0], (1.3,),
               lambda k: (k + np.exp(-k) * (3 * np.sin(3.0) - k * np.cos(3.0))) / (k**2 + 9)),
    "points": (lambda k: integrate.quad(lambda x: np.abs(x - 0.3) * k**2, 0, 1, points=[0.3])[0], (1.3,),
               lambda k: k**2 * (0.3**2 + 0.7**2) / 2),
    "fixed_quad": (lambda a, b, k: integrate.fixed_quad(lambda x, k: np.exp(-k * x), a, b, (k,), n=9)[0],
                   (0.2, 1.0, 1.3), lambda a, b, k: (np.exp(-k * a) - np.exp(-k * b)) / k),
    "quad_vec": (lambda b, k: integrate.quad_vec(lambda x: k * np.exp(-x * np.array([1.0, 2.0])), 0, b)[0][1],
                 (1.0, 1.3), lambda b, k: k * (1 - np.exp(-2 * b)) / 2),
    "dblquad": (lambda r, k: integrate.dblquad(lambda y, x: k * x * y, 0, r, lambda x: 0.0, lambda x: k * x)[0],
                (1.5, 1.3), lambda r, k: k**3 * r**4 / 8),
    "nquad": (lambda r, k: integrate.nquad(lambda x, y, k: k * x * y, [lambda y, k: (0, y), (0, r)], args=(k,))[0],
              (1.5, 1.3), lambda r, k: k * r**4 / 8),
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGRALS)
def test_integrals(name: str) -> None:
    f, at, exact = INTEGRALS[name]
    places = tuple(range(len(at)))
    value, gradient = cr.value_and_grad(f, places)(*at)
    assert value == pytest.approx(float(exact(*at)), rel=1e-8)
    np.testing.assert_allclose(gradient, cr.grad(exact, places)(*at), rtol=1e-7)
    np.testing.assert_allclose(cr.jvp(f, at, (1.0,) * len(at))[1], sum(gradient), rtol=1e-9)
    if name in ("dblquad", "nquad"):
        return  # the other orders hold for compositions, and take their time
    second = cr.hessian(exact, places)(*at)
    np.testing.assert_allclose(cr.hessian(f, places)(*at), second, rtol=1e-6, atol=1e-8)
    fast = cr.jit(cr.grad(f, places))
    np.testing.assert_allclose(fast(*at), gradient, rtol=1e-10)
    moved = tuple(each * 1.1 for each in at)
    np.testing.assert_allclose(fast(*moved), cr.grad(exact, places)(*moved), rtol=1e-7)
    stacked = [np.array([one, two]) for one, two in zip(at, moved, strict=True)]
    for k in places:
        in_axes = tuple(0 if j == k else None for j in places)
        given = [stacked[j] if j == k else at[j] for j in places]
        expected = cr.vmap(cr.grad(exact, places), in_axes)(*given)
        np.testing.assert_allclose(cr.vmap(cr.grad(f, places), in_axes)(*given), expected, rtol=1e-7)
    np.testing.assert_allclose(cr.vmap(f)(*stacked), cr.vmap(exact)(*stacked), rtol=1e-8)


def test_limits_up_to_the_fourth_order() -> None:
    f: Any = lambda b: integrate.quad(np.exp, 0.0, b)[0]
    for _ in range(4):
        f = cr.grad(f)
        assert f(0.7) == pytest.approx(np.exp(0.7), rel=1e-12)


def test_integrable_singularities() -> None:
    f = lambda a, b: integrate.quad(lambda x: 1 / np.sqrt(x), a, b)[0]
    value, (by_a, by_b) = cr.value_and_grad(f, (0, 1))(0.0, 4.0)
    assert value == pytest.approx(4.0)
    assert (by_a, by_b) == (-np.inf, 0.5)
    assert cr.grad(lambda p: integrate.quad(lambda x: x**p, 0, 1)[0])(-0.5) == pytest.approx(-4.0, rel=1e-6)


def test_complex_integrand() -> None:
    f = lambda k: integrate.quad(lambda x: np.exp(1j * k * x), 0, 1, complex_func=True)[0]
    k = 1.3
    expected = (1j * k * np.exp(1j * k) - np.exp(1j * k) + 1) / (1j * k**2)
    assert cr.jacobian(f)(k) == pytest.approx(expected, rel=1e-9)


def test_structures_of_parameters() -> None:
    f = lambda w: integrate.quad(lambda x: np.tanh(x * w["a"]) @ w["b"], 0, 1)[0]
    w = {"a": np.array([1.0, -2.0, 0.5]), "b": np.array([0.3, 0.2, -0.7])}
    found = cr.grad(f)(w)
    x, weight = np.polynomial.legendre.leggauss(30)
    x, weight = (x[:, None] + 1) / 2, weight / 2
    np.testing.assert_allclose(found["b"], weight @ np.tanh(x * w["a"]), rtol=1e-9)
    np.testing.assert_allclose(found["a"], weight @ (x * w["b"] / np.cosh(x * w["a"]) ** 2), rtol=1e-9)


# -- initial value problems ----------------------------------------------------------------------------------------

METHODS = ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"]
T = np.linspace(0.0, 2.0, 9)
M = np.array([[-0.5, 2.0], [-1.0, -0.2]])
Y0 = np.array([1.0, 0.5])


def linear(m: Any, y0: Any, t: Any = T, method: str = "RK45", span: Any = None, **options: Any) -> Any:
    span = (t[0], t[-1]) if span is None else span
    return integrate.solve_ivp(lambda s, y: m @ y, span, y0, method, t, **{**TIGHT, **options}).y


@pytest.mark.parametrize("method", METHODS)
def test_linear_problem(method: str) -> None:
    """The solution of y' = m y is expm(m t) y0."""
    loose = {} if method in ("DOP853", "RK45", "LSODA") else {"rtol": 1e-7, "atol": 1e-9}
    close = {"rtol": 1e-6, "atol": 1e-7} if not loose else {"rtol": 1e-4, "atol": 1e-4}
    f = lambda m, y0: linear(m, y0, method=method, **loose)
    plain = scipy.integrate.solve_ivp(lambda t, y: M @ y, (0, 2), Y0, method, T, **{**TIGHT, **loose}).y
    np.testing.assert_allclose(f(M, Y0), plain, rtol=1e-12)
    np.testing.assert_allclose(cr.vjp(f, M, Y0)[0], plain, rtol=1e-4)
    exact = np.stack([expm(M * t) for t in T], axis=1)  # (y, t, y0)
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(cr.jacobian(f, 1, mode=mode)(M, Y0), exact, **close)
    bar = np.random.default_rng(0).normal(size=(2, 9))
    expected = jax.grad(lambda m: sum(bar[:, k] @ jax.scipy.linalg.expm(m * t) @ Y0 for k, t in enumerate(T)))(M)
    np.testing.assert_allclose(cr.grad(lambda m: np.sum(bar * f(m, Y0)))(M), expected, **close)
    np.testing.assert_allclose(
        cr.jvp(lambda m: np.sum(bar * f(m, Y0)), (M,), (M**2,))[1], np.sum(expected * M**2), **close
    )


def swing(t: Any, y: Any, p: Any, xp: Any = np) -> Any:
    return xp.stack([y[1], -p[0] * xp.sin(y[0]) - p[1] * y[1] + p[2] * xp.cos(2 * t)])


P = np.array([2.0, 0.3, 0.5])


def test_against_jax() -> None:
    def ours(y0: Any, p: Any) -> Any:
        return np.sum(np.sin(integrate.odeint(lambda y, t, p: swing(t, y, p), y0, T, (p,), rtol=1e-11, atol=1e-11)))

    def theirs(y0: Any, p: Any, t: Any = T) -> Any:
        return jnp.sum(jnp.sin(jax_odeint(lambda y, t, p: swing(t, y, p, jnp), y0, t, p, rtol=1e-11, atol=1e-11)))

    expected = jax.jit(jax.grad(theirs, (0, 1)))(Y0, P)
    found = cr.grad(ours, (0, 1))(Y0, P)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-7)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-7)
    fast = cr.jit(cr.grad(ours, (0, 1)))(Y0, P)
    np.testing.assert_allclose(fast[1], expected[1], rtol=1e-7)


def runge_kutta(y: Any, p: Any, first: Any, last: Any, steps: int = 400) -> Any:
    h = (last - first) / steps

    def step(y: Any, k: Any) -> Any:
        t = first + h * k
        k1 = swing(t, y, p, jnp)
        k2 = swing(t + h / 2, y + h / 2 * k1, p, jnp)
        k3 = swing(t + h / 2, y + h / 2 * k2, p, jnp)
        k4 = swing(t + h, y + h * k3, p, jnp)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return jax.lax.scan(step, y, jnp.arange(steps))[0]


def test_second_order_against_steps_differentiated_through() -> None:
    last = lambda z: integrate.solve_ivp(lambda t, y: swing(t, y, z[2:]), (0.0, 2.0), z[:2], "DOP853", **TIGHT).y[:, -1]
    f = lambda z: np.sum(last(z) ** 2) + last(z)[0]
    exact = lambda z: jnp.sum(runge_kutta(z[:2], z[2:], 0.0, 2.0) ** 2) + runge_kutta(z[:2], z[2:], 0.0, 2.0)[0]
    z = np.concatenate([Y0, P])
    expected = jax.jit(jax.hessian(exact))(z)
    np.testing.assert_allclose(cr.grad(f)(z), jax.jit(jax.grad(exact))(z), rtol=1e-7)
    np.testing.assert_allclose(cr.hessian(f)(z), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(cr.jacobian(cr.grad(f), mode="reverse")(z), expected, rtol=1e-6, atol=1e-7)
    forward = cr.jacobian(cr.jacobian(f, mode="forward"), mode="forward")(z)
    np.testing.assert_allclose(forward, expected, rtol=1e-6, atol=1e-7)


def test_times() -> None:
    """With y' = t y + p the derivative at a time is the right-hand side there."""
    f = lambda first, last: runge_kutta(jnp.array(Y0), P, first, last)
    ours = lambda first, last: integrate.solve_ivp(lambda t, y: swing(t, y, P), (first, last), Y0, **TIGHT).y[:, -1]
    np.testing.assert_allclose(
        cr.jacobian(ours, (0, 1))(0.1, 2.0), jax.jit(jax.jacobian(f, (0, 1)))(0.1, 2.0), rtol=1e-6
    )
    second = jax.jit(jax.hessian(f, (0, 1)))(0.1, 2.0)
    found = cr.jacobian(cr.jacobian(ours, (0, 1)), (0, 1))(0.1, 2.0)
    for one, two in zip(found, second, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    by_t = cr.jacobian(lambda t: integrate.odeint(lambda y, t: swing(t, y, P), Y0, t, rtol=1e-10, atol=1e-10))(T)
    y = scipy.integrate.odeint(lambda y, t: swing(t, y, P), Y0, T, rtol=1e-11, atol=1e-11)
    slopes = np.stack([swing(t, each, P) for t, each in zip(T, y, strict=True)])
    for k in range(1, 9):
        np.testing.assert_allclose(by_t[k, :, k], slopes[k], rtol=1e-7)
        np.testing.assert_allclose(by_t[k][:, np.setdiff1d(np.arange(1, 9), k)], 0, atol=1e-12)
    np.testing.assert_allclose(by_t[0], 0, atol=1e-12)
    dense = lambda s: integrate.solve_ivp(
        lambda t, y: swing(t, y, P), (0, 2), Y0 + 0 * s, dense_output=True, **TIGHT
    ).sol(s)
    np.testing.assert_allclose(cr.jacobian(dense)(T[3]), slopes[3], rtol=1e-6)


def test_back_in_time() -> None:
    f = lambda m, y0: linear(m, y0, T[::-1].copy())
    exact = np.stack([expm(M * (t - 2)) for t in T[::-1]], axis=1)
    np.testing.assert_allclose(cr.jacobian(f, 1)(M, Y0), exact, rtol=1e-7, atol=1e-8)
    bar = np.random.default_rng(0).normal(size=(2, 9))
    expected = jax.grad(lambda m: sum(bar[:, k] @ jax.scipy.linalg.expm(m * (t - 2)) @ Y0
                                      for k, t in enumerate(T[::-1])))(M)  # fmt: skip
    np.testing.assert_allclose(cr.grad(lambda m: np.sum(bar * f(m, Y0)))(M), expected, rtol=1e-7)


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau", "LSODA"])
def test_adjoint_by_the_method_itself(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done with large systems agrees with the collocation of small ones."""
    options = TIGHT if method != "Radau" else {"rtol": 1e-7, "atol": 1e-9}
    f = lambda p, y0: integrate.solve_ivp(lambda t, y: swing(t, y, p), (0, 2), y0, method, T, **options).y
    bar = np.random.default_rng(0).normal(size=(2, 9)) * (T > 1)
    g = cr.grad(lambda p, y0: np.sum(bar * f(p, y0)), (0, 1))
    both, whole = g(P, Y0), cr.jacobian(f, mode="reverse")(P, Y0)
    for name in ("REFINEMENTS", "SMALL"):
        monkeypatch.setattr(ode, name, 1)
        for one, two in zip(g(P, Y0), both, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5)
    np.testing.assert_allclose(cr.jacobian(f, mode="reverse")(P, Y0), whole, rtol=1e-5, atol=1e-6)


def test_a_large_system() -> None:
    """Heat on a rod of 100 points, stiff: y' = k ∂²y."""
    x = np.linspace(0, np.pi, 102)[1:-1]
    start = np.sin(x) + 0.5 * np.sin(3 * x)
    step = x[1] - x[0]

    def f(k: Any, method: str) -> Any:
        def slope(t: Any, y: Any) -> Any:
            wide = np.concatenate([[0.0], y, [0.0]])
            return k * (wide[2:] - 2 * y + wide[:-2]) / step**2

        return np.sum(integrate.solve_ivp(slope, (0, 1), start, method, rtol=1e-6, atol=1e-8).y[:, -1] * np.sin(x))

    rate = 4 * np.sin(step / 2) ** 2 / step**2
    expected = -rate * np.exp(-rate * 0.7) * np.sum(np.sin(x) ** 2)
    for method in ("BDF", "LSODA"):
        assert cr.grad(f)(0.7, method) == pytest.approx(expected, rel=1e-3)
        assert cr.jvp(functools.partial(f, method=method), (0.7,), (1.0,))[1] == pytest.approx(expected, rel=1e-3)


def test_stiff() -> None:
    """Robertson's reactions; the derivative by differences of tightly solved problems."""

    def slope(t: Any, y: Any, k: Any) -> Any:
        a, b = k[0] * y[0], k[1] * y[1] * y[2]
        c = k[2] * y[1] ** 2
        return np.stack([b - a, a - b - c, c])

    k = np.array([0.04, 1e4, 3e7])
    options = {"method": "Radau", "t_eval": [4.0, 40.0], "rtol": 1e-8, "atol": [1e-10, 1e-14, 1e-10]}
    f = lambda k, home: home.solve_ivp(lambda t, y: slope(t, y, k), (0, 40), [1.0, 0, 0], **options).y
    found = cr.jacobian(lambda k: f(k, integrate)[0])(k)
    for j in range(3):
        step = np.eye(3)[j] * k[j] * 1e-3
        expected = (f(k + step, scipy.integrate)[0] - f(k - step, scipy.integrate)[0]) / (2e-3 * k[j])
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-4)


def test_batches() -> None:
    f = lambda p, y0: integrate.solve_ivp(lambda t, y: swing(t, y, p), (0, 2), y0, t_eval=T, **TIGHT).y
    starts, many = np.array([[1.0, 0.5], [0.2, -1.0], [2.0, 0.0]]), np.array([P, 1.1 * P, 0.7 * P])
    each = np.stack([f(p, y0) for p, y0 in zip(many, starts, strict=True)])
    np.testing.assert_allclose(cr.vmap(f)(many, starts), each, rtol=1e-8, atol=1e-9)
    g = cr.grad(lambda p, y0: np.sum(f(p, y0) ** 2), (0, 1))
    for in_axes, given in (((0, 0), (many, starts)), ((None, 0), (P, starts)), ((0, None), (many, Y0))):
        rows = [[x if axis is None else x[k] for x, axis in zip(given, in_axes, strict=True)] for k in range(3)]
        expected = [g(*row) for row in rows]
        for found in (cr.vmap(g, in_axes)(*given), cr.jit(cr.vmap(g, in_axes))(*given)):
            for one, two in zip(found, zip(*expected, strict=True), strict=True):
                np.testing.assert_allclose(one, np.stack(two), rtol=1e-6, atol=1e-7)


def test_a_batch_of_times() -> None:
    def f(last: Any, k: Any) -> Any:
        return integrate.solve_ivp(lambda t, y: -k * t * y, (0.0, last), [2.0], t_eval=[last / 2, last], **TIGHT).y[0]

    exact = lambda last, k: 2 * np.exp(-k * np.stack([last / 2, last]) ** 2 / 2)
    last = np.array([0.5, 1.0, 1.5])
    np.testing.assert_allclose(cr.vmap(f, (0, None))(last, 0.8), cr.vmap(exact, (0, None))(last, 0.8), rtol=1e-8)
    for argnums in (0, 1):
        for mode in ("forward", "reverse"):
            many = [cr.vmap(cr.jacobian(g, argnums, mode=mode), (0, None))(last, 0.8) for g in (f, exact)]
            np.testing.assert_allclose(*many, rtol=1e-6)
    total = [cr.grad(lambda k, g=g: np.sum(cr.vmap(g, (0, None))(last, k)))(0.8) for g in (f, exact)]
    assert total[0] == pytest.approx(total[1], rel=1e-7)
    both = [cr.vmap(cr.hessian(lambda a, k, g=g: g(a, k)[1], (0, 1)), (0, None))(last, 0.8) for g in (f, exact)]
    np.testing.assert_allclose(*both, rtol=1e-5)


def test_compiled() -> None:
    f = lambda p: np.sum(integrate.solve_ivp(lambda t, y: swing(t, y, p), (0, 2), Y0, **TIGHT).y[:, -1] ** 2)
    fast, slope = cr.jit(f), cr.jit(cr.grad(f))
    for scale in (1.0, 1.3, 0.2):
        assert fast(P * scale) == pytest.approx(f(P * scale), rel=1e-8)
        np.testing.assert_allclose(slope(P * scale), cr.grad(f)(P * scale), rtol=1e-6)


def test_complex_state() -> None:
    f = lambda w: integrate.solve_ivp(lambda t, y: 1j * w * y, (0, 1), [1 + 0j], **TIGHT).y[0, -1]
    assert cr.jacobian(f, mode="forward")(1.3) == pytest.approx(1j * np.exp(1.3j), rel=1e-7)
    assert cr.grad(lambda w: f(w).real)(1.3) == pytest.approx(-np.sin(1.3), rel=1e-7)


def test_fields() -> None:
    def f(k: Any) -> Any:
        found = integrate.solve_ivp(lambda t, y, k: -k * y, (0, 1), [1.0], args=(k,))
        assert found.success
        assert found.status == 0
        assert found.nfev > 10
        assert type(found.t) is np.ndarray
        return found.y

    plain = scipy.integrate.solve_ivp(lambda t, y: -0.5 * y, (0, 1), [1.0])
    np.testing.assert_allclose(cr.vjp(f, 0.5)[0], plain.y, rtol=1e-12)
    options = {"vectorized": True, **TIGHT}
    vectorized = lambda k: integrate.solve_ivp(lambda t, y: -k * y, (0, 1), [1.0, 2.0], **options).y[1, -1]
    assert cr.grad(vectorized)(0.5) == pytest.approx(-2 * np.exp(-0.5), rel=1e-7)
    time_first = lambda k: integrate.odeint(lambda t, y: -k * y, 1.0, [0, 1], tfirst=True)[-1, 0]
    assert cr.grad(time_first)(0.5) == pytest.approx(
        -np.exp(-0.5), rel=1e-6)  # fmt: skip


def test_precision_of_the_argument() -> None:
    f = lambda y0: np.sum(integrate.solve_ivp(lambda t, y: -y, (0, 1), y0).y[:, -1])
    assert cr.grad(f)(np.ones(2, np.float32)).dtype == np.float32


def test_solutions_inside_other_solvers() -> None:
    """The time at which y = exp(-k t) has come down to 1/2 is log 2 / k."""

    def half_life(k: Any) -> Any:
        last = lambda t: integrate.solve_ivp(lambda s, y: -k * y, (0.0, t), [1.0], t_eval=[t], **TIGHT).y[0, -1]
        return optimize.brentq(lambda t: last(t) - 0.5, 0.1, 5.0)

    assert cr.grad(half_life)(0.8) == pytest.approx(-np.log(2) / 0.64, rel=1e-6)


INSIDE: dict[str, Callable[[Any], Any]] = {
    "root": lambda b: optimize.brentq(lambda z: z**3 - b, 0.0, 5.0),
    "minimum": lambda b: optimize.minimize(lambda z: np.sum((z - b) ** 2) + z[0] ** 4, [1.0]).x[0],
    "integral": lambda b: integrate.quad(lambda x: np.exp(-b * x), 0, b)[0],
    "solution": lambda b: integrate.solve_ivp(lambda t, y: -b * y, (0, 1), [1.0], t_eval=[1.0], **TIGHT).y[0, -1],
    "sparse": lambda b: sparse.linalg.spsolve(sparse.csc_array((np.stack([b, b + 1]), ([0, 1], [0, 1]))), np.ones(2))[
        1
    ],
}


@pytest.mark.parametrize("name", INSIDE)
def test_solvers_inside_loops(name: str) -> None:
    """A solver is a node of a loop's body, and the body of a loop runs forward and back as the unrolled one does."""
    solve = INSIDE[name]
    rolled = lambda a: cr.scan(lambda c, x: (c + solve(a * x), None), 0.0, np.array([1.0, 2.0, 3.0]))[0]
    unrolled = lambda a: sum(solve(a * x) for x in (1.0, 2.0, 3.0))
    for derive in (cr.grad, lambda f: cr.grad(cr.grad(f)), lambda f: lambda a: cr.jvp(f, (a,), (1.0,))[1]):
        assert derive(rolled)(1.3) == pytest.approx(derive(unrolled)(1.3), rel=1e-7)
    assert cr.jit(cr.grad(rolled))(1.3) == pytest.approx(cr.grad(unrolled)(1.3), rel=1e-7)
    expected = [cr.grad(unrolled)(1.3), cr.grad(unrolled)(1.0)]
    np.testing.assert_allclose(cr.vmap(cr.grad(rolled))(np.array([1.3, 1.0])), expected, rtol=1e-7)


def test_errors() -> None:
    with pytest.raises(UnsupportedError, match=r"events are not supported with traced values, at test_scipy_integrate"):
        cr.grad(lambda k: integrate.solve_ivp(lambda t, y: -k * y, (0, 1), [1.0], events=lambda t, y: y[0]).y[0, -1])(
            1.0
        )
    with pytest.raises(ShapeError, match=r"solve_ivp: y has shape \(2,\), its derivative \(1,\)"):
        cr.grad(lambda k: integrate.solve_ivp(lambda t, y: -k * y[:1], (0, 1), [1.0, 2.0]).y[0, -1])(1.0)
    with pytest.raises(NotDifferentiableError, match="solve_ivp: Required step size.*, at test_scipy_integrate.py"):
        cr.grad(lambda k: integrate.solve_ivp(lambda t, y: k * y**2, (0, 2), [1.0], t_eval=[2.0]).y[0, -1])(1.0)
    with pytest.raises(UnsupportedError, match="full_output"):
        cr.grad(lambda k: integrate.quad(lambda x: k * x, 0, 1, full_output=1)[0])(1.0)
    with pytest.raises(ShapeError, match="use quad_vec"):
        cr.grad(lambda k: integrate.quad(lambda x: k * np.ones(2), 0, 1)[0])(1.0)


@pytest.mark.parametrize("name", integrate.__all__)
def test_signatures(name: str) -> None:
    ours = inspect.signature(getattr(integrate, name)).parameters.values()
    theirs = inspect.signature(getattr(scipy.integrate, name)).parameters.values()
    assert [p.name for p in ours] == [p.name for p in theirs]
    assert all(p.default == q.default for p, q in zip(ours, theirs, strict=True))


def test_plain_arguments_go_to_scipy() -> None:
    assert integrate.quad(np.sin, 0, np.pi) == scipy.integrate.quad(np.sin, 0, np.pi)
    found = integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], events=lambda t, y: y[0] - 0.5)
    assert len(found.t_events[0]) == 1
    assert integrate.RK45 is scipy.integrate.RK45


def test_jacobian_for_plain_scipy() -> None:
    f = lambda t, y: swing(t, y, P)
    found = scipy.integrate.solve_ivp(f, (0, 2), Y0, "BDF", jac=cr.jacobian(f, 1), rtol=1e-8, atol=1e-8)
    expected = scipy.integrate.solve_ivp(f, (0, 2), Y0, "BDF", rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.y[:, -1], expected.y[:, -1], rtol=1e-6)
