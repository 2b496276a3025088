"""Functions with derivatives of the user's own, in every mode and at every order."""

from __future__ import annotations

import functools
import gc
import math
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DetachError, NotDifferentiableError, ShapeError, UnsupportedError

MODES = ("forward", "reverse", "eliminate")
X = np.array([0.3, -0.7, 1.2])


def through_jvp() -> Any:
    """sin(x) y by a rule of its own."""

    @cr.custom_jvp
    def f(x, y):
        return np.sin(x) * y

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (x_dot, y_dot) = primals, tangents
        return f(x, y), np.cos(x) * y * x_dot + np.sin(x) * y_dot

    return f


def through_vjp() -> Any:
    @cr.custom_vjp
    def f(x, y):
        return np.sin(x) * y

    def forward(x, y):
        return f(x, y), (x, y)

    def backward(residuals, bar):
        x, y = residuals
        return np.cos(x) * y * bar, np.sin(x) * bar

    f.defvjp(forward, backward)
    return f


def plain(x, y):
    return np.sin(x) * y


BOTH = pytest.mark.parametrize("make", [through_jvp, through_vjp])


# -- every mode and order --------------------------------------------------------------------------------


@BOTH
def test_value_without_derivative(make: Any) -> None:
    f = make()
    assert f(0.5, 2.0) == np.sin(0.5) * 2
    assert f.__name__ == "f"


@BOTH
@pytest.mark.parametrize("mode", MODES)
def test_jacobian(make: Any, mode: str) -> None:
    found = cr.jacobian(make(), (0, 1), mode=mode)(X, X + 1)
    expected = cr.jacobian(plain, (0, 1))(X, X + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@BOTH
@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_nested_jacobians(make: Any, outer: str, inner: str) -> None:
    f = make()
    found = cr.jacobian(cr.jacobian(lambda x: f(x, x * x), mode=inner), mode=outer)(X)
    expected = cr.jacobian(cr.jacobian(lambda x: plain(x, x * x)))(X)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


@BOTH
def test_higher_orders(make: Any) -> None:
    f = make()
    derivative, expected = f, plain
    for _ in range(4):
        derivative, expected = cr.grad(derivative), cr.grad(expected)
        assert derivative(0.4, 2.0) == pytest.approx(expected(0.4, 2.0), rel=1e-13)


@BOTH
def test_hessian_and_check(make: Any) -> None:
    f = make()
    found = cr.hessian(lambda x: np.sum(f(x, x) ** 2))(X)
    np.testing.assert_allclose(found, cr.hessian(lambda x: np.sum(plain(x, x) ** 2))(X), rtol=1e-12, atol=1e-13)
    cr.check_derivatives(f, X, X + 1)


@BOTH
def test_inside_another_derivative(make: Any) -> None:
    """The custom node of an inner trace is recorded again in the outer one."""
    f = make()

    def outer(g: Any) -> Any:
        return lambda t: t * cr.grad(lambda x: g(x, t) * x)(t**2)

    assert cr.grad(outer(f))(0.6) == pytest.approx(cr.grad(outer(plain))(0.6), rel=1e-13)


def test_linear_function_in_its_own_rule() -> None:
    @cr.custom_jvp
    def thrice(x):
        return 3 * x

    thrice.defjvp(lambda primals, tangents: (thrice(*primals), thrice(*tangents)))
    for mode in MODES:
        np.testing.assert_array_equal(cr.jacobian(lambda x: thrice(x) * x, mode=mode)(X), np.diag(6 * X))


def test_batched_value() -> None:
    """A function with a rule, applied to the tangent of another: its value runs over rows of a batch."""

    @cr.custom_vjp
    def turn(x):
        return x[::-1] * 2, x.sum()

    turn.defvjp(lambda x: (turn(x), None), lambda _, bars: (bars[0][::-1] * 2 + bars[1],))

    @cr.custom_jvp
    def f(x):
        return x[::-1] ** 2, x.sum()

    @f.defjvp
    def rule(primals, tangents):
        (x,) = primals
        turned, total = turn(tangents[0])
        return f(x), (turned * x[::-1], total)

    for mode in MODES:
        squares, total = cr.jacobian(f, mode=mode)(X)
        np.testing.assert_allclose(squares, np.diag(2 * X)[::-1], rtol=1e-15)
        np.testing.assert_array_equal(total, np.ones(3))
        second = cr.jacobian(cr.jacobian(lambda x: f(x)[0], mode=mode), mode=mode)(X)
        np.testing.assert_allclose(second, cr.jacobian(cr.jacobian(lambda x: x[::-1] ** 2))(X), rtol=1e-15)


def test_other_slope_is_used() -> None:
    """A rule that is not the derivative shows that it is the one that runs."""

    @cr.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (clipped(x), None), lambda _, bar: (np.clip(bar, -1, 1),))
    assert cr.grad(lambda x: 5 * clipped(x))(2.0) == 1.0
    assert cr.value_and_grad(lambda x: 0.5 * clipped(x))(2.0) == (1.0, 0.5)


