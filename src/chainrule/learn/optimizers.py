"""Optimizers as pairs of pure functions over any structure of arrays.

```
optimizer = adam(0.001)
state = optimizer.init(params)
params, state = optimizer.update(params, gradients, state)
```

Nothing is changed in place: the old parameters and the old state stay what they were. Every leaf keeps its shape
and its dtype. A learning rate is a number, or a function of the number of steps already taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.tree import map_leaves

__all__ = ["AdamState", "MomentumState", "Optimizer", "SgdState", "adam", "linear_decay", "momentum", "sgd"]

Rate = float | Callable[[int], float]
"""A learning rate, or the learning rate as a function of the number of steps taken before."""


class Optimizer(NamedTuple):
    """``init(params) -> state`` and ``update(params, gradients, state) -> (params, state)``."""

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


class SgdState(NamedTuple):
    """What `sgd` remembers: the number of steps taken."""

    step: int


class MomentumState(NamedTuple):
    """What `momentum` remembers: the number of steps, and a velocity with the structure of the parameters."""

    step: int
    velocity: Any


class AdamState(NamedTuple):
    """What `adam` remembers: the number of steps, and two moving averages shaped like the parameters."""

    step: int
    mean: Any
    square: Any


def sgd(learning_rate: Rate = 0.1) -> Optimizer:
    """Gradient descent: p ← p − η g.

    With gradients of random minibatches this is stochastic gradient descent.

    References:
        Robbins & Monro, A stochastic approximation method (1951), Ann. Math. Statist. 22(3), 400-407.
    """

    def init(params: Any) -> SgdState:
        return SgdState(0)

    def update(params: Any, gradients: Any, state: SgdState) -> tuple[Any, SgdState]:
        rate = _rate(learning_rate, state.step)
        return map_leaves(lambda p, g: p - rate * g, params, gradients), SgdState(state.step + 1)

    return Optimizer(init, update)


def momentum(learning_rate: Rate = 0.01, *, decay: float = 0.9) -> Optimizer:
    """Gradient descent with a heavy ball: v ← β v + g, then p ← p − η v, where β is ``decay``.

    References:
        Polyak, Some methods of speeding up the convergence of iteration methods (1964), section 2.
        Sutskever et al., On the importance of initialization and momentum in deep learning (2013), ICML.
    """

    def init(params: Any) -> MomentumState:
        return MomentumState(0, map_leaves(np.zeros_like, params))

    def update(params: Any, gradients: Any, state: MomentumState) -> tuple[Any, MomentumState]:
        rate = _rate(learning_rate, state.step)
        velocity = map_leaves(lambda v, g: decay * v + g, state.velocity, gradients)
        params = map_leaves(lambda p, v: p - rate * v, params, velocity)
        return params, MomentumState(state.step + 1, velocity)

    return Optimizer(init, update)


def adam(learning_rate: Rate = 0.001, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Gradient descent scaled by running moments of each gradient entry.

    m ← β₁ m + (1 − β₁) g and s ← β₂ s + (1 − β₂) g², both divided at step t (counted from 1) by 1 − βᵗ because they
    start at zero; then p ← p − η m̂ / (√ŝ + ε).

    References:
        Kingma & Ba, Adam: a method for stochastic optimization (2015), ICLR, algorithm 1.
    """

    def init(params: Any) -> AdamState:
        zeros = map_leaves(np.zeros_like, params)
        return AdamState(0, zeros, zeros)

    def update(params: Any, gradients: Any, state: AdamState) -> tuple[Any, AdamState]:
        rate, step = _rate(learning_rate, state.step), state.step + 1
        mean = map_leaves(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, gradients)
        square = map_leaves(lambda s, g: beta2 * s + (1 - beta2) * g * g, state.square, gradients)
        unbias_mean, unbias_square = 1 / (1 - beta1**step), 1 / (1 - beta2**step)
        params = map_leaves(
            lambda p, m, s: p - rate * (unbias_mean * m) / (np.sqrt(unbias_square * s) + epsilon),
            params,
            mean,
            square,
        )
        return params, AdamState(step, mean, square)

    return Optimizer(init, update)


def linear_decay(learning_rate: float, steps: int) -> Callable[[int], float]:
    """Return a learning rate that falls on a straight line, to reach zero after ``steps`` steps."""
    return lambda step: learning_rate * max(0.0, 1 - step / steps)


def _rate(learning_rate: Rate, step: int) -> float:
    """The learning rate as a Python float, which leaves float32 arrays float32."""
    return float(learning_rate(step) if callable(learning_rate) else learning_rate)
