"""The twins of scipy.stats: SciPy's values and rules for arguments, derivatives against differences of SciPy's own."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import types
import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.stats

import chainrule as cr
from chainrule.errors import ChainruleError, NotDifferentiableError, UnsupportedError
from chainrule.ir import REGISTRY
from chainrule.scipy import stats
from chainrule.scipy.stats.distribution import DISTRIBUTIONS, Continuous, Discrete
from chainrule.scipy.twins import TWINS

SHAPES: dict[str, tuple[float, ...]] = {
    "t": (3.7,), "skewnorm": (2.3,), "gennorm": (1.6,), "dgamma": (1.7,), "dweibull": (2.2,), "loggamma": (1.4,),
    "exponnorm": (1.5,), "vonmises": (2.1,), "genlogistic": (0.6,), "johnsonsu": (0.4, 1.8), "gamma": (2.4,),
    "erlang": (3.0,), "chi2": (4.5,), "chi": (3.3,), "weibull_min": (1.7,), "weibull_max": (2.6,),
    "invweibull": (3.1,), "exponweib": (2.9, 1.4), "lognorm": (0.8,), "invgamma": (4.2,), "invgauss": (0.7,),
    "f": (5.5, 7.5), "betaprime": (3.2, 4.4), "nakagami": (2.2,), "gengamma": (2.1, 1.6), "gompertz": (0.9,),
    "pareto": (3.4,), "lomax": (3.6,), "burr": (4.2, 1.3), "burr12": (2.3, 1.9), "fisk": (3.8,), "loglaplace": (3.2,),
    "genextreme": (0.3,), "genpareto": (-0.2,), "truncnorm": (-0.8, 1.9), "beta": (2.3, 0.8), "powerlaw": (1.7,),
    "triang": (0.4,), "johnsonsb": (0.6, 1.4), "loguniform": (0.4, 2.5), "reciprocal": (0.4, 2.5),
    "bernoulli": (0.3,), "binom": (7.0, 0.4), "poisson": (3.2,), "geom": (0.4,), "nbinom": (4.5, 0.6),
    "betabinom": (6.0, 2.3, 1.2), "zipf": (3.5,), "skellam": (4.1, 2.6), "dlaplace": (0.8,), "planck": (0.6,),
    "logser": (0.7,), "alpha": (3.6,), "kappa4": (0.2, 0.1), "rice": (0.8,),
}  # fmt: skip
CONTINUOUS = [name for name, d in DISTRIBUTIONS.items() if type(d) is Continuous and d.formulas]
DISCRETE = [name for name, d in DISTRIBUTIONS.items() if type(d) is Discrete and d.formulas]
Q = np.array([0.02, 0.11, 0.31, 0.66, 0.93])
DENSITIES = ["pdf", "logpdf", "cdf", "sf", "logcdf", "logsf"]
MASSES = ["pmf", "logpmf", "cdf", "sf", "logcdf", "logsf"]
SPECIAL = {"log_ndtr", "ndtri", "betaln", "gammainc", "gammaincc", "gammaincinv", "gammainccinv", "betainc", "betaincc",
           "betaincinv", "betainccinv", "i0e", "i1e", "ive"} - set(REGISTRY)  # fmt: skip
"""Functions that some formulas use and that have no op: what needs them cannot be tested."""


def run(f: Callable[[], Any]) -> Any:
    """Call f; skip where it needs a special function that has no op."""
    try:
        return f()
    except NotDifferentiableError as error:
        found = re.match(r"scipy\.special\.(\w+) has no rule", str(error))
        if found and found[1] in SPECIAL:
            pytest.skip(f"{found[1]} has no op")
        if "zeta: the derivative with respect to the order" in str(error):
            pytest.skip("zeta has no derivative by its order")
        raise


def place(name: str) -> tuple[Any, list[float], np.ndarray]:
    """SciPy's distribution, parameters, and points in the middle of it."""
    d = getattr(scipy.stats, name)
    if isinstance(d, scipy.stats.rv_continuous):
        shapes = SHAPES.get(name, ())
        return d, [*shapes, 0.2, 1.3], d.ppf(Q, *shapes, 0.2, 1.3)
    shapes = SHAPES[name]
    low, high = d.interval(0.9, *shapes, 1)
    return d, [*shapes, 1.0], np.unique(np.linspace(low, high, 5).round())


def differences(f: Callable[..., Any], args: list[Any], k: int) -> Any:
    """Central differences of fourth order by one argument, elementwise."""
    h = 2e-4 * np.maximum(np.abs(args[k]), 0.1)

    def at(steps: int) -> Any:
        return f(*args[:k], args[k] + steps * h, *args[k + 1 :])

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


