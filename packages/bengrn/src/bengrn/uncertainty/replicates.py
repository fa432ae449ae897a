"""Rank the same pairs many times, with other regulators each time.

A replicate takes each regulator's pairs a whole number of times. Where its positives then stand is a weighted
sum, over regulators, of how many of each regulator's scores lie between two neighbouring scores of positives.
Those counts are taken once, a few regulators at a time; all replicates together are then one matrix product.
Nothing is sorted or ranked again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn._threads import in_order, n_threads
from bengrn.metrics import Ranking
from bengrn.metrics.pairs import Pairs
from bengrn.uncertainty.gaps import Gaps
from bengrn.uncertainty.weighted_sums import DenseSums, SparseSums

# Bytes that counts and sums may take beside a small input. A large input sets them: 1/4 and 1/2 of its size.
_COUNT_BYTES = 1 << 23
_SUM_BYTES = 1 << 26
# Scores, and counts, worked on at once: those of the processor's second cache.
_PIECE = 1 << 16
_THREADS = 4
# Replicates ranked at once.
_AT_ONCE = 16
# Ties are few where they are less than one in so many pairs.
_FEW = 64

# Counts of scores told one by one: regulator, number of the block, how many.
type _Tied = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


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
    blank = [np.nan] * len(metrics)

    def taken(some: Callable[[], Iterator[Ranking | None]]) -> list[list[float]]:
        return [blank if one is None else [metric(one) for metric in metrics] for one in some()]

    values: list[list[float]] = []
    for batch in _batches(pairs, positives, ranking, weights):
        for found in in_order(taken, batch, _THREADS):
            values += found
    return np.array(values).reshape(len(weights), len(metrics))


def rank_replicates(
    pairs: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranking: Ranking,
    weights: NDArray[np.integer],
) -> Iterator[Ranking | None]:
    """Rank each replicate; None where it has no positive or no negative pair. See :func:`replicate_metrics`."""
    for batch in _batches(pairs, positives, ranking, weights):
        for some in batch:
            yield from some()


def _batches(
    pairs: Pairs,
    positives: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranking: Ranking,
    weights: NDArray[np.integer],
) -> Iterator[list[Callable[[], Iterator[Ranking | None]]]]:
    # As many replicates at a time as memory allows: functions that rank some of them each.
    blocks = _Blocks.of(pairs, positives, ranking)
    n_sums = blocks.gaps.value.size + blocks.shared.size
    batch = max(1, _budget(pairs, _SUM_BYTES, 2) // (4 * n_sums))
    for start in range(0, len(weights), batch):
        yield _rank_batch(pairs, blocks, ranking, weights[start : start + batch])


@dataclass(frozen=True, eq=False)
class _Blocks:
    # The distinct scores of positives, and where other scores lie among them.
    gaps: Gaps
    # Positives of each block (rows) and regulator (columns).
    positives: Any
    # Blocks which hold negatives too, and the number of each block among them, -1 for the others: there every tied
    # pair is a positive, and need not be counted.
    shared: NDArray[np.int64]
    shared_number: NDArray[np.int64]
    # Pairs in shared blocks.
    n_shared: int

    @classmethod
    def of(cls, pairs: Pairs, positives: tuple[NDArray[np.int64], NDArray[np.int64]], ranking: Ranking) -> _Blocks:
        value = np.ascontiguousarray(ranking.value[::-1])
        block = np.searchsorted(value, pairs.at(*positives))
        shape = (value.size, pairs.shape[0])
        counts = sp.csr_array((np.ones(block.size, dtype=np.int32), (block, positives[0])), shape=shape)
        is_shared = (ranking.n_tied > ranking.p_tied)[::-1]
        number = np.where(is_shared, np.cumsum(is_shared) - 1, -1)
        n_shared = int(ranking.n_tied[::-1][is_shared].sum())
        return cls(Gaps.of(value, _sample(pairs)), counts, np.flatnonzero(is_shared), number, n_shared)


@dataclass(frozen=True, eq=False)
class _Counts:
    # Scores of some regulators in the gaps: columns 1 .. B are the gaps above each block, 0 is all else.
    between: NDArray[np.float32]
    # Scores in shared blocks.
    tied: _Tied
    # Scores above 0 of each regulator.
    predicted: NDArray[np.int64]


def _rank_batch(
    pairs: Pairs, blocks: _Blocks, ranking: Ranking, weights: NDArray[np.integer]
) -> list[Callable[[], Iterator[Ranking | None]]]:
    n_blocks, n_replicates = blocks.gaps.value.size, len(weights)
    most = int(weights.max(initial=0))
    largest = int(weights.sum(axis=1).max(initial=0)) * pairs.shape[1]
    gap = ranking.n_above - np.concatenate([[0], (ranking.n_above + ranking.n_tied)[:-1]])
    between = DenseSums(n_blocks + 1, n_replicates, min(int(gap.max()) * most, largest))
    # Where few pairs are tied, they are told one by one.
    few = (blocks.n_shared + pairs.shape[0]) * _FEW < pairs.n_pairs
    largest_tie = min(int(ranking.n_tied.max()) * most, largest)
    one_by_one = SparseSums(blocks.shared.size, pairs.shape[0], weights)
    tied = DenseSums(0 if few else blocks.shared.size, n_replicates, largest_tie)
    n_pairs = weights @ _row_sizes(pairs)
    n_predicted = np.zeros(n_replicates, dtype=np.int64)
    slices = _row_slices(pairs, n_blocks + 1 if few else n_blocks + 1 + blocks.shared.size)
    for rows, counts in in_order(lambda rows: (rows, _count_rows(pairs, blocks, rows)), slices, _THREADS):
        part = weights[:, rows]
        n_predicted += part @ counts.predicted
        between.add(counts.between, part)
        if few:
            one_by_one.add(*counts.tied)
        elif blocks.shared.size:
            tied.add(_table(counts.tied, rows, blocks.shared.size), part)
    if few:
        one_by_one.finish()

    def ranked(start: int) -> Iterator[Ranking | None]:
        p_tied = blocks.positives @ weights[start : start + _AT_ONCE].T.astype(np.int32)
        for number, own in enumerate(np.ascontiguousarray(p_tied.T, dtype=np.int64), start):
            n_positives = int(own.sum())
            if not 0 < n_positives < n_pairs[number]:
                yield None
                continue
            # Of a shared block every tied pair was counted, of the others the positives are all there are.
            all_tied = own.copy()
            if blocks.shared.size:
                all_tied[blocks.shared] = one_by_one.of(number) if few else tied.of(number)
            falling, gaps, p_falling = all_tied[::-1], between.of(number)[:0:-1], own[::-1]
            present = np.flatnonzero(p_falling)
            p_present = p_falling[present]
            yield Ranking(
                n_pairs=int(n_pairs[number]),
                n_positives=n_positives,
                n_predicted=int(n_predicted[number]),
                value=blocks.gaps.value[::-1][present],
                n_above=(np.cumsum(gaps + falling) - falling)[present],
                n_tied=falling[present],
                p_above=np.cumsum(p_present) - p_present,
                p_tied=p_present,
            )

    return [partial(ranked, start) for start in range(0, n_replicates, _AT_ONCE)]


def _table(tied: _Tied, rows: slice, n_columns: int) -> NDArray[np.float64]:
    # Counts told one by one as a table, (regulators of the slice, shared blocks).
    regulators, columns, counts = tied
    n_rows = rows.stop - rows.start
    flat = (regulators - rows.start) * n_columns + columns
    return np.bincount(flat, weights=counts, minlength=n_rows * n_columns).reshape(n_rows, n_columns)


def _row_slices(pairs: Pairs, n_columns: int) -> list[slice]:
    # As many regulators at a time as memory allows for that many columns of counts: those that each thread has in
    # hand, those that wait, those that are added.
    n_rows = pairs.shape[0]
    n_slices = min(n_threads(), _THREADS) + 2
    step = max(1, _budget(pairs, _COUNT_BYTES, 4) // (4 * n_columns * n_slices))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _count_rows(pairs: Pairs, blocks: _Blocks, rows: slice) -> _Counts:
    n_rows, n_targets, n_columns = rows.stop - rows.start, pairs.shape[1], blocks.gaps.value.size + 1
    # A count is at most the number of targets, which float32 holds exactly.
    between = np.empty((n_rows, n_columns), dtype=np.float32)
    predicted = np.empty(n_rows, dtype=np.int64)
    tied: list[_Tied] = []
    # A few regulators at a time, so that their scores and counts stay in the processor's cache.
    step = max(1, _PIECE // max(n_targets, n_columns))
    for start in range(rows.start, rows.stop, step):
        part = slice(start - rows.start, min(start + step, rows.stop) - rows.start)
        scores, ends = _stored(pairs, start, rows.start + part.stop)
        column, is_tied = blocks.gaps.below(scores)
        regulator = np.searchsorted(ends[1:], is_tied, side="right") + start
        tied.append(_take_tied(blocks, column, is_tied, regulator))
        is_above = scores > 0
        for row, (first, last) in enumerate(itertools.pairwise(ends)):
            column[first:last] += row * n_columns
            predicted[part.start + row] = np.count_nonzero(is_above[first:last])
        between[part] = np.bincount(column, minlength=between[part].size).reshape(-1, n_columns)
    tied += _correct(pairs, blocks, rows, between, predicted)
    return _Counts(between, _joined(tied), predicted)


def _correct(
    pairs: Pairs, blocks: _Blocks, rows: slice, between: NDArray[np.float32], predicted: NDArray[np.int64]
) -> Iterator[_Tied]:
    # Adds zeros that a sparse matrix does not store, and takes off the self pairs.
    if pairs.is_sparse:
        n_unstored = pairs.shape[1] - np.diff(pairs.matrix.indptr[rows.start : rows.stop + 1]).astype(np.int64)
        column, is_tied = blocks.gaps.below(np.zeros(1, dtype=pairs.matrix.dtype))
        regulators = np.arange(rows.start, rows.stop)
        _, block, _ = _take_tied(blocks, column, is_tied, is_tied)
        between[:, column[0]] += n_unstored
        if block.size:
            yield regulators, np.full(regulators.size, block[0]), n_unstored
    own = np.flatnonzero((pairs.self_rows >= rows.start) & (pairs.self_rows < rows.stop))
    own_rows = pairs.self_rows[own]
    scores = pairs.at(own_rows, pairs.self_columns[own])
    column, is_tied = blocks.gaps.below(scores)
    regulators, block, counts = _take_tied(blocks, column, is_tied, own_rows[is_tied])
    between[own_rows - rows.start, column] -= 1
    predicted[own_rows - rows.start] -= scores > 0
    yield regulators, block, -counts


def _take_tied(
    blocks: _Blocks, column: NDArray[np.int64], is_tied: NDArray[np.int64], regulator: NDArray[np.int64]
) -> _Tied:
    # Takes tied scores out of the gaps, into column 0, and tells those of shared blocks.
    number = blocks.shared_number[column[is_tied]]
    column[is_tied] = 0
    kept = number >= 0
    return regulator[kept], number[kept], np.ones(int(kept.sum()), dtype=np.int64)


def _joined(
    parts: list[_Tied],
) -> _Tied:
    first, second, third = (np.concatenate(part) for part in zip(*parts, strict=True))
    return first, second, third


def _stored(pairs: Pairs, start: int, stop: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    # Scores of some rows one after the other, and where each row begins and the last one ends.
    if not pairs.is_sparse:
        return np.ascontiguousarray(pairs.matrix[start:stop]).ravel(), np.arange(stop - start + 1) * pairs.shape[1]
    ends = pairs.matrix.indptr[start : stop + 1].astype(np.int64)
    return pairs.matrix.data[ends[0] : ends[-1]], ends - ends[0]


def _sample(pairs: Pairs) -> NDArray[Any]:
    # Some thousand scores from all over the matrix.
    if pairs.is_sparse:
        data: NDArray[Any] = pairs.matrix.data
        return data[:: max(1, data.size >> 12)]
    n_rows, n_targets = pairs.shape
    return np.asarray(pairs.matrix[:: max(1, n_rows >> 6), :: max(1, n_targets >> 6)]).ravel()


def _row_sizes(pairs: Pairs) -> NDArray[np.int64]:
    sizes = np.full(pairs.shape[0], pairs.shape[1])
    sizes[pairs.self_rows] -= 1
    return sizes


def _budget(pairs: Pairs, least: int, share: int) -> int:
    data = pairs.matrix.data if pairs.is_sparse else pairs.matrix
    return max(least, int(data.nbytes) // share)
