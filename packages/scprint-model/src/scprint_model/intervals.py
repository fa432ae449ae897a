"""Intervals of scores of cells: how far a score, or the difference of two, would move with other cells or donors.

Cells enter as counts of what happened to them, so that neither their order nor their number of genes matters.

Shapes: B cells, M methods, n labels, P kinds of cells, R replicates, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: With fewer groups, cells are drawn within each: so few groups say nothing of others.
MIN_GROUPS = 5
#: With fewer groups an interval is rough, and says so.
ROUGH_GROUPS = 10
REPLICATES = 1000
LEVEL = 0.95
#: Columns of obs that say of which donor a cell is, first match counts.
DONOR_COLUMNS = ("donor_id", "donor")


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of several methods on the same cells, with their intervals.

    Attributes
    ----------
    table
        One row a method: ``accuracy`` and ``macro_f1``, each with its interval ``<score>_low`` and ``<score>_high``. A
        macro F1 that no draw changes has none: NaN.
    differences
        One row a method other than `reference`: the reference's score minus its own, with intervals that draw the same
        cells for both.
    reference
        Method with which the others are compared.
    n_cells
        Number of cells with a label, over which scores are taken.
    n_groups
        Number of their groups; 0 without groups.
    note
        What is drawn for the intervals, in words.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    reference: str
    n_cells: int
    n_groups: int
    note: str


def score_table(
    predicted: dict[str, np.ndarray],
    labels: np.ndarray,
    right: dict[str, np.ndarray],
    *,
    reference: str,
    groups: np.ndarray | None = None,
    unit: str = "group",
    n_replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> ScoreTable:
    """Score the predictions of several methods, each with a bootstrap interval.

    Cells are drawn with replacement. Where their groups, such as donors, are given and are at least `MIN_GROUPS`, whole
    groups are drawn, since cells of one donor are alike (cluster bootstrap: Davison and Hinkley 1997, Bootstrap Methods
    and Their Application, section 3.8). With fewer groups, cells are drawn within each, and the interval does not speak
    of other groups. Percentiles are expanded as in Hesterberg 2015, The American Statistician 69:371-386, section 5.3.
    A share of 0 or 1 that no draw of cells can change has the exact interval (Clopper and Pearson 1934), and so has a
    difference of two methods that are right on the same cells.

    Parameters
    ----------
    predicted
        Name of each method to its predicted codes, (B,) integers.
    labels
        Given codes, (B,) integers. Cells below 0 are left out.
    right
        Name of each method to whether its predictions are right, (B,) bool. It may be more than the same code, where
        labels have coarser ones above them.
    reference
        Name of the method with which the others are compared.
    groups
        Group of each cell, (B,), such as its donor; None: cells alone are drawn.
    unit
        Word for a group in the note.
    n_replicates
        Number of draws, at least 2.
    level
        Coverage of the intervals, above 0 and below 1.
    seed
        Seed for the draws.

    Returns
    -------
    ScoreTable
        The same for cells in any order. The macro F1 is the mean over the labels that are given or predicted at least
        once, as `scprint_model.metrics.LabelCounts` has it; a prediction that is right counts as the given label.

    Raises
    ------
    ValueError
        When no cell has a label, the reference is not among the methods, or numbers are out of range.
    """
    if reference not in predicted:
        raise ValueError(f"reference={reference!r} is not among the methods {list(predicted)}")
    if n_replicates < 2 or not 0 < level < 1:
        raise ValueError(f"n_replicates={n_replicates} must be at least 2 and level={level} between 0 and 1")
    known = np.asarray(labels) >= 0
    if not known.any():
        raise ValueError("no cell has a label: there is nothing to score")
    names = list(predicted)
    truth = np.asarray(labels)[known]
    codes, n_groups = group_codes(groups, known)
    hits = np.stack([np.asarray(right[name])[known] for name in names], axis=1)
    kinds, kind = np.unique(hits, axis=0, return_inverse=True)
    drawn = drawn_counts(kind.ravel(), len(kinds), codes, n_groups, n_replicates, seed)
    shares = drawn @ kinds / drawn.sum(axis=1, keepdims=True)  # (R, M)
    n_drawn = n_groups if n_groups >= MIN_GROUPS else len(truth)
    tail = expanded_tail(level, n_drawn)
    rows, differences, at = [], [], names.index(reference)
    for i, name in enumerate(names):
        said = np.where(hits[:, i], truth, np.asarray(predicted[name])[known])
        f1 = _f1(said, truth, codes, n_groups, n_replicates, seed)
        low, high = _interval(shares[:, i], tail, hits[:, i], n_groups, level)
        of_f1 = np.quantile(f1[1:], [tail, 1 - tail]) if np.ptp(f1) else (np.nan, np.nan)
        row = {"method": name, "accuracy": float(hits[:, i].mean()), "accuracy_low": low, "accuracy_high": high}
        row |= {"macro_f1": float(f1[0]), "macro_f1_low": float(of_f1[0]), "macro_f1_high": float(of_f1[1])}
        rows.append(row)
        if i != at:
            gap = hits[:, at].astype(np.int64) - hits[:, i]
            low, high = _difference(shares[:, at] - shares[:, i], tail, gap, level)
            differences.append(
                {"method": name, "difference": float(gap.mean()), "difference_low": low, "difference_high": high}
            )
    return ScoreTable(
        pd.DataFrame(rows),
        pd.DataFrame(differences, columns=["method", "difference", "difference_low", "difference_high"]),
        reference,
        len(truth),
        n_groups,
        _note(len(truth), n_groups, unit, level),
    )


def share_interval(
    right: np.ndarray, *, groups: np.ndarray | None = None, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap interval of the share of cells that are right; see `score_table`.

    Parameters
    ----------
    right
        Whether each cell is right, (B,) bool; at least one cell.
    groups, level, seed
        Options of `score_table`.
    """
    right = np.asarray(right, dtype=bool)
    codes, n_groups = group_codes(groups, np.ones(len(right), dtype=bool))
    drawn = drawn_counts(right.astype(np.int64), 2, codes, n_groups, REPLICATES, seed)
    n_drawn = n_groups if n_groups >= MIN_GROUPS else len(right)
    return _interval(drawn[:, 1] / drawn.sum(axis=1), expanded_tail(level, n_drawn), right, n_groups, level)


