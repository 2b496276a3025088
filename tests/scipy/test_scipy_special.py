"""The twins of SciPy's functions: SciPy's values and signatures, and derivatives."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.special

import chainrule as cr
from chainrule.scipy import special

X = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, 2.5]])
B = np.array([[1.0, 2.0, -0.5], [0.3, -3.0, 1.0]])
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("logsumexp", (X,), {}),
    ("logsumexp", (X,), {"axis": 1}),
    ("logsumexp", (X, (0, 1)), {}),
    ("logsumexp", (X, -1, np.abs(B)), {"keepdims": True}),
    ("logsumexp", (X,), {"axis": 0, "b": B, "return_sign": True}),
    ("logsumexp", (X, None, B, True, True), {}),
    ("logsumexp", (X[0, 0],), {}),
    ("softmax", (X,), {}),
    ("softmax", (X,), {"axis": 1}),
    ("softmax", (X, (0, 1)), {}),
    ("log_softmax", (X,), {}),
    ("log_softmax", (X, 0), {}),
    ("multigammaln", (np.abs(X) + 2, 3), {}),
    ("multigammaln", (4.5, 1), {}),
    ("zeta", (2.5, np.abs(X)), {}),
]


def at(name: str, args: tuple[Any, ...]) -> int:
    """The argument to differentiate."""
    return 1 if name == "zeta" else 0


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES)
def test_twins(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    function = getattr(special, name)
    place = at(name, args)

    def f(x: Any) -> Any:
        return function(*args[:place], x, *args[place + 1 :], **kwargs)

    expected = getattr(scipy.special, name)(*args, **kwargs)
    for found in (f(args[place]), cr.vjp(f, args[place])[0]):
        for one, two in zip(np.atleast_1d(*[found]) if not isinstance(found, tuple) else found,
                            np.atleast_1d(*[expected]) if not isinstance(expected, tuple) else expected,
                            strict=True):  # fmt: skip
            assert np.shape(one) == np.shape(two)
            np.testing.assert_allclose(one, two, rtol=1e-13)
    assert cr.check_derivatives(f, args[place]).error < 1e-6


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_polygamma(order: int) -> None:
    x = np.abs(X)
    np.testing.assert_allclose(cr.vjp(lambda x: special.polygamma(order, x), x)[0], scipy.special.polygamma(order, x),
                               rtol=1e-14)  # fmt: skip
    found = cr.grad(lambda x: np.sum(special.polygamma(order, x)))(x)
    np.testing.assert_allclose(found, scipy.special.polygamma(order + 1, x), rtol=1e-13)


def test_polygamma_of_several_orders() -> None:
    orders = np.array([0, 1, 2])
    found = cr.jacobian(lambda x: special.polygamma(orders, x))(1.5)
    np.testing.assert_allclose(found, scipy.special.polygamma(orders + 1, 1.5), rtol=1e-13)


@pytest.mark.parametrize("name", [name for name in special.__all__ if name != "sph_harm_y"])
def test_signatures(name: str) -> None:
    ours = list(inspect.signature(getattr(special, name)).parameters.values())
    theirs = [p for p in inspect.signature(getattr(scipy.special, name)).parameters.values() if p.name != "out"]
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_extremes() -> None:
    big = np.array([1000.0, 1000.0, -1000.0])
    np.testing.assert_allclose(cr.grad(special.logsumexp)(big), [0.5, 0.5, 0.0])
    empty = np.array([-np.inf, 0.0, -np.inf])
    np.testing.assert_array_equal(cr.grad(special.logsumexp)(empty), [0.0, 1.0, 0.0])
    assert special.logsumexp(empty) == 0.0
    value, gradient = cr.value_and_grad(lambda x: special.log_softmax(x)[2])(big)
    assert value == pytest.approx(-2000 - np.log(2))
    np.testing.assert_allclose(gradient, [-0.5, -0.5, 1.0])
    np.testing.assert_allclose(cr.jacobian(special.softmax)(big), np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]]) / 4)


def test_lists_that_hold_traced_numbers() -> None:
    found = cr.grad(lambda a, b: special.logsumexp([a, b, 0.0]), (0, 1))(1.0, 2.0)
    np.testing.assert_allclose(found, scipy.special.softmax([1.0, 2.0, 0.0])[:2])


def test_plain_arguments_go_to_scipy() -> None:
    assert type(special.logsumexp([1, 2])) is type(scipy.special.logsumexp([1, 2]))
    np.testing.assert_array_equal(special.softmax([1, 2, 3]), scipy.special.softmax([1, 2, 3]))


def test_other_names_are_scipys() -> None:
    assert special.gammaln is scipy.special.gammaln
    assert special.erf is scipy.special.erf
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        special.nonsense


def test_errors_are_scipys() -> None:
    with pytest.raises(ValueError, match="positive integer"):
        cr.grad(lambda a: special.multigammaln(a, 1.5))(3.0)
    with pytest.raises(ValueError, match=r"> 0.5 \* \(d-1\)"):
        cr.grad(lambda a: special.multigammaln(a, 5))(1.0)


PLACES = np.array([0.3, 0.9, 1.7, 2.4])
NO_UFUNCS: dict[str, Any] = {
    "lambertw": lambda m, x: np.real(m.lambertw(x)),
    "factorial": lambda m, x: m.factorial(x),
    "comb of n": lambda m, x: m.comb(x + 3, 2.0),
    "comb of k": lambda m, x: m.comb(5.0, x),
    "perm": lambda m, x: m.perm(x + 3, 2.0),
    "diric odd": lambda m, x: m.diric(x, 5),
    "diric even": lambda m, x: m.diric(x, 4),
    "sinc": lambda m, x: m.sinc(x),
    "sph_harm_y": lambda m, x: np.real(m.sph_harm_y(3, 1, x, 2 * x)),
    "jvp": lambda m, x: m.jvp(2, x, 2),
    "yvp": lambda m, x: m.yvp(2, x, 1),
    "ivp": lambda m, x: m.ivp(2.5, x, 3),
    "kvp": lambda m, x: m.kvp(1, x, 2),
    "h1vp": lambda m, x: np.abs(m.h1vp(1, x, 2)),
    "h2vp": lambda m, x: np.imag(m.h2vp(1, x)),
    **{
        f"{name}({n}, x, {slope})": lambda m, x, name=name, n=n, slope=slope: getattr(m, name)(n, x, slope)
        for name in ("spherical_jn", "spherical_yn", "spherical_in", "spherical_kn")
        for n in (0, 2)
        for slope in (False, True)
    },
}


@pytest.mark.parametrize("name", NO_UFUNCS)
def test_functions_that_are_no_ufuncs(name: str) -> None:
    f, h = NO_UFUNCS[name], 1e-5
    value, pull = cr.vjp(lambda x: f(special, x), PLACES)
    np.testing.assert_allclose(value, f(scipy.special, PLACES), rtol=1e-12, atol=1e-13)
    slope = (f(scipy.special, PLACES + h) - f(scipy.special, PLACES - h)) / (2 * h)
    np.testing.assert_allclose(pull(np.ones(4))[0], slope, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(
        cr.jvp(lambda x: f(special, x), (PLACES,), (np.ones(4),))[1], slope, rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("name", [name for name in scipy.special.__all__ if callable(getattr(scipy.special, name))])
def test_nothing_is_lost_in_silence(name: str) -> None:
    """Each function of a traced number differentiates, refuses, or returns what depends on no traced number."""
    function = getattr(special, name)
    if isinstance(function, type):
        return
    arity = getattr(function, "nin", None) or 1
    for place in range(arity):

        def f(x: Any, place: int = place) -> Any:
            found = function(*[x if k == place else 1.0 for k in range(arity)])
            first = found[0] if isinstance(found, tuple) else found
            return np.sum(np.real(first))

        try:
            with np.errstate(all="ignore"):
                assert isinstance(cr.grad(f)(0.5), np.float64)
        except cr.ChainruleError:
            continue
        except Exception as error:  # SciPy's own, of the arguments that this test gives
            assert "Traced" not in str(error)
