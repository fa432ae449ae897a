"""Scores of embeddings, labels and denoised counts: one function for each, used by demo, training and fine-tuning.

Shapes: B cells, S genes, n leaf labels, d width of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

__all__ = [
    "LabelCounts",
    "agreeing_cells",
    "denoising_scores",
    "depth_share",
    "is_right",
    "label_scores",
    "neighbour_accuracy",
    "neighbour_agreement",
    "neighbour_votes",
    "spearman",
]


class LabelCounts:
    """Counts how often each leaf label was given, predicted, and predicted rightly, however cells are batched.

    Parameters
    ----------
    n_leaves
        Number of leaf labels of the class.
    device
        Device on which the counts are kept.
    """

    def __init__(self, n_leaves: int, device: torch.device | str = "cpu") -> None:
        #: Rows: given, predicted, both. int64, shape (3, n).
        self.counts = torch.zeros(3, n_leaves, dtype=torch.int64, device=device)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch of predicted and given codes, each of shape (B,).

        Cells whose label is unknown or not a leaf count nowhere.
        """
        n = self.counts.shape[1]
        leaf = (labels >= 0) & (labels < n)
        given, said = labels[leaf], predicted[leaf]
        # index_add and not bincount: no wait for the GPU, and the same on all devices
        for row, codes in enumerate((given, said, given[given == said])):
            self.counts[row].index_add_(0, codes, torch.ones_like(codes))

    def scores(self) -> dict[str, float]:
        """Return ``accuracy`` and ``macro_f1``; empty where no cell had a leaf label.

        The macro F1 is the mean over the labels that were given or predicted at least once, as scikit-learn has it.
        """
        given, said, right = self.counts.double().cpu()
        if given.sum() == 0:
            return {}
        seen = (given + said) > 0
        f1 = 2 * right[seen] / (given + said)[seen]
        return {"accuracy": float(right.sum() / given.sum()), "macro_f1": float(f1.mean())}


def label_scores(logits: Tensor, labels: Tensor, descendants: Tensor) -> dict[str, float]:
    """Return ``accuracy``, ``macro_f1`` and ``n_cells`` of the most likely labels where some given ones are coarser.

    Parameters
    ----------
    logits
        Logits of the leaf labels, shape (B, n).
    labels
        Label codes, shape (B,). Cells with -1 are left out. A coarser label is right where the predicted leaf lies
        below it.
    descendants
        Leaves below each coarser label, bool, shape (n_parents, n).

    Returns
    -------
    dict
        The accuracy is over the `n_cells` with a label, the macro F1 over those with a leaf label, see `LabelCounts`.
        Both are NaN without such cells.
    """
    n = logits.shape[1]
    predicted = logits.argmax(dim=1)
    right = is_right(predicted, labels, descendants)
    known = labels >= 0
    counts = LabelCounts(n, logits.device)
    counts.add(predicted, labels)
    return {
        "accuracy": float(right[known].double().mean()),
        "macro_f1": counts.scores().get("macro_f1", float("nan")),
        "n_cells": int(known.sum()),
    }


def is_right(predicted: Tensor, labels: Tensor, descendants: Tensor) -> Tensor:
    """Return whether each predicted leaf is the given label or lies below it, bool, shape (B,).

    Parameters
    ----------
    predicted
        Codes of leaf labels, shape (B,).
    labels
        Given codes, shape (B,). No prediction is right for those that are unknown (-1).
    descendants
        Leaves below each coarser label, bool, shape (n_parents, n).
    """
    n = descendants.shape[1]
    right = predicted == labels
    coarse = labels >= n
    right[coarse] = descendants[labels[coarse] - n, predicted[coarse]]
    return right


def neighbour_agreement(embedding: Any, labels: Any, *, n_neighbours: int = 10) -> float:
    """Return the share of cells whose nearest neighbours (without themselves), by majority, have their label.

    Parameters
    ----------
    embedding
        Embedding of the cells, shape (B, d), a NumPy array or a tensor on the CPU. The distance is Euclidean.
    labels
        Labels of the cells, shape (B,): integer codes, of which those below 0 are unknown and left out, or names.
    n_neighbours
        Number of neighbours, fewer where there are not so many cells. Among labels with as many votes the smaller code
        is taken, of names the one that comes first in the data.

    Returns
    -------
    float
        Between 0 and 1. NaN with fewer than two labelled cells.
    """
    agree = agreeing_cells(embedding, labels, n_neighbours=n_neighbours)
    return float(agree.mean()) if len(agree) else float("nan")


def agreeing_cells(embedding: Any, labels: Any, *, n_neighbours: int = 10, within: Any = None) -> np.ndarray:
    """Return for each labelled cell whether its nearest neighbours, by majority, have its label, bool.

    Parameters
    ----------
    embedding, labels, n_neighbours
        Arrays and number as for `neighbour_agreement`.
    within
        Data set of each cell, shape (B,): only cells of the same one are neighbours; None: all are. The result goes
        data set by data set. A data set with fewer than two labelled cells has none in the result.
    """
    points, codes = np.asarray(embedding), _codes(labels)
    sets = np.zeros(len(codes), dtype=np.int64) if within is None else np.asarray(within)
    found = [np.zeros(0, dtype=bool)]
    for one in np.unique(sets):
        at = (sets == one) & (codes >= 0)
        if at.sum() > 1:
            found.append(_vote(points[at], codes[at], None, min(n_neighbours, int(at.sum()) - 1)) == codes[at])
    return np.concatenate(found)


