"""Counts that were taken away from cells, and how well each method finds them, in three ways.

"paper": the paper's noise, and Spearman correlations with the full counts over the genes that a cell truly expresses.
"all genes": the same, over all of the genes, so that a method has to find the true zeros, too. "binomial": each count
is kept with a chance of one half, and the Poisson log likelihood of the removed counts is taken, which asks for sizes
and not for ranks alone. All are over the set's most variable genes, chosen from the full counts.

Whole: cells drawn from all; rare: from types that have less than 5 % of the cells. Intervals and gains are over cells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import anndata
import numpy as np
import pandas as pd
import torch
from scipy import sparse

from benchmarks.denoising.measures import log_likelihood, over_all_genes
from benchmarks.denoising.methods import NOISED, SCRIPTS, profiles
from benchmarks.peer import NOT_RUN
from benchmarks.work import data_folder
from grnndata import tl
from scdataloader import datasets
from scprint_model import ScPrint
from scprint_model.demo.evaluate import thinned
from scprint_model.genes import shared_genes
from scprint_model.intervals import mean_interval
from scprint_model.metrics import spearman

RARE = 0.05
PROTOCOLS = ("paper", "binomial")


def denoising_scores(
    *,
    dataset: str = "",
    protocol: str = "paper",
    n_cells: int = 50,
    n_drawn: int = 800,
    n_genes: int = 1000,
    rate: float = 0.7,
    epochs: int = 60,
    peers: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a method, kind of cells and way of scoring, with the gain over what was left of each cell.

    Parameters
    ----------
    dataset
        Name of a set of the folder of data; the bundled retina where it is empty.
    protocol
        Noise: "paper", which is scored in two ways, or "binomial".
    n_cells
        Number of cells that are scored of the whole, and as many of rare types.
    n_drawn
        Number of cells that all methods see.
    n_genes
        Number of most variable genes that are scored.
    rate
        Rate of the paper's noise.
    epochs
        Number of epochs of scVI.
    peers
        Whether published methods are run beside.
    seed
        Seed for the cells, the noise and the methods.
    """
    model = ScPrint.from_pretrained("bundled")
    adata = anndata.read_h5ad(data_folder() / f"{dataset}.h5ad") if dataset else datasets.retina_1k()
    if not peers:
        NOT_RUN.update(dict.fromkeys(SCRIPTS, "left out of the quick run"))
    sizes = {"n_cells": n_cells, "n_genes": n_genes, "rate": rate, "epochs": epochs}
    drawn = drawn_cells(adata, n_drawn, seed)
    found = cell_scores(model, drawn, protocol, **sizes, peers=tuple(SCRIPTS) if peers else (), seed=seed)
    rows: list[dict] = []
    for kind, way, column, of_method in found:
        named = {"set": dataset or "retina_1k", "types": kind, "protocol": way}
        rows += [named | row for row in rows_of(of_method, column)]
    return pd.DataFrame(rows)


