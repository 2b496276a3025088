"""Sums of elementary functions over large arrays: vector mathematics and memory."""

from __future__ import annotations

import numpy as np

from benchmarks.case import ALL, COMPILED, Case, normal, with_libraries


def bump(np, x):
    """Σ sin(x) exp(-x²)."""
    return np.sum(np.sin(x) * np.exp(-(x**2)))


def bump_by_hand(x):
    """Return its gradient."""
    return np.exp(-(x**2)) * (np.cos(x) - 2 * x * np.sin(x))


def length(np, x):
    """Σ sqrt(1 + x²)."""
    return np.sum(np.sqrt(1 + x**2))


def length_by_hand(x):
    """Return its gradient, in one array."""
    found = x * x
    found += 1
    np.sqrt(found, out=found)
    np.divide(x, found, out=found)
    return found


def logsumexp(np, x):
    """Logarithm of Σ exp(x)."""
    return np.logsumexp(x, axis=0)


def softmax(x):
    """Return the gradient of `logsumexp`."""
    found = np.exp(x - x.max())
    found /= found.sum()
    return found


def _case(name: str, f, by_hand, n: int, dtype, **options) -> Case:
    return Case(
        name,
        f"{f.__doc__.rstrip('.')}, {n:.0e} {np.dtype(dtype).name}".replace("e+0", "e"),
        lambda tiny=False: normal(1, (100 if tiny else n,), dtype=dtype),
        with_libraries(f, *(COMPILED if n > 1000 and n < 10**8 else ALL)),
        by_hand=by_hand,
        tolerance=1e-9 if dtype is float else 1e-5,
        **options,
    )


CASES = [
    _case("bump-double", bump, bump_by_hand, 10**6, float, target=("jax", 4.0)),
    _case("bump-float", bump, bump_by_hand, 10**6, np.float32, target=("jax", 1.0)),
    _case("bump-small", bump, bump_by_hand, 1000, float, target=("jax", 1.0)),
    _case("length-1e7", length, length_by_hand, 10**7, np.float32, target=("copy", 1 / 1.2), memory=True),
    _case("length-1e8", length, length_by_hand, 10**8, np.float32, target=("copy", 1 / 1.2), memory=True, slow=True),
    _case("logsumexp", logsumexp, softmax, 10**6, float, target=("jax", 1.0)),
]
