"""The ablation as a suite: its rows with one seed, trained on what three variables name."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from os import pathsep
from pathlib import Path

import pandas as pd

from benchmarks.ablation.paper import CELLS, FEATURES, STORE, given


def ablation_scores(*, seed: int, steps: int) -> pd.DataFrame:
    """Train every row of the ablation with one seed, and return its scores beside those of the rivals.

    Raises
    ------
    FileNotFoundError
        If a variable is not set.
    """
    places = given()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        command = [sys.executable, "-m", "benchmarks.ablation", places[STORE], places[FEATURES]]
        command += [*places[CELLS].split(pathsep), "--seeds", str(seed), "--steps", str(steps)]
        subprocess.run([*command, "--table", str(table), "--runs", folder], check=True)
        return pd.read_csv(table)
