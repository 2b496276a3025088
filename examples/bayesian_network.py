"""A Bayesian neural network: a distribution over its weights, fitted by variational inference.

Every weight is Gaussian with a mean and a deviation of its own. The evidence lower bound is estimated with
weights sampled as mean + deviation · noise, so its gradient reaches both; the noise is drawn outside and passed
in.

References:
    Blundell et al., Weight uncertainty in neural networks, ICML (2015).
"""

import itertools

import numpy as np

import chainrule as cr
from chainrule.learn import adam, linear_decay

SIZES = (1, 16, 1)
NOISE = 0.1  # standard deviation of the data


def predict(weights, x):
    """Return the network's outputs (n,) at inputs x (n,) for one vector of all weights."""
    layer, start = x[:, None], 0
    for k, (rows, columns) in enumerate(itertools.pairwise(SIZES)):
        matrix = weights[start : start + rows * columns].reshape(rows, columns)
        biases = weights[start + rows * columns : start + (rows + 1) * columns]
        start += (rows + 1) * columns
        layer = layer @ matrix + biases
        if k < len(SIZES) - 2:
            layer = np.tanh(layer)
    return layer[:, 0]


def negative_lower_bound(parameters, noise, x, y):
    """Return minus the bound, a mean over noise (samples, w); parameters are means and log deviations (2, w)."""
    mean, log_deviation = parameters
    total = 0.0
    for each in noise:
        weights = mean + np.exp(log_deviation) * each
        total = total - 0.5 * np.sum((y - predict(weights, x)) ** 2) / NOISE**2 - 0.5 * np.sum(weights**2)
    entropy = np.sum(log_deviation)
    return -(total / len(noise) + entropy)


def data(count=30, seed=7):
    """Return noisy samples of a cubic, with a gap."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.uniform(-1.5, -0.3, count // 2), rng.uniform(0.5, 1.5, count // 2)])
    return x, 0.5 * x**3 - 0.3 * x + NOISE * rng.standard_normal(len(x))


def main(steps=3000, samples=2, seed=8):
    """Fit, and return the bounds and the deviations of predictions on data and in the gap."""
    x, y = data()
    rng = np.random.default_rng(seed)
    count = sum((rows + 1) * columns for rows, columns in itertools.pairwise(SIZES))
    parameters = np.stack([0.5 * rng.standard_normal(count), np.full(count, -3.0)])
    step = cr.jit(cr.value_and_grad(negative_lower_bound))
    optimizer = adam(linear_decay(0.03, steps))
    state, history = optimizer.init(parameters), []
    for _ in range(steps):
        value, gradient = step(parameters, rng.standard_normal((samples, count)), x, y)
        history.append(float(value))
        parameters, state = optimizer.update(parameters, gradient, state)
    drawn = parameters[0] + np.exp(parameters[1]) * rng.standard_normal((200, count))
    inside, outside = (np.std([predict(w, at) for w in drawn], axis=0).mean() for at in (x, np.array([-3.0, 3.0])))
    print(f"minus the lower bound {history[0]:.1f} at first, {np.mean(history[-200:]):.1f} at last")
    print(f"deviation of predictions {inside:.3f} at the data, {outside:.3f} far from it")
    return history, float(inside), float(outside)


if __name__ == "__main__":
    main()
