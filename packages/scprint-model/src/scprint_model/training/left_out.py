"""Measure on left-out data sets when the labels of a class head are to be trusted.

Shapes: B cells, F features that a head reads, n labels, D data sets.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cholesky
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from scprint_model.checkpoints.label_confidence import COVERAGES, SURE, LabelConfidence, nearest
from scprint_model.losses.minimise import minimise

logger = logging.getLogger(__name__)

#: Share of the rightly labelled cells of left-out data sets that the least confidence costs, and the longest distance.
DECLINED = 0.2
#: Number of rightly labelled cells of left-out data sets that a class needs, and of their studies.
MIN_RIGHT, MIN_STUDIES = 20, 3
#: Share of the spread of a label's cells that is taken to be the same in all directions.
SHRINKAGE = 0.3
#: Number of cells that a label needs to have a centre.
OF_CENTRE = 5


def fold_of_datasets(cells: np.ndarray, studies: np.ndarray, folds: int) -> np.ndarray:
    """Return the fold of each data set, shape (D,): studies stay whole, and folds have about equally many cells.

    Parameters
    ----------
    cells
        Number of cells of each data set, shape (D,).
    studies
        Number of the study of each, shape (D,).
    folds
        Number of folds.
    """
    total = np.bincount(studies, weights=cells)
    fold, filled = np.zeros(len(total), dtype=np.int64), np.zeros(folds)
    for study in np.argsort(-total, kind="stable").tolist():
        fold[study] = filled.argmin()
        filled[fold[study]] += total[study]
    return np.asarray(fold[studies])


def study_numbers(names: Sequence[str], studies: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the number of the study of each data set, shape (D,); those that no study names are one each.

    Data sets that a study names and that are not there are logged.

    Raises
    ------
    ValueError
        When two studies name the same data set.
    """
    listed = [name for study in studies for name in study]
    if missing := sorted(set(listed) - set(names)):
        logger.warning("studies name %s, which are not among the %d data sets", ", ".join(missing), len(names))
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(f"studies name {twice} more than once")
    first = {name: study[0] for study in studies for name in study}
    return np.unique([first.get(name, name) for name in names], return_inverse=True)[1]


