"""The header of a store: which shards it holds, over which genes, with sizes and checksums. See ``FORMAT.md``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scdataloader._atomic import atomic_path

NAME = "manifest.json"
FORMAT = "scdataloader cell store"
#: Version of the format. Readers refuse another one.
SCHEMA = 1


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
