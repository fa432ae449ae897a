"""Label loss for ontologies: a coarse label asks only that some leaf below it be likely."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def hierarchical_loss(logits: Tensor, labels: Tensor, descendants: Tensor) -> Tensor:
    """Binary cross-entropy over leaf labels in which a parent's leaves count as one, by their log-sum-exp.

    A leaf label is the one positive among n. For a parent label the leaves below it have no loss of their
    own, the other leaves are negatives, and the log-sum-exp of the leaves below is one more positive.
    Unknown labels have no loss.

    Parameters
    ----------
    logits
        (B, n) one logit for each leaf label.
    labels
        (B,) integer codes: ``0 .. n-1`` leaves, ``n ..`` parents (row ``code - n`` of `descendants`), -1
        unknown.
    descendants
        (n_parents, n) bool: which leaves lie below each parent; (0, n) where the labels have no hierarchy.

    Returns
    -------
    Scalar: mean over all B × n entries (n + 1 where the batch has a parent label), those without loss
    included.

    Raises
    ------
    ValueError
        When shapes do not fit or a code is out of range.

    Notes
    -----
    scPRINT paper, Methods, "The classification task", in the form of the published weights' training
    (sigmoid and binary cross-entropy, which the paper's class decoder names too).
    """
    n_leaves = logits.shape[-1]
    if descendants.shape[-1] != n_leaves or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)} and descendants "
            f"{tuple(descendants.shape)} must have the shapes (B, n), (B,) and (n_parents, n)"
        )
    n_codes = n_leaves + len(descendants)
    if bool(((labels < -1) | (labels >= n_codes)).any()):
        raise ValueError(
            f"label codes between {int(labels.min())} and {int(labels.max())}, but the model knows "
            f"{n_leaves} leaves and {len(descendants)} parents: codes -1 (unknown) to {n_codes - 1}"
        )
    logits = logits if logits.dtype == torch.float64 else logits.float()
    labels = labels.long()
    known = labels >= 0
    is_parent = labels >= n_leaves
    targets = torch.arange(n_leaves, device=labels.device) == labels[:, None]
    weights = known[:, None].expand_as(logits)
    if bool(is_parent.any()):
        below = descendants[(labels - n_leaves).clamp(min=0)] & is_parent[:, None]
        weights = weights & ~below
        # A row without a parent label gets a finite stand-in, which has no weight.
        merged = logits.masked_fill(~below & is_parent[:, None], -torch.inf).logsumexp(dim=1, keepdim=True)
        logits = torch.cat((logits, merged), dim=1)
        targets = torch.cat((targets, is_parent[:, None]), dim=1)
        weights = torch.cat((weights, is_parent[:, None]), dim=1)
    return binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), weight=weights.to(logits.dtype))
