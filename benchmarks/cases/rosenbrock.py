"""The gradient of the Rosenbrock function: for small n the time of a call, for large n that of memory."""

from __future__ import annotations

import numpy as np

from benchmarks.case import ALL, Case, normal, with_libraries


def rosenbrock(np, x):
    """Σ 100 (x[k+1] - x[k]²)² + (1 - x[k])²."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def by_hand(x):
    """Return its gradient, as `scipy.optimize.rosen_der` has it."""
    low = x[:-1]
    step = x[1:] - low**2
    found = np.zeros_like(x)
    found[:-1] = -400.0 * low * step - 2.0 * (1.0 - low)
    found[1:] += 200.0 * step
    return found


def _case(n: int) -> Case:
    return Case(
        f"rosenbrock-{n}",
        f"Rosenbrock, n = {n}, NumPy array in and out",
        lambda tiny=False: normal(0, (min(n, 10) if tiny else n,)),
        with_libraries(rosenbrock, *ALL, *(["casadi"] if n <= 10_000 else [])),
        by_hand=by_hand,
        numpy_ends=True,
        target=("jax", 2.0) if n <= 100 else ("jax", 1.0),
        limit=3e-6 if n == 10 else None,
    )


CASES = [_case(n) for n in (10, 100, 10_000, 1_000_000)]
