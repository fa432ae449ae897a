"""The one call: data in, an adapted model and its scores on held-out cells out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from anndata import AnnData

from grnndata import atomic_path
from scdataloader import GeneVocabulary
from scdataloader.expression import CountsChoice
from scprint_model._provenance import KEY, step
from scprint_model.checkpoints.identity import identity
from scprint_model.finetuning.adapter import ADAPTER, save_adapter
from scprint_model.finetuning.cells import Data, column, divide, inputs_of, read, tables, to_cells
from scprint_model.finetuning.extend import extend_vocabulary
from scprint_model.finetuning.labels import extend_space, find_targets, new_labels
from scprint_model.finetuning.low_rank import ATTENTION, merge_low_rank
from scprint_model.finetuning.stages import Run, Train, extended, learn
from scprint_model.finetuning.train import Aims
from scprint_model.model import ScPrint
from scprint_model.tables import DEFAULT_CONTEXT
from scprint_model.tables import tables as model_tables

Save = Literal["adapter", "model"]
REPORT = "report.json"
#: Adam's step for the network, where the caller does not say.
RATES: dict[str, float] = {"lora": 1e-3, "all": 1e-4}


def finetune(
    model: ScPrint | Path | str,
    data: Data,
    *,
    labels: Sequence[str] | str = (),
    batch_key: str | None = None,
    train: Train = "lora",
    genes: GeneVocabulary | Path | str | None = None,
    organisms: Sequence[str] | str = (),
    gene_embeddings: Path | str | None = None,
    rank: int = 8,
    alpha: float = 16.0,
    projections: Sequence[str] = ATTENTION,
    merge: bool = True,
    held_out: float = 0.2,
    held_out_by: str | None = None,
    held_out_groups: Sequence[str] | str = (),
    epochs: int = 10,
    patience: int = 3,
    batch_size: int = 32,
    learning_rate: float | None = None,
    batch_weight: float = 10.0,
    denoising: float | None = None,
    layer: str | None = None,
    counts: str = "X",
    round: bool = False,  # noqa: A002 (the option's name)
    context: int | None = None,
    out: Path | str | None = None,
    save: Save | None = None,
    device: str | None = None,
    seed: int = 0,
) -> ScPrint:
    """Adapt a trained model to labels, genes, organisms or batches of one's own.

    First the heads of the classes learn on the embeddings as they are; then, unless ``train="heads"``, the network and
    the heads learn together (Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform
    out-of-distribution": heads first spares the network the gradients of random heads).

    A head is one linear map of all cell tokens, and starts as a standardised logistic regression on them. Each stage
    stops on a tenth of the cells that are not held out (on whole groups of `held_out_by`, where five are left), and
    keeps its start where nothing later is better there. Where labels are the only aim, never fewer of those cells are
    right than with the regression, and the network changes only if more are, beyond chance; with a `batch_key`, new
    genes or `denoising` the sum of all aims decides. Neither the parts nor what is learned depends on the order of the
    cells in their files, or of the files.

    Parameters
    ----------
    model
        Model to adapt, which is not changed, or what `ScPrint.from_pretrained` opens, such as ``"bundled"``.
    data
        Raw counts: an `AnnData`, files, or several `AnnData` by name; see `scprint_model.genes.match_genes`. Not
        changed.
    labels
        Columns of ``obs`` to learn. One whose class the model has (``"cell_type"``) extends that class by the labels
        it lacks; any other becomes a class of its own. Ontology terms, or names of such, are hierarchical; other words
        are taken as they are. Cells without a label say ``"unknown"``.
    batch_key
        Column of ``obs`` whose values the cell embedding shall not tell: its distribution is made alike across them,
        label by label of the first of `labels` where there is one; see
        `scprint_model.finetuning.batch_effect.batch_distance`.
    train
        Weights that learn: ``"heads"`` of the classes only; ``"lora"``: also thin matrices added to projections of the
        transformer, the tokens of the classes and rows of new genes; ``"all"`` weights.
    genes
        Genes to add: a vocabulary, or a file of one.
    organisms
        Organisms whose protein-coding genes are added.
    gene_embeddings
        Table of ``scprint gene-embeddings``, from which new genes start; see
        `scprint_model.finetuning.extend.new_rows`, also for genes that are not in it.
    rank
        Rank of the low-rank parts of ``"lora"``; see `scprint_model.finetuning.low_rank.add_low_rank`.
    alpha
        Scale of the low-rank parts, likewise.
    projections
        Projections with low-rank parts, likewise.
    merge
        Whether to return a plain model. False: the low-rank parts stay apart, as `save_adapter` needs them.
    held_out
        Share of the cells, or of the groups of `held_out_by`, to score on.
    held_out_by
        Column of ``obs``, such as ``"donor_id"``, or ``"dataset"``, whose groups are held out as a whole.
    held_out_groups
        Groups of `held_out_by` to score on; none: as many as `held_out` says are drawn.
    epochs
        Largest number of epochs that the network learns for. The best weights are kept.
    patience
        Number of epochs after which it stops, if the loss of a tenth of the other cells has not fallen.
    batch_size
        Number of cells a step.
    learning_rate
        Learning rate of the network; None: 0.001 for ``"lora"``, 0.0001 for ``"all"``.
    batch_weight
        Weight of the distance between batches beside the mean loss of the labels.
    denoising
        Weight of the denoising task, which keeps the embedding informative. None: 1 with a `batch_key` or new genes,
        else 0.
    layer
        Layer that holds the raw counts of each data set.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    context
        Number of genes per cell; None: as many as the model saw in training.
    out
        Folder to write to: ``report.json`` and what `save` says. It must be new or empty.
    save
        ``"adapter"``: what was changed, for `load_adapter`; ``"model"``: a whole model, for `ScPrint.from_pretrained`.
        None: the adapter, and for ``train="all"``, which changes everything, the model.
    device
        Device such as ``"cuda"``; None: a GPU where there is one.
    seed
        Seed for all draws: the same gives the same result on the same machine.

    Returns
    -------
    ScPrint
        On the CPU, in evaluation mode. ``card["finetuned"]`` holds, for each class, accuracy and macro F1 on held-out
        cells before and after, and with a `batch_key` how often the ten nearest neighbours tell the batch. Its
        ``"scores"`` have them beside the commonest label and logistic regressions on principal components and on the
        embedding, with bootstrap intervals, and its ``"neighbours"`` likewise beside principal components; see
        `scprint_model.finetuning.scores.compare` and `scprint_model.finetuning.batch_neighbours.neighbour_scores`.
        ``card["provenance_steps"]`` says what made the model.

    Raises
    ------
    ValueError
        When options contradict each other, a column is missing, a label has one cell, `batch_key` has one value, too
        few genes are shared, or `out` is in use; the message says what to do.
    FileNotFoundError
        When a model or file does not exist.
    """
    told = step(finetune, locals(), inputs=inputs_of(data), skip=("model", "data", "out", "save", "device"))
    labels, organisms, named = (
        [x] if isinstance(x, str) else [str(one) for one in x] for x in (labels, organisms, held_out_groups)
    )
    if named and held_out_by is None:
        raise ValueError(f"held_out_groups = {named} are groups of a column: name it with held_out_by")
    grows = genes is not None or bool(organisms)
    weight = (1.0 if batch_key is not None or grows else 0.0) if denoising is None else denoising
    _check(train, save, labels, batch_key, weight if train != "heads" or denoising else 0.0, gene_embeddings, grows)
    if min(epochs, patience, batch_size) < 1:
        raise ValueError(f"epochs = {epochs}, patience = {patience} and batch_size = {batch_size} must be at least 1")
    folder = None if out is None else _free(Path(out))
    base = model if isinstance(model, ScPrint) else ScPrint.from_pretrained(model)
    known_genes, known_labels = model_tables(base)
    sets = read(data, CountsChoice(layer=layer, counts=counts, round=round))
    targets = find_targets(tables(sets), labels, known_labels)
    space, codes = extend_space(tables(sets), targets, known_labels, coarse_outputs=True)
    vocabulary = extend_vocabulary(known_genes, genes, organisms)
    every = {"codes": np.concatenate(codes)}
    if batch_key is not None:
        every["batches"] = _batches(column(sets, batch_key, argument="batch_key"), batch_key)
    if held_out_by is not None:
        every["groups"] = column(sets, held_out_by, argument="held_out_by").astype(str)
    columns = [part for one in every.values() for part in np.atleast_2d(one.T)]
    context = context or base.context or DEFAULT_CONTEXT
    cells = to_cells(sets, vocabulary, columns, context=context, seed=seed)
    ordered = {name: one[cells.order] for name, one in every.items()}
    all_codes, batches = ordered["codes"], ordered.get("batches")
    strata = all_codes[:, 0] if targets else np.zeros(len(cells), np.int64)
    parts = divide(strata, held_out=held_out, groups=ordered.get("groups"), named=named, keys=cells.keys, seed=seed)
    aims = Aims(
        names=tuple(target.name for target in targets),
        codes=torch.from_numpy(all_codes),
        classes=tuple(space.classes[t.name] for t in targets),
        batches=None if batches is None else torch.from_numpy(batches),
        batch_weight=batch_weight,
        denoising=weight,
    )
    best = "cuda" if torch.cuda.is_available() else "cpu"
    unit, units = _units(sets, held_out_by)
    told_groups = None if units is None else units[cells.order]
    run = Run(cells, aims, parts, batch_size, seed, torch.device(device or best), told_groups, unit)
    made = extended(base, vocabulary, known_labels, space, run, gene_embeddings)
    low_rank = {"rank": rank, "alpha": alpha, "projections": projections}
    speed: dict[str, Any] = {"epochs": epochs, "patience": patience}
    speed["learning_rate"] = learning_rate or RATES.get(train, 0.0)
    found = learn(made, base, run, train, low_rank, **speed)
    made.to("cpu")
    made.card[KEY] = [told | {"model": identity(base)}]
    made.card["finetuned"] = {
        "train": train,
        "seed": seed,
        "cells": {name: len(getattr(parts, name)) for name in ("train", "validation", "held_out")},
        "new_genes": len(vocabulary) - len(known_genes),
        "new_labels": new_labels(known_labels, space),
        **found,
    }
    if folder is not None:
        _write(made, base, folder, save or ("model" if train == "all" else "adapter"), model)
    if merge:
        merge_low_rank(made)
    return made


def _units(data: dict[str, AnnData], held_out_by: str | None) -> tuple[str, np.ndarray | None]:
    """Return the groups by which intervals are drawn: those that are held out, else donors where they are told."""
    by = held_out_by
    if by in (None, "dataset") and all("donor_id" in table for table in tables(data)):
        by = "donor_id"
    if by is None:
        return "cell", None
    values = column(data, by, argument="held_out_by").astype(str)
    if len(data) > 1 and by != "dataset":  # the same name in two files is not the same donor
        sets = np.repeat(list(data), [adata.n_obs for adata in data.values()])
        values = np.array([f"{one}: {value}" for one, value in zip(sets, values, strict=True)])
    return by, values


def _batches(values: np.ndarray, key: str) -> np.ndarray:
    names = sorted(set(values.tolist()) - {"unknown"})
    if len(names) < 2:
        raise ValueError(f"batch_key={key!r} has one value, {names}: there are no batches to bring together")
    code = {name: i for i, name in enumerate(names)}
    return np.array([code.get(value, -1) for value in values.tolist()], dtype=np.int64)


def _check(
    train: str,
    save: str | None,
    labels: Sequence[str],
    batch_key: str | None,
    denoising: float,
    gene_embeddings: object,
    grows: bool,
) -> None:
    if train not in get_args(Train):
        raise ValueError(f"train={train!r} is not one of {list(get_args(Train))}")
    if save not in (None, *get_args(Save)):
        raise ValueError(f"save={save!r} is not one of {list(get_args(Save))}")
    if train == "heads" and (batch_key is not None or denoising):
        raise ValueError(
            f"train='heads' leaves the embeddings as they are, so batch_key={batch_key!r} and denoising={denoising} "
            "would do nothing: choose train='lora' or 'all'"
        )
    if train == "heads" and not labels:
        raise ValueError("train='heads' needs labels: name columns of obs")
    if not labels and batch_key is None and not denoising:
        raise ValueError("there is nothing to learn: give labels, a batch_key, new genes, or a weight of denoising")
    if gene_embeddings is not None and not grows:
        raise ValueError("gene_embeddings are for new genes: name them with genes or organisms")


def _free(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"out={folder} is in use: name a new or empty folder, nothing is overwritten")
    return folder


def _write(made: ScPrint, base: ScPrint, folder: Path, save: Save, given: object) -> None:
    if save == "adapter":
        save_adapter(made, folder / ADAPTER, base=base, name=None if isinstance(given, ScPrint) else str(given))
    else:
        merge_low_rank(made)
        made.save_pretrained(folder)
    with atomic_path(folder / REPORT) as temporary:
        temporary.write_text(json.dumps(made.card["finetuned"] | {KEY: made.card[KEY]}, indent=1), encoding="utf-8")
