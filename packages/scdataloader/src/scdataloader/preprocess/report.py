"""What each preprocessing step took in, let through and did."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class Step:
    """One step: cells and genes before and after, and what it found."""

    name: str
    cells_in: int
    cells_out: int
    genes_in: int
    genes_out: int
    detail: str


@dataclass
class Report:
    """The steps that ran, in order; `str()` of it is a table to read.

    Attributes
    ----------
    source
        Where the data came from, for the title.
    steps
        One entry a step.
    """

    source: str
    steps: list[Step] = field(default_factory=list)

    def add(self, name: str, before: tuple[int, int], after: tuple[int, int], detail: str) -> None:
        """Append a step, given the (cells, genes) shapes around it."""
        self.steps.append(Step(name, before[0], after[0], before[1], after[1], detail))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step: ``step, cells_in, cells_out, genes_in, genes_out, detail``."""
        columns = ["step", "cells_in", "cells_out", "genes_in", "genes_out", "detail"]
        rows = [[s.name, s.cells_in, s.cells_out, s.genes_in, s.genes_out, s.detail] for s in self.steps]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        lines = [self.source]
        for s in self.steps:
            cells = f"{s.cells_in:,} → {s.cells_out:,} cells" if s.cells_in != s.cells_out else f"{s.cells_out:,} cells"
            genes = f"{s.genes_in:,} → {s.genes_out:,} genes" if s.genes_in != s.genes_out else f"{s.genes_out:,} genes"
            lines.append(f"  {s.name:<12} {cells:<24} {genes:<28} {s.detail}")
        return "\n".join(lines)
