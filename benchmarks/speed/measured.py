"""Time and memory of a piece of work, in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.speed.child import memory

type Prepare = Callable[..., Callable[[], Any]]


def measured(prepare: Prepare, arguments: Sequence[object] = (), *, threads: int) -> dict[str, float]:
    """Return wall and CPU seconds of what `prepare` returns, its memory in bytes at most and added, and its result's.

    What `prepare` does itself, such as imports and reading, is not in the times, nor in the memory added.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, prepare, tuple(arguments), threads))
    process.start()
    theirs.close()
    told: dict[str, float] = ours.recv()
    process.join()
    return told


def _measure(pipe: Any, prepare: Prepare, arguments: tuple[object, ...], threads: int) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        run = prepare(*arguments)
        before, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
        result = run()
        told = {"wall s": time.perf_counter() - wall, "CPU s": time.process_time() - cpu}
    peak = memory("VmHWM")
    pipe.send(told | {"peak": peak, "added": peak - before, "result": getattr(result, "nbytes", 0)})
