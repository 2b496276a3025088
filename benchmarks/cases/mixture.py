"""The log posterior of a Gaussian mixture with a Wishart prior: the objective of ADBench, from its mathematics.

References:
    Šrajer, Kukelova, Fitzgibbon, A benchmark of selected algorithmic differentiation tools on some problems in
    computer vision and machine learning, Optimization Methods and Software 33 (2018).
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.case import ALL, COMPILED, Case, with_libraries

GAMMA, M = 1.0, 0  # of the prior


def objective(np, alphas, means, log_diagonals, lows, x, places):
    """Return the log posterior.

    Args:
        np: NumPy's functions.
        alphas: (k,) logarithms of weights, up to a constant.
        means: (k, d).
        log_diagonals: (k, d) logarithms of the diagonals of the square roots of the precisions.
        lows: (k, d (d-1) / 2) what is below the diagonals.
        x: (n, d) the data.
        places: (d, d) where in `lows`, with a zero put after it, each element of a strictly lower triangle is.
    """
    n, d = x.shape
    diagonals = np.exp(log_diagonals)
    triangles = np.concatenate([lows, 0 * diagonals[:, :1]], axis=1)[:, places]  # (k, d, d)
    away = x[:, None, :] - means  # (n, k, d)
    scaled = np.einsum("kij,nkj->nki", triangles, away) + diagonals * away
    inner = alphas + np.sum(log_diagonals, axis=1) - 0.5 * np.sum(scaled**2, axis=2)
    slack = np.sum(np.logsumexp(inner, axis=1)) - n * np.logsumexp(alphas, axis=0)
    prior = 0.5 * GAMMA**2 * (np.sum(diagonals**2) + np.sum(lows**2)) - M * np.sum(log_diagonals)
    return -n * d * 0.5 * math.log(2 * math.pi) + slack - prior


def arguments(n: int, d: int, k: int) -> list[np.ndarray]:
    """Return a mixture and data."""
    rng = np.random.default_rng(2)
    places = np.full((d, d), d * (d - 1) // 2)
    places[np.tril_indices(d, -1)] = np.arange(d * (d - 1) // 2)
    return [
        rng.standard_normal(k),
        rng.standard_normal((k, d)),
        0.1 * rng.standard_normal((k, d)),
        0.1 * rng.standard_normal((k, d * (d - 1) // 2)),
        rng.standard_normal((n, d)),
        places,
    ]


def _case(n: int, d: int, k: int, slow: bool = False) -> Case:
    return Case(
        f"mixture-{n}-{d}-{k}",
        f"Gaussian mixture, n = {n}, d = {d}, k = {k}",
        lambda tiny=False: arguments(20, 3, 2) if tiny else arguments(n, d, k),
        with_libraries(objective, *(COMPILED if (n, d) in ((1000, 10), (10_000, 20)) else ALL)),
        argnums=(0, 1, 2, 3),
        kind="value and gradient",
        target=("jax", 1.0),
        slow=slow,
    )


CASES = [
    _case(1000, 2, 5),
    _case(1000, 10, 5),
    _case(1000, 10, 100),
    _case(1000, 20, 25),
    _case(1000, 64, 25, slow=True),
    _case(10_000, 2, 25),
    _case(10_000, 10, 25, slow=True),
    _case(10_000, 20, 5),
]
