"""A process for one job: ``python -m bengrn.benchmarking.worker FILE``.

A watcher follows it (:mod:`bengrn.benchmarking.watched`). A line on its standard output names each stage that begins,
and it ends when its standard input closes, so that no process outlives the run that started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO

from bengrn.benchmarking.job import Job, carry_out, full_disk
from bengrn.benchmarking.network_scores import Scoring
from bengrn.benchmarking.work_files import WorkFiles, read_json, write_json

#: Exit status where the disk is full.
DISK_FULL = 28


def write_job(job: Job, files: WorkFiles) -> Path:
    """Write a job into the folder of its network, and return its file."""
    path = files.network(job.key) / "job.json"
    write_json(path, asdict(job) | {"results": str(files.results.absolute())})
    return path


def read_job(path: Path) -> tuple[Job, WorkFiles]:
    """Read a job and the folder of the benchmark.

    Raises
    ------
    FileNotFoundError
        If the file does not exist, as on a machine that does not share the folder.
    """
    told = read_json(path)
    if told is None:
        raise FileNotFoundError(f"there is no job {path}: the folder of results has to be the same on every machine")
    files = WorkFiles(Path(told.pop("results")))
    scorings = {
        key: Scoring(**one | {"orientations": tuple(one["orientations"])}) for key, one in told.pop("scorings").items()
    }
    return Job(**told, scorings=scorings), files


def main(path: str) -> int:
    """Carry out the job of a file; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watcher ends this process
    told = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a method prints goes to the log
    threading.Thread(target=_end_with_watcher, daemon=True).start()
    job, files = read_job(Path(path))
    try:
        carry_out(job, files, lambda stage: _say(told, stage))
    except Exception as error:
        if not full_disk(error):
            raise
        _say(told, f"full {full_disk(error)}")
        return DISK_FULL
    return 0


def _say(told: IO[str], line: str) -> None:
    told.write(line.replace("\n", " ") + "\n")


def _end_with_watcher() -> None:
    os.read(0, 1)  # returns when the watcher is gone
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
