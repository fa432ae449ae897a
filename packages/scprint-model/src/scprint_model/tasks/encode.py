"""One pass of the network over all cells, from which embeddings and labels are read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from scdataloader import CellBatch, CellDataset
from scdataloader.collate import Collator
from scdataloader.expression import with_counts
from scdataloader.labels import SUFFIX
from scprint_model._provenance import Step, step, steps_of
from scprint_model.checkpoints.identity import identity
from scprint_model.genes import SharedGenes, match_genes
from scprint_model.model import ScPrint
from scprint_model.parts import PART_CELLS, batches, parts
from scprint_model.profiles import format_of, panel_centre, profile_of
from scprint_model.tables import DEFAULT_CONTEXT, tables, tell_context

logger = logging.getLogger(__name__)

#: How a cell's context is chosen, in scdataloader's words.
CHOICE = "most_expressed"
#: Arguments of tasks that their record tells otherwise, or that are no part of what they compute.
NOT_RECORDED = ("model", "adata", "encoded", "cells", "out")


@dataclass(frozen=True)
class EncodedCells:
    """The answers of the network about each cell.

    Attributes
    ----------
    embeddings
        float32, shape (n_cells, T, d): one embedding for each of `token_names`.
    token_names
        ``"base"``, ``"depth"``, then the class names.
    class_logits
        Name of each class that was asked for to float32, shape (n_cells, n_leaves).
    empty
        bool, shape (n_cells,): cells without any count of a gene that the model knows. It saw nothing of them; their
        embeddings and logits are those of such a cell, which are finite.
    keys
        uint64, shape (n_cells,): a key of each cell's counts, on which draws of `generate` depend; None: on its place.
    drawn
        What the network says of each of several contexts, where these are the mean over them; else empty.
    steps
        What made them, and the cells before: records as `embed` writes them to ``uns["provenance_steps"]``.
    """

    embeddings: np.ndarray
    token_names: tuple[str, ...]
    class_logits: dict[str, np.ndarray]
    empty: np.ndarray
    keys: np.ndarray | None = None
    drawn: tuple[EncodedCells, ...] = ()
    steps: tuple[Step, ...] = ()


def walk(
    model: ScPrint,
    adata: AnnData,
    known: SharedGenes,
    at: np.ndarray | None = None,
    *,
    context: int,
    batch_size: int,
    seed: int = 0,
    draws: int = 1,
    description: str,
) -> Iterator[tuple[list[CellBatch], np.ndarray]]:
    """Yield all cells in order, in batches of their most expressed genes with the cells' keys, behind a progress bar.

    Cells are read a part at a time. What a cell shows depends on its counts and the seed alone: neither on the parts
    and batches nor on its place among the cells.

    Parameters
    ----------
    model
        Model that the genes are matched to.
    adata, known
        The data, and `scprint_model.genes.match_genes` of them.
    at
        Positions in ``known.columns``: the genes to draw on; None: all.
    context
        Genes a cell, at most the number of these.
    batch_size, seed, draws, description
        Cells at a time, seed of ties, number of contexts of each (a batch each, with the seeds from `seed` on), and
        what the progress bar says.
    """
    vocabulary, labels = tables(model)
    with tqdm(total=adata.n_obs, desc=description, unit="cell", disable=None) as bar:
        for _, part in parts(adata):
            source, keys = known.source(vocabulary, part, at), known.keys(part)
            drawn = []
            for draw in range(draws):
                collator = Collator(
                    vocabulary=vocabulary, context=context, choice=CHOICE, format=format_of(model), seed=seed + draw
                )
                drawn.append(CellDataset(source, vocabulary, labels, collator=collator))
            for places in batches(part.n_obs, batch_size):
                yield [cells.__getitems__(places) for cells in drawn], keys[places.start : places.stop]
                bar.update(len(places))


def encode(
    model: ScPrint,
    adata: AnnData,
    *,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    context: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> EncodedCells:
    """Run the network over all cells.

    `scprint_model.tasks.embed` and `scprint_model.tasks.annotate` do so themselves, and keep no more than they are
    asked for; this is to run it once for both.

    Parameters
    ----------
    model
        With vocabulary and labels; see `ScPrint.from_pretrained`.
    adata
        Raw counts over Ensembl ids (with versions or without) or symbols, as `scdataloader.Preprocessor` gives them or
        any file holds them; see `scprint_model.genes.match_genes`. In memory, or left in their file by
        `scprint_model.tasks.files.open_cells`: they are read a part at a time. Not changed.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    context
        Genes per cell: its most expressed ones, filled up with unexpressed ones. More is slower, with the square. None:
        as many as the model saw in training.
    batch_size
        Cells at a time. It changes nothing but speed and memory.
    seed
        Decides which of the genes with equal counts are taken, and which unexpressed ones.
    classes
        The classes whose logits are computed; None: all.

    Raises
    ------
    ValueError
        When the data share too few genes with the model, or it has no such class.
    """
    adata = with_counts(adata, layer=layer, counts=counts, round=round)
    made = in_context(step(encode, locals(), model=identity(model), inputs=[adata], skip=NOT_RECORDED), model)
    steps = (*steps_of(adata.uns), made)
    settings: Settings = {"context": context, "batch_size": batch_size, "seed": seed, "draws": 1}
    done = list(stream(model, adata, **settings, classes=classes, description="embedding cells"))
    return EncodedCells(
        np.concatenate([batch.embeddings for batch in done]),
        model.token_names,
        {name: np.concatenate([batch.class_logits[name] for batch in done]) for name in done[0].class_logits},
        np.concatenate([batch.empty for batch in done]),
        np.concatenate([batch.keys for batch in done if batch.keys is not None]),
        steps=steps,
    )


def in_context(made: Step, model: ScPrint, encoded: EncodedCells | None = None) -> Step:
    """Return the record of a task with the context that it really uses, or with that of the cells encoded before."""
    told = dict(made["parameters"])
    if encoded is None:
        told["context"] = told["context"] or model.context or DEFAULT_CONTEXT
        return made | {"parameters": told}
    kept = {name: value for name, value in told.items() if name not in Settings.__annotations__}
    return made | {"parameters": kept, "inputs": [*made["inputs"], {"encoded": list(encoded.steps)}]}


class Settings(TypedDict):
    """The way cells are shown to the model; see `encode`."""

    context: int | None
    batch_size: int
    seed: int
    draws: int


def stream(
    model: ScPrint,
    adata: AnnData,
    *,
    context: int | None,
    batch_size: int,
    seed: int,
    draws: int,
    classes: Sequence[str] | None,
    description: str,
    encoded: EncodedCells | None = None,
) -> Iterator[EncodedCells]:
    """Yield what `encode` gives, for consecutive batches of the cells; parts of `encoded` where it is there."""
    heads = class_names(model, classes)
    if draws < 1 or (draws > 1 and encoded is not None):
        raise ValueError(f"draws={draws} must be at least 1, and 1 with encoded=, whose contexts are drawn already")
    if encoded is not None:
        yield from _divide(encoded, adata.n_obs, heads)
        return
    if context is not None and context < 1:
        raise ValueError(f"context={context} must be positive")
    vocabulary, _ = tables(model)
    known = match_genes(vocabulary, adata)
    size = min(context or model.context or DEFAULT_CONTEXT, len(known))
    tell_context(model, size)
    device = next(model.parameters()).device
    centre = panel_centre(model, known.index[known.columns])
    n_empty = 0
    shown = walk(
        model, adata, known, context=size, batch_size=batch_size, seed=seed, draws=draws, description=description
    )
    for some, keys in shown:
        drawn = []
        for batch in some:
            genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
            profile = profile_of(batch, centre, device)
            with torch.inference_mode():
                encoding = model.encode(genes, counts, total, profile=profile, classes=heads)
            drawn.append(
                EncodedCells(
                    encoding.cell_embeddings.float().cpu().numpy(),
                    model.token_names,
                    {name: values.float().cpu().numpy() for name, values in encoding.class_logits.items()},
                    batch["counts"].sum(dim=1).numpy() == 0,
                    keys,
                )
            )
        n_empty += int(drawn[0].empty.sum())
        yield _mean(drawn)
    if n_empty:
        logger.warning(
            "%d of %d cells have no count of a gene that the model knows: it saw nothing of them", n_empty, adata.n_obs
        )


def _mean(drawn: list[EncodedCells]) -> EncodedCells:
    """Return the mean over several contexts of the same cells."""
    first = drawn[0]
    if len(drawn) == 1:
        return first
    return replace(
        first,
        embeddings=np.mean([one.embeddings for one in drawn], axis=0),
        class_logits={name: np.mean([one.class_logits[name] for one in drawn], axis=0) for name in first.class_logits},
        drawn=tuple(drawn),
    )


def _divide(encoded: EncodedCells, n_cells: int, classes: Sequence[str]) -> Iterator[EncodedCells]:
    """Yield parts of what `encode` gave, or raise ValueError where it is of other cells or lacks a class."""
    if len(encoded.empty) != n_cells:
        raise ValueError(f"encoded is of {len(encoded.empty)} cells, but the data have {n_cells}")
    if missing := [name for name in classes if name not in encoded.class_logits]:
        raise ValueError(f"encoded has no logits of {missing}: run encode with these classes")
    for start in range(0, n_cells, PART_CELLS):
        rows = slice(start, start + PART_CELLS)
        logits = {name: encoded.class_logits[name][rows] for name in classes}
        yield EncodedCells(encoded.embeddings[rows], encoded.token_names, logits, encoded.empty[rows])


def class_names(model: ScPrint, asked: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the model's names of the classes asked for, all by default.

    Published checkpoints call a class by the column of its ids, as in ``cell_type_ontology_term_id``: with or without
    that end, both are understood.

    Raises
    ------
    ValueError
        When the model has no such class; it says which there are.
    """
    there = {name.removesuffix(SUFFIX): name for name in model.config.class_sizes}
    if asked is None:
        return tuple(there.values())
    names = [asked] if isinstance(asked, str) else list(asked)
    if missing := [name for name in names if name.removesuffix(SUFFIX) not in there]:
        raise ValueError(f"classes {missing} are not of the model, which has {list(there)}")
    return tuple(dict.fromkeys(there[name.removesuffix(SUFFIX)] for name in names))
