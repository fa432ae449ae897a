"""Expected counts at a chosen depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scdataloader.counts import csr_counts
from scprint_model.genes import SharedGenes, match_genes
from scprint_model.model import ScPrint
from scprint_model.tasks.encode import tables, walk


@torch.inference_mode()
def denoise(
    model: ScPrint,
    adata: AnnData,
    *,
    genes: Sequence[str] | None = None,
    depth_multiplier: float = 2.0,
    batch_size: int = 16,
) -> AnnData:
    """Predict the counts that a deeper sequencing of the same cells would give.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        As for `scprint_model.tasks.encode`; not changed.
    genes
        Names of the genes to look at and to predict; None: all that the model knows, which is slow beyond a few
        thousand.
    depth_multiplier
        How many times deeper: 2 asks for twice the counts.
    batch_size
        Cells at a time. It changes nothing but speed and memory.

    Returns
    -------
    anndata.AnnData
        The same cells with these genes, in the order of the data: ``X`` the expected counts, mean × (1 - share of extra
        zeros), float32; ``layers["counts"]`` the input.

    Raises
    ------
    ValueError
        When a gene is not in the data or not known to the model.
    """
    if depth_multiplier <= 0:
        raise ValueError(f"depth_multiplier={depth_multiplier} must be positive")
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    at = _positions(known, adata, genes)
    chosen = known.select(adata, at)
    device = next(model.parameters()).device
    column = np.full(len(vocabulary), -1)
    column[known.index[known.columns[at]]] = np.arange(chosen.n_vars)
    expected = np.empty(chosen.shape, dtype=np.float32)
    done = 0
    batches = walk(model, adata, known, at, context=chosen.n_vars, batch_size=batch_size, description="denoising cells")
    for batch in batches:
        inputs = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
        output = model(*inputs, depth_multiplier=depth_multiplier)
        mean = output.mean if output.zero_logits is None else output.mean * torch.sigmoid(-output.zero_logits)
        values = mean.float().cpu().numpy()
        rows = np.arange(done, done + len(values))
        expected[rows[:, None], column[batch["genes"].numpy()]] = values
        done += len(values)
    chosen.layers["counts"] = csr_counts(chosen)
    chosen.X = expected
    return chosen


def _positions(known: SharedGenes, adata: AnnData, genes: Sequence[str] | None) -> np.ndarray:
    """Return where in the known columns the named genes are, in the order of the data."""
    if genes is None:
        return np.arange(len(known))
    at = adata.var_names[known.columns].get_indexer(pd.Index(genes))
    bad = [gene for gene, i in zip(genes, at, strict=True) if i < 0]
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(genes)} genes are not in the data or not known to the model, such as {bad[:3]}"
        )
    return np.unique(at)
