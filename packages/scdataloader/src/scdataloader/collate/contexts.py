"""Chosen genes of some cells, on their way into a batch; and the genes that a data set measures.

Shapes: B cells, S places of a context, E expressed genes of all cells together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Gene index where there is no gene: a model that does not look at the mask fails, instead of reading gene 0.
NO_GENE = -1


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """The genes of one data set; made by `Collator.panel`.

    Attributes
    ----------
    name
        Name of the data set, for messages.
    measured
        Vocabulary index of each measured gene, rising, int64, shape (n_measured,).
    fixed
        Vocabulary indices of the genes that every cell shows, in this order, where the gene choice says so; else None.
    present
        Whether each of `fixed` was measured, bool; None where all were.
    """

    name: str
    measured: np.ndarray
    fixed: np.ndarray | None = None
    present: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Contexts:
    """B cells with their chosen genes: what a format makes a batch of.

    Attributes
    ----------
    genes
        Vocabulary index of each chosen gene, `NO_GENE` where there is none, int64, shape (B, S). Several cells may
        share their memory: do not write to it.
    counts
        Raw counts of the chosen genes, 0 where there is none, float32, shape (B, S).
    present
        Whether there is a gene that was measured, bool, shape (B, S); None where all are.
    total_counts, labels, dataset
        Values of the cells, as in `scdataloader.CellBatch`.
    expressed
        Returns all expressed genes of the cells that the format knows, as CSR: row pointers (B + 1,), vocabulary
        indices (E,) and counts (E,).
    seed, positions
        Seed, and one number a cell, int64, shape (B,), on which any chance that is left has to depend: the place of
        its draw, or where it shall look the same each time a key of its counts.
    """

    genes: np.ndarray
    counts: np.ndarray
    present: np.ndarray | None
    total_counts: np.ndarray
    labels: np.ndarray
    dataset: np.ndarray
    expressed: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]
    seed: np.uint64
    positions: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Whether there is a gene that was measured, bool, shape (B, S)."""
        return np.ones(self.genes.shape, np.bool_) if self.present is None else self.present
