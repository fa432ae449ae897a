"""What a store holds, and what is wrong with it, for people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scdataloader.store.manifest import Manifest
from scdataloader.store.reader import CellReader
from scdataloader.store.store import CellStore


def describe(store: CellReader) -> str:
    """Return a few lines on a store: its size, its data sets and their cells, its labels, and what is amiss."""
    facts = store.info()
    lines = [repr(store)]
    if isinstance(store, CellStore):
        lines.append(
            f"version {facts['version']}, {facts['shards']:,} shards, {facts['values']:,} counts in "
            f"{facts['bytes'] / 1e6:,.1f} MB, {facts['bytes_per_value']:.2f} bytes a count"
        )
        lines.append(f"labels: {', '.join(facts['labels']) or 'no columns *_ontology_term_id'}")
    sizes = ", ".join(f"{n:,}" for n in facts["gene_tables"].values())
    lines.append(f"genes of its {len(facts['gene_tables'])} gene tables: {sizes}")
    if facts.get("quarantined"):
        lines.append(f"set aside as damaged: {', '.join(facts['quarantined'])}; build again with the same inputs")
    slow = facts.get("slow", {})
    width = max((len(name) for name in facts["datasets"]), default=0)
    for name, n in facts["datasets"].items():
        why = f"  read row by row: {slow[name]}" if name in slow else ""
        lines.append(f"  {name:<{width}} {n:>12,} cells{why}")
    return "\n".join(lines)


def verify_table(path: Path | str, *, quarantine: bool = False) -> pd.DataFrame:
    """Read every byte of a store; return each shard with what is wrong with it.

    Parameters
    ----------
    quarantine
        Set damaged shards aside; see `CellStore.verify`.

    Returns
    -------
    pandas.DataFrame
        Columns ``shard``, ``dataset``, ``cells``, ``problem`` (empty where all is well), in the order of the cells.
    """
    shards = Manifest.load(Path(path)).shards
    problems = CellStore.verify(path, quarantine=quarantine)
    rows = [(entry.name, entry.dataset, entry.n_cells, problems.get(entry.name, "")) for entry in shards]
    return pd.DataFrame(rows, columns=["shard", "dataset", "cells", "problem"])
