"""One block of a transformer: attention of several heads, then a perceptron, with normalization."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.case import COMPILED, Case, with_libraries


def _normalize(np, x):
    away = x - np.sum(x, axis=-1, keepdims=True) / x.shape[-1]
    return away / np.sqrt(np.sum(away**2, axis=-1, keepdims=True) / x.shape[-1] + 1e-5)


def block(np, wq, wk, wv, wo, w1, w2, x):
    """Return the mean square of the block's results.

    Args:
        np: NumPy's functions.
        wq: (heads, width, width / heads); so are `wk` and `wv`.
        wk: See `wq`.
        wv: See `wq`.
        wo: (heads, width / heads, width).
        w1: (width, 4 width).
        w2: (4 width, width).
        x: (length, width).
    """
    y = _normalize(np, x)
    q, k, v = y @ wq, y @ wk, y @ wv  # (heads, length, width / heads)
    scores = q @ np.swapaxes(k, 1, 2) / math.sqrt(wq.shape[2])
    likely = np.exp(scores - np.logsumexp(scores, axis=2)[:, :, None])
    x = x + np.sum((likely @ v) @ wo, axis=0)
    y = _normalize(np, x)
    x = x + np.tanh(y @ w1) @ w2
    return np.sum(x**2) / (x.shape[0] * x.shape[1])


def arguments(heads: int, length: int, width: int, dtype=np.float32) -> list[np.ndarray]:
    """Return weights and an input."""
    rng = np.random.default_rng(12)
    part = width // heads
    shapes = [(heads, width, part)] * 3 + [(heads, part, width), (width, 4 * width), (4 * width, width)]
    found = [rng.standard_normal(shape) / math.sqrt(shape[-2]) for shape in shapes]
    return [array.astype(dtype) for array in (*found, rng.standard_normal((length, width)))]


def _case(heads: int, length: int, width: int) -> Case:
    return Case(
        f"attention-{heads}-{length}-{width}",
        f"attention block, {heads} heads, {length} × {width}, float32",
        lambda tiny=False: arguments(2, 5, 4) if tiny else arguments(heads, length, width),
        with_libraries(block, *COMPILED),
        argnums=tuple(range(6)),
        tolerance=2e-4,
        target=("jax", 1.0),
    )


CASES = [_case(4, 64, 128), _case(8, 256, 256)]
