"""P-values of edges: how often one as strong comes out of cells in which genes no longer vary together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from scprint_model.networks.choose import NetworkCells


def shuffled_counts(cells: NetworkCells, rng: np.random.Generator, strata: ArrayLike | None = None) -> NetworkCells:
    """Return the cells with each gene's counts dealt among them anew, apart from every other gene's.

    How often a gene is expressed, and how much, stays, in every stratum; which genes are expressed together does not. A
    cell's total count changes by what its genes' counts change. Draws follow the order of the cells and that of the
    vocabulary.

    Parameters
    ----------
    cells
        Cells; not changed.
    rng
        Generator of the draws.
    strata
        Number of each cell's stratum, shape (n_cells,): counts are dealt among the cells of one. None: among all.
    """
    by_gene = sparse.csc_matrix(cells.counts)
    n_cells = by_gene.shape[0]
    of_cell = np.zeros(n_cells, dtype=np.int64) if strata is None else np.asarray(strata)
    ordered = np.argsort(of_cell, kind="stable")
    rows, dealt = np.empty_like(by_gene.indices), np.empty(n_cells, dtype=np.int64)
    for gene in np.argsort(cells.genes, kind="stable"):
        mine = slice(by_gene.indptr[gene], by_gene.indptr[gene + 1])
        drawn = rng.permutation(n_cells)
        dealt[ordered] = drawn[np.argsort(of_cell[drawn], kind="stable")]
        rows[mine] = dealt[by_gene.indices[mine]]
    counts = sparse.csr_matrix(sparse.csc_matrix((by_gene.data, rows, by_gene.indptr), shape=by_gene.shape))
    counts.sort_indices()
    before, after = (np.asarray(part.sum(axis=1), dtype=np.float64).ravel() for part in (cells.counts, counts))
    totals = np.maximum(cells.total_counts - before + after, after)
    return replace(cells, counts=counts, total_counts=totals.astype(np.float32))


class Exceedances:
    """Counts the networks in which an edge is at least as strong as in the one that was observed.

    Notes
    -----
    The observed network counts as one of them: Phipson & Smyth 2010, "Permutation p-values should never be zero".
    """

    def __init__(self, observed: np.ndarray) -> None:
        self._observed = observed
        self._n, self._as_strong = 1, np.ones(observed.shape, dtype=np.int32)

    def add(self, network: np.ndarray) -> None:
        """Compare another network; it is not kept."""
        self._n += 1
        self._as_strong += network >= self._observed

    def p_values(self) -> np.ndarray:
        """Return the share of networks that were as strong, float32, of the shape of a network."""
        return self._as_strong.astype(np.float32) / np.float32(self._n)
