"""Rank the same pairs many times, with other regulators each time.

A replicate takes each regulator's pairs a whole number of times. Where its positives then stand is a weighted
sum, over regulators, of how many of each regulator's scores lie between two neighbouring scores of positives.
Those counts are taken once, a few regulators at a time; all replicates together are then one matrix product.
Nothing is sorted or ranked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, sgemm

from bengrn.metrics import Ranking
from bengrn.metrics.pairs import Pairs

# Bytes that counts and sums may take beside a small input. A large input sets them: 1/4 and 1/2 of its size.
_COUNT_BYTES = 1 << 23
_SUM_BYTES = 1 << 26
# Scores looked up at once beside a small input; 1/32 of a large one.
_PIECE = 1 << 18
# Whole numbers up to here, and so sums of them, are exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24


def replicate_metrics(
    pairs: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranking: Ranking,
    weights: NDArray[np.integer],
    metrics: Sequence[Callable[[Ranking], float]],
) -> NDArray[np.float64]:
    """Take metrics in each replicate.

    Parameters
    ----------
    pairs, positives
        Checked scores and true edges.
    ranking
        Places of the positives with every regulator once: ``rank_matrix`` of the same pairs.
    weights
        Number of times that each replicate takes each regulator, (replicates, regulators).
    metrics
        Functions of a ranking.

    Returns
    -------
    numpy.ndarray
        (replicates, metrics); a row of NaN where the replicate has no positive or no negative pair. Values
        are those which the metrics give for the replicate's pairs written out, one copy after the other.
    """
    values = np.full((len(weights), len(metrics)), np.nan)
    for number, replicate in enumerate(rank_replicates(pairs, positives, ranking, weights)):
        if replicate is not None:
            values[number] = [metric(replicate) for metric in metrics]
    return values


def rank_replicates(
    pairs: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranking: Ranking,
    weights: NDArray[np.integer],
) -> Iterator[Ranking | None]:
    """Rank each replicate; None where it has no positive or no negative pair. See :func:`replicate_metrics`."""
    blocks = _Blocks.of(pairs, positives, ranking)
    n_sums = ranking.value.size + blocks.shared.size
    batch = max(1, _budget(pairs, _SUM_BYTES, 2) // (4 * n_sums))
    for start in range(0, len(weights), batch):
        yield from _rank_batch(pairs, blocks, ranking, weights[start : start + batch])


@dataclass(frozen=True, eq=False)
class _Blocks:
    # The distinct scores of positives, in rising order.
    value: NDArray[Any]
    # Positives of each block (rows) and regulator (columns).
    positives: Any
    # Blocks which hold negatives too. In all others every tied pair is a positive.
    shared: NDArray[np.int64]
    # Where a score is counted that equals a block: 0 is not at all, 1 .. B the gap above each block, from B + 1
    # on the shared blocks.
    tie_column: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: Pairs, positives: tuple[NDArray[np.int64], NDArray[np.int64]], ranking: Ranking) -> _Blocks:
        value = np.ascontiguousarray(ranking.value[::-1])
        block = np.searchsorted(value, pairs.at(*positives))
        shape = (value.size, pairs.shape[0])
        counts = sp.csr_array((np.ones(block.size, dtype=np.int32), (block, positives[0])), shape=shape)
        shared = np.flatnonzero((ranking.n_tied > ranking.p_tied)[::-1])
        tie_column = np.zeros(value.size, dtype=np.int64)
        tie_column[shared] = value.size + 1 + np.arange(shared.size)
        return cls(value, counts, shared, tie_column)

    def columns(self, scores: NDArray[Any]) -> NDArray[np.int64]:
        """Find in which column of the counts each score goes; NaN goes with the highest."""
        below = np.searchsorted(self.value, scores)
        tied = np.flatnonzero(self.value.take(below, mode="clip") == scores)
        below[tied] = self.tie_column[below[tied]]
        return below


def _rank_batch(
    pairs: Pairs, blocks: _Blocks, ranking: Ranking, weights: NDArray[np.integer]
) -> Iterator[Ranking | None]:
    n_blocks, n_replicates = blocks.value.size, len(weights)
    most = int(weights.max(initial=0))
    largest = int(weights.sum(axis=1).max(initial=0)) * pairs.shape[1]
    gap = ranking.n_above - np.concatenate([[0], (ranking.n_above + ranking.n_tied)[:-1]])
    between = _Sums(n_blocks, n_replicates, min(int(gap.max()) * most, largest))
    tied = _Sums(blocks.shared.size, n_replicates, min(int(ranking.n_tied.max()) * most, largest))
    n_pairs = weights @ _row_sizes(pairs)
    n_predicted = np.zeros(n_replicates, dtype=np.int64)
    for rows in _row_slices(pairs, n_blocks + 1 + blocks.shared.size):
        part = weights[:, rows]
        n_predicted += part @ _add_rows(pairs, blocks, rows, part, between, tied)
    for start in range(0, n_replicates, 16):
        p_tied = blocks.positives @ weights[start : start + 16].T.astype(np.int32)
        for number, own in enumerate(np.ascontiguousarray(p_tied.T, dtype=np.int64), start):
            if not 0 < own.sum() < n_pairs[number]:
                yield None
                continue
            # Of a shared block every tied pair was counted, of the others the positives are all there are.
            all_tied = own.copy()
            all_tied[blocks.shared] = tied.of(number)
            falling, gaps = all_tied[::-1], between.of(number)[::-1]
            n_above = np.cumsum(gaps + falling) - falling
            p_above = np.cumsum(own[::-1]) - own[::-1]
            present = own[::-1] > 0
            yield Ranking(
                n_pairs=int(n_pairs[number]),
                n_positives=int(own.sum()),
                n_predicted=int(n_predicted[number]),
                value=blocks.value[::-1][present],
                n_above=n_above[present],
                n_tied=falling[present],
                p_above=p_above[present],
                p_tied=own[::-1][present],
            )


class _Sums:
    """Weighted sums of counts over regulators, (columns, replicates), exact."""

    def __init__(self, n_columns: int, n_replicates: int, largest: int) -> None:
        self._type: type = np.float32 if largest < _EXACT_IN_FLOAT32 else np.float64
        # Columns first and Fortran order: a replicate's sums are contiguous, and BLAS adds to them in place.
        self._sums = np.zeros((n_columns, n_replicates), dtype=self._type, order="F")

    def add(self, counts: NDArray[np.int64], weights: NDArray[np.integer]) -> None:
        """Add the counts of some regulators (rows), weighted by replicate."""
        if not self._sums.size:
            return
        product = sgemm if self._type is np.float32 else dgemm
        left: NDArray[Any] = np.ascontiguousarray(counts, dtype=self._type).T
        right: NDArray[Any] = np.ascontiguousarray(weights, dtype=self._type).T
        self._sums = product(1.0, left, right, beta=1.0, c=self._sums, overwrite_c=1)

    def of(self, replicate: int) -> NDArray[np.int64]:
        """Return the sums of one replicate, (columns,)."""
        return self._sums[:, replicate].astype(np.int64)


def _row_slices(pairs: Pairs, n_columns: int) -> Iterator[slice]:
    # As many regulators at a time as memory allows for that many columns of counts.
    n_rows, n_targets = pairs.shape
    in_piece = max(_PIECE, n_rows * n_targets // 32) // max(n_targets, 1)
    step = max(1, min(_budget(pairs, _COUNT_BYTES, 4) // (12 * n_columns), in_piece))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _add_rows(
    pairs: Pairs, blocks: _Blocks, rows: slice, weights: NDArray[np.integer], between: _Sums, tied: _Sums
) -> NDArray[np.int64]:
    # Adds the counts of some regulators to both sums, and returns how many scores of each are above 0.
    n_rows, n_blocks = rows.stop - rows.start, blocks.value.size
    n_columns = n_blocks + 1 + blocks.shared.size
    row, scores, n_unstored = _stored(pairs, rows)
    zero = scores.dtype.type(0)
    column = blocks.columns(scores)
    column += row * n_columns
    counts = np.bincount(column, minlength=n_rows * n_columns).reshape(n_rows, n_columns)
    predicted = np.bincount(row[scores > zero], minlength=n_rows)
    del row, scores, column
    counts[:, blocks.columns(np.array([zero]))[0]] += n_unstored
    own = np.flatnonzero((pairs.self_rows >= rows.start) & (pairs.self_rows < rows.stop))
    own_rows, own_scores = pairs.self_rows[own] - rows.start, pairs.at(pairs.self_rows[own], pairs.self_columns[own])
    counts[own_rows, blocks.columns(own_scores)] -= 1
    predicted[own_rows] -= own_scores > zero
    between.add(counts[:, 1 : n_blocks + 1], weights)
    tied.add(counts[:, n_blocks + 1 :], weights)
    return predicted


def _stored(pairs: Pairs, rows: slice) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    # Scores of some rows with the row of each, and how many zeros of each row are not among them. Sorting is
    # not needed but makes looking scores up three times faster, most of all within a row.
    n_rows, n_targets = rows.stop - rows.start, pairs.shape[1]
    if not pairs.is_sparse:
        scores = np.array(pairs.matrix[rows], order="C")
        scores.sort(axis=1)
        return np.repeat(np.arange(n_rows), n_targets), scores.ravel(), np.zeros(n_rows, dtype=np.int64)
    ends = pairs.matrix.indptr[rows.start : rows.stop + 1].astype(np.int64)
    n_stored = np.diff(ends)
    return np.repeat(np.arange(n_rows), n_stored), pairs.matrix.data[ends[0] : ends[-1]], n_targets - n_stored


def _row_sizes(pairs: Pairs) -> NDArray[np.int64]:
    sizes = np.full(pairs.shape[0], pairs.shape[1])
    sizes[pairs.self_rows] -= 1
    return sizes


def _budget(pairs: Pairs, least: int, share: int) -> int:
    data = pairs.matrix.data if pairs.is_sparse else pairs.matrix
    return max(least, int(data.nbytes) // share)
