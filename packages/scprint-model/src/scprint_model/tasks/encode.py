"""One pass of the network over all cells, from which embeddings and labels are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from scdataloader import CellBatch, CellDataset, GeneVocabulary, LabelSpace
from scprint_model.genes import SharedGenes, match_genes
from scprint_model.model import ScPrint
from scprint_model.parts import parts

#: Genes per cell where neither the caller nor the model says: the paper's context.
DEFAULT_CONTEXT = 2200
#: How a cell's context is chosen, in scdataloader's words.
CHOICE = "most_expressed"


@dataclass(frozen=True)
class EncodedCells:
    """What the network says of each cell.

    Attributes
    ----------
    embeddings
        float32, shape (n_cells, T, d): one embedding for each of `token_names`.
    token_names
        ``"base"``, ``"depth"``, then the class names.
    class_logits
        Class name to float32, shape (n_cells, n_leaves).
    """

    embeddings: np.ndarray
    token_names: tuple[str, ...]
    class_logits: dict[str, np.ndarray]


def tables(model: ScPrint) -> tuple[GeneVocabulary, LabelSpace]:
    """Return the model's vocabulary and label space, or raise ValueError where it has none."""
    if model.vocabulary is None or model.label_space is None:
        raise ValueError("the model has no vocabulary or label space: load it with ScPrint.from_pretrained")
    return model.vocabulary, model.label_space


def walk(
    model: ScPrint,
    adata: AnnData,
    known: SharedGenes,
    at: np.ndarray | None = None,
    *,
    context: int,
    batch_size: int,
    seed: int = 0,
    description: str,
) -> Iterator[CellBatch]:
    """Yield all cells in order, in batches of their most expressed genes, behind a progress bar.

    Cells are read a part at a time; neither that nor the batches change what a cell shows.

    Parameters
    ----------
    model
        Whose vocabulary the genes are of.
    adata, known
        The data, and `scprint_model.genes.match_genes` of them.
    at
        Positions in ``known.columns``: the genes to draw on; None: all.
    context
        Genes a cell, at most the number of these.
    batch_size, seed, description
        Cells at a time, seed of ties, and what the progress bar says.
    """
    vocabulary, labels = tables(model)
    with tqdm(total=adata.n_obs, desc=description, unit="cell", disable=None) as bar:
        for start, part in parts(adata):
            source = known.source(vocabulary, part, at)
            cells = CellDataset([("input", source)], vocabulary, labels, context=context, choice=CHOICE, seed=seed)
            for first in range(0, len(cells), batch_size):
                rows = cells.rows(range(first, min(first + batch_size, len(cells))))
                # ties are broken by a cell's place in the whole data
                batch = cells.collator([replace(row, index=row.index + start) for row in rows])
                yield cast("CellBatch", batch)
                bar.update(len(rows))


@torch.inference_mode()
def encode(
    model: ScPrint, adata: AnnData, *, context: int | None = None, batch_size: int = 32, seed: int = 0
) -> EncodedCells:
    """Run the network over all cells.

    Parameters
    ----------
    model
        With vocabulary and labels; see `ScPrint.from_pretrained`.
    adata
        Raw counts over Ensembl ids (with versions or without) or symbols, as `scdataloader.Preprocessor` gives them or
        any file holds them; see `scprint_model.genes.match_genes`. Not changed.
    context
        Genes per cell: its most expressed ones, filled up with unexpressed ones. More is slower, with the square. None:
        as many as the model saw in training.
    batch_size
        Cells at a time. It changes nothing but speed and memory.
    seed
        Decides which of the genes with equal counts are taken, and which unexpressed ones.

    Raises
    ------
    ValueError
        When the data share too few genes with the model.
    """
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    size = min(context or model.context or DEFAULT_CONTEXT, len(known))
    device = next(model.parameters()).device
    embeddings: list[np.ndarray] = []
    logits: dict[str, list[np.ndarray]] = {name: [] for name in model.config.class_sizes}
    batches = walk(model, adata, known, context=size, batch_size=batch_size, seed=seed, description="embedding cells")
    for batch in batches:
        genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
        encoding = model.encode(genes, counts, total)
        embeddings.append(encoding.cell_embeddings.float().cpu().numpy())
        for name, values in encoding.class_logits.items():
            logits[name].append(values.float().cpu().numpy())
    return EncodedCells(
        np.concatenate(embeddings),
        model.token_names,
        {name: np.concatenate(parts) for name, parts in logits.items()},
    )
