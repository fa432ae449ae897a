"""When a model's labels are to be trusted, measured on data sets that were left out; stored beside its weights.

Shapes: B cells, T cell tokens, d model width, F = numbers of the tokens that a head reads, n labels, K labels that have
a centre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

#: File of a model folder that holds them; folders of older versions lack it.
CONFIDENCE = "confidence.npz"
#: Probabilities with which a set of labels can be asked to hold the true one.
COVERAGES = np.arange(50, 100) / 100

#: Confidence that is always enough. Where cells that were left out are all named with certainty, as organisms are, the
#: least of theirs says nothing.
SURE = 0.95


@dataclass(frozen=True, eq=False)
class LabelConfidence:
    """The least confidence, the longest distance and the sizes of sets of one class.

    Attributes
    ----------
    tokens
        Names of the tokens that the head reads.
    mean
        float32, shape (F,): mean of these tokens over training cells.
    whiten
        float16, shape (F, F): linear map after which the cells of a label spread alike in all directions, and the
        distance of 1 is the longest at which the model answers.
    centres
        float16, shape (K, F): mean of each label's cells after that.
    least
        Confidence below which the model does not answer.
    margins
        float32, one for each of `COVERAGES`: a label is in the set if its logit lies at most so far below the highest.
    n_cells, n_sources
        Number of cells of left-out data sets that were looked at, and of these data sets.
    """

    tokens: tuple[str, ...]
    mean: np.ndarray
    whiten: np.ndarray
    centres: np.ndarray
    least: float
    margins: np.ndarray
    n_cells: int
    n_sources: int

    def outlier(self, embeddings: np.ndarray, token_names: Sequence[str]) -> np.ndarray:
        """Return how far cells, shape (B, T, d), lie from the nearest label's centre; float32, shape (B,).

        The distance is Mahalanobis' with the spread of cells of the same label. Above 1 a cell is unlike those that
        the model was trained with.
        """
        read = embeddings[:, [list(token_names).index(name) for name in self.tokens]].reshape(len(embeddings), -1)
        at = (read - self.mean).astype(np.float32) @ self.whiten.astype(np.float32)
        return nearest(at, self.centres.astype(np.float32))

    def answers(self, confidence: np.ndarray, outlier: np.ndarray) -> np.ndarray:
        """Return where the model answers, bool, from a label's confidence and the cell's distance."""
        return np.asarray((confidence >= min(self.least, SURE)) & ~(outlier > 1))

    def sets(self, logits: np.ndarray, coverage: float) -> np.ndarray:
        """Return which labels are in the set of each cell, bool, of logits (B, n).

        Raises
        ------
        ValueError
            When the coverage is none of `COVERAGES`.
        """
        at = np.flatnonzero(np.isclose(COVERAGES, coverage))
        if not len(at):
            raise ValueError(f"sets={coverage} must be a probability of 0.50, 0.51, ..., 0.99")
        return np.asarray(logits >= logits.max(axis=1, keepdims=True) - self.margins[at[0]])


def nearest(at: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the distance from each row, shape (B, F), to the nearest centre, shape (K, F); float32."""
    squares = (at**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * (at @ centres.T)
    return np.sqrt(np.maximum(squares.min(axis=1), 0)).astype(np.float32)


def save_confidence(confidence: Mapping[str, LabelConfidence], path: Path) -> None:
    """Write those of some classes as one npz file."""
    stored: dict[str, Any] = {
        f"{name}/{field.name}": np.asarray(getattr(one, field.name))
        for name, one in confidence.items()
        for field in _FIELDS
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **stored)


def load_confidence(path: Path, *, classes: Sequence[str], tokens: Sequence[str], d: int) -> dict[str, LabelConfidence]:
    """Read what `save_confidence` wrote.

    Parameters
    ----------
    path
        File to read.
    classes, tokens, d
        Classes, names of tokens and width of the model.

    Raises
    ------
    ValueError
        When the file is something else, or of a model of other classes, tokens or width.
    """
    found: dict[str, LabelConfidence] = {}
    try:
        with np.load(path) as stored:
            for name in dict.fromkeys(key.rpartition("/")[0] for key in stored.files):
                values = {field.name: stored[f"{name}/{field.name}"] for field in _FIELDS}
                values["tokens"] = tuple(values["tokens"].tolist())
                for key in ("least", "n_cells", "n_sources"):
                    values[key] = values[key].item()
                found[name] = LabelConfidence(**values)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    for name, one in found.items():
        size = len(one.tokens) * d
        fits = one.mean.shape == (size,) and one.whiten.shape == (size, size) and one.centres.shape[1:] == (size,)
        if name not in classes or not set(one.tokens) <= set(tokens) or not fits:
            raise ValueError(
                f"{path} is of class {name!r}, tokens {one.tokens} and {one.mean.shape} numbers, but the model has "
                f"the classes {list(classes)}, tokens {list(tokens)} and the width {d}"
            )
    return found


_FIELDS = fields(LabelConfidence)
