"""Compiled look-ups in rows of expressed genes: their values at chosen genes, and the bins of their counts."""

from __future__ import annotations

import numba
import numpy as np

from scdataloader.randomness import number, start

_32 = np.uint64(32)


@numba.njit(nogil=True, cache=True)
def look_up(
    ends: np.ndarray, genes: np.ndarray, values: np.ndarray, chosen: np.ndarray, width: int, out: np.ndarray
) -> None:
    """Write the sum of each cell's values at its chosen genes.

    Parameters
    ----------
    ends, genes, values
        Values of the cells as CSR; a gene may come more than once in a cell.
    chosen
        Gene indices, -1 for none, shape (B, S).
    width
        Number above all gene indices.
    out
        float32, shape (B, S); 0 where a cell has no value.
    """
    sums = np.zeros(width, np.float32)
    for i in range(len(chosen)):
        for j in range(ends[i], ends[i + 1]):
            sums[genes[j]] += values[j]
        for j in range(chosen.shape[1]):
            gene = chosen[i, j]
            out[i, j] = sums[gene] if gene >= 0 else 0
        for j in range(ends[i], ends[i + 1]):
            sums[genes[j]] = 0


@numba.njit(nogil=True, cache=True)
def bin_rows(
    ends: np.ndarray,
    genes: np.ndarray,
    counts: np.ndarray,
    n_bins: int,
    seed: np.uint64,
    positions: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the bin of each count among those of its row; see `scdataloader.collate.bin_values`.

    Parameters
    ----------
    ends, genes, counts
        Row pointers, and genes with counts above 0, shape (E,).
    n_bins
        Number of bins, 2 or more.
    seed, positions
        Seed and one number a row that break ties, for each gene in its own way.
    out
        float32, shape (E,).
    """
    edges = np.empty(n_bins - 1, np.float64)
    step = 1.0 / max(n_bins - 2, 1)
    for i in range(len(ends) - 1):
        row = counts[ends[i] : ends[i + 1]].astype(np.float64)
        n = len(row)
        if n == 0:
            continue
        ordered = np.sort(row)
        for k in range(n_bins - 1):
            # in the very steps of numpy.quantile: many counts equal an edge, so the last digit matters
            place = (1.0 if k and k == n_bins - 2 else k * step) * (n - 1)
            below_it = int(np.floor(place))
            share = place - below_it
            low, high = ordered[below_it], ordered[min(below_it + 1, n - 1)]
            edges[k] = high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
        # another sequence than that of the choice of genes
        state = start(~np.uint64(seed), positions[i])
        for j in range(n):
            last = np.searchsorted(edges, row[j], side="right")
            first = min(np.searchsorted(edges, row[j], side="left") + 1, last)
            drawn = number(state, genes[ends[i] + j]) >> _32
            out[ends[i] + j] = first + np.int64((drawn * np.uint64(last - first + 1)) >> _32)
