"""How right labels are, and how right they are said to be: each number with its bootstrap interval over cells.

Cells are drawn with replacement, the same for all methods. They are of few donors, so intervals do not speak of others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scprint_model.intervals import LEVEL, expanded_tail

REPLICATES = 1000
N_BINS = 10


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


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy in ten bins of confidence."""
    at = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)
    gap = np.bincount(at, confidence, N_BINS) - np.bincount(at, right.astype(float), N_BINS)
    return float(np.abs(gap).sum() / len(right))


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
    n_labels = int(max(truth.max(), said.max())) + 1
    same = truth == said
    rng = np.random.default_rng(seed)
    found: list[dict[str, float]] = []
    for draw in range(REPLICATES + 1):
        at = rng.integers(len(truth), size=len(truth)) if draw else np.arange(len(truth))
        macro, weighted = f1_scores(truth[at], said[at], n_labels)
        one = {"accuracy": float(same[at].mean()), "f1": weighted, "macro_f1": macro}
        one |= {name: float(hits[at].mean()) for name, hits in right.items()}
        one["calibration_error"] = calibration_error(confidence[at], same[at])
        one["heads_less_this"] = float(reference[at].mean() - same[at].mean())
        found.append(one)
    tail = expanded_tail(LEVEL, len(truth))
    scores: dict[str, float] = {}
    for name, value in found[0].items():
        low, high = np.quantile([one[name] for one in found[1:]], [tail, 1 - tail])
        scores |= {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return scores
