"""Measure how far the embeddings of different batches lie apart: the objective that brings them together.

Shapes: B cells, d model width, G groups of cells with one batch and one label, P pairs of batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Kernel widths, as multiples of the median squared distance.
WIDTHS = (0.25, 1.0, 4.0)
#: Cells that a batch must have of a label to be compared over it: of fewer the distance is mostly noise.
FEWEST = 3


def batch_distance(embeddings: Tensor, batches: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the squared maximum mean discrepancy between batches, the mean of all pairs that can be compared.

    With `labels`, two batches are compared over the labels of which both have some cells, in the same proportions:
    that one batch has other cell types than another is not taken for a batch effect.

    Parameters
    ----------
    embeddings
        (B, d)
    batches
        (B,) batch of each cell; below 0: unknown, the cell is left out.
    labels
        (B,) codes, of which -1 is one of its own; None: all cells are alike.

    Returns
    -------
    Scalar, float32, 0 on average for batches that are alike; 0 where no two batches can be compared.

    Notes
    -----
    Gretton et al. 2012, "A kernel two-sample test", the unbiased statistic, with a mean of Gaussian kernels. Widths
    follow the cells' median distance, so that shrinking the embedding gains nothing. As an objective:
    Shaham et al. 2017, "Removal of batch effects using distribution-matching residual networks".
    """
    with torch.autocast(device_type=embeddings.device.type, enabled=False):
        known = batches >= 0
        x, batches = embeddings[known].float(), batches[known]
        labels = torch.zeros_like(batches) if labels is None else labels[known]
        pair = torch.stack((batches, labels), dim=1)
        groups, member = pair.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        size = torch.bincount(member, minlength=len(groups)).float()
        pairs = _pairs(groups, size)
        if not len(pairs):
            return embeddings.sum() * 0.0
        squared = (x[:, None] - x[None]).square().sum(dim=-1)
        apart = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        median = squared.detach()[apart].median().clamp(min=1e-12)
        kernel = torch.stack([torch.exp(-squared / (width * median)) for width in WIDTHS]).mean(dim=0)
        averages = torch.nn.functional.one_hot(member, len(groups)).float() / size
        between = averages.T @ kernel @ averages
        # without a cell's likeness to itself, which would reward groups of few cells for shrinking to a point
        own = torch.eye(len(size), device=size.device)
        among = (size * between.diagonal() - 1) / (size - 1).clamp(min=1)
        between = between * (1 - own) + own * among
        return ((pairs @ between) * pairs).sum(dim=1).mean()


def _pairs(groups: Tensor, size: Tensor) -> Tensor:
    """(P, G): for each pair of batches the weight of each group, positive for one batch and negative for the other."""
    rows = []
    present = sorted(set(groups[:, 0].tolist()))
    at = {(int(b), int(y)): i for i, (b, y) in enumerate(groups.tolist())}
    of = {b: {y for other, y in at if other == b} for b in present}
    for i, one in enumerate(present):
        for two in present[i + 1 :]:
            shared = [y for y in sorted(of[one] & of[two]) if min(size[at[one, y]], size[at[two, y]]) >= FEWEST]
            if shared:
                row = torch.zeros(len(groups), device=size.device)
                first = torch.tensor([at[one, y] for y in shared], device=size.device)
                second = torch.tensor([at[two, y] for y in shared], device=size.device)
                weight = torch.minimum(size[first], size[second])
                row[first], row[second] = weight / weight.sum(), -weight / weight.sum()
                rows.append(row)
    return torch.stack(rows) if rows else size.new_zeros(0, len(groups))
