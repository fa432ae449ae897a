"""Do units of work, each in a process of its own with limits; what is there already is not done again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.work import FOLDER, ROOT, Work, data_folder
from benchmarks.worker import origin
from bengrn.benchmarking.watched import THREADS, end, memory_of
from bengrn.benchmarking.work_files import read_json, write_json
from bengrn.effort import duration

_TICK = 0.2
#: Seconds that a unit is expected to take of which nothing is known.
_UNKNOWN = 60.0
#: Units that must be known before others are expected to take what half of them took.
_FEW = 2


def run(works: Sequence[Work], folder: Path, *, retry: bool = False, tell: Callable[[str], None] = print) -> None:
    """Do the units of work that have no result, and keep what each gives, or why it gave nothing.

    Parameters
    ----------
    works
        Units of work; a failure of one ends no other.
    folder
        Folder of the results, each under a name made of all that it depends on.
    retry
        Whether to do what failed before again.
    tell
        Function that is called with a line of text before and after each unit.
    """
    todo = []
    for work in works:
        before = work.result(folder)
        if before is not None and before["status"] != "ok" and retry:
            work.file(folder).unlink()
            before = None
        if before is None and not work.missing_data:
            todo.append(work)
    expected = _expected(folder)
    for place, work in enumerate(todo):
        known = list(expected.values())
        # a long one among the first says little of the others
        usual = median(known) if len(known) > _FEW else _UNKNOWN
        left = sum(expected.get(one.name, usual) for one in todo[place:])
        n_done = len(works) - len(todo) + place
        tell(f"{n_done} of {len(works)} done, about {duration(left)} left: {work.name}")
        started = time.perf_counter()
        status, message = watched(work, folder)
        if status:
            _write_failure(work, folder, status, message)
        found = work.result(folder)
        expected[work.name] = time.perf_counter() - started
        why = f": {found['message']}" if found["status"] != "ok" else ""
        tell(f"  {found['status']} after {duration(expected[work.name])}{why}")


def watched(work: Work, folder: Path) -> tuple[str, str]:
    """Do one unit in a process; return "" and "", or how it ended without a result, and a message."""
    job = _job(work)
    path = work.file(folder).with_name("job.json")
    write_json(path, job)
    log = path.with_name("log.txt")
    environment = os.environ | dict.fromkeys(THREADS, str(work.threads))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", str(path.absolute())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=ROOT,
        )
    started = time.monotonic()
    try:
        while True:
            try:
                code = process.wait(_TICK)
            except subprocess.TimeoutExpired:
                if time.monotonic() - started > 60 * work.suite.minutes:
                    return "out of time", f"stopped at the limit of {duration(60 * work.suite.minutes)}"
                if memory_of(process.pid) > 1e9 * work.suite.gigabytes:
                    return "out of memory", f"stopped above the limit of {work.suite.gigabytes:g} GB"
                continue
            if code == 0 and work.result(folder) is not None:
                return "", ""
            last = log.read_text(encoding="utf-8", errors="replace").strip().rsplit("\n", 1)[-1]
            how = f"signal {-code}" if code < 0 else f"status {code}"
            return "failed", f"the process ended with {how}: {last[:300]}"
    finally:  # also after Ctrl-C
        end(process)
        if process.stdin is not None:
            process.stdin.close()


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
    """Return the seconds that units took before, by name."""
    results = [read_json(path) for path in sorted(folder.glob("*/result.json"))]
    return {one["name"]: one["seconds"] for one in results if one and "seconds" in one}
