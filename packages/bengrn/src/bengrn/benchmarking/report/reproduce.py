"""How a row of a benchmark is made again: the command, the part of the configuration, and checksums to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bengrn.benchmarking.report.reading import Results


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
    elif "config" in results.run:
        told["Configuration"] = _snippet(results.run["config"], row)
        told["Command"] = "bengrn run row.yaml -o results-of-row"
    named = {
        "Note": row["message"] if row["status"] == "ok" else "",
        "Cells": _sized(row, "expression_sha256", "n_cells", "cells"),
        "Truth": _checksum(row["truth_sha256"]),
        "Network": _sized(row, "network_sha256", "n_genes", "genes"),
        "Commit": row["commit"],
        "Versions": _versions(row["versions"]),
        "Machine": row["machine"] + (f", {row['threads']} threads" if pd.notna(row["threads"]) else ""),
        "Scored": row["date"],
    }
    return told | {name: text for name, text in named.items() if text}


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


def _snippet(config: Mapping[str, Any], row: pd.Series) -> str:
    """Return the configuration of one row: that of the run, with one method, data set, group, truth and seed."""
    kept = {key: value for key, value in config.items() if key not in ("out", "title") and value not in (None, [], {})}
    for key, names in (("methods", ("label", "method")), ("datasets", ("dataset",)), ("truths", ("truth",))):
        if key in kept:
            kept[key] = [one for one in kept[key] if _name(one) in [row[name] for name in names]] or kept[key]
    if row["group"]:
        group = {"groups": [row["group"]]}
        kept["datasets"] = [one | group if isinstance(one, dict) else one for one in kept.get("datasets", [])]
    kept["seeds"] = [int(row["seed"])]
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def _name(entry: Any) -> Any:
    return entry.get("label") or entry.get("name") if isinstance(entry, Mapping) else entry
