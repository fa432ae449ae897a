"""Run jobs in processes of this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from uuid import uuid4

from bengrn._dask import connected, on_cluster
from bengrn.benchmarking.job import carry_out, full_disk
from bengrn.benchmarking.nursery import Nurseries
from bengrn.benchmarking.watched import Limits, environment, run_watched, write_failure
from bengrn.benchmarking.worker import read_job


def in_this_process(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Carry out jobs one after the other, here and without limits, which helps to find errors.

    Yields the file of each job when it is done, and "" or the reason why the benchmark cannot go on.
    """
    for path in paths:
        job, files = read_job(path)
        try:
            carry_out(job, files)
        except OSError as error:
            if not full_disk(error):
                raise
            yield path, full_disk(error)
        else:
            yield path, ""


def on_this_machine(paths: Sequence[Path], limits: Limits, n_jobs: int) -> Iterator[tuple[Path, str]]:
    """Carry out jobs in processes of this machine, so many at a time; see :func:`in_this_process`.

    When the iteration ends early, by Ctrl-C or otherwise, every process is ended.
    """
    if not paths:
        return
    stop = Event()
    # a fork of a process that has used the system's own libraries is not safe elsewhere
    nurseries = Nurseries(environment(limits)) if sys.platform == "linux" else nullcontext()
    with nurseries as forks, ThreadPoolExecutor(n_jobs) as watchers:
        futures = {watchers.submit(run_watched, str(path), limits, stop.is_set, forks): path for path in paths}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stop.set()
            watchers.shutdown(cancel_futures=True)


def on_dask(paths: Sequence[Path], limits: Limits, scheduler: str) -> Iterator[tuple[Path, str]]:
    """Carry out jobs on the workers of a Dask cluster that sees the same folder; see :func:`in_this_process`.

    Parameters
    ----------
    paths
        Files of the jobs.
    limits
        Limits of each process.
    scheduler
        Address of the cluster's scheduler, such as ``tcp://10.0.0.1:8786``, or a file of its connection.

    Raises
    ------
    ImportError, ConnectionError, RuntimeError
        As :func:`bengrn._dask.connected`.
    """
    if not paths:
        return
    stop = paths[0].absolute().parent.parent / f"stop-{uuid4().hex[:12]}"
    items = [(str(path.absolute()), limits, str(stop)) for path in paths]
    with connected(scheduler) as client:
        results = on_cluster(run_until, items, client=client)
        is_done = False
        try:
            for place, found in results:
                if isinstance(found, BaseException):  # its workers were killed again and again
                    job, files = read_job(paths[place])
                    write_failure(job, files, "", "failed", f"{type(found).__name__}: {found}", limits)
                    found = ""
                yield paths[place], found
            is_done = True
        finally:
            if not is_done:
                stop.touch()  # workers look for it: nothing else reaches what runs there already
            results.close()


def run_until(item: tuple[str, Limits, str]) -> str:
    """Carry out a job on the worker of a cluster, until a file appears that ends the run."""
    path, limits, stop = item
    return run_watched(path, limits, Path(stop).exists)