def mean_interval(
    values: np.ndarray, *, groups: np.ndarray | None = None, level: float = LEVEL, seed: int = 0
) -> tuple[float, float, float]:
    """Return the mean over cells and its bootstrap interval; see `score_table`, which draws alike.

    Parameters
    ----------
    values
        Score of each cell, (B,); at least one cell.
    groups, level, seed
        Options of `score_table`.
    """
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return mean, mean, mean
    codes, n_groups = group_codes(groups, np.ones(len(values), dtype=bool))
    rng = np.random.default_rng(seed)
    if n_groups >= MIN_GROUPS:
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=REPLICATES)
        sums, sizes = np.bincount(codes, values), np.bincount(codes)
        means = (drawn @ sums) / (drawn @ sizes)
    else:
        # cells are drawn within each group
        total = np.zeros(REPLICATES)
        for code in np.unique(codes):
            own = values[codes == code]
            total += np.array([own[rng.integers(len(own), size=len(own))].sum() for _ in range(REPLICATES)])
        means = total / len(values)
    tail = expanded_tail(level, n_groups if n_groups >= MIN_GROUPS else len(values))
    low, high = np.quantile(means, [tail, 1 - tail])
    return mean, float(low), float(high)


def donors_of(obs: pd.DataFrame) -> tuple[np.ndarray | None, str]:
    """Return the donor of each cell and the name of the column that says it; None and "cell" where none does."""
    for name in DONOR_COLUMNS:
        if name in obs:
            values = obs[name].astype(str)
            if (values.str.lower().isin(("unknown", "nan", "na", ""))).all():
                continue
            return values.to_numpy(), name
    return None, "cell"


def interval_note(n_cells: int, groups: np.ndarray | None, unit: str, level: float = LEVEL) -> str:
    """Return in words what the intervals of scores over some cells are of.

    Parameters
    ----------
    n_cells
        Number of cells.
    groups
        Group of each cell, such as its donor; None: cells alone.
    unit
        Word for a group.
    level
        Coverage of the intervals.
    """
    return _note(n_cells, 0 if groups is None else len(np.unique(groups.astype(str))), unit, level)


