"""Samples as functions of their parameters: distributions, and derivatives of moments and of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

import chainrule as cr
from chainrule import random

COUNT = 20_000
CASES: dict[str, tuple[tuple[float, ...], Any]] = {
    "normal": ((0.5, 1.5), scipy.stats.norm(0.5, 1.5)),
    "lognormal": ((0.2, 0.5), scipy.stats.lognorm(0.5, scale=np.exp(0.2))),
    "uniform": ((-1.0, 2.0), scipy.stats.uniform(-1, 3)),
    "exponential": ((2.0,), scipy.stats.expon(scale=2.0)),
    "laplace": ((0.5, 2.0), scipy.stats.laplace(0.5, 2.0)),
    "logistic": ((0.5, 2.0), scipy.stats.logistic(0.5, 2.0)),
    "gumbel": ((0.5, 2.0), scipy.stats.gumbel_r(0.5, 2.0)),
    "cauchy": ((0.5, 2.0), scipy.stats.cauchy(0.5, 2.0)),
    "rayleigh": ((2.0,), scipy.stats.rayleigh(scale=2.0)),
    "weibull": ((1.7,), scipy.stats.weibull_min(1.7)),
    "pareto": ((3.5,), scipy.stats.lomax(3.5)),
    "power": ((2.5,), scipy.stats.powerlaw(2.5)),
    "triangular": ((-1.0, 0.5, 2.0), scipy.stats.triang(0.5, -1.0, 3.0)),
    "gamma": ((2.5, 1.5), scipy.stats.gamma(2.5, scale=1.5)),
    "chisquare": ((3.0,), scipy.stats.chi2(3.0)),
    "beta": ((2.0, 3.5), scipy.stats.beta(2.0, 3.5)),
    "f": ((3.0, 7.0), scipy.stats.f(3.0, 7.0)),
    "standard_t": ((4.0,), scipy.stats.t(4.0)),
}


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("name", CASES)
def test_samples_have_their_distribution(name: str) -> None:
    parameters, distribution = CASES[name]
    drawn = getattr(random, name)(rng(), *parameters, COUNT)
    assert drawn.shape == (COUNT,)
    assert scipy.stats.kstest(drawn, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", CASES)
def test_each_sample_moves_with_its_parameters(name: str) -> None:
    """Traced and plain samples are the same numbers, and derivatives those of the sample with the noise held fixed."""
    parameters, _ = CASES[name]
    draw = getattr(random, name)

    def sample(*values: Any) -> Any:
        return draw(rng(), *values, 40)

    value, push = cr.linearize(sample, *parameters)
    np.testing.assert_allclose(value, sample(*parameters), rtol=1e-13)
    for k in range(len(parameters)):
        direction = [float(j == k) for j in range(len(parameters))]
        h = 1e-4
        ahead, behind = (sample(*(p + s * h * d for p, d in zip(parameters, direction, strict=True))) for s in (1, -1))
        np.testing.assert_allclose(push(*direction), (ahead - behind) / (2 * h), rtol=2e-5, atol=2e-6)
    pulled = cr.vjp(sample, *parameters)[1](np.ones(40))
    for k, each in enumerate(pulled):
        direction = [float(j == k) for j in range(len(parameters))]
        np.testing.assert_allclose(each, np.sum(push(*direction)), rtol=1e-9)


@pytest.mark.parametrize("shape", [0.3, 1.0, 5.0, 80.0])
def test_gamma_agrees_with_jax(shape: float) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    value, push = cr.linearize(lambda a: random.gamma(rng(), a, 1.0, 200), shape)
    expected = jax.lax.random_gamma_grad(np.full(200, shape), value)
    np.testing.assert_allclose(push(1.0), expected, rtol=2e-4)  # JAX's is a fit


def test_gradients_of_moments() -> None:
    def moments(a: Any, b: Any) -> Any:
        return np.mean(random.beta(rng(), a, b, COUNT))

    a, b = 2.0, 3.0
    expected = b / (a + b) ** 2, -a / (a + b) ** 2  # of a / (a + b)
    np.testing.assert_allclose(cr.grad(moments, (0, 1))(a, b), expected, rtol=0.02)
    second = cr.grad(cr.grad(lambda a: np.mean(random.gamma(rng(), a, 1.0, COUNT) ** 2)))(a)
    assert np.isclose(second, 2.0, rtol=0.05)  # of a (a + 1)


def test_dirichlet_and_multivariate_normal() -> None:
    alpha = np.array([0.7, 1.5, 3.0])
    drawn = random.dirichlet(rng(), alpha, COUNT)
    assert drawn.shape == (COUNT, 3)
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    np.testing.assert_allclose(drawn.mean(axis=0), alpha / alpha.sum(), atol=0.01)
    jacobian = cr.jacobian(lambda alpha: np.mean(random.dirichlet(rng(), alpha, COUNT), axis=0))(alpha)
    np.testing.assert_allclose(jacobian, np.eye(3) / alpha.sum() - alpha[:, None] / alpha.sum() ** 2, atol=0.01)

    factor = np.array([[1.0, 0.0], [0.4, 0.8]])
    mean, cov = np.array([1.0, -1.0]), factor @ factor.T
    drawn = random.multivariate_normal(rng(), mean, cov, COUNT)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.03)
    weights = np.array([2.0, -1.0])
    slope = cr.grad(lambda c: np.mean((random.multivariate_normal(rng(), mean, c, COUNT) @ weights) ** 2))(cov)
    np.testing.assert_allclose(slope, np.outer(weights, weights), atol=0.25)


def test_shapes_are_those_of_numpy() -> None:
    assert np.shape(random.normal(rng(), 0.0, 1.0)) == ()
    assert random.normal(rng(), np.zeros(3), np.ones((2, 1))).shape == (2, 3)
    assert random.gamma(rng(), np.ones(3), size=(4, 3)).shape == (4, 3)
    assert random.dirichlet(rng(), np.ones(3)).shape == (3,)
    with pytest.raises(cr.ChainruleError, match=r"shape \(3,\) do not fit size \(4,\).*test_random"):
        random.normal(rng(), np.zeros(3), 1.0, 4)


def test_vmap() -> None:
    found = cr.vmap(lambda a: random.gamma(rng(), a, 1.0, 5))(np.array([0.5, 2.0]))
    np.testing.assert_allclose(found, [random.gamma(rng(), a, 1.0, 5) for a in (0.5, 2.0)])


def test_drawing_in_compiled_code_is_noticed() -> None:
    generator = rng()
    fast = cr.jit(cr.grad(lambda a: np.sum(random.gamma(generator, a, 1.0, 3))))
    with pytest.warns(UserWarning, match="does not do the same twice"):
        first = fast(2.0)
    assert fast(2.0) != first
    noise = rng().random(3)
    fast = cr.jit(cr.grad(lambda a, u: np.sum(scipy.special.gammaincinv(a, u))))  # noise from outside
    np.testing.assert_allclose(fast(2.0, noise), cr.grad(lambda a: np.sum(random.gamma(rng(), a, 1.0, 3)))(2.0))


@pytest.mark.parametrize(
    ("draw", "advice"),
    [
        (lambda r, x: r.normal(x, 1.0), "standard_normal"),
        (lambda r, x: r.gamma(x), r"chainrule\.random"),
        (lambda r, x: r.beta(x, 2.0), r"chainrule\.random"),
        (lambda r, x: r.poisson(x), "no derivative"),
        (lambda r, x: random.normal(r.normal(), x), "generator"),
    ],
)
def test_numpys_own_draws_say_what_works(draw: Any, advice: str) -> None:
    with pytest.raises(cr.ChainruleError, match=rf"(?s)test_random.*{advice}|{advice}.*test_random"):
        cr.grad(lambda x: 1.0 * draw(rng(), x))(1.5)


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match=r"draw them with rng\.poisson"):
        _ = random.poisson
