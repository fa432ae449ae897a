"""The files of a store: the manifest, which says what there is, and shards of packed cells, each whole or not at all.

``FORMAT.md`` describes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from scdataloader._atomic import atomic_path
from scdataloader.store.cells_table import BEGIN, to_arrow, write_table

NAME = "manifest.json"
FORMAT = "scdataloader cell store"
#: Version of the format. Readers refuse another one.
SCHEMA = 1
#: How the files of a shard end.
COUNTS, CELLS, ENTRY = ".counts", ".cells.arrow", ".json"
#: How temporary files end; a builder that starts removes those a killed one left.
UNFINISHED = ".part"
#: Bytes of a unit of a record.
UNIT = 2
#: Largest count that a record holds.
LARGEST_COUNT = 2**32 - 1


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardEntry:
    """One shard.

    Attributes
    ----------
    name
        Of its files, without the endings: its input's key and its number among that input's shards.
    dataset
        Name of the data set its cells are from.
    key
        Fingerprint of the input and the settings it was built from.
    first_cell
        Which cell of the data set comes first.
    last
        Whether it ends the data set.
    n_cells, n_values
        Cells, and non-zero counts.
    genes
        Hash of its gene table.
    counts, cells
        Its two files.
    """

    name: str
    dataset: str
    key: str
    first_cell: int
    last: bool
    n_cells: int
    n_values: int
    genes: str
    counts: FileEntry
    cells: FileEntry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ShardEntry:
        """Read one entry of the JSON."""
        files = {name: FileEntry(**entry[name]) for name in ("counts", "cells")}
        return cls(**{**entry, **files})


@dataclass(frozen=True)
class GeneEntry:
    """One gene table: the hash of its gene ids, their number, and its file."""

    hash: str
    n_genes: int
    file: FileEntry


@dataclass(frozen=True)
class Manifest:
    """All that a reader needs to know before it opens a shard; see the module's docstring."""

    version: int
    genes: tuple[GeneEntry, ...]
    shards: tuple[ShardEntry, ...]
    labels: tuple[str, ...]
    quarantined: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def n_cells(self) -> int:
        """Cells in all shards."""
        return sum(shard.n_cells for shard in self.shards)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets, in order."""
        return list(dict.fromkeys(shard.dataset for shard in self.shards))

    def next(self, **changes: Any) -> Manifest:
        """Return the following version, with some fields changed."""
        return replace(self, version=self.version + 1, **changes)

    def save(self, folder: Path) -> None:
        """Write it in place of the former version; readers see the one or the other."""
        content = {
            "format": FORMAT,
            "schema": SCHEMA,
            "version": self.version,
            "n_cells": self.n_cells,
            "datasets": self.datasets,
            "labels": list(self.labels),
            "settings": dict(self.settings),
            "quarantined": list(self.quarantined),
            "genes": [asdict(entry) for entry in self.genes],
            "shards": [asdict(entry) for entry in self.shards],
        }
        write_json(folder / NAME, content)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read the manifest of a store.

        Raises
        ------
        FileNotFoundError
            When the folder holds no manifest: no store, or one whose build has not come to its end.
        ValueError
            When it is damaged or of another version of the format.
        """
        path = folder / NAME
        if not path.is_file():
            unfinished = (folder / "shards").is_dir()
            hint = "its build did not end: run it again, finished shards are kept" if unfinished else "is it a store?"
            raise FileNotFoundError(f"there is no {path}: {hint}")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            schema = content["schema"]
            if content["format"] != FORMAT or schema != SCHEMA:
                raise ValueError(f"{path} is of schema {schema}, this version of scdataloader reads schema {SCHEMA}")
            return cls(
                version=content["version"],
                genes=tuple(GeneEntry(e["hash"], e["n_genes"], FileEntry(**e["file"])) for e in content["genes"]),
                shards=tuple(ShardEntry.from_json(entry) for entry in content["shards"]),
                labels=tuple(content["labels"]),
                quarantined=tuple(content["quarantined"]),
                settings=content["settings"],
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} is damaged ({error!r}): build the store again, finished shards are kept"
            ) from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all, and wait until it is on the disk."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


