"""The grid of a benchmark: every network that is to be made, and every truth that it is scored against."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bengrn._provenance import plain, tell
from bengrn._wording import listed
from bengrn.benchmarking.columns import DEGREES, HELD_OUT
from bengrn.benchmarking.config import Config, HeldOut, MethodEntry, NetworkEntry, TruthEntry
from bengrn.benchmarking.entries import labelled
from bengrn.benchmarking.job import Job, read_given
from bengrn.benchmarking.network_scores import Scoring
from bengrn.benchmarking.origin import versions
from bengrn.benchmarking.prepared_cells import PreparedCells, genes_alone, prepare
from bengrn.benchmarking.present import truth_is_there
from bengrn.benchmarking.work_files import DIGITS, WorkFiles, digest, sha256_of_truth, write_truth
from bengrn.infer_command import place_of
from bengrn.truths.ground_truth import GroundTruth
from grnndata import atomic_path

#: Methods that stand in every table, and how a reader sees them.
BASELINES = {"random": "random weights", "pearson": "|Pearson correlation|"}
#: What is told of a method that makes no other network.
_NOT_OF_KEY = ("label", "imports", "import_from", "pickle")
#: Packages whose versions make a result another one.
_OF_KEY = ("bengrn", "numpy", "scipy", "numba")


@dataclass(frozen=True)
class Planned:
    """A job of the grid, and what its rows say of method and cells."""

    job: Job
    columns: Mapping[str, Any]
    cells: PreparedCells


def lay_out(config: Config, files: WorkFiles) -> list[Planned]:
    """Prepare the cells and truths of a benchmark, and list its jobs.

    Parameters
    ----------
    config
        Benchmark.
    files
        Folder of the benchmark, where cells and truths are kept.

    Raises
    ------
    ValueError
        If a data set lacks a column, group or gene, a truth has no such organism, or a network belongs to no group.
    ConnectionError, FileNotFoundError
        If a truth cannot be fetched.
    """
    parts = {entry.name: prepare(entry, files) for entry in config.datasets}
    if not config.datasets:
        parts = {"": [genes_alone("", _genes_of(config.networks), _organism(config), files)]}
    truths: dict[tuple[int, str], tuple[str, GroundTruth]] = {}
    own = {entry.name: entry.truths for entry in config.datasets}
    planned: list[Planned] = []
    for dataset, cells_of in parts.items():
        entry = next((one for one in config.datasets if one.name == dataset), None)
        has_cells = entry is not None and (entry.path is not None or entry.cells is not None)
        for cells in cells_of:
            entries = own.get(dataset)
            if entry is not None and entry.held_out is not None and cells.held_out:
                scorings = [_prediction(config, entry.held_out, cells)]
            else:
                scorings = _scorings(config, config.truths if entries is None else entries, cells, truths, files)
            if not scorings:
                continue
            if has_cells:
                for method in _with_baselines(config):
                    planned += _of_method(method, cells, scorings, config, files)
            if cells.held_out:
                continue  # what cells the networks of others were inferred from is not known
            networks = [one for one in config.networks if (one.dataset or "") == dataset]
            planned += [_of_network(one, cells, scorings, config) for one in networks if _belongs(one, cells, cells_of)]
            if config.baselines:
                planned.append(_of_degrees(cells, scorings, config))
    _refuse_strays(config, parts)
    return _without_repeats(planned)


def _with_baselines(config: Config) -> list[MethodEntry]:
    methods = list(config.methods)
    if config.baselines:
        there = {one.name for one in methods if not one.settings}
        methods += [MethodEntry(name=name, label=label) for name, label in BASELINES.items() if name not in there]
    return methods


def _of_method(
    entry: MethodEntry, cells: PreparedCells, scorings: Sequence[Scoring], config: Config, files: WorkFiles
) -> list[Planned]:
    from bengrn.registry import get_method

    method = entry.method if entry.method is not None else get_method(entry.name, **entry.settings)
    source: dict[str, Any] = {"kind": "method", "name": entry.name, "settings": plain(dict(entry.settings))}
    source |= {"label": entry.label, "imports": list(getattr(method, "imports", ()))}
    if entry.place:
        module = find_spec(entry.place.partition(":")[0])
        code = "" if module is None or module.origin is None else tell(module.origin).get("sha256", "")
        source |= {"object": entry.place, "import_from": [str(Path.cwd())], "code": code}
    elif entry.method is not None:
        source |= _pickled(entry.method, entry.label, files)
    is_same = getattr(method, "deterministic", False) is True
    named = {key: value for key, value in source.items() if key not in _NOT_OF_KEY}
    of_key = {key: value for key, value in versions(method).items() if key not in ("python", "anndata", "pandas")}
    settings = dict(source["settings"]) | ({"absolute": True} if entry.absolute else {})
    columns = {"method": entry.name, "label": entry.label, "settings": json.dumps(settings, sort_keys=True)}
    planned = []
    for seed in config.seeds[:1] if is_same else config.seeds:
        key = digest([named, cells.name, "any" if is_same else seed, of_key])[:DIGITS]
        planned.append(_planned(key, source, cells, seed, scorings, config, columns, absolute=entry.absolute))
    return planned


def _of_network(entry: NetworkEntry, cells: PreparedCells, scorings: Sequence[Scoring], config: Config) -> Planned:
    path = Path(place_of(str(entry.path), cells.group))
    if not path.exists():
        raise ValueError(f"network {entry.name}: there is no file {path} for the group {cells.group!r}")
    told = tell(path)
    told.pop("file", None)
    reading = _reading(entry)
    source = {"kind": "file", "name": entry.name, "label": entry.name, "path": str(path.absolute())} | reading
    settings = {"absolute": True} if entry.absolute else {}
    columns = {"method": entry.name, "label": labelled(entry.name, settings), "settings": json.dumps(settings)}
    key = digest(["file", told, reading, cells.name, versions(None)["grnndata"]])[:DIGITS]
    return _planned(key, source, cells, config.seeds[0], scorings, config, columns, absolute=entry.absolute)


def _of_degrees(cells: PreparedCells, scorings: Sequence[Scoring], config: Config) -> Planned:
    columns = {"method": DEGREES, "label": DEGREES, "settings": "{}"}
    key = digest(["degrees", cells.name])[:DIGITS]
    return _planned(key, {"kind": "degrees"}, cells, config.seeds[0], scorings, config, columns)


def _planned(
    key: str,
    source: Mapping[str, Any],
    cells: PreparedCells,
    seed: int,
    scorings: Sequence[Scoring],
    config: Config,
    columns: Mapping[str, Any],
    *,
    absolute: bool = False,
) -> Planned:
    versions_ = {name: found for name, found in versions(None).items() if name in _OF_KEY}
    hows = {}
    for scoring in scorings:
        how = replace(scoring, absolute=absolute)
        hows[digest([plain(how), seed, versions_])[:DIGITS]] = how
    limits = {"time": config.time, "memory": config.memory}
    job = Job(key=key, source=source, cells=cells.name, seed=seed, scorings=hows, limits=limits)
    told = {
        "dataset": cells.dataset,
        "group": cells.group,
        "replicate": cells.replicate,
        "seed": seed,
        "n_cells": cells.n_cells or None,
        "n_genes": cells.n_genes,
        "expression_sha256": cells.sha256 if cells.n_cells else "",
    }
    return Planned(job, dict(columns) | told, cells)


def _scorings(
    config: Config,
    entries: Sequence[TruthEntry],
    cells: PreparedCells,
    truths: dict[tuple[int, str], tuple[str, GroundTruth]],
    files: WorkFiles,
) -> list[Scoring]:
    found = []
    for entry in entries:
        organism = entry.organism or cells.organism
        known = (id(entry), organism)
        if known not in truths:
            truth = _loaded(entry, organism)
            sha256 = sha256_of_truth(truth)
            if not truth_is_there(sha256, files):
                write_truth(files.truth(sha256), truth)
            truths[known] = (sha256, truth)
        sha256, truth = truths[known]
        found.append(
            Scoring(
                truth=entry.name,
                sha256=sha256,
                organism=truth.organism,
                regulators=config.regulators,
                orientations=config.orientations,
                n_replicates=config.bootstrap,
                n_permutations=config.permutations,
            )
        )
    return found


def _prediction(config: Config, how: HeldOut, cells: PreparedCells) -> Scoring:
    return Scoring(
        truth=HELD_OUT,
        sha256=cells.held_out,
        organism=cells.organism,
        regulators=config.regulators,
        orientations=("as stored",),
        n_replicates=0,
        n_permutations=0,
        held_out=True,
        by=how.by,
    )


def _loaded(entry: TruthEntry, organism: str) -> GroundTruth:
    from bengrn.truths import load_truth

    if entry.loaded is not None:
        return entry.loaded
    try:
        if entry.path is not None and not entry.truth:
            return GroundTruth.read(entry.path, columns=entry.columns, organism=organism, directed=entry.directed)
        options = dict(entry.options) | ({} if entry.path is None else {"path": entry.path})
        return load_truth(entry.truth, organism, **options)
    except (ValueError, TypeError) as error:
        raise ValueError(f"truth {entry.name}: {error}") from error


def _belongs(entry: NetworkEntry, cells: PreparedCells, all_of: Sequence[PreparedCells]) -> bool:
    if "{group}" in str(entry.path):
        return entry.replicate in (None, cells.replicate)
    if sum(not one.held_out for one in all_of) == 1:
        return entry.group in (None, cells.group) and entry.replicate in (None, cells.replicate)
    return (entry.group or "", entry.replicate or "") == (cells.group, cells.replicate)


def _refuse_strays(config: Config, parts: Mapping[str, Sequence[PreparedCells]]) -> None:
    for entry in config.networks:
        of = parts[entry.dataset or ""]
        if not any(_belongs(entry, cells, of) for cells in of):
            names = [" / ".join(filter(None, (cells.group, cells.replicate))) for cells in of]
            there = listed(list(dict.fromkeys(names)))
            raise ValueError(
                f"network {entry.name}: say of which group of {entry.dataset} it is, group: (and replicate:), one of "
                f"{there}"
            )


def _without_repeats(planned: list[Planned]) -> list[Planned]:
    """Leave out what stands in the grid twice, such as one network of two names of the same cells."""
    seen: dict[Any, Planned] = {}
    for one in planned:
        seen.setdefault((one.job.key, tuple(one.columns.items())), one)
    return list(seen.values())


def _genes_of(networks: Sequence[NetworkEntry]) -> list[str]:
    return sorted({str(gene) for one in networks for gene in read_given(str(one.path), **_reading(one)).var_names})


def _reading(entry: NetworkEntry) -> dict[str, Any]:
    return {key: getattr(entry, key) for key in ("network", "columns", "duplicates", "missing", "orientation")}


def _organism(config: Config) -> str:
    return next((one.organism for one in config.truths if one.organism), "human")


def _pickled(method: Any, label: str, files: WorkFiles) -> dict[str, Any]:
    """Write a method that Python made for the processes that run it."""
    module = getattr(getattr(method, "function", None), "__module__", None) or type(method).__module__
    try:
        if module == "__main__":
            raise TypeError("it is defined in __main__, which other processes do not have")
        held = pickle.dumps(method)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"the method {label} cannot be handed to another process: {error}. Define it in a module, my_module.py, "
            "and import it from there"
        ) from error
    code = hashlib.sha256(held).hexdigest()
    path = files.work / "methods" / f"{code[:DIGITS]}.pickle"
    with atomic_path(path) as temporary:
        temporary.write_bytes(held)
    return {"pickle": str(path.absolute()), "code": code}
