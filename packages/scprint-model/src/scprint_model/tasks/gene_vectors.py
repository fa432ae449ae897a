"""The model's embeddings of genes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from scprint_model.model import ScPrint
from scprint_model.tables import tables
from scprint_model.tasks.generate import find_genes, gene_rows


def gene_embeddings(model: ScPrint, genes: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the vectors by which the model knows its genes, before it has seen any cell.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    genes
        Ids, symbols or aliases, as `scprint_model.named_genes.genes_of_model` takes them; None: all of its vocabulary.

    Returns
    -------
    pandas.DataFrame
        Index ``gene_id``; columns ``symbol``, ``organism`` and ``0`` to ``d - 1`` (float32), the form in which
        `scprint_model.gene_embeddings.load_table` takes them for another training. Genes that share a row, such as
        those of one symbol in two organisms, have the same vector.

    Raises
    ------
    ValueError
        When the model knows no such gene, or one is named twice.
    """
    vocabulary, _ = tables(model)
    index = np.arange(len(vocabulary)) if genes is None else find_genes(vocabulary, genes)
    device = next(model.parameters()).device
    with torch.inference_mode():
        vectors = model.gene_encoder(torch.from_numpy(index)[None].to(device))[0].float().cpu().numpy()
    about = gene_rows(vocabulary, index).assign(organism=[vocabulary.organisms[i] for i in index])
    table = pd.DataFrame(vectors, index=about.index, columns=[str(i) for i in range(vectors.shape[1])])
    return about.join(table).rename_axis("gene_id")
