"""Training steps of perceptrons: products of matrices."""

from __future__ import annotations

import itertools

import numpy as np

from benchmarks.case import COMPILED, Case, with_libraries

RATE = 0.1


def loss(np, w1, b1, w2, b2, w3, b3, x, y):
    """Return the mean cross-entropy of a perceptron with tanh for one-hot labels y."""
    h = np.tanh(x @ w1 + b1)
    h = np.tanh(h @ w2 + b2)
    logits = h @ w3 + b3
    return (np.sum(np.logsumexp(logits, axis=1)) - np.sum(y * logits)) / x.shape[0]


def step(library, *args):
    """Return the loss and the parameters after one step of gradient descent."""
    value, gradients = library.value_and_grad(lambda *all_args: loss(library.np, *all_args), range(6))(*args)
    return value, [parameter - RATE * gradient for parameter, gradient in zip(args, gradients, strict=False)]


def by_hand(w1, b1, w2, b2, w3, b3, x, y):
    """Return the same."""
    h1 = x @ w1
    h1 += b1
    np.tanh(h1, out=h1)
    h2 = h1 @ w2
    h2 += b2
    np.tanh(h2, out=h2)
    logits = h2 @ w3 + b3
    top = logits.max(axis=1, keepdims=True)
    likely = np.exp(logits - top)
    total = likely.sum(axis=1, keepdims=True)
    value = (np.sum(np.log(total) + top) - np.sum(y * logits)) / len(x)
    likely /= total
    likely -= y
    likely /= len(x)
    g3 = h2.T @ likely
    d2 = likely @ w3.T
    d2 *= 1 - h2 * h2
    g2 = h1.T @ d2
    d1 = d2 @ w2.T
    d1 *= 1 - h1 * h1
    g1 = x.T @ d1
    gradients = [(w1, g1), (b1, d1.sum(0)), (w2, g2), (b2, d2.sum(0)), (w3, g3), (b3, likely.sum(0))]
    return value, [parameter - np.float32(RATE) * gradient for parameter, gradient in gradients]


def arguments(sizes: tuple[int, ...], batch: int) -> list[np.ndarray]:
    """Return parameters, inputs and labels."""
    rng = np.random.default_rng(5)
    found = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        found += [rng.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in), np.zeros(fan_out)]
    found += [rng.standard_normal((batch, sizes[0])), np.eye(sizes[-1])[rng.integers(0, sizes[-1], batch)]]
    return [array.astype(np.float32) for array in found]


def _case(sizes: tuple[int, ...], batch: int) -> Case:
    return Case(
        f"perceptron-{batch}-{'-'.join(map(str, sizes))}",
        f"gradient descent step, perceptron {'-'.join(map(str, sizes))}, batch {batch}, float32",
        lambda tiny=False: arguments((5, 4, 3, 2), 6) if tiny else arguments(sizes, batch),
        with_libraries(step, *COMPILED),
        kind="step",
        by_hand=by_hand,
        tolerance=1e-4,
        target=("jax", 1.0),
    )


CASES = [_case((784, 512, 256, 10), 128), _case((20, 32, 32, 5), 16)]
