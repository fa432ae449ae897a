"""An order of cells and genes that follows from their values, so that trees do not depend on places in a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bengrn.cell_draws import mixed

_BLOCK = 256


def own_order(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Return an order of the cells and of the genes, and a number of each gene, all made from the values alone.

    The number of a gene is a hash of its values in any order; that of a cell is one of its values and the numbers of
    their genes. Genes, or cells, with equal values keep the order in which they come.

    Parameters
    ----------
    values
        Expression, (cells, genes).

    Returns
    -------
    cells, genes : numpy.ndarray
        Places in the new order, (cells,) and (genes,).
    numbers : numpy.ndarray
        Number of each gene in the old order, uint64, (genes,).
    """
    n_cells, n_genes = values.shape
    numbers = np.zeros(n_genes, dtype=np.uint64)
    of_cells = np.zeros(n_cells, dtype=np.uint64)
    for start in range(0, n_genes, _BLOCK):
        at = slice(start, start + _BLOCK)
        of_values = mixed(np.ascontiguousarray(values[:, at] + 0.0).view(np.uint64))  # -0 is 0
        numbers[at] = of_values.sum(axis=0, dtype=np.uint64)
        of_cells += mixed(of_values ^ numbers[at]).sum(axis=1, dtype=np.uint64)
    return np.argsort(of_cells, kind="stable"), np.argsort(numbers, kind="stable"), numbers
