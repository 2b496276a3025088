"""The twins of `scipy.optimize`: SciPy's values, and derivatives by the implicit function theorem."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import chainrule as cr
from chainrule.errors import DtypeError, LinAlgError, NotDifferentiableError, ShapeError, UnsupportedError
from chainrule.scipy import optimize

jax.config.update("jax_enable_x64", True)
A = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, -0.3], [0.5, -0.3, 4.0]])
T = np.array([1.5, -0.7, 2.0])
BOX = [(None, 1.0), (0.0, None), (-3.0, 3.0)]


def cube_root(name: str) -> Callable[[Any], Any]:
    return lambda a: getattr(optimize, name)(lambda x: x**3 - a, 0.0, 5.0)


def energy(x: Any, t: Any) -> Any:
    return 0.5 * x @ A @ x - t @ x + np.sum(np.exp(0.3 * x))


SCALAR_ROOTS: dict[str, Callable[[Any], Any]] = {
    **{name: cube_root(name) for name in ("bisect", "brenth", "brentq", "ridder", "toms748")},
    "args": lambda a: optimize.brentq(lambda x, a, n: x**n - a, 0.0, 5.0, args=(a, 3)),
    "full": lambda a: optimize.brentq(lambda x: x**3 - a, 0.0, 5.0, full_output=True)[0],
    "report": lambda a: optimize.brentq(lambda x: x**3 - a, 0.0, 5.0, full_output=True)[1].root,
    "traced end": lambda a: optimize.brentq(lambda x: x**3 - a, 0.0, a),
    "newton": lambda a: optimize.newton(lambda x: x**3 - a, 1.0, fprime=lambda x: 3 * x**2),
    "halley": lambda a: optimize.newton(lambda x: x**3 - a, 1.0, lambda x: 3 * x**2, fprime2=lambda x: 6 * x),
    "secant": lambda a: optimize.newton(lambda x: x**3 - a, 1.0),
    "array": lambda a: optimize.newton(lambda x: x**3 - a, np.array([1.0, 2.0]))[1],
    "root_scalar": lambda a: optimize.root_scalar(lambda x: x**3 - a, bracket=[0, 5]).root,
    "root_scalar newton": lambda a: optimize.root_scalar(lambda x: x**3 - a, x0=1, method="newton").root,
    "root_scalar pair": lambda a: optimize.root_scalar(lambda x: (x**3 - a, 3 * x**2), x0=1.0, fprime=True).root,
    "root_scalar halley": lambda a: optimize.root_scalar(
        lambda x: x**3 - a, x0=1.0, fprime=lambda x: 3 * x**2, fprime2=lambda x: 6 * x, method="halley").root,
    "root_scalar secant": lambda a: optimize.root_scalar(lambda x: x**3 - a, x0=1.0, x1=1.5, method="secant").root,
    "fixed_point": lambda a: optimize.fixed_point(lambda x: (2 * x + a / x**2) / 3, 1.0),
    "root": lambda a: optimize.root(lambda x: x**3 - a, 1.0).x[()],
    "fsolve": lambda a: optimize.fsolve(lambda x: [x[0] ** 3 - a], 1.0)[0],
    "fsolve full": lambda a: optimize.fsolve(lambda x: [x[0] ** 3 - a], 1.0, full_output=True)[0][0],
    "implicit": lambda a: cr.implicit_root(lambda x, a: x**3 - a, np.cbrt, a),
    "implicit of a value": lambda a: cr.implicit_root(lambda x: x**3 - a, np.cbrt(cr.stop_gradient(a))),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALAR_ROOTS)
def test_cube_root(name: str) -> None:
    f = SCALAR_ROOTS[name]
    value, slope = cr.value_and_grad(f)(8.0)
    assert value == pytest.approx(2.0, rel=1e-9)
    assert slope == pytest.approx(1 / 12, rel=1e-7)
    assert cr.grad(cr.grad(f))(8.0) == pytest.approx(-1 / 144, rel=1e-7)
    assert cr.jvp(cr.grad(cr.grad(f)), (8.0,), (1.0,))[1] == pytest.approx(10 / 27 / 256, rel=1e-6)
    assert cr.jvp(f, (8.0,), (2.0,))[1] == pytest.approx(1 / 6, rel=1e-7)


@pytest.mark.parametrize("name", ["brentq", "newton", "root", "fsolve", "fixed_point", "implicit", "array"])
def test_batches_and_compiled_code(name: str) -> None:
    f, a = SCALAR_ROOTS[name], np.array([1.0, 8.0, 27.0])
    np.testing.assert_allclose(cr.vmap(f)(a), [1, 2, 3], rtol=1e-8)
    np.testing.assert_allclose(cr.vmap(cr.grad(f))(a), 1 / (3 * a ** (2 / 3)), rtol=1e-7)
    fast, slope = cr.jit(f), cr.jit(cr.grad(f))
    for each in a:
        assert fast(each) == pytest.approx(np.cbrt(each), rel=1e-8)
        assert slope(each) == pytest.approx(1 / (3 * each ** (2 / 3)), rel=1e-7)
    np.testing.assert_allclose(cr.jit(cr.vmap(cr.grad(f)))(a), 1 / (3 * a ** (2 / 3)), rtol=1e-7)
    np.testing.assert_allclose(cr.vmap(cr.jit(cr.grad(cr.grad(f))))(a), -2 / (9 * a ** (5 / 3)), rtol=1e-6)


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "df-sane", "krylov"])
def test_root_against_jax(method: str) -> None:
    def equations(x: Any, t: Any, xp: Any = np) -> Any:
        return A @ x + xp.tanh(x) - t

    x = optimize.root(lambda x: equations(x, T), np.zeros(3), method=method, tol=1e-12).x
    dx = -jax.jacobian(lambda x: equations(x, T, jnp))(x)
    expected = np.linalg.solve(dx, -np.eye(3))
    f = lambda t: optimize.root(equations, np.zeros(3), args=(t,), method=method, tol=1e-12)
    np.testing.assert_allclose(f(T).x, x, rtol=1e-10)
    np.testing.assert_allclose(cr.jacobian(lambda t: f(t).x)(T), expected, rtol=1e-7)
    np.testing.assert_allclose(cr.jacobian(lambda t: f(t).x, mode="forward")(T), expected, rtol=1e-7)
    np.testing.assert_allclose(cr.jacobian(lambda t: f(t).fun)(T), np.zeros((3, 3)), atol=1e-8)


def test_second_order_of_several_equations() -> None:
    def solution(t: Any, xp: Any, steps: int = 6) -> Any:
        x = xp.zeros(3)
        for _ in range(steps):  # Newton's steps, differentiated through
            x = x - xp.linalg.solve(A + xp.diag(1 - xp.tanh(x) ** 2), A @ x + xp.tanh(x) - t)
        return x

    expected = jax.jit(jax.hessian(lambda t: jnp.sum(jnp.sin(solution(t, jnp)))))(T)
    f = lambda t: np.sum(np.sin(optimize.root(lambda x: A @ x + np.tanh(x) - t, np.zeros(3), tol=1e-13).x))
    np.testing.assert_allclose(cr.hessian(f)(T), expected, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(cr.jacobian(cr.grad(f), mode="reverse")(T), expected, rtol=1e-7, atol=1e-10)


METHODS = ["CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "dogleg", "trust-ncg", "trust-krylov", "trust-exact",
           "trust-constr", "Nelder-Mead", "Powell", "COBYLA"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_minimize(method: str) -> None:
    given = {"hess": lambda x, t: A} if method in ("dogleg", "trust-ncg", "trust-krylov", "trust-exact") else {}
    tol = 1e-9 if method in ("Nelder-Mead", "COBYLA", "Powell") else 1e-10
    tol = 1e-6 if method in ("BFGS", "trust-ncg", "trust-krylov") else tol
    f = lambda t: optimize.minimize(energy, np.zeros(3), args=(t,), method=method, tol=tol, **given)
    x = scipy.optimize.root(lambda x: A @ x - T + 0.3 * np.exp(0.3 * x), np.zeros(3)).x
    inverse = np.linalg.inv(A + np.diag(0.09 * np.exp(0.3 * x)))
    np.testing.assert_allclose(cr.vjp(lambda t: f(t).x, T)[0], x, atol=1e-4)
    np.testing.assert_allclose(cr.jacobian(lambda t: f(t).x)(T), inverse, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(cr.grad(lambda t: f(t).fun)(T), -x, rtol=1e-3)  # the envelope theorem


def test_fields_of_a_minimum() -> None:
    def f(t: Any) -> Any:
        found = optimize.minimize(energy, np.zeros(3), args=(t,))
        assert found.success
        assert found.nit > 0
        assert found.message == "Optimization terminated successfully."
        return found.x, found.jac, np.asarray(found.nfev, like=t)

    with pytest.raises(UnsupportedError, match=r"'hess_inv' of a result .* not there, at test_scipy_optimize.py"):
        cr.grad(lambda t: np.sum(optimize.minimize(energy, np.zeros(3), args=(t,)).hess_inv))(T)
    (_, slope, count), pull = cr.vjp(f, T)
    assert count > 2
    np.testing.assert_allclose(slope, 0, atol=1e-5)
    np.testing.assert_allclose(pull((np.zeros(3), np.ones(3), 0))[0], 0, atol=1e-12)  # it stays zero
    g = cr.jit(lambda t: optimize.minimize(energy, np.zeros(3), args=(t,)).nfev)
    assert g(T) == count
    assert g(10 * T) != count


def test_bounds() -> None:
    f = lambda t: optimize.minimize(energy, np.zeros(3), args=(t,), bounds=BOX).x
    x = cr.vjp(f, 5 * np.abs(T))[0]
    assert x[0] == 1.0
    free = np.ix_([1, 2], [1, 2])
    hessian = (A + np.diag(0.09 * np.exp(0.3 * x)))[free]
    expected = np.zeros((3, 3))
    expected[free] = np.linalg.inv(hessian)
    np.testing.assert_allclose(cr.jacobian(f)(5 * np.abs(T)), expected, atol=1e-8)


def test_traced_bounds_move_the_minimum() -> None:
    def f(b: Any, method: str) -> Any:
        return optimize.minimize(
            lambda x: np.sum((x - 3) ** 2), [0.5, 0.5], bounds=[(None, b), (0, 9)], method=method
        ).x

    for method in ("L-BFGS-B", "trust-constr", "SLSQP", "TNC"):
        np.testing.assert_allclose(cr.jacobian(f)(1.0, method), [1.0, 0.0], atol=1e-8)


CONSTRAINTS: dict[str, Any] = {
    "dictionary": lambda t: {"type": "eq", "fun": lambda x: np.sum(x) - t[0]},
    "args": lambda t: ({"type": "eq", "fun": lambda x, s: np.sum(x) - s, "args": (t[0],)},),
    "inequality": lambda t: [{"type": "ineq", "fun": lambda x: t[0] - np.sum(x)}],
    "inactive too": lambda t: [{"type": "ineq", "fun": lambda x: [t[0] - np.sum(x), 100 - x[1]]}],
    "nonlinear": lambda t: scipy.optimize.NonlinearConstraint(lambda x: np.sum(x) - t[0], 0, 0),
    "between": lambda t: scipy.optimize.NonlinearConstraint(lambda x: np.sum(x) - t[0], -50, 0),
}


@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")
@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_constraints(name: str, method: str) -> None:
    """The least of |x - p|² with Σx = s is p + (s - Σp) / 3."""
    p, s = np.array([1.0, 2.0, 4.0]), 5.0
    given = CONSTRAINTS[name]

    def f(s: Any, p: Any) -> Any:
        options = {"gtol": 1e-11, "xtol": 1e-12} if method == "trust-constr" else {"ftol": 1e-13}
        return optimize.minimize(lambda x: np.sum((x - p) ** 2), np.zeros(3), method=method, constraints=given([s]),
                                 options=options).x  # fmt: skip

    by_s, by_p = cr.jacobian(f, (0, 1))(s, p)
    np.testing.assert_allclose(by_s, np.full(3, 1 / 3), atol=1e-6)
    np.testing.assert_allclose(by_p, np.eye(3) - 1 / 3, atol=1e-6)


def test_linear_constraint_and_bounds_together() -> None:
    limit = scipy.optimize.LinearConstraint(np.ones((1, 3)), -np.inf, 5.0)
    f = lambda p: optimize.minimize(lambda x: np.sum((x - p) ** 2), np.zeros(3), constraints=limit,
                                    bounds=[(None, 1), (None, None), (None, None)]).x  # fmt: skip
    x = cr.vjp(f, np.array([3.0, 4.0, 4.0]))[0]
    np.testing.assert_allclose(x, [1, 2, 2], atol=1e-6)
    np.testing.assert_allclose(cr.jacobian(f)(np.array([3.0, 4.0, 4.0])), [[0, 0, 0], [0, 0.5, -0.5], [0, -0.5, 0.5]],
                               atol=1e-6)  # fmt: skip


def test_second_order_through_a_constrained_minimum() -> None:
    """On the circle of radius r, x·p is least at -r p / |p|."""
    p = np.array([1.0, 2.0])
    f = lambda r, p: optimize.minimize(lambda x: x @ p, [-1.0, -1.0], options={"ftol": 1e-14},
                                       constraints={"type": "eq", "fun": lambda x: x @ x - r**2}).fun  # fmt: skip
    assert cr.grad(f)(2.0, p) == pytest.approx(-np.sqrt(5), rel=1e-6)
    expected = -2 * (np.eye(2) - np.outer(p, p) / 5) / np.sqrt(5)
    np.testing.assert_allclose(cr.hessian(f, 1)(2.0, p), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "given", [{}, {"bracket": (0, 1)}, {"bounds": (0, 2)}, {"bounds": (0, 2), "method": "bounded"}]
)
def test_minimize_scalar(given: dict[str, Any]) -> None:
    f = lambda a: optimize.minimize_scalar(lambda x: (x - a) ** 2 * (1 + x**2 * 0), **given)
    assert cr.grad(lambda a: f(a).x)(1.5) == pytest.approx(1.0, abs=1e-5)
    g = lambda a: optimize.minimize_scalar(lambda x, a: np.exp(x) - a * x, args=(a,), **given).x  # log(a)
    assert cr.grad(g)(3.0) == pytest.approx(1 / 3, abs=1e-5)
    assert cr.grad(cr.grad(g))(3.0) == pytest.approx(-1 / 9, abs=1e-5)


def test_minimize_scalar_at_a_bound() -> None:
    f = lambda b: optimize.minimize_scalar(lambda x: (x - 3) ** 2, bounds=(0.0, b), options={"xatol": 1e-10}).x
    assert cr.grad(f)(2.0) == 1.0


X = np.linspace(0.0, 3.0, 12)
Y = 2.5 * np.exp(-1.3 * X) + 0.5 + 0.05 * np.cos(7 * X)


def model(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


def slopes(x: Any, a: Any, b: Any, c: Any) -> np.ndarray:
    return np.stack([np.exp(-b * x), -a * x * np.exp(-b * x), np.ones_like(x)], axis=-1)


def differences(f: Callable[[Any], Any], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    return np.stack([(f(x + step * e) - f(x - step * e)) / (2 * step) for e in np.eye(len(x))], axis=-1)


def by_jax(cost: Callable[[Any, Any], Any], p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The derivative of the p at which a cost is least, by the implicit function theorem in JAX."""
    second, mixed = jax.jit(jax.jacfwd(jax.grad(cost), (0, 1)))(p, y)
    return -np.linalg.solve(second, mixed)


