"""Draw cells by what they express, so that a draw does not follow their places in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


def draw_cells(X: Any, genes: Sequence[str], n: int, seed: int = 0) -> NDArray[np.int64]:
    """Draw cells at random, each by a hash of its values, its genes' names and the seed.

    The same cells are drawn whatever the order of cells and genes in the file.

    Parameters
    ----------
    X
        Expression, (cells, genes), array or sparse.
    genes
        Names of the genes, (genes,).
    n
        Number of cells; all where there are fewer.
    seed
        Seed for the draw.

    Returns
    -------
    numpy.ndarray
        Rising places of the drawn cells. Of cells with equal values those that come first are drawn first.
    """
    return np.sort(np.argsort(cell_numbers(X, genes, seed), kind="stable")[:n])


def cell_numbers(X: Any, genes: Sequence[str], seed: int = 0) -> NDArray[np.uint64]:
    """Return a number of each cell: a hash of its values, its genes' names and the seed.

    Parameters
    ----------
    X
        Expression, (cells, genes), array or sparse.
    genes
        Names of the genes, (genes,).
    seed
        Seed that the numbers depend on.

    Returns
    -------
    numpy.ndarray
        uint64, (cells,), the same whatever the order of the genes.
    """
    table = sp.csr_matrix(X, dtype=np.float64, copy=True)
    table.sum_duplicates()
    table.eliminate_zeros()
    names = np.frombuffer(b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in genes), "<u8")
    pairs = mixed(names[table.indices] ^ mixed(table.data.view(np.uint64)))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(pairs, dtype=np.uint64)])  # modulo 2**64
    of_cell = total[table.indptr[1:]] - total[table.indptr[:-1]]
    numbers: NDArray[np.uint64] = mixed(of_cell ^ mixed(np.uint64(seed % 2**64)))
    return numbers


def mixed(values: Any) -> Any:
    """Return whole numbers spread evenly over 64 bits: the finaliser of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
