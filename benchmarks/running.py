"""Do units of work, each in a process of its own with limits; what is there already is not done again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from benchmarks.work import FOLDER, LAST, ROOT, Work, data_folder
from benchmarks.worker import origin
from bengrn.benchmarking.watched import THREADS, end, memory_of
from bengrn.benchmarking.work_files import read_json, write_json
from bengrn.effort import duration

_TICK = 0.2
#: Seconds that units took in the last committed runs.
TOOK = LAST / "seconds.csv"
#: Seconds that a unit is expected to take of which nothing is known.
_UNKNOWN = 60.0
#: Units that must be known before others are expected to take what half of them took.
_FEW = 2
#: How a unit ends that has a result.
DONE = ("", "")


def run(
    works: Sequence[Work],
    folder: Path,
    *,
    jobs: int = 1,
    retry: bool = False,
    tell: Callable[[str], None] = print,
) -> None:
    """Do the units of work that have no result, and keep what each gives, or why it gave nothing.

    Parameters
    ----------
    works
        Units of work; a failure of one ends no other.
    folder
        Folder of the results, each under a name made of all that it depends on.
    jobs
        Number of units that run side by side; those whose suite is to run alone do.
    retry
        Whether to do what failed before again.
    tell
        Function that is called with a line of text before and after each unit.
    """
    waiting = []
    for work in works:
        before = work.result(folder)
        if before is not None and before["status"] != "ok" and retry:
            work.file(folder).unlink()
            before = None
        if before is None and not work.missing_data:
            waiting.append(work)
    n_before = len(works) - len(waiting)
    n_done, expected = n_before, _expected(folder)
    begun: list[Unit] = []
    try:
        while waiting or begun:
            while (work := _next(waiting, begun, jobs)) is not None:
                left = _left(waiting, begun, expected, jobs)
                tell(f"{n_done} of {len(works)} done, about {duration(left)} left: {work.name}")
                waiting.remove(work)
                begun.append(Unit(work, folder))
            for unit in list(begun):
                if (ended := unit.ended()) is None:
                    continue
                begun.remove(unit)
                if ended != DONE:
                    _write_failure(unit.work, folder, *ended)
                n_done += 1
                found = unit.work.result(folder)
                expected[unit.work.name] = unit.seconds
                why = f": {found['message']}" if found["status"] != "ok" else ""
                tell(f"  {found['status']} after {duration(unit.seconds)}: {unit.work.name}{why}")
            if begun:
                time.sleep(_TICK)
    finally:  # also after Ctrl-C
        for unit in begun:
            unit.end()


def _next(waiting: Sequence[Work], begun: Sequence[Unit], jobs: int) -> Work | None:
    """Return the unit to begin now; None where it has to wait for others."""
    if not begun:
        return waiting[0] if waiting else None
    if len(begun) >= jobs or begun[0].work.suite.alone:
        return None
    return next((work for work in waiting if not work.suite.alone), None)


def _left(waiting: Sequence[Work], begun: Sequence[Unit], expected: Mapping[str, float], jobs: int) -> float:
    """Return the seconds until all is expected to be done, with so many units side by side that need not run alone."""
    known = list(expected.values())
    # a long one among the first says little of the others
    usual = median(known) if len(known) > _FEW else _UNKNOWN
    left = [(work, expected.get(work.name, usual)) for work in waiting]
    left += [(unit.work, max(0.0, expected.get(unit.work.name, usual) - unit.seconds)) for unit in begun]
    beside = [seconds for work, seconds in left if not work.suite.alone]
    return sum(seconds for work, seconds in left if work.suite.alone) + max([sum(beside) / jobs, *beside])


class Unit:
    """One unit of work in a process of its own, under the limits of its suite."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self._folder = work, folder
        path = work.file(folder).with_name("job.json")
        write_json(path, _job(work))
        self._log = path.with_name("log.txt")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", str(path.absolute())],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=os.environ | dict.fromkeys(THREADS, str(work.threads)),
                cwd=ROOT,
            )
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._started

    def ended(self) -> tuple[str, str] | None:
        """Return `DONE` when it has a result, its status and a message when it ended without, None while it runs."""
        code, suite = self._process.poll(), self.work.suite
        if code is None:
            if self.seconds > 60 * suite.minutes:
                self.end()
                return "out of time", f"stopped at the limit of {duration(60 * suite.minutes)}"
            if memory_of(self._process.pid) > 1e9 * suite.gigabytes:
                self.end()
                return "out of memory", f"stopped above the limit of {suite.gigabytes:g} GB"
            return None
        self.end()
        if code == 0 and self.work.result(self._folder) is not None:
            return DONE
        last = self._log.read_text(encoding="utf-8", errors="replace").strip().rsplit("\n", 1)[-1]
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return "failed", f"the process ended with {how}: {last[:300]}"

    def end(self) -> None:
        """End the process and all that it has started."""
        end(self._process)
        if self._process.stdin is not None:
            self._process.stdin.close()


def collected(works: Sequence[Work], folder: Path) -> list[dict[str, Any]]:
    """Return what is kept of each unit; a unit without a result says why."""
    found = []
    for work in works:
        result = work.result(folder)
        if result is None:
            why = "not done yet: run it again"
            if work.missing_data:
                why = f"there is no {', '.join(work.missing_data)} in {data_folder()}: name their folder in {FOLDER}"
            result = _job(work) | {"status": "not run", "message": why, "rows": [], "not_run": {}}
        found.append(result)
    return found


def _job(work: Work) -> dict[str, Any]:
    suite = work.suite
    return {
        "suite": suite.name,
        "name": work.name,
        "function": suite.function,
        "arguments": dict(work.arguments),
        "repeat": work.repeat,
        "threads": work.threads,
        "environments": list(suite.environments),
    }


def _write_failure(work: Work, folder: Path, status: str, message: str) -> None:
    job = _job(work)
    told = job | origin(job["arguments"], job["environments"], work.threads)
    write_json(work.file(folder), told | {"status": status, "message": message, "rows": [], "not_run": {}})


def _expected(folder: Path) -> dict[str, float]:
    """Return the seconds that units took before, by name: here, or where they have not been done in committed runs."""
    told = pd.read_csv(TOOK, index_col="name")["seconds"].to_dict() if TOOK.is_file() else {}
    results = [read_json(path) for path in sorted(folder.glob("*/result.json"))]
    return told | {one["name"]: one["seconds"] for one in results if one and "seconds" in one}