LOSSES: list[tuple[dict[str, Any], Callable[[Any], Any]]] = [
    ({}, lambda z: z),
    ({"method": "lm"}, lambda z: z),
    ({"method": "dogbox"}, lambda z: z),
    ({"loss": "soft_l1", "f_scale": 0.1}, lambda z: 2 * (jnp.sqrt(1 + z) - 1)),
    ({"loss": "huber", "f_scale": 0.03}, lambda z: jnp.where(z <= 1, z, 2 * jnp.sqrt(z) - 1)),
    ({"loss": "cauchy"}, jnp.log1p),
    ({"loss": "arctan"}, jnp.arctan),
]


@pytest.mark.parametrize(("options", "rho"), LOSSES)
def test_least_squares(options: dict[str, Any], rho: Callable[[Any], Any]) -> None:
    tight = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, **options}
    f = lambda y, home: (
        home.least_squares(lambda p: model(X, *[p[k] for k in range(3)]) - y, [2.0, 1.0, 0.0], **tight).x
    )
    p = cr.vjp(lambda y: f(y, optimize), Y)[0]
    np.testing.assert_allclose(p, f(Y, scipy.optimize), rtol=1e-6)
    scale = options.get("f_scale", 1.0)
    expected = by_jax(lambda p, y: jnp.sum(rho(((p[0] * jnp.exp(-p[1] * X) + p[2] - y) / scale) ** 2)), p, Y)
    np.testing.assert_allclose(cr.jacobian(lambda y: f(y, optimize))(Y), expected, rtol=1e-8, atol=1e-12)


