"""A key for each cell, made of its counts alone, and random numbers that depend on nothing but it.

What chance decides of a cell in inference hangs on its content: neither its place in a file nor the cells beside it,
nor how the file stores them, change a result.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from scipy import sparse

from scdataloader.randomness import STEP, mix, number, start


def cell_keys(counts: sparse.csr_matrix, gene_index: np.ndarray) -> np.ndarray:
    """Hash each cell's pairs of gene and count, over the genes of a vocabulary.

    The order of genes and cells, the type of the numbers, stored zeros, and genes outside the vocabulary do not matter.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes).
    gene_index
        Vocabulary index of each column, -1 for genes outside; shape (n_genes,).

    Returns
    -------
    numpy.ndarray
        uint64, shape (n_cells,).

    Examples
    --------
    >>> counts = sparse.csr_matrix(np.array([[2, 0, 1], [1, 0, 2]]))
    >>> one, other = cell_keys(counts, np.array([5, 6, 7]))
    >>> bool(one == other)
    False
    >>> bool((cell_keys(counts[:, [2, 0]].astype(np.float32), np.array([7, 5])) == [one, other]).all())
    True
    """
    rows = sparse.csr_matrix(counts)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return row_keys(rows.indptr, np.asarray(gene_index)[rows.indices], rows.data)


def row_keys(ends: np.ndarray, genes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the keys of `cell_keys` of cells as CSR: row pointers, vocabulary indices (-1: outside), and counts."""
    keys = np.empty(len(ends) - 1, np.uint64)
    _hash_rows(ends, genes, counts, keys)
    return keys


def draw_numbers(seed: int | tuple[int, ...], keys: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Draw 64-bit numbers, each a pure function of the seed, the cell's key and the gene.

    Parameters
    ----------
    seed
        Seed, or a seed and further numbers that tell one purpose from another.
    keys
        Keys of cells, uint64; see `cell_keys`.
    genes
        Vocabulary indices, or other whole numbers that tell draws of a cell apart; broadcast with `keys`.

    Returns
    -------
    numpy.ndarray
        uint64, evenly spread from 0 to 2^64 - 1.
    """
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return np.asarray(_numbers(state, keys, np.asarray(genes, np.int64)))


@numba.njit(nogil=True, cache=True)
def _hash_rows(ends: np.ndarray, genes: np.ndarray, counts: np.ndarray, keys: np.ndarray) -> None:
    for i in range(len(ends) - 1):
        # a sum: the order of the pairs must not matter
        total: Any = np.uint64(0)
        for j in range(ends[i], ends[i + 1]):
            if genes[j] >= 0 and counts[j] > 0:
                pair = np.uint64(genes[j]) * STEP ^ mix(np.uint64(np.int64(counts[j])) + STEP)
                total += mix(pair)
        keys[i] = mix(total)


@numba.vectorize(cache=True)  # type: ignore[no-untyped-call, untyped-decorator]
def _numbers(seed: Any, key: Any, gene: Any) -> Any:
    return number(start(seed, key), gene)
