"""A language model of characters: an LSTM trained to say which character comes next.

References:
    Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9 (1997).
"""

import itertools

import numpy as np

import chainrule as cr
from chainrule.learn import adam
from chainrule.scipy.special import logsumexp

TEXT = "the sum over all paths of the product of the edges on each path is the derivative of the end by the start. "
LETTERS = sorted(set(TEXT))


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 0.5 * (np.tanh(0.5 * x) + 1)


def initialize(hidden=24, seed=4):
    """Return weights: of the gates (letters + hidden, 4 hidden), their biases, and of the output."""
    rng = np.random.default_rng(seed)
    letters = len(LETTERS)
    return {
        "gates": 0.2 * rng.standard_normal((letters + hidden, 4 * hidden)),
        "gate_biases": np.zeros(4 * hidden),
        "output": 0.2 * rng.standard_normal((hidden, letters)),
        "output_biases": np.zeros(letters),
    }


def loss(weights, sequences):
    """Return the mean of -log p(next letter) over one-hot sequences (length, batch, letters)."""
    hidden = weights["output"].shape[0]
    state = memory = np.zeros((sequences.shape[1], hidden))
    total = 0.0
    for now, following in itertools.pairwise(sequences):
        gates = np.hstack([now, state]) @ weights["gates"] + weights["gate_biases"]
        keep, write, show, new = np.split(gates, 4, axis=1)
        memory = sigmoid(keep) * memory + sigmoid(write) * np.tanh(new)
        state = sigmoid(show) * np.tanh(memory)
        scores = state @ weights["output"] + weights["output_biases"]
        total = total + np.mean(logsumexp(scores, axis=1) - np.sum(scores * following, axis=1))
    return total / (len(sequences) - 1)


def data(length=16):
    """Return pieces of the text as one-hot vectors (length, pieces, letters)."""
    codes = np.array([LETTERS.index(letter) for letter in TEXT])
    pieces = np.stack([codes[k : k + length] for k in range(0, len(codes) - length + 1, 8)], axis=1)
    return np.eye(len(LETTERS))[pieces]


def main(steps=60):
    """Train, and return the loss at each step."""
    sequences, weights = data(), initialize()
    step = cr.jit(cr.value_and_grad(loss))
    optimizer = adam(0.02)
    state, history = optimizer.init(weights), []
    for _ in range(steps):
        value, gradients = step(weights, sequences)
        history.append(float(value))
        weights, state = optimizer.update(weights, gradients, state)
    print(f"{history[0]:.4f} nats per letter at the start (log {len(LETTERS)} = {np.log(len(LETTERS)):.4f})")
    print(f"{history[-1]:.4f} after {steps} steps")
    return history


if __name__ == "__main__":
    main()