def cell_scores(
    model: ScPrint,
    full: anndata.AnnData,
    protocol: str,
    *,
    n_cells: int,
    n_genes: int,
    rate: float,
    peers: Collection[str],
    epochs: int = 60,
    seed: int = 0,
) -> Iterator[tuple[str, str, str, dict[str, np.ndarray]]]:
    """Yield, for each kind of cells and way of scoring, their names, the score's name and each cell's by method.

    Parameters
    ----------
    model
        Our model.
    full
        Cells as `drawn_cells` gives them, all of which the methods see.
    peers
        Published methods that are run, of `benchmarks.denoising.methods.SCRIPTS`.
    protocol, n_cells, n_genes, rate, epochs, seed
        Options of `denoising_scores`.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol={protocol!r} is none of {', '.join(PROTOCOLS)}")
    genes = tl.most_variable_genes(full[:, shared_genes(model.vocabulary, full)], n_genes)
    left = thinned(full.X, full.var_names, rate, seed=seed) if protocol == "paper" else halved(full.X, seed)
    some = np.asarray(left.sum(axis=1)).ravel() > 0
    full, left = full[some].copy(), left[some]
    noised = anndata.AnnData(left, obs=full.obs, var=full.var)
    kinds = scored_cells(noised.obs["cell_type"], n_cells, seed)
    at = np.unique(np.concatenate(list(kinds.values())))
    found = profiles(model, noised, at, genes, epochs=epochs, peers=peers, seed=seed)
    truth, kept = (one[at][:, genes].X.toarray().astype(np.float64) for one in (full, noised))
    mean = np.asarray(noised[:, genes].X.mean(axis=0)).ravel() + 1e-9
    for way, column, of_method in _ways(protocol, truth, kept, mean, found):
        for kind, cells in kinds.items():
            here = np.isin(at, cells)
            yield kind, way, column, {method: values[here] for method, values in of_method.items()}


def drawn_cells(adata: anndata.AnnData, n: int, seed: int) -> anndata.AnnData:
    """Return random cells with their counts and types alone."""
    drawn = np.sort(np.random.default_rng(seed).choice(adata.n_obs, min(n, adata.n_obs), replace=False))
    obs = pd.DataFrame({"cell_type": adata.obs["cell_type"].astype(str).to_numpy()[drawn]})
    obs.index = obs.index.astype(str)
    return anndata.AnnData(sparse.csr_matrix(adata[drawn].X, dtype=np.float32), obs=obs, var=adata.var[[]])


def halved(counts: sparse.csr_matrix, seed: int) -> sparse.csr_matrix:
    """Return counts of which each was kept with a chance of one half."""
    kept = sparse.csr_matrix(counts, copy=True)
    kept.data = np.random.default_rng((seed, 2)).binomial(kept.data.astype(np.int64), 0.5).astype(np.float32)
    kept.eliminate_zeros()
    return kept


def scored_cells(types: pd.Series, n: int, seed: int) -> dict[str, np.ndarray]:
    """Return places of random cells of the whole, and of rare types where there are some."""
    share = types.map(types.value_counts(normalize=True)).to_numpy(float)
    rng = np.random.default_rng((seed, 1))
    kinds = {"whole": np.arange(len(share)), "rare": np.flatnonzero(share < RARE)}
    return {name: np.sort(rng.permutation(cells)[:n]) for name, cells in kinds.items() if len(cells) > 1}


def rows_of(values: dict[str, np.ndarray], column: str) -> list[dict]:
    """Return each method's mean over cells, and its mean gain over the noised profile of the same cells."""
    rows = []
    for method, scores in values.items():
        known = np.isfinite(scores) & np.isfinite(values[NOISED])
        row: dict[str, object] = {"method": method, "n_cells": int(known.sum())}
        row |= _three(column, scores[known])
        if method != NOISED:
            row |= _three(f"gain_{column}", scores[known] - values[NOISED][known])
        rows.append(row)
    return rows


def _ways(
    protocol: str, truth: np.ndarray, kept: np.ndarray, mean: np.ndarray, found: dict[str, np.ndarray]
) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """Yield the name of each way of scoring, its column, and each cell's score by method."""
    if protocol == "binomial":
        depth = kept.sum(axis=1)  # as many are removed as are kept, on average
        yield (
            "binomial",
            "log_likelihood",
            {m: log_likelihood(truth - kept, v, depth, mean)[0] for m, v in found.items()},
        )
        return
    full = torch.from_numpy(truth)
    expressed = {m: spearman(full, torch.from_numpy(np.ascontiguousarray(v))).numpy() for m, v in found.items()}
    yield "paper", "spearman", expressed
    yield "all genes", "spearman", {m: over_all_genes(truth, v) for m, v in found.items()}


def _three(name: str, values: np.ndarray) -> dict[str, float]:
    mean, low, high = mean_interval(values)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