def test_backward_may_be_nonlinear() -> None:
    """Cotangents of any size run through the rule as it is written."""

    @cr.custom_vjp
    def f(x, limit):
        return x

    def backward(limit, bar):
        return np.clip(bar, -limit, limit) + 0.0 * bar, None

    f.defvjp(lambda x, limit: (f(x, limit), limit), backward)
    found = cr.grad(lambda x: np.sum(np.array([5.0, -7.0, 0.5]) * f(x, 3.0)))(X)
    np.testing.assert_array_equal(found, [3.0, -3.0, 0.5])
    _, pullback = cr.vjp(lambda x: f(x, 1.0), X)
    np.testing.assert_array_equal(pullback(np.array([4.0, 0.25, -2.0]))[0], [1.0, 0.25, -1.0])


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_zero_cotangent_wins_over_infinity() -> None:
    @cr.custom_vjp
    def root(x):
        return np.sqrt(x)

    root.defvjp(lambda x: (root(x), root(x)), lambda y, bar: (bar * (0.5 / y),))
    found = cr.grad(lambda x: np.sum(np.where(x > 0, root(x), 0.0)))(np.array([0.0, 4.0]))
    np.testing.assert_array_equal(found, [0, 0.25])


# -- what the function may be ----------------------------------------------------------------------------


def test_function_may_leave_numpy() -> None:
    """f sees plain numbers; the rule is differentiated as usual."""

    @cr.custom_jvp
    def sine(x):
        return math.sin(x)

    @sine.defjvp
    def rule(primals, tangents):
        return sine(*primals), np.cos(primals[0]) * tangents[0]

    assert cr.grad(sine)(0.5) == math.cos(0.5)
    assert cr.grad(cr.grad(sine))(0.5) == -math.sin(0.5)

    @cr.custom_vjp
    def cosine(x):
        return math.cos(x)

    cosine.defvjp(lambda x: (cosine(x), x), lambda x, bar: (-sine(x) * bar,))
    assert cr.grad(cr.grad(cr.grad(cosine)))(0.5) == pytest.approx(math.sin(0.5), rel=1e-15)


def test_forward_runs_once_per_call() -> None:
    calls = []

    @cr.custom_vjp
    def f(x):
        calls.append("f")
        return x * x

    def forward(x):
        calls.append("forward")
        return f(x), x

    f.defvjp(forward, lambda x, bar: (2 * x * bar,))
    assert cr.grad(f)(3.0) == 6.0
    assert calls == ["f", "forward"]


class Pair(NamedTuple):
    one: Any
    two: Any


def test_structures() -> None:
    @cr.custom_vjp
    def f(p, x):
        return {"a": p.one * x, "b": (p.two, p.one)}

    def forward(p, x):
        return f(p, x), (p, x)

    def backward(residuals, bar):
        p, x = residuals
        return Pair(bar["a"] * x + bar["b"][1], bar["b"][0]), np.sum(bar["a"] * p.one)

    f.defvjp(forward, backward)
    p = Pair(X, np.float64(2.0))

    def total(g: Any) -> Any:
        return lambda p, x: np.sum(g(p, x)["a"] ** 2) + g(p, x)["b"][0] * np.sum(g(p, x)["b"][1])

    def same(p, x):
        return {"a": p.one * x, "b": (p.two, p.one)}

    found, expected = cr.grad(total(f), (0, 1))(p, 1.5), cr.grad(total(same), (0, 1))(p, 1.5)
    assert type(found[0]) is Pair
    np.testing.assert_allclose(found[0].one, expected[0].one, rtol=1e-15)
    assert found[0].two == expected[0].two
    assert found[1] == pytest.approx(expected[1])


