"""Work on several threads, whose results come in order and are never many at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor


def in_order[Item, Result](
    work: Callable[[Item], Result], items: Sequence[Item], most_threads: int
) -> Iterator[Result]:
    """Call a function with each item, on as many threads as :func:`n_threads` says, `most_threads` at most.

    Results come in the order of the items. At most one more than there are threads wait to be taken, so memory stays
    small however many items there are.
    """
    threads = min(n_threads(), most_threads, len(items))
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def n_processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_threads() -> int:
    """Return the number of threads for work of this process: its processors, or ``OMP_NUM_THREADS`` where that is less.

    Whoever runs several processes on a machine sets the variable, and so does :func:`bengrn.benchmark` for its own.
    """
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2" is of nested loops
    return min(int(told), n_processors()) if told.isdecimal() and int(told) else n_processors()


def number_of_threads(threads: int | None) -> int:
    """Return the number of threads, by default that of :func:`n_threads`.

    Raises
    ------
    ValueError
        If it is below 1.
    """
    if threads is None:
        return n_threads()
    if threads < 1:
        raise ValueError(f"threads is the number of threads, at least 1, got {threads}")
    return threads
