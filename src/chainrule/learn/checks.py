"""Two questions about one gradient: is it right, and what would it have cost in forward mode?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.api import grad, linearize, value_and_grad
from chainrule.learn.network import Array
from chainrule.tree import flatten, map_leaves, unflatten

__all__ = ["Durations", "ForwardCost", "GradientCheck", "check_gradient", "measure_forward_cost"]


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """Reverse mode beside central differences at a few coordinates.

    Attributes:
        coordinates: Positions in the flattened parameters, drawn at random.
        reverse: The derivatives there from one reverse sweep.
        differences: The same from two evaluations each.
        error: Largest |reverse − difference| relative to the larger of the two, or to 1e-4 of the largest entry of the
            gradient where both are smaller than that: there the differences have no digits left.
    """

    coordinates: tuple[int, ...]
    reverse: tuple[float, ...]
    differences: tuple[float, ...]
    error: float


@dataclass(frozen=True, slots=True)
class Durations:
    """The median of repeated measurements in seconds, with their smallest and largest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """One gradient in reverse mode (one pass) and in forward mode (one pass per parameter).

    Attributes:
        parameters: How many passes forward mode needs.
        measured: How many of them were run, and how often the reverse pass was.
        forward: Seconds of one forward pass; the function itself is evaluated once for all of them, which is not
            counted.
        reverse: Seconds of one reverse pass, the evaluation of the function included.
    """

    parameters: int
    measured: int
    forward: Durations
    reverse: Durations

    @property
    def forward_seconds(self) -> float:
        """All forward passes one after the other: the median times their number, an extrapolation."""
        return self.forward.median * self.parameters

    @property
    def ratio(self) -> float:
        """How many times longer forward mode takes."""
        return self.forward_seconds / self.reverse.median


def check_gradient(
    loss: Callable[..., Any], params: Any, *args: Any, generator: np.random.Generator, count: int = 20
) -> GradientCheck:
    """Compare the gradient of ``loss(params, *args)`` with (f(p + h) − f(p − h)) / 2h at random coordinates.

    The step h is the cube root of the rounding unit, scaled with p, which balances the error of the formula (of order
    h²) and of rounding (of order 1 / h); everything is computed in float64. Some 7 digits agree when all is well.

    References:
        Nocedal & Wright, Numerical Optimization, 2nd ed. (2006), section 8.1.
    """
    params = map_leaves(lambda leaf: np.asarray(leaf, dtype=np.float64), params)
    point, rebuild = _ravel(params)
    gradient, _ = _ravel(grad(loss)(params, *args))
    coordinates = generator.choice(point.size, size=min(count, point.size), replace=False)
    differences = np.empty(len(coordinates))
    for k, coordinate in enumerate(coordinates):
        step = np.finfo(np.float64).eps ** (1 / 3) * max(1.0, abs(point[coordinate]))
        above, below = point.copy(), point.copy()
        above[coordinate] += step
        below[coordinate] -= step
        rise = loss(rebuild(above), *args) - loss(rebuild(below), *args)
        differences[k] = rise / (above[coordinate] - below[coordinate])
    reverse = gradient[coordinates]
    scale = np.maximum(np.maximum(np.abs(reverse), np.abs(differences)), 1e-4 * np.abs(gradient).max())
    error = np.max(np.abs(reverse - differences) / np.where(scale == 0, 1, scale))
    return GradientCheck(
        tuple(coordinates.tolist()), tuple(reverse.tolist()), tuple(differences.tolist()), float(error)
    )


def measure_forward_cost(
    loss: Callable[..., Any], params: Any, *args: Any, generator: np.random.Generator, repeat: int = 15
) -> ForwardCost:
    """Time a few forward passes, each along one random parameter, and as many reverse passes."""
    point, rebuild = _ravel(params)
    loss_and_gradient = value_and_grad(loss)
    _, push = linearize(lambda p: loss(p, *args), params)

    def forward_pass() -> None:
        direction = np.zeros_like(point)
        direction[generator.integers(point.size)] = 1
        push(rebuild(direction))

    return ForwardCost(
        point.size, repeat, _measure(forward_pass, repeat), _measure(lambda: loss_and_gradient(params, *args), repeat)
    )


def _measure(run: Callable[[], Any], repeat: int) -> Durations:
    run()  # what happens only once, such as filling caches, is not counted
    durations = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return Durations(float(np.median(durations)), min(durations), max(durations))


def _ravel(params: Any) -> tuple[Array, Callable[[Array], Any]]:
    """Return all leaves as one vector, and the way back."""
    leaves, structure = flatten(params)
    shapes = [np.shape(leaf) for leaf in leaves]
    ends = np.cumsum([np.size(leaf) for leaf in leaves])

    def rebuild(vector: Array) -> Any:
        parts = np.split(vector, ends[:-1])
        return unflatten(structure, [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])

    return np.concatenate([np.ravel(leaf) for leaf in leaves]), rebuild