def test_integers_and_strings() -> None:
    @cr.custom_jvp
    def power(x, n, how):
        assert isinstance(n, int)
        return x**n if how == "up" else x ** (-n)

    @power.defjvp
    def rule(primals, tangents):
        x, n, how = primals
        assert tangents[1:] == (0.0, None)
        return power(x, n, how), (n if how == "up" else -n) * power(x, n, how) / x * tangents[0]

    assert cr.grad(power)(2.0, 3, "up") == 12.0
    assert cr.grad(power)(2.0, 1, "down") == -0.25
    assert cr.grad(lambda x: power(x, how="up", n=2))(3.0) == 6.0

    @cr.custom_vjp
    def pick(x, index):
        return x[index]

    def backward(residuals, bar):
        x, index = residuals
        y = np.zeros_like(x)
        y[index] = bar
        return y, None

    pick.defvjp(lambda x, index: (pick(x, index), (x, index)), backward)
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(pick(x, np.array([0, 2]))))(X), [1, 0, 1])


def test_integer_result_has_no_derivative() -> None:
    @cr.custom_jvp
    def split(x):
        return np.floor(x).astype(int), x - np.floor(x)

    split.defjvp(lambda primals, tangents: (split(*primals), (0, tangents[0])))
    assert cr.grad(lambda x: split(x)[1] * split(x)[0])(2.75) == 2.0


def test_dtypes() -> None:
    @cr.custom_jvp
    def f(x):
        return x * x

    f.defjvp(lambda primals, tangents: (f(*primals), (2.0 * primals[0] * tangents[0]).astype(float)))
    x = X.astype(np.float32)
    assert cr.jvp(f, (x,), (x,))[1].dtype == np.float32
    assert cr.grad(lambda x: np.sum(f(x)))(x).dtype == np.float32


def test_complex() -> None:
    f = through_vjp()
    z = np.array([1 + 2j, -0.5j])
    np.testing.assert_allclose(cr.jacobian(f)(z, 2 * z), cr.jacobian(plain)(z, 2 * z), rtol=1e-14)


@BOTH
@pytest.mark.parametrize("order", [1, 2])
def test_graph_is_freed(make: Any, order: int) -> None:
    """Edges of custom nodes keep no graph alive, without the garbage collector."""
    f = make()

    def use() -> Any:
        big = np.ones(1000)
        derive = cr.grad if order == 1 else cr.hessian
        derive(lambda x: np.sum(f(x, big[: len(x)])))(X)
        return weakref.ref(big)

    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()


# -- wrong rules -----------------------------------------------------------------------------------------


@cr.custom_jvp
def square(x):
    return x * x


@cr.custom_vjp
def cube(x, y):
    return x**3 * y


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda p, t: 2 * p[0] * t[0], r"square: the rule must return a pair \(y, y_dot\)"),
        (lambda p, t: (square(*p), (t[0], t[0])), "square: the rule's tangent has structure"),
        (lambda p, t: (square(*p), np.sum(t[0])), r"tangent has shape \(\), the function's result \(3,\)"),
    ],
)
def test_wrong_jvp(rule: Any, text: str) -> None:
    square.defjvp(rule)
    with pytest.raises(ShapeError, match=text):
        cr.jvp(square, (X,), (X,))


@pytest.mark.parametrize(
    ("forward", "backward", "text"),
    [
        (lambda x, y: cube(x, y), lambda r, bar: (bar, bar), r"cube: forward must return a pair \(y, residuals\)"),
        (lambda x, y: (x[0], None), lambda r, bar: (bar, bar), r"forward returns arrays of shapes \[\(\)\]"),
        (lambda x, y: (cube(x, y), None), lambda r, bar: bar, "must return a tuple of 2 cotangents, got TracedArray"),
        (lambda x, y: (cube(x, y), None), lambda r, bar: (bar,), "must return a tuple of 2 cotangents, got 1"),
        (lambda x, y: (cube(x, y), None), lambda r, bar: (bar[0], bar), r"cotangent has shape \(\), the argument \(3"),
        (lambda x, y: (cube(x, y), None), lambda r, bar: ((bar, bar), bar), "cotangent"),
    ],
)
def test_wrong_vjp(forward: Any, backward: Any, text: str) -> None:
    cube.defvjp(forward, backward)
    with pytest.raises((ShapeError, UnsupportedError), match=text):
        cr.grad(lambda x: np.sum(cube(x, x)))(X)


