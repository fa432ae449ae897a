"""Cells to learn from, and cells of other batches to label, as Open Problems divides them."""

from __future__ import annotations

from dataclasses import dataclass

import anndata
import numpy as np

from benchmarks.work import data_folder
from scdataloader import datasets


@dataclass(frozen=True)
class Split:
    """Files, the column of batches, and those batches whose cells are labelled.

    Cells of `train_file` are learned from, and those of `test_file` are labelled; where both are one file, the column
    `by` divides it. The column ``cell_type`` holds the labels.
    """

    train_file: str
    test_file: str
    by: str = ""
    test: tuple[str, ...] = ()


SPLITS = {
    "lung, other donor": Split("human_lung_lca_popv", "human_lung_lca_popv", "donor_id", ("3",)),
    "blood, stimulated": Split("human_pbmc_kang_ifnb", "human_pbmc_kang_ifnb", "condition", ("STIM",)),
    "kidney immune, other donors": Split(
        "human_kidney_immune", "human_kidney_immune", "donor_id", ("RCC1", "TxK1", "Wilms2")
    ),
    "pancreas, other laboratory": Split("human_pancreas_baron_h2plus_2kgenes", "human_pancreas_baron_h1"),
}
#: The bundled cells, divided by chance.
BUNDLED = "retina"


def divided(name: str, n_train: int, n_test: int, seed: int) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return cells to learn from and cells to label, at most so many of each, over the genes that both measure.

    Cells without a label are left out, and cells to label whose label none to learn from has: no method could name
    them.
    """
    if name == BUNDLED:
        adata = datasets.retina_1k()
        order = np.random.default_rng(seed).permutation(adata.n_obs)
        train, test = adata[order[: adata.n_obs // 2]], adata[order[adata.n_obs // 2 :]]
    else:
        told = SPLITS[name]
        train, test = (anndata.read_h5ad(data_folder() / f"{one}.h5ad") for one in (told.train_file, told.test_file))
        if told.by:
            held_out = test.obs[told.by].astype(str).isin(told.test).to_numpy()
            train, test = train[~held_out], test[held_out]
    train = _some(_known(train), n_train, seed)
    labels = train.obs["cell_type"].astype(str)
    frequent = labels.value_counts()
    train = train[labels.isin(frequent.index[frequent > 1]).to_numpy()]  # of one cell, none is left to check by
    test = _known(test)
    test = _some(test[test.obs["cell_type"].isin(train.obs["cell_type"].unique()).to_numpy()], n_test, seed)
    genes = train.var_names.intersection(test.var_names, sort=True)
    return train[:, genes].copy(), test[:, genes].copy()


def _known(adata: anndata.AnnData) -> anndata.AnnData:
    return adata[~adata.obs["cell_type"].astype(str).isin(("unknown", "nan")).to_numpy()]


def _some(adata: anndata.AnnData, n: int, seed: int) -> anndata.AnnData:
    chosen = np.random.default_rng((seed, 1)).choice(adata.n_obs, min(n, adata.n_obs), replace=False)
    return adata[np.sort(chosen)]