def compare(f: Callable[..., Any], theirs: Callable[..., Any], args: list[Any], places: list[int]) -> None:
    for k in places:

        def of(value: Any, k: int = k) -> Any:
            return f(*args[:k], value, *args[k + 1 :])

        found = run(lambda k=k, of=of: cr.jvp(of, (args[k],), (np.ones_like(args[k]),))[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = differences(theirs, args, k)
        np.testing.assert_allclose(found, expected, rtol=3e-6, atol=3e-8 * np.max(np.abs(expected)) + 2e-11)


@pytest.mark.parametrize("method", [*DENSITIES, "ppf", "isf"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str, method: str) -> None:
    d, parameters, x = place(name)
    x = Q if method in ("ppf", "isf") else x
    twin = getattr(getattr(stats, name), method)
    places = [0] if name == "vonmises" and "pdf" not in method else list(range(1 + len(parameters)))
    value = run(lambda: cr.vjp(lambda x: twin(x, *parameters), x)[0])
    np.testing.assert_allclose(value, getattr(d, method)(x, *parameters), rtol=1e-12, atol=1e-15)
    compare(twin, getattr(d, method), [x, *parameters], places)


@pytest.mark.parametrize("method", MASSES)
@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name: str, method: str) -> None:
    d, parameters, k = place(name)
    twin, twins = getattr(stats, name), getattr(getattr(stats, name), method)
    k = k[k < d.support(*parameters)[1]] if method in ("logsf", "sf") else k
    places = [1 + at for at, each in enumerate(twin.names) if each not in twin.whole]
    if name in ("zipf", "skellam", "logser") and "pmf" not in method:
        with pytest.raises(NotDifferentiableError, match="is not known"):
            cr.grad(lambda p: np.sum(twins(k, p, *parameters[1:])))(parameters[0])
        return
    value = run(lambda: cr.vjp(lambda p: twins(k, *parameters[: places[-1] - 1], p, *parameters[places[-1] :]),
                               parameters[places[-1] - 1])[0])  # fmt: skip
    np.testing.assert_allclose(value, getattr(d, method)(k, *parameters), rtol=1e-11)
    compare(twins, getattr(d, method), [k, *parameters], places)


def test_masses_have_no_derivative_by_counts() -> None:
    with pytest.raises(NotDifferentiableError, match="whole numbers"):
        cr.grad(lambda k: stats.poisson.logpmf(k, 2.0))(3.0)
    with pytest.raises(NotDifferentiableError, match="whole numbers"):
        cr.grad(lambda n: stats.binom.logpmf(2, n, 0.3))(3.0)
    assert cr.grad(lambda k: stats.geom.cdf(k, 0.3))(3.2) == 0.0


@pytest.mark.parametrize("method", [*DENSITIES, "ppf", "isf"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_tails_ends_and_outside(name: str, method: str) -> None:
    d, parameters, _ = place(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method in ("ppf", "isf"):
            x = np.array([-0.5, 0.0, 1e-9, 1e-3, 0.5, 0.999, 1.0, 1.5, np.nan])
        else:
            x = np.concatenate(
                [d.ppf([1e-9, 1e-4, 0.999, 1 - 1e-6], *parameters), [-30.0, -1.0, 0.3, 2.0, 30.0, np.nan]]
            )
        twin = getattr(getattr(stats, name), method)
        expected = getattr(d, method)(x, *parameters)
        found = run(lambda: cr.vjp(lambda x: twin(x, *parameters), x)[0])
        # SciPy's own formulas lose digits in tails and underflow sooner
        lost = np.isinf(expected) & np.isfinite(found) & (np.abs(found) > 700)
        rtol = 1e-4 if name == "arcsine" else 3e-6
        np.testing.assert_allclose(found[~lost], expected[~lost], rtol=rtol, atol=1e-15)
        outside = np.array([-40.0, 60.0])
        outside = outside[d.pdf(outside, *parameters) == 0]
        if method in DENSITIES and len(outside):
            low, high = d.support(*parameters)
            outside = outside[(outside < low) | (outside > high)]
            places = tuple(range(1 + len(parameters)))
            slopes = run(lambda: cr.grad(lambda *args: np.sum(twin(*args)), places)(outside, *parameters))
            assert all(np.all(each == 0) for each in slopes)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_invalid_parameters(name: str) -> None:
    d, parameters, x = place(name)
    twin = getattr(stats, name)
    for k, value in [
        (len(parameters) - 1, -1.0),
        (len(parameters) - 1, 0.0),
        *((k, -2.5) for k in range(len(twin.names))),
    ]:
        wrong = [*parameters[:k], value, *parameters[k + 1 :]]
        for method, at in (("logpdf", x), ("cdf", x), ("ppf", Q)):
            if name == "vonmises" and method != "logpdf":
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = getattr(d, method)(at, *wrong)
                found, pull = run(lambda: cr.vjp(lambda x, *p: getattr(twin, method)(x, *p), at, *wrong))  # noqa: B023
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)
                if np.all(np.isnan(expected)):
                    assert all(np.all(bar == 0) for bar in pull(np.ones_like(found)))


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_every_mode(name: str) -> None:
    _, parameters, x = place(name)
    twin = getattr(stats, name)
    density = twin.logpdf if name in CONTINUOUS else twin.logpmf
    free = [k for k, each in enumerate(twin.names) if name in CONTINUOUS or each not in twin.whole]
    free += [len(parameters) - 2, len(parameters) - 1] if name in CONTINUOUS else []

    def f(*values: Any) -> Any:
        given = list(parameters)
        for k, value in zip(free, values, strict=True):
            given[k] = value
        return density(x, *given)

    values = [parameters[k] for k in free]
    places = tuple(range(len(free)))
    expected = run(lambda: cr.jacobian(f, places, mode="forward")(*values))
    summed = cr.grad(lambda *v: np.sum(f(*v)), places)
    for found in (cr.jacobian(f, places, mode="reverse")(*values), cr.jit(cr.jacobian(f, places))(*values)):
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-12)
    rows = cr.vmap(summed)(*(np.array([value, value]) for value in values))
    for one, two in zip(rows, expected, strict=True):
        np.testing.assert_allclose(one, np.sum(two), rtol=1e-8, atol=1e-12)
    if name in CONTINUOUS:
        each = cr.jit(cr.vmap(cr.grad(lambda x: twin.logpdf(x, *parameters))))(x)
        np.testing.assert_allclose(each, np.diag(cr.jacobian(lambda x: twin.logpdf(x, *parameters))(x)), rtol=1e-9)


@pytest.mark.parametrize("name", ["norm", "t", "gamma", "beta", "skewnorm", "genpareto", "lognorm", "vonmises"])
def test_second_derivatives(name: str) -> None:
    _, parameters, x = place(name)
    twin = getattr(stats, name)
    assert run(lambda: cr.check_derivatives(lambda *p: twin.logpdf(x, *p), *parameters)).error < 1e-6
    assert run(lambda: cr.check_derivatives(lambda x: twin.ppf(x, *parameters), Q)).error < 1e-6


@pytest.mark.parametrize("name", ["alpha", "kappa4", "rice"])
@pytest.mark.parametrize("method", ["cdf", "sf", "logcdf", "logsf", "ppf", "isf"])
def test_without_formulas(name: str, method: str) -> None:
    """The derivative of a distribution function is the density, whatever the distribution."""
    d, parameters, x = place(name)
    x = Q if method in ("ppf", "isf") else x
    last = len(parameters)
    compare(getattr(getattr(stats, name), method), getattr(d, method), [x, *parameters], [0, last - 1, last])
    with pytest.raises(NotDifferentiableError, match=rf"known for stats.{name}, at .*test_scipy_stats.py:\d+"):
        cr.grad(lambda s: np.sum(getattr(getattr(stats, name), method)(x, s, *parameters[1:])))(parameters[0])
    with pytest.raises(NotDifferentiableError, match="not known"):
        cr.grad(lambda x: np.sum(getattr(stats, name).logpdf(x, *parameters)))(x)


MPMATH: list[tuple[str, str, Any, float, tuple[float, ...]]] = [
    ("logistic", "logcdf", lambda z: -mpmath.log(1 + mpmath.exp(-z)), -800.0, ()),
    ("logistic", "logpdf", lambda z: -z - 2 * mpmath.log(1 + mpmath.exp(-z)), 900.0, ()),
    ("gumbel_r", "logsf", lambda z: mpmath.log(-mpmath.expm1(-mpmath.exp(-z))), 60.0, ()),
    ("weibull_min", "logcdf", lambda z, c: mpmath.log(-mpmath.expm1(-(z**c))), 1e-9, (1.5,)),
    ("genpareto", "logsf", lambda z, c: -mpmath.log1p(c * z) / c, 3.0, (1e-7,)),
    ("genextreme", "logcdf", lambda z, c: -mpmath.exp(mpmath.log1p(-c * z) / c), 5.0, (1e-6,)),
    ("pareto", "cdf", lambda z, b: 1 - z**-b, 1 + 1e-9, (2.5,)),
    ("burr", "logsf", lambda z, c, d: mpmath.log(1 - (1 + z**-c) ** -d), 1e5, (3.0, 1.5)),
    ("cauchy", "cdf", lambda z: mpmath.mpf(1) / 2 + mpmath.atan(z) / mpmath.pi, -1e9, ()),
    ("hypsecant", "logpdf", lambda z: -mpmath.log(mpmath.pi * mpmath.cosh(z)), 800.0, ()),
    ("gamma", "logpdf", lambda z, a: (a - 1) * mpmath.log(z) - z - mpmath.loggamma(a), 1e-8, (0.3,)),
    ("norm", "logcdf", lambda z: mpmath.log(mpmath.ncdf(z)), -40.0, ()),
    ("t", "logpdf", lambda z, v: mpmath.loggamma((v + 1) / 2) - mpmath.loggamma(v / 2) - mpmath.log(v * mpmath.pi) / 2
     - (v + 1) / 2 * mpmath.log1p(z * z / v), 2.0, (1e6,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "exact", "x", "shapes"), MPMATH, ids=[f"{c[0]}.{c[1]}" for c in MPMATH])
def test_tails_against_high_precision(name: str, method: str, exact: Any, x: float, shapes: tuple[float, ...]) -> None:
    twin = getattr(getattr(stats, name), method)
    args = (x, *shapes)
    value, slopes = run(lambda: cr.value_and_grad(twin, tuple(range(len(args))))(*args))
    with mpmath.workdps(60):
        assert float(value) == pytest.approx(float(exact(*map(mpmath.mpf, args))), rel=1e-9)
        for k in range(len(args) if name != "t" else 1):

            def of(v: Any, k: int = k) -> Any:
                return exact(*(v if at == k else mpmath.mpf(arg) for at, arg in enumerate(args)))

            expected = mpmath.diff(of, mpmath.mpf(args[k]), h=mpmath.mpf(10) ** -20 * args[k])
            assert float(slopes[k]) == pytest.approx(float(expected), rel=1e-7)


def test_against_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.scipy.stats as theirs

    for name, shapes in {"norm": (), "t": (3.5,), "gamma": (2.5,), "beta": (2.2, 1.4), "cauchy": (), "laplace": (),
                         "logistic": (), "expon": (), "pareto": (2.2,), "chi2": (3.3,)}.items():  # fmt: skip
        x = getattr(scipy.stats, name).ppf(Q, *shapes, 0.1, 1.4)
        args = (x, *shapes, 0.1, 1.4)
        places = tuple(range(len(args)))
        ours = run(lambda: cr.grad(lambda *a: np.sum(getattr(stats, name).logpdf(*a)), places)(*args))  # noqa: B023
        jaxs = jax.grad(lambda *a: jax.numpy.sum(getattr(theirs, name).logpdf(*a)), places)(*args)  # noqa: B023
        for one, two in zip(ours, jaxs, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_moments(name: str) -> None:
    d, parameters, _ = place(name)
    twin = getattr(stats, name)
    for method, extra in (("mean", {}), ("var", {}), ("std", {}), ("entropy", {}), ("stats", {"moments": "mvsk"})):
        if method == "entropy" and twin.names and "entropy" not in twin.formulas:
            with pytest.raises(UnsupportedError, match="no rule"):
                cr.grad(lambda *p: twin.entropy(*p))(*parameters)
            continue
        needs = {"stats": ["mean", "var", "skew", "kurtosis"], "std": ["var"]}.get(method, [method])
        if twin.names and not set(needs) <= set(twin.formulas):
            continue
        fixed = [k for k, each in enumerate(twin.names) if name in DISCRETE and each in twin.whole]

        def f(*p: Any, fixed: Any = fixed, method: str = method, extra: Any = extra) -> Any:
            given = [parameters[k] if k in fixed else each for k, each in enumerate(p)]
            return getattr(twin, method)(*given, **extra)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(lambda f=f: cr.vjp(f, *parameters)[0])
            np.testing.assert_allclose(found, getattr(d, method)(*parameters, **extra), rtol=1e-9, atol=1e-12)
            if method in ("mean", "entropy") and np.isfinite(found):
                slopes = cr.grad(f, tuple(range(len(parameters))))(*parameters)
                for k, slope in enumerate(slopes):
                    wanted = differences(getattr(d, method), list(parameters), k) if k not in fixed else 0.0
                    np.testing.assert_allclose(slope, wanted, rtol=1e-5, atol=1e-8)


def test_moments_of_orders() -> None:
    for order in range(5):
        found = cr.value_and_grad(lambda a, m, s, order=order: stats.gamma.moment(order, a, m, s), (0, 1, 2))(
            2.5, 0.3, 1.2
        )
        assert found[0] == pytest.approx(scipy.stats.gamma.moment(order, 2.5, 0.3, 1.2))
    low, high = cr.jvp(lambda s: stats.cauchy.interval(0.8, 0.0, s), (2.0,), (1.0,))[1]
    assert [low, high] == pytest.approx(scipy.stats.cauchy.interval(0.8))
    assert cr.grad(lambda m: stats.logistic.median(m, 2.0))(1.0) == 1.0
    assert cr.grad(lambda b: stats.uniform.support(0.5, b)[1])(2.0) == 1.0
    found = cr.grad(lambda p: stats.expon.nnlf(p, np.array([1.0, 2.0])))(np.array([0.0, 2.0]))
    np.testing.assert_allclose(found, [-1.0, 2 / 2 - 3 / 4])


def test_graph_of_a_value_that_is_scipys() -> None:
    graph = cr.trace(lambda a: stats.skewnorm.cdf(0.3, a), 2.0)
    scope: dict[str, Any] = {}
    exec(graph.source("g"), scope)
    assert scope["g"](2.0) == scipy.stats.skewnorm.cdf(0.3, 2.0)
    compiled = cr.jit(cr.grad(lambda a: stats.skewnorm.cdf(0.3, a)))
    expected = -np.exp(-0.045 * (1 + 2.0**2)) / (np.pi * (1 + 2.0**2))  # closed form, Owen 1956
    assert compiled(2.0) == pytest.approx(expected)


def test_loop_bodies() -> None:
    x = np.array([0.5, 1.0, 2.0])
    found = cr.grad(lambda m: cr.scan(lambda c, z: (c + stats.weibull_min.logpdf(z, 1.5, m, 1.0), 0.0), 0.0, x)[0])(0.1)
    assert found == pytest.approx(cr.grad(lambda m: np.sum(stats.weibull_min.logpdf(x, 1.5, m, 1.0)))(0.1))


def test_float32_and_shapes() -> None:
    x = np.linspace(0.1, 2, 3).astype(np.float32)
    value, pull = cr.vjp(lambda x: stats.expon.logpdf(x, 0, 2), x)
    assert value.dtype == scipy.stats.expon.logpdf(x, 0, 2).dtype
    assert pull(np.ones_like(value))[0].dtype == np.float32
    loc, scale = np.zeros((2, 1)), np.ones(3)
    assert cr.vjp(lambda s: stats.logistic.pdf(0.5, loc, s), scale)[0].shape == (2, 3)
    assert cr.grad(lambda a, b: stats.logistic.logpdf([a, b], 0, 1).sum(), (0, 1))(0.0, 0.0) == (0.0, 0.0)
    assert isinstance(cr.vjp(lambda x: stats.logistic.pdf(x), 0.5)[0], np.float64)


def test_arguments() -> None:
    x = np.array([0.5, 1.5])
    forms: list[Callable[[Any], Any]] = [
        lambda s: stats.weibull_min.logpdf(x, 1.7, 0.1, s),
        lambda s: stats.weibull_min.logpdf(x, c=1.7, loc=0.1, scale=s),
        lambda s: stats.weibull_min.logpdf(x, 1.7, scale=s, loc=0.1),
        lambda s: stats.weibull_min(1.7, scale=s, loc=0.1).logpdf(x),
        lambda s: stats.weibull_min.freeze(c=1.7, scale=s, loc=0.1).logpdf(x),
    ]
    slopes = [cr.grad(lambda s, f=f: np.sum(f(s)))(1.3) for f in forms]
    assert slopes == [slopes[0]] * len(slopes)
    with pytest.raises(TypeError, match="stats.norm: got an unexpected keyword"):
        cr.grad(lambda x: stats.norm.pdf(x, mean=1.0))(0.5)
    with pytest.raises(TypeError, match="stats.gamma: missing a required argument: 'a'"):
        cr.grad(lambda x: stats.gamma.pdf(x))(0.5)


def test_plain_arguments_go_to_scipy() -> None:
    x = np.linspace(-2, 2, 5)
    np.testing.assert_array_equal(stats.norm.logpdf(x, 0.1, 2), scipy.stats.norm.logpdf(x, 0.1, 2))
    np.testing.assert_array_equal(stats.gamma(2).rvs(3, random_state=1), scipy.stats.gamma(2).rvs(3, random_state=1))
    assert stats.norm.fit(x) == scipy.stats.norm.fit(x)
    assert isinstance(stats.norm, scipy.stats.rv_continuous)
    assert isinstance(stats.binom, scipy.stats.rv_discrete)
    assert isinstance(stats.norm(0, 1), type(scipy.stats.norm(0, 1)))
    assert stats.gamma.shapes == "a"
    assert stats.norm.a == -np.inf
    assert stats.kstest(x, stats.norm.cdf) == scipy.stats.kstest(x, scipy.stats.norm.cdf)
    assert stats.norm(1.0, 2.0).mean() == 1.0
    assert stats.norm(1.0, 2.0).dist.name == "norm"
    assert pickle.loads(pickle.dumps(stats.norm)) is stats.norm
    assert copy.deepcopy(stats.norm(1.0, 2.0)).std() == 2.0
    assert stats.chi2_contingency.__wrapped__ is scipy.stats.chi2_contingency
    assert set(dir(stats)) >= set(scipy.stats.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        stats.nonsense


def test_refusals_say_what_works() -> None:
    v = np.array([0.2, 0.5])
    for f, words in [
        (lambda x: stats.norm.rvs(x[0], size=3), "chainrule.random"),
        (lambda x: stats.norm(x[0]).rvs(3), "loc + scale * draws"),
        (lambda x: stats.norm.fit(x), "minimise nnlf"),
        (lambda x: stats.norm.expect(lambda t: t, loc=x[0]), "quadrature"),
        (lambda x: stats.multivariate_normal.cdf(v, x), "logpdf"),
        (lambda x: stats.multivariate_normal(x).cdf(v), "logpdf"),
        (lambda x: stats.kappa4.mean(x[0], 0.1), "quadrature"),
        (lambda x: stats.rankdata(x), "custom_vjp"),
        (lambda x: stats.zscore(x, nan_policy="omit"), "'propagate' has one"),
        (lambda x: stats.boxcox(x), "boxcox_llf"),
    ]:
        with pytest.raises(UnsupportedError, match=re.escape(words)) as caught:
            cr.grad(lambda x, f=f: np.sum(f(x)))(v)
        assert re.search(r"at .*test_scipy_stats\.py:\d+", str(caught.value))


FUNCTIONS = [name for name in scipy.stats.__all__ if isinstance(getattr(scipy.stats, name), types.FunctionType)]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if ("scipy.stats", name) not in TWINS])
def test_functions_without_rule(name: str) -> None:
    with pytest.raises(ChainruleError, match=r"test_scipy_stats\.py:\d+"):
        cr.grad(lambda x: np.sum(getattr(stats, name)(x)))(np.array([0.2, 0.5, 0.9]))


@pytest.mark.parametrize("name", [name for (home, name) in TWINS if home == "scipy.stats" and name in FUNCTIONS])
def test_signatures(name: str) -> None:
    ours = inspect.signature(getattr(stats, name)).parameters.values()
    theirs = inspect.signature(getattr(scipy.stats, name)).parameters.values()
    assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


@pytest.mark.parametrize("f", [
    lambda x: stats.Normal().logpdf(x), lambda x: stats.Normal(mu=x).logpdf(0.5),
    lambda x: stats.Uniform(a=0.0, b=2.0).cdf(x), lambda x: stats.Logistic().pdf(x),
    lambda x: stats.Binomial(n=3, p=x).pmf(1), lambda x: stats.truncate(stats.Normal(), 0, x),
    lambda x: stats.Mixture([stats.Normal(), stats.Normal()], weights=[0.5, 0.5]).pdf(x),
    lambda x: stats.make_distribution(scipy.stats.norm)().pdf(x),
])  # fmt: skip
def test_new_distributions_refuse(f: Callable[[Any], Any]) -> None:
    with pytest.raises(ChainruleError, match=r"test_scipy_stats\.py:\d+"):
        cr.grad(lambda x: np.sum(f(x)))(0.5)


# -- vectors and matrices ----------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(3, 3)) + 2 * np.eye(3)
ROOT2 = np.array([[1.2, 0.3], [-0.2, 0.8]])
MEAN, POINTS, ALPHA = RNG.normal(size=3), RNG.normal(size=(4, 3)), np.array([0.7, 2.0, 3.0])
COUNTS = np.array([[1.0, 2.0, 3.0], [0.0, 4.0, 2.0]])
LOGITS = np.array([0.1, -0.4, 0.6])


def spd(root: Any) -> Any:
    return root @ root.T


def softmax(x: Any) -> Any:
    return np.exp(x) / np.sum(np.exp(x))


VECTORS: list[tuple[str, str, Callable[..., Any], tuple[Any, ...]]] = [
    ("multivariate_normal", "logpdf", lambda x, m, r: (x, m, spd(r)), (POINTS, MEAN, ROOT)),
    ("multivariate_normal", "pdf", lambda x, m, r: (x, m, spd(r)), (POINTS[0], MEAN, ROOT)),
    ("multivariate_normal", "logpdf", lambda x, m, v: (x, m, v**2), (POINTS, MEAN, ALPHA)),
    ("multivariate_normal", "logpdf", lambda x, m, v: (x, m, v), (POINTS[:, 0], 0.3, 1.7)),
    ("multivariate_normal", "logpdf", lambda x: (x,), (0.4,)),
    ("multivariate_normal", "entropy", lambda m, r: (m, spd(r)), (MEAN, ROOT)),
    ("multivariate_t", "logpdf", lambda x, m, r, df: (x, m, spd(r), df), (POINTS, MEAN, ROOT, 3.5)),
    ("multivariate_t", "pdf", lambda x, m, r, df: (x, m, spd(r), df), (POINTS, MEAN, ROOT, 3.5)),
    ("multivariate_t", "entropy", lambda m, r, df: (m, spd(r), df), (MEAN, ROOT, 3.5)),
    ("dirichlet", "logpdf", lambda x, a: (softmax(x), a), (LOGITS, ALPHA)),
    ("dirichlet", "pdf", lambda x, a: (softmax(x)[:-1], a), (LOGITS, ALPHA)),
    *(("dirichlet", method, lambda a: (a,), (ALPHA,)) for method in ("mean", "var", "cov", "entropy")),
    ("multinomial", "logpmf", lambda p: (COUNTS, 6, softmax(p)), (LOGITS,)),
    ("multinomial", "pmf", lambda p: (COUNTS[0], 6, softmax(p)), (LOGITS,)),
    ("multinomial", "cov", lambda p: (6, softmax(p)), (LOGITS,)),
    ("wishart", "logpdf", lambda x, df, s: (spd(x), df, spd(s)), (ROOT.T, 5.5, ROOT)),
    ("wishart", "pdf", lambda x, df: (x, df, 0.7), (2.0, 1.5)),
    ("wishart", "entropy", lambda df, s: (df, spd(s)), (5.5, ROOT)),
    ("wishart", "mean", lambda df, s: (df, spd(s)), (5.5, ROOT)),
    ("wishart", "var", lambda df, s: (df, spd(s)), (5.5, ROOT)),
    ("invwishart", "logpdf", lambda x, df, s: (spd(x), df, spd(s)), (ROOT.T, 5.5, ROOT)),
    ("invwishart", "mean", lambda df, s: (df, spd(s)), (5.5, ROOT)),
    ("matrix_normal", "logpdf", lambda x, m, r, c: (x, m, spd(r), spd(c)), (POINTS[:3, :2], ROOT[:, :2], ROOT, ROOT2)),
    ("matrix_normal", "pdf", lambda x, r, c: (x, None, spd(r), spd(c)), (RNG.normal(size=(2, 3, 2)), ROOT, ROOT2)),
    ("dirichlet_multinomial", "logpmf", lambda a: (COUNTS[0].astype(int), a, 6), (ALPHA,)),
    *(("dirichlet_multinomial", method, lambda a: (a, 6), (ALPHA,)) for method in ("mean", "var", "cov")),
    ("normal_inverse_gamma", "logpdf", lambda *args: args, (0.3, 1.2, 0.1, 2.0, 1.5, 0.8)),
]


@pytest.mark.parametrize(("name", "method", "arguments", "values"), VECTORS, ids=[f"{c[0]}.{c[1]}" for c in VECTORS])
def test_vectors_and_matrices(name: str, method: str, arguments: Callable[..., Any], values: tuple[Any, ...]) -> None:
    if not hasattr(scipy.stats, name):
        pytest.skip("newer than this SciPy")
    twin, theirs = getattr(getattr(stats, name), method), getattr(getattr(scipy.stats, name), method)

    def f(*given: Any) -> Any:
        return twin(*arguments(*given))

    expected = theirs(*arguments(*values))
    found, pull = cr.vjp(f, *values)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    np.testing.assert_allclose(cr.jit(f)(*values), expected, rtol=1e-11)
    weights = RNG.normal(size=np.shape(expected))
    bars = pull(weights)
    for k, value in enumerate(values):
        direction, h = RNG.normal(size=np.shape(value)), 1e-3

        def at(t: float, k: int = k, value: Any = value, direction: Any = direction, h: float = h) -> Any:
            return np.sum(weights * theirs(*arguments(*values[:k], value + t * h * direction, *values[k + 1 :])))

        slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
        assert np.sum(bars[k] * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_frozen_vectors() -> None:
    cov = spd(ROOT)
    frozen = stats.multivariate_normal(MEAN, cov)
    np.testing.assert_allclose(cr.grad(lambda x: frozen.logpdf(x))(POINTS[0]), -np.linalg.solve(cov, POINTS[0] - MEAN))
    np.testing.assert_array_equal(
        frozen.rvs(2, random_state=0), scipy.stats.multivariate_normal(MEAN, cov).rvs(2, random_state=0)
    )
    found = cr.grad(lambda m: stats.multivariate_normal(mean=m, cov=cov).logpdf(POINTS[0]))(MEAN)
    np.testing.assert_allclose(found, np.linalg.solve(cov, POINTS[0] - MEAN))
    np.testing.assert_allclose(
        cr.jacobian(lambda a: stats.dirichlet(a).mean())(ALPHA), cr.jacobian(stats.dirichlet.mean)(ALPHA)
    )
    np.testing.assert_array_equal(frozen.mean, MEAN)
    np.testing.assert_array_equal(cr.jacobian(lambda m: stats.multivariate_normal(m, cov).mean)(MEAN), np.eye(3))


def test_singular_covariance() -> None:
    root = ROOT[:, :2]
    cov = root @ root.T
    x = MEAN + root @ np.array([0.3, -0.7])
    value, slope = cr.value_and_grad(lambda x: stats.multivariate_normal.logpdf(x, MEAN, cov, allow_singular=True))(x)
    assert value == pytest.approx(scipy.stats.multivariate_normal.logpdf(x, MEAN, cov, allow_singular=True))
    np.testing.assert_allclose(slope, -np.linalg.pinv(cov) @ (x - MEAN), atol=1e-9)
    off = cr.value_and_grad(lambda x: stats.multivariate_normal.pdf(x, MEAN, cov, allow_singular=True))(x + [0, 0, 5.0])
    assert off[0] == 0
    assert not np.any(off[1])
    with pytest.raises(np.linalg.LinAlgError, match=r"positive definite, at .*test_scipy_stats.py"):
        cr.grad(lambda c: stats.multivariate_normal.logpdf(x, MEAN, c))(-np.eye(3))


# -- samples -----------------------------------------------------------------------------------------------

Y = RNG.normal(size=(7, 3))
P = np.abs(Y) + 0.1
SAMPLES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("zscore", (Y,), {}), ("zscore", (Y, 1, 1), {}), ("zscore", (Y, None), {}), ("zmap", (Y, P), {}),
    ("gzscore", (P,), {"ddof": 1}), ("skew", (Y,), {}), ("skew", (Y, 1, False), {}), ("kurtosis", (Y,), {}),
    ("kurtosis", (Y, None, False, False), {}), ("moment", (Y, 3), {"keepdims": True}), ("moment", (Y, [2, 3]), {}),
    ("moment", (Y, 2), {"center": 0.3}), ("gmean", (P,), {}), ("gmean", (P, 1, None, ALPHA), {}), ("hmean", (P,), {}),
    ("pmean", (P, 2.5), {}), ("sem", (Y,), {}), ("variation", (P,), {}), ("entropy", (P,), {"base": 2}),
    ("entropy", (P, P[::-1] + 0.1), {}), ("iqr", (Y,), {}), ("iqr", (Y, 0), {"scale": "normal"}), ("gstd", (P,), {}),
    ("trim_mean", (Y, 0.2), {}), ("tmean", (Y, (-1, 1)), {}), ("tvar", (Y, (-1, 1), (True, True), None), {}),
    ("tstd", (Y,), {}), ("tsem", (Y,), {}), ("pearsonr", (Y[:, 0], Y[:, 1]), {}),
    ("linregress", (Y[:, 0], Y[:, 1]), {}), ("differential_entropy", (Y,), {}),
    ("differential_entropy", (Y.ravel(),), {"method": "vasicek"}), ("differential_entropy", (Y.ravel(),), {}),
    ("wasserstein_distance", (Y[:, 0], P[:, 1]), {}), ("energy_distance", (Y[:, 0], P[:, 1]), {}),
    ("wasserstein_distance", (Y[:, 0], P[:, 1]), {"u_weights": P[:, 0], "v_weights": P[:, 2]}),
    ("boxcox", (P[:, 0], 0.3), {}), ("boxcox_llf", (0.3, P), {}), ("yeojohnson", (Y[:, 0], 0.3), {}),
    ("yeojohnson_llf", (0.3, Y[:, 0]), {}), ("circmean", (Y,), {"axis": 0}), ("circvar", (Y,), {}),
    ("circstd", (Y,), {"high": 3.0}), ("median_abs_deviation", (Y,), {}), ("ttest_1samp", (Y, 0.1), {}),
    ("ttest_ind", (Y, P), {}), ("ttest_ind", (Y, P), {"equal_var": False}), ("ttest_rel", (Y, P[::-1]), {}),
    ("chisquare", (P,), {}), ("describe", (Y,), {}),
]  # fmt: skip


def leaves(result: Any) -> tuple[Any, ...]:
    result = tuple(result) if isinstance(result, tuple) or hasattr(result, "pvalue") else (result,)
    return result[2:] if len(result) == 6 and isinstance(result[1], tuple) else result


@pytest.mark.parametrize(("name", "args", "kwargs"), SAMPLES)
def test_samples(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    twin, theirs = getattr(stats, name), getattr(scipy.stats, name)
    places = [k for k, arg in enumerate(args) if isinstance(arg, np.ndarray) and (name != "gmean" or k == 0)]
    places += [0] if name.endswith("_llf") else []
    xs = [args[k] for k in places]

    def filled(values: Any) -> list[Any]:
        given = list(args)
        for k, value in zip(places, values, strict=True):
            given[k] = value
        return given

    expected = leaves(theirs(*args, **kwargs))
    found, pull = run(lambda: cr.vjp(lambda *v: leaves(twin(*filled(v), **kwargs)), *xs))
    for one, two in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(two)
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-14)
    weights = [RNG.normal(size=np.shape(each)) for each in expected]
    bars = run(lambda: pull(tuple(weights)))
    directions = [RNG.normal(size=np.shape(x)) for x in xs]

    def at(t: float) -> Any:
        moved = leaves(theirs(*filled([x + t * 1e-5 * d for x, d in zip(xs, directions, strict=True)]), **kwargs))
        return sum(np.sum(w * each) for w, each in zip(weights, moved, strict=True))

    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12e-5
    assert sum(np.sum(b * d) for b, d in zip(bars, directions, strict=True)) == pytest.approx(slope, rel=1e-6, abs=1e-8)
    if not hasattr(theirs(*args, **kwargs), "_fields") and len(expected) == 1:
        single = filled([np.asarray(x, np.float32) for x in xs])
        dtype = np.asarray(theirs(*single, **kwargs)).dtype
        if name not in ("boxcox", "yeojohnson") and not name.endswith(("_llf", "_distance")):
            result = cr.vjp(lambda *v: twin(*filled(v), **kwargs), *(single[k] for k in places))[0]
            assert np.asarray(result).dtype == dtype


def test_results_as_scipys() -> None:
    kept: list[Any] = []

    def f(y: Any) -> Any:
        slope, intercept, _, _, error = found = stats.linregress(P[:, 0], y)
        kept.append(found)
        return slope + intercept + error + found.intercept_stderr + stats.ttest_1samp(y, 0.2, nan_policy="propagate").df

    theirs = scipy.stats.linregress(P[:, 0], Y[:, 0])
    value = cr.value_and_grad(f)(Y[:, 0])[0]
    assert value == pytest.approx(theirs.slope + theirs.intercept + theirs.stderr + theirs.intercept_stderr + 6)
    assert kept[0]._fields == ("slope", "intercept", "rvalue", "pvalue", "stderr")


def test_entropy_at_zero() -> None:
    assert cr.vjp(lambda p: stats.entropy(p), np.array([0.0, 0.5, 0.5]))[0] == pytest.approx(np.log(2))
    assert stats.entropy([0.5, 0.5]) == scipy.stats.entropy([0.5, 0.5])


def test_density_estimates() -> None:
    data, points = Y.T, POINTS[:3, :3].T
    plain = scipy.stats.gaussian_kde(data)
    value = cr.vjp(lambda d, x: stats.gaussian_kde(d)(x), data, points)[0]
    np.testing.assert_allclose(value, plain(points), rtol=1e-12)
    assert cr.check_derivatives(lambda d, x: stats.gaussian_kde(d, "silverman").logpdf(x), data, points).error < 1e-6
    assert cr.check_derivatives(lambda x: stats.gaussian_kde(data).evaluate(x), points).error < 1e-6
    value = cr.vjp(lambda b, w: stats.gaussian_kde(data[0], b, w)(points[0]), 0.5, P[:, 0])[0]
    np.testing.assert_allclose(value, scipy.stats.gaussian_kde(data[0], 0.5, P[:, 0])(points[0]), rtol=1e-12)
    found = stats.gaussian_kde(data)
    assert isinstance(found, scipy.stats.gaussian_kde)
    np.testing.assert_array_equal(found.pdf(points), plain.pdf(points))
    assert found.integrate_box([-1] * 3, [1] * 3) == pytest.approx(plain.integrate_box([-1] * 3, [1] * 3), rel=1e-2)
    with pytest.raises(UnsupportedError, match="evaluate and logpdf"):
        cr.grad(lambda d: stats.gaussian_kde(d).integrate_box_1d(0, 1))(data[0])
