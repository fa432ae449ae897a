"""Entries of a configuration: one method, data set, truth or network each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from anndata import AnnData

from bengrn._wording import listed
from bengrn.benchmarking.config import DataEntry, HeldOut, MethodEntry, NetworkEntry, TruthEntry
from bengrn.benchmarking.located_yaml import Section, near
from bengrn.methods.method import Method

_METHOD = ("name", "settings", "label", "object", "absolute")
_DATA = (
    *("name", "path", "cells", "groupby", "groups", "replicates", "n_genes", "n_cells", "genes", "genes_by"),
    *("regulators", "organism", "layer", "counts", "seed", "truths", "held_out"),
)
_TRUTH = ("name", "truth", "path", "columns", "organism", "options", "directed")
_NETWORK = (
    *("name", "path", "dataset", "group", "replicate", "network", "columns", "duplicates", "missing"),
    *("orientation", "absolute"),
)


def method_entry(one: Section) -> MethodEntry:
    """Check a method and its settings by making it."""
    from bengrn.registry import get_method, installed_name, list_methods

    one.known(*_METHOD)
    given = one.values.get("name")
    settings = one.values.get("settings") or {}
    if not isinstance(settings, Mapping):
        one.refuse(f"settings are names with values, such as {{n_trees: 100}}, and not {settings!r}", "settings")
    place = one.text("object") or ""
    try:
        if given is not None and not isinstance(given, str):
            found: Any = given
        elif place:
            found = object_at(place)
        elif given is None:
            one.refuse(f"a method has a name; there are: {listed(list_methods(), 40)}")
        elif given.strip().lower().replace("_", "-") not in {name.lower() for name in list_methods()}:
            one.refuse(f"there is no method {given!r}{near(given, list(list_methods()))}", "name")
        else:
            found = get_method(given)
            settings = found.with_settings(**settings).settings if isinstance(found, Method) else settings
            found = get_method(given, **settings)
        if settings and isinstance(found, Method) and not found.settings:
            found = found.with_settings(**settings)
    except (TypeError, ImportError) as error:
        one.refuse(str(error), *(["settings"] if "settings" in one.values else []))
    name = getattr(found, "name", None)
    if not isinstance(name, str) or not callable(getattr(found, "infer", None)):
        one.refuse(f"{given or place!r} is no method: it needs a name and infer(adata, *, regulators, rng)")
    if isinstance(found, Method):
        settings = dict(found.settings)
    if isinstance(given, str):
        name = given if place else installed_name(given)
    is_other = place or not isinstance(given, str)
    absolute = one.flag("absolute", default=False)
    label = one.text("label") or labelled(name, dict(settings) | ({"absolute": True} if absolute else {}))
    return MethodEntry(
        name=name,
        settings=dict(settings),
        place=place,
        method=found if is_other else None,
        label=label,
        absolute=absolute,
    )


def labelled(name: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a method with its settings."""
    told = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name} ({told})" if told else name


