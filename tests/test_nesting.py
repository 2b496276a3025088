"""Derivatives of derivatives: to order 5, in every pairing of modes, and with values of outer functions inside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr

MODES = ("forward", "reverse", "eliminate")


def by_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    return cr.grad(f)


def by_jvp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.jvp(f, (x,), (1.0,))[1]


def by_vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.vjp(f, x)[1](1.0)[0]


def by_linearize(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.linearize(f, x)[1](1.0)


def by_elimination(f: Callable[..., Any]) -> Callable[..., Any]:
    return cr.jacobian(f, mode="eliminate")


def by_value_and_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.value_and_grad(f)(x)[1]


WAYS = [by_grad, by_jvp, by_vjp, by_linearize, by_elimination, by_value_and_grad]


def iterated(ways: Any, f: Callable[..., Any]) -> Callable[..., Any]:
    for way in ways:
        f = way(f)
    return f


# -- orders ----------------------------------------------------------------------------------------------

FIVE: dict[str, tuple[Callable[..., Any], float, list[float]]] = {
    "sin": (np.sin, 0.7, [math.cos(0.7), -math.sin(0.7), -math.cos(0.7), math.sin(0.7), math.cos(0.7)]),
    "exp": (np.exp, 0.3, [math.exp(0.3)] * 5),
    "power": (lambda x: x**5, 1.5, [5 * 1.5**4, 20 * 1.5**3, 60 * 1.5**2, 120 * 1.5, 120.0]),
    "power of 3 and product": (lambda x: x**3 * x, 2.0, [32.0, 48.0, 48.0, 24.0, 0.0]),
    "real power": (lambda x: x**2.5, 2.0, [math.prod(2.5 - j for j in range(k)) * 2 ** (2.5 - k) for k in range(1, 6)]),
    "reciprocal": (lambda x: 1 / (1 + x), 0.5, [(-1) ** k * math.factorial(k) / 1.5 ** (k + 1) for k in range(1, 6)]),
    "log": (np.log, 2.0, [(-1) ** (k - 1) * math.factorial(k - 1) / 2**k for k in range(1, 6)]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FIVE)
def test_orders_to_five(name: str, way: Any) -> None:
    f, x, expected = FIVE[name]
    found = [iterated([way] * order, f)(x) for order in range(1, 6)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(WAYS, WAYS)))
def test_pairings_of_modes(outer: Any, inner: Any) -> None:
    found = iterated([inner, outer], lambda x: np.exp(np.sin(x) * x))(0.8)
    x, s, c = 0.8, math.sin(0.8), math.cos(0.8)
    slope = c * x + s
    assert found == pytest.approx(math.exp(s * x) * (slope**2 + 2 * c - s * x), rel=1e-13)


def test_triples_of_modes() -> None:
    for ways in itertools.product(WAYS[:5], repeat=3):
        assert iterated(ways, lambda x: np.tanh(x) * x)(0.4) == pytest.approx(THIRD, rel=1e-12)


def _third(x: float) -> float:
    t = math.tanh(x)
    one = 1 - t * t
    return 3 * (-2 * t * one) + x * (6 * t * t - 2) * one


THIRD = _third(0.4)


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(MODES, MODES)))
def test_jacobian_of_jacobian(outer: str, inner: str) -> None:
    def f(x):
        return np.stack([x[0] ** 2 * x[1], np.sin(x[2]) * x[0], np.sum(x**3)]) @ np.ones((3, 2))

    x = np.array([0.5, -1.0, 2.0])
    found = cr.jacobian(cr.jacobian(f, mode=inner), mode=outer)(x)
    row = np.zeros((3, 3))
    row[0, 0] = 2 * x[1]
    row[0, 1] = row[1, 0] = 2 * x[0]
    row[0, 2] = row[2, 0] = math.cos(2.0)
    row[2, 2] = -math.sin(2.0) * x[0]
    row += np.diag(6 * x)
    np.testing.assert_allclose(found, np.stack([row, row]), rtol=1e-14, atol=1e-15)


def test_third_derivative_of_a_vector_function() -> None:
    found = cr.jacobian(cr.hessian(lambda x: np.sum(x**4) + np.prod(x)))(np.array([1.0, 2.0, 3.0]))
    expected = np.zeros((3, 3, 3))
    for k in range(3):
        expected[k, k, k] = 24.0 * (k + 1)
    for indices in itertools.permutations(range(3)):
        expected[indices] = 1.0
    np.testing.assert_allclose(found, expected, rtol=1e-14)


# -- values of outer functions -----------------------------------------------------------------------------


def test_perturbations_are_not_confused() -> None:
    """The classics: Siskind & Pearlmutter, Confusion of tagged perturbations (2005)."""
    assert cr.grad(lambda x: x * cr.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert cr.grad(lambda x: x * cr.grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert by_jvp(lambda x: x * by_jvp(lambda y: x + y)(1.0))(1.0) == 1.0
    for outer, inner in itertools.product(WAYS, WAYS):
        found = outer(lambda x, inner=inner: x * inner(lambda y: x * y * y)(2 * x))(3.0)
        assert found == pytest.approx(12 * 9)  # x · d(x y²)/dy at y = 2x is 4 x³


def test_shifted_function() -> None:
    """Manzyuk et al., Perturbation confusion in forward automatic differentiation of higher-order functions (2019)."""

    def shift(u):
        return lambda f: lambda x: f(x + u)

    for outer, inner in itertools.product(WAYS, WAYS):
        found = outer(lambda u, inner=inner: inner(shift(u)(np.sin))(0.5))(0.25)
        assert found == pytest.approx(-math.sin(0.75), rel=1e-14)


def test_inner_point_depends_on_outer() -> None:
    def f(x):
        return cr.grad(np.sin)(x * x) + cr.grad(lambda y: y**3)(x)

    assert cr.grad(f)(0.7) == pytest.approx(-math.sin(0.49) * 1.4 + 6 * 0.7, rel=1e-14)


def test_outer_values_in_conditions() -> None:
    def f(x):
        def g(y):
            if x > y:  # both traced, in different functions
                return x * y * y
            return y

        n = 0
        while n * x < 3:
            n += 1
        return cr.grad(g)(x / 2) * n

    # x = 1.1: g'(x/2) = x², n = 3
    assert cr.grad(f)(1.1) == pytest.approx(3 * 2 * 1.1, rel=1e-14)
    assert cr.grad(cr.grad(f))(1.1) == pytest.approx(6.0, rel=1e-14)


def test_inner_function_closes_over_arrays() -> None:
    data = np.array([1.0, 2.0, 3.0])

    def f(w):
        scaled = w * data

        def g(v):
            return np.sum(scaled * v**2) + np.sum(data)

        return np.sum(cr.grad(g)(scaled) * data)

    w = np.array([0.5, 1.0, -1.0])
    np.testing.assert_allclose(cr.grad(f)(w), 4 * w * data**3, rtol=1e-14)
    np.testing.assert_allclose(cr.hessian(f)(w), np.diag(4 * data**3), rtol=1e-14)


def test_inner_structures_hold_outer_values() -> None:
    def f(x):
        gradient = cr.grad(lambda p: p["a"] * p["b"] ** 2)({"a": x, "b": 3 * x})
        return gradient["a"] + gradient["b"]

    assert cr.grad(f)(2.0) == pytest.approx(18 * 2 + 12 * 2)  # 9x² + 6x²


def test_constant_inner_derivative() -> None:
    assert cr.grad(lambda x: x * cr.grad(lambda y: 3 * y)(1.0))(5.0) == 3.0
    assert cr.grad(lambda x: cr.grad(lambda y: 3 * y)(x))(5.0) == 0.0
    assert cr.grad(lambda x: cr.grad(lambda y: 1.0 * x)(x))(5.0) == 0.0


def test_linearize_inside_grad() -> None:
    def f(x):
        _, push = cr.linearize(lambda y: np.sin(y) * x, x)
        return push(1.0) + push(x)

    # (1 + x) cos(x) x
    expected = math.cos(0.3) * 0.3 + 1.3 * (math.cos(0.3) - 0.3 * math.sin(0.3))
    assert cr.grad(f)(0.3) == pytest.approx(expected, rel=1e-14)


def test_pullback_called_with_outer_values() -> None:
    def f(x):
        y, pullback = cr.vjp(lambda a, b: a * b, x, 2 * x)
        first, second = pullback(y)
        return first * second

    assert cr.grad(f)(1.5) == pytest.approx(48 * 1.5**5)  # 4x³ · 2x³


def test_hessian_of_a_function_that_uses_grad() -> None:
    def f(x):
        return np.sum(cr.grad(lambda y: np.sum(y**3))(x) * x)  # 3 Σ x³

    x = np.array([1.0, -2.0])
    np.testing.assert_allclose(cr.hessian(f)(x), np.diag(18 * x), rtol=1e-14)
    np.testing.assert_allclose(cr.hvp(f, (x,), (np.ones(2),)), 18 * x, rtol=1e-14)
    for mode in MODES:
        np.testing.assert_allclose(cr.jacobian(cr.grad(f), mode=mode)(x), np.diag(18 * x), rtol=1e-14)


# -- solvers ---------------------------------------------------------------------------------------------


def newton(f: Callable[..., Any], x: Any) -> Any:
    for _ in range(30):
        step = f(x) / cr.grad(f)(x)
        x = x - step
        if np.abs(step) < 1e-12:
            return x
    raise AssertionError("no convergence")


@pytest.mark.parametrize("way", WAYS)
def test_through_newton(way: Any) -> None:
    """The solver takes inner derivatives; the outer one runs through its steps."""

    def root(a):
        return newton(lambda x: x**3 - a, a)

    assert root(2.0) == pytest.approx(2 ** (1 / 3), rel=1e-14)
    assert way(root)(2.0) == pytest.approx(2 ** (-2 / 3) / 3, rel=1e-12)
    assert way(way(root))(2.0) == pytest.approx(-2 / 9 * 2 ** (-5 / 3), rel=1e-10)


def test_through_gradient_descent() -> None:
    """Steps of an optimiser, differentiated with respect to its rate."""
    a = np.array([[2.0, 0.5], [0.5, 1.0]])

    def final_loss(rate):
        x = np.array([1.0, -1.0])
        for _ in range(3):
            x = x - rate * cr.grad(lambda v: 0.5 * v @ a @ v)(x)
        return 0.5 * x @ a @ x

    def closed(rate):
        step = np.eye(2) - rate * a
        x = step @ step @ step @ np.array([1.0, -1.0])
        return 0.5 * x @ a @ x

    assert final_loss(0.1) == pytest.approx(closed(0.1), rel=1e-14)
    assert cr.grad(final_loss)(0.1) == pytest.approx(cr.grad(closed)(0.1), rel=1e-13)
    assert cr.grad(cr.grad(final_loss))(0.1) == pytest.approx(cr.grad(cr.grad(closed))(0.1), rel=1e-12)


def test_implicit_function_by_a_custom_rule() -> None:
    """A rule that takes derivatives itself, inside other derivatives."""

    def equation(x, a):
        return x**3 + x - a

    @cr.custom_jvp
    def solve(a):
        x = 1.0
        for _ in range(50):
            x = x - equation(x, a) / (3 * x * x + 1)
        return x

    @solve.defjvp
    def rule(primals, tangents):
        x = solve(*primals)
        by_x, by_a = cr.grad(equation, (0, 1))(x, primals[0])
        return x, -by_a / by_x * tangents[0]

    x = solve(3.0)
    first = 1 / (3 * x * x + 1)
    assert cr.grad(solve)(3.0) == pytest.approx(first, rel=1e-14)
    assert cr.grad(cr.grad(solve))(3.0) == pytest.approx(-6 * x * first**3, rel=1e-13)
    assert cr.grad(lambda t: cr.grad(lambda a: solve(a * t))(2.0))(1.5) == pytest.approx(
        first + 3.0 * (-6 * x * first**3), rel=1e-13
    )


def test_state_after_an_exception() -> None:
    def broken(x):
        cr.grad(lambda y: y * x)(x)
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        cr.grad(broken)(1.0)
    assert cr.grad(lambda x: cr.grad(lambda y: y * x * x)(x))(3.0) == 6.0
