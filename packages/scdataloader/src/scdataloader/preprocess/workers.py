"""Do the same to many things at once: in processes of this machine, or on a Dask cluster.

`concurrent.futures` is not used for the processes: one that is killed takes its whole pool with it, and nothing
tells what it was working on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from distributed import Client

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Died:
    """In place of a result: the process that worked on it ended, and how."""

    how: str


class _Worker:
    """A process with a pipe to it, and what it works on."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = get_context("spawn")  # a fork would copy locks of threads that do not go on in the copy
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with _one_thread():
            self.process.start()
        theirs.close()
        self.index: int | None = None
        self.ready = False

    def end(self, *, now: bool = False) -> int | None:
        """Let it end, or end it; returns the exit code."""
        if now:
            self.process.kill()
        self.connection.close()
        self.process.join()
        return self.process.exitcode


def run_in_processes[Item, Result](
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, stop: Callable[[], bool]
) -> Generator[tuple[int, Result | Died], None, None]:
    """Yield (position, result) of each item as it is done; close the iterator to kill what runs.

    Parameters
    ----------
    function
        Known by a name that a new process can import; raises nothing.
    items
        Arguments to call it with, one item a call.
    workers
        Number of processes, of one thread each. One that dies is replaced.
    stop
        Asked before an item is begun; after True no more are, those begun are finished.

    Raises
    ------
    RuntimeError
        When a process ends before it could begin.
    """
    waiting = deque(enumerate(items))
    alive: dict[Any, _Worker] = {}

    def start() -> None:
        worker = _Worker(function)
        alive[worker.connection] = worker

    try:
        for _ in range(min(workers, len(items))):
            start()
        while alive:
            for connection in wait(list(alive)):
                worker = alive[connection]
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    del alive[connection]
                    code = worker.end()
                    yield _fate(worker, code)
                    if waiting and not stop():
                        start()
                    continue
                if worker.ready and worker.index is not None:
                    yield worker.index, answer
                worker.ready = True
                if waiting and not stop():
                    worker.index, item = waiting.popleft()
                    with suppress(BrokenPipeError, ConnectionResetError):  # dead: the next `wait` tells
                        worker.connection.send(item)
                else:
                    del alive[connection]
                    worker.end()
    finally:
        for worker in alive.values():
            worker.end(now=True)


def _fate(worker: _Worker, code: int | None) -> tuple[int, Died]:
    if worker.index is None:
        raise RuntimeError(
            f"a worker process ended (exit code {code}) before it could begin; a script that starts workers must do "
            'so under `if __name__ == "__main__":`, since each worker imports it anew'
        )
    if code is not None and code < 0:
        hint = ": it takes more memory than there is, use fewer workers" if code == -9 else ""
        return worker.index, Died(f"its worker process was killed by signal {-code}{hint}")
    return worker.index, Died(f"its worker process ended with exit code {code}")


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Work in another process until the pipe is closed."""
    import signal

    # Ctrl-C reaches every process of a terminal; the one that started this one decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(None)  # ready
        while True:
            connection.send(function(connection.recv()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes started now use one thread: libraries read these variables when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run_on_dask[Item, Result](
    function: Callable[[Item], Result], items: Sequence[Item], *, client: Client | str, stop: Callable[[], bool]
) -> Generator[tuple[int, Result | Died], None, None]:
    """Yield (position, result) of each item as it is done on an existing cluster.

    Close the iterator to withdraw what has not begun; tasks that run cannot be broken off, they end by themselves.

    Parameters
    ----------
    function
        Known by a name that the workers can import; raises nothing.
    items
        Arguments to call it with, one item a call.
    client
        Client of the cluster, or the address of its scheduler.
    stop
        Asked after each result; after True what has not begun is withdrawn.

    Raises
    ------
    ImportError
        Without the package distributed.
    """
    try:
        distributed: Any = import_module("distributed")  # without types
    except ImportError as error:
        raise ImportError("client= needs the package distributed: install scdataloader[dask]") from error
    mine = distributed.Client(client) if isinstance(client, str) else None
    cluster: Any = client if mine is None else mine
    run = uuid4().hex
    futures = {
        cluster.submit(function, item, key=f"{function.__name__}-{run}-{i}", pure=False): i
        for i, item in enumerate(items)
    }
    try:
        for future in distributed.as_completed(list(futures)):
            failure = future.exception()
            if failure is None:
                yield futures[future], future.result()
            else:
                yield futures[future], Died(f"{type(failure).__name__}: {failure}")
            if stop():
                return
    finally:
        cluster.cancel([future for future in futures if not future.done()])
        if mine is not None:
            mine.close()
