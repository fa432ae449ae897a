"""The paper's ablations of the small model: one part of its own recipe changed at a time.

The base has fixed gene features, as the paper has fixed embeddings of proteins. Beside the embedding and the labels,
counts are scored: the correlation of denoised with full counts, as in the benchmark of denoising.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
import torch

from benchmarks.ablation.evaluation import Evaluation, opened
from benchmarks.ablation.gene_product import ProductTraining
from benchmarks.ablation.recipes import MIN_CONTEXT, Row, data_of, train
from benchmarks.ablation.scores import N_CELLS, CorpusComponents, rival_scores
from benchmarks.denoising.scores import drawn_cells
from grnndata import tl
from scdataloader import CellDataModule, GeneVocabulary
from scprint_model import tasks
from scprint_model.demo.evaluate import thinned
from scprint_model.genes import shared_genes
from scprint_model.metrics import spearman
from scprint_model.model import ScPrint
from scprint_model.training.module import PretrainingModule

#: Variables that name a store of training cells, a table of gene features, and files of cells to score on.
STORE, FEATURES, CELLS = "SCPRINT_ABLATION_STORE", "SCPRINT_ABLATION_FEATURES", "SCPRINT_ABLATION_CELLS"
BATCH_SIZE = 48
#: Cells of each set that are denoised, over so many genes, with the paper's noise.
DENOISED, N_GENES, RATE = 60, 1000, 0.7
_PAPER: dict[str, Any] = {"recipe": "paper", "min_context": MIN_CONTEXT}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of the table, with what :class:`benchmarks.ablation.recipes.Row` does not say."""

    row: Row
    n_heads: int = 2
    weighted: bool = True
    training: type[PretrainingModule] = PretrainingModule


_BASE = Row(features=True, objective=_PAPER)
CHANGES: dict[str, Change] = {
    "paper's recipe": Change(row=_BASE),
    "no positions": Change(row=replace(_BASE, architecture={"position_scale": 0.0})),
    "total instead of log normalisation": Change(row=replace(_BASE, normalization="sum")),
    "masking instead of denoising": Change(
        row=replace(_BASE, objective=_PAPER | {"weights": {"denoising": 0.0}, "mask_ratios": (0.3,)})
    ),
    "gene-cell product instead of the bottleneck": Change(row=_BASE, training=ProductTraining),
    "4 heads": Change(row=_BASE, n_heads=4),
    "no weighted sampling": Change(row=_BASE, weighted=False),
    "gene embeddings trained": Change(row=replace(_BASE, features=False)),
    "MSE instead of ZINB": Change(row=replace(_BASE, architecture={"likelihood": "mse"})),
}


def paper_scores(*, steps: int, seed: int, only: list[str] | None = None) -> pd.DataFrame:
    """Train the rows with one seed, and return their scores and those of rivals on cells that none of them saw.

    `only` are the rows that are trained; all by default.

    Raises
    ------
    FileNotFoundError
        If a variable that names the training cells, features or files is not set.
    """
    places = given()
    torch.set_num_threads(1)
    files = [Path(file) for file in places[CELLS].split(os.pathsep)]
    cells, rows = opened(Path(places[STORE]), files), []
    noised = {
        file.stem: noised_cells(drawn_cells(anndata.read_h5ad(file), N_CELLS, 0), cells.vocabulary) for file in files
    }
    for name, of_sets in rivals(cells, noised, seed).items():
        rows += [{"method": name, "seed": seed, "steps": 0, "data": of, **scores} for of, scores in of_sets.items()]
    for name in CHANGES if only is None else only:
        started = time.process_time()
        module, data = trained(CHANGES[name], Path(places[STORE]), Path(places[FEATURES]), steps=steps, seed=seed)
        told = {"method": name, "seed": seed, "steps": steps, "cpu_s": round(time.process_time() - started)}
        network, space = module.network, data.label_space.classes["cell_type"]
        for of, scores in cells.scores(network, space).items():
            rows.append(told | {"data": of, **scores, **denoising(network, noised[of])})
    return pd.DataFrame(rows)


def rivals(cells: Evaluation, noised: Mapping[str, Noised], seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return by rival and set the scores of methods on the corpus' components, and of mean profiles."""
    found = rival_scores(CorpusComponents(cells.store, cells.vocabulary, seed=seed), cells.sets, cells.reference)
    of_means = {}
    for name, one in noised.items():
        mean = np.asarray(one.noised[:, one.genes].X.mean(axis=0))
        of_means[name] = above_noise(one, np.repeat(mean.reshape(1, -1), one.full.n_obs, axis=0))
    return found | {"mean profile": of_means}


def denoising(network: ScPrint, cells: Noised) -> dict[str, float]:
    """Return the scores of denoised cells, as :func:`above_noise`."""
    said = tasks.denoise(network, cells.noised, genes=cells.genes.tolist(), depth_multiplier=1.0, batch_size=16)
    return above_noise(cells, np.asarray(said[:, cells.genes].X))


class Noised(NamedTuple):
    """Cells with their full counts, the same with the paper's noise, and the genes over which they are scored."""

    full: anndata.AnnData
    noised: anndata.AnnData
    genes: pd.Index


def noised_cells(cells: anndata.AnnData, vocabulary: GeneVocabulary | None) -> Noised:
    """Return some of the cells with noise, and the most variable genes of all."""
    genes = tl.most_variable_genes(cells[:, shared_genes(vocabulary, cells)], N_GENES)
    full = cells[:: max(1, cells.n_obs // DENOISED)]
    return Noised(full, anndata.AnnData(thinned(full.X, cells.var_names, RATE), obs=full.obs, var=cells.var), genes)


def above_noise(cells: Noised, said: np.ndarray) -> dict[str, float]:
    """Return the mean Spearman correlation of profiles with full counts, and by how much it is above the noised ones'.

    Over the genes that a cell expresses: the paper's protocol, see :mod:`benchmarks.denoising.scores`.
    """
    truth, left = (
        torch.from_numpy(one[:, cells.genes].X.toarray().astype(np.float64)) for one in (cells.full, cells.noised)
    )
    found, before = spearman(truth, torch.from_numpy(said.astype(np.float64))), spearman(truth, left)
    known = torch.isfinite(found) & torch.isfinite(before)
    return {"denoised": float(found[known].mean()), "above_noised": float((found - before)[known].mean())}


def trained(
    change: Change, store: Path, features: Path, *, steps: int, seed: int
) -> tuple[PretrainingModule, CellDataModule]:
    """Train a row, and return the module and its data."""
    data = data_of(change.row, store, n_cells=steps * BATCH_SIZE, batch_size=BATCH_SIZE, seed=seed)
    if not change.weighted:
        data.drawing = replace(data.drawing, weight_classes=())  # all cells alike
    sizes = {"d_model": 64, "n_layers": 2, "n_heads": change.n_heads}
    with tempfile.TemporaryDirectory() as folder:
        told = {"steps": steps, "seed": seed, "sizes": sizes, "training": change.training}
        return train(change.row, data, features, Path(folder), **told), data


def given() -> dict[str, str]:
    """Return what the variables name.

    Raises
    ------
    FileNotFoundError
        If one is not set.
    """
    missing = [name for name in (STORE, FEATURES, CELLS) if not os.environ.get(name)]
    if missing:
        raise FileNotFoundError(
            f"set {', '.join(missing)}: the store and gene features that packages/scprint-model/scripts make, and "
            f"files of cells (several joined by {os.pathsep!r})"
        )
    return {name: os.environ[name] for name in (STORE, FEATURES, CELLS)}
