"""A variational autoencoder of handwritten digits of 8 × 8 pixels.

The encoder gives mean and log deviation of a code of two numbers, the decoder the probability of each pixel;
the evidence lower bound is the log probability of the pixels minus the divergence of the code's distribution
from a standard normal one.

References:
    Kingma & Welling, Auto-encoding variational Bayes, ICLR (2014).
"""

import itertools

import numpy as np

import chainrule as cr
from chainrule.learn import adam, load_digits

CODE = 2


def initialize(hidden=32, seed=9):
    """Return the layers of encoder and decoder, each a pair of weights and biases."""
    rng = np.random.default_rng(seed)

    def layers(*sizes):
        return [(rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)) for a, b in itertools.pairwise(sizes)]

    return {"encoder": layers(64, hidden, 2 * CODE), "decoder": layers(CODE, hidden, 64)}


def network(layers, x):
    """Return the output of layers with hyperbolic tangents in between."""
    *first, (matrix, biases) = layers
    for w, b in first:
        x = np.tanh(x @ w + b)
    return x @ matrix + biases


def negative_lower_bound(parameters, pixels, noise):
    """Return minus the bound per picture; pixels (n, 64) from 0 to 1, noise (n, code)."""
    out = network(parameters["encoder"], pixels)
    mean, log_deviation = out[:, :CODE], out[:, CODE:]
    code = mean + np.exp(log_deviation) * noise
    scores = network(parameters["decoder"], code)
    reconstruction = np.sum(pixels * scores - np.logaddexp(0, scores), axis=1)
    divergence = 0.5 * np.sum(np.exp(2 * log_deviation) + mean**2 - 1 - 2 * log_deviation, axis=1)
    return np.mean(divergence - reconstruction)


def main(steps=150, batch=100, seed=10):
    """Train, and return the bounds."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(load_digits().train_x, float)
    parameters = initialize()
    step = cr.jit(cr.value_and_grad(negative_lower_bound))
    optimizer = adam(0.01)
    state, history = optimizer.init(parameters), []
    for _ in range(steps):
        chosen = pixels[rng.integers(0, len(pixels), batch)]
        value, gradients = step(parameters, chosen, rng.standard_normal((batch, CODE)))
        history.append(float(value))
        parameters, state = optimizer.update(parameters, gradients, state)
    print(f"minus the lower bound {history[0]:.2f} nats per picture at first, {np.mean(history[-10:]):.2f} at last")
    return history


if __name__ == "__main__":
    main()
