"""Spread work over the workers of an existing Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from bengrn._wording import listed

#: Seconds in which a scheduler has to answer.
_PATIENCE = 20


@contextmanager
def connected(scheduler: str) -> Generator[Any, None, None]:
    """Connect to a running Dask scheduler, whose workers have this version of bengrn.

    Parameters
    ----------
    scheduler
        Address such as "tcp://host:8786", or the file that ``dask scheduler --scheduler-file`` wrote.

    Yields
    ------
    distributed.Client
        Client, closed at the end; the cluster goes on.

    Raises
    ------
    ImportError
        If distributed is not installed.
    ConnectionError
        If no scheduler answers, or it has no workers.
    RuntimeError
        If a worker has no bengrn, or another version.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ImportError("a Dask cluster is reached with distributed: pip install bengrn[dask]") from error
    where = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
    try:
        client = distributed.Client(**where, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}): start one with `dask scheduler`, "
            "and give the address that it prints, such as tcp://host:8786, or the file of its --scheduler-file"
        ) from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise ConnectionError(
                f"the Dask scheduler at {scheduler!r} has no workers: start some, `dask worker {scheduler}`"
            )
        _check_versions(client)
        yield client


def _check_versions(client: Any) -> None:
    ours = version("bengrn")
    found = client.run(_version, on_error="return")
    other = {worker: said for worker, said in found.items() if said != ours}
    if other:
        worker, said = next(iter(other.items()))
        has = f"bengrn {said}" if isinstance(said, str) else f"no bengrn ({said})"
        raise RuntimeError(
            f"{len(other)} of {len(found)} workers have another bengrn than {ours}: {worker} has {has}; install the "
            f"same version on {listed(other)}"
        )


def _version() -> str:
    return version("bengrn")


def on_cluster[Item, Result](
    function: Callable[..., Result], items: Sequence[Item], *, client: Any, shared: Any = None, retries: int = 2
) -> Generator[tuple[int, Result | BaseException], None, None]:
    """Call a function with each item on the workers, and yield what it returns as it is done.

    An item whose worker dies goes to another one. Close the generator to withdraw what has not begun.

    Parameters
    ----------
    function
        Function that the workers can import; it is called with the item, and before it with `shared` where there is
        such.
    items
        Items that the function is called with, one at a time.
    client
        Client of the cluster, see :func:`connected`.
    shared
        Object that all calls read, sent once to each worker; None for none.
    retries
        Number of times that an item is tried again after it failed.

    Yields
    ------
    int, result
        Place of the item, and what the function returned, or the exception that it raised in the last try. An item
        whose workers died each time ends in `distributed.KilledWorker`.
    """
    distributed: Any = import_module("distributed")
    waiting = list(range(len(items)))
    for left in range(retries, -1, -1):
        lost: list[int] = []
        given = () if shared is None else (client.scatter(shared, broadcast=True, hash=False),)
        run = uuid4().hex
        futures = {
            client.submit(
                *(function, *given, items[place]), key=f"{function.__name__}-{run}-{place}", pure=False, retries=retries
            ): place
            for place in waiting
        }
        try:
            with client.as_current():
                done = distributed.as_completed(list(futures))
            for future in done:
                place = futures[future]
                if future.cancelled():  # the workers that held what is shared have died
                    lost.append(place)
                elif (failure := future.exception()) is not None:
                    yield place, failure
                else:
                    yield place, future.result()
                future.release()
        finally:
            client.cancel([future for future in futures if not future.done()])
        if not lost:
            return
        waiting = lost
        if not left:
            gone = RuntimeError("the workers that held the data died again and again: they may lack memory")
            yield from ((place, gone) for place in lost)