def test_least_squares_in_bounds() -> None:
    f = lambda y: optimize.least_squares(lambda p: p - y, [0.5, 0.5], bounds=(0.0, 1.0))
    partials = cr.jacobian(lambda y: f(y).x)(np.array([3.0, 0.25]))
    np.testing.assert_allclose(partials, [[0, 0], [0, 1]], atol=1e-6)
    assert cr.grad(lambda y: f(y).cost)(np.array([3.0, 0.25]))[0] == pytest.approx(2.0)


@pytest.mark.parametrize("options", [{}, {"sigma": 0.1 + 0.1 * X}, {"sigma": 0.1 + 0.1 * X, "absolute_sigma": True},
                                     {"bounds": (0, [5.0, 5.0, 5.0])}, {"p0": [2.0, 1.0, 0.0], "method": "trf"},
                                     {"sigma": 0.04 * np.eye(12) + 0.01}])  # fmt: skip
def test_curve_fit(options: dict[str, Any]) -> None:
    f = lambda y, home: home.curve_fit(model, X, y, **options)
    (popt, pcov), _ = cr.vjp(lambda y: f(y, optimize), Y)
    expected = f(Y, scipy.optimize)
    np.testing.assert_allclose(popt, expected[0], rtol=1e-5)
    np.testing.assert_allclose(pcov, expected[1], rtol=1e-4, atol=1e-7)
    if "bounds" not in options and np.ndim(options.get("sigma", 1.0)) < 2:
        cost = lambda p, y: jnp.sum(((p[0] * jnp.exp(-p[1] * X) + p[2] - y) / options.get("sigma", 1.0)) ** 2)
        np.testing.assert_allclose(cr.jacobian(lambda y: f(y, optimize)[0])(Y), by_jax(cost, popt, Y), rtol=1e-7,
                                   atol=1e-12)  # fmt: skip
    partials = cr.jacobian(lambda y: f(y, optimize))(Y)
    tight = {"ftol": 1e-14, "xtol": 1e-14, "jac": slopes, **options}
    exact = differences(lambda y: np.vstack(scipy.optimize.curve_fit(model, X, y, **tight)), Y, 1e-4)
    np.testing.assert_allclose(np.concatenate([partials[0][None], partials[1]]), exact, atol=2e-4)


