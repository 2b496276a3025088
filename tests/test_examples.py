"""The examples run, and find what is found in another way: by a formula, by another program, or by JAX."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats

import chainrule as cr

FOLDER = Path(__file__).parents[1] / "examples"


@cache
def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def jax() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def test_all_are_tested() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    elsewhere = {"stages"}  # tests/test_cli.py
    assert {path.stem for path in FOLDER.glob("*.py")} - elsewhere <= tested


def adam_steps(jax: Any, loss: Any, params: Any, rate: float, batches: list[tuple[Any, ...]]) -> list[float]:
    """Losses of steps of Adam, by JAX; Kingma & Ba (2015), algorithm 1."""
    step = jax.jit(jax.value_and_grad(loss))
    mean = square = jax.tree.map(lambda p: 0 * p, params)
    losses = []
    for t, batch in enumerate(batches, start=1):
        value, slope = step(params, *batch)
        losses.append(float(value))
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, slope)
        params = jax.tree.map(
            lambda p, m, s, t=t: p - rate * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8),
            params, mean, square,
        )  # fmt: skip
    return losses


def test_gaussian_process() -> None:
    gp = pytest.importorskip("sklearn.gaussian_process")
    module = example("gaussian_process")
    parameters, value = module.main()
    x, y = module.data()
    kernels = gp.kernels
    kernel = kernels.ConstantKernel(1.0) * kernels.RBF(1.0) + kernels.WhiteKernel(1.0)
    fitted = gp.GaussianProcessRegressor(kernel, alpha=0).fit(x[:, None], y)
    assert np.isclose(value, fitted.log_marginal_likelihood_value_, rtol=1e-6)
    amplitude, length, noise = np.exp(parameters)
    assert np.allclose(np.exp(fitted.kernel_.theta), [amplitude**2, length, noise**2], rtol=2e-3)
    mean, deviation = fitted.predict(np.array([[0.5]]), return_std=True)
    found = module.predict(parameters, x, y, np.array([0.5]))
    assert np.isclose(found[0], mean, rtol=1e-3)
    assert np.isclose(np.hypot(found[1], noise), deviation, rtol=1e-2)


def test_gaussian_mixture() -> None:
    mixture = pytest.importorskip("sklearn.mixture")
    module = example("gaussian_mixture")
    parameters, value = module.main()
    x = module.data()
    means = np.array([[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
    fitted = mixture.GaussianMixture(3, tol=1e-12, max_iter=2000, means_init=means, reg_covar=0).fit(x)
    assert np.isclose(value, fitted.score(x) * len(x), rtol=1e-8)  # expectation maximisation ends at the same place
    weights, centres, factors = module.unpack(parameters, 3)
    order, other = np.argsort(centres[:, 0]), np.argsort(fitted.means_[:, 0])
    assert np.allclose(np.exp(weights)[order], fitted.weights_[other], atol=1e-4)
    assert np.allclose(centres[order], fitted.means_[other], atol=1e-3)
    precisions = factors @ np.swapaxes(factors, 1, 2)
    assert np.allclose(precisions[order], fitted.precisions_[other], atol=2e-2)


def test_hidden_markov() -> None:
    module = example("hidden_markov")
    history, tables = module.main()
    sequence = module.sample()
    rng = np.random.default_rng(3)
    start, move, emit = (
        (lambda t: t / t.sum(-1, keepdims=True))(rng.uniform(0.5, 1.5, shape)) for shape in ((2,), (2, 2), (2, 3))
    )
    for expected in history:  # Baum and Welch's algorithm, with both recursions
        count = len(sequence)
        forward, backward, scale = np.zeros((count, 2)), np.ones((count, 2)), np.zeros(count)
        for t, symbol in enumerate(sequence):
            forward[t] = (start if t == 0 else forward[t - 1] @ move) * emit[:, symbol]
            scale[t] = forward[t].sum()
            forward[t] /= scale[t]
        for t in range(count - 2, -1, -1):
            backward[t] = move @ (emit[:, sequence[t + 1]] * backward[t + 1]) / scale[t + 1]
        assert np.isclose(np.log(scale).sum(), expected, rtol=1e-10)
        states = forward * backward
        moves = sum(
            np.outer(forward[t], emit[:, sequence[t + 1]] * backward[t + 1]) * move / scale[t + 1]
            for t in range(count - 1)
        )
        emits = np.stack([states[np.array(sequence) == symbol].sum(0) for symbol in range(3)], axis=1)
        start, move, emit = (each / each.sum(-1, keepdims=True) for each in (states[0], moves, emits))
    assert all(np.allclose(np.exp(a), b, atol=1e-8) for a, b in zip(tables, (start, move, emit), strict=True))
    assert history[-1] > history[0] + 5


def test_lstm_language(jax: Any) -> None:
    module = example("lstm_language")
    history = module.main()
    assert history[-1] < 0.5 < 2.5 < history[0]
    jnp, sequences = jax.numpy, module.data()

    def loss(weights: Any, sequences: Any) -> Any:
        def step(carry: Any, now: Any) -> Any:
            state, memory = carry
            gates = jnp.concatenate([now, state], 1) @ weights["gates"] + weights["gate_biases"]
            keep, write, show, new = jnp.split(gates, 4, axis=1)
            memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(write) * jnp.tanh(new)
            state = jax.nn.sigmoid(show) * jnp.tanh(memory)
            return (state, memory), jax.nn.log_softmax(state @ weights["output"] + weights["output_biases"])

        zeros = jnp.zeros((sequences.shape[1], 24))
        _, logs = jax.lax.scan(step, (zeros, zeros), sequences[:-1])
        return -jnp.mean(jnp.sum(logs * sequences[1:], axis=2))

    expected = adam_steps(jax, loss, module.initialize(), 0.02, [(sequences,)] * 30)
    np.testing.assert_allclose(history[:30], expected, rtol=1e-6)


def test_independent_components() -> None:
    module = example("independent_components")
    w, mixing = module.main()
    assert module.confusion(w, mixing) < 0.03
    gradient = cr.grad(module.negative_log_likelihood)(w, module.data()[0])
    assert np.max(np.abs(gradient)) < 1e-3
    sources = module.data()[0] @ w.T  # the condition for a maximum: E tanh(s) sᵀ = 1
    assert np.allclose(np.tanh(sources).T @ sources / len(sources), np.eye(3), atol=2e-3)


def test_natural_gradient() -> None:
    module = example("natural_gradient")
    mean, covariance, bound = module.main()
    x, y = module.data()
    precision = x.T @ x / module.NOISE**2 + np.eye(3) / module.PRIOR**2
    assert np.allclose(covariance, np.linalg.inv(precision), atol=1e-8)
    assert np.allclose(mean, np.linalg.solve(precision, x.T @ y) / module.NOISE**2, atol=1e-8)
    marginal = scipy.stats.multivariate_normal(cov=module.NOISE**2 * np.eye(len(y)) + module.PRIOR**2 * x @ x.T)
    assert np.isclose(bound, marginal.logpdf(y), rtol=1e-10)  # the bound is tight where the family holds the posterior


def test_bayesian_network(jax: Any) -> None:
    module = example("bayesian_network")
    history, inside, outside = module.main()
    assert np.mean(history[-200:]) < 0.05 * history[0]
    assert outside > inside
    jnp, (x, y) = jax.numpy, module.data()
    rng = np.random.default_rng(8)
    count = 16 + 16 + 16 + 1
    parameters = np.stack([0.5 * rng.standard_normal(count), np.full(count, -3.0)])
    noise = rng.standard_normal((2, count))

    def loss(parameters: Any) -> Any:
        mean, log_deviation = parameters
        weights = mean + jnp.exp(log_deviation) * noise
        one, b1, two, b2 = weights[:, :16], weights[:, 16:32], weights[:, 32:48], weights[:, 48:]
        hidden = jnp.tanh(x[:, None] * one[:, None, :] + b1[:, None, :])
        outputs = jnp.einsum("snh,sh->sn", hidden, two) + b2
        fit = -0.5 * jnp.sum((y - outputs) ** 2, axis=1) / 0.01 - 0.5 * jnp.sum(weights**2, axis=1)
        return -jnp.mean(fit) - jnp.sum(log_deviation)

    value, gradient = jax.value_and_grad(loss)(parameters)
    found = cr.value_and_grad(module.negative_lower_bound)(parameters, noise, x, y)
    assert np.isclose(found[0], value, rtol=1e-12)
    assert np.isclose(history[0], value, rtol=1e-10)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-9)


def test_variational_autoencoder(jax: Any) -> None:
    pytest.importorskip("sklearn")
    module = example("variational_autoencoder")
    history = module.main()
    assert np.mean(history[-10:]) < 29 < 40 < history[0]
    jnp = jax.numpy
    pixels = np.asarray(module.load_digits().train_x, float)
    rng = np.random.default_rng(10)
    batches = []
    for _ in range(10):
        batches.append((pixels[rng.integers(0, len(pixels), 100)], rng.standard_normal((100, 2))))

    def layers(x: Any, found: Any) -> Any:
        (w1, b1), (w2, b2) = found
        return jnp.tanh(x @ w1 + b1) @ w2 + b2

    def loss(parameters: Any, pixels: Any, noise: Any) -> Any:
        mean, log_deviation = jnp.split(layers(pixels, parameters["encoder"]), 2, axis=1)
        scores = layers(mean + jnp.exp(log_deviation) * noise, parameters["decoder"])
        logs = pixels * jax.nn.log_sigmoid(scores) + (1 - pixels) * jax.nn.log_sigmoid(-scores)
        divergence = 0.5 * (jnp.exp(2 * log_deviation) + mean**2 - 1) - log_deviation
        return jnp.mean(jnp.sum(divergence, axis=1) - jnp.sum(logs, axis=1))

    expected = adam_steps(jax, loss, module.initialize(), 0.01, batches)
    np.testing.assert_allclose(history[:10], expected, rtol=1e-6)


def test_mixture_inference() -> None:
    module = example("mixture_inference")
    bound, parameters = module.main()
    noise = np.random.default_rng(12).standard_normal((5, 40_000, 2))
    fresh = -module.negative_lower_bound(parameters, noise)  # with noise that it has not been fitted to
    x, step = np.linspace(-8, 8, 801, retstep=True)
    points = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    evidence = np.log(np.sum(np.exp(module.log_density(points))) * step**2)
    assert evidence - 0.1 < fresh < evidence
    assert abs(bound - fresh) < 0.05


def test_fluid() -> None:
    module = example("fluid")
    before, after, wind = module.main()
    assert after < 0.1 * before
    smoke, target = module.blob(12, 4, 4), module.blob(12, 7, 6)
    direction = np.random.default_rng(13).standard_normal(wind.shape)
    slope = np.sum(cr.grad(module.miss)(0.5 * wind, smoke, target, 20) * direction)
    h = np.longdouble(1e-8)  # the same program in higher precision
    wide = [np.asarray(each, np.longdouble) for each in (0.5 * wind, smoke, target, direction)]
    sides = [module.miss(wide[0] + sign * h * wide[3], wide[1], wide[2], 20) for sign in (1, -1)]
    assert np.isclose(slope, float((sides[0] - sides[1]) / (2 * h)), rtol=1e-6)
