"""The training loop: minibatches, one reverse sweep each, one step of the optimizer each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.api import value_and_grad
from chainrule.errors import ExpressionError
from chainrule.learn.checks import ForwardCost, GradientCheck
from chainrule.learn.digits import Digits
from chainrule.learn.network import Array, Network, accuracy, classify, cross_entropy
from chainrule.learn.optimizers import Optimizer

__all__ = ["Epoch", "Training", "fit", "minibatches"]

DIVERGED = 1e3
"""A loss in nats that no training which is under way comes near: guessing at random costs log 10 = 2.3."""

Augment = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images.

    Attributes:
        loss: Mean cross-entropy (nats) of its minibatches, each before its own step.
        train_accuracy: Fraction of the training images read correctly after the epoch.
        test_accuracy: The same of the held-out images.
        seconds: Time since the training began.
    """

    number: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What came out of a training.

    Attributes:
        network: The learned parameters.
        history: One entry per epoch.
        steps: Number of minibatches, so of gradients.
        optimizer: Name of the optimizer.
        learning_rate: At the first step; it falls linearly to zero.
        batch_size: Images per minibatch.
        seed: What the weights and the order of the images were drawn from.
        digits: The images, with their split.
        check: Reverse mode against finite differences, before the first step.
        cost: What the same gradient costs forwards and in reverse.
        files: What was written.
    """

    network: Network
    history: tuple[Epoch, ...]
    steps: int
    optimizer: str
    learning_rate: float
    batch_size: int
    seed: int
    digits: Digits
    check: GradientCheck
    cost: ForwardCost
    files: tuple[Path, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, inputs and classes included."""
        return (self.network[0].weight.shape[0], *(layer.bias.size for layer in self.network))

    @property
    def test_accuracy(self) -> float:
        """Fraction of the held-out images that the final network reads correctly."""
        return self.history[-1].test_accuracy

    @property
    def train_accuracy(self) -> float:
        """Fraction of the training images that the final network reads correctly."""
        return self.history[-1].train_accuracy

    @property
    def seconds(self) -> float:
        """Duration of the loop, evaluation after every epoch included."""
        return self.history[-1].seconds

    @property
    def answers(self) -> Array:
        """What the final network reads in each held-out image."""
        return classify(self.network, self.digits.test_x)


def minibatches(
    x: Array, labels: Array, batch_size: int, generator: np.random.Generator, augment: Augment | None = None
) -> Iterator[tuple[Array, Array]]:
    """Yield all examples once, in random order, ``batch_size`` at a time; the last batch may be smaller."""
    order = generator.permutation(len(labels))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        yield (x[chosen] if augment is None else augment(x[chosen], generator)), labels[chosen]


def fit(
    network: Network,
    digits: Digits,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    generator: np.random.Generator,
    augment: Augment | None = None,
    on_step: Callable[[float], None] = lambda loss: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[Network, tuple[Epoch, ...]]:
    """Learn to read the training images; return the new network and one `Epoch` per pass.

    Args:
        network: Where to start; it stays as it is.
        digits: Training images, and the held-out ones that only measure accuracy.
        optimizer: As from `chainrule.learn.sgd`.
        epochs: Passes over the training images.
        batch_size: Images per gradient.
        generator: Draws the order of the images.
        augment: Changes the images of a batch before they are used.
        on_step: Called with the loss of every minibatch.
        on_epoch: Called after every epoch.

    Raises:
        ExpressionError: the loss went beyond all bounds, so the learning rate was too large.
    """
    loss_and_gradient = value_and_grad(cross_entropy)
    state = optimizer.init(network)
    history: list[Epoch] = []
    start = time.perf_counter()
    for number in range(1, epochs + 1):
        losses = []
        for x, labels in minibatches(digits.train_x, digits.train_labels, batch_size, generator, augment):
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging training is told of below
                loss, gradient = loss_and_gradient(network, x, labels)
                network, state = optimizer.update(network, gradient, state)
            if not loss < DIVERGED:  # NaN included
                raise ExpressionError(
                    f"the training diverged: the loss is {loss:.3g} in epoch {number}; "
                    "a smaller learning rate (--learning-rate) would work"
                )
            losses.append(float(loss))
            on_step(losses[-1])
        history.append(
            Epoch(
                number,
                float(np.mean(losses)),
                accuracy(network, digits.train_x, digits.train_labels),
                accuracy(network, digits.test_x, digits.test_labels),
                time.perf_counter() - start,
            )
        )
        on_epoch(history[-1])
    return network, tuple(history)
