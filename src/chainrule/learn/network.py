"""A multilayer perceptron in plain NumPy: nothing in this file knows that it will be differentiated.

Sizes: n examples, d inputs, k classes. A layer maps (n, i) to (n, j) with a weight (i, j) and a bias (j,).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Layer", "accuracy", "classify", "count_parameters", "cross_entropy", "initialize", "predict", "relu"]

Array = npt.NDArray[Any]


class Layer(NamedTuple):
    """One affine map: ``x @ weight + bias``."""

    weight: Array
    bias: Array


Network = list[Layer]
"""The parameters of a multilayer perceptron, first layer first."""


def relu(x: Array) -> Array:
    """Return max(x, 0), entry by entry."""
    return np.maximum(x, 0)


def initialize(
    sizes: Sequence[int], generator: np.random.Generator, *, scheme: str = "he", dtype: npt.DTypeLike = np.float64
) -> Network:
    """Draw the weights of a new network; its biases are zero.

    Weights are uniform on ±√(6 / i) ("he", for relu) or ±√(6 / (i + j)) ("glorot", for tanh), which keeps the
    variance of the activations about the same from layer to layer.

    Args:
        sizes: Width of every layer, from the d inputs to the k classes: ``(64, 32, 10)`` has two layers.
        generator: Where the random numbers come from.
        scheme: "he" or "glorot".
        dtype: Floating-point type of the parameters.

    References:
        He et al., Delving deep into rectifiers (2015), ICCV, equation 10.
        Glorot & Bengio, Understanding the difficulty of training deep feedforward networks (2010), AISTATS,
        equation 16.
    """
    limits = {"he": lambda i, j: 6 / i, "glorot": lambda i, j: 6 / (i + j)}
    network = []
    for i, j in itertools.pairwise(sizes):
        limit = limits[scheme](i, j) ** 0.5
        network.append(Layer(generator.uniform(-limit, limit, (i, j)).astype(dtype), np.zeros(j, dtype)))
    return network


def predict(network: Network, x: Array, activation: Callable[[Array], Array] = relu) -> Array:
    """Return the logits (n, k) for inputs x (n, d)."""
    *hidden, last = network
    for weight, bias in hidden:
        x = activation(x @ weight + bias)
    return x @ last.weight + last.bias


def cross_entropy(network: Network, x: Array, labels: Array, activation: Callable[[Array], Array] = relu) -> Any:
    """Return the mean over n examples of −log softmax(logits)[label], a scalar.

    The largest logit of each example is subtracted first, so that no exponential overflows.

    Args:
        network: Parameters, as from `initialize`.
        x: Inputs (n, d).
        labels: The class of each example, integers (n,) from 0 to k − 1.
        activation: What follows every layer but the last.
    """
    logits = predict(network, x, activation)
    logits = logits - logits.max(axis=1, keepdims=True)
    normalizer = np.log(np.exp(logits).sum(axis=1))
    return np.mean(normalizer - logits[np.arange(len(labels)), labels])


def classify(network: Network, x: Array, activation: Callable[[Array], Array] = relu) -> Array:
    """Return the most likely class (n,) of each of the inputs x (n, d)."""
    return predict(network, x, activation).argmax(axis=1)


def accuracy(network: Network, x: Array, labels: Array, activation: Callable[[Array], Array] = relu) -> float:
    """Return the fraction, from 0 to 1, of the inputs x (n, d) whose most likely class is the label."""
    return float(np.mean(classify(network, x, activation) == labels))


def count_parameters(network: Network) -> int:
    """Return how many numbers the network has to learn."""
    return sum(layer.weight.size + layer.bias.size for layer in network)
