"""The heat equation on a grid, step by step, differentiated with respect to its start."""

from __future__ import annotations

import numpy as np

from benchmarks.case import ALL, COMPILED, Case, normal, with_libraries


def heat(steps: int):
    """Return the sum of squares of the difference to a goal, after some explicit steps with fixed ends."""

    def misfit(np, u, goal):
        for _ in range(steps):
            inner = u[1:-1, 1:-1] + 0.2 * (
                u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
            )
            rows = np.concatenate([u[:1, 1:-1], inner, u[-1:, 1:-1]], axis=0)
            u = np.concatenate([u[:, :1], rows, u[:, -1:]], axis=1)
        return np.sum((u - goal) ** 2)

    return misfit


def by_hand(steps: int):
    """Return its gradient in place."""

    def gradient(u, goal):
        u = u.copy()
        inner = np.s_[1:-1, 1:-1]
        for _ in range(steps):
            u[inner] += 0.2 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[inner])
        u_bar = 2 * (u - goal)
        for _ in range(steps):
            change = 0.2 * u_bar[inner]
            u_bar[inner] -= 4.0 * change
            u_bar[2:, 1:-1] += change
            u_bar[:-2, 1:-1] += change
            u_bar[1:-1, 2:] += change
            u_bar[1:-1, :-2] += change
        return u_bar

    return gradient


def _case(size: int, steps: int) -> Case:
    return Case(
        f"heat-{size}-{steps}",
        f"heat equation, {steps} steps on {size} × {size}",
        lambda tiny=False: normal(13, *[(6, 7) if tiny else (size, size)] * 2),
        with_libraries(heat(steps), *(COMPILED if size > 100 else ALL)),
        by_hand=by_hand(steps),
        target=("jax", 1.0),
    )


CASES = [_case(256, 20), _case(32, 20)]