def test_curve_fit_in_the_abscissa_and_the_weights() -> None:
    f = lambda x, s: optimize.curve_fit(
        lambda x, a, b: a + b * x, x, Y, sigma=s, jac=lambda x, a, b: np.stack([x**0, x], -1)
    )[0]
    by_x, by_s = cr.jacobian(f, (0, 1))(X, 1 + X)
    np.testing.assert_allclose(by_x, differences(lambda x: f(x, 1 + X), X), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(by_s, differences(lambda s: f(X, s), 1 + X), rtol=1e-5, atol=1e-7)


def test_linear_least_squares_in_a_box() -> None:
    tall, b = np.vander(X[:6], 3), np.array([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
    for name, box, f in (
        ("nnls", (0.0, np.inf), lambda home, a, b: home.nnls(a, b)[0]),
        ("lsq_linear", (-1.0, 0.4), lambda home, a, b: home.lsq_linear(a, b, (-1.0, 0.4), tol=1e-13).x),
        ("bvls", (-1.0, 0.4), lambda home, a, b: home.lsq_linear(a, b, (-1.0, 0.4), method="bvls").x),
    ):
        x = f(scipy.optimize, tall, b)
        np.testing.assert_allclose(cr.vjp(lambda b, f=f: f(optimize, tall, b), b)[0], x, rtol=1e-10)
        free = (x > box[0] + 1e-6) & (x < box[1] - 1e-6)
        assert 0 < free.sum() < 3, name
        by_a, by_b = cr.jacobian(lambda a, b, f=f: f(optimize, a, b), (0, 1))(tall, b)
        expected = np.zeros((3, 6))
        expected[free] = np.linalg.pinv(tall[:, free])
        np.testing.assert_allclose(by_b, expected, atol=1e-6)
        residual = b - tall @ x
        inverse = np.zeros((3, 3))
        inverse[np.ix_(free, free)] = np.linalg.inv(tall[:, free].T @ tall[:, free])
        exact = np.einsum("ik,j->ijk", inverse, residual) - np.einsum("ij,k->ijk", expected, x)
        np.testing.assert_allclose(by_a, exact, atol=1e-5)
    assert cr.grad(lambda b: optimize.nnls(tall, b)[1])(b).shape == (6,)


def test_linear_sum_assignment() -> None:
    cost = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])

    def f(cost: Any) -> Any:
        rows, columns = optimize.linear_sum_assignment(cost)
        return cost[rows, columns].sum()

    assert f(cost) == 5
    np.testing.assert_array_equal(cr.grad(f)(cost), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert cr.jit(f)(-cost) == scipy.optimize.linear_sum_assignment(-cost)[1] @ [0, 0, 0] + f(-cost)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "Nelder-Mead", None])
