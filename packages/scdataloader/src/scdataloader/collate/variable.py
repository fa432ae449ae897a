"""Choose the most variable genes of a data set: the same context for all its cells."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def variance_ranking(counts: sparse.csr_matrix, total_counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank genes by the variance of log(1 + counts per 10,000) over the cells, ties at random.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes).
    total_counts
        Of each whole cell, shape (n_cells,).
    rng
        Source of randomness: the many genes that no cell expresses tie.

    Returns
    -------
    numpy.ndarray
        int64 columns, most variable first, shape (n_genes,).
    """
    scale = 1e4 / np.maximum(np.asarray(total_counts, dtype=np.float64), 1)
    logged = np.log1p(counts.data * np.repeat(scale, np.diff(counts.indptr)))
    n_cells, n_genes = counts.shape
    mean = np.bincount(counts.indices, logged, n_genes) / max(n_cells, 1)
    # around the mean, not by the mean of squares: what is left of that for a nearly constant gene is rounding
    squares = np.bincount(counts.indices, (logged - mean[counts.indices]) ** 2, n_genes)
    zeros = n_cells - np.bincount(counts.indices, minlength=n_genes)
    variance = (squares + zeros * mean**2) / max(n_cells, 1)
    return np.lexsort((rng.random(n_genes), -variance))


def most_variable(ranking: np.ndarray, measured: np.ndarray, size: int) -> np.ndarray:
    """Choose the first `size` genes of a ranking that were measured.

    Parameters
    ----------
    ranking
        Genes, most variable first: of this data set (`variance_ranking`), or of a corpus.
    measured
        Genes that the data set measured.
    size
        Number of genes in the context.

    Returns
    -------
    numpy.ndarray
        In the order of the ranking, shape (size,).

    Raises
    ------
    ValueError
        When fewer genes of the ranking were measured.
    """
    found = ranking[np.isin(ranking, measured)]
    if len(found) < size:
        raise ValueError(
            f"a context of {size} genes was asked for, but only {len(found)} of the {len(ranking)} ranked genes were "
            "measured"
        )
    return found[:size]
