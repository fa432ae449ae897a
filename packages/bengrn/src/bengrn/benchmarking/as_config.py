"""Check a configuration before anything is read or run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bengrn._wording import listed
from bengrn.benchmarking.config import Config
from bengrn.benchmarking.entries import data_entry, method_entry, network_entry, truth_entry
from bengrn.benchmarking.located_yaml import Section, near

#: Rows of the scored pairs.
UNIVERSES = ("assayed", "truth", "tf", "all")
_TIMES = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1.0, "B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_TOP = (
    *("methods", "datasets", "truths", "networks", "seeds", "regulators", "orientations", "baselines"),
    *("bootstrap", "permutations", "limits", "workers", "threads", "out", "title"),
)


def as_config(top: Section) -> Config:
    """Check a configuration.

    Parameters
    ----------
    top
        Configuration as it was read; paths are relative to its file.

    Raises
    ------
    ValueError
        If a name or a value is not known, a file is missing, or there is nothing to score; the message says where.
    """
    top.known(*_TOP)
    methods = [method_entry(one) for one in top.entries("methods", "name")]
    datasets = [data_entry(one) for one in top.entries("datasets", "path")]
    truths = [truth_entry(one) for one in top.entries("truths", "name")]
    networks = [network_entry(one, datasets) for one in top.entries("networks", "path")]
    for kind, entries in (("methods", methods), ("datasets", datasets), ("truths", truths)):
        labels = [getattr(one, "label", "") or one.name for one in entries]
        for i, label in enumerate(labels):
            if label in labels[:i]:
                what = "label" if kind == "methods" else "name"
                top.refuse(f"two {kind} are called {label!r}: give one of them another {what}", kind, i)
    _refuse_empty(top, methods, datasets, truths, networks)
    seeds = top.values.get("seeds", [0])
    seeds = [seeds] if isinstance(seeds, int) else seeds
    if not isinstance(seeds, list | tuple) or not seeds or any(type(one) is not int or one < 0 for one in seeds):
        top.refuse(f"seeds are whole numbers from 0, such as [0, 1, 2], and not {seeds!r}", "seeds")
    if len(set(seeds)) < len(seeds):
        top.refuse(f"a seed stands twice in {seeds!r}", "seeds")
    orientations = top.names("orientations") or ["as stored", "transposed"]
    for one in orientations:
        if one not in ("as stored", "transposed"):
            top.refuse(f"orientations are 'as stored' and 'transposed', and not {one!r}", "orientations")
    limits = top.section("limits") if top.values.get("limits") is not None else Section({})
    limits.known("time", "memory")
    return Config(
        methods=tuple(methods),
        datasets=tuple(datasets),
        truths=tuple(truths),
        networks=tuple(networks),
        seeds=tuple(seeds),
        regulators=top.choice("regulators", "assayed", UNIVERSES),
        orientations=tuple(dict.fromkeys(orientations)),
        baselines=top.flag("baselines", default=True),
        bootstrap=top.whole("bootstrap", 200, least=0) or 0,
        permutations=top.whole("permutations", 200, least=0) or 0,
        time=_amount(limits, "time", _TIMES),
        memory=_amount(limits, "memory", _SIZES),
        workers=top.whole("workers", least=0),
        threads=top.whole("threads", 1) or 1,
        out=None if top.text("out") is None else top.path(str(top.text("out"))),
        title=top.text("title") or "",
    )


def _refuse_empty(
    top: Section, methods: list[Any], datasets: list[Any], truths: list[Any], networks: list[Any]
) -> None:
    if not methods and not networks:
        top.refuse("there is nothing to score: name methods, such as 'methods: [pearson]', or networks")
    if methods and not any(one.path is not None or one.cells is not None for one in datasets):
        top.refuse("methods infer networks from cells: name data sets, such as 'datasets: [cells.h5ad]'")
    with_network = {one.dataset for one in networks}
    bare = [one.name for one in datasets if one.truths is None and (one.held_out is None or one.name in with_network)]
    if not truths and (bare or not datasets):
        of = f" for {listed(bare)}" if bare else ""
        top.refuse(f"there is no truth to score against{of}: name some, such as 'truths: [omnipath-demo]'")


def _amount(limits: Section, name: str, units: Mapping[str, float]) -> float | None:
    value = limits.values.get(name)
    if value is None:
        return None
    found = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]*)\s*", str(value))
    unit = next((u for u in units if found and u.lower() == found[2].lower()), None)
    try:
        amount = float(found[1]) * units[unit] if found and unit is not None else 0.0
    except ValueError:
        amount = 0.0
    if not amount > 0:
        some = {"time": "90, '30 min' or '2 h'", "memory": "'500 MB' or '8 GB'"}[name]
        limits.refuse(
            f"the limit of {name} is such as {some}, and not {value!r}{near(str(value), list(units)[1:])}", name
        )
    return amount
