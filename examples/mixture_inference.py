"""Variational inference with a mixture: several Gaussians fitted to a density with two humps.

The bound is an expectation under each component, sampled as mean + deviation · noise with the same noise
throughout, so that it is a plain function which `scipy.optimize` can maximise. It can not exceed the logarithm
of the density's integral.

References:
    Gershman, Hoffman, Blei, Nonparametric variational inference, ICML (2012).
"""

import numpy as np
from scipy.optimize import minimize

import chainrule as cr
from chainrule.scipy.special import logsumexp


def log_density(x):
    """Return the logarithm of an unnormalized density at points x (n, 2): a bent hump beside a round one."""
    bent = -0.5 * (x[:, 0] ** 2 + (x[:, 1] + 0.5 * x[:, 0] ** 2 - 1) ** 2 / 0.3)
    round_ = -0.5 * np.sum((x - np.array([3.0, 1.5])) ** 2, axis=1) / 0.4
    return np.logaddexp(bent, round_)


def log_mixture(x, log_weights, means, log_deviations):
    """Return the log density of the mixture at points x (n, 2); weights (k,), means and deviations (k, 2)."""
    scaled = (x[:, None, :] - means) * np.exp(-log_deviations)
    logs = log_weights - np.sum(log_deviations, axis=1) - 0.5 * np.sum(scaled**2, axis=2) - np.log(2 * np.pi)
    return logsumexp(logs, axis=1)


def negative_lower_bound(parameters, noise):
    """Return minus the bound; noise (k, samples, 2)."""
    count = len(noise)
    logits, means, log_deviations = np.split(parameters, [count, 3 * count])
    means, log_deviations = means.reshape(count, 2), log_deviations.reshape(count, 2)
    log_weights = logits - logsumexp(logits)
    total = 0.0
    for k in range(count):
        x = means[k] + np.exp(log_deviations[k]) * noise[k]
        inside = np.mean(log_density(x) - log_mixture(x, log_weights, means, log_deviations))
        total = total + np.exp(log_weights[k]) * inside
    return -total


def main(count=5, samples=400, seed=11):
    """Fit, and return the bound."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, samples, 2))
    start = np.concatenate([np.zeros(count), 1.5 * rng.standard_normal(2 * count), np.full(2 * count, -0.5)])
    objective = cr.jit(cr.value_and_grad(negative_lower_bound))
    found = minimize(objective, start, args=(noise,), jac=True, method="L-BFGS-B")
    print(f"lower bound of the log evidence: {-objective(start, noise)[0]:.4f} at first, {-found.fun:.4f} at last")
    return float(-found.fun), found.x


if __name__ == "__main__":
    main()
