"""Label loss for ontologies: a coarse label asks only that some leaf below it be likely."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from scprint_model.losses.counts import in_float32


def hierarchical_loss(logits: Tensor, labels: Tensor, descendants: Tensor) -> Tensor:
    """Binary cross-entropy over leaf labels in which a parent's leaves count as one, by their log-sum-exp.

    A leaf label is the one positive among n. For a parent label the leaves below it have no loss of their
    own, the other leaves are negatives, and the log-sum-exp of the leaves below is one more positive.
    Unknown labels, and parents without any leaf, have no loss.

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
    included; 0 where there is none. float32 (float64 for float64), also under autocast.

    Raises
    ------
    ValueError
        When shapes do not fit or, on the CPU, a code is out of range. Elsewhere (and inside `torch.compile`) that
        would make the host wait for the device in every step, so the loss is NaN instead.

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
    n_parents = len(descendants)
    labels = labels.long()
    beyond = ((labels < -1) | (labels >= n_leaves + n_parents)).any()
    if labels.device.type == "cpu" and not torch.compiler.is_compiling() and bool(beyond):
        raise ValueError(
            f"label codes between {int(labels.min())} and {int(labels.max())}, but the model knows "
            f"{n_leaves} leaves and {n_parents} parents: codes -1 (unknown) to {n_leaves + n_parents - 1}"
        )
    with torch.autocast(device_type=logits.device.type, enabled=False):
        logits = in_float32(logits)
        weights = (labels >= 0)[:, None].expand_as(logits)
        targets = torch.arange(n_leaves, device=labels.device) == labels[:, None]
        n_columns = torch.full((), n_leaves, device=labels.device)
        if n_parents and n_leaves:
            below = descendants[(labels - n_leaves).clamp(0, n_parents - 1)]
            is_parent = labels >= n_leaves
            has_leaves = (is_parent & below.any(dim=1))[:, None]
            below = below & has_leaves
            weights = weights & ~below & (has_leaves | ~is_parent[:, None])
            # A row without a parent label gets a finite stand-in, which has no weight.
            merged = logits.masked_fill(~below & has_leaves, -torch.inf).logsumexp(dim=1, keepdim=True)
            logits = torch.cat((logits, merged), dim=1)
            targets = torch.cat((targets, has_leaves), dim=1)
            weights = torch.cat((weights, has_leaves), dim=1)
            n_columns = n_columns + is_parent.any()
        losses = binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), weight=weights.to(logits.dtype), reduction="sum"
        )
        mean = losses / (len(labels) * n_columns).clamp(min=1)
        return torch.where(beyond, torch.nan, mean)
