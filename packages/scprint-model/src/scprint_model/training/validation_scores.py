"""What validation measures beside the loss: right labels, neighbours in the embedding, and the gain by denoising.

Shapes: B cells, S genes, n leaf labels, k neighbours, d width of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


class LabelCounts:
    """How often each leaf label was given, said, and said rightly: accuracy and F1, exact however cells are batched.

    Parameters
    ----------
    n_leaves
        Leaf labels of the class.
    device
        Where the counts are kept.
    """

    def __init__(self, n_leaves: int, device: torch.device | str = "cpu") -> None:
        #: Rows: given, predicted, both. int64, shape (3, n).
        self.counts = torch.zeros(3, n_leaves, dtype=torch.int64, device=device)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch; both (B,). Cells whose label is unknown or not a leaf count nowhere."""
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


def neighbour_agreement(embeddings: Tensor, labels: Tensor, *, n_neighbours: int = 10) -> float:
    """Return the share of cells whose nearest neighbours (without themselves), by majority, have their label.

    Parameters
    ----------
    embeddings
        (B, d); Euclidean distance.
    labels
        (B,) codes; cells with a code below 0 (unknown) are left out.
    n_neighbours
        k; fewer where there are not so many cells. Of labels with as many votes, the smaller code counts.

    Returns
    -------
    Between 0 and 1; NaN with fewer than two labelled cells.
    """
    points, codes = embeddings[labels >= 0].float(), labels[labels >= 0]
    if len(codes) < 2:
        return float("nan")
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(torch.inf)
    nearest = distances.topk(min(n_neighbours, len(codes) - 1), largest=False).indices
    votes = torch.zeros(len(codes), int(codes.max()) + 1, device=codes.device)
    votes.scatter_add_(1, codes[nearest], torch.ones_like(nearest, dtype=votes.dtype))
    return float((votes.argmax(dim=1) == codes).double().mean())


def spearman(truth: Tensor, values: Tensor) -> Tensor:
    """Return each cell's Spearman correlation over the genes that it truly expresses, ties with their mean rank.

    Parameters
    ----------
    truth
        (B, S) true counts.
    values
        (B, S) what is compared with them.

    Returns
    -------
    (B,) float64. NaN where fewer than three genes are expressed or all of them alike: there is no correlation then. 0
    where `values` are constant.

    Notes
    -----
    scPRINT paper, Methods, "Denoising benchmarks".
    """
    expressed = truth > 0
    n = expressed.sum(dim=1, keepdim=True)
    x, y = (_centred_ranks(part.double(), expressed, n) for part in (truth, values))
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
