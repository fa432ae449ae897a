"""What a fine-tuned model is worth on cells that it did not learn from.

Shapes: B cells, n leaf labels, d width of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


def label_scores(logits: Tensor, labels: Tensor, descendants: Tensor) -> dict[str, float]:
    """Return ``accuracy``, ``macro_f1`` and ``n_cells``.

    Parameters
    ----------
    logits
        (B, n)
    labels
        (B,) codes; -1 is left out. A coarser label is right where the predicted leaf lies below it.
    descendants
        (n_parents, n) bool.

    Returns
    -------
    The macro F1 is over cells with a leaf label, the mean over the leaves that occur among these or their predictions.
    NaN where there are no such cells.
    """
    n = logits.shape[1]
    predicted = logits.argmax(dim=1)
    right = predicted == labels
    coarse = labels >= n
    right[coarse] = descendants[labels[coarse] - n, predicted[coarse]]
    known, leaf = labels >= 0, (labels >= 0) & ~coarse
    given, said = labels[leaf], predicted[leaf]
    counts = [torch.bincount(codes, minlength=n).double() for codes in (given, said, given[given == said])]
    total = counts[0] + counts[1]
    f1 = 2 * counts[2][total > 0] / total[total > 0]
    return {
        "accuracy": float(right[known].double().mean()),
        "macro_f1": float(f1.mean()),
        "n_cells": int(known.sum()),
    }


def neighbour_accuracy(known: Tensor, codes: Tensor, asked: Tensor, truth: Tensor, *, k: int = 10) -> float:
    """Return the share of cells whose `k` nearest known cells mostly have their code; NaN where there are none.

    Parameters
    ----------
    known, codes
        (B, d) and (B,) of the cells whose codes are told; codes below 0 are left out.
    asked, truth
        Of the others.
    """
    known, codes = known[codes >= 0], codes[codes >= 0]
    asked, truth = asked[truth >= 0], truth[truth >= 0]
    if not len(known) or not len(asked):
        return float("nan")
    nearest = torch.cdist(asked.float(), known.float()).topk(min(k, len(known)), largest=False).indices
    votes = torch.nn.functional.one_hot(codes[nearest], int(codes.max()) + 1).sum(dim=1)
    return float((votes.argmax(dim=1) == truth).double().mean())