def test_missing_rules() -> None:
    with pytest.raises(NotDifferentiableError, match="g: no rule was set with defjvp"):
        cr.grad(named(cr.custom_jvp))(1.0)
    with pytest.raises(NotDifferentiableError, match="g: no rules were set with defvjp"):
        cr.grad(named(cr.custom_vjp))(1.0)


def named(make: Any) -> Any:
    @make
    def g(x):
        return x * x

    return g


def test_captured_outer_value_is_refused() -> None:
    """f itself is not differentiated, so it may not use traced values that are no arguments."""

    def outer(t):
        @cr.custom_jvp
        def f(x):
            return x * t

        f.defjvp(lambda primals, tangents: (f(*primals), t * tangents[0]))
        return f(t * 2)

    with pytest.raises((UnsupportedError, DetachError), match="pass it as an argument"):
        cr.grad(outer)(1.0)


def test_keyword_only_is_refused() -> None:
    @cr.custom_jvp
    def f(x, *, n):
        return x * n

    with pytest.raises(UnsupportedError, match="keyword-only argument 'n'"):
        cr.grad(lambda x: f(x, n=2))(1.0)


def test_object_result_is_refused() -> None:
    @cr.custom_jvp
    def f(x):
        return {1, 2}

    with pytest.raises(UnsupportedError, match="f: returned set"):
        cr.grad(f)(1.0)


class Scaled:
    """An object whose methods have rules of their own."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    @cr.custom_jvp
    def square(self, x: Any) -> Any:
        return self.factor * x * x

    @square.defjvp
    def square_rule(primals: Any, tangents: Any) -> Any:
        (self, x), (_, x_dot) = primals, tangents
        return self.square(x), 10 * self.factor * x * x_dot

    @cr.custom_vjp
    def cube(self, x: Any) -> Any:
        return self.factor * x**3

    cube.defvjp(lambda self, x: (self.cube(x), (self, x)), lambda kept, bar: (None, 7 * kept[0].factor * kept[1] * bar))


@pytest.mark.parametrize(("name", "slope"), [("square", 60.0), ("cube", 42.0)])
def test_methods(name: str, slope: float) -> None:
    method = getattr(Scaled(3.0), name)
    assert method(2.0) == Scaled(3.0).factor * 2.0 ** {"square": 2, "cube": 3}[name]
    assert cr.grad(method)(2.0) == slope
    assert cr.jvp(method, (2.0,), (1.0,))[1] == slope
    assert cr.grad(cr.grad(method))(2.0) == slope / 2


def test_nondiff_argnums() -> None:
    @functools.partial(cr.custom_jvp, nondiff_argnums=(0, 2))
    def apply(f: Any, x: Any, n: Any) -> Any:
        return f(x) * n

    @apply.defjvp
    def rule(f: Any, n: Any, primals: Any, tangents: Any) -> Any:
        (x,), (x_dot,) = primals, tangents
        return apply(f, x, n), 5 * n * x_dot * x

    assert cr.grad(lambda x: apply(np.sin, x, 3.0))(2.0) == 30.0
    assert cr.hessian(lambda x: apply(np.sin, x, 3.0))(2.0) == 15.0

    @functools.partial(cr.custom_vjp, nondiff_argnums=(1,))
    def scaled(x: Any, n: Any) -> Any:
        return x * n

    scaled.defvjp(lambda x, n: (scaled(x, n), x), lambda n, x, y_bar: (7 * n * x * y_bar,))
    assert cr.grad(lambda x: scaled(x, np.float64(2.0)))(3.0) == 42.0
    with pytest.raises(
        NotDifferentiableError, match=r"scaled: argument 1 is one of nondiff_argnums.*at test_custom\.py"
    ):
        cr.grad(lambda n: scaled(2.0, n))(3.0)
