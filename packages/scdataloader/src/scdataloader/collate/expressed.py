"""Choose a cell's context among its expressed genes, filled up with unexpressed ones."""

from __future__ import annotations

import numpy as np


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
