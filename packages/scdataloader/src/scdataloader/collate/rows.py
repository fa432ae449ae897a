"""What a collator works on: one cell as its expressed genes, and the genes its data set measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """The genes of one data set; made by `Collator.panel`, shared by all its cells.

    Attributes
    ----------
    name
        The data set, for messages.
    measured
        Vocabulary index of each measured gene, rising, int64, shape (n_measured,).
    fixed
        The same genes for every cell, in this order, where the gene choice says so; else None.
    present
        Which of `fixed` were measured, bool; None where all were.
    """

    name: str
    measured: np.ndarray
    fixed: np.ndarray | None = None
    present: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class CellRow:
    """One cell.

    Attributes
    ----------
    genes
        Vocabulary index of each expressed gene, rising, all of them in the panel, int64, shape (n_expressed,).
    counts
        Raw counts of those, above 0, shape (n_expressed,).
    total_count
        Of the whole cell, also of genes outside the vocabulary.
    labels
        Label codes, int64, shape (n_classes,).
    dataset
        Index of the cell's data set.
    index
        The cell's number; with the seed of the collator it decides what is drawn by chance.
    panel
        The genes that its data set measures.
    """

    genes: np.ndarray
    counts: np.ndarray
    total_count: float
    labels: np.ndarray
    dataset: int
    index: int
    panel: Panel

    def __post_init__(self) -> None:
        if len(self.genes) != len(self.counts):
            raise ValueError(f"cell {self.index} has {len(self.genes)} genes, but {len(self.counts)} counts")
        if len(self.genes) > 1 and not (self.genes[1:] > self.genes[:-1]).all():
            raise ValueError(f"the genes of cell {self.index} do not rise: sort them, each only once")


@dataclass(frozen=True, eq=False, slots=True)
class Context:
    """One cell with its chosen genes, on the way into a batch.

    Attributes
    ----------
    row
        The cell, its genes only those that the format knows.
    genes
        Vocabulary index of each chosen gene, int64, shape (n_chosen,).
    present
        Which of them were measured, bool; None where all were.
    rng
        The source of whatever chance is left to the format.
    """

    row: CellRow
    genes: np.ndarray
    present: np.ndarray | None
    rng: np.random.Generator

    def look_up(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the chosen genes, given those of the row's expressed ones; 0 for all others."""
        if len(self.genes) == 0 or len(self.row.genes) == 0:
            return np.zeros(len(self.genes), dtype=np.float32)
        # by scattering over the vocabulary: faster than a search for each gene, as long as a cell expresses thousands
        dense = np.zeros(max(int(self.genes.max()), int(self.row.genes[-1])) + 1, dtype=np.float32)
        dense[self.row.genes] = values
        return dense[self.genes]
