"""Put simple rivals on the same cells beside the scores of predicted labels, and the interval of a macro F1.

Shapes: B cells, P predicted labels, T true labels, K kinds of cells, R replicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scprint_model.cross_validation import cross_validated
from scprint_model.intervals import (
    LEVEL,
    MIN_GROUPS,
    REPLICATES,
    drawn_counts,
    expanded_tail,
    group_codes,
    score_table,
)
from scprint_model.tasks.annotate import UNKNOWN

COMMONEST = "commonest label"


@dataclass(frozen=True, eq=False)
class Rivals:
    """Simple methods that are asked for the same labels.

    Attributes
    ----------
    features
        Name to features of the cells, (B, F), which may be NaN for some cells.
    keys
        Key of each cell, (B,), by which parts of a cross-validation go.
    groups
        Donor of each cell, (B,), or None.
    unit
        Word for a donor.
    seed
        Seed for parts and intervals.
    """

    features: Mapping[str, np.ndarray] = field(repr=False)
    keys: np.ndarray = field(repr=False)
    groups: np.ndarray | None = field(repr=False)
    unit: str
    seed: int

    def beside(self, true: np.ndarray, answered: np.ndarray, right: np.ndarray) -> pd.DataFrame:
        """Return the rivals' accuracy and the predictions' less theirs, a row a rival, with intervals.

        Parameters
        ----------
        true
            True label of each cell, (B,); `UNKNOWN` without one.
        answered
            Cells that are scored, (B,) bool.
        right
            Whether the prediction is right, of each answered cell.
        """
        names = np.unique(true[true != UNKNOWN])
        codes = np.where(true == UNKNOWN, -1, np.searchsorted(names, np.where(true == UNKNOWN, names[0], true)))
        said = {COMMONEST: np.full(len(codes), np.bincount(codes[codes >= 0]).argmax())}
        for name, values in self.features.items():
            told = np.where(np.isfinite(values).all(axis=1), codes, -1)
            if (told >= 0).sum() > 1:
                said[name] = cross_validated(values, told, keys=self.keys, groups=self.groups, seed=self.seed)
        rows = [self._row(name, values, codes, answered, right) for name, values in said.items() if answered.any()]
        ends = ("", "_low", "_high")
        columns = ["method", "n_cells", *(f"{score}{end}" for score in ("accuracy", "difference") for end in ends)]
        return pd.DataFrame([row for row in rows if row], columns=columns)

    def _row(
        self, name: str, said: np.ndarray, codes: np.ndarray, answered: np.ndarray, right: np.ndarray
    ) -> dict[str, object]:
        asked = answered & (said >= 0)
        if not asked.any():
            return {}
        ours, theirs = right[asked[answered]], (said == codes)[asked]
        truth = codes[asked]
        found = score_table(
            {"": np.where(ours, truth, -1), name: said[asked]},
            truth,
            {"": ours, name: theirs},
            reference="",
            groups=None if self.groups is None else self.groups[asked],
            seed=self.seed,
        )
        both = {**found.table.iloc[1].to_dict(), **found.differences.iloc[0].to_dict()}
        return {str(key): value for key, value in both.items()} | {"method": name, "n_cells": int(asked.sum())}


class LabelF1:
    """Mean F1 of true labels where a prediction may fit several of them, over all cells and over draws of cells.

    Parameters
    ----------
    fits
        Whether each predicted label is right for each true one, (P, T).
    said, true
        Codes of each cell, (B,).
    """

    def __init__(self, fits: np.ndarray, said: np.ndarray, true: np.ndarray) -> None:
        kinds, self._kind = np.unique(np.stack([said, true]), axis=1, return_inverse=True)
        self._kind = self._kind.ravel()
        right = fits[kinds[0], kinds[1]][:, None]
        self._given = np.eye(fits.shape[1])[kinds[1]]  # (K, T)
        self._hits = self._given * right
        # a wrong prediction counts against each true label that it fits
        self._against = fits[kinds[0]] * ~right + self._given * ~right
        self._n_kinds = kinds.shape[1]

    @property
    def whole(self) -> float:
        """The score over all cells."""
        return float(self._of(np.bincount(self._kind, minlength=self._n_kinds)[None])[0])

    def interval(self, groups: np.ndarray | None, seed: int) -> tuple[float, float]:
        """Return its 95 % interval over cells or donors drawn; see `scprint_model.intervals.score_table`."""
        codes, n_groups = group_codes(groups, np.ones(len(self._kind), dtype=bool))
        drawn = self._of(drawn_counts(self._kind, self._n_kinds, codes, n_groups, REPLICATES, seed))
        if not np.ptp(drawn):
            return float("nan"), float("nan")
        tail = expanded_tail(LEVEL, n_groups if n_groups >= MIN_GROUPS else len(self._kind))
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return float(low), float(high)

    def _of(self, counts: np.ndarray) -> np.ndarray:
        """(R, K) numbers of cells of each kind to (R,) scores: the mean over the labels that occur."""
        hits, against, given = counts @ self._hits, counts @ self._against, counts @ self._given
        f1 = 2 * hits / np.maximum(2 * hits + against, 1)
        return np.asarray((f1 * (given > 0)).sum(axis=1) / np.maximum((given > 0).sum(axis=1), 1))
