"""Expression in bins: each gene's values by their rank, at most 256 of them, once for all trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Values that one byte tells apart.
MOST = 256
_SPARSE = 0.25


@dataclass(frozen=True, eq=False)
class Bins:
    """Expression of genes in bins.

    Attributes
    ----------
    values
        Bin of each value by rising value, uint8, (genes, cells).
    above
        Bits of the cells that are in another bin than the lowest, 64 to a word, uint64, (genes, words).
    is_sparse
        Genes of which at most a quarter of the cells are above the lowest bin, bool, (genes,).
    inexact
        Places of the genes whose values were put together because there are more than 256 of them.
    levels
        Value of each bin of a gene, float64; of an inexact gene the value of each cell.
    """

    values: NDArray[np.uint8]
    above: NDArray[np.uint64]
    is_sparse: NDArray[np.bool_]
    inexact: NDArray[np.int64]
    levels: list[NDArray[np.float64]]

    def expression(self, gene: int) -> NDArray[np.float64]:
        """Return the values of a gene as they were given, (cells,)."""
        levels = self.levels[gene]
        return levels if gene in self.inexact else levels[self.values[gene]]


def binned(
    values: NDArray[np.floating],
    cells: NDArray[np.int64] | None = None,
    genes: NDArray[np.int64] | None = None,
    *,
    most: int = MOST,
) -> Bins:
    """Put the values of each gene into bins.

    A gene with at most `most` distinct values loses nothing: trees see of a value only its rank. Other genes get bins
    of about equal numbers of cells; equal values share a bin.

    Parameters
    ----------
    values
        Expression, (cells, genes), finite.
    cells, genes
        Places of the cells and genes that are taken, in their new order; all as they come when None.
    most
        Largest number of bins, from 2 to 256.
    """
    cells = np.arange(len(values)) if cells is None else cells
    genes = np.arange(values.shape[1]) if genes is None else genes
    n_cells = len(cells)
    found = np.empty((len(genes), n_cells), dtype=np.uint8)
    inexact = []
    levels = []
    for gene, column in enumerate(genes):
        given = values[cells, column]
        there, place = np.unique(given, return_inverse=True)
        levels.append(there if len(there) <= most else given)
        if len(there) > most:
            inexact.append(gene)
            counts = np.bincount(place)
            middle = np.cumsum(counts) - counts / 2
            of_value = np.floor(middle / n_cells * most).astype(np.int64)
            place = np.unique(of_value, return_inverse=True)[1][place]
        found[gene] = place
    above = found > 0
    return Bins(found, _bits(above), above.mean(axis=1) <= _SPARSE, np.array(inexact, dtype=np.int64), levels)


def _bits(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    n_genes, n_cells = flags.shape
    words = -(-n_cells // 64)
    padded = np.zeros((n_genes, words * 64), dtype=bool)
    padded[:, :n_cells] = flags
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