def group_codes(groups: np.ndarray | None, known: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the group of each labelled cell as a code, in the order of the names, and how many there are."""
    if groups is None:
        return np.zeros(int(known.sum()), dtype=np.int64), 0
    names, codes = np.unique(np.asarray(groups)[known].astype(str), return_inverse=True)
    return codes.ravel(), len(names)


def drawn_counts(
    kind: np.ndarray, n_kinds: int, codes: np.ndarray, n_groups: int, n_replicates: int, seed: int
) -> np.ndarray:
    """Draw cells, or whole groups of them: how many of each kind there are in each replicate, (R, P).

    Parameters
    ----------
    kind
        Kind of each cell, (B,) integers below `n_kinds`.
    n_kinds
        Number of kinds.
    codes, n_groups
        Group of each cell, (B,), and how many there are, as `group_codes` gives them.
    n_replicates
        Number of draws.
    seed
        Seed for the draws.
    """
    rng = np.random.default_rng(seed)
    table = np.zeros((max(n_groups, 1), n_kinds), dtype=np.int64)
    np.add.at(table, (codes, kind), 1)
    if n_groups >= MIN_GROUPS:
        return np.asarray(rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_replicates) @ table)
    drawn = np.zeros((n_replicates, n_kinds), dtype=np.int64)
    for row in table:
        drawn += rng.multinomial(int(row.sum()), row / row.sum(), size=n_replicates)
    return drawn


def _f1(
    predicted: np.ndarray, truth: np.ndarray, codes: np.ndarray, n_groups: int, n_replicates: int, seed: int
) -> np.ndarray:
    """Return the macro F1 of all cells, then of each replicate; (1 + R,)."""
    pairs, kind = np.unique(np.stack([truth, predicted], axis=1), axis=0, return_inverse=True)
    kind = kind.ravel()
    every = np.bincount(kind, minlength=len(pairs))[None]
    drawn = np.concatenate([every, drawn_counts(kind, len(pairs), codes, n_groups, n_replicates, seed)])
    total, seen = np.zeros(len(drawn)), np.zeros(len(drawn))
    for label in np.unique(pairs):
        given, said = pairs[:, 0] == label, pairs[:, 1] == label
        either = drawn[:, given].sum(axis=1) + drawn[:, said].sum(axis=1)
        total += 2 * drawn[:, given & said].sum(axis=1) / np.maximum(either, 1)
        seen += either > 0
    return np.asarray(total / seen)


def _interval(shares: np.ndarray, tail: float, right: np.ndarray, n_groups: int, level: float) -> tuple[float, float]:
    if right.all() or not right.any():
        bound = _exact_bound(n_groups if n_groups >= MIN_GROUPS else len(right), level)
        return (1 - bound, 1.0) if right.all() else (0.0, bound)
    low, high = np.quantile(shares, [tail, 1 - tail])
    return float(low), float(high)


def _difference(gaps: np.ndarray, tail: float, gap: np.ndarray, level: float) -> tuple[float, float]:
    if not gap.any():
        bound = _exact_bound(len(gap), level)
        return -bound, bound
    low, high = np.quantile(gaps, [tail, 1 - tail])
    return float(low), float(high)


def _exact_bound(n: int, level: float) -> float:
    """Return the largest chance under which none of `n` is still not surprising (Clopper and Pearson 1934)."""
    return float(1 - ((1 - level) / 2) ** (1 / n))


def expanded_tail(level: float, n: int) -> float:
    """Return the share of replicates to leave out at either end, of `n` that were drawn."""
    from scipy.stats import norm, t  # takes a second to import

    if n < 2:
        return 0.0
    return float(norm.cdf(t.ppf((1 - level) / 2, n - 1) * np.sqrt(n / (n - 1))))


def _note(n_cells: int, n_groups: int, unit: str, level: float) -> str:
    start = f"{level:.0%} intervals: "
    if n_groups < 2:
        return f"{start}{n_cells:,} cells drawn with replacement" + (
            "" if n_groups == 0 else f", all of one {unit}: they say nothing of others"
        )
    if n_groups < MIN_GROUPS:
        return f"{start}cells drawn within {n_groups} groups by {unit}: they say nothing of others"
    rough = f"; rough below {ROUGH_GROUPS}" if n_groups < ROUGH_GROUPS else ""
    return f"{start}{n_groups} groups by {unit} drawn with replacement{rough}"
