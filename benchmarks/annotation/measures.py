"""How right labels are, and how right they are said to be: each number with its bootstrap interval over cells.

Cells are drawn with replacement, the same for all methods. They are of few donors, so intervals do not speak of others.
The calibration error has no interval that holds: beside it stands what it would be if the confidences were right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scprint_model.intervals import LEVEL, REPLICATES, expanded_tail, mean_interval, score_table, share_interval
from scprint_model.tasks.calibration_error import calibration_error

_ENDS = ("", "_low", "_high")


def f1_scores(truth: np.ndarray, said: np.ndarray, n_labels: int) -> tuple[float, float]:
    """Return the macro and the weighted F1 of codes of labels.

    The macro F1 is the mean over labels that are given or said at least once; the weighted one is weighted by how often
    a label is given.
    """
    given, named = np.bincount(truth, minlength=n_labels), np.bincount(said, minlength=n_labels)
    both = np.bincount(truth[truth == said], minlength=n_labels)
    either = given + named
    f1 = 2 * both / np.maximum(either, 1)
    return float(f1[either > 0].mean()), float(f1 @ given / len(truth))


def method_scores(
    truth: np.ndarray,
    said: np.ndarray,
    confidence: np.ndarray,
    right: Mapping[str, np.ndarray],
    reference: np.ndarray,
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Return all scores of one method, each with its interval.

    Parameters
    ----------
    truth, said
        Codes of labels, (B,).
    confidence
        Chance that each label is right, by the method itself, (B,).
    right
        Whether each cell is right, by name of the share: besides the same label, coarser or related ones.
    reference
        Whether the method that others are compared with gives the same label, (B,).
    seed
        Seed for the draws.
    """
    same = truth == said
    one = score_table({"this": said}, truth, {"this": same}, reference="this", seed=seed).table.iloc[0]
    scores = {f"{name}{end}": float(one[f"{name}{end}"]) for name in ("accuracy", "macro_f1") for end in _ENDS}
    scores |= _three("f1", _weighted_f1(truth, said, seed))
    for name, hits in right.items():
        scores |= _three(name, (float(hits.mean()), *share_interval(hits, seed=seed)))
    scores |= _three("heads_less_this", mean_interval(reference.astype(float) - same, seed=seed))
    error, (mean, most) = calibration_error(confidence, same, seed=seed)
    return scores | {"calibration_error": error, "error_if_calibrated": mean, "error_if_calibrated_high": most}


def _weighted_f1(truth: np.ndarray, said: np.ndarray, seed: int) -> tuple[float, float, float]:
    n_labels, rng = int(max(truth.max(), said.max())) + 1, np.random.default_rng(seed)
    tail = expanded_tail(LEVEL, len(truth))
    drawn = (rng.integers(len(truth), size=len(truth)) for _ in range(REPLICATES))
    found = [f1_scores(truth[at], said[at], n_labels)[1] for at in drawn]
    low, high = np.quantile(found, [tail, 1 - tail])
    return f1_scores(truth, said, n_labels)[1], float(low), float(high)


def _three(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    return {f"{name}{end}": value for end, value in zip(_ENDS, values, strict=True)}