def test_structures_of_unknowns(method: str | None) -> None:
    x0 = {"a": np.zeros(2), "b": (0, np.float32(0.0))}

    def distance(p: Any, t: Any) -> Any:
        return np.sum((p["a"] - t) ** 2) + (p["b"][0] - t[0]) ** 2 + (p["b"][1] - 3) ** 2

    found = optimize.minimize_pytree(distance, x0, (T[:2],), method=method, tol=1e-8)
    assert found.success
    np.testing.assert_allclose(found.x["a"], T[:2], atol=1e-4)
    assert found.x["b"][0] == pytest.approx(T[0], abs=1e-4)
    assert found.x["b"][1].dtype == np.float32
    by_t = cr.jacobian(lambda t: optimize.minimize_pytree(distance, x0, (t,), method=method).x)(T[:2])
    np.testing.assert_allclose(by_t["a"], np.eye(2), atol=1e-4)
    np.testing.assert_allclose(by_t["b"][0], [1, 0], atol=1e-4)


def test_structures_as_vectors() -> None:
    given = {"w": np.arange(4.0).reshape(2, 2), "b": (1, np.float32(2.5)), "n": None}
    flat, unravel = cr.ravel_pytree(given)
    np.testing.assert_array_equal(flat, [1, 2.5, 0, 1, 2, 3])
    again = unravel(flat)
    np.testing.assert_array_equal(again["w"], given["w"])
    assert (again["b"], again["n"]) == ((1.0, 2.5), None)
    assert again["b"][1].dtype == np.float32
    slope = cr.grad(lambda flat: np.sum(unravel(flat)["w"] ** 2) * unravel(flat)["b"][0])(flat)
    np.testing.assert_array_equal(slope, [14, 0, 0, 2, 4, 6])
    back = cr.grad(lambda tree: np.sum(cr.ravel_pytree(tree)[0] ** 2))({"a": 3.0, "b": np.ones(2)})
    assert back["a"] == 6.0
    assert cr.ravel_pytree(())[0].shape == (0,)
    assert cr.ravel_pytree([np.ones(2, "f"), np.float32(1)])[0].dtype == np.float32
    with pytest.raises(ShapeError, match=r"6 numbers is needed, got shape \(5,\)"):
        unravel(np.zeros(5))
    with pytest.raises(DtypeError, match=r"\['a'\] is no number"):
        cr.ravel_pytree({"a": np.array("x")})
    found = scipy.optimize.minimize(cr.value_and_grad(lambda x: np.sum((unravel(x)["w"] - 1) ** 2)), flat, jac=True)
    np.testing.assert_allclose(unravel(found.x)["w"], np.ones((2, 2)))


