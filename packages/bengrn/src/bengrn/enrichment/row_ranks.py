"""The places at which every row of a network ranks the known targets of every factor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn.align import Universe, align
from bengrn.metrics.pairs import as_pairs
from bengrn.network import Network
from bengrn.truths.ground_truth import GroundTruth

_PIECE = 1 << 22  # scores ranked at a time


@dataclass(frozen=True, eq=False)
class RankedTargets:
    """Factors with known targets, and how their own rows and others rank these.

    Attributes
    ----------
    universe
        Every regulator, and every gene as target.
    tested
        Rows of the tested factors, (factors,).
    members
        1 where a gene is a known target, (targets, factors) float64.
    others
        Rows that stand for chance, (others,): rows of one value only are none of them.
    own, null
        Of the rows `tested` and `others`.
    n_few_targets
        Factors left out because they have too few known targets, or too few other genes.
    """

    universe: Universe
    tested: NDArray[np.int64]
    members: NDArray[np.float64]
    others: NDArray[np.int64]
    own: RankSums
    null: RankSums
    n_few_targets: int


def rank_targets(
    network: Network,
    truth: GroundTruth,
    *,
    regulators: Iterable[str] | None = None,
    transpose: bool = False,
    min_targets: int = 10,
    n_others: int = 1000,
    seed: int = 0,
) -> RankedTargets:
    """Rank the targets of each factor of a truth by absolute weight; options as `encode_targets` says.

    Raises
    ------
    ValueError
        If network and truth share nothing, no factor has enough targets, or a weight is NaN.
    """
    if min_targets < 1:
        raise ValueError(f"min_targets = {min_targets} is below 1: a factor needs a target")
    universe = align(network, truth, transpose=transpose, regulators="all" if regulators is None else regulators)
    as_pairs(universe.scores, universe.self_columns).refuse_nan()
    tested, members, n_few = _tested(universe, truth, min_targets)
    others = _other_rows(universe, n_others, np.random.default_rng(seed))
    return RankedTargets(
        universe=universe,
        tested=tested,
        members=members,
        others=others,
        own=_rank_sums(universe, tested, members),
        null=_rank_sums(universe, others, members),
        n_few_targets=n_few,
    )


@dataclass(frozen=True, eq=False)
class RankSums:
    """Rows' rankings of factors' targets.

    Attributes
    ----------
    auroc
        Chance that a target outranks another gene, ties counting half, (rows, factors).
    p_value
        One-sided Mann-Whitney test, normal approximation with corrections for ties and continuity, (rows,
        factors).
    is_constant
        Rows of one value only, (rows,): 0.5 and 1.
    """

    auroc: NDArray[np.float64]
    p_value: NDArray[np.float64]
    is_constant: NDArray[np.bool_]


def _rank_sums(universe: Universe, rows: NDArray[np.int64], members: NDArray[np.float64]) -> RankSums:
    from scipy.stats import norm, rankdata  # takes half a second to import

    n_columns = members.shape[0]
    sizes = members.sum(axis=0)
    auroc = np.full((rows.size, sizes.size), 0.5)
    p_value = np.ones_like(auroc)
    is_constant = np.zeros(rows.size, dtype=bool)
    step = max(1, _PIECE // n_columns)
    for start in range(0, rows.size, step):
        part = slice(start, min(start + step, rows.size))
        weights = dense_rows(universe, rows[part])
        own = universe.self_columns[rows[part]]
        has_self = own >= 0
        ranks = rankdata(weights, axis=1).astype(np.float64)
        # The own gene has the lowest rank: without it all others move down by one.
        ranks[has_self] -= 1
        n = (n_columns - has_self)[:, None].astype(np.float64)
        n_in = sizes - np.where(has_self[:, None], members[own], 0)
        n_out = n - n_in
        with np.errstate(invalid="ignore", divide="ignore"):
            u = ranks @ members - n_in * (n_in + 1) / 2
            ties = np.array([_tie_term(row) for row in weights])[:, None]
            spread = np.sqrt(n_in * n_out / 12 * np.maximum(n + 1 - ties / (n * (n - 1)), 0))
            z = (u - n_in * n_out / 2 - 0.5) / spread
        compared = (n_in > 0) & (n_out > 0)
        auroc[part] = np.where(compared, u / np.where(compared, n_in * n_out, 1), 0.5)
        p_value[part] = np.where(compared & (spread > 0), norm.sf(z), 1.0)
        is_constant[part] = (ties == n**3 - n)[:, 0]
    return RankSums(auroc, p_value, is_constant)


def _tie_term(weights: NDArray[Any]) -> float:
    # Sum of t³ - t over groups of t equal values; the own gene is alone in its group and adds 0.
    ordered = np.sort(weights)
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    size = np.diff(np.concatenate([[0], edges, [ordered.size]])).astype(np.float64)
    return float((size**3 - size).sum())


def _tested(
    universe: Universe, truth: GroundTruth, min_targets: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Return the rows of factors with enough targets, their targets (columns, factors), and how many lack them."""
    n_columns = len(universe.targets)
    rows, columns = universe.positives
    n_targets = np.bincount(rows, minlength=len(universe.regulators))
    n_others = n_columns - (universe.self_columns >= 0) - n_targets
    enough = (n_targets >= min_targets) & (n_others >= min_targets)
    tested = np.flatnonzero(enough).astype(np.int64)
    n_few = int(((n_targets > 0) & ~enough).sum())
    if not tested.size:
        raise ValueError(
            f"none of {n_few:,} factors of the truth {truth.name!r} has {min_targets:,} known targets, and as many "
            f"other genes, among {n_columns:,} genes: use more genes, or lower min_targets"
        )
    place = np.full(len(universe.regulators), -1)
    place[tested] = np.arange(tested.size)
    keep = place[rows] >= 0
    members = np.zeros((n_columns, tested.size))
    members[columns[keep], place[rows[keep]]] = 1
    return tested, members, n_few


def _other_rows(universe: Universe, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows that rank anything at all; the draws go by the regulators' names, not by their order."""
    order = np.argsort(np.asarray(universe.regulators, dtype=str))[rng.permutation(len(universe.regulators))]
    chosen: list[NDArray[np.int64]] = []
    n_chosen = 0
    step = max(1, _PIECE // len(universe.targets))
    for start in range(0, order.size, step):
        rows = order[start : start + step]
        weights = dense_rows(universe, rows)
        low = np.where(weights < 0, np.inf, weights).min(axis=1)
        varied = rows[weights.max(axis=1) > low]
        chosen.append(varied)
        n_chosen += varied.size
        if n_chosen >= most:
            break
    return np.sort(np.concatenate(chosen)[:most])


def dense_rows(universe: Universe, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return absolute weights, own gene as -1, below all others: (rows, targets)."""
    part = universe.scores[rows]
    is_sparse: bool = sp.issparse(part)
    weights = np.abs(part.toarray() if is_sparse else np.asarray(part))
    if weights.dtype.kind != "f":
        weights = weights.astype(np.float64)
    own = universe.self_columns[rows]
    weights[np.flatnonzero(own >= 0), own[own >= 0]] = -1
    return weights
