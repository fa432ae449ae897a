"""Batches of raw counts and gene indices, as scPRINT takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scdataloader.batch import CellBatch
from scdataloader.collate import padding
from scdataloader.collate.rows import Context

#: Gene index where there is no gene: a model that does not look at the mask fails, instead of reading gene 0.
NO_GENE = -1


@dataclass(frozen=True, eq=False)
class ScPrint:
    """Raw counts, gene indices and total counts; the format of `scdataloader.CellBatch`.

    Parameters
    ----------
    locations
        Genome location index of each gene of the vocabulary (``vocabulary.locations``), to add ``positions`` to the
        batches; None: they have none.
    """

    locations: np.ndarray | None = None
    #: The format knows every gene.
    usable: None = None
    #: No tokens beside the genes.
    n_special: int = 0

    def batch(self, contexts: Sequence[Context], *, masked: bool) -> CellBatch:
        """Return the batch, with a mask only if asked for: see `scdataloader.CellBatch`."""
        rows = [context.row for context in contexts]
        genes = padding.pad([context.genes for context in contexts], NO_GENE, np.int64)
        batch = CellBatch(
            genes=genes,
            counts=padding.pad([context.look_up(context.row.counts) for context in contexts], 0, np.float32),
            total_counts=padding.totals(rows),
            labels=padding.labels(rows),
            dataset=padding.data_sets(rows),
        )
        if masked:
            present = [np.ones(len(c.genes), dtype=bool) if c.present is None else c.present for c in contexts]
            batch["mask"] = padding.pad(present, False, np.bool_)
        if self.locations is not None:
            positions = [self.locations[context.genes] for context in contexts]
            batch["positions"] = padding.pad(positions, 0, np.int64)
        return batch