def object_at(place: str) -> Any:
    """Return the object that ``module:NAME`` names; modules beside the working directory are found, too.

    Raises
    ------
    ImportError
        If the module or name does not exist.
    """
    module, colon, name = place.partition(":")
    if not colon:
        raise ImportError(f"an object is named as module:NAME, and not {place!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"the module {module} has no {name!r}") from error


def data_entry(one: Section) -> DataEntry:
    """Check a data set; its file is not read yet."""
    one.known(*_DATA)
    cells, path = one.values.get("cells"), one.values.get("path")
    if isinstance(path, AnnData):
        cells, path = path, None
    if cells is not None and not isinstance(cells, AnnData):
        one.refuse(f"cells are an AnnData, and not {type(cells).__name__}; a file is named by path", "cells")
    genes = _genes(one, "genes")
    if cells is None and path is None and genes is None:
        one.refuse("a data set has a path to its cells, or genes alone for networks that are given by file")
    place = None if path is None else existing(one, str(path))
    name = one.text("name") or ("" if place is None else place.name.split(".")[0])
    if not name and cells is not None:
        one.refuse("cells that are given as an AnnData need a name", "cells")
    if genes is not None and one.values.get("n_genes") is not None:
        one.refuse("genes and n_genes both choose genes: give one of them", "n_genes")
    groups, replicates = _parts_of_cells(one)
    regulators: Any = one.values.get("regulators")
    if regulators in (None, "all"):
        regulators = None
    elif regulators != "tf":
        regulators = _genes(one, "regulators")
    truths = None
    if one.values.get("truths") is not None:
        truths = tuple(truth_entry(below) for below in one.entries("truths", "name"))
    if one.text("layer") is not None and one.text("counts", "X") != "X":
        one.refuse("layer and counts are two places of the expression: give one", "counts")
    return DataEntry(
        name=name,
        path=place,
        cells=cells,
        gene_list=genes,
        groupby=one.text("groupby"),
        groups=None if groups is None else tuple(groups),
        replicates=replicates,
        n_genes=one.whole("n_genes", least=2),
        n_cells=one.whole("n_cells"),
        genes_by=one.choice("genes_by", "all", ("all", "group")),
        regulators=regulators,
        organism=one.text("organism", "human") or "human",
        layer=one.text("layer"),
        counts=one.text("counts", "X") or "X",
        seed=one.whole("seed", 0, least=0) or 0,
        truths=truths,
        held_out=_held_out(one, has_cells=cells is not None or place is not None),
    )


def _held_out(one: Section, *, has_cells: bool) -> HeldOut | None:
    """Return which cells are held out; a number is their share."""
    given = one.values.get("held_out")
    if given is None:
        return None
    if not has_cells:
        one.refuse("cells are held out of a data set that has cells: name their file, path", "held_out")
    below = one.section("held_out", values={"share": given} if isinstance(given, int | float) else given)
    below.known("share", "by")
    share = below.values.get("share", HeldOut.share)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        below.refuse(f"share is between 0 and 1, such as 0.2 for a fifth of the cells, and not {share!r}", "share")
    return HeldOut(share=float(share), by=below.text("by"))


def _parts_of_cells(one: Section) -> tuple[list[str] | None, str | int | None]:
    """Return groups and replicates."""
    groups = one.names("groups")
    if groups is not None and one.values.get("groupby") is None:
        one.refuse("groups need groupby: the column of obs that names the cells' groups", "groups")
    replicates = one.values.get("replicates")
    if replicates is not None and not isinstance(replicates, str):
        replicates = one.whole("replicates", least=2)
        if one.values.get("n_cells") is None:
            one.refuse("a number of replicates draws n_cells so many times: give n_cells", "replicates")
    return groups, replicates


def truth_entry(one: Section) -> TruthEntry:
    """Check a truth; its edges are not read yet."""
    from bengrn.truths import GroundTruth, truth_records

    one.known(*_TRUTH)
    given = one.values.get("name")
    if isinstance(given, GroundTruth):
        return TruthEntry(name=given.name, loaded=given, organism=given.organism, directed=given.directed)
    options = one.values.get("options") or {}
    if not isinstance(options, Mapping):
        one.refuse(f"options are names with values, such as {{levels: A}}, and not {options!r}", "options")
    columns = one.names("columns")
    path = one.text("path")
    known: str | None = one.text("truth") or (str(given) if path is None else None)
    if path is None and known is not None and not _is_truth(known):
        if not one.path(known).is_file():
            names = sorted({record.name for record in truth_records()})
            one.refuse(f"there is no truth {known!r}, and no such file{near(known, names)}", "name")
        path, known = known, None
    place = None if path is None else existing(one, path)
    name = str(given) if given is not None and given != path else (place.name.split(".")[0] if place else str(known))
    return TruthEntry(
        name=name,
        truth="" if known is None else known,
        path=place,
        columns=None if columns is None else tuple(columns),
        organism=one.text("organism"),
        options=dict(options),
        directed=one.flag("directed", default=True),
    )


def _is_truth(name: str) -> bool:
    from bengrn.truths import truth_records

    try:
        return bool(truth_records(name))
    except ValueError:
        return False


def network_entry(one: Section, datasets: Sequence[DataEntry]) -> NetworkEntry:
    """Check a network of others; its file is not read yet."""
    one.known(*_NETWORK)
    path = one.text("path")
    if path is None:
        one.refuse("a network has a path: its file")
    dataset = one.text("dataset")
    names = [data.name for data in datasets]
    if dataset is not None and dataset not in names:
        one.refuse(f"there is no data set {dataset!r}{near(dataset, names)}", "dataset")
    if dataset is None and len(names) == 1:
        dataset = names[0]
    if dataset is None and names:
        one.refuse(f"a network is scored on the genes of a data set: say which, dataset: one of {listed(names)}")
    columns = one.names("columns")
    place = one.path(path) if "{group}" in path else existing(one, path)
    if "{group}" in path and one.values.get("group") is not None:
        one.refuse("{group} in the path stands for every group: leave group out", "group")
    return NetworkEntry(
        name=one.text("name") or place.name.split(".")[0],
        path=place,
        dataset=dataset,
        group=one.text("group"),
        replicate=one.text("replicate"),
        network=one.text("network"),
        columns=None if columns is None else tuple(columns),
        duplicates=one.choice("duplicates", "error", ("error", "sum", "max")),
        missing=one.choice("missing", "error", ("error", "drop")),
        orientation=one.choice("orientation", "regulator_target", ("regulator_target", "target_regulator")),
        absolute=one.flag("absolute", default=False),
    )


def existing(one: Section, path: str, name: str = "path") -> Path:
    """Return a path of the configuration where something lies."""
    place = one.path(path)
    if not place.exists():
        there = [str(other.name) for other in place.parent.iterdir()] if place.parent.is_dir() else []
        hint = near(place.name, there) if there else ""
        one.refuse(f"there is no file {place}{hint}", name)
    return place


def _genes(one: Section, name: str) -> tuple[str, ...] | None:
    """Return names of genes: a list, or a file with one a line."""
    from bengrn.infer_command import names_in

    given = one.values.get(name)
    if isinstance(given, str):
        return tuple(names_in(str(existing(one, given, name)), name))
    found = one.names(name)
    return None if found is None else tuple(found)
