"""Gene embeddings from a table, such as those of the genes' proteins, in the place of learned ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def start_from_table(embedding: nn.Embedding, rows: Tensor, found: Tensor, *, freeze: bool) -> None:
    """Put a table into the gene encoder.

    A gene without a row of its own starts where `scprint_model.gene_embeddings.load_table` puts it, near the mean of
    the others, and is always trained: that place says nothing of it.

    Parameters
    ----------
    embedding
        One row a gene; changed.
    rows
        (G, d) from the table.
    found
        (G,) bool: whether the row is the gene's own.
    freeze
        Keep the genes' own rows as they are.

    Raises
    ------
    ValueError
        When shapes do not fit.
    """
    weight = embedding.weight
    if rows.shape != weight.shape or found.shape != weight.shape[:1]:
        raise ValueError(
            f"the gene table gives rows {tuple(rows.shape)} for {tuple(found.shape)} genes, the model needs "
            f"{tuple(weight.shape)}"
        )
    with torch.no_grad():
        weight.copy_(rows)
    if not freeze:
        return
    if bool(found.all()):
        weight.requires_grad_(False)
        return
    # AdamW leaves a row alone whose gradient is always zero and which does not decay
    weight.partly_trained = True  # type: ignore[attr-defined]
    trained = ~found[:, None]
    weight.register_hook(lambda gradient: gradient * trained.to(gradient.device))  # type: ignore[no-untyped-call]