def depth_share(embedding: Any, total_counts: Any) -> float:
    """Return the share of an embedding's variance that a straight line of the cells' log total counts explains.

    Parameters
    ----------
    embedding
        Embedding of the cells, shape (B, d), a NumPy array or a tensor on the CPU.
    total_counts
        Total count of each cell, shape (B,).

    Returns
    -------
    float
        Between 0 and 1, all dimensions together; NaN where the embedding or the depth does not vary.
    """
    points = np.asarray(embedding, dtype=np.float64)
    depth = np.log1p(np.asarray(total_counts, dtype=np.float64))
    points, depth = points - points.mean(axis=0), depth - depth.mean()
    variance, of_depth = float((points**2).sum()), float(depth @ depth)
    if not variance or not of_depth:
        return float("nan")
    return float(((depth @ points) ** 2).sum() / of_depth / variance)


def neighbour_accuracy(known: Any, codes: Any, asked: Any, truth: Any, *, n_neighbours: int = 10) -> float:
    """Return the share of cells whose nearest known cells, by majority, have their code.

    Parameters
    ----------
    known, codes
        Embeddings (M, d) and integer codes (M,) of the cells whose codes are told. Codes below 0 are left out.
    asked, truth
        Embeddings (B, d) and integer codes (B,) of the cells that are asked for, likewise.
    n_neighbours
        Number of known cells that vote, see `neighbour_agreement`.

    Returns
    -------
    float
        Between 0 and 1. NaN where cells of either kind are missing.
    """
    points, told = _labelled(known, codes)
    queries, expected = _labelled(asked, truth)
    if not len(told) or not len(expected):
        return float("nan")
    return float((neighbour_votes(points, told, queries, n_neighbours=n_neighbours) == expected).mean())


def neighbour_votes(known: Any, codes: Any, asked: Any, *, n_neighbours: int = 10) -> np.ndarray:
    """Return the code that most of the nearest known cells have, for each cell that is asked for, int64.

    Parameters
    ----------
    known, codes, asked, n_neighbours
        See `neighbour_accuracy`. One known cell at least has a code that is not below 0.
    """
    points, told = _labelled(known, codes)
    return _vote(points, told, np.asarray(asked), min(n_neighbours, len(told)))


def _labelled(embedding: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return points and codes of the cells that have a label."""
    points, codes = np.asarray(embedding), _codes(labels)
    return points[codes >= 0], codes[codes >= 0]


def _codes(labels: Any) -> np.ndarray:
    codes = np.asarray(labels)
    return codes if codes.dtype.kind in "iu" else pd.factorize(codes)[0]


def _vote(points: np.ndarray, codes: np.ndarray, queries: np.ndarray | None, k: int) -> np.ndarray:
    """Return the commonest code among the `k` points nearest to each query; None: to each point, without itself."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(queries, return_distance=False)
    votes = np.zeros((len(nearest), int(codes.max()) + 1))
    np.add.at(votes, (np.arange(len(nearest))[:, None], codes[nearest]), 1)
    return votes.argmax(axis=1)


def denoising_scores(truth: np.ndarray, profiles: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the mean Spearman correlation of each profile with the true counts, see `spearman`.

    Parameters
    ----------
    truth
        True counts, shape (B, S).
    profiles
        Name to predicted counts of the same shape. Cells without a correlation are left out.
    """
    true = torch.from_numpy(np.ascontiguousarray(truth))
    found = {name: spearman(true, torch.from_numpy(np.array(values))) for name, values in profiles.items()}
    return {name: float(each[~each.isnan()].mean()) for name, each in found.items()}


def spearman(truth: Tensor, values: Tensor) -> Tensor:
    """Return each cell's Spearman correlation over the genes that it truly expresses; ties get their mean rank.

    Parameters
    ----------
    truth
        True counts, shape (B, S).
    values
        Predicted counts, shape (B, S).

    Returns
    -------
    torch.Tensor
        Float64, shape (B,). NaN where fewer than three genes are expressed or all of them alike: their
        correlation does not exist. 0 where `values` are constant.

    Notes
    -----
    scPRINT paper, Methods, "Denoising benchmarks".
    """
    truth, values = truth.double(), values.double()  # counts may be unsigned, which PyTorch does not compare
    expressed = truth > 0
    n = expressed.sum(dim=1, keepdim=True)
    x, y = (_centred_ranks(part, expressed, n) for part in (truth, values))
    spread = (x.square().sum(dim=1) * y.square().sum(dim=1)).sqrt()
    correlation = torch.where(spread > 0, (x * y).sum(dim=1) / spread.clamp(min=1e-300), 0.0)
    no_truth = (n[:, 0] < 3) | (x.square().sum(dim=1) == 0)
    return correlation.masked_fill(no_truth, torch.nan)


def _centred_ranks(values: Tensor, chosen: Tensor, n: Tensor) -> Tensor:
    """(B, S) mean ranks among the chosen entries of each row, minus their mean; 0 for the others."""
    filled = values.masked_fill(~chosen, torch.inf)
    ordered = filled.sort(dim=1).values
    below = torch.searchsorted(ordered, filled)
    at_most = torch.searchsorted(ordered, filled, right=True)
    ranks = (below + at_most + 1).double() / 2
    return ((ranks - (n + 1) / 2) * chosen).double()
