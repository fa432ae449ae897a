"""Counts from cell embeddings alone, also mixed from the embeddings of different cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from scdataloader import GeneVocabulary
from scdataloader.labels import SUFFIX
from scprint_model._provenance import in_uns, step
from scprint_model.checkpoints.identity import identity
from scprint_model.model import ScPrint
from scprint_model.named_genes import NOT_IN_MODEL, genes_of_model
from scprint_model.parts import batches
from scprint_model.tables import tables
from scprint_model.tasks.encode import NOT_RECORDED, EncodedCells
from scprint_model.tasks.predicted import Block, CountDistribution, collect


def generate(
    model: ScPrint,
    cells: EncodedCells,
    *,
    genes: Sequence[str],
    total_counts: float | np.ndarray,
    names: Sequence[str] | None = None,
    sample: bool = False,
    uncertainty: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    out: Path | str | None = None,
) -> AnnData:
    """Predict the counts of cells from their embeddings.

    Parameters
    ----------
    model
        Model that embedded the cells.
    cells
        Embedded cells, from `scprint_model.tasks.encode` or `mix`.
    genes
        Ids, symbols or aliases of genes that the model knows, as `scprint_model.named_genes.genes_of_model` takes them;
        any, not only those that the cells were embedded with.
    total_counts
        Sum of the expected counts of a cell over these genes, extra zeros aside: one number, or one a cell. A
        model with depth at the decoder is told it as the cell's depth.
    names
        Names of the cells, for ``obs_names``.
    sample
        Whether to draw counts from the predicted distribution; else they are the expected ones.
    uncertainty
        Whether to add a layer ``"standard_deviation"``.
    out
        File to write to (h5ad) while it is computed; see `scprint_model.tasks.denoise`.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for the draws of `sample`. Cells of equal counts get equal draws: several draws of one cell take several
        seeds.

    Returns
    -------
    anndata.AnnData
        ``X`` the expected or drawn counts, float32, shape (n_cells, n_genes), genes in the order asked for, under their
        ids; ``var["symbol"]``.

    Raises
    ------
    ValueError
        When the model knows no such gene, a gene is named twice, or numbers of cells do not fit.

    Notes
    -----
    scPRINT paper, Methods, "The bottleneck learning task".
    """
    in_obs = {"names", "total_counts"} if np.ndim(total_counts) else {"names"}
    made = step(generate, locals(), model=identity(model), skip={*NOT_RECORDED, "in_obs"} | in_obs)
    vocabulary, _ = tables(model)
    index = find_genes(vocabulary, genes)
    n_cells = len(cells.embeddings)
    totals = np.asarray(total_counts, dtype=np.float32)
    if totals.ndim == 0:
        totals = np.full(n_cells, totals)
    if totals.shape != (n_cells,) or not (totals > 0).all():
        raise ValueError(
            f"total_counts must be positive, one number or one for each of the {n_cells} cells; it has the shape "
            f"{totals.shape} and begins with {totals[:3].tolist()}"
        )
    if names is not None and len(names) != n_cells:
        raise ValueError(f"names has {len(names)} names for {n_cells} cells")
    device = next(model.parameters()).device
    asked = torch.from_numpy(index).to(device)
    keys = np.arange(n_cells, dtype=np.uint64) if cells.keys is None else cells.keys

    def blocks() -> Iterator[Block]:
        with tqdm(total=n_cells, desc="generating cells", unit="cell", disable=None) as bar:
            for rows in batches(n_cells, batch_size):
                embeddings = torch.from_numpy(np.ascontiguousarray(cells.embeddings[rows.start : rows.stop])).to(device)
                depth = torch.from_numpy(totals[rows.start : rows.stop].copy()).to(device)
                with torch.inference_mode():
                    output = model.generate(asked.expand(len(rows), -1), embeddings, depth, classes=())
                found, mine = CountDistribution.of(output), keys[rows.start : rows.stop]
                yield found.block(mine, index, sample=sample, uncertainty=uncertainty, seed=seed)
                bar.update(len(rows))

    obs_names = [f"cell {i}" for i in range(n_cells)] if names is None else list(names)
    obs = pd.DataFrame({"total_counts": totals}, index=pd.Index(obs_names))
    told = {"generated": {"sampled": sample, "seed": seed}}
    return collect(blocks(), obs, gene_rows(vocabulary, index), uns=told | in_uns([*cells.steps, made]), out=out)


def mix(cells: EncodedCells, facets: Mapping[str, EncodedCells | np.ndarray]) -> EncodedCells:
    """Replace some tokens of cells by those of others: the same cells, in the disease, tissue, … of these.

    Parameters
    ----------
    cells
        Embedded cells whose other tokens stay.
    facets
        Name of a token, such as ``"disease"``, to whose is taken: the mean over other cells, of `encode` by the same
        model; or an array of shape (d,), or (n_cells, d).

    Returns
    -------
    EncodedCells
        Without class logits.

    Raises
    ------
    ValueError
        When the token does not exist, or shapes do not fit.

    Notes
    -----
    A mixture need not be like any cell that the model has seen: what it gives is a hypothesis. scPRINT paper, Methods,
    "The bottleneck learning task".
    """
    sources = {
        name: {"encoded": list(source.steps)} if isinstance(source, EncodedCells) else source
        for name, source in facets.items()
    }
    made = step(mix, {"facets": sources})
    places = {name.removesuffix(SUFFIX): i for i, name in enumerate(cells.token_names)}
    embeddings = cells.embeddings.copy()
    for name, source in facets.items():
        place = places.get(name.removesuffix(SUFFIX))
        if place is None:
            raise ValueError(f"there is no token {name!r}: the cells have {list(places)}")
        if isinstance(source, EncodedCells):
            if source.token_names != cells.token_names:
                raise ValueError(
                    f"the cells for {name!r} have other tokens, {list(source.token_names)}: another model?"
                )
            source = source.embeddings[:, place].mean(axis=0)
        fits = {(embeddings.shape[2],), (len(embeddings), embeddings.shape[2])}
        if source.shape not in fits:
            raise ValueError(f"{name!r} has the shape {source.shape}, which is none of {sorted(fits)}")
        embeddings[:, place] = source
    return replace(cells, embeddings=embeddings, class_logits={}, steps=(*cells.steps, made))


def find_genes(vocabulary: GeneVocabulary, genes: Sequence[str], *, organisms: Collection[str] = ()) -> np.ndarray:
    """Return the vocabulary index of genes, int64, in their order; see `scprint_model.named_genes.genes_of_model`.

    Raises
    ------
    ValueError
        When there is none, one is unknown or named twice, or a symbol is of several genes.
    """
    found = genes_of_model(vocabulary, genes, organisms=organisms)
    if len(found) and len(found.missing) == len(found):
        raise ValueError(
            f"{len(found)} of {len(found)} genes are not {NOT_IN_MODEL}, {found.examples()}; its genes are named like "
            f"{vocabulary.ids[0]!r} or {vocabulary.symbols[0]!r}"
        )
    index = found.all_found(NOT_IN_MODEL)
    if len(np.unique(index)) < len(index):
        raise ValueError(f"{len(index) - len(np.unique(index))} of the {len(index)} genes are named twice")
    return index


def gene_rows(vocabulary: GeneVocabulary, index: np.ndarray) -> pd.DataFrame:
    """Return ``var`` of genes of a vocabulary: ids, with their symbols."""
    ids = pd.Index([vocabulary.ids[i] for i in index])
    return pd.DataFrame({"symbol": [vocabulary.symbols[i] for i in index]}, index=ids)
