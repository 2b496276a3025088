"""Products without care for exact zeros: where that was wrong it shows, and the result is computed with care."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.llvm.executable import TRIES, Executable

ROOTS = np.array([0.0, 1.0, 2.0, -1.0])


def positive(x: Any) -> Any:
    return np.where(x > 0, np.sqrt(x), 0.0)


FUNCTIONS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "numbers": (lambda x: np.where(x[0] > 0, np.sqrt(x[0]), 0.0) * x[1], np.array([0.0, 3.0])),
    "chain of numbers": (lambda x: np.sin(positive(x[0])) + x[1] ** 2 * positive(x[2]), np.array([0.0, 3.0, 0.0])),
    "loop": (lambda x: np.sum(np.where(x > 0, np.log(x), 0.0)), np.tile(ROOTS, 300)),
    "slice": (lambda x: np.sum(np.sqrt(x)[1:]), np.arange(1000.0)),
    "total": (lambda x: np.sum(positive(x)) ** 2, np.tile(ROOTS, 300)),
    "rows": (lambda x: np.sum(np.sum(positive(x), axis=0) ** 2), np.tile(ROOTS, (500, 1))),
    "columns": (lambda x: np.sum(np.sum(positive(x), axis=1) ** 2), np.tile(ROOTS, (500, 5))),
    "product": (lambda x: np.sum(np.tanh(np.outer(positive(x), np.ones(9)) @ np.ones((9, 3)))), np.tile(ROOTS, 99)),
    "float32": (lambda x: np.sum(positive(x)), np.tile(ROOTS, 50).astype(np.float32)),
    "threads": (lambda x: np.sum(positive(x)), np.tile(ROOTS, 500_000)),
    "largest": (lambda x: np.max(positive(x)) * np.sum(x), np.tile(ROOTS, 50)),
    "solve": (lambda x: np.sum(np.linalg.solve(np.eye(4) * 3 + positive(x), np.ones(4))), ROOTS),
}  # fmt: skip


def code_of(fast: Any) -> Executable:
    (family,) = fast.families.values()
    (variant,) = family.variants
    return variant.code


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zero_beside_infinity(name: str) -> None:
    f, x = FUNCTIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cr.grad(f)(x)
        assert np.isfinite(expected).all()
        fast = cr.jit(cr.grad(f))
        for _ in range(TRIES + 2):
            np.testing.assert_allclose(fast(x), expected, rtol=1e-5 if x.dtype == np.float32 else 1e-12)
    code = code_of(fast)
    assert code.seen_nan in (0, TRIES)  # from then on with care at once
    assert (code.careful is None) == (code.seen_nan == 0)


def test_no_second_version_without_nan() -> None:
    f, x = FUNCTIONS["loop"]
    fast = cr.jit(cr.grad(f))
    with np.errstate(invalid="ignore"):
        fast(np.abs(x) + 1)
    assert code_of(fast).watches
    assert code_of(fast).careful is None


def test_a_nan_of_the_function_is_a_nan() -> None:
    x = np.array([np.nan, 1.0, 2.0])
    fast = cr.jit(cr.grad(lambda x: np.sum(np.sin(x) * x)))
    for _ in range(4):
        np.testing.assert_array_equal(np.isnan(fast(x)), np.isnan(x))
    np.testing.assert_allclose(fast(x + 1)[1:], cr.grad(lambda x: np.sum(np.sin(x) * x))(x + 1)[1:])


def test_what_was_seen_is_forgotten() -> None:
    fast = cr.jit(cr.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0))))
    good, bad = np.full(100, 4.0), np.zeros(100)
    with np.errstate(all="ignore"):
        for x, slope in ((good, 0.25), (bad, 0.0), (good, 0.25), (good, 0.25)):
            np.testing.assert_array_equal(fast(x), np.full(100, slope))
    assert code_of(fast).seen_nan == 1
