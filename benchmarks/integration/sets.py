"""Cells of several batches, with the labels that an integration should keep, and what all methods start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.work import data_folder
from scdataloader.counts import csr_counts, log_normalise

#: Fewer cells of a batch, or of a label, are left out.
LEAST_OF_BATCH, LEAST_OF_LABEL = 20, 10
N_GENES, N_COMPONENTS = 2000, 30


@dataclass(frozen=True)
class CellSet:
    """A file of cells, and its columns of batches and of labels."""

    file: str
    batch: str
    label: str


SETS = {
    "cell lines by chemistry": CellSet("human_celllines_cellbench", "batch", "label"),
    "kidney immune by donor": CellSet("human_kidney_immune", "donor_id", "cell_type"),
    "lung tumour by patient": CellSet("human_lung_tumour_blood_zilionis", "donor_id", "cell_type"),
    "lung by donor and chemistry": CellSet("human_lung_lca_popv", "batch", "cell_type"),
}


def drawn(name: str, n_cells: int, seed: int) -> anndata.AnnData:
    """Return random cells of a set, with ``batch`` and ``label`` in obs; small batches and labels are left out."""
    told = SETS[name]
    adata = anndata.read_h5ad(data_folder() / f"{told.file}.h5ad")
    obs = adata.obs.assign(batch=adata.obs[told.batch].astype(str), label=adata.obs[told.label].astype(str))
    adata.obs = obs
    adata = adata[adata.obs["label"] != "unknown"]
    some = np.random.default_rng(seed).choice(adata.n_obs, min(n_cells, adata.n_obs), replace=False)
    return kept(adata[np.sort(some)].copy())


def kept(adata: anndata.AnnData) -> anndata.AnnData:
    """Leave out batches and labels of few cells, until none is left that has few."""
    while True:
        enough = np.ones(adata.n_obs, dtype=bool)
        for column, least in (("batch", LEAST_OF_BATCH), ("label", LEAST_OF_LABEL)):
            enough &= adata.obs[column].map(adata.obs[column].value_counts()).to_numpy() >= least
        if enough.all():
            return adata
        adata = adata[enough].copy()


def variable_genes(adata: anndata.AnnData) -> np.ndarray:
    """Return the places of the genes whose log counts vary most within batches, on average over batches."""
    values, batches = log_normalise(adata), adata.obs["batch"].to_numpy()
    dispersion = np.zeros(adata.n_vars)
    for batch in np.unique(batches):
        dispersion += _dispersion(sparse.csr_matrix(values[batches == batch])) / len(np.unique(batches))
    return np.sort(np.argsort(-dispersion, kind="stable")[:N_GENES])


def _dispersion(values: sparse.csr_matrix) -> np.ndarray:
    mean = np.asarray(values.mean(axis=0)).ravel()
    return np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2


def write(adata: anndata.AnnData, folder: Path, seed: int) -> None:
    """Write what the methods start from: labels, counts and log counts of variable genes, principal components."""
    from sklearn.decomposition import PCA

    genes = variable_genes(adata)
    log = sparse.csr_matrix(log_normalise(adata)[:, genes])
    adata.obs[["batch", "label"]].to_csv(folder / "cells.csv", index=False)
    sparse.save_npz(folder / "log.npz", log)
    components = PCA(N_COMPONENTS, svd_solver="arpack", random_state=seed).fit_transform(log.toarray())
    np.save(folder / "components.npy", components)
    counts = sparse.csr_matrix(csr_counts(adata)[:, genes], dtype=np.float32)
    names = pd.DataFrame(index=[str(i) for i in range(adata.n_obs)])
    anndata.AnnData(counts, obs=names, var=pd.DataFrame(index=[str(i) for i in genes])).write_h5ad(
        folder / "counts.h5ad"
    )
