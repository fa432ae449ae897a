"""P-values of edges: how often one as strong comes out of cells in which genes no longer vary together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import sparse

from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.pooled import REFERENCE_PERMUTATIONS, PooledNull
from scprint_model.networks.strata import Strata

#: Numbers drawn at a time.
_BLOCK = 1 << 20


def shuffled_counts(cells: NetworkCells, rng: np.random.Generator, strata: Strata | None = None) -> NetworkCells:
    """Return the cells with each gene's counts dealt among them anew, apart from every other gene's.

    How often a gene is expressed, and how much, stays in every stratum; which genes are expressed together does not.
    Counts that are scaled to the depth of the cell that receives them are rounded up or down at random, so that their
    mean is that of the scaled ones. A cell's total count is the sum of the dealt counts and of what other genes have.
    Where counts are scaled, these are drawn, too, as a Poisson number at their stratum's share of the depth: that depth
    has the chance of the receiver's own counts in it, and kept as it is would make genes of large shares vary against
    each other twice. Draws follow the order of the cells and that of the vocabulary.

    Parameters
    ----------
    cells
        Cells; not changed.
    rng
        Generator of the draws.
    strata
        Strata within which counts are dealt; None: among all cells, as they are.
    """
    order = np.argsort(cells.genes, kind="stable")
    by_gene = sparse.csc_matrix(cells.counts)[:, order]
    by_gene.sort_indices()
    n_cells, n_genes = by_gene.shape
    of_cell = np.zeros(n_cells, dtype=np.int64) if strata is None else strata.of_cell
    ordered = np.argsort(of_cell, kind="stable")
    giver, rows, values = by_gene.indices, np.empty_like(by_gene.indices), by_gene.data
    block = max(1, _BLOCK // n_cells)
    for start in range(0, n_genes, block):
        ends = by_gene.indptr[start : start + block + 1]
        receiver = np.empty((len(ends) - 1, n_cells), dtype=np.int64)
        receiver[:, ordered] = np.argsort(rng.random(receiver.shape) + of_cell, axis=1)
        mine = slice(ends[0], ends[-1])
        rows[mine] = receiver[np.repeat(np.arange(len(receiver)), np.diff(ends)), giver[mine]]
    if strata is not None and strata.scaled:
        depth = np.maximum(cells.total_counts.astype(np.float64), 1.0)
        values = np.floor(values * (depth[rows] / depth[giver]) + rng.random(len(values))).astype(values.dtype)
    counts = sparse.csr_matrix(sparse.csc_matrix((values, rows, by_gene.indptr), shape=by_gene.shape))
    counts = counts[:, np.argsort(order)]
    counts.sort_indices()
    counts.eliminate_zeros()
    before, after = (np.asarray(part.sum(axis=1), dtype=np.float64).ravel() for part in (cells.counts, counts))
    rest = np.maximum(cells.total_counts - before, 0)
    if strata is not None and strata.scaled:
        rest = _drawn_rest(rest, depth, strata, rng.spawn(1)[0])
    return replace(cells, counts=counts, total_counts=(rest + after).astype(np.float32))


def _drawn_rest(rest: np.ndarray, depth: np.ndarray, strata: Strata, rng: np.random.Generator) -> np.ndarray:
    """Return a Poisson number for each cell, whose mean is the share of the depth that other genes have in its stratum.

    Where all cells of a stratum have the same, nothing of it is by chance, and it stays.
    """
    n, of = len(strata.sizes), strata.of_cell
    share = np.bincount(of, rest, minlength=n) / np.bincount(of, depth, minlength=n)
    low, high = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(low, of, rest)
    np.maximum.at(high, of, rest)
    return np.where((low < high)[of], rng.poisson(share[of] * depth), rest)


def permutation_p_values(
    cells: NetworkCells,
    network: Callable[[NetworkCells], np.ndarray],
    observed: np.ndarray,
    tested: np.ndarray,
    *,
    strata: Strata | None,
    n: int,
    pooled: bool,
    rng: np.random.Generator,
    reference: int = REFERENCE_PERMUTATIONS,
) -> tuple[np.ndarray, float]:
    """Return the p-values of a network, NaN where no edge is tested, and the smallest that there could be.

    Parameters
    ----------
    cells
        Cells that the observed network came of.
    network
        Function from cells to a dense network, float32 or float64, (genes, genes).
    observed, tested
        Its weights in `cells`, and which edges are tested.
    strata
        Strata within which counts are dealt.
    n
        Number of networks of dealt counts.
    pooled
        Whether the networks of all edges are taken together; see `PooledNull`. Otherwise each edge counts its own.
    rng
        Generator that deals.
    reference
        Number of permutations that say how correlations vary, where a pooled network follows them.
    """
    pool, counted = PooledNull(observed, tested) if pooled else None, Exceedances(observed)
    for _ in range(n):
        dealt = shuffled_counts(cells, rng, strata)
        found = network(dealt)
        counted.add(found)
        if pool is not None:
            pool.add(found, dealt)
    p_value = np.where(tested, counted.p_values(), np.float32(np.nan))
    if pool is None:
        return p_value, 1 / (n + 1)
    return pool.p_values(p_value, lambda: shuffled_counts(cells, rng, strata), reference)


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
