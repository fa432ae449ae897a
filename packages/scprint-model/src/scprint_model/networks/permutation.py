"""P-values of edges: how often one as strong comes out of cells in which genes no longer vary together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.strata import Strata


def shuffled_counts(cells: NetworkCells, rng: np.random.Generator, strata: Strata | None = None) -> NetworkCells:
    """Return the cells with each gene's counts dealt among them anew, apart from every other gene's.

    How often a gene is expressed, and how much, stays in every stratum; which genes are expressed together does not.
    Counts that are scaled to the depth of the cell that receives them are rounded up or down at random, so that their
    mean is that of the scaled ones. A cell's total count changes by what its genes' counts change. Draws follow the
    order of the cells and that of the vocabulary.

    Parameters
    ----------
    cells
        Cells; not changed.
    rng
        Generator of the draws.
    strata
        Strata within which counts are dealt; None: among all cells, as they are.
    """
    by_gene = sparse.csc_matrix(cells.counts)
    n_cells = by_gene.shape[0]
    of_cell = np.zeros(n_cells, dtype=np.int64) if strata is None else strata.of_cell
    ordered = np.argsort(of_cell, kind="stable")
    depth = np.maximum(cells.total_counts.astype(np.float64), 1.0)
    rows, values = np.empty_like(by_gene.indices), by_gene.data.copy()
    receiver = np.empty(n_cells, dtype=np.int64)
    for gene in np.argsort(cells.genes, kind="stable"):
        mine = slice(by_gene.indptr[gene], by_gene.indptr[gene + 1])
        drawn = rng.permutation(n_cells)
        receiver[ordered] = drawn[np.argsort(of_cell[drawn], kind="stable")]
        giver = by_gene.indices[mine]
        rows[mine] = receiver[giver]
        if strata is not None and strata.scaled:
            scaled = values[mine] * (depth[rows[mine]] / depth[giver])
            values[mine] = np.floor(scaled + rng.random(len(giver)))
    counts = sparse.csr_matrix(sparse.csc_matrix((values, rows, by_gene.indptr), shape=by_gene.shape))
    counts.sort_indices()
    counts.eliminate_zeros()
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
