"""Times and limits the process it is in; for Python 3.10 and newer, without any package."""

import json
import re
import resource
import sys
import time
from pathlib import Path


def arguments():
    """Read the command line: work, checkpoint, inputs, output, repeats, warm-up; and limit the address space."""
    *texts, repeats, warm_up, limit = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    return *texts, int(repeats), int(warm_up)


def memory(field):
    """Bytes from /proc: VmRSS now, VmHWM at most so far (getrusage counts what the process was forked from)."""
    return 1024 * int(re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])


def tell(function, repeats, warm_up):
    """Call the function; print, as the last line, seconds of each call, CPU seconds, and memory; return its result.

    `before` is the memory when the work begins (imports, model, inputs), `peak` the most of the whole process.
    """
    before, wall, cpu, result = memory("VmRSS"), [], [], None
    for turn in range(repeats + warm_up):
        started, process = time.perf_counter(), time.process_time()
        result = function()
        if turn >= warm_up:
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - process)
    print()
    print(json.dumps({"wall": wall, "cpu": cpu, "before": before, "peak": memory("VmHWM")}))
    return result
