"""Cells nearest to each cell, of data of any size, and what these say of its counts."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy.special import gammaln

from scdataloader.counts import total_counts
from scprint_model.genes import SharedGenes
from scprint_model.networks.choose import variable_genes
from scprint_model.parts import parts

#: Genes and principal components by which cells are compared, and cells by which the genes are chosen.
N_GENES, N_COMPONENTS, N_CHOOSING = 2000, 50, 5000
#: How many counts a profile may be worth beside a cell's own: the candidates.
WORTH = 2.0 ** np.arange(2, 21)


def nearest_cells(adata: AnnData, known: SharedGenes, n: int) -> np.ndarray:
    """Return the cells nearest to each cell, itself left out, in principal components of log counts per 10,000.

    Two passes over the cells, a part at a time; in memory are 50 numbers a cell.

    Parameters
    ----------
    adata
        Cells with raw counts.
    known
        `scprint_model.genes.match_genes` of them.
    n
        Number of neighbours, at least 1.

    Returns
    -------
    numpy.ndarray
        int64, shape (n_cells, n), the nearest first; fewer where there are not so many cells.

    Raises
    ------
    ValueError
        When there are fewer than 2 cells, or `n` is not positive.
    """
    from sklearn.neighbors import NearestNeighbors

    if n < 1 or adata.n_obs < 2:
        raise ValueError(f"neighbours={n} of {adata.n_obs} cells: at least 1, and 2 cells, are needed")
    at = variable_genes(adata, known, min(N_GENES, len(known)), n_cells=N_CHOOSING)
    mean, products = np.zeros(len(at)), np.zeros((len(at), len(at)))
    for _, part in parts(adata):
        values = _log_values(part, known, at)
        mean += values.sum(axis=0)
        products += values.T @ values
    mean /= adata.n_obs
    products -= adata.n_obs * np.outer(mean, mean)
    directions = np.linalg.eigh(products)[1][:, ::-1][:, : min(N_COMPONENTS, len(at))]
    points = np.concatenate([(_log_values(part, known, at) - mean) @ directions for _, part in parts(adata)])
    found = NearestNeighbors(n_neighbors=min(n, adata.n_obs - 1)).fit(points).kneighbors(return_distance=False)
    return np.asarray(found, dtype=np.int64)


def _log_values(part: AnnData, known: SharedGenes, at: np.ndarray) -> np.ndarray:
    scale = 1e4 / np.maximum(total_counts(part).astype(np.float64), 1)
    return np.log1p(known.counts(part, at).toarray() * scale[:, None])


def neighbour_counts(adata: AnnData, known: SharedGenes, at: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the counts of genes, positions among the known ones, added up over the neighbours of some cells.

    Parameters
    ----------
    adata, known
        All cells, and `scprint_model.genes.match_genes` of them.
    at
        Positions of genes among the known ones.
    nearest
        Neighbours of the cells that are asked for, shape (B, n).

    Returns
    -------
    numpy.ndarray
        float64, shape (B, len(at)).
    """
    cells, place = np.unique(nearest, return_inverse=True)
    _, part = next(parts(adata[cells], len(cells)))
    counts = known.counts(part, at).toarray().astype(np.float64)
    return counts[place.reshape(nearest.shape)].sum(axis=1)


def with_neighbours(expected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the geometric mean of the model's profile and that of similar cells, with the sums of the model's.

    Parameters
    ----------
    expected
        Counts that the model expects, shape (B, S).
    counts
        Summed counts of similar cells, shape (B, S). One more count is shared out as the model expects it, so that a
        gene that none of them shows is rare and not impossible.
    """
    expected = expected.astype(np.float64)
    total = expected.sum(axis=1, keepdims=True)
    profile = expected / np.maximum(total, np.finfo(np.float64).tiny)
    neighbours = (counts + profile) / (counts.sum(axis=1, keepdims=True) + 1)
    joint = np.sqrt(profile * neighbours)
    return joint * (total / np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))


def posterior_counts(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return expected counts of all genes that keep what was counted in the cell.

    The observed counts are taken as a draw from a Dirichlet-multinomial distribution around the expected profile. The
    posterior mean adds the profile, worth so many counts, to the cell's own: how many is the candidate of `WORTH` under
    which the cell's counts are likeliest. Where cells differ from their profile, they keep more of what is theirs.

    Parameters
    ----------
    observed
        Raw counts, shape (B, S).
    expected
        Expected counts, shape (B, S), whose sums are kept.
    """
    total = expected.sum(axis=1, keepdims=True)
    share = np.maximum(expected / np.maximum(total, np.finfo(np.float64).tiny), 1e-12)
    n = observed.sum(axis=1)
    rows, columns = np.nonzero(observed)
    x, p = observed[rows, columns], share[rows, columns]
    likelihood = np.empty((len(WORTH), len(observed)))
    for i, worth in enumerate(WORTH):
        each = gammaln(x + worth * p) - gammaln(worth * p)
        likelihood[i] = np.bincount(rows, each, minlength=len(observed)) + gammaln(worth) - gammaln(worth + n)
    worth = WORTH[likelihood.argmax(axis=0)][:, None]
    return (observed + worth * share) / (n[:, None] + worth) * total
