"""The columns of a table of cells, read without pandas, which not all environments have."""

import csv
from pathlib import Path


def column(folder: Path, name: str) -> list[str]:
    """Return a column of ``cells.csv``."""
    with (folder / "cells.csv").open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]
