"""Logistic regression, and least squares of a polynomial as in GradBench."""

from __future__ import annotations

import numpy as np

from benchmarks.case import ALL, COMPILED, Case, normal, with_libraries


def logistic(np, weights, x, signs):
    """Return the mean loss and half a square: labels are ±1."""
    margins = signs * (x @ weights)
    return np.sum(np.log1p(np.exp(-margins))) / x.shape[0] + 0.5 * np.sum(weights**2)


def logistic_by_hand(weights, x, signs):
    """Return its gradient."""
    margins = signs * (x @ weights)
    return x.T @ (-signs / (1 + np.exp(margins))) / len(x) + weights


def _logistic_arguments(n: int, d: int) -> list[np.ndarray]:
    weights, x, noise = normal(14, (d,), (n, d), (n,))
    return [0.1 * weights, x, np.sign(noise)]


def polynomial(np, coefficients, x):
    """Return half the sum of squares of sign(x) minus a polynomial, powers by a running product."""
    power, total = 1.0 + 0.0 * x, -np.sign(x)
    for k in range(coefficients.shape[0]):
        total = total + coefficients[k] * power
        power = power * x
    return 0.5 * np.sum(total**2)


def polynomial_by_hand(coefficients, x):
    """Return its gradient."""
    powers = np.vander(x, len(coefficients), increasing=True)
    return powers.T @ (powers @ coefficients - np.sign(x))


def _polynomial_arguments(n: int, m: int) -> list[np.ndarray]:
    return [normal(15, (m,))[0], np.linspace(-1, 1, n)]


def _logistic(n: int, d: int) -> Case:
    return Case(
        f"logistic-{n}-{d}",
        f"logistic regression, {n} × {d}",
        lambda tiny=False: _logistic_arguments(8, 3) if tiny else _logistic_arguments(n, d),
        with_libraries(logistic, *(COMPILED if n <= 1000 else ALL)),
        by_hand=logistic_by_hand,
        target=("jax", 1.0),
    )


def _polynomial(n: int, m: int) -> Case:
    return Case(
        f"polynomial-{n}-{m}",
        f"least squares of a polynomial with {m} coefficients at {n} nodes",
        lambda tiny=False: _polynomial_arguments(7, 4) if tiny else _polynomial_arguments(n, m),
        with_libraries(polynomial, "chainrule", "jax", "torch", "autograd"),
        by_hand=polynomial_by_hand,
        target=("jax", 1.0),
    )


CASES = [_logistic(1000, 50), _logistic(100_000, 50), _polynomial(16, 128), _polynomial(4096, 128)]
