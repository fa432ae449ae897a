"""The store as its users see it: build, open, add, look up, gather."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scdataloader.store.kernel_reader import PackedReader
from scdataloader.store.manifest import Manifest
from scdataloader.store.shard import map_shard

if TYPE_CHECKING:
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

        Raises
        ------
        ValueError
            When an input cannot be stored: values that are no counts, names given twice.
        FileExistsError
            When `out` holds a finished store of other inputs.
        BlockingIOError
            When another process builds it.
        OSError
            When the disk is full.
        """
        from scdataloader.store.build import build

        out = Path(out)
        return cls(out, build(files, out, workers=workers, shard_bytes=shard_bytes, add=False))

    @classmethod
    def open(cls, path: Path | str) -> CellStore:
        """Open a store; only the headers of its files are read.

        Raises
        ------
        FileNotFoundError
            When there is no store, or only an unfinished one.
        ValueError
            When a shard is missing or truncated; the message names it. `quarantine` sets it aside.
        """
        return cls(Path(path), Manifest.load(Path(path)))

    def add(self, files: Sequence[Given], *, workers: int = 1) -> CellStore:
        """Append data sets and return the store with them. This object, and other readers, keep what they had.

        Parameters and errors as for `build`; a data set of a known name is refused with ValueError.
        """
        from scdataloader.store.build import build

        size = self.manifest.settings["shard_bytes"]
        return type(self)(self.folder, build(files, self.folder, workers=workers, shard_bytes=size, add=True))

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
            Move damaged shards to the folder ``quarantine`` and write a manifest without them. `build` with the same
            inputs writes them again.
        """
        from scdataloader.store.verify import verify

        return verify(Path(path), quarantine=quarantine)

    # ------------------------------------------------------------------------------------------------------ inside

    def _fault(self, row: int) -> ValueError:
        entry = self.manifest.shards[int(self.part_of(np.array([row]))[0])]
        return ValueError(
            f"cell {row} in shard {entry.name} of data set {entry.dataset!r} is damaged: find out what "
            f"else is with CellStore.verify({str(self.folder)!r}), set it aside with quarantine=True"
        )
