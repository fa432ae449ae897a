"""Choices of the genes of a context, one function each."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def random_expressed(expressed: np.ndarray, measured: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Choose `size` expressed genes at random; a cell with fewer gets random unexpressed ones besides.

    Parameters
    ----------
    expressed
        Columns the cell expresses, unique, shape (n_expressed,).
    measured
        All columns that the cell's assay measured, unique; includes `expressed`.
    size
        Number of genes in the context; at most ``len(measured)``.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        int64 columns, unique, shape (size,), in random order (expressed ones first where there are too few).

    References
    ----------
    Kalfon et al. 2025, Methods, "Expression encoder": 2,200 random expressed genes, padded with unexpressed ones.
    """
    _check_size(measured, size)
    if len(expressed) >= size:
        return rng.choice(expressed, size, replace=False)
    return np.concatenate([rng.permutation(expressed), _unexpressed(expressed, measured, size - len(expressed), rng)])


def most_expressed(
    expressed: np.ndarray, counts: np.ndarray, measured: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose the `size` genes of highest count, ties at random; fill up with random unexpressed genes.

    Parameters and result as in `random_expressed`, with `counts` the counts of the expressed genes; by falling count.
    """
    _check_size(measured, size)
    # a random second key: a stable sort would favour low gene indices among the many genes of count 1
    order = np.lexsort((rng.random(len(counts)), -counts))
    if len(expressed) >= size:
        return expressed[order[:size]]
    return np.concatenate([expressed[order], _unexpressed(expressed, measured, size - len(expressed), rng)])


def _check_size(measured: np.ndarray, size: int) -> None:
    if size > len(measured):
        raise ValueError(f"a context of {size} genes was asked for, but only {len(measured)} known genes were measured")


def _unexpressed(expressed: np.ndarray, measured: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(np.setdiff1d(measured, expressed, assume_unique=True), size, replace=False)


def given_genes(wanted: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose a given list of genes, in its own order.

    Parameters
    ----------
    wanted
        Genes, unique, shape (size,).
    measured
        Genes that the data set measured.

    Returns
    -------
    tuple
        The genes as given, and which of them were measured (bool): a gene that was not has no count, not even 0.
    """
    return wanted, np.isin(wanted, measured)


def all_measured(measured: np.ndarray) -> np.ndarray:
    """Choose every gene that was measured, in rising order."""
    return np.sort(measured)


def variance_ranking(counts: sparse.csr_matrix, total_counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank genes by the variance of log(1 + counts per 10,000) over the cells, ties at random.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes).
    total_counts
        Total count of each whole cell, shape (n_cells,).
    rng
        Source of randomness: the many genes that no cell expresses tie.

    Returns
    -------
    numpy.ndarray
        int64 columns, most variable first, shape (n_genes,).
    """
    moments = LogMoments(counts.shape[1])
    moments.add(counts, total_counts)
    return moments.ranking(rng)


class LogMoments:
    """Means and variances of log(1 + counts per 10,000), a block of cells at a time.

    Parameters
    ----------
    n_genes
        Number of genes.
    """

    def __init__(self, n_genes: int) -> None:
        self._n_cells = 0
        self._mean, self._squares = np.zeros(n_genes), np.zeros(n_genes)

    def add(self, counts: sparse.csr_matrix, total_counts: np.ndarray) -> None:
        """Take in the raw counts of cells, shape (n_cells, n_genes), and their total counts, shape (n_cells,)."""
        n_cells, n_genes = counts.shape
        if n_cells == 0:
            return
        scale = 1e4 / np.maximum(np.asarray(total_counts, dtype=np.float64), 1)
        logged = np.log1p(counts.data * np.repeat(scale, np.diff(counts.indptr)))
        mean = np.bincount(counts.indices, logged, n_genes) / n_cells
        # around the mean, not by the mean of squares: what is left of that for a nearly constant gene is rounding
        squares = np.bincount(counts.indices, (logged - mean[counts.indices]) ** 2, n_genes)
        zeros = n_cells - np.bincount(counts.indices, minlength=n_genes)
        squares = squares + zeros * mean**2  # a sum of no counts comes back as whole numbers
        # Chan, Golub & LeVeque 1983: two blocks' moments make those of both
        total, apart = self._n_cells + n_cells, mean - self._mean
        self._squares += squares + apart**2 * (self._n_cells * n_cells / total)
        self._mean += apart * (n_cells / total)
        self._n_cells = total

    def ranking(self, rng: np.random.Generator) -> np.ndarray:
        """Return the genes, most variable first, ties at random; int64, shape (n_genes,)."""
        variance = self._squares / max(self._n_cells, 1)
        return np.lexsort((rng.random(len(variance)), -variance))


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
