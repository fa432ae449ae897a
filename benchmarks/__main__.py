"""Run the comparison: ``python -m benchmarks [NAME ...] [--size quick|bench|full]``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.report import write_report
from benchmarks.running import collected, run
from benchmarks.sections import failures
from benchmarks.suite import SIZES
from benchmarks.suites import SUITES
from benchmarks.work import ROOT, planned
from bengrn.effort import duration

RUNS = ROOT / "runs" / "bench"


def main() -> int:
    """Run the suites that were named, or all of a size; return the exit status."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(names)}; all by default")
    parser.add_argument("--size", choices=SIZES, default="bench", help="how much is run")
    parser.add_argument("--out", type=Path, help="folder of the page and tables; runs/bench/SIZE by default")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument(
        "--jobs", type=int, default=2, help="units that run side by side, but for those that measure time; 2 by default"
    )
    parser.add_argument("--retry", action="store_true", help="do what failed before again")
    parser.add_argument("--list", action="store_true", help="say what there is to do, and do nothing")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(names))
    if unknown:
        parser.error(f"unknown suites {unknown}; there are {', '.join(names)}")
    if min(given.jobs, given.threads) < 1:
        parser.error(f"--jobs {given.jobs} and --threads {given.threads} must be at least 1")
    suites = [suite for suite in SUITES if not given.names or suite.name in given.names]
    works = planned(suites, given.size, given.threads)
    folder, out = RUNS / "work", given.out or RUNS / given.size
    if given.list:
        for work in works:
            print(f"{'done   ' if work.result(folder) is not None else 'missing'} {work.name}")
        return 0
    started, stopped = time.perf_counter(), False
    try:
        run(works, folder, jobs=given.jobs, retry=given.retry, tell=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        stopped = True
        print("stopped; what is done is kept, and the same command goes on from here", file=sys.stderr)
    results = collected(works, folder)
    wrong = [] if stopped else failures(suites, results)
    write_report(suites, results, out, size=given.size, wrong=wrong)
    failed = sum(result["status"] != "ok" for result in results)
    print(
        f"{len(results) - failed} of {len(results)} have results, after {duration(time.perf_counter() - started)}: "
        f"{out / 'index.html'}"
    )
    for line in wrong:
        print(f"failed: {line}", file=sys.stderr)
    return 130 if stopped else int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
