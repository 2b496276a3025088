"""Checks and timings of one case, in this process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.case import Case
from benchmarks.libraries import Library, load

ROUNDS = 7
TOTAL = 0.21
"""Seconds of measurement per library, over all rounds, at least."""


class Disagreement(Exception):
    """Two libraries computed different things."""


def difference(case: Case, found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the largest difference, relative to the largest element of each result."""
    if len(found) != len(expected):
        raise Disagreement(f"{case.name}: {len(found)} results, {len(expected)} expected")
    largest = 0.0
    for one, two in zip(found, expected, strict=True):
        one, two = np.asarray(one).reshape(-1), np.asarray(two).reshape(-1)
        if one.shape != two.shape:
            raise Disagreement(f"{case.name}: shapes {one.shape} and {two.shape}")
        if one.size:
            scale = float(np.max(np.abs(two))) or 1.0
            error = float(np.max(np.abs(one - two))) / scale
            largest = error if error != error else max(largest, error)
    return largest


def prepare(case: Case, library: Library, args: Sequence[np.ndarray]) -> Callable[[], Any]:
    """Return a function of nothing that computes the derivative; not called yet."""
    return library.call(case.derivative(library, args), args, numpy_ends=case.numpy_ends)


def results(case: Case, library: Library, args: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that a library computes."""
    return library.leaves(prepare(case, library, args)())


def interleaved(runs: dict[str, Callable[[], Any]], rounds: int = ROUNDS, total: float = TOTAL) -> dict[str, Any]:
    """Return the time of a call of each function: median, quartiles and number of calls.

    One round runs a block of calls of each, so that what else the machine does hits all alike. The first call of a
    block is not counted, unless it is the only one. The garbage collector is off.
    """
    repeats = {}
    for name, run in runs.items():
        run()
        start = time.perf_counter()
        run()
        once = max(time.perf_counter() - start, 1e-7)
        if once < 1e-3:
            start = time.perf_counter()
            for _ in range(20):
                run()
            once = max((time.perf_counter() - start) / 20, 1e-8)
        repeats[name] = max(1, int(np.ceil(total / rounds / once)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                turns = range(repeats[name])
                if repeats[name] > 1:
                    run()
                start = time.perf_counter()
                for _ in turns:
                    run()
                times[name].append((time.perf_counter() - start) / repeats[name])
    finally:
        if was_on:
            gc.enable()
    found = {}
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        found[name] = {"median": middle, "low": low, "high": high, "calls": rounds * repeats[name]}
    return found


def compare(case: Case, names: Sequence[str], *, rounds: int, total: float) -> dict[str, Any]:
    """Check that libraries agree, then time them; what fails is reported and left out."""
    args = case.arguments()
    runs: dict[str, Callable[[], Any]] = {}
    failed: dict[str, str] = {}
    expected: list[np.ndarray] | None = None
    errors: dict[str, float] = {}
    for name in names:
        try:
            library = load(name)
            if library is None:
                failed[name] = "not installed"
                continue
            run = prepare(case, library, args)
            found = library.leaves(run())
        except Exception as error:  # a library may fail in any way; the others are measured all the same
            failed[name] = f"{type(error).__name__}: {str(error)[:300]}"
            continue
        if expected is None:
            expected = [np.array(each) for each in found]
        else:
            errors[name] = difference(case, found, expected)
            if not errors[name] <= case.tolerance:
                raise Disagreement(f"{case.name}: {name} differs by {errors[name]:.1e} from {next(iter(runs))}")
        runs[name] = run
        del found
    del expected
    if case.kind in ("gradient", "value and gradient"):
        for name in ("chainrule", "jax"):
            if name in runs:
                library = load(name)
                assert library is not None
                runs[f"{name} function"] = library.call(case.function(library), args, numpy_ends=case.numpy_ends)
    if case.memory:
        runs["copy"] = args[0].copy
    return {"times": interleaved(runs, rounds, total), "failed": failed, "differences": errors}


def first_call(case: Case, name: str) -> dict[str, Any]:
    """Return the seconds of the first call, in a process that has not compiled anything yet."""
    library = load(name)
    if library is None:
        return {"failed": "not installed"}
    args = case.arguments()
    np.asarray(library.place(np.zeros(1)))  # what a library sets up once is not part of it
    start = time.perf_counter()
    run = prepare(case, library, args)
    run()
    first = time.perf_counter() - start
    start = time.perf_counter()
    run()
    return {"first": first, "second": time.perf_counter() - start}


def peak_memory(case: Case, name: str) -> dict[str, Any]:
    """Return the peak of the resident memory during a call, less what was there before the arguments (Linux)."""
    library = load(name)
    if library is None:
        return {"failed": "not installed"}
    if name == "copy":
        return {}
    small = case.arguments(tiny=True)
    prepare(case, library, small)()
    before = _status("VmRSS")
    args = case.arguments()
    run = prepare(case, library, args)
    if name != "chainrule":
        run()  # compiled now; chainrule's first call is part of the measurement
    gc.collect()
    args_bytes = sum(arg.nbytes for arg in args)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    found = run()
    out_bytes = sum(leaf.nbytes for leaf in library.leaves(found))
    return {"peak": _status("VmHWM") - before, "arguments": args_bytes, "results": out_bytes}


def _status(field: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    raise OSError(f"{field} is not in /proc/self/status")
