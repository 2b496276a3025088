"""Several threads, calls inside calls, forked processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaln

import chainrule as cr
from chainrule.llvm import module, threads
from chainrule.ops.host import host
from chainrule.tracing import TracedArray, record


def at_once(work: Callable[[int], Any], count: int = 8) -> list[Any]:
    """Run work in several threads that start together; their results, or the first error."""
    barrier = threading.Barrier(count)

    def start(k: int) -> Any:
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three threads share every loop of at least 64 elements."""
    monkeypatch.setattr(module, "PARALLEL", 1)
    monkeypatch.setenv("CHAINRULE_NUM_THREADS", "3")


def value(x: Any) -> Any:
    return np.sum(np.sin(x) * np.exp(-x * x))


def test_one_function_in_many_threads() -> None:
    f = cr.jit(cr.value_and_grad(value))
    expected = [cr.value_and_grad(value)(np.arange(5.0) + k) for k in range(8)]

    def work(k: int) -> None:
        x = np.arange(5.0) + k
        for _ in range(50):
            y, slope = f(x)
            np.testing.assert_allclose(y, expected[k][0], rtol=1e-12)
            np.testing.assert_allclose(slope, expected[k][1], rtol=1e-12)

    at_once(work)


def test_many_compilations_at_once() -> None:
    def work(k: int) -> None:
        f = cr.jit(lambda x: np.sum(x * k) if x[0] > 0 else x[k] + gammaln(x[1]))
        x = np.arange(1.0, 12.0)
        np.testing.assert_allclose(f(x), x.sum() * k)
        np.testing.assert_allclose(f(x - 2), k - 1 + gammaln(0.0))
        np.testing.assert_allclose(f(x), x.sum() * k)

    at_once(work)


def test_many_variants_found_at_once() -> None:
    f = cr.jit(lambda x: x * int(x))

    def work(k: int) -> None:
        for j in range(12):
            x = (j + k) % 12 + 0.5
            assert f(x) == x * int(x)

    at_once(work)


def test_shared_loops_in_many_threads(shared: None) -> None:
    f = cr.jit(lambda x: (np.sin(x) * 2, np.sum(x * x), np.sum(x.reshape(-1, 100), axis=0)))

    def work(k: int) -> None:
        x = np.arange(10_000.0) + k
        for _ in range(5):
            y, total, columns = f(x)
            np.testing.assert_allclose(y, np.sin(x) * 2, rtol=1e-14)
            np.testing.assert_allclose(total, np.sum(x * x), rtol=1e-14)
            np.testing.assert_allclose(columns, np.sum(x.reshape(-1, 100), axis=0), rtol=1e-14)

    at_once(work)


def test_results_do_not_depend_on_the_moment(shared: None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_001)
    f = cr.jit(lambda x: np.sum(np.exp(x)))
    assert len({f(x) for _ in range(20)}) == 1


def test_a_call_inside_a_call() -> None:
    """A derivative rule that NumPy runs in between calls the same compiled function."""
    depth = []

    def plain(x: np.ndarray) -> np.ndarray:
        if len(depth) < 2:
            depth.append(1)
            f(x + 1.0)  # uses the memory of f
            depth.pop()
        return np.asarray(x * 10.0)

    def function(x: Any) -> Any:
        y = np.exp(x) + 1.0
        z = by_numpy(plain, np.log(y - 1.0))
        return y, z + y

    f = cr.jit(function)
    x = np.arange(4.0)
    for _ in range(2):
        y, total = f(x)
        np.testing.assert_allclose(y, np.exp(x) + 1)
        np.testing.assert_allclose(total, 10 * x + np.exp(x) + 1)


def by_numpy(function: Callable[..., Any], x: Any) -> Any:
    """Let NumPy run a function in the middle of compiled code."""
    return record(host, x, function=function, kwargs=()) if isinstance(x, TracedArray) else function(x)


def test_memory_of_a_thread_is_freed_with_it() -> None:
    f = cr.jit(lambda x: np.sum(x * 2) + 1)
    f(np.ones(100))
    (variant,) = f.inspect().variants

    def work() -> None:
        f(np.ones(100))
        local = variant.code._local.__dict__
        assert local

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_equal(f(np.ones(100)), 201.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_shares_loops_and_compiles(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import os, sys, threading
import numpy as np
import chainrule as cr
from chainrule.llvm import engine, module, threads
module.PARALLEL = 1
x = np.arange(1000.0)
f = cr.jit(lambda x: np.sum(np.sin(x)))
assert np.isclose(f(x), np.sin(x).sum())
held, done = threading.Event(), threading.Event()
def hold():  # another thread holds both locks while the process forks
    with engine._LOCK, threads._POOL._lock:
        held.set()
        done.wait(60)
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if not child:
    ok = np.isclose(f(x + 1), np.sin(x + 1).sum())
    ok &= np.isclose(cr.jit(lambda x: np.sum(np.cos(x)))(x), np.cos(x).sum())
    os._exit(0 if ok else 1)
code = os.waitpid(child, 0)[1]
done.set()
assert np.isclose(f(x), np.sin(x).sum())
sys.exit(os.waitstatus_to_exitcode(code))
"""
    )
    environment = {**os.environ, "CHAINRULE_NUM_THREADS": "2", "CHAINRULE_CACHE": "off", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, str(program)], env=environment, check=True, timeout=60)


def test_loops_still_run_while_the_interpreter_ends(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import atexit, sys
import numpy as np
import chainrule as cr
from chainrule.llvm import module
module.PARALLEL = 1
f = cr.jit(lambda x: np.sum(np.sin(x)))
x = np.arange(1000.0)
f(x)
atexit.register(lambda: print(np.isclose(f(x), np.sin(x).sum())))
"""
    )
    environment = {**os.environ, "CHAINRULE_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True", found.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"CHAINRULE_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"CHAINRULE_NUM_THREADS": "0", "OMP_NUM_THREADS": "2"}, 2),
        ({"CHAINRULE_NUM_THREADS": "many"}, None),
        ({}, None),
    ],
)
def test_count(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], expected: int | None) -> None:
    for name in ("CHAINRULE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    assert threads.count() == (expected or len(os.sched_getaffinity(0)))


def test_share_covers_a_range_once() -> None:
    for size in (0, 1, 2, 7, 100):
        seen = np.zeros(size, int)
        parts = []

        def work(low: int, high: int, number: int, seen: Any = seen, parts: Any = parts) -> None:
            seen[low:high] += 1
            parts.append(number)

        threads.share(work, size, 4)
        assert (seen == 1).all()
        assert sorted(parts) == [0, 1, 2, 3]