def right_outputs(below: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which outputs are right for each code, and which a cell of that code teaches; both bool, (codes, n).

    Right are the label itself and those below it. A coarse label that is an output itself teaches only that one.

    Parameters
    ----------
    below
        Outputs below each coarser label, bool, (coarser labels, n).
    own
        Place of a coarser label's own output, or -1, (coarser labels,).
    """
    n = below.shape[1]
    itself = np.arange(n) == own[:, None]
    taught = np.where((own >= 0)[:, None], itself, below)
    return np.concatenate((np.eye(n, dtype=bool), below | itself)), np.concatenate((np.eye(n, dtype=bool), taught))


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Answers of heads on cells of data sets that they never saw.

    Attributes
    ----------
    logits
        (B, n) of the head that was fitted without the cell's fold.
    distance
        (B,) from the nearest centre of a label, by cells of other folds.
    right
        (B,) bool, whether the highest logit is of the label or of one below it.
    true
        (B,) highest logit of those that would be right.
    known
        (B,) bool, whether other folds have cells of a label that would be right.
    study
        (B,) number of the study.
    """

    logits: np.ndarray
    distance: np.ndarray
    right: np.ndarray
    true: np.ndarray
    known: np.ndarray
    study: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Weight of each cell of a label that other folds have, of sum 1, so that each study counts alike."""
        return by_study(self.study, self.known)

    @property
    def weight_of_all(self) -> np.ndarray:
        """Weight of each cell, of a label that other folds lack, too; of sum 1, so that each study counts alike."""
        return by_study(self.study, np.ones(len(self.study), dtype=bool))

    @property
    def named(self) -> np.ndarray:
        """Whether the head, which never saw the cell's study, names it rightly; a label it never saw it cannot name."""
        return np.asarray(self.right & self.known)

    @property
    def enough(self) -> bool:
        """Whether there are right answers enough to learn from."""
        return int(self.named.sum()) >= MIN_RIGHT and len(np.unique(self.study[self.named])) >= MIN_STUDIES


def by_study(study: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return the weight of each cell, (B,), of sum 1: studies count alike, and cells that are not taken nothing."""
    counts = np.bincount(study[taken], minlength=study.max() + 1)
    weight = np.where(taken, 1 / np.maximum(counts[study], 1), 0)
    return np.asarray(weight / max(weight.sum(), 1e-30))


class Centres:
    """Mean of each label's cells, where the cells of a label spread alike in all directions.

    Parameters
    ----------
    x
        (B, F) features.
    labels
        (B,) codes, all of them known.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.mean = x.mean(axis=0)
        scale = x.std(axis=0)
        scale = np.where(scale > 1e-6 * max(scale.max(), 1e-30), scale, np.inf)
        z = (x - self.mean) / scale
        codes, of_cell, counts = np.unique(labels, return_inverse=True, return_counts=True)
        means = np.zeros((len(codes), z.shape[1]))
        np.add.at(means, of_cell, z)
        means /= counts[:, None]
        apart = z - means[of_cell]
        within = apart.T @ apart / len(z)
        level = max(np.trace(within) / len(within), 1e-30)
        within = (1 - SHRINKAGE) * within + SHRINKAGE * level * np.eye(len(within))
        alike = cholesky(np.linalg.inv(within), lower=True)
        self.whiten = alike / scale[:, None]
        self.centres = means[counts >= min(OF_CENTRE, int(counts.max()))] @ alike

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the distance of cells, (B, F), from the nearest centre, (B,)."""
        return nearest((x - self.mean) @ self.whiten, self.centres)


def best_sigmoid(logits: np.ndarray, right: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the scale and the shift of logits that make a sigmoid of the highest one its chance to be right.

    Parameters
    ----------
    logits
        (B, n) logits.
    right
        (B,) bool, whether the highest one is right.
    weight
        (B,) weight of each cell.

    Notes
    -----
    Platt, Probabilistic outputs for support vector machines, 1999, with its targets, which keep the fit finite where
    all are right.
    """
    n_right, n_wrong = int(right[weight > 0].sum()), int((~right[weight > 0]).sum())
    target = torch.from_numpy(np.where(right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2)))
    best, weights = torch.from_numpy(logits.max(axis=1).astype(np.float64)), torch.from_numpy(weight)
    change = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        moved = best * change[0].exp() + change[1]
        return binary_cross_entropy_with_logits(moved, target, weight=weights, reduction="sum")

    minimise(loss, [change])
    size, shift = change.detach().tolist()
    return float(np.exp(size)), float(shift)


def margins(short: np.ndarray, study: np.ndarray) -> np.ndarray:
    """Return how far below the highest logit a set has to reach to hold the true label, for each of `COVERAGES`.

    Parameters
    ----------
    short
        (B,) how far the true label's logit lies below the highest.
    study
        (B,) number of each cell's study.

    Notes
    -----
    Lee, Barber and Willett, Distribution-free inference with hierarchical data, 2023: the quantile of a distribution to
    which each of k studies contributes 1 / (k + 1), and infinity the rest. Where that is infinite, the largest that
    occurs is taken.
    """
    order = np.argsort(short, kind="stable")
    counts = np.bincount(study)
    k = int((counts > 0).sum())
    reached = np.cumsum(1 / ((k + 1) * counts[study[order]]))
    at = np.searchsorted(reached, COVERAGES - 1e-9)
    return np.asarray(short[order][np.minimum(at, len(order) - 1)], dtype=np.float32)


def weighted_quantile(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    """Return the value that a share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    at = np.searchsorted(reached, share * reached[-1])
    return float(values[order][min(int(at), len(order) - 1)])


def longest_distance(left: LeftOut) -> float:
    """Return the distance beyond which answers are not to be trusted.

    It is the one that a share of `DECLINED` of the right answers exceeds. Where answers beyond it are as good as
    certain, as those of organisms are, distance says nothing of them: it is the longest that occurs.
    """
    longest = weighted_quantile(left.distance, left.weight * left.right, 1 - DECLINED)
    weight = left.weight_of_all * (left.distance > longest)
    certain = (weight * left.named).sum() >= SURE * weight.sum()
    return float(left.distance.max()) if certain else longest


def trust(left: LeftOut, centres: Centres, tokens: Sequence[str], *, size: float, shift: float) -> LabelConfidence:
    """Return when labels are to be trusted, of logits that are scaled and shifted.

    Parameters
    ----------
    left
        Left-out answers.
    centres
        Centres by all cells.
    tokens
        Names of the tokens that the head reads.
    size, shift
        Scale and shift of the logits.
    """
    logits, weight = left.logits * size + shift, left.weight * left.right
    best = logits.max(axis=1)
    least = weighted_quantile(1 / (1 + np.exp(-best)), weight, DECLINED)
    longest = max(longest_distance(left), 1e-6)
    short = (best - (left.true * size + shift))[left.known]
    return LabelConfidence(
        tokens=tuple(tokens),
        mean=centres.mean.astype(np.float32),
        whiten=(centres.whiten / longest).astype(np.float16),
        centres=(centres.centres / longest).astype(np.float16),
        least=least,
        margins=margins(short, left.study[left.known]),
        n_cells=int(left.known.sum()),
        n_sources=len(np.unique(left.study[left.known])),
    )
