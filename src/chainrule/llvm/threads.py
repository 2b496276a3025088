"""The threads that share large loops."""

from __future__ import annotations

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
        self._process = 0
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], object]) -> Future[object]:
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._executor = ThreadPoolExecutor(max(count() - 1, 1), thread_name_prefix="chainrule")
                    self._process = os.getpid()
        assert self._executor is not None
        return self._executor.submit(work)


_POOL = _Pool()


def share(work: Callable[[int, int, int], object], size: int, threads: int) -> None:
    """Run ``work(low, high, number)`` on equal parts of a range, one here and the others in threads of the pool."""
    ends = [size * k // threads for k in range(threads + 1)]
    waiting = [_POOL.submit(lambda k=k: work(ends[k], ends[k + 1], k)) for k in range(1, threads)]  # type: ignore[misc]
    work(ends[0], ends[1], 0)
    for future in waiting:
        future.result()
