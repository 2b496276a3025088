"""A differential equation whose right-hand side is a small network, by the classical Runge-Kutta method."""

from __future__ import annotations

import numpy as np

from benchmarks.case import Case, with_libraries

STEP = 0.05


def _right_hand_side(np, w1, b1, w2, b2, y):
    return w2 @ np.tanh(w1 @ y + b1) + b2


def _advance(np, parameters, y):
    k1 = _right_hand_side(np, *parameters, y)
    k2 = _right_hand_side(np, *parameters, y + 0.5 * STEP * k1)
    k3 = _right_hand_side(np, *parameters, y + 0.5 * STEP * k2)
    k4 = _right_hand_side(np, *parameters, y + STEP * k3)
    return y + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def misfit(np, w1, b1, w2, b2, start, goals):
    """Return the sum of squares of the differences to a goal after each step."""
    y, total = start, 0.0
    for t in range(goals.shape[0]):
        y = _advance(np, (w1, b1, w2, b2), y)
        total = total + np.sum((y - goals[t]) ** 2)
    return total


def misfit_casadi(np, w1, b1, w2, b2, start, goals):
    """The same where a row of a matrix is a row."""
    y, total = start, 0.0
    for t in range(goals.shape[0]):
        y = _advance(np, (w1, b1, w2, b2), y)
        total = total + np.sumsqr(y - goals[t, :].T)
    return total


def misfit_scan(np, w1, b1, w2, b2, start, goals):
    """The same with JAX's loop."""

    def step(y, goal):
        y = _advance(np, (w1, b1, w2, b2), y)
        return y, np.sum((y - goal) ** 2)

    return np.sum(np.scan(step, start, goals)[1])


def arguments(steps: int) -> list[np.ndarray]:
    """Return a network of sizes 2, 16, 2, a start and goals."""
    rng = np.random.default_rng(16)
    shapes = (16, 2), (16,), (2, 16), (2,), (2,), (steps, 2)
    return [0.3 * rng.standard_normal(shape) for shape in shapes]


CASES = [
    Case(
        "ode-100",
        "neural differential equation, 2-16-2, 100 Runge-Kutta steps",
        lambda tiny=False: arguments(3 if tiny else 100),
        with_libraries(misfit, "chainrule", "jax", "torch", "autograd", casadi=misfit_casadi, jax_scan=misfit_scan),
        argnums=(0, 1, 2, 3),
        target=("jax", 1.0),
        first=10.0,
    )
]
