"""Batches of raw counts and gene indices, as scPRINT takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scdataloader.collate.contexts import Contexts


@dataclass(frozen=True, eq=False)
class ScPrintFormat:
    """Raw counts, gene indices and total counts; the format of `scdataloader.CellBatch`.

    Parameters
    ----------
    locations
        Genome location index of each gene of the vocabulary (``vocabulary.locations``), to add ``positions`` to the
        batches; None: they have none.
    profile
        Whether batches hold all expressed genes of the cells, too: ``profile_genes``, ``profile_counts`` and
        ``profile_starts``.
    """

    locations: np.ndarray | None = None
    profile: bool = False
    #: The format knows every gene.
    usable: None = None
    #: No tokens beside the genes.
    n_special: int = 0

    def batch(self, contexts: Contexts, *, masked: bool) -> dict[str, Any]:
        """Return the arrays of a `scdataloader.CellBatch`, with a mask only if asked for."""
        batch = {
            "genes": contexts.genes,
            "counts": contexts.counts,
            "total_counts": contexts.total_counts,
            "labels": contexts.labels,
            "dataset": contexts.dataset,
        }
        if masked:
            batch["mask"] = contexts.mask
        if self.locations is not None:
            # the last entry is of no gene
            batch["positions"] = np.append(self.locations, 0).astype(np.int64)[contexts.genes]
        if self.profile:
            starts, genes, counts = contexts.expressed()
            batch["profile_genes"] = genes.astype(np.int64)
            batch["profile_counts"] = counts.astype(np.float32)
            batch["profile_starts"] = starts.astype(np.int64)
        return batch
