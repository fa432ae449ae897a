"""A short fingerprint of a cell's counts, to tell whether a model has seen a cell."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import sparse


def cell_fingerprints(counts: sparse.csr_matrix, gene_index: np.ndarray) -> np.ndarray:
    """Return one 64-bit hash a cell: of its non-zero counts over the genes of a vocabulary.

    Independent of the order of genes and cells and of the genes outside the vocabulary.

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
    """
    known = np.flatnonzero(gene_index >= 0)
    order = known[np.argsort(gene_index[known])]
    ordered = sparse.csr_matrix(counts)[:, order]
    ordered.eliminate_zeros()
    ordered.sort_indices()
    genes = gene_index[order].astype("<i4")
    out = np.empty(ordered.shape[0], dtype=np.uint64)
    for i in range(ordered.shape[0]):
        part = slice(ordered.indptr[i], ordered.indptr[i + 1])
        content = genes[ordered.indices[part]].tobytes() + ordered.data[part].astype("<i4").tobytes()
        out[i] = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    return out
