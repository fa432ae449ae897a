"""Denoising beside its rivals.

Every cell of a set is thinned (the paper's noise), all methods see the same thinned cells, and the profiles of some are
compared with their full counts over the set's 1,000 most variable genes. Common types have at least 5 % of the cells.
The genes are chosen from the full counts, the same for all methods. MAGIC runs in an environment of its own.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.stats import rankdata

from benchmarks.environments import python_of
from benchmarks.peer import NOT_RUN
from benchmarks.work import data_folder
from grnndata import tl
from scdataloader import datasets
from scprint_model import ScPrint, tasks
from scprint_model.demo.evaluate import thinned
from scprint_model.genes import match_genes, shared_genes
from scprint_model.intervals import mean_interval
from scprint_model.metrics import spearman
from scprint_model.tasks.neighbours import nearest_cells, posterior_counts, with_neighbours

MOST_CELLS, N_GENES, COMMON = 1500, 1000, 0.05


def smoothed(adata: anndata.AnnData, nearest: np.ndarray, genes: pd.Index) -> np.ndarray:
    """Return the counts of each cell and its neighbours, added up: kNN smoothing."""
    counts = adata[:, genes].X.toarray().astype(np.float64)
    return counts + counts[nearest].sum(axis=1)


def magic(adata: anndata.AnnData, genes: pd.Index, python: Path) -> np.ndarray:
    """Return MAGIC's values of the genes: square roots of counts per 10,000 over all genes, its authors' way."""
    total = np.asarray(adata.X.sum(axis=1)).ravel()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npy"
        roots = (sparse.diags_array(1e4 / np.maximum(total, 1)) @ adata.X).sqrt()
        sparse.save_npz(given, sparse.csr_matrix(roots))
        code = (
            "import sys, magic, numpy as np, scipy.sparse as s; x = s.load_npz(sys.argv[1]);"
            "np.save(sys.argv[2], magic.MAGIC(random_state=0, n_jobs=1, verbose=0).fit_transform(x, genes='all_genes'))"
        )
        subprocess.run([python, "-c", code, str(given), str(made)], check=True, capture_output=True)
        values = np.load(made)
    return np.maximum(values[:, adata.var_names.get_indexer(genes)], 0) ** 2


def over_all_genes(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the Spearman correlation of each cell over all of the genes."""
    ranks = [(rankdata(t), rankdata(v)) for t, v in zip(truth, values, strict=True)]
    return np.array([np.corrcoef(t, v)[0, 1] if np.ptp(v) else 0.0 for t, v in ranks])


def rows_of(
    name: str, adata: anndata.AnnData, *, n_cells: int, rate: float, python: Path | None, n_drawn: int = MOST_CELLS
) -> list[dict]:
    """Score all methods on one set."""
    model = ScPrint.from_pretrained("bundled")
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(adata.n_obs, min(n_drawn, adata.n_obs), replace=False))
    obs = pd.DataFrame({"cell_type": adata.obs["cell_type"].astype(str).to_numpy()[drawn]})
    obs.index = obs.index.astype(str)
    full = anndata.AnnData(sparse.csr_matrix(adata[drawn].X, dtype=np.float32), obs=obs, var=adata.var[[]])
    genes = tl.most_variable_genes(full[:, shared_genes(model.vocabulary, full)], N_GENES)
    noisy = full.copy()
    noisy.X = thinned(full.X, full.var_names, rate)
    noisy = noisy[np.asarray(noisy.X.sum(axis=1)).ravel() > 0].copy()
    nearest = nearest_cells(noisy, match_genes(model.vocabulary, noisy), 15)
    share = noisy.obs["cell_type"].map(noisy.obs["cell_type"].value_counts(normalize=True)).to_numpy(float)
    # as many of rare types as of common ones, where there are so many
    rare, common = (rng.permutation(np.flatnonzero(kind)) for kind in (share < COMMON, share >= COMMON))
    at = np.sort(np.concatenate([rare[: n_cells // 2], common[: n_cells - min(n_cells // 2, len(rare))]]))
    alone = tasks.denoise(model, noisy[at].copy(), genes=genes.tolist(), depth_multiplier=1.0, batch_size=8)
    expected = np.asarray(alone[:, genes].X)
    truth = full[noisy.obs_names[at]][:, genes].X.toarray()
    own = noisy[at][:, genes].X.toarray().astype(np.float64)
    pooled = smoothed(noisy, nearest, genes)
    profiles = {
        "thinned counts": own,
        "model": expected,
        "kNN smoothing": pooled[at],
        "denoise(neighbours=15)": with_neighbours(expected, pooled[at]),
        "its posterior": posterior_counts(own, with_neighbours(expected, pooled[at] - own)),
        "mean profile x kNN, no model": with_neighbours(np.tile(pooled.mean(axis=0), (len(at), 1)), pooled[at]),
    }
    if python is not None:
        profiles["MAGIC"] = magic(noisy, genes, python)[at]
    rows = []
    for method, values in profiles.items():
        expressed = spearman(torch.from_numpy(truth), torch.from_numpy(np.ascontiguousarray(values))).numpy()
        for measure, scores in (("expressed genes", expressed), ("all genes", over_all_genes(truth, values))):
            for kind, chosen in (("common", share[at] >= COMMON), ("rare", share[at] < COMMON)):
                some = scores[chosen & np.isfinite(scores)]
                if len(some) > 1:
                    mean, low, high = mean_interval(some)
                    row = {"set": name, "types": kind, "measure": measure, "method": method, "n_cells": len(some)}
                    rows.append(row | {"spearman": mean, "low": low, "high": high})
    return rows


def scores(
    *, dataset: str = "", n_cells: int = 120, n_drawn: int = MOST_CELLS, rate: float = 0.7, peers: bool = True
) -> pd.DataFrame:
    """Score all methods on a set of the folder of data, or on the bundled retina where none is named."""
    adata = anndata.read_h5ad(data_folder() / f"{dataset}.h5ad") if dataset else datasets.retina_1k()
    python = None
    try:
        python = python_of("magic") if peers else None
    except (OSError, RuntimeError) as error:
        NOT_RUN["MAGIC"] = str(error)
    if not peers:
        NOT_RUN["MAGIC"] = "left out of the quick run"
    rows = rows_of(dataset or "retina_1k", adata, n_cells=n_cells, n_drawn=n_drawn, rate=rate, python=python)
    return pd.DataFrame(rows)