# -- plain SciPy with derivatives of ours ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "dogleg", "trust-ncg",
                                    "trust-krylov", "trust-exact", "trust-constr"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of trlib
@pytest.mark.parametrize("start", [[0, 1, 0], np.zeros(3), [0.0, 0.5, 0.0]])
def test_derivatives_for_plain_scipy(method: str, start: Any) -> None:
    f = lambda x: 0.5 * x @ A @ x - T @ x
    more: dict[str, Any] = {}
    if method in ("Newton-CG", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr"):
        more["hess"] = cr.hessian(f)
    found = scipy.optimize.minimize(cr.value_and_grad(f), start, jac=True, method=method, tol=1e-10, **more)
    np.testing.assert_allclose(found.x, np.linalg.solve(A, T), rtol=1e-4)
    if method in ("Newton-CG", "trust-ncg", "trust-krylov"):
        by_product = scipy.optimize.minimize(f, start, jac=cr.jit(cr.grad(f)), method=method, tol=1e-10,
                                             hessp=lambda x, p: cr.hvp(f, (x,), (p,)))  # fmt: skip
        np.testing.assert_allclose(by_product.x, np.linalg.solve(A, T), rtol=1e-4)


def test_jacobians_for_plain_scipy() -> None:
    f = lambda x: A @ x + np.tanh(x) - T
    expected = scipy.optimize.root(f, np.zeros(3)).x
    for jac in (cr.jacobian(f), cr.jit(cr.jacobian(f))):
        np.testing.assert_allclose(scipy.optimize.root(f, [0.0, 0, 0], jac=jac).x, expected, rtol=1e-8)
        np.testing.assert_allclose(scipy.optimize.least_squares(f, [0, 0, 0], jac=jac).x, expected, rtol=1e-6)
        np.testing.assert_allclose(scipy.optimize.fsolve(f, np.zeros(3), fprime=jac), expected, rtol=1e-8)
    slope = cr.grad(lambda x: x**3 - 8)
    assert scipy.optimize.newton(lambda x: x**3 - 8, 1, fprime=slope, fprime2=cr.grad(slope)) == pytest.approx(2)


# -- how twins behave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", optimize.__all__)
def test_signatures(name: str) -> None:
    if name in ("linear_sum_assignment", "minimize_pytree"):  # SciPy's tells none; there is none
        return
    ours = inspect.signature(getattr(optimize, name)).parameters.values()
    theirs = inspect.signature(getattr(scipy.optimize, name)).parameters.values()
    theirs = [p for p in theirs if (name, p.name) != ("nnls", "atol")]  # deprecated
    assert [p.name for p in ours] == [p.name for p in theirs]
    assert all(p.default == q.default for p, q in zip(ours, theirs, strict=True))


def test_plain_arguments_go_to_scipy() -> None:
    found = optimize.minimize(lambda x: np.sum((x - 1) ** 2), [0.0, 0.0])
    assert type(found.nit) is int
    assert type(found.x) is np.ndarray
    assert optimize.brentq(lambda x: x - 1, 0, 2) == 1.0
    assert optimize.brentq(np.sin, 1, 4) == pytest.approx(np.pi)
    assert optimize.differential_evolution is scipy.optimize.differential_evolution


def test_one_search_for_each_value() -> None:
    """The solver runs once for a value and its derivatives, and the user's function is traced, not called by it."""
    calls = []

    def f(x: Any, a: Any) -> Any:
        calls.append(1)
        return x**3 - a

    cr.jacobian(lambda a: optimize.brentq(f, 0, 5, args=(a,)))(8.0)
    assert len(calls) <= 4


def test_first_guess_has_no_derivative() -> None:
    f = lambda x0: optimize.root(lambda x: x**2 - 4 + 0 * x0, x0).x
    assert cr.grad(lambda x0: f(x0)[()])(1.0) == 0.0
    assert cr.jit(f)(1.0) == pytest.approx(2.0)
    assert cr.jit(f)(-1.0) == pytest.approx(-2.0)


def test_no_success_no_derivative() -> None:
    f = lambda a: optimize.minimize(lambda x: np.sum((x - a) ** 4), [5.0], options={"maxiter": 1})
    assert not f(1.0).success
    assert np.isfinite(cr.jit(lambda a: f(a).x)(1.0)).all()
    for derivative in (cr.grad(lambda a: f(a).x[0]), cr.jit(cr.grad(lambda a: f(a).x[0]))):
        with pytest.raises(
            NotDifferentiableError,
            match=r"minimize: the search ended without a solution.*, at test_scipy_optimize.py:\d+",
        ):
            derivative(1.0)
    with pytest.raises(RuntimeError, match="converge"):
        cr.grad(lambda a: optimize.newton(lambda x: x**2 + a, 1.0, maxiter=3))(1.0)
    with pytest.raises(ValueError, match="different signs"):
        cr.grad(lambda a: optimize.brentq(lambda x: x**2 + a, 0.0, 1.0))(1.0)


def test_singular() -> None:
    with pytest.raises(LinAlgError, match=r"[Ss]ingular.*test_scipy_optimize.py"):
        cr.grad(lambda a: optimize.minimize(lambda x: np.cosh(x[0] - x[1] - a), [0.0, 0.0]).x[0])(1.0)
    with pytest.raises(LinAlgError, match="[Ss]ingular"):
        cr.grad(lambda a: optimize.root(lambda x: a * x**2, 0.0).x[()])(1.0)


def test_errors_name_the_place() -> None:
    with pytest.raises(ShapeError, match=r"root: 2 equations for 3 unknowns, at test_scipy_optimize.py:\d+"):
        cr.grad(lambda a: optimize.root(lambda x: x[:2] - a, np.zeros(3)).x[0])(1.0)
    with pytest.raises(UnsupportedError, match="loss"):
        cr.grad(lambda a: optimize.least_squares(lambda x: x - a, [0.0], loss=lambda z: z).x[0])(1.0)
    with pytest.raises(ShapeError, match="must return one number"):
        cr.grad(lambda a: optimize.minimize(lambda x: x - a, np.zeros(2)).x[0])(1.0)


def test_structures() -> None:
    def f(a: Any, b: Any) -> Any:
        found = cr.implicit_root(lambda y: {"r": y["x"] ** 3 - a * b, "s": y["z"] - b * y["x"]},
                                 {"x": 2.0, "z": np.array([4.0])})  # fmt: skip
        return found["z"][0]

    np.testing.assert_allclose(cr.grad(f, (0, 1))(4.0, 2.0), [1 / 3, 8 / 3])
    assert cr.implicit_root(lambda y: y**2 - 4.0, 2.0) == 2.0


def test_functions_that_look_at_their_values() -> None:
    def kinked(x: Any, a: Any) -> Any:
        if x > 1:
            return x**3 - a
        return x - 1

    def series(x: Any, a: Any) -> Any:
        total, term, k = 0.0, x * 1.0, 1
        while abs(term) > 1e-16:
            total, term, k = total + term, term * x / (k + 1), k + 1
        return total - a  # exp(x) - 1 - a

    assert cr.grad(lambda a: optimize.brentq(kinked, 0.0, 5.0, args=(a,)))(8.0) == pytest.approx(1 / 12)
    for f in (
        lambda a: optimize.brentq(series, 0.0, 5.0, args=(a,)),
        lambda a: optimize.newton(series, 1.0, args=(a,), fprime=cr.grad(series)),
        lambda a: optimize.root(lambda x: [series(x[0], a)], [1.0]).x[0],
        lambda a: cr.implicit_root(series, lambda a: np.log1p(a), a),
        lambda a: cr.implicit_root(lambda x: series(x, a), np.log1p(cr.stop_gradient(a))),
        lambda a: optimize.minimize(lambda x: series(x[0], a) ** 2, [1.0], tol=1e-9).x[0],
    ):
        assert cr.grad(f)(2.0) == pytest.approx(1 / 3, rel=1e-5)
        assert cr.grad(cr.grad(f))(2.0) == pytest.approx(-1 / 9, rel=1e-5)
        assert cr.jvp(f, (2.0,), (1.0,))[1] == pytest.approx(1 / 3, rel=1e-5)
    f = lambda a: optimize.brentq(series, 0.0, 5.0, args=(a,))
    with pytest.raises(UnsupportedError, match="cannot be part of a batch"):
        cr.vmap(f)(np.array([1.0, 2.0]))


def test_nested_searches() -> None:
    """A root inside a function whose minimum is sought: with x = cbrt(z), (x - a)² is least at z = a³."""
    f = lambda a: optimize.minimize(
        lambda z: (optimize.brentq(lambda x: x**3 - z[0], -9, 9) - a) ** 2, [2.0], tol=1e-12
    ).x[0]
    assert cr.grad(f)(1.5) == pytest.approx(3 * 1.5**2, rel=1e-5)


def test_complex_roots() -> None:
    f = lambda a: cr.implicit_root(lambda z: z**2 - a, np.sqrt(a.value if hasattr(a, "value") else a))
    assert cr.jacobian(f)(3 + 4j) == pytest.approx(0.5 / (2 + 1j))
