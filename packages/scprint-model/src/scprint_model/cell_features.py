"""Features of cells that need no model, for simple methods to start from, and numbers that go by what cells hold."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from anndata import AnnData
from scipy import sparse

from scdataloader import cell_keys
from scdataloader.counts import csr_counts, log_normalise

#: Principal components that a regression beside predicted labels starts from.
N_COMPONENTS = 30


def principal_components(adata: AnnData, *, n: int = 50, seed: int = 0) -> np.ndarray:
    """Return the usual baseline embedding: `n` principal components of log counts per 10,000, shape (n_cells, n)."""
    from sklearn.decomposition import PCA

    return PCA(min(n, min(adata.shape) - 1), svd_solver="arpack", random_state=seed).fit_transform(log_normalise(adata))


def keys_of(counts: sparse.csr_matrix, gene_ids: Sequence[str]) -> np.ndarray:
    """Return a number for each cell that follows from its counts and the names of the genes alone, uint64."""
    return cell_keys(counts, gene_numbers(gene_ids))


def gene_numbers(gene_ids: Sequence[str]) -> np.ndarray:
    """Return a number for each gene that follows from its name, int64."""
    return np.array([crc32(gene.encode()) for gene in gene_ids], dtype=np.int64)


def component_features(cells: AnnData, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components and keys of some cells, as rows of all: NaN, and 0, where a cell is not among them.

    Parameters
    ----------
    cells
        Raw counts, which may lie in a file.
    at
        Places of the cells to take into memory.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        (n_cells, at most `N_COMPONENTS`) float64, and (n_cells,) uint64 keys of the cells' counts.
    """
    some = cells[at]
    some = some.to_memory() if some.isbacked else some
    found = principal_components(some, n=N_COMPONENTS)
    features, keys = np.full((cells.n_obs, found.shape[1]), np.nan), np.zeros(cells.n_obs, dtype=np.uint64)
    features[at], keys[at] = found, keys_of(csr_counts(some), some.var_names.tolist())
    return features, keys
