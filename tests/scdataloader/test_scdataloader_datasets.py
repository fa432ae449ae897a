"""The bundled cells, and how those of the pancreas were chosen."""

import importlib.util
from pathlib import Path

import anndata
import numpy as np

from scdataloader import datasets

SCRIPT = Path(__file__).parents[2] / "packages/scdataloader/scripts/build_pancreas.py"
#: Cells of each type in the donor, and in the bundled part: all of those below 50, 958 / 1895 of the others.
SIZES = {
    "type B pancreatic cell": (872, 441), "pancreatic A cell": (236, 119), "pancreatic D cell": (214, 108),
    "pancreatic stellate cell": (143, 72), "endothelial cell": (130, 66), "pancreatic ductal cell": (120, 61),
    "pancreatic acinar cell": (110, 56), "pancreatic PP cell": (70, 35), "macrophage": (14, 14),
    "pancreatic epsilon cell": (13, 13), "mast cell": (8, 8), "Schwann cell": (5, 5), "T cell": (2, 2),
}  # fmt: skip


def test_pancreas_holds_the_rare_types_whole():
    cells = datasets.pancreas_1k()
    assert cells.shape == (1000, 16016)
    assert cells.X.dtype == np.int32
    assert cells.obs["cell_type"].value_counts().to_dict() == {name: kept for name, (_, kept) in SIZES.items()}
    assert cells.obs["donor_id"].unique().tolist() == ["human1"]
    assert (cells.var.loc[["ENSG00000254647", "ENSG00000115263"], "symbol"] == ["INS", "GCG"]).all()
    of_beta = cells[cells.obs["cell_type"] == "type B pancreatic cell", ["ENSG00000254647", "ENSG00000115263"]].X
    assert (of_beta[:, 0] > of_beta[:, 1]).mean() > 0.99  # insulin, not glucagon


def test_pancreas_is_the_reference_unchanged(shared):
    ours = datasets.pancreas_1k()
    reference = anndata.read_h5ad(shared / "data/expression/human_pancreas_baron_h1.h5ad")
    assert set(ours.var_names) == set(reference.var_names)
    assert (ours.X != reference[ours.obs_names, ours.var_names].X).nnz == 0
    for name in ours.obs:
        assert (ours.obs[name].astype(str) == reference.obs.loc[ours.obs_names, name].astype(str)).all()
    assert reference.obs["cell_type"].value_counts().to_dict() == {name: given for name, (given, _) in SIZES.items()}


def test_chosen_cells_follow_their_content_not_their_place():
    spec = importlib.util.spec_from_file_location("build_pancreas", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rng = np.random.default_rng(0)
    labels = np.repeat(list(SIZES), [given for given, _ in SIZES.values()])
    keys = rng.integers(2**63, size=len(labels)).astype(np.uint64)
    kept = script.chosen_cells(keys, labels)
    names, sizes = np.unique(labels[kept], return_counts=True)
    assert dict(zip(names, sizes, strict=True)) == {name: kept for name, (_, kept) in SIZES.items()}
    moved = rng.permutation(len(labels))
    assert (keys[moved][script.chosen_cells(keys[moved], labels[moved])] == keys[kept]).all()
