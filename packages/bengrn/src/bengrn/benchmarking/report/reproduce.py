"""Tell how to make a row of a benchmark again: command, its part of the configuration, checksums to compare with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from bengrn.benchmarking.columns import HELD_OUT
from bengrn.benchmarking.report.reading import Results

#: Keys of a run's record that a configuration calls otherwise, and those that it has not.
_RENAMED = {"gene_list": "genes", "place": "object"}
_LEFT_OUT = ("out", "title", "workers", "method", "cells", "loaded", "time", "memory")


def reproduction(results: Results, row: pd.Series) -> dict[str, str]:
    """Return what makes a row again, as names and texts.

    Parameters
    ----------
    results
        Results of a benchmark.
    row
        Row of its table.

    Returns
    -------
    dict
        Command and configuration, checksums of the cells, truth and network, versions, machine and time, as far as
        they are known.
    """
    told: dict[str, str] = {}
    if row["added"]:
        told["From"] = f"a table of others, {row['added']}: whoever made it knows how"
    elif isinstance(results.run.get("config"), Mapping):
        told["Command"] = "bengrn run row.yaml -o row"
        told["row.yaml"] = configuration(results.run["config"], row)
    named = {
        "Note": row["message"] if row["status"] == "ok" else "",
        "Cells": _sized(row, "expression_sha256", "n_cells", "cells"),
        "Truth": _checksum(row["truth_sha256"]),
        "Network": _sized(row, "network_sha256", "n_genes", "genes"),
        "Commit": row["commit"],
        "Versions": _versions(row["versions"]),
        "Machine": row["machine"] + (f"; threads: {row['threads']}" if pd.notna(row["threads"]) else ""),
        "Scored": row["date"],
    }
    return told | {name: text for name, text in named.items() if text}


def configuration(config: Mapping[str, Any], row: pd.Series) -> str:
    """Return the configuration of one row, as YAML: that of the run, with its method, data set, group, truth and seed.

    Parameters
    ----------
    config
        Configuration of the run, as its record holds it.
    row
        Row of the table.
    """
    kept = _without_empty(config)
    methods, networks = kept.pop("methods", []), kept.pop("networks", [])
    from_file = _named(networks, row["method"])
    if from_file:
        kept["networks"] = from_file
    else:  # a baseline that is made of the truth comes with any method
        kept["methods"] = _named(methods, row["label"]) or _named(methods, row["method"]) or methods[:1]
    datasets = _named(kept.get("datasets", []), row["dataset"])
    for one in datasets:
        if row["group"] and "groupby" in one:
            one["groups"] = [row["group"]]
        if row["truth"] == HELD_OUT:
            one.pop("truths", None)
            continue
        one.pop("held_out", None)
        if "truths" in one:
            one["truths"] = _named(one["truths"], row["truth"]) or one["truths"]
    truths = kept.get("truths", []) if row["truth"] != HELD_OUT else []
    kept |= {"datasets": datasets, "truths": _named(truths, row["truth"]) or truths, "seeds": [int(row["seed"])]}
    first = ("methods", "networks", "datasets", "truths", "seeds")
    ordered = {key: kept[key] for key in (*first, *(key for key in kept if key not in first)) if kept.get(key)}
    text = yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=100)
    return "# files are given by their names alone: say where yours are\n" * ("path:" in text) + text


def command_line(words: Sequence[str] | str) -> str:
    """Return a command line as one types it, the program by its name alone."""
    if isinstance(words, str) or not words:
        return str(words or "")
    return shlex.join([Path(words[0]).name, *words[1:]])


def _without_empty(value: Any) -> Any:
    """Return what a configuration has to say: without what is empty or false, and files by their names."""
    if isinstance(value, Mapping):
        told = {_RENAMED.get(key, key): _without_empty(one) for key, one in value.items() if key not in _LEFT_OUT}
        for key in ("path", "genes", "regulators"):
            if isinstance(told.get(key), str):
                told[key] = Path(told[key]).name
        return {key: one for key, one in told.items() if one not in (None, "", False, [], {}) or key == "baselines"}
    return [_without_empty(one) for one in value] if isinstance(value, list | tuple) else value


def _named(entries: Any, name: str) -> list[Any]:
    names = [entry.get("label") or entry.get("name") if isinstance(entry, Mapping) else entry for entry in entries]
    return [entry for entry, one in zip(entries, names, strict=True) if one == name]


def _checksum(text: str) -> str:
    return f"sha256 {text}" if text else ""


def _sized(row: pd.Series, checksum: str, number: str, noun: str) -> str:
    size = f"{int(row[number]):,} {noun}" if pd.notna(row[number]) else ""
    return ", ".join(part for part in (size, _checksum(row[checksum])) if part)


def _versions(text: str) -> str:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return text
    return ", ".join(f"{name} {version}" for name, version in found.items()) if isinstance(found, dict) else text
