"""Label loss for ontologies: a coarse label asks only that some leaf below it be likely."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from scprint_model.losses.counts import in_float32


def hierarchical_loss(
    logits: Tensor,
    labels: Tensor,
    descendants: Tensor,
    *,
    own: Tensor | None = None,
    per_labelled_cell: bool = False,
) -> Tensor:
    """Compute binary cross-entropy over leaf labels in which a parent's leaves count as one, by their log-sum-exp.

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
    own
        (n_parents,) place among the outputs of a parent that is one itself, else -1: this output is then one more
        positive. None: no parent is.
    per_labelled_cell
        Whether to sum over the columns and take the mean over the cells that have a label. By default a class of many
        leaves has small gradients, and cells without a label make them smaller still.

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
    n_leaves, n_parents = logits.shape[-1], len(descendants)
    labels, beyond = _checked(logits, labels, descendants)
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
            spared = below
            if own is not None:
                place = own[(labels - n_leaves).clamp(0, n_parents - 1)].masked_fill(~is_parent, -1)
                itself = torch.arange(n_leaves, device=labels.device) == place[:, None]
                targets, spared = targets | itself, below & ~itself
            weights = weights & ~spared & (has_leaves | ~is_parent[:, None])
            # A row without a parent label gets a finite stand-in, which has no weight.
            merged = logits.masked_fill(~below & has_leaves, -torch.inf).logsumexp(dim=1, keepdim=True)
            logits = torch.cat((logits, merged), dim=1)
            targets = torch.cat((targets, has_leaves), dim=1)
            weights = torch.cat((weights, has_leaves), dim=1)
            n_columns = n_columns + is_parent.any()
        losses = binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), weight=weights.to(logits.dtype), reduction="sum"
        )
        count = (labels >= 0).sum() if per_labelled_cell else len(labels) * n_columns
        mean = losses / count.clamp(min=1)
        return torch.where(beyond, torch.nan, mean)


def hierarchical_cross_entropy(logits: Tensor, labels: Tensor, descendants: Tensor) -> Tensor:
    """Return the cross-entropy over all outputs in which a parent label asks for probability on any output below it.

    -log of the softmax's sum over the outputs below the label: for a leaf label plain cross-entropy, for a parent the
    leaves below are replaced by their log-sum-exp.

    Parameters
    ----------
    logits, labels, descendants
        See `hierarchical_loss`.

    Returns
    -------
    Scalar: mean over the cells with a label that has an output below it; 0 where there is none. float32 (float64 for
    float64), also under autocast.

    Raises
    ------
    ValueError
        See `hierarchical_loss`.

    Notes
    -----
    scPRINT paper, Methods, "The classification task": cross-entropy with the log-sum-exp of the leaves below, no loss
    for unknown labels. The published code has `hierarchical_loss` in its place.
    """
    n_leaves, n_parents = logits.shape[-1], len(descendants)
    labels, beyond = _checked(logits, labels, descendants)
    with torch.autocast(device_type=logits.device.type, enabled=False):
        logits = in_float32(logits)
        right = torch.arange(n_leaves, device=labels.device) == labels[:, None]
        if n_parents:
            below = descendants[(labels - n_leaves).clamp(0, n_parents - 1)]
            right = right | (below & (labels >= n_leaves)[:, None])
        known = right.any(dim=1)
        if n_leaves == 0:
            return logits.sum()
        # a row without a label gets a finite stand-in, which has no weight
        picked = logits.masked_fill(~right & known[:, None], -torch.inf).logsumexp(dim=1)
        losses = torch.where(known, logits.logsumexp(dim=1) - picked, 0)
        return torch.where(beyond, torch.nan, losses.sum() / known.sum().clamp(min=1))


def _checked(logits: Tensor, labels: Tensor, descendants: Tensor) -> tuple[Tensor, Tensor]:
    """Return the labels as int64, and whether one is out of range; raise what `hierarchical_loss` says."""
    n_leaves, n_parents = logits.shape[-1], len(descendants)
    if descendants.shape[-1] != n_leaves or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)} and descendants "
            f"{tuple(descendants.shape)} must have the shapes (B, n), (B,) and (n_parents, n)"
        )
    labels = labels.long()
    beyond = ((labels < -1) | (labels >= n_leaves + n_parents)).any()
    if labels.device.type == "cpu" and not torch.compiler.is_compiling() and bool(beyond):
        raise ValueError(
            f"label codes between {int(labels.min())} and {int(labels.max())}, but the model knows "
            f"{n_leaves} leaves and {n_parents} parents: codes -1 (unknown) to {n_leaves + n_parents - 1}"
        )
    return labels, beyond
