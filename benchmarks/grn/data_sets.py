"""Data sets of the comparison by name: cells of the folder of data, those that are bundled, and simulated ones."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from anndata import AnnData

from benchmarks.work import USUAL, data_folder

#: Files of truths beside a checkout; without them truths are fetched.
TRUTHS = USUAL.parent / "networks"
#: BEELINE's own example, its model of gonadal sex determination: expression by BoolODE, and the edges of its rules.
EXAMPLE = "beeline_example_GSD.tar.xz"
SIMULATED = 500


def completed(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a data set with its cells or their file, and the truth of cells that are simulated."""
    from scdataloader import datasets

    name = entry["name"]
    if "path" in entry or "cells" in entry:
        return entry
    if name == "retina":
        return entry | {"cells": datasets.retina_1k()}
    if name == "sergio":
        cells, truth = simulated()
        return entry | {"cells": cells, "truths": [{"name": truth}]}
    if name == "beeline_gsd":
        cells, truth = beeline_example(TRUTHS / EXAMPLE)
        return entry | {"cells": cells, "truths": [{"name": truth}]}
    path = data_folder() / f"{name}.h5ad"
    if name.startswith("mccalla_"):
        from bengrn.benchmarking.presets.mccalla import with_counts
        from bengrn.infer_command import read_cells

        truths = [mouse_spelling(one) if entry.get("organism") == "mouse" else one for one in entry["truths"]]
        return entry | {"cells": with_counts(read_cells(str(path)), name), "truths": truths}
    return entry | {"path": str(path)}


def mouse_spelling(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a truth of BEELINE, which writes all genes in capitals, with genes as the mouse's are written."""
    from bengrn.truths import GroundTruth, load_truth

    if entry.get("truth") != "beeline":
        return entry
    truth = load_truth("beeline", "mouse", **entry["options"])
    edges = truth.edges[["source", "target"]].apply(lambda names: names.str.capitalize())
    genes = None if truth.genes is None else {name.capitalize() for name in truth.genes}
    told = {"citation": truth.citation, "licence": truth.licence, "version": truth.version}
    return {"name": GroundTruth.from_edges(edges, name=entry["name"], genes=genes, organism="mouse", **told)}


def simulated() -> tuple[AnnData, Any]:
    """Simulate cells by SERGIO from OmniPath's edges of RegNetwork, or, without its file, from RegNetwork, fetched."""
    from bengrn.simulate import sergio
    from bengrn.truths import load_truth

    if (TRUTHS / "omnipath.parquet").is_file():
        edges = load_truth("omnipath-tf-target", path=TRUTHS / "omnipath.parquet").edges
        network: Any = edges[edges["resources"].str.contains("RegNetwork")]
    else:
        network = load_truth("regnetwork", kind="signed")
    return sergio(network, n_cells=SIMULATED, cycles="break")


def beeline_example(archive: Path) -> tuple[AnnData, Any]:
    """Read BEELINE's example from its archive: cells × genes, and its network."""
    from bengrn.benchmarking.presets.beeline import read_expression
    from bengrn.truths.beeline import read_reference_network

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        table = read_expression(Path(folder) / "GSD/ex1/ExpressionData.csv")
        truth = read_reference_network(Path(folder) / "GSD/GroundTruthNetwork.csv")
    cells = AnnData(table.to_numpy().T)
    cells.obs_names, cells.var_names = table.columns, table.index
    return cells, replace(truth, name="BEELINE example")
