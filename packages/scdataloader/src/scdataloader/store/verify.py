"""Read a store whole and compare checksums, set damaged shards aside on request; and tell people what a store holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from scdataloader.store.build import build_lock
from scdataloader.store.manifest import FileEntry, Manifest
from scdataloader.store.reader import CellReader
from scdataloader.store.shard import CELLS, COUNTS, ENTRY, file_entry


def verify(folder: Path, *, quarantine: bool = False) -> Mapping[str, str]:
    """Return what is wrong with each damaged shard, by the shard's name; empty when all is well.

    A damaged gene table damages every shard over it.

    Parameters
    ----------
    folder
        Folder of the store.
    quarantine
        Move the files of damaged shards to ``quarantine/`` and write a manifest without them.

    Raises
    ------
    FileNotFoundError, ValueError
        When there is no manifest or it cannot be read.
    BlockingIOError
        When shards are to be set aside and another process writes the store.
    """
    manifest = Manifest.load(folder)
    problems = _problems(folder, manifest)
    if problems and quarantine:
        with build_lock(folder):
            _set_aside(folder, set(problems))
    return problems


def _problems(folder: Path, manifest: Manifest) -> dict[str, str]:
    tables = {entry.hash: _compare(folder / "genes" / f"{entry.hash}.parquet", entry.file) for entry in manifest.genes}
    found = {}
    for entry in tqdm(manifest.shards, desc="verifying", unit="shard", disable=None):
        faults = [
            _compare(folder / "shards" / (entry.name + COUNTS), entry.counts),
            _compare(folder / "shards" / (entry.name + CELLS), entry.cells),
            tables[entry.genes],
        ]
        text = "; ".join(fault for fault in faults if fault)
        if text:
            found[entry.name] = f"data set {entry.dataset!r}: {text}"
    return found


def _compare(path: Path, expected: FileEntry) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    size = path.stat().st_size
    if size != expected.bytes:
        return f"{path.name} has {size:,} bytes instead of {expected.bytes:,}"
    if file_entry(path).sha256 != expected.sha256:
        return f"the contents of {path.name} have changed: their checksum is another"
    return ""


def _set_aside(folder: Path, names: set[str]) -> None:
    manifest = Manifest.load(folder)  # another builder may have added shards meanwhile
    aside = folder / "quarantine"
    aside.mkdir(exist_ok=True)
    kept = tuple(entry for entry in manifest.shards if entry.name not in names)
    used = {entry.genes for entry in kept}
    lost = [entry for entry in manifest.genes if entry.hash not in used]
    changed = manifest.next(
        shards=kept,
        genes=tuple(entry for entry in manifest.genes if entry.hash in used),
        quarantined=tuple(sorted({*manifest.quarantined, *names})),
    )
    # the manifest first: no reader shall look for a file that has gone
    changed.save(folder)
    for name in sorted(names):
        for ending in (COUNTS, CELLS, ENTRY):
            path = folder / "shards" / (name + ending)
            if path.exists():
                path.replace(aside / path.name)
    for entry in lost:
        path = folder / "genes" / f"{entry.hash}.parquet"
        if path.exists():
            path.replace(aside / path.name)


def describe(store: CellReader) -> str:
    """Return a few lines on a store: its size, its data sets and their cells, its labels, and what is amiss."""
    facts = store.info()
    lines = [repr(store)]
    if "shards" in facts:
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
        Set damaged shards aside; see `verify`.

    Returns
    -------
    pandas.DataFrame
        Columns ``shard``, ``dataset``, ``cells``, ``problem`` (empty where all is well), in the order of the cells.
    """
    shards = Manifest.load(Path(path)).shards
    problems = verify(Path(path), quarantine=quarantine)
    rows = [(entry.name, entry.dataset, entry.n_cells, problems.get(entry.name, "")) for entry in shards]
    return pd.DataFrame(rows, columns=["shard", "dataset", "cells", "problem"])
