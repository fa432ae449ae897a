"""Tell where a model's own rule lets it answer, and the labels that hold the true one with a chosen probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from scdataloader.labels import SUFFIX
from scprint_model.checkpoints.label_confidence import LabelConfidence
from scprint_model.tasks.coarsen import Choices

#: What stands between the names of a set, as between several labels of a cell elsewhere.
BETWEEN = " || "

type Abstain = float | Literal["model"] | None


class Trusted:
    """Gathers how far each cell is from the labels of one class, and its set of them, while the cells go by.

    Parameters
    ----------
    known
        Rule and sizes of sets that the model carries for the class; None: it carries none.
    labels
        Labels of the class.
    stem
        Name of the class in columns.
    n_cells
        Number of cells.
    abstain
        Rule by which cells get no label, as `scprint_model.tasks.annotate` takes it.
    coverage
        Probability with which a set holds the true label; None: no sets.
    """

    def __init__(
        self,
        known: LabelConfidence | None,
        labels: Choices,
        stem: str,
        n_cells: int,
        *,
        abstain: Abstain,
        coverage: float | None,
    ) -> None:
        self.known, self.stem, self.abstain, self.coverage = known, stem, abstain, coverage
        self._ids, self._names = (np.array(values, dtype=object) for values in (labels.ids, labels.names))
        self.outlier = np.full(n_cells, np.nan, dtype=np.float32)
        self._sets = [(names := np.zeros(n_cells, dtype=object)), names.copy()]
        self._sizes = np.zeros(n_cells, dtype=np.int32)

    def add(self, rows: np.ndarray, logits: np.ndarray, embeddings: np.ndarray, token_names: Sequence[str]) -> None:
        """Take the logits (B, n) and embeddings (B, T, d) of the cells at some rows."""
        if self.known is None or not len(rows):
            return
        self.outlier[rows] = self.known.outlier(embeddings, token_names)
        if self.coverage is None:
            return
        chosen = self.known.sets(logits, self.coverage)
        self._sizes[rows] = chosen.sum(axis=1)
        order = np.argsort(-logits, axis=1, kind="stable")
        for row, best, size in zip(rows.tolist(), order, chosen.sum(axis=1).tolist(), strict=True):
            for values, labels in zip(self._sets, (self._names, self._ids), strict=True):
                values[row] = BETWEEN.join(labels[best[:size]])

    def columns(self) -> dict[str, object]:
        """Return the columns that say of it."""
        if self.known is None:
            return {}
        start = f"predicted_{self.stem}"
        made: dict[str, object] = {f"{start}_outlier": self.outlier}
        if self.coverage is not None:
            names, ids = (np.where(self._sizes > 0, values, "") for values in self._sets)
            made |= {
                f"{start}_set": pd.Categorical(names),
                f"{start}_set{SUFFIX}": pd.Categorical(ids),
                f"{start}_set_size": self._sizes,
            }
        return made

    def declined(self, confidence: np.ndarray, clusters: np.ndarray | None = None) -> np.ndarray:
        """Return which cells get no label, bool, from the confidence of their labels.

        Parameters
        ----------
        confidence
            Confidence of each cell's label.
        clusters
            Cluster of each cell, -1 for none, where the label is its cluster's; None: where it is its own.
        """
        if self.abstain != "model":
            return (
                np.asarray(confidence < self.abstain) if self.abstain is not None else np.zeros(len(confidence), bool)
            )
        if self.known is None:
            return np.zeros(len(confidence), dtype=bool)
        outlier = self.outlier
        if clusters is not None:
            seen = (clusters >= 0) & ~np.isnan(outlier)
            n = np.bincount(clusters[seen], minlength=clusters.max(initial=-1) + 1)
            mean = np.bincount(clusters[seen], weights=outlier[seen], minlength=len(n)) / np.maximum(n, 1)
            outlier = outlier.copy()
            outlier[clusters >= 0] = mean[clusters[clusters >= 0]]
        return ~self.known.answers(confidence, outlier)