class ShardWriter:
    """Streams records to a temporary file; `finish` gives the shard its name. Use it in a ``with`` block."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = [_temporary(folder, name + ending) for ending in (COUNTS, CELLS)]
        self._file = self._temporary[0].open("wb")
        self._digest = hashlib.sha256()
        self._begin: list[np.ndarray] = []
        self._n_genes: list[np.ndarray] = []
        self._total: list[np.ndarray] = []
        self.n_units = 0
        self.n_cells = 0

    def write(self, records: np.ndarray, sizes: np.ndarray, n_genes: np.ndarray, total: np.ndarray) -> None:
        """Append records, uint16, with the units, expressed genes and summed counts of each, shape (n_cells,)."""
        data = records.astype("<u2", copy=False).view(np.uint8).data
        self._file.write(data)
        self._digest.update(data)
        self._begin.append(self.n_units + np.cumsum(sizes) - sizes)
        self._n_genes.append(n_genes)
        self._total.append(total)
        self.n_units += int(sizes.sum())
        self.n_cells += len(sizes)

    def finish(self, obs: pd.DataFrame, **facts: Any) -> ShardEntry:
        """Write the table of the cells and the shard's entry; `facts` are the entry's remaining fields."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        n_genes, summed = np.concatenate(self._n_genes), np.concatenate(self._total)
        total = obs["total_counts"].to_numpy(np.float32) if "total_counts" in obs else summed
        write_table(to_arrow(obs, np.concatenate(self._begin), n_genes, total), str(self._temporary[1]))
        entry = ShardEntry(
            name=self._name,
            n_cells=self.n_cells,
            n_values=int(n_genes.sum()),
            counts=FileEntry(self.n_units * UNIT, self._digest.hexdigest()),
            cells=file_entry(self._temporary[1]),
            **facts,
        )
        for temporary, ending in zip(self._temporary, (COUNTS, CELLS), strict=True):
            _sync(temporary)
            temporary.replace(self._folder / (self._name + ending))
        # last, for it says that the shard is complete
        write_json(self._folder / (self._name + ENTRY), asdict(entry))
        return entry

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        for temporary in self._temporary:
            temporary.unlink(missing_ok=True)


def file_entry(path: Path) -> FileEntry:
    """Return the size and checksum of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(file.tell(), digest)


def _temporary(folder: Path, name: str) -> Path:
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=UNFINISHED)
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    Path(path).chmod(0o666 & ~umask)
    return Path(path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@dataclass(frozen=True)
class PackedCells:
    """Records of some cells and their table, in memory or mapped: nothing is read before it is looked at."""

    counts: pa.Buffer = field(repr=False)
    cells: pa.Table = field(repr=False)

    def column(self, name: str) -> np.ndarray:
        """Return a column without missing values as an array in the same memory."""
        return self.cells.column(name).chunk(0).to_numpy(zero_copy_only=True)


def is_whole(folder: Path, entry: ShardEntry, ending: str) -> bool:
    """Tell whether a shard's file is there and as long as it should be."""
    path = folder / "shards" / (entry.name + ending)
    expected = entry.counts if ending == COUNTS else entry.cells
    return path.is_file() and path.stat().st_size == expected.bytes


def map_shard(folder: Path, entry: ShardEntry) -> PackedCells:
    """Map both files of a shard.

    Raises
    ------
    ValueError
        When a file is missing, truncated or no table of cells; the message names it.
    """
    for ending in (COUNTS, CELLS):
        if not is_whole(folder, entry, ending):
            path = folder / "shards" / (entry.name + ending)
            expected = (entry.counts if ending == COUNTS else entry.cells).bytes
            found = f"{path.stat().st_size:,} bytes" if path.is_file() else "is missing"
            raise ValueError(
                f"{path} of data set {entry.dataset!r} is damaged: {found}, the manifest says {expected:,} bytes. "
                f"Set it aside with CellStore.verify({str(folder)!r}, quarantine=True), then build again"
            )
    table_file = map_file(folder / "shards" / (entry.name + CELLS))
    try:
        cells = pa.ipc.open_file(pa.BufferReader(table_file)).read_all()
        if cells.num_rows != entry.n_cells or BEGIN not in cells.column_names:
            raise ValueError(f"it holds {cells.num_rows} rows, the manifest says {entry.n_cells}")
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise ValueError(f"{entry.name}{CELLS} of data set {entry.dataset!r} is damaged: {error}") from error
    return PackedCells(map_file(folder / "shards" / (entry.name + COUNTS)), cells)


def map_file(path: Path) -> pa.Buffer:
    """Return a file as memory."""
    # the mapping outlives the closed file: a store of thousands of shards keeps no file open
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()
