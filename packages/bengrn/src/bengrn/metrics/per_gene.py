"""The ranking metrics of each regulator's targets, and of each target's regulators, with their means.

The scores of one gene are ranked among themselves, so a regulator whose scores are all high does not help
the others; the mean over genes gives each the same weight. Against a truth with few, large regulators the
pooled scores and these means can order methods differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics.pairs import PIECE, Pairs, as_pairs, as_positions
from bengrn.metrics.ranking import refuse_self_pairs
from bengrn.metrics.topk import lowest_chosen, overlap_chance

#: Below this share of false discoveries a regulator counts as predictable.
PREDICTABLE_FDR = 0.05


def per_regulator(
    scores: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    top_k: int | None = None,
    names: Sequence[str] | pd.Index | None = None,
) -> pd.DataFrame:
    """Score each regulator's ranking of its targets.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix, (regulators, targets); as for :func:`bengrn.metrics.rank_matrix`.
    positives
        The true edges: flat positions, or a tuple (rows, columns).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; None: no self pairs.
    top_k
        Number of the network's best edges whose targets are tested for overlap with the true ones; by default
        the number of positives. McCalla et al. 2023 (G3 13:jkad004) take 5,000.
    names
        Names of the regulators, for the index; by default 0, 1, ...

    Returns
    -------
    pandas.DataFrame
        One row a regulator, in the order of `scores`:

        - ``n_pairs``, ``n_positives``, ``prevalence``: scored pairs, true ones, and their share;
        - ``ap``, ``auroc``, ``epr``: as :func:`bengrn.metrics.average_precision`,
          :func:`bengrn.metrics.auroc` and :func:`bengrn.metrics.early_precision_ratio` of this row alone,
          ties exact; NaN where the row has no positive or no negative pair;
        - ``n_top``, ``n_top_positives``: its pairs among the network's `top_k` best, and the true ones of
          them. Pairs with a score of 0 or less are never taken; pairs tied with the last are all taken, so
          there may be more than `top_k`;
        - ``p_value``: chance that as many of its pairs drawn at random hold at least as many positives
          (hypergeometric); NaN where the row has no positive or no negative pair;
        - ``q_value``: the same with the false discovery rate over regulators controlled (Benjamini and
          Hochberg 1995). McCalla et al. call a TF predictable where it is below 0.05.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If shapes do not fit, a positive is outside, named twice or a self pair, a score is NaN, or `top_k` is
        below 1.
    """
    pairs = as_pairs(scores, self_columns)
    rows, columns = as_positions(positives, pairs.shape)
    refuse_self_pairs(pairs, rows, columns)
    return _table(pairs, rows, columns, top_k, names, "regulator")


def per_target(
    scores: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    top_k: int | None = None,
    names: Sequence[str] | pd.Index | None = None,
) -> pd.DataFrame:
    """Score the ranking of each target's regulators: :func:`per_regulator` of the columns.

    `scores`, `positives` and `self_columns` are as there, regulators in rows; `names` are the targets'.
    """
    pairs = as_pairs(scores, self_columns)
    rows, columns = as_positions(positives, pairs.shape)
    refuse_self_pairs(pairs, rows, columns)
    return _table(pairs.transposed(), columns, rows, top_k, names, "target")


def macro_means(table: pd.DataFrame) -> dict[str, float]:
    """Average over genes what :func:`per_regulator` or :func:`per_target` gives.

    Returns
    -------
    dict
        ``ap``, ``auroc``, ``epr`` and ``prevalence``: means over the genes with a positive and a negative
        pair, each gene weighing the same (the mean prevalence is what a random network's mean ``ap`` tends
        to); ``n``: number of those genes; ``n_predictable``: how many of them have a ``q_value`` below 0.05.
        Means are NaN where `n` is 0.
    """
    scored = table[table["ap"].notna()]
    means = {key: float(scored[key].mean()) for key in ("ap", "auroc", "epr", "prevalence")}
    n_predictable = int((scored["q_value"] < PREDICTABLE_FDR).sum())
    return means | {"n": len(scored), "n_predictable": n_predictable}


def _table(
    pairs: Pairs,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    top_k: int | None,
    names: Sequence[str] | pd.Index | None,
    kind: str,
) -> pd.DataFrame:
    n_rows = pairs.shape[0]
    if names is not None and len(names) != n_rows:
        raise ValueError(f"names has {len(names):,} entries for {n_rows:,} {kind}s: give one for each")
    top_k = max(rows.size, 1) if top_k is None else top_k
    if top_k < 1:
        raise ValueError(f"top_k = {top_k} is below 1: take at least the best edge")
    pairs.refuse_nan()
    n_pairs = np.full(n_rows, pairs.shape[1])
    n_pairs[pairs.self_rows] -= 1
    n_positives = np.bincount(rows, minlength=n_rows)
    with np.errstate(invalid="ignore"):
        prevalence = n_positives / n_pairs
    chosen = (n_positives > 0) & (n_positives < n_pairs)
    blocks = _blocks(pairs, rows, columns)
    ap, auroc, epr = (np.where(chosen, metric, np.nan) for metric in _metrics(blocks, n_pairs, n_positives))
    n_top, n_hits = _top(pairs, blocks, top_k)
    p_value = np.full(n_rows, np.nan)
    for row in np.flatnonzero(chosen).tolist():
        p_value[row] = overlap_chance(int(n_pairs[row]), int(n_positives[row]), int(n_top[row]), int(n_hits[row]))
    # scipy.stats takes half a second to import.
    from scipy.stats import false_discovery_control

    q_value = np.full(n_rows, np.nan)
    q_value[chosen] = false_discovery_control(p_value[chosen]) if chosen.any() else np.nan
    return pd.DataFrame(
        {
            "n_pairs": n_pairs,
            "n_positives": n_positives,
            "prevalence": prevalence,
            "ap": ap,
            "auroc": auroc,
            "epr": epr,
            "n_top": n_top,
            "n_top_positives": n_hits,
            "p_value": p_value,
            "q_value": q_value,
        },
        index=pd.Index(range(n_rows) if names is None else names, name=kind),
    )


class _Blocks(NamedTuple):
    # The blocks of `Ranking` for all rows one after the other: by row, then by falling score.
    row: NDArray[np.int64]
    value: NDArray[Any]
    n_above: NDArray[np.int64]
    n_tied: NDArray[np.int64]
    p_above: NDArray[np.int64]
    p_tied: NDArray[np.int64]


def _blocks(pairs: Pairs, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> _Blocks:
    values = pairs.at(rows, columns)
    order = np.lexsort((values, rows))[::-1]
    order = order[np.argsort(rows[order], kind="stable")]
    rows, values = rows[order], values[order]
    is_first = np.ones(rows.size, dtype=bool)
    is_first[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
    first = np.flatnonzero(is_first)
    p_tied = np.diff(np.append(first, rows.size))
    row, value = rows[first], values[first]
    p_above = first - np.searchsorted(rows, row)
    n_above, n_from = _count_in_rows(pairs, row, value)
    return _Blocks(row, value, n_above, n_from - n_above, p_above, p_tied)


def _count_in_rows(
    pairs: Pairs, row: NDArray[np.int64], value: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # For each (row, value): how many of the row's pairs score above, and at least as high.
    above, from_ = np.zeros(row.size, dtype=np.int64), np.zeros(row.size, dtype=np.int64)
    wanted, first = np.unique(row, return_index=True)
    ends = np.append(first, row.size)[1:]
    for start, end, stored in zip(first.tolist(), ends.tolist(), _sorted_rows(pairs, wanted), strict=True):
        asked = value[start:end]
        above[start:end] = stored.size - np.searchsorted(stored, asked, side="right")
        from_[start:end] = stored.size - np.searchsorted(stored, asked, side="left")
    if pairs.is_sparse:
        unstored = (pairs.shape[1] - np.diff(pairs.matrix.indptr))[row]
        above += np.where(value < 0, unstored, 0)
        from_ += np.where(value <= 0, unstored, 0)
    own = np.zeros(pairs.shape[0], dtype=pairs.matrix.dtype)
    own[pairs.self_rows] = pairs.self_scores()
    has_self = np.zeros(pairs.shape[0], dtype=bool)
    has_self[pairs.self_rows] = True
    # A NaN of a self pair was sorted last, so it counts as higher than everything here too.
    above -= has_self[row] & ~(own[row] <= value)
    from_ -= has_self[row] & ~(own[row] < value)
    return above, from_


def _sorted_rows(pairs: Pairs, wanted: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    if pairs.is_sparse:
        for row in wanted.tolist():
            yield np.sort(pairs.matrix.data[pairs.matrix.indptr[row] : pairs.matrix.indptr[row + 1]])
        return
    step = max(1, PIECE // max(pairs.shape[1], 1))
    for start in range(0, wanted.size, step):
        part = np.array(pairs.matrix[wanted[start : start + step]], order="C")
        part.sort(axis=1)
        yield from part


def _metrics(
    blocks: _Blocks, n_pairs: NDArray[np.int64], n_positives: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    def by_row(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(blocks.row, weights=values, minlength=n_pairs.size)

    n_negatives = n_pairs - n_positives
    precision = (blocks.p_above + blocks.p_tied) / (blocks.n_above + blocks.n_tied)
    outranked = n_negatives[blocks.row] - (blocks.n_above - blocks.p_above) - (blocks.n_tied - blocks.p_tied) / 2
    early = np.clip((n_positives[blocks.row] - blocks.n_above) / blocks.n_tied, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ap = by_row(blocks.p_tied * precision) / n_positives
        auroc = by_row(blocks.p_tied * outranked) / (n_positives * n_negatives)
        epr = by_row(blocks.p_tied * early) / n_positives / (n_positives / n_pairs)
    return ap, auroc, epr


def _top(pairs: Pairs, blocks: _Blocks, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # How many pairs of each row are among the best of all, and how many positives.
    n_rows = pairs.shape[0]
    cut = lowest_chosen(pairs, top_k)
    if cut is None:
        return np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    n_top = np.zeros(n_rows, dtype=np.int64)
    if pairs.is_sparse:
        stored_row = np.repeat(np.arange(n_rows), np.diff(pairs.matrix.indptr))
        n_top += np.bincount(stored_row[pairs.matrix.data >= cut], minlength=n_rows)
    else:
        step = max(1, PIECE // max(pairs.shape[1], 1))
        for start in range(0, n_rows, step):
            part = pairs.matrix[start : start + step]
            n_top[start : start + step] = np.count_nonzero(part >= cut, axis=1)
    n_top[pairs.self_rows] -= pairs.self_scores() >= cut
    hits = np.bincount(blocks.row, weights=np.where(blocks.value >= cut, blocks.p_tied, 0), minlength=n_rows)
    return n_top, hits.astype(np.int64)
