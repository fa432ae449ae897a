"""Counts of genes that the data did not measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from scdataloader.counts import obs_table
from scdataloader.expression import with_counts
from scprint_model._provenance import in_uns, step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.genes import match_genes
from scprint_model.model import ScPrint
from scprint_model.outputs import ScPrintOutput
from scprint_model.tables import DEFAULT_CONTEXT, tables, tell_context
from scprint_model.tasks.encode import NOT_RECORDED, in_context, walk
from scprint_model.tasks.generate import find_genes, gene_rows
from scprint_model.tasks.predicted import Block, CountDistribution, collect

Method = Literal["masked", "embeddings"]


def impute(
    model: ScPrint,
    adata: AnnData,
    *,
    genes: Sequence[str],
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    method: Method = "masked",
    context: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    out: Path | str | None = None,
) -> AnnData:
    """Predict the counts of genes that the data did not measure, such as those missing from a targeted panel.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        Cells with raw counts, as for `scprint_model.tasks.encode`; not changed.
    genes
        Ids, symbols or aliases of genes that the model knows and the data do not have, as
        `scprint_model.named_genes.genes_of_model` takes them, of the data's organism.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    method
        Way to ask for them. ``"masked"``: the model sees them beside a cell's measured genes, their counts hidden;
        ``"embeddings"``: it is asked for them when it knows the cell's embeddings alone.
    context
        Number of most expressed measured genes that the model sees of a cell. None: as many as in training.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for the choice between measured genes with equal counts.
    out
        File to write to (h5ad) while it is computed; see `scprint_model.tasks.denoise`.

    Returns
    -------
    anndata.AnnData
        ``X`` the expected counts, float32, genes in the order asked for, under their ids; on the scale of the data: the
        model's expected counts of the measured genes that it saw add up to what was counted of these.

    Raises
    ------
    ValueError
        When the model does not know a gene, or the data did measure it.

    Notes
    -----
    Genes are asked for as many at a time as the model saw measured ones, each time beside the same of these.
    """
    adata = with_counts(adata, layer=layer, counts=counts, round=round)
    made = step(impute, locals(), model=identity(model), inputs=[adata], skip=NOT_RECORDED)
    record = in_uns([*steps_of(adata.uns), in_context(made, model)])
    if method not in get_args(Method):
        raise ValueError(f"method={method!r} is not one of {get_args(Method)}")
    if context is not None and context < 1:
        raise ValueError(f"context={context} must be positive")
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    organisms = {vocabulary.organisms[i] for i in known.index[known.columns]}
    wanted = find_genes(vocabulary, genes, organisms=organisms)
    measured = np.isin(wanted, known.index[known.columns])
    if measured.any():
        names = [str(name) for name, there in zip(genes, measured, strict=True) if there]
        raise ValueError(
            f"{len(names)} of {len(wanted)} genes were measured, such as {names[:3]}: leave them out, or let denoise "
            "predict them"
        )
    size = min(context or model.context or DEFAULT_CONTEXT, len(known))
    tell_context(model, size)
    device = next(model.parameters()).device
    pieces = [torch.from_numpy(wanted[i : i + size]).to(device) for i in range(0, len(wanted), size)]

    def blocks() -> Iterator[Block]:
        for (batch,), _ in walk(
            model, adata, known, context=size, batch_size=batch_size, seed=seed, description="imputing genes"
        ):
            seen, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
            with torch.inference_mode():
                ask = _masked if method == "masked" else _from_embeddings
                outputs = ask(model, seen, counts, total, pieces)
                parts = [_on_the_scale(output, counts) for output in outputs]
            yield {"X": np.concatenate(parts, axis=1)}

    told = {"imputed": {"method": method, "seed": seed, "context": size}}
    return collect(blocks(), obs_table(adata), gene_rows(vocabulary, wanted), uns=told | record, out=out)


def _masked(
    model: ScPrint, seen: Tensor, counts: Tensor, total: Tensor, pieces: list[Tensor]
) -> Iterator[ScPrintOutput]:
    for piece in pieces:
        asked = piece.expand(len(seen), -1)
        zeros = torch.zeros_like(asked, dtype=counts.dtype)
        mask = torch.cat((torch.zeros_like(counts, dtype=torch.bool), torch.ones_like(asked, dtype=torch.bool)), dim=1)
        yield model(torch.cat((seen, asked), dim=1), torch.cat((counts, zeros), dim=1), total, mask=mask, classes=())


def _from_embeddings(
    model: ScPrint, seen: Tensor, counts: Tensor, total: Tensor, pieces: list[Tensor]
) -> Iterator[ScPrintOutput]:
    cells = model.encode(seen, counts, total, classes=()).cell_embeddings
    for piece in pieces:
        yield model.generate(torch.cat((seen, piece.expand(len(seen), -1)), dim=1), cells, total, classes=())


def _on_the_scale(output: ScPrintOutput, counts: Tensor) -> np.ndarray:
    """Return expected counts of the genes behind the measured ones, whose means are made to add up to their counts."""
    n_seen = counts.shape[1]
    found = CountDistribution.of(output)
    of_seen = np.maximum(found.mean[:, :n_seen].sum(axis=1), np.finfo(np.float32).tiny)
    scale = counts.double().cpu().numpy().sum(axis=1) / of_seen
    return found.expected[:, n_seen:] * scale[:, None].astype(np.float32)
