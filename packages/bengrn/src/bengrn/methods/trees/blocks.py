"""Blocks of targets: done on threads or a cluster, kept in a folder, and told as they are done."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

type Block = NDArray[np.int64]
type Found = NDArray[np.float32]


def each_block(
    predict: Callable[[Any, Block], Found],
    shared: Any,
    blocks: Sequence[Block],
    *,
    width: int,
    threads: int,
    scheduler: str | None = None,
    folder: Path | None = None,
) -> Iterator[tuple[Block, Found]]:
    """Call a function with each block of targets, and yield the block and what it returns as it is done.

    Parameters
    ----------
    predict
        Function of `shared` and the block, which returns an array of (targets of the block, `width`). On a cluster it
        has to be one that the workers can import.
    shared
        Object that all blocks read.
    blocks
        Places of the targets of each block.
    width
        Number of columns of what the function returns.
    threads
        Number of threads, without a scheduler.
    scheduler
        Address of a Dask scheduler whose workers do the blocks; None for threads.
    folder
        Folder in which blocks are kept as they are done, and from which those that are there are read; None for none.

    Raises
    ------
    ConnectionError, RuntimeError
        If the cluster cannot be used, see :func:`bengrn._dask.connected`.
    """
    place = {int(block[0]): block for block in blocks}
    waiting = dict(place)
    told = _Told(sum(map(len, blocks)))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for first, block in place.items():
            kept = _kept(folder / f"{first}.npy", (len(block), width))
            if kept is not None:
                del waiting[first]
                told.more(len(block), kept=True)
                yield block, kept
        if len(waiting) < len(place):
            logger.info("%d of %d blocks of targets were done before, in %s", *_numbers(place, waiting), folder)
    todo = list(waiting.values())

    def kept_at_once(shared: Any, block: Block) -> Found:
        # By the thread that made it: an interrupt loses nothing that is done.
        found = predict(shared, block)
        if folder is not None:
            _keep(folder / f"{block[0]}.npy", found)
        return found

    if scheduler is None:
        done = _on_threads(kept_at_once, shared, todo, threads)
    else:
        done = _on_dask(predict, shared, todo, scheduler)
    for block, found in done:
        if folder is not None and scheduler is not None:
            _keep(folder / f"{block[0]}.npy", found)
        told.more(len(block))
        yield block, found
    told.end()


def _numbers(place: dict[int, Block], waiting: dict[int, Block]) -> tuple[int, int]:
    return len(place) - len(waiting), len(place)


def _on_threads(
    predict: Callable[[Any, Block], Found], shared: Any, blocks: Sequence[Block], threads: int
) -> Iterator[tuple[Block, Found]]:
    with ThreadPoolExecutor(threads) as pool:
        running: dict[Future[Found], Block] = {pool.submit(predict, shared, block): block for block in blocks}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:  # what has not begun never will, so that an interrupt ends it
            for future in running:
                future.cancel()


def _on_dask(
    predict: Callable[[Any, Block], Found], shared: Any, blocks: Sequence[Block], scheduler: str
) -> Iterator[tuple[Block, Found]]:
    from bengrn._dask import connected, on_cluster

    if not blocks:
        return
    with connected(scheduler) as client:
        for at, found in on_cluster(predict, blocks, client=client, shared=shared):
            if isinstance(found, BaseException):
                raise found
            yield blocks[at], found


def _kept(path: Path, shape: tuple[int, int]) -> Found | None:
    with suppress(FileNotFoundError, ValueError, EOFError):
        found: Found = np.load(path)
        if found.shape == shape and found.dtype == np.float32:
            return found
    return None


def _keep(path: Path, found: Found) -> None:
    from grnndata import atomic_path

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, found)


class _Told:
    """Tell on a terminal how many targets are done, and how long the others will take."""

    def __init__(self, n: int) -> None:
        self.n, self.done, self.kept = n, 0, 0
        self.start = self.last = time.monotonic()
        self.seen = sys.stderr.isatty()

    def more(self, n: int, *, kept: bool = False) -> None:
        self.done += n
        self.kept += n * kept
        now = time.monotonic()
        if not self.seen or kept or now - self.last < 1:
            return
        self.last = now
        left = (now - self.start) * (self.n - self.done) / (self.done - self.kept)
        sys.stderr.write(f"\r{self.done:,} of {self.n:,} targets, about {_duration(left)} left \x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        if self.seen and self.last > self.start:
            sys.stderr.write("\r\x1b[K")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
