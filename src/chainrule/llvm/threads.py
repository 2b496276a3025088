"""The threads that share large loops."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


def count() -> int:
    """Return how many threads share a loop: `CHAINRULE_NUM_THREADS`, `OMP_NUM_THREADS`, or the cores there are."""
    for name in ("CHAINRULE_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0]
        if text.strip().isdigit() and int(text) > 0:
            return int(text)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


class _Pool:
    """Threads made at the first use, and again in a forked process, where those of the parent are not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], object]) -> Future[object]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max(count() - 1, 1), thread_name_prefix="chainrule")
        return self._executor.submit(work)

    def forget(self) -> None:
        """Begin anew in a forked process: its threads, and perhaps the lock's owner, are in the parent."""
        self._lock = threading.Lock()
        self._executor = None


_POOL = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)


def share(work: Callable[[int, int, int], object], size: int, threads: int) -> None:
    """Run ``work(low, high, number)`` on equal parts of a range, one here and the others in threads of the pool."""
    ends = [size * k // threads for k in range(threads + 1)]
    waiting: list[Future[object]] = []
    try:
        for k in range(1, threads):
            waiting.append(_POOL.submit(functools.partial(work, ends[k], ends[k + 1], k)))
    except RuntimeError:  # the interpreter is about to end, and starts no threads any more
        for k in range(len(waiting) + 1, threads):
            work(ends[k], ends[k + 1], k)
    work(ends[0], ends[1], 0)
    for future in waiting:
        future.result()
