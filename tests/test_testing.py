"""check_derivatives finds what is wrong, says where, and lets pass what is right."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import CheckError, NotDifferentiableError

MODES = ("forward", "reverse", "eliminate")
X = np.array([0.5, 1.5, -2.0])


def wrong_first(factor: float) -> Any:
    """x³ with a first derivative that is off by a factor."""

    @cr.custom_jvp
    def f(x):
        return x**3

    f.defjvp(lambda primals, tangents: (f(*primals), factor * 3 * primals[0] ** 2 * tangents[0]))
    return f


def wrong_second() -> Any:
    """x³ with a right first derivative that forgets where it comes from."""

    @cr.custom_vjp
    def f(x):
        return x**3

    f.defvjp(lambda x: (f(x), cr.stop_gradient(x)), lambda x, bar: (3 * x * x * bar,))
    return f


# -- what passes -----------------------------------------------------------------------------------------


def test_summary() -> None:
    check = cr.check_derivatives(lambda x: np.sum(np.sin(x) ** 2), X)
    assert check.modes == MODES
    assert check.order == 2
    assert check.comparisons > 9
    assert check.error < 1e-9
    assert "agree to order 2" in str(check)
    assert f"{check.comparisons} numbers" in str(check)


@pytest.mark.parametrize("mode", MODES)
def test_single_modes(mode: str) -> None:
    check = cr.check_derivatives(np.exp, X, modes=(mode,))
    assert check.modes == (mode,)
    assert check.comparisons > 0


def test_structures_and_other_arguments() -> None:
    Pair = namedtuple("Pair", "one two")

    def f(p, n, how, flags, options):
        assert how == "up"
        assert flags.dtype == bool
        return {"y": np.where(flags, p.one**n, p.two), "n": n, "pair": Pair(p.two * options["scale"], np.arange(2))}

    check = cr.check_derivatives(f, Pair(X, 2.0), 3, "up", np.array([True, False, True]), {"scale": 2, "none": None})
    assert check.error < 1e-9


def test_large_inputs_use_random_directions() -> None:
    """The number of sweeps does not grow with the arguments."""
    calls = []

    def f(x, w):
        calls.append(1)
        return np.tanh(w @ x)

    rng = np.random.default_rng(0)
    cr.check_derivatives(f, rng.normal(size=200), rng.normal(size=(50, 200)), order=1, modes=("forward", "reverse"))
    assert len(calls) < 60


def test_single_precision() -> None:
    check = cr.check_derivatives(lambda x: np.sum(np.sin(x) * x), X.astype(np.float32))
    assert check.tolerance == pytest.approx(2.5e-3, rel=0.1)
    assert check.error < 1e-4
    with pytest.raises(CheckError, match="disagree"):
        cr.check_derivatives(wrong_first(1.01), X.astype(np.float32))


def test_complex() -> None:
    z = np.array([1 + 2j, 0.3 - 1j])
    cr.check_derivatives(lambda z: np.exp(z) * z, z)
    cr.check_derivatives(lambda z: np.abs(z) * np.conj(z), z)
    cr.check_derivatives(lambda x: np.exp(1j * x), X)

    @cr.custom_jvp
    def conjugate(z):
        return np.conj(z)

    conjugate.defjvp(lambda primals, tangents: (conjugate(*primals), tangents[0]))
    with pytest.raises(CheckError, match=r"result\[(\d)\].imag with respect to z\[\1\].imag: 1.0 and -"):
        cr.check_derivatives(lambda z: conjugate(z), z)


def test_functions_that_overwrite_their_arguments() -> None:
    def f(x):
        x[0] = x[1] ** 2
        return x * x[2]

    x = X.copy()
    cr.check_derivatives(f, x)
    np.testing.assert_array_equal(x, X)


def test_scales_and_cancellation() -> None:
    cr.check_derivatives(np.log, np.array([1e-4, 1.0, 1e6]))
    cr.check_derivatives(lambda x: x * 1.6e-19, X)
    with pytest.raises(CheckError, match="disagree"):
        cr.check_derivatives(lambda x: wrong_first(1.01)(x) * 1.6e-19, X)
    cr.check_derivatives(lambda x: np.sin(x) ** 2 + np.cos(x) ** 2 - 1, X)
    cr.check_derivatives(lambda x: x[:0], X)
    cr.check_derivatives(lambda x: 3.0 + 0 * x, X)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders(order: int) -> None:
    check = cr.check_derivatives(lambda x: np.sin(x) * np.exp(x), 0.3, order=order)
    assert check.order == order
    assert check.comparisons == sum(3**k for k in range(1, order + 1))


def test_seeded() -> None:
    big = np.linspace(0.1, 2.0, 40)
    first, again = (cr.check_derivatives(lambda x: np.cumsum(np.sin(x)), big, seed=5) for _ in range(2))
    assert first == again
    assert first.error != cr.check_derivatives(lambda x: np.cumsum(np.sin(x)), big, seed=6).error


# -- what does not ---------------------------------------------------------------------------------------


def test_the_message_holds_the_numbers() -> None:
    f = wrong_first(2 / 3)

    def wrapped(p, n):
        return {"y": f(p["w"]), "n": n}

    text = (
        r"forward mode and differences disagree on the derivative of result\['y'\]\[\d\] with respect to "
        r"p\['w'\]\[(\d)\]: [\d.]+ and [\d.]+ ± [\de.-]+, relative error 3.3e-01 where 1.3e-06 is allowed of wrapped, "
        r"at test_testing.py:\d+"
    )
    with pytest.raises(CheckError, match=text) as caught:
        cr.check_derivatives(wrapped, {"w": X}, 3)
    assert isinstance(caught.value, AssertionError)
    one, two = str(caught.value).split(": ")[1].split(" ± ")[0].split(" and ")
    assert float(one) / float(two) == pytest.approx(2 / 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [1.001, 0.0, -1.0, np.nan])
def test_wrong_first_derivative(mode: str, factor: float) -> None:
    with pytest.raises(CheckError, match=f"{mode} mode and differences|reverse mode and differences"):
        cr.check_derivatives(wrong_first(factor), X, modes=(mode,), order=1)


def test_wrong_second_derivative() -> None:
    assert cr.check_derivatives(wrong_second(), X, order=1).error < 1e-6
    with pytest.raises(CheckError, match=r"the derivative \(over \w+ mode\) of"):
        cr.check_derivatives(wrong_second(), X)


def test_wrong_in_one_of_many() -> None:
    """One element of a thousand, seen along a random direction."""
    f = wrong_first(1.5)
    x = np.linspace(0.5, 1.5, 1000)

    def g(x):
        return np.concatenate([x[:500] ** 3, f(x[500:501]), x[501:] ** 3])

    with pytest.raises(CheckError, match=r"with respect to random direction \d of x"):
        cr.check_derivatives(g, x, modes=("forward", "reverse"))


def test_modes_that_disagree() -> None:
    """A backward rule that is not linear is another function forwards."""

    @cr.custom_vjp
    def f(x):
        return 3 * x

    f.defvjp(lambda x: (f(x), None), lambda _, bar: (np.clip(3 * bar, -1, 1),))
    with pytest.raises(CheckError, match="disagree"):
        cr.check_derivatives(f, X)


def test_jumps_are_named() -> None:
    with pytest.raises(CheckError, match="the differences do not settle: the function is not smooth there"):
        cr.check_derivatives(lambda x: np.floor(x) + x, np.array([2.0]))


def test_tolerance() -> None:
    f = wrong_first(1.001)
    with pytest.raises(CheckError, match=r"where 1.0e-04 is allowed"):
        cr.check_derivatives(f, X, order=1, tolerance=1e-4)
    assert cr.check_derivatives(f, X, order=1, tolerance=1e-2).error == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cr.check_derivatives(lambda n: n, 3), "no argument holds real or complex numbers"),
        (lambda: cr.check_derivatives(lambda x: np.argsort(x), X), "returns no real or complex numbers"),
    ],
)
def test_nothing_to_check(call: Any, text: str) -> None:
    with pytest.raises(NotDifferentiableError, match=text):
        call()


@pytest.mark.parametrize("options", [{"order": 0}, {"modes": ()}, {"modes": ("backward",)}])
def test_wrong_options(options: Any) -> None:
    with pytest.raises(ValueError, match="check_derivatives: order"):
        cr.check_derivatives(np.sin, X, **options)


def test_the_functions_own_errors_pass_through() -> None:
    def f(x):
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        cr.check_derivatives(f, X)
