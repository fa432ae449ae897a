"""A process for one unit of work: ``python -m benchmarks.worker FILE``; it ends when its standard input closes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks.environments import versions_of
from benchmarks.peer import NOT_RUN
from bengrn.benchmarking.origin import commit, machine, peak_memory_mb, versions
from bengrn.benchmarking.work_files import read_json, write_json

#: Packages of ours, and others on which numbers hang, whose versions stand beside each row.
PACKAGES = ("bengrn", "grnndata", "scdataloader", "scprint-model", "torch", "scanpy", "scvi-tools", "networkx")


def origin(arguments: dict[str, Any], environments: list[str], threads: int) -> dict[str, Any]:
    """Return what every row of a table is told to come from."""
    own = versions(None)
    for name in PACKAGES:
        try:
            own[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "commit": commit(),
        "versions": own,
        "peers": {name: versions_of(name) for name in environments},
        "machine": machine(),
        "threads": threads,
        "seed": arguments.get("seed", 0),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main(path: Path) -> int:
    """Do the work of a file, and write its table or what went wrong beside it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job: dict[str, Any] = read_json(path)
    told = job | origin(job["arguments"], job["environments"], job["threads"])
    started, processor = time.perf_counter(), time.process_time()
    try:
        module, _, name = job["function"].partition(":")
        table = getattr(import_module(module), name)(**job["arguments"])
        told |= {"status": "ok", "message": "", "rows": plain_rows(table)}
    except Exception as error:
        traceback.print_exc()
        told |= {"status": "failed", "message": f"{type(error).__name__}: {error}"[:500], "rows": []}
    told |= {
        "not_run": dict(NOT_RUN),
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - processor,
        "peak_mb": peak_memory_mb(),
    }
    write_json(path.with_name("result.json"), told)
    return 0


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON holds them, without what is missing."""
    return [
        {str(key): value for key, value in row.items() if not pd.isna(value)}
        for row in table.astype(object).to_dict("records")
    ]


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the parent is gone
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
