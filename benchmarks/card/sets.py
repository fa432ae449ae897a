"""The data sets of the card: which of them the model was chosen by, and which are read once, at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anndata
import numpy as np

from benchmarks.card.rows import Units
from scdataloader.labels import is_unknown

#: "choose": the model was chosen by it; "final": read once, at the end; "seen": the model was trained on it.
type Role = Literal["choose", "final", "seen"]
_MOST = ("embedding", "annotation", "denoising")


@dataclass(frozen=True, kw_only=True)
class CardSet:
    """A file of cells, and what is measured on it.

    Attributes
    ----------
    file
        Name of the file, without its end.
    role
        What the set is to the model.
    parts
        Parts of the card that it has.
    only
        Column and value of the cells that are taken; all of them where it is empty.
    label
        Column of the labels that neighbours should share.
    batch
        Column of the batches that neighbours should mix; none where it is empty.
    mixed
        Whether the mixing of batches is measured; batches of one treatment each are none to be mixed.
    donor
        Column of the donors that intervals draw; none where it is empty.
    types
        Cell types whose networks are scored.
    """

    file: str
    role: Role
    parts: tuple[str, ...] = _MOST
    only: tuple[str, str] = ("", "")
    label: str = "cell_type"
    batch: str = ""
    mixed: bool = False
    donor: str = ""
    types: tuple[str, ...] = ()


SETS = {
    "Kang": CardSet(
        file="human_pbmc_kang_ifnb",
        role="choose",
        parts=(*_MOST, "invariance", "networks"),
        batch="condition",
        types=("CD14-positive monocyte", "B cell"),
    ),
    # its markers were not measured, so that its labels say little
    "moncada": CardSet(file="human_pancreas_tumour_moncada_7kgenes", role="choose", parts=("embedding", "denoising")),
    "Baron h1": CardSet(file="human_pancreas_baron_h1", role="final"),
    "LCA donor 3": CardSet(file="human_lung_lca_popv", role="final", only=("donor_id", "3"), batch="batch"),
    "retina": CardSet(file="retina_1k", role="final"),
    # all of its cells are malignant cells, of five lines
    "CellBench": CardSet(
        file="human_celllines_cellbench",
        role="final",
        parts=("embedding", "denoising"),
        label="label",
        batch="assay",
        mixed=True,
    ),
    "kidney": CardSet(
        file="human_kidney_immune",
        role="seen",
        parts=("embedding", "denoising"),
        batch="donor_id",
        mixed=True,
        donor="donor_id",
    ),
}
#: Words for several sets, and the roles that they are of.
CHOICES: dict[str, tuple[Role, ...]] = {
    "choose": ("choose",),
    "final": ("final", "seen"),
    "all": ("choose", "final", "seen"),
}


def chosen(words: list[str]) -> list[str]:
    """Return the names of the sets that some words mean: names, or words of `CHOICES`."""
    roles = {role for word in words for role in CHOICES.get(word, ())}
    return [name for name, one in SETS.items() if name in words or one.role in roles]


def drawn(name: str, folder: Path, n_cells: int, seed: int) -> anndata.AnnData:
    """Return random labelled cells of a set, with ``cell_type`` and ``batch`` in obs, the same for all methods."""
    told = SETS[name]
    adata = anndata.read_h5ad(folder / f"{told.file}.h5ad")
    column, value = told.only
    if column:
        adata = adata[(adata.obs[column].astype(str) == value).to_numpy()]
    known = ~adata.obs[told.label].astype(str).map(is_unknown).to_numpy(bool)
    adata = adata[known]
    places = np.random.default_rng(seed).choice(adata.n_obs, min(n_cells, adata.n_obs), replace=False)
    adata = adata[np.sort(places)].copy()
    adata.obs["cell_type"] = adata.obs[told.label].astype(str)
    if told.batch:
        adata.obs["batch"] = adata.obs[told.batch].astype(str)
    return adata


def units_of(name: str, adata: anndata.AnnData) -> Units:
    """Return what intervals of a set draw."""
    column = SETS[name].donor
    return Units(adata.n_obs, adata.obs[column].astype(str).to_numpy() if column else None)
