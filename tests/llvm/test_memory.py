"""Memory does not grow with calls and compilations."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import numpy as np
import pytest

import chainrule as cr

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs the proc file system")


def resident() -> int:
    """Bytes of memory in use."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def growth(work: Callable[[int], None], count: int) -> float:
    """Bytes per repetition over the second half; the least of two, as other parts of the process grow too."""
    for k in range(count):
        work(k)
    found = []
    for _ in range(2):
        before = resident()
        for k in range(count):
            work(k)
        found.append((resident() - before) / count)
    return min(found)


def test_calls_of_small_functions() -> None:
    f = cr.jit(cr.grad(lambda x: np.sum(np.sin(x) * x)))
    x = np.arange(5.0)
    assert growth(lambda k: f(x), 20_000) < 8


def test_calls_with_large_arrays_steps_of_numpy_and_guards() -> None:
    f = cr.jit(lambda x: np.sort(x) * 2 if x[0] > 0 else np.linalg.norm(x) + x)
    x = np.ones(20_000)
    assert growth(lambda k: f(x if k % 2 else -x), 500) < 500


def test_calls_that_fail() -> None:
    f = cr.jit(lambda x, k: x[k])
    x = np.arange(2000.0)
    f(x, np.array([1]))

    def work(k: int) -> None:
        with pytest.raises(IndexError):
            f(x, np.array([5000]))

    assert growth(work, 200) < 2000


def test_compilations() -> None:
    x = np.arange(40.0)

    def work(k: int) -> None:
        assert cr.jit(lambda x: np.sum(x * (k + 2.5)))(x) == 780 * (k + 2.5)

    assert growth(work, 100) < 16_000  # LLVM itself keeps a few kilobytes for each module


def test_changed_surroundings() -> None:
    a = np.ones(3000)
    f = cr.jit(lambda x: np.sum(x * a))

    def work(k: int) -> None:
        a[0] = k
        f(a)

    assert growth(work, 300) < 2000
