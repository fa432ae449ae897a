"""Shards as memory: mapped files, their sizes checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from scdataloader.store.cells_table import BEGIN
from scdataloader.store.manifest import ShardEntry
from scdataloader.store.shard import CELLS, COUNTS


@dataclass(frozen=True)
class PackedCells:
    """Records of some cells and their table, in memory or mapped: nothing is read before it is looked at."""

    counts: pa.Buffer = field(repr=False)
    cells: pa.Table = field(repr=False)

    def column(self, name: str) -> np.ndarray:
        """Return a column without missing values as an array in the same memory."""
        return self.cells.column(name).chunk(0).to_numpy(zero_copy_only=True)


def is_whole(folder: Path, entry: ShardEntry, ending: str) -> bool:
    """Whether a shard's file is there and as long as it should be."""
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
