"""Many parts put together, as machine code; the cotangents of an array that was read element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.llvm.plan import Join


def filled(x: Any) -> Any:
    out = np.zeros(len(x))
    for k in range(len(x)):
        out[k] = np.sin(x[k]) * x[k - 1]
    return np.sum(out**2) + out[3] * out[-1]


def rows(x: Any) -> Any:
    out = np.zeros((20, len(x)))
    for k in range(20):
        out[k] = np.sin(x * k)
    return np.sum(np.tanh(out))


def columns(x: Any) -> Any:
    return np.sum(np.concatenate([np.sin(x[:, None] * k) for k in range(12)], axis=1) ** 3 * np.arange(12))


def pieces(x: Any) -> Any:
    """Overlapping, with gaps, of several lengths."""
    return np.sum(np.concatenate([x[k : 2 * k + 3] for k in range(1, 12)]) ** 2) + x[0] * x[-1]


def elements(x: Any) -> Any:
    table = x.reshape(4, -1)
    total = 0.0
    for i in range(3):
        for j in range(0, table.shape[1], 2):
            total = total + np.exp(table[i, j]) * table[j % 4, i]
    return total


FUNCTIONS = [filled, rows, columns, pieces, elements]


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_joined(f: Callable[..., Any], dtype: Any) -> None:
    x = np.random.default_rng(0).uniform(0.5, 1.5, 40).astype(dtype)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    for g in (f, cr.grad(f)):
        np.testing.assert_allclose(cr.jit(g)(x), g(x), rtol=tolerance, atol=tolerance)
    if dtype == np.float64:
        assert cr.check_derivatives(f, x).error < 1e-6


def test_rows_are_copied_once() -> None:
    fast = cr.jit(rows)
    fast(np.arange(50.0))
    (variant,) = fast.inspect().variants
    assert any(isinstance(step, Join) for step in variant.code.plan.steps)


def test_elements_read_one_by_one_need_no_array_each() -> None:
    def f(x: Any) -> Any:
        return sum(x[k] * x[k] for k in range(200))

    x = np.arange(200.0)
    graph = cr.trace(f, x).derivative("reverse")
    assert sum(node.op == "embed" for node in graph.nodes) == 0
    np.testing.assert_array_equal(cr.grad(f)(x), 2 * x)
