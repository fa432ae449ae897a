"""Tests of enrichment beside the scores: whether hubs are factors or markers, and factors find known targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmarks.student import mean_with_ends
from bengrn import enrich
from bengrn.benchmarking.work_files import WorkFiles, read_genes, read_json, read_weights
from grnndata import GRNAnnData

logger = logging.getLogger(__name__)

#: What stands in the column of truths, where nothing is held to be a true edge.
TRUTH = "enrichment"
#: The paper ranks hubs by eigenvector centrality.
RANKING = "eigenvector"
N_PERMUTATIONS = 200


def enrichment_rows(out: Path, table: pd.DataFrame, tests: Sequence[str], *, workers: int = 1) -> pd.DataFrame:
    """Return a row for each network of a benchmark: its tests of enrichment.

    Parameters
    ----------
    out
        Folder of the benchmark.
    table
        Table of the benchmark.
    tests
        Tests to make, of :data:`bengrn.enrichment.SETS`.
    workers
        Number of processes; 1 for this one.

    Returns
    -------
    DataFrame
        ``tf``: how much higher factors stand among the hubs than other genes, in normal scores, and its p-value that
        allows for co-regulation; ``markers``: cell types whose markers stand out among the hubs, of those tested;
        ``encode``: by how much the mean AUROC of factors' ENCODE targets is above that of the same targets in other
        genes' rows, with its 95 % interval over factors; ``encode_share``: share of factors at FDR 5 %, and by chance.
    """
    files = WorkFiles(out.absolute())
    places = network_folders(files)
    networks = table[table["network_sha256"].isin(list(places))].drop_duplicates(["dataset", "group", "label"])
    names, folders, cells = [], [], []
    for row in networks.to_dict("records"):
        folder = places[row["network_sha256"]]
        names.append({key: row[key] for key in ("dataset", "group", "label")})
        folders.append(folder)
        cells.append(str(cells_of(folder, files)))
    of_all = (folders, cells, [tuple(tests)] * len(names))
    if workers == 1:
        found = list(map(_told, *of_all))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(_told, *of_all))
    always = {"truth": TRUTH, "orientation": "as stored", "regulators": "all"}
    return pd.DataFrame([name | always | one for name, one in zip(names, found, strict=True)])


def network_folders(files: WorkFiles) -> dict[str, Path]:
    """Return the folder of each network of a benchmark by its checksum."""
    return {
        made["network_sha256"]: path.parent
        for path in sorted(files.work.glob("*/inference.json"))
        if (made := read_json(path)) and made.get("status") == "ok"
    }


def cells_of(folder: Path, files: WorkFiles) -> Path:
    """Return the file of the cells that the network in a folder is of."""
    return files.cells(read_json(folder / "job.json")["cells"])


def _told(folder: Path, cells: str, tests: tuple[str, ...]) -> dict[str, Any]:
    """Return the tests of a network and their status: what fails is a row like others."""
    try:
        return {"status": "ok", "message": ""} | tested(folder, cells, tests)
    except (ValueError, OSError) as error:
        return {"status": "failed", "message": f"{type(error).__name__}: {error}"}


def tested(folder: Path, cells: str, tests: tuple[str, ...]) -> dict[str, Any]:
    """Return the tests of the network in a folder; what cannot be tested is told in ``message``."""
    weights: Any = read_weights(folder)
    var = read_genes(Path(cells)).var
    regulates = np.asarray((weights != 0).sum(axis=1)).ravel() > 0
    some = None if regulates.mean() > 0.5 else var.index[regulates].astype(str).tolist()
    network = GRNAnnData(AnnData(var=var), grn=weights)
    found = enrich(network, rankings=RANKING, sets=tests, regulators=some, n_permutations=N_PERMUTATIONS)
    summary, rows = found.summary.set_index("test"), found.table
    told: dict[str, Any] = {}
    factors = rows[rows["test"] == "tf"]
    if len(factors):
        told |= {"tf": float(factors["difference"].iloc[0]), "tf_p": float(factors["p_correlated"].iloc[0])}
    if (rows["test"] == "cell_types").any():
        sets = rows[rows["test"] == "cell_types"]
        told |= {"markers": int(sets["significant"].sum()), "markers_tested": len(sets)}
    targets = rows[(rows["test"] == "encode") & (rows["ranking"] == "specific")]
    if len(targets):
        mean, low, high = mean_with_ends(targets["auroc"] - targets["auroc_expected"])
        told |= {"encode": mean} | ({"encode_low": low, "encode_high": high} if len(targets) > 1 else {})
        one = summary.loc[["encode"]].query("ranking == 'specific'").iloc[0]
        told |= {
            "encode_share": one["share"],
            "encode_by_chance": one["share_by_chance"],
            "encode_factors": len(targets),
        }
    reasons = found.summary.loc[found.summary["not_available"] != "", ["test", "ranking", "not_available"]]
    told["message"] = "; ".join(f"{one.test}, {one.ranking}: {one.not_available}" for one in reasons.itertuples())
    return told
