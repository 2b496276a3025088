"""Variational inference along the natural gradient, for a model whose posterior is known: Bayesian linear regression.

The posterior of w given y = X w + noise is Gaussian. A Gaussian with mean m and a full covariance L Lᵀ is
fitted to it by ascending the evidence lower bound along F⁻¹ ∇, where F is Fisher's information of the fitted
Gaussian, here got from the Hessian of a Kullback-Leibler divergence, which no one has to derive.

References:
    Amari, Natural gradient works efficiently in learning, Neural Computation 10 (1998).
"""

import numpy as np

import chainrule as cr

DIMENSIONS = 3
ROWS, COLUMNS = np.tril_indices(DIMENSIONS)
NOISE, PRIOR = 0.5, 2.0  # standard deviations


def unpack(parameters):
    """Return mean (d,) and factor (d, d) of the covariance."""
    entries = parameters[DIMENSIONS:]
    factor = np.zeros_like(parameters, shape=(DIMENSIONS, DIMENSIONS))
    factor[ROWS, COLUMNS] = np.where(ROWS == COLUMNS, np.exp(entries), entries)
    return parameters[:DIMENSIONS], factor


def lower_bound(parameters, x, y):
    """Return E log p(y, w) - E log q(w) over w of the fitted Gaussian."""
    mean, factor = unpack(parameters)
    misfit = np.sum((y - x @ mean) ** 2) + np.sum((x @ factor) ** 2)
    likelihood = -0.5 * misfit / NOISE**2 - len(y) * np.log(NOISE * np.sqrt(2 * np.pi))
    size = np.sum(mean**2) + np.sum(factor**2)
    prior = -0.5 * size / PRIOR**2 - DIMENSIONS * np.log(PRIOR * np.sqrt(2 * np.pi))
    entropy = np.sum(np.log(np.diag(factor))) + 0.5 * DIMENSIONS * (1 + np.log(2 * np.pi))
    return likelihood + prior + entropy


def divergence(parameters, others):
    """Return KL(q(parameters) ‖ q(others)) of two Gaussians."""
    (mean, factor), (mean2, factor2) = unpack(parameters), unpack(others)
    between = np.linalg.solve(factor2, factor)
    away = np.linalg.solve(factor2, mean - mean2)
    logs = np.sum(np.log(np.diag(factor2))) - np.sum(np.log(np.diag(factor)))
    return logs + 0.5 * (np.sum(between**2) + np.sum(away**2) - DIMENSIONS)


def data(count=40, seed=6):
    """Return inputs and noisy outputs of a linear function."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, DIMENSIONS)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 0.3]])
    return x, x @ np.array([1.0, -2.0, 0.5]) + NOISE * rng.standard_normal(count)


def main(steps=25):
    """Fit the Gaussian, and return its mean and covariance."""
    x, y = data()
    gradient = cr.jit(cr.value_and_grad(lower_bound))
    information = cr.jit(cr.hessian(divergence))
    parameters = np.zeros(DIMENSIONS + len(ROWS))
    for _ in range(steps):
        value, slope = gradient(parameters, x, y)
        step = np.linalg.solve(information(parameters, parameters.copy()), slope)
        parameters = parameters + step / max(1.0, np.max(np.abs(step)))
    mean, factor = unpack(parameters)
    value, _ = gradient(parameters, x, y)
    print(f"lower bound {value:.6f} after {steps} steps along the natural gradient; mean {mean.round(3)}")
    return mean, factor @ factor.T, float(value)


if __name__ == "__main__":
    main()
