"""Networks of cell types through ``bengrn run``: a configuration of this folder, and its table's main columns."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.grn.data_sets import TRUTHS, completed
from benchmarks.grn.enrichment import cells_of, enrichment_rows, network_folders
from benchmarks.peer import NOT_RUN
from benchmarks.weights import METHODS, tell_missing
from benchmarks.work import ROOT, checksum, data_folder
from bengrn import benchmark
from bengrn.benchmarking.preset import load_preset
from bengrn.benchmarking.work_files import WorkFiles, read_genes

HERE = Path(__file__).parent
#: Networks that are there already are not made again, as long as no code is another.
WORK = ROOT / "runs" / "bench" / "networks"
_CODE = ("benchmarks/grn/methods.py", *(f"packages/{name}/src" for name in ("bengrn", "grnndata", "scprint-model")))
SCORES = ("ap", "ap_ratio", "epr", "auprc_paper", "odds_ratio", "auroc", "gain")
NAMES = ("dataset", "group", "truth", "regulators", "orientation", "label")
SIZES = ("n_cells", "n_genes", "n_regulators_with_edges", "n_positives", "prevalence", "p_degree")
COST = ("wall_s", "cpu_s", "peak_memory_mb")


def network_scores(
    config: str,
    weights: Mapping[str, str] | None = None,
    methods: Sequence[str] | None = None,
    dataset: str | None = None,
    *,
    whole: bool = False,
) -> pd.DataFrame:
    """Run a configuration of this folder, and return its scores with their intervals, and tests of enrichment.

    A data set without a path is one of :mod:`benchmarks.grn.data_sets`. A configuration without methods, or of a
    preset, has those of methods.yaml. ``enrichment`` lists the tests that each network takes beside its scores.
    ``few`` keeps slow methods to few data sets: ``methods`` are their labels, and ``of`` names of data sets, or of
    groups of cells; what they are not run on is told. `weights` names the folder of each method of
    :mod:`benchmarks.weights` that is to be run, too. `methods` are the labels of those of the configuration that are
    run, with the baselines if "random" is among them, and `dataset` is the one of its data sets; all by default. With
    `whole`, every method is run on every data set, whatever ``few`` says.

    Raises
    ------
    RuntimeError
        If no network has a score.
    """
    told = read(config)
    NOT_RUN.update(told.pop("not_run", {}))
    tell_missing(weights or {})
    told["methods"] = [*told["methods"], *_with_weights(weights or {})]
    if methods is not None:
        told["methods"] = [one for one in told["methods"] if _label(one) in methods]
        told["baselines"] = "random" in methods
    if dataset is not None:
        told["datasets"] = [one for one in told["datasets"] if one["name"] == dataset]
    tests, few = told.pop("enrichment", ()), told.pop("few", {})
    if TRUTHS.is_dir():
        os.environ.setdefault("BENGRN_DATA", str(TRUTHS))
        os.environ.setdefault("GRNNDATA_CACHE", str(TRUTHS.parent / "sets"))
    limits = {f"{name}_limit": value for name, value in told.pop("limits", {}).items()}
    told["datasets"] = [completed(one) for one in told["datasets"]]
    tables, enriched, outs = [], [], list[Path]()
    for part, these in _parts(told, {} if whole else few):
        of = f"-{dataset}" if dataset else ""
        out = WORK / f"{config}{of}{part}-{checksum(tuple(ROOT / place for place in _CODE))[:12]}"
        if tables:
            these["datasets"] = [_with_genes(one, outs[0], tables[0]) for one in these["datasets"]]
        outs.append(out)
        tables.append(benchmark(**these, **limits, out=out))
        if tests:
            enriched.append(enrichment_rows(out, tables[-1], tests, workers=told.get("workers", 1)))
    table = pd.concat(tables, ignore_index=True)
    if not (table["status"] == "ok").any():
        first = table.iloc[0]
        raise RuntimeError(
            f"no network has a score; the first, {first['label']}, {first['status']}: {first['message']}"
        )
    kept = [name for score in SCORES for name in (score, f"{score}_low", f"{score}_high")]
    columns = [*NAMES, *(name for name in kept if name in table), *SIZES, *COST, "status", "message"]
    return pd.concat([table[columns], *enriched], ignore_index=True)


def _parts(told: Mapping[str, Any], few: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the suffix and the configuration of the methods for all data sets, and of those for few of them."""
    slow = [one for one in told["methods"] if _label(one) in few.get("methods", ())]
    usual = [one for one in told["methods"] if one not in slow]
    if usual or told.get("baselines", True):
        yield "", dict(told) | {"methods": usual}
    if not slow:
        return
    kept, left = [], []
    for one in told["datasets"]:
        groups = one.get("groups", ())
        mine = [group for group in groups if group in few["of"]]
        if one["name"] in few["of"] or mine:
            kept.append(one | ({"groups": mine} if mine else {}))
        left += [group for group in groups if group not in mine] if mine else [one["name"]]
    left = [name for name in left if name not in few["of"]]
    NOT_RUN.update({f"{_label(one)} on {', '.join(left)}": "slow: in the full size" for one in slow})
    if kept:
        yield "-few", dict(told) | {"methods": slow, "datasets": kept, "baselines": False}


def _with_genes(dataset: dict[str, Any], out: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Return a data set with the genes that another run chose, maybe by more groups: scores of other genes differ."""
    if "n_genes" not in dataset or dataset.get("genes_by") == "group":
        return dataset
    files = WorkFiles(out.absolute())
    places = network_folders(files)
    of_set = table.loc[table["dataset"] == dataset["name"], "network_sha256"]
    folder = next((places[made] for made in of_set if made in places), None)
    if folder is None:  # nothing there to compare with
        return dataset
    genes = read_genes(cells_of(folder, files)).var_names.tolist()
    return {key: value for key, value in dataset.items() if key != "n_genes"} | {"genes": genes}


def read(config: str) -> dict[str, Any]:
    """Return a configuration of this folder, or of a preset that it changes, with its methods."""
    told: dict[str, Any] = yaml.safe_load((HERE / f"{config}.yaml").read_text(encoding="utf-8"))
    preset = told.pop("preset", None)
    if preset is not None:
        told = dict(load_preset(preset, data_folder()).values) | told
    told.pop("title", None)
    return told | {"methods": told["methods"] if preset is None and "methods" in told else usual_methods()}


def _label(method: Any) -> str:
    """Return the label of a method as a configuration has it: a name, or a record of a name or an object."""
    if isinstance(method, str):
        return method
    if "label" in method or "name" in method:
        return str(method.get("label", method.get("name")))
    module, _, name = str(method["object"]).partition(":")
    return str(getattr(import_module(module), name).name)


def _with_weights(weights: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": METHODS[method][0], "label": method, "settings": {"folder": folder}}
        for method, folder in weights.items()
    ]


def usual_methods() -> list[Any]:
    """Return the methods of a configuration that names none."""
    told: list[Any] = yaml.safe_load((HERE / "methods.yaml").read_text(encoding="utf-8"))
    return told
