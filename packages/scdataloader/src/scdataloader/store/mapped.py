"""Shards as memory: mapped files, their sizes checked, and the addresses of their columns for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from scdataloader.store.cells_table import BEGIN, N_GENES, TOTAL
from scdataloader.store.manifest import Manifest, ShardEntry
from scdataloader.store.shard import CELLS, COUNTS, UNIT

if TYPE_CHECKING:
    from scdataloader.store.records import Shards


@dataclass(frozen=True)
class MappedShard:
    """One shard in memory: nothing is read before it is looked at."""

    entry: ShardEntry
    counts: pa.Buffer = field(repr=False)
    cells: pa.Table = field(repr=False)

    def column(self, name: str) -> np.ndarray:
        """Return a column without missing values as an array in the mapped file."""
        return self.cells.column(name).chunk(0).to_numpy(zero_copy_only=True)


def is_whole(folder: Path, entry: ShardEntry, ending: str) -> bool:
    """Whether a shard's file is there and as long as it should be."""
    path = folder / "shards" / (entry.name + ending)
    expected = entry.counts if ending == COUNTS else entry.cells
    return path.is_file() and path.stat().st_size == expected.bytes


def map_shard(folder: Path, entry: ShardEntry) -> MappedShard:
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
    return MappedShard(entry, map_file(folder / "shards" / (entry.name + COUNTS)), cells)


def map_file(path: Path) -> pa.Buffer:
    """Return a file as memory."""
    # the mapping outlives the closed file: a store of thousands of shards keeps no file open
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def addresses(shards: Sequence[MappedShard], manifest: Manifest) -> Shards:
    """Return where the shards lie, as the kernels take it. Keep `shards` alive as long as it is used."""
    from scdataloader.store.records import Shards

    table = {entry.hash: number for number, entry in enumerate(manifest.genes)}
    return Shards(
        first_row=np.cumsum([0, *(shard.entry.n_cells for shard in shards)], dtype=np.int64),
        counts=np.array([shard.counts.address for shard in shards], dtype=np.int64),
        n_units=np.array([shard.counts.size // UNIT for shard in shards], dtype=np.int64),
        begin=np.array([shard.column(BEGIN).ctypes.data for shard in shards], dtype=np.int64),
        total=np.array([shard.column(TOTAL).ctypes.data for shard in shards], dtype=np.int64),
        n_genes=np.array([shard.column(N_GENES).ctypes.data for shard in shards], dtype=np.int64),
        table=np.array([table[shard.entry.genes] for shard in shards], dtype=np.int64),
    )
