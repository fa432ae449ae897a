"""Changes that leave a cell the same cell: fewer counts, fewer genes, a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scdataloader.counts import csr_counts, obs_table, total_counts

#: Changes cells that stay the same cells; it draws from the generator.
type Change = Callable[[AnnData, np.random.Generator], AnnData]


@dataclass(frozen=True)
class Thinned:
    """Keeps each counted molecule with a chance of 1 / `times`: the cell, sequenced less deeply."""

    times: float = 8

    def __call__(self, adata: AnnData, rng: np.random.Generator) -> AnnData:
        """Return the cells with fewer counts, and totals that fit."""
        counts = sparse.csr_matrix(csr_counts(adata), dtype=np.int64, copy=True)
        counts.data = rng.binomial(counts.data, 1 / self.times)
        counts.eliminate_zeros()
        # genes that the file does not hold lose as much
        outside = np.rint(total_counts(adata)).astype(np.int64) - np.asarray(csr_counts(adata).sum(axis=1)).ravel()
        totals = np.asarray(counts.sum(axis=1)).ravel() + rng.binomial(
            np.maximum(outside, 0).astype(np.int64), 1 / self.times
        )
        return _cells(adata, counts, totals=np.maximum(totals, 1))


@dataclass(frozen=True)
class WithoutGenes:
    """Leaves out a random share of the genes, as if they had not been measured; the total counts stay."""

    share: float = 0.5

    def __call__(self, adata: AnnData, rng: np.random.Generator) -> AnnData:
        """Return the cells over the other genes."""
        n = max(1, round((1 - self.share) * adata.n_vars))
        return _genes(adata, rng.permutation(adata.n_vars)[:n])


@dataclass(frozen=True)
class Panel:
    """Keeps a targeted panel: so many genes, drawn at random among the `among` most expressed ones."""

    n_genes: int = 500
    among: int = 5000

    def __call__(self, adata: AnnData, rng: np.random.Generator) -> AnnData:
        """Return the cells over the genes of the panel."""
        counted = np.asarray(csr_counts(adata).sum(axis=0, dtype=np.float64)).ravel()  # counts may be unsigned
        most = np.argsort(-counted, kind="stable")[: self.among]
        return _genes(adata, rng.permutation(most)[: self.n_genes])


#: Changes that are measured where no others are named.
CHANGES: Mapping[str, Change] = {
    "thinned 8 times": Thinned(8),
    "half of the genes": WithoutGenes(0.5),
    "panel of 500 genes": Panel(500),
}


def _genes(adata: AnnData, at: np.ndarray) -> AnnData:
    at = np.sort(at)
    return _cells(adata[:, at], csr_counts(adata)[:, at], totals=total_counts(adata))


def _cells(adata: AnnData, counts: sparse.csr_matrix, *, totals: np.ndarray) -> AnnData:
    obs = obs_table(adata).assign(total_counts=totals)
    return AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs=obs, var=cast("pd.DataFrame", adata.var).copy())
