"""Test whether the degrees of the truth alone explain a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bengrn.metrics import Ranking, rank_matrix
from bengrn.metrics.pairs import Pairs, as_pairs, as_positions
from bengrn.uncertainty.bootstrap import places_by_name
from bengrn.uncertainty.named_metrics import named_metrics
from bengrn.uncertainty.rewiring import rewire


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """A score against its null distribution.

    Attributes
    ----------
    observed
        The score against the truth.
    p_value
        Chance, under the null, of a score at least as high: (1 + number of such) / (1 + permutations).
    null_mean, null_sd
        Mean and standard deviation over permutations.
    z
        (observed - null_mean) / null_sd; NaN where the null does not vary.
    kept
        Mean share of the true edges that are still there after rewiring. Near 1 the degrees leave hardly
        another truth, and the test says nothing.
    null
        The scores of all permutations, (n_permutations,).
    """

    observed: float
    p_value: float
    null_mean: float
    null_sd: float
    z: float
    kept: float
    null: NDArray[np.float64]


def degree_preserving_p(
    scores: Any,
    positives: Any,
    *,
    self_columns: ArrayLike | None = None,
    names: tuple[ArrayLike, ArrayLike] | None = None,
    n_permutations: int = 200,
    n_rounds: int = 10,
    rng: int | np.random.Generator = 0,
    metric: str = "ap",
) -> PermutationTest:
    """Test whether a network knows more of a truth than who its hubs are.

    The truth is rewired so that each regulator keeps its number of targets and each target its number of
    regulators (:func:`bengrn.uncertainty.rewire`), and scored again. A network that only ranks hubs above
    others scores as well on the rewired truths, and is not significant, however good its score.

    The rewired truths are steps of one random walk. The truth itself is put at a random place of the walk,
    which is then followed both ways: whatever the number of rounds, the p-value is exact (Besag and Clifford
    1989, Biometrika 76:633). More rounds between two steps make the steps less alike: the test finds more and
    the null's mean and deviation are better.

    The null is all truths with these degrees, equally likely. A truth whose hubs prefer each other's company, or
    shun it, is not typical of them; a score made of degrees then differs from its null too, by a little.
    Read the null's mean beside the p-value: it is what degrees explain.

    A truth with symmetric edges (an undirected one, scored both ways) does not stay symmetric.

    Parameters
    ----------
    scores
        Dense array or scipy sparse matrix, (regulators, targets); as for :func:`bengrn.metrics.rank_matrix`.
    positives
        The true edges: flat positions, (P,) int, or a tuple (rows, columns).
    self_columns
        For each row the column that is the row's own gene, -1 where there is none; None: no self pairs.
    names
        Names of the regulators and of the targets, (regulators,) and (targets,), which the draws go by: the same genes
        in another order then give the same. None: draws go by the order of rows and columns.
    n_permutations
        Number of rewired truths; the smallest possible p-value is 1 / (1 + n_permutations).
    n_rounds
        Rounds of trades between two of them.
    rng
        Generator to draw with, or a seed for one.
    metric
        A name from :data:`bengrn.uncertainty.METRICS`; higher is better.

    Returns
    -------
    PermutationTest
        The scores are sorted once, in a copy.

    Raises
    ------
    TypeError
        If the scores are not real numbers.
    ValueError
        If the input is not one that :func:`bengrn.metrics.rank_matrix` takes, the metric is not known, or
        `n_permutations` or `n_rounds` is below 1.
    """
    (function,) = named_metrics([metric])
    if n_permutations < 1 or n_rounds < 1:
        raise ValueError(f"n_permutations = {n_permutations} and n_rounds = {n_rounds} must be 1 or more")
    ranking = rank_matrix(scores, positives, self_columns=self_columns)
    pairs = as_pairs(scores, self_columns)
    rows, columns = as_positions(positives, pairs.shape)
    rank = _ranker(pairs, ranking.n_predicted)
    null, kept = _walk(
        rank,
        function,
        rows,
        columns,
        pairs,
        names=names,
        n_permutations=n_permutations,
        n_rounds=n_rounds,
        rng=np.random.default_rng(rng),
    )
    # Through the same ranker as the null, so that equal rankings have equal scores to the last digit.
    observed = function(rank(rows, columns))
    spread = float(null.std(ddof=1)) if n_permutations > 1 and np.ptp(null) > 0 else 0.0
    return PermutationTest(
        observed=observed,
        p_value=(1 + int((null >= observed).sum())) / (1 + n_permutations),
        null_mean=float(null.mean()),
        null_sd=spread,
        z=(observed - float(null.mean())) / spread if spread else float("nan"),
        kept=kept,
        null=null,
    )


def _walk(
    rank: Callable[[NDArray[np.int64], NDArray[np.int64]], Ranking],
    function: Callable[[Ranking], float],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    pairs: Pairs,
    *,
    names: tuple[ArrayLike, ArrayLike] | None,
    n_permutations: int,
    n_rounds: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], float]:
    # Scores along the walk, and the mean share of edges kept.
    # It walks over genes sorted by name, which no order of rows and columns changes.
    n_rows, n_columns = pairs.shape
    to_row, to_column = np.arange(n_rows), np.arange(n_columns)
    if names is not None:
        to_row, to_column = places_by_name(names[0], n_rows), places_by_name(names[1], n_columns)
    own = np.full(n_rows, -1)
    own[to_row[pairs.self_rows]] = to_column[pairs.self_columns]
    from_row, from_column = np.argsort(to_row), np.argsort(to_column)
    truth = np.sort(to_row[rows] * n_columns + to_column[columns])
    before = int(rng.integers(n_permutations + 1))
    null, n_kept = np.empty(n_permutations), 0
    here = start = np.divmod(truth, n_columns)
    for step in range(n_permutations):
        if step == before:
            here = start
        here = rewire(*here, own, n_columns, n_rounds=n_rounds, rng=np.random.default_rng(rng))
        null[step] = function(rank(from_row[here[0]], from_column[here[1]]))
        at = here[0] * n_columns + here[1]
        n_kept += int((truth[np.searchsorted(truth, at).clip(max=truth.size - 1)] == at).sum())
    return null, n_kept / (n_permutations * rows.size)


def _ranker(pairs: Pairs, n_predicted: int) -> Callable[[NDArray[np.int64], NDArray[np.int64]], Ranking]:
    # Ranks any edges among the pairs by looking their scores up in a sorted copy of all.
    stored = pairs.matrix.data if pairs.is_sparse else pairs.matrix
    everything = np.array(stored, order="K").ravel(order="K")
    everything.sort()
    own = np.sort(pairs.self_scores())
    table, matrix = pairs, pairs.matrix
    if pairs.is_sparse and np.prod(pairs.shape) * matrix.dtype.itemsize <= matrix.data.nbytes + matrix.indices.nbytes:
        # No larger than what is stored, and the true edges of each step are looked up far faster.
        table = replace(pairs, matrix=matrix.toarray())

    def rank(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Ranking:
        block, p_tied = np.unique(table.at(rows, columns), return_counts=True)
        (below, up_to), (own_below, own_up_to) = _around(everything, block), _around(own, block)
        n_above = everything.size - up_to - (own.size - own_up_to) + pairs.n_unstored * (block < 0)
        n_from = everything.size - below - (own.size - own_below) + pairs.n_unstored * (block <= 0)
        falling = p_tied[::-1]
        return Ranking(
            n_pairs=pairs.n_pairs,
            n_positives=rows.size,
            n_predicted=n_predicted,
            value=block[::-1],
            n_above=n_above[::-1],
            n_tied=(n_from - n_above)[::-1],
            p_above=np.cumsum(falling) - falling,
            p_tied=falling,
        )

    return rank


def _around(ordered: NDArray[Any], block: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # How many values are below each block, and how many are not above it. Most blocks are there once: only the
    # others are looked up again.
    below = np.searchsorted(ordered, block)
    if not ordered.size:
        return below, below
    up_to = below + (ordered.take(below, mode="clip") == block)
    repeated = np.flatnonzero(ordered.take(below + 1, mode="clip") == block)
    up_to[repeated] = np.searchsorted(ordered, block[repeated], side="right")
    return below, up_to
