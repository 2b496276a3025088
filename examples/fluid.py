"""Smoke in a box: the wind that blows a blob to a given place in a hundred steps, found by the gradient through all.

Stable fluids on a periodic grid: in each step velocity and smoke are carried along the velocity, then the
velocity is made free of divergence by some Jacobi iterations.

References:
    Stam, Stable fluids, SIGGRAPH (1999).
"""

import numpy as np
from scipy.optimize import minimize

import chainrule as cr


def projected(vx, vy, rounds=6):
    """Return the velocity with most of its divergence taken out."""
    divergence = np.roll(vx, -1, 0) - np.roll(vx, 1, 0) + np.roll(vy, -1, 1) - np.roll(vy, 1, 1)
    pressure = np.zeros_like(divergence)
    for _ in range(rounds):
        around = np.roll(pressure, 1, 0) + np.roll(pressure, -1, 0) + np.roll(pressure, 1, 1) + np.roll(pressure, -1, 1)
        pressure = (around - 0.5 * divergence) / 4
    vx = vx - 0.5 * (np.roll(pressure, -1, 0) - np.roll(pressure, 1, 0))
    vy = vy - 0.5 * (np.roll(pressure, -1, 1) - np.roll(pressure, 1, 1))
    return vx, vy


def carried(field, vx, vy):
    """Return a field (n, n) carried along a velocity for one step, by bilinear interpolation."""
    rows, columns = field.shape
    x = np.arange(rows)[:, None] - vx
    y = np.arange(columns)[None, :] - vy
    left, low = np.floor(x), np.floor(y)
    a, b = x - left, y - low
    i, j = left.astype(int) % rows, low.astype(int) % columns
    k, m = (i + 1) % rows, (j + 1) % columns
    return (1 - a) * ((1 - b) * field[i, j] + b * field[i, m]) + a * ((1 - b) * field[k, j] + b * field[k, m])


def blown(wind, smoke, steps):
    """Return the smoke after some steps; wind is (2, n, n)."""
    vx, vy = wind
    for _ in range(steps):
        vx, vy = projected(vx, vy)
        vx, vy = carried(vx, vx, vy), carried(vy, vx, vy)
        smoke = carried(smoke, vx, vy)
    return smoke


def blob(n, x, y, width=2.0):
    """Return a round blob of smoke on an n × n grid."""
    rows, columns = np.mgrid[:n, :n]
    return np.exp(-0.5 * ((rows - x) ** 2 + (columns - y) ** 2) / width**2)


def miss(wind, smoke, target, steps):
    """Return the mean squared difference between the smoke at the end and the target."""
    return np.mean((blown(wind, smoke, steps) - target) ** 2)


def main(n=12, steps=100, rounds=40):
    """Find the wind, and return the misses before and after."""
    smoke, target = blob(n, 4, 4), blob(n, 7, 6)

    def objective(flat, smoke, target):
        return miss(flat.reshape(2, n, n), smoke, target, steps)

    gradient = cr.jit(cr.value_and_grad(objective))
    start = np.zeros(2 * n * n)
    before = objective(start, smoke, target)
    found = minimize(gradient, start, args=(smoke, target), jac=True, method="CG", options={"maxiter": rounds})
    print(
        f"mean squared miss {before:.5f} without wind, {found.fun:.5f} after {found.nit} steps of conjugate gradients"
    )
    return float(before), float(found.fun), found.x.reshape(2, n, n)


if __name__ == "__main__":
    main()
