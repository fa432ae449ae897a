"""Report what each preprocessing step took in, let through and did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, Self

import numpy as np
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
    warnings
        What a reader should know though nothing failed.
    facts
        What was measured besides, by name. ``facts["doubts"]`` lists what speaks against the counts. Two have a
        form of their own, which the corpus report draws:
        ``facts["labels"]``, ``{column: {label: number of cells}}``, and ``facts["histograms"]``,
        ``{name: {"edges": n + 1 numbers, "counts": n numbers}}``.
    """

    source: str
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, before: tuple[int, int], after: tuple[int, int], detail: str) -> None:
        """Append a step, given the (cells, genes) shapes around it."""
        self.steps.append(Step(name, before[0], after[0], before[1], after[1], detail))

    @property
    def summary(self) -> dict[str, int]:
        """``cells_in, cells_out, genes_in, genes_out`` over all steps; empty if none ran."""
        if not self.steps:
            return {}
        first, last = self.steps[0], self.steps[-1]
        return {
            "cells_in": first.cells_in,
            "cells_out": last.cells_out,
            "genes_in": first.genes_in,
            "genes_out": last.genes_out,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row a step: ``step, cells_in, cells_out, genes_in, genes_out, detail``."""
        columns = ["step", "cells_in", "cells_out", "genes_in", "genes_out", "detail"]
        rows = [[s.name, s.cells_in, s.cells_out, s.genes_in, s.genes_out, s.detail] for s in self.steps]
        return pd.DataFrame(rows, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold; see `plain` for what becomes of numpy's."""
        return {
            "source": self.source,
            "steps": [plain(asdict(step)) for step in self.steps],
            "warnings": list(self.warnings),
            "facts": plain(self.facts),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the report that `to_dict` gave."""
        steps = [Step(**step) for step in values["steps"]]
        return cls(values["source"], steps, list(values["warnings"]), dict(values["facts"]))

    def __str__(self) -> str:
        lines = [self.source]
        for s in self.steps:
            cells = f"{s.cells_in:,} → {s.cells_out:,} cells" if s.cells_in != s.cells_out else f"{s.cells_out:,} cells"
            genes = f"{s.genes_in:,} → {s.genes_out:,} genes" if s.genes_in != s.genes_out else f"{s.genes_out:,} genes"
            lines.append(f"  {s.name:<12} {cells:<24} {genes:<28} {s.detail}")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it.

    numpy's numbers and arrays become Python's, tuples lists, keys and paths text, and numbers that are not finite None:
    JSON has no word for them.

    Raises
    ------
    TypeError
        When a value has no such form.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be kept as JSON: {value!r:.80}")
