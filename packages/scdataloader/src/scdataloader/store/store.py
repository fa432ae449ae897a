"""The store as its users see it: build, open, add, look up, gather; check it, and tell people what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from scdataloader.store.files import CELLS, COUNTS, ENTRY, FileEntry, Manifest, file_entry, map_shard
from scdataloader.store.kernel_reader import PackedReader
from scdataloader.store.reader import CellReader

if TYPE_CHECKING:
    from scdataloader.expression.counts_choice import CountsChoice
    from scdataloader.store.build import Given


#: A shard ends before it would become larger.
SHARD_BYTES = 1 << 30


class CellStore(PackedReader):
    """Raw counts of many data sets on disk, one packed record a cell; see ``FORMAT.md`` beside this file.

    Open one with `open`, make one with `build`. A store that is open never changes: `add` and `verify` return another.
    It can be pickled (workers map the files themselves) and used from several threads at once.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        place = {name: number for number, name in enumerate(manifest.datasets)}
        table = {entry.hash: number for number, entry in enumerate(manifest.genes)}
        entries = manifest.shards
        super().__init__(
            [map_shard(folder, entry) for entry in entries],
            manifest.datasets,
            [place[entry.dataset] for entry in entries],
            [table[entry.genes] for entry in entries],
        )
        self.folder, self.manifest = folder, manifest

    # ------------------------------------------------------------------------------------------------ make and open

    @classmethod
    def build(
        cls,
        files: Sequence[Given],
        out: Path | str,
        *,
        workers: int = 1,
        shard_bytes: int = SHARD_BYTES,
        choice: CountsChoice | None = None,
    ) -> CellStore:
        """Store data sets of raw counts and open the result.

        A build that was killed, or stopped by a full disk, continues where it was when called again with the same
        inputs and settings. Readers see the store only once it is complete.

        Parameters
        ----------
        files
            Preprocessed h5ad files or zarr folders (see `scdataloader.Preprocessor`), or pairs of a name and a path or
            an AnnData. Each is one data set. They are read in blocks, never whole.
        out
            Folder of the store.
        workers
            Number of files converted at the same time, each by a process of its own; 1 converts them in this one.
        shard_bytes
            Size at which a new shard begins.
        choice
            Raw counts that are meant, as in a layer; see `scdataloader.expression.CountsChoice`. None: X, as
            preprocessed files have them.

        Raises
        ------
        ValueError
            When an input cannot be stored: values that are not counts, symbols in place of gene ids, names given twice.
        FileExistsError
            When `out` holds a finished store of other inputs.
        BlockingIOError
            When another process builds it.
        OSError
            When the disk is full.
        """
        from scdataloader.store.build import build

        out = Path(out)
        return cls(out, build(files, out, workers=workers, shard_bytes=shard_bytes, add=False, choice=choice))

    @classmethod
    def open(cls, path: Path | str) -> CellStore:
        """Open a store; only the headers of its files are read.

        Raises
        ------
        FileNotFoundError
            When the folder holds no store, or only an unfinished one.
        ValueError
            When a shard is missing or truncated; the message names it. `quarantine` sets it aside.
        """
        return cls(Path(path), Manifest.load(Path(path)))

    def add(self, files: Sequence[Given], *, workers: int = 1, choice: CountsChoice | None = None) -> CellStore:
        """Append data sets and return the store with them. This object, and other readers, keep what they had.

        Parameters and errors as for `build`; a data set of a known name is refused with ValueError.
        """
        from scdataloader.store.build import build

        size = self.manifest.settings["shard_bytes"]
        made = build(files, self.folder, workers=workers, shard_bytes=size, add=True, choice=choice)
        return type(self)(self.folder, made)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.manifest)

    # -------------------------------------------------------------------------------------------------- look at it

    def __repr__(self) -> str:
        return f"CellStore({str(self.folder)!r}: {len(self):,} cells of {len(self.datasets)} data sets)"

    @cached_property
    def gene_tables(self) -> list[pd.DataFrame]:
        """The gene tables, indexed by gene id; data sets of the same genes share one."""
        paths = [self.folder / "genes" / f"{entry.hash}.parquet" for entry in self.manifest.genes]
        return [pd.read_parquet(path) for path in paths]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the cells and their order: the same for a copy of the store, another when cells are added."""
        facts = [
            (entry.dataset, entry.genes, entry.counts.sha256, entry.cells.sha256) for entry in self.manifest.shards
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def info(self) -> dict[str, Any]:
        """Return what there is to know at a glance: sizes, data sets, labels."""
        entries = self.manifest.shards
        n_values = sum(entry.n_values for entry in entries)
        n_bytes = sum(entry.counts.bytes for entry in entries)
        return {
            "folder": str(self.folder),
            "version": self.manifest.version,
            "cells": len(self),
            "values": n_values,
            "shards": len(entries),
            "gene_tables": {entry.hash: entry.n_genes for entry in self.manifest.genes},
            "bytes": n_bytes + sum(entry.cells.bytes for entry in entries),
            "bytes_per_value": n_bytes / max(1, n_values),
            "datasets": {
                name: sum(entry.n_cells for entry in entries if entry.dataset == name) for name in self.datasets
            },
            "labels": list(self.manifest.labels),
            "quarantined": list(self.manifest.quarantined),
        }

    # -------------------------------------------------------------------------------------------- check and export

    @staticmethod
    def verify(path: Path | str, *, quarantine: bool = False) -> Mapping[str, str]:
        """Read every byte of a store and return what is wrong with which shard; empty when all is well.

        Parameters
        ----------
        quarantine
            Whether to move damaged shards to the folder ``quarantine`` and write a manifest without them. `build` with
            the same inputs writes them again.
        """
        return verify(Path(path), quarantine=quarantine)

    # ------------------------------------------------------------------------------------------------------ inside

    def _fault(self, row: int) -> ValueError:
        entry = self.manifest.shards[int(self.part_of(np.array([row]))[0])]
        return ValueError(
            f"cell {row} in shard {entry.name} of data set {entry.dataset!r} is damaged: find out what "
            f"else is with CellStore.verify({str(self.folder)!r}), set it aside with quarantine=True"
        )


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
        When the manifest does not exist or cannot be read.
    BlockingIOError
        When shards are to be set aside and another process writes the store.
    """
    from scdataloader.store.build import build_lock

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
