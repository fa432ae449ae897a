"""Rows of the card: a number of each method with its interval, and by how much the model is above it.

Cells are drawn with replacement, the same for both methods of a difference; whole donors are drawn where a set has five
or more. The intervals say nothing of another training of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scprint_model.intervals import LEVEL, MIN_GROUPS, expanded_tail, mean_interval, share_interval

#: Name of the model among the methods.
OURS = "scPRINT"
#: Draws of scores that are no means over cells, which take longer.
DRAWS = 500
#: Columns of the table of the card.
COLUMNS = ("set", "part", "measure", "method", "value", "low", "high", "difference", "difference_low")
COLUMNS += ("difference_high", "n", "unit", "seen", "cpu_s")

type Row = dict[str, Any]
#: Gives a score of the cells at some places.
type Score = Callable[[np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Units:
    """Cells of a set, and what is drawn for intervals.

    Attributes
    ----------
    n
        Number of cells.
    groups
        Donor of each cell, (n,); None where cells are drawn.
    """

    n: int
    groups: np.ndarray | None = None

    @property
    def drawn(self) -> np.ndarray | None:
        """Donors, where there are enough of them to be drawn."""
        enough = self.groups is not None and len(np.unique(self.groups)) >= MIN_GROUPS
        return self.groups if enough else None

    @property
    def name(self) -> str:
        """Name of what is drawn."""
        return "cell" if self.drawn is None else "donor"

    def at(self, places: np.ndarray) -> Units:
        """Return those of some cells, given as places or by a mask."""
        some = np.arange(self.n)[places]
        return Units(len(some), None if self.groups is None else self.groups[some])


def mean_rows(measure: str, values: Mapping[str, np.ndarray], units: Units, *, ours: str = OURS) -> list[Row]:
    """Return a row a method: the mean over cells of its scores, (n,), and the model's mean score less its own."""
    found = []
    for method, own in values.items():
        if not len(own):
            continue
        mean, low, high = mean_interval(own, groups=units.drawn)
        if own.dtype == bool:
            low, high = share_interval(own, groups=units.drawn)
        row = _row(measure, method, (mean, low, high), units)
        if ours in values and method != ours:
            gap = values[ours].astype(np.float64) - own
            row |= _difference(mean_interval(gap, groups=units.drawn))
        found.append(row)
    return found


def score_rows(
    measure: str, scores: Mapping[str, Score], units: Units, *, ours: str = OURS, seed: int = 0
) -> list[Row]:
    """Return a row a method: a score of all cells with its bootstrap interval, and the model's score less its own."""
    every = np.arange(units.n)
    draws = drawn_places(units, seed)
    whole = {method: score(every) for method, score in scores.items()}
    again = {method: np.array([score(places) for places in draws]) for method, score in scores.items()}
    n_drawn = units.n if units.drawn is None else len(np.unique(units.drawn))
    tail = expanded_tail(LEVEL, n_drawn)

    def three(value: float, replicates: np.ndarray) -> tuple[float, float, float]:
        low, high = np.nanquantile(replicates, [tail, 1 - tail])
        return value, float(low), float(high)

    found = []
    for method, value in whole.items():
        row = _row(measure, method, three(value, again[method]), units)
        if ours in whole and method != ours:
            row |= _difference(three(whole[ours] - value, again[ours] - again[method]))
        found.append(row)
    return found


def drawn_places(units: Units, seed: int) -> list[np.ndarray]:
    """Return places of cells drawn with replacement, or of all cells of donors drawn so, `DRAWS` times."""
    rng = np.random.default_rng(seed)
    if units.drawn is None:
        return [rng.integers(units.n, size=units.n) for _ in range(DRAWS)]
    of_group = [np.flatnonzero(units.drawn == name) for name in np.unique(units.drawn)]
    picks = rng.integers(len(of_group), size=(DRAWS, len(of_group)))
    return [np.concatenate([of_group[i] for i in pick]) for pick in picks]


def _row(measure: str, method: str, three: tuple[float, float, float], units: Units) -> Row:
    value, low, high = three
    return {
        "measure": measure,
        "method": method,
        "value": value,
        "low": low,
        "high": high,
        "difference": math.nan,
        "n": units.n,
        "unit": units.name,
    }


def _difference(three: tuple[float, float, float]) -> Row:
    return dict(zip(("difference", "difference_low", "difference_high"), three, strict=True))
