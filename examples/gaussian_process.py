"""Gaussian process regression: the hyperparameters that make the data most likely, by their gradient.

For y = f(x) + noise with a Gaussian process f of covariance a² exp(-(x - x')² / 2 l²), the logarithm of the
probability of y is -½ yᵀ K⁻¹ y - ½ log det K - n/2 log 2π, where K is the covariance of y. Its gradient goes
through `np.linalg.solve` and `slogdet`.

References:
    Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), equation 2.30.
"""

import numpy as np
from scipy.optimize import minimize

import chainrule as cr


def covariance(x, z, log_amplitude, log_length):
    """Return the covariances (n, m) of the process between points x (n,) and z (m,)."""
    distance = (x[:, None] - z[None, :]) / np.exp(log_length)
    return np.exp(2 * log_amplitude - 0.5 * distance**2)


def negative_log_likelihood(parameters, x, y):
    """Return minus the log density of y; parameters are the logarithms of amplitude, length and noise."""
    log_amplitude, log_length, log_noise = parameters
    k = covariance(x, x, log_amplitude, log_length) + np.exp(2 * log_noise) * np.eye(len(x))
    _, log_determinant = np.linalg.slogdet(k)
    return 0.5 * (y @ np.linalg.solve(k, y) + log_determinant + len(x) * np.log(2 * np.pi))


def data(count=60, seed=0):
    """Return noisy samples of a wave."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-4, 4, count))
    return x, np.sin(2 * x) + 0.5 * np.cos(x) + 0.2 * rng.standard_normal(count)


def predict(parameters, x, y, at):
    """Return mean and standard deviation of the process at new points."""
    log_amplitude, log_length, log_noise = parameters
    k = covariance(x, x, log_amplitude, log_length) + np.exp(2 * log_noise) * np.eye(len(x))
    across = covariance(at, x, log_amplitude, log_length)
    mean = across @ np.linalg.solve(k, y)
    variance = np.exp(2 * log_amplitude) - np.sum(across * np.linalg.solve(k, across.T).T, axis=1)
    return mean, np.sqrt(variance)


def main():
    """Fit, and predict at one point."""
    x, y = data()
    objective = cr.jit(cr.value_and_grad(negative_log_likelihood))
    found = minimize(objective, np.zeros(3), args=(x, y), jac=True)
    mean, deviation = predict(found.x, x, y, np.array([0.5]))
    print(f"log likelihood {-found.fun:.4f} with amplitude, length, noise {np.exp(found.x).round(4)}")
    print(f"f(0.5) = {mean[0]:.3f} ± {deviation[0]:.3f}, where it was {np.sin(1.0) + 0.5 * np.cos(0.5):.3f}")
    return found.x, -found.fun


if __name__ == "__main__":
    main()
