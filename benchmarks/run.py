"""Measure all cases: ``python -m benchmarks.run [--only NAME] [--quick] [--out FOLDER] [--threads N]``.

Every case is a process of its own, in which the libraries take turns. First calls are processes of their own too, with
empty caches. Writes results.json, a picture and, for a full run, docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.libraries import NAMES, load
from benchmarks.measure import ROUNDS, TOTAL

ROOT = Path(__file__).resolve().parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CHAINRULE_NUM_THREADS")
TIMEOUT = 900
"""Seconds after which a measurement is given up."""
FIRST_TIMEOUT = 120
"""Seconds after which a first call is given up."""
FIRST_CALLS = ("chainrule", "jax", "jax scan", "casadi")
"""The libraries that do something at the first call."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="cases whose names contain this")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no large cases, no torch.compile")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="cores to use (all)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.only or any(name in case.name for name in options.only)]
    cases = [case for case in cases if options.only or not (options.quick and case.slow)]
    if options.list:
        print("\n".join(f"{case.name:28} {case.work}" for case in cases))
        return
    threads = _limit(options.threads)
    console = Console()
    libraries = {}
    for name in dict.fromkeys(NAMES):
        library = load(name)
        if library is None:
            console.print(f"{name} is not installed: skipped")
        elif not (options.quick and name == "torch.compile"):
            libraries[name] = library.version
    machine = _machine(threads)
    console.print(f"{machine['processor']}, {threads} threads; " + ", ".join(f"{k} {v}" for k, v in libraries.items()))
    found: list[dict[str, Any]] = []
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine, "libraries": libraries, "quick": options.quick, "cases": found}
    for case in cases:
        found.append(_measure(case, list(libraries), options.quick))
        console.print(report.line(found[-1]), highlight=False)
        (options.out / "results.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    report.show(record, console)
    report.draw(record, options.out / "ratios.png")
    if not options.only and not options.quick:
        (ROOT / "docs" / "benchmarks.md").write_text(report.page(record), encoding="utf-8")


def _measure(case: Case, available: list[str], quick: bool) -> dict[str, Any]:
    names = [name for name in case.libraries if name in available]
    rounds, total = (5, 0.1) if quick else (ROUNDS, TOTAL)
    found: dict[str, Any] = {"name": case.name, "work": case.work, "kind": case.kind}
    found |= {"target": case.target, "limit": case.limit, "first_target": case.first, "first_limit": case.first_limit}
    found |= _worker("compare", case, names, rounds, total, TIMEOUT)
    first: dict[str, Any] = {}
    for name in names:
        if name not in FIRST_CALLS or name in found.get("failed", {}):
            continue
        with tempfile.TemporaryDirectory() as empty:
            caches = {"CHAINRULE_CACHE": f"{empty}/cache"}
            first[name] = _worker("first", case, [name], 0, 0, FIRST_TIMEOUT, caches)
            if name == "chainrule":
                first["chainrule warm"] = _worker("first", case, [name], 0, 0, FIRST_TIMEOUT, caches)
    found["first"] = first
    if case.memory and sys.platform == "linux":
        plain = [name for name in names if name != "torch.compile"]
        found["memory"] = {name: _worker("memory", case, [name], 0, 0, TIMEOUT) for name in plain}
    return found


def _worker(
    kind: str,
    case: Case,
    names: list[str],
    rounds: int,
    total: float,
    timeout: float,
    variables: dict[str, str] | None = None,
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.worker", kind, case.name, ",".join(names), str(rounds), str(total)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | (variables or {}), capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {timeout} s"} if kind != "compare" else {"times": {}, "error": "timeout"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"failed": lines[-1]} if kind != "compare" else {"times": {}, "error": lines[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _limit(threads: int) -> int:
    """Keep this process and those it starts to some cores, and tell every library so; return how many."""
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        threads = min(threads, len(cores)) or len(cores)
        os.sched_setaffinity(0, cores[:threads])
    threads = threads or os.cpu_count() or 1
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    return threads


def _machine(threads: int) -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            processor = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "processor": processor,
        "threads": threads,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "date": date.today().isoformat(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "time": time.strftime("%H:%M"),
    }


if __name__ == "__main__":
    main()
