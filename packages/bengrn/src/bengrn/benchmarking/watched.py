"""Run one job in a process of its own, with limits of time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from bengrn.benchmarking.job import INFERENCE, Job
from bengrn.benchmarking.network_scores import rows_for
from bengrn.benchmarking.nursery import Forked, Nurseries
from bengrn.benchmarking.work_files import WorkFiles, write_json
from bengrn.benchmarking.worker import DISK_FULL, read_job

#: Seconds between two looks at a process.
_TICK = 0.1
#: Share of the time that is spent on looking how much memory a process and its children hold: on a machine of
#: thousands of processes, to find the children takes long. And the most seconds between two such looks.
_LOOKING, _RAREST = 0.02, 2.0
#: Variables by which numerical libraries are told how many threads to take.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    "NUMEXPR_NUM_THREADS",
)


@dataclass(frozen=True)
class Limits:
    """Limits of one process: seconds of each of its stages, bytes of memory, threads; None for no limit."""

    time: float | None = None
    memory: float | None = None
    threads: int = 1

    @property
    def plain(self) -> dict[str, float | None]:
        """The limits of time and memory, as files hold them."""
        return {"time": self.time, "memory": self.memory}


def run_watched(
    path: str, limits: Limits, is_stopped: Callable[[], bool] = lambda: False, nurseries: Nurseries | None = None
) -> str:
    """Carry out the job of a file in a process of its own; write down what it could not write itself.

    A stage that reaches a limit, or whose process dies, is a result like others. A process that a signal ends that was
    not sent here is tried once more.

    Parameters
    ----------
    path
        File of the job.
    limits
        Limits of the process.
    is_stopped
        Function that is asked whether to end the process.
    nurseries
        Nurseries that fork the process, made with :func:`environment`; without them a fresh Python is started.

    Returns
    -------
    str
        "" when all of the job is done, "stopped", or the reason why the whole benchmark cannot go on: a full disk.
    """
    job, files = read_job(Path(path))
    tried: set[str] = set()
    while True:
        stage, status, message = _followed(job, Path(path), limits, is_stopped, nurseries)
        if status == "":
            return ""
        if status in ("stopped", "full"):
            return message or status
        if status in ("died", "killed") and stage not in tried:
            tried.add(stage)
            continue
        write_failure(job, files, stage, status, message, limits)
        if stage not in job.scorings:
            return ""


def environment(limits: Limits) -> dict[str, str]:
    """Return the variables of a job's process."""
    return os.environ | dict.fromkeys(THREADS, str(limits.threads))


def _started(
    job: Job, path: Path, limits: Limits, errors: IO[bytes], nurseries: Nurseries | None
) -> subprocess.Popen[bytes] | Forked:
    """Start the process of a job: by a nursery, or a fresh one where there is none or it is gone."""
    forked = None if nurseries is None else nurseries.start(path, job.imports, errors)
    return forked or subprocess.Popen(  # noqa: S603 - this Python, and our own module
        [sys.executable, "-m", "bengrn.benchmarking.worker", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(limits),
    )


def _followed(
    job: Job, path: Path, limits: Limits, is_stopped: Callable[[], bool], nurseries: Nurseries | None
) -> tuple[str, str, str]:
    """Run the job until it ends or has to be ended; return the stage it was in, how it ended, and a message."""
    log = path.with_name("log.txt")
    with log.open("ab") as errors:
        process = _started(job, path, limits, errors, nurseries)
    told: Any = process.stdout
    os.set_blocking(told.fileno(), False)
    stage, heard = INFERENCE, b""
    begun = float("inf")  # the time until Python is up is no stage's
    next_look = 0.0
    try:
        while True:
            heard += told.read() or b""
            *lines, heard = heard.split(b"\n")
            for line in lines:
                stage, begun = line.decode(), time.monotonic()
            try:
                ended: int | None = process.wait(_TICK)
            except subprocess.TimeoutExpired:
                ended = None
            if ended is not None:
                rest = (heard + (told.read() or b"")).decode().split("\n")
                return _end(ended, [stage, *filter(None, rest)][-1], log)
            if is_stopped():
                return stage, "stopped", ""
            if limits.time is not None and time.monotonic() - begun > limits.time:
                return stage, "out of time", f"stopped at the limit of {limits.time:,.4g} s"
            if limits.memory is None or (now := time.monotonic()) < next_look:
                continue
            used = memory_of(process.pid)
            next_look = now + min((time.monotonic() - now) / _LOOKING, _RAREST)
            if used > limits.memory:
                text = f"stopped at {used / 1e6:,.0f} MB, above the limit of {limits.memory / 1e6:,.0f} MB"
                return stage, "out of memory", text
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def end(process: subprocess.Popen[bytes] | Forked) -> None:
    """End a process and all that it has started."""
    if process.poll() is not None:
        return
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _end(code: int, stage: str, log: Path) -> tuple[str, str, str]:
    if code == 0:
        return stage, "", ""
    if code == DISK_FULL:
        return stage, "full", stage.removeprefix("full ")
    if code < 0:
        if code == -signal.SIGKILL:
            return stage, "killed", "killed twice from outside, as a system does that runs out of memory"
        return stage, "died", f"the process crashed twice with signal {-code}; see work/{log.parent.name}/{log.name}"
    last = log.read_text(encoding="utf-8", errors="replace").strip().rsplit("\n", 1)[-1]
    return stage, "failed", f"the process ended with status {code}: {last[:300]}"


def memory_of(pid: int) -> int:
    """Return the bytes that a process and those that it has started hold."""
    total = 0
    try:
        first = psutil.Process(pid)
        for one in (first, *first.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def write_failure(job: Job, files: WorkFiles, stage: str, status: str, message: str, limits: Limits) -> None:
    """Write down that a stage, or the inference where none is named, has no result."""
    status = {"died": "failed", "killed": "out of memory"}.get(status, status)
    if stage in job.scorings:
        rows = rows_for(status, message, job.scorings[stage].orientations[:1])
        write_json(files.scores(job.key, stage), {"rows": rows, "limits": limits.plain})
    else:
        write_json(files.inference(job.key), {"status": status, "message": message, "limits": limits.plain})
