"""Counts at a chosen depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from scdataloader.counts import obs_table
from scdataloader.expression import with_counts
from scprint_model._provenance import in_uns, step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.genes import SharedGenes, match_genes
from scprint_model.model import ScPrint
from scprint_model.named_genes import NOT_IN_DATA, genes_of_data
from scprint_model.parts import batches, parts
from scprint_model.tables import tables, tell_context
from scprint_model.tasks.encode import NOT_RECORDED, walk
from scprint_model.tasks.neighbours import nearest_cells, neighbour_counts, posterior_counts, with_neighbours
from scprint_model.tasks.predicted import Block, CountDistribution, Values, collect

#: Layer of the estimate that keeps a cell's own counts.
POSTERIOR = "posterior"
#: How many times deeper where nothing else is asked for.
DEEPER = 2.0


def denoise(
    model: ScPrint,
    adata: AnnData,
    *,
    genes: Sequence[str] | None = None,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    depth_multiplier: float | None = None,
    target_depth: float | None = None,
    sample: bool = False,
    uncertainty: bool = False,
    neighbours: int = 0,
    batch_size: int = 16,
    seed: int = 0,
    out: Path | str | None = None,
) -> AnnData:
    """Predict the counts that a deeper sequencing of the same cells would give.

    Parameters
    ----------
    model
        See `ScPrint.from_pretrained`.
    adata
        Cells with raw counts, in memory or left in their file, as for `scprint_model.tasks.encode`; not changed.
    genes
        Names of the genes to look at and to predict, as `scprint_model.named_genes.genes_of_data` takes them: ids,
        symbols or aliases; None: all that the model knows, which is slow beyond a few thousand.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    depth_multiplier
        Factor by which the sequencing is deeper: 2, the default, asks for twice the counts.
    target_depth
        Total count that every cell is brought to, in place of `depth_multiplier`, genes outside `genes` included.
    sample
        Whether to draw counts from the predicted distribution; else they are the expected ones.
    uncertainty
        Whether to add a layer ``"standard_deviation"``: that of each count around the expected one, by the predicted
        distribution.
    neighbours
        Number of nearest cells whose counts join in, such as 15; 0: the model alone. The result is then the geometric
        mean of the model's profile and that of the cell and these, with the sums of the model's, and the layer
        ``"posterior"`` is an estimate that keeps the cell's own counts, for uses that look at all genes and not only at
        expressed ones. The nearest cells are those in 50 principal components of these data.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for the draws of `sample`, which else depend on the cell's own counts.
    out
        h5ad file to write the result to while it is computed: memory does not grow with the cells.

    Returns
    -------
    anndata.AnnData
        The same cells with these genes, in the order of the data: ``X`` the expected counts, mean × (1 - probability of
        an extra zero), or the drawn ones, float32; ``layers["counts"]`` the input. With `out`, as
        `scprint_model.tasks.files.open_cells` opens it.

    Raises
    ------
    ValueError
        When a gene is not in the data or not known to the model, a depth is not positive, or the model predicts no
        distribution to draw from.

    Notes
    -----
    scPRINT paper, Methods, "The denoising task" and "Denoising". Cells without any count stay without.
    """
    adata = with_counts(adata, layer=layer, counts=counts, round=round)
    made = step(denoise, locals(), model=identity(model), inputs=[adata], skip=NOT_RECORDED)
    if depth_multiplier is not None and target_depth is not None:
        raise ValueError(
            f"depth_multiplier={depth_multiplier} and target_depth={target_depth} both set the depth: give one of them"
        )
    for name, value in (("depth_multiplier", depth_multiplier), ("target_depth", target_depth)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}={value} must be positive")
    if neighbours < 0 or (neighbours and (sample or uncertainty)):
        raise ValueError(
            f"neighbours={neighbours} must not be negative, and goes without sample and uncertainty, which are of the "
            "model's own distribution"
        )
    if (sample or uncertainty) and model.config.likelihood == "mse":
        raise ValueError(
            f"sample={sample} and uncertainty={uncertainty} need a distribution, but the model's likelihood is 'mse'"
        )
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    at = np.arange(len(known))
    if genes is not None:
        at = np.unique(genes_of_data(vocabulary, adata, known, genes).all_found(NOT_IN_DATA))
    tell_context(model, len(at))
    columns = np.asarray(known.columns[at])
    column = np.full(len(vocabulary), -1)
    column[known.index[columns]] = np.arange(len(at))
    device = next(model.parameters()).device
    nearest = nearest_cells(adata, known, neighbours) if neighbours else None

    def blocks() -> Iterator[Block]:
        counts, done = _counts(adata, known, at, batch_size), 0
        shown = walk(model, adata, known, at, context=len(at), batch_size=batch_size, description="denoising")
        for (batch,), keys in shown:
            places = torch.from_numpy(column[batch["genes"].numpy()])
            order = places.argsort(dim=1)  # from the cell's order, by falling counts, to that of the data
            given, seen, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
            multiplier: float | torch.Tensor = depth_multiplier or DEEPER
            if target_depth is not None:
                multiplier = target_depth / total.clamp(min=1)
            back = order.to(device)
            with torch.inference_mode():
                output = model(
                    given.gather(1, back), seen.gather(1, back), total, depth_multiplier=multiplier, classes=()
                )
            found = CountDistribution.of(output)
            block = found.block(keys, known.index[columns], sample=sample, uncertainty=uncertainty, seed=seed)
            block["counts"] = next(counts)
            if nearest is not None:
                of_others = neighbour_counts(adata, known, at, nearest[done : done + len(keys)])
                block |= _joined(found.expected, block["counts"], of_others)
            done += len(keys)
            yield block

    obs, var = obs_table(adata), cast("pd.DataFrame", adata.var).iloc[columns]
    depth = {"depth_multiplier": depth_multiplier or DEEPER} if target_depth is None else {"target_depth": target_depth}
    told = {"denoised": {**depth, "sampled": sample, "neighbours": neighbours, "seed": seed}}
    record = in_uns([*steps_of(adata.uns), made])
    return collect(blocks(), obs, var, uns=told | record, out=out)


def _joined(expected: np.ndarray, own: Values, of_others: np.ndarray) -> dict[str, Values]:
    """Return X and the layer of the posterior from the model's expected counts, the cell's and its neighbours'."""
    observed = np.asarray(own.toarray() if sparse.issparse(own) else own, dtype=np.float64)
    # the posterior adds the cell's counts itself
    kept = posterior_counts(observed, with_neighbours(expected, of_others))
    return {"X": with_neighbours(expected, of_others + observed).astype(np.float32), POSTERIOR: kept.astype(np.float32)}


def _counts(adata: AnnData, known: SharedGenes, at: np.ndarray, batch_size: int) -> Iterator[sparse.csr_matrix]:
    """Yield the input of the same batches of cells, which begin anew in each part."""
    for _, part in parts(adata):
        counts = known.counts(part, at)
        for rows in batches(part.n_obs, batch_size):
            yield counts[rows.start : rows.stop]
