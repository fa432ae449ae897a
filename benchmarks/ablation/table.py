"""The ablation as a suite: its rows with one seed, trained on what three variables name."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

#: Variables that name a store of training cells, a table of gene features, and files of cells to score on.
STORE, FEATURES, CELLS = "SCPRINT_ABLATION_STORE", "SCPRINT_ABLATION_FEATURES", "SCPRINT_ABLATION_CELLS"


def ablation_scores(*, seed: int, steps: int) -> pd.DataFrame:
    """Train every row of the ablation with one seed, and return its scores beside those of the rivals.

    Raises
    ------
    FileNotFoundError
        If a variable is not set.
    """
    missing = [name for name in (STORE, FEATURES, CELLS) if not os.environ.get(name)]
    if missing:
        raise FileNotFoundError(
            f"set {', '.join(missing)}: the store and gene features that packages/scprint-model/scripts make, and "
            f"files of cells (several joined by {os.pathsep!r})"
        )
    files = os.environ[CELLS].split(os.pathsep)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        command = [sys.executable, "-m", "benchmarks.ablation", os.environ[STORE], os.environ[FEATURES], *files]
        command += ["--seeds", str(seed), "--steps", str(steps), "--table", str(table), "--runs", folder]
        subprocess.run(command, check=True)
        return pd.read_csv(table)
