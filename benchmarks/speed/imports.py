"""Importing each package, and the first public name of each, beside importing anndata: fresh processes in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pandas as pd

STATEMENTS = (
    "import anndata",
    "import grnndata",
    "import bengrn",
    "import scdataloader",
    "import scprint_model",
    "from bengrn import score",
    "from scdataloader import Preprocessor",
    "from scdataloader import open_store",
    "from scdataloader import CellDataModule",
    "from scprint_model import ScPrint",
)
CHILD = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
exec(sys.argv[1])
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def import_times(repeats: int = 5) -> pd.DataFrame:
    """Return medians of so many processes a statement: seconds, and their ratio to those of anndata."""
    taken: dict[str, list[tuple[float, float]]] = {statement: [] for statement in STATEMENTS}
    _seconds("\n".join(STATEMENTS))  # reads the files from disk
    for _ in range(repeats):
        for statement in STATEMENTS:
            taken[statement].append(_seconds(statement))
    medians = {s: tuple(statistics.median(column) for column in zip(*taken[s], strict=True)) for s in STATEMENTS}
    wall, cpu = medians["import anndata"]
    return pd.DataFrame(
        {
            "statement": statement,
            "seconds": seconds,
            "CPU s": cpu_seconds,
            "to anndata": seconds / wall,
            "to anndata (CPU)": cpu_seconds / cpu,
        }
        for statement, (seconds, cpu_seconds) in medians.items()
    )


def _seconds(statements: str) -> tuple[float, float]:
    """Return the seconds, and the CPU seconds, that a fresh process takes for statements."""
    command = [sys.executable, "-c", CHILD, statements]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(said[-2]), float(said[-1])
