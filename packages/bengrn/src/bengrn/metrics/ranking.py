"""Average precision, the two areas under the precision-recall curve, and AUROC.

All of them depend only on where the positives stand among all pairs. :func:`rank_positives` and
:func:`rank_matrix` find that out by counting how many scores lie above those of the positives, piece by
piece; the metrics then cost a few operations per distinct score of a positive. Pairs with the same score form
one block that is taken whole, so no metric depends on the order of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from bengrn._threads import in_order
from bengrn.metrics.pairs import PIECE, Pairs, as_pairs, as_positions, as_scores, copied_pieces, views

# From here on the asymptotic series of the digamma function is exact to double precision, and does not
# cancel.
_SERIES_FROM = 1_000
_THREADS = 4


@dataclass(frozen=True, eq=False)
class Ranking:
    """The places of the positives in the ranking of all pairs, highest score first.

    The arrays have one entry for each of the B distinct scores that some positive has, in falling order. A
    block is the set of all pairs with that score.

    Attributes
    ----------
    n_pairs, n_positives
        Number of ranked pairs and of positives among them.
    n_predicted
        Number of pairs with a score above zero: what the network calls an edge.
    value
        The blocks' scores, (B,).
    n_above, n_tied
        Pairs that rank strictly above the block, and pairs in it, (B,) int64.
    p_above, p_tied
        The same counts for positives only, (B,) int64.
    """

    n_pairs: int
    n_positives: int
    n_predicted: int
    value: NDArray[Any]
    n_above: NDArray[np.int64]
    n_tied: NDArray[np.int64]
    p_above: NDArray[np.int64]
    p_tied: NDArray[np.int64]

    @property
    def n_negatives(self) -> int:
        """Number of ranked pairs that are not positive."""
        return self.n_pairs - self.n_positives

    @property
    def prevalence(self) -> float:
        """Share of positives among the ranked pairs: the precision of a random ranking."""
        return self.n_positives / self.n_pairs

    @property
    def precision(self) -> NDArray[np.float64]:
        """Precision once the whole block is predicted, (B,)."""
        return (self.p_above + self.p_tied) / (self.n_above + self.n_tied)


class Curve(NamedTuple):
    """Points of a precision-recall curve, by rising recall."""

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def rank_positives(scores: ArrayLike, positive: ArrayLike) -> Ranking:
    """Find where the positives stand in the ranking by score.

    Parameters
    ----------
    scores
        One score a pair, (n,); higher is more likely an edge. Infinities rank first and last. Compared in the
        type they come in.
    positive
        Whether the pair is a true edge, (n,) bool.

    Returns
    -------
    Ranking
        What every metric of this package takes. Time of sorting the scores in pieces; memory beside them for
        one piece, which grows with the number of positives, and for the positives.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If shapes differ, a score is NaN, or positive or negative pairs are lacking.
    """
    values = as_scores(scores)
    truth = np.asarray(positive, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(
            f"scores {values.shape} and positive {truth.shape} must be one-dimensional and equally long: "
            "flatten the scored part of both matrices first"
        )
    _refuse_one_class(int(np.count_nonzero(truth)), values.size)
    block, p_tied = np.unique(values[truth], return_counts=True)
    counts = _count_around(block, views(values, _piece_size(block)))
    if counts.n_nan:
        first = next(i for i, part in enumerate(copied_pieces(values)) if np.isnan(part).any()) * PIECE
        first += int(np.isnan(values[first : first + PIECE]).argmax())
        raise ValueError(
            f"{counts.n_nan:,} of {values.size:,} scores are NaN, the first at position {first:,}: "
            "give every pair a score (0 means no edge)"
        )
    return _ranking(values.size, block, p_tied, counts)


def rank_matrix(scores: Any, positives: Any, *, self_columns: ArrayLike | None = None) -> Ranking:
    """Find where the positives stand among all pairs of a matrix, self pairs left out.

    The same as :func:`rank_positives` on the flattened off-diagonal scores, without ever building them or a
    mask.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix, (regulators, targets), in any memory order; views are read in
        place. Pairs that a sparse matrix does not store score 0: they are counted, never stored. Compared in
        the type they come in: float32 as float32, float64 as float64, integers as integers.
    positives
        The true edges: flat positions ``row * targets + column``, (P,) int, or a tuple (rows, columns) of two
        such arrays, each pair once.
    self_columns
        For each row the column that is the row's own gene, -1 where there is none, (regulators,) int. These
        pairs are not ranked, whatever their score. None: no pair is a self pair.

    Returns
    -------
    Ranking
        Time and memory as for :func:`rank_positives`.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If shapes do not fit, a positive is outside, named twice or a self pair, a score is NaN, or positive or
        negative pairs are lacking.

    Examples
    --------
    >>> scores = [[0.0, 0.9, 0.1], [0.5, 0.0, 0.3]]
    >>> ranking = rank_matrix(scores, ([0, 1], [1, 2]), self_columns=[0, 1])
    >>> ranking.n_pairs, ranking.n_above.tolist()
    (4, [0, 2])
    """
    pairs = as_pairs(scores, self_columns)
    rows, columns = as_positions(positives, pairs.shape)
    refuse_self_pairs(pairs, rows, columns)
    return rank_pairs(pairs, rows, columns)


def rank_pairs(pairs: Pairs, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Ranking:
    """Rank pairs that are already checked; see :func:`rank_matrix`."""
    _refuse_one_class(rows.size, pairs.n_pairs)
    block, p_tied = np.unique(pairs.at(rows, columns), return_counts=True)
    counts = _count_around(block, pairs.views(_piece_size(block)))
    own = _count_around(block, views(pairs.self_scores()))
    if counts.n_nan > own.n_nan:
        pairs.refuse_nan()
    n_unstored = pairs.n_unstored
    scored = _Counts(
        n_above=counts.n_above - own.n_above + n_unstored * (block < 0),
        n_from=counts.n_from - own.n_from + n_unstored * (block <= 0),
        n_predicted=counts.n_predicted - own.n_predicted,
        n_nan=0,
    )
    return _ranking(pairs.n_pairs, block, p_tied, scored)


def refuse_self_pairs(pairs: Pairs, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
    """Raise where a true edge is a self pair, which is not scored."""
    own = np.full(pairs.shape[0], -1)
    own[pairs.self_rows] = pairs.self_columns
    is_self = own[rows] == columns
    if is_self.any():
        raise ValueError(
            f"{int(is_self.sum()):,} of {rows.size:,} positives are self pairs, the first at row "
            f"{rows[is_self][0]:,}, column {columns[is_self][0]:,}: self pairs are not scored, drop them first"
        )


def _refuse_one_class(n_positives: int, n_pairs: int) -> None:
    if not 0 < n_positives < n_pairs:
        raise ValueError(
            f"{n_positives:,} of {n_pairs:,} pairs are positive: a ranking can only be scored "
            "with at least one positive and one negative pair"
        )


class _Counts(NamedTuple):
    # Scores strictly above each block's, and at least as high; scores above 0; scores that are NaN. NaN
    # counts as higher than everything, so the counts mean something only where there is none.
    n_above: NDArray[np.int64]
    n_from: NDArray[np.int64]
    n_predicted: int
    n_nan: int


def _count_around(block: NDArray[Any], pieces: Sequence[NDArray[Any]]) -> _Counts:
    # `block` holds distinct values in rising order.
    above, at_least = np.zeros(block.size, dtype=np.int64), np.zeros(block.size, dtype=np.int64)
    n_predicted = n_nan = 0
    # Sorting and searching leave the interpreter to the other threads.
    for piece in in_order(partial(_count_piece, block), pieces, _THREADS):
        above += piece.n_above
        at_least += piece.n_from
        n_predicted += piece.n_predicted
        n_nan += piece.n_nan
    return _Counts(above, at_least, n_predicted, n_nan)


def _count_piece(block: NDArray[Any], scores: NDArray[Any]) -> _Counts:
    piece = np.array(scores, order="C").ravel()
    piece.sort()
    # A zero of the scores' own type: a Python 0 would turn each piece into float64.
    n_predicted = piece.size - int(np.searchsorted(piece, block.dtype.type(0), side="right"))
    # NaN sorts last.
    n_nan = int(np.isnan(piece).sum()) if piece.dtype.kind == "f" and np.isnan(piece[-1]) else 0
    below = np.searchsorted(piece, block, side="left")
    up_to = below.copy()
    # Most blocks are absent from most pieces: only where one is there is its other end looked up.
    present = np.flatnonzero(piece[np.minimum(below, piece.size - 1)] == block)
    up_to[present] = np.searchsorted(piece, block[present], side="right")
    return _Counts(piece.size - up_to, piece.size - below, n_predicted, n_nan)


def _piece_size(block: NDArray[Any]) -> int:
    # Each piece is searched for every block: with many blocks, as large as keeps that below the sorting.
    return max(PIECE, 32 * block.size)


def _ranking(n_pairs: int, block: NDArray[Any], p_tied: NDArray[np.int64], counts: _Counts) -> Ranking:
    falling = p_tied[::-1]
    return Ranking(
        n_pairs=n_pairs,
        n_positives=int(p_tied.sum()),
        n_predicted=counts.n_predicted,
        value=block[::-1],
        n_above=counts.n_above[::-1],
        n_tied=(counts.n_from - counts.n_above)[::-1],
        p_above=np.cumsum(falling) - falling,
        p_tied=falling,
    )


def average_precision(ranking: Ranking) -> float:
    r"""Compute the average precision: precision at each distinct score, weighted by the gain in recall there.

    :math:`\mathrm{AP} = \sum_b (R_b - R_{b-1}) P_b` over blocks of equal score, as scikit-learn defines it: a
    block is predicted whole, so a constant score has AP = prevalence exactly. For the mean over all ways to
    break the ties see :func:`expected_average_precision`; without ties the two are the same.
    """
    return float(ranking.p_tied @ ranking.precision) / ranking.n_positives


def expected_average_precision(ranking: Ranking) -> float:
    r"""Compute the mean of the average precision over all orders in which ties can be broken, in closed form.

    In a block of n pairs with p positives, below N pairs with P positives, slot i holds a positive with
    probability p/n, and the slots before it then hold (i-1)(p-1)/(n-1) more, on average. Summed over the
    slots,

    .. math:: \frac{p}{n}\left(c\,n + (P + 1 - c - cN)(H_{N+n} - H_N)\right), \quad c = \frac{p-1}{n-1},

    with harmonic numbers H. For a constant score over few pairs it exceeds the prevalence: in a short list
    luck alone puts a positive on top.
    """
    n, p, above = ranking.n_tied, ranking.p_tied, ranking.n_above
    c = (p - 1) / np.maximum(n - 1, 1)
    harmonic = _harmonic_difference(above, n)
    blocks = p / n * (c * n + (ranking.p_above + 1 - c - c * above) * harmonic)
    return float(blocks.sum()) / ranking.n_positives


def _harmonic_difference(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.float64]:
    # H(start + length) - H(start). Subtracting two digammas loses digits where both are large and close.
    x, y = start + 1.0, start + length + 1.0
    series = np.log1p(length / x) - (1 / y - 1 / x) / 2 - (1 / y**2 - 1 / x**2) / 12 + (1 / y**4 - 1 / x**4) / 120
    return np.where(x < _SERIES_FROM, digamma(y) - digamma(x), series)


def trapezoid_auprc(ranking: Ranking) -> float:
    """Integrate the precision-recall curve by the trapezoid rule over all cut-offs, from recall 0 to 1.

    The curve starts at recall 0 with precision 1, as in scikit-learn's ``precision_recall_curve``. The
    straight line across a block of ties is too kind: a constant score gets (1 + prevalence) / 2. Prefer
    :func:`average_precision` where scores tie.
    """
    return _trapezoids(ranking, start=np.ones(1))


def paper_auprc(ranking: Ranking) -> float:
    r"""Compute the AUPRC as the scPRINT paper words it: the area between the curve and the prevalence line.

    Kalfon et al. 2025 (Methods, "BenGRN and gene network metrics"): composite trapezoid rule over cut-offs
    "from 0 predicted positives to all predicted positives"; "the floor of the area is not given by the
    Precision = 0 line but by the line of the prevalence"; "we do not interpolate the curve between the last
    recall value and the perfect recall: 1". Taken here as:

    - predicted positives are pairs with a score above zero; the cut-offs are their distinct scores, and the
      last recall r is that of predicting them all (1 when every pair has a score above zero);
    - precision at 0 predicted positives, which is 0/0, is that of the first cut-off, so the curve starts
      flat;
    - with trapezoid area A over recall 0 to r, the value is :math:`A - r\,\pi` for prevalence :math:`\pi`.
      Stretches below the line count as negative.

    A random ranking has 0, a constant or empty one exactly 0, a perfect one :math:`1 - \pi`.

    Examples
    --------
    Scores .9 .8 .7 0 0 0 for a true, a false, a true, a true and two false pairs. Cut-offs give recall 1/3,
    1/3, 2/3 and precision 1, 1/2, 2/3. The area is 1/3 (flat) + 1/3 (1/2 + 2/3) / 2 = 19/36, less r times
    prevalence = 2/3 · 1/2 = 12/36: the value is 7/36.

    >>> round(36 * paper_auprc(rank_positives([0.9, 0.8, 0.7, 0, 0, 0], [1, 0, 1, 1, 0, 0])), 9)
    7.0
    """
    predicted = ranking.value > 0
    if not predicted.any():
        return 0.0
    recall = ranking.p_tied[predicted].sum() / ranking.n_positives
    area = _trapezoids(ranking, start=ranking.precision[:1], keep=int(predicted.sum()))
    return float(area - recall * ranking.prevalence)


def auroc(ranking: Ranking) -> float:
    """Compute the area under the ROC curve: the chance that a positive outranks a negative, ties counting half."""
    n_tied = ranking.n_tied - ranking.p_tied
    n_above = ranking.n_above - ranking.p_above
    beaten = ranking.n_negatives - n_above - n_tied / 2
    return float(ranking.p_tied @ beaten) / (ranking.n_positives * ranking.n_negatives)


def precision_recall_curve(ranking: Ranking) -> Curve:
    """Return precision over recall, as plotted: the corners of the curve, by rising recall.

    Between two positives precision only falls, at one recall; only the ends of such a fall are given, so
    there are at most 2 B + 1 points. ``np.trapezoid(curve.precision, curve.recall)`` is
    :func:`trapezoid_auprc`.
    """
    before = ranking.p_above / ranking.n_positives
    after = (ranking.p_above + ranking.p_tied) / ranking.n_positives
    precision_before = _precision_before(ranking, start=np.ones(1))
    recall = np.column_stack([before, after]).ravel()
    precision = np.column_stack([precision_before, ranking.precision]).ravel()
    return Curve(np.concatenate([[0.0], recall]), np.concatenate([[1.0], precision]))


def _precision_before(ranking: Ranking, start: NDArray[np.float64]) -> NDArray[np.float64]:
    # Precision when everything above the block, and nothing of it, is predicted; `start` where that is
    # nothing.
    above = ranking.n_above
    return np.where(above > 0, ranking.p_above / np.maximum(above, 1), start)


def _trapezoids(ranking: Ranking, start: NDArray[np.float64], keep: int | None = None) -> float:
    heights = (_precision_before(ranking, start) + ranking.precision) / 2
    return float(ranking.p_tied[:keep] @ heights[:keep]) / ranking.n_positives
