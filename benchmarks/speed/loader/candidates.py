"""The formats that were candidates for the store: each writes a CSR matrix of counts and gathers a panel of genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import zarr
from numba import njit
from scipy import sparse

from scdataloader.store import CellStore

#: From rows to dense counts of the panel, float32, shape (n_rows, n_panel).
Gather = Callable[[np.ndarray], np.ndarray]
#: Cells to a chunk of zarr.
_CHUNK_CELLS = 64


class Plain:
    """Memory-mapped CSR: a 16-bit gene index and a 16-bit count each. Its gather is the measure of all others."""

    name = "CSR, 16 + 16 bits, mapped"

    def write(self, counts: sparse.csr_matrix, folder: Path) -> None:
        """Write the three arrays."""
        np.minimum(counts.data, 65_535).astype(np.uint16).tofile(folder / "counts")
        counts.indices.astype(np.uint16).tofile(folder / "genes")
        counts.indptr.astype(np.int64).tofile(folder / "ends")

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:
        """Map them."""
        genes, counts = (np.memmap(folder / name, np.uint16, "r") for name in ("genes", "counts"))
        ends = np.memmap(folder / "ends", np.int64, "r")
        target = _target(panel, n_genes)

        def gather(rows: np.ndarray) -> np.ndarray:
            out = np.empty((len(rows), len(panel)), np.float32)
            _plain(genes, counts, ends, rows, target, out)
            return out

        return gather


class OneByte:
    """One byte a count where gap and count are small: 63 gaps × counts 1 to 4; larger counts in a list of 4 bytes."""

    name = "one byte: gap and count, mapped"

    def write(self, counts: sparse.csr_matrix, folder: Path) -> None:
        """Write the records and where they begin."""
        records, begin = _one_byte(counts.indices, counts.data.astype(np.int64), counts.indptr.astype(np.int64))
        records.tofile(folder / "records")
        begin.tofile(folder / "begin")

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:
        """Map them."""
        records, begin = np.memmap(folder / "records", np.uint8, "r"), np.memmap(folder / "begin", np.int64, "r")
        target = _target(panel, n_genes)
        steps = np.array([(code >> 2) if code < 252 else 62 * (code - 251) for code in range(256)], np.int64)

        def gather(rows: np.ndarray) -> np.ndarray:
            out = np.empty((len(rows), len(panel)), np.float32)
            _gather_one_byte(records, begin, rows, steps, target, out)
            return out

        return gather


class Packed:
    """The store as it is: two bytes a count, gap and count."""

    name = "two bytes: gap, count, mapped (chosen)"

    def write(self, counts: sparse.csr_matrix, folder: Path) -> None:
        """Build a store."""
        genes = pd.DataFrame(index=[f"g{i}" for i in range(counts.shape[1])])
        CellStore.build([("cells", anndata.AnnData(counts, var=genes))], folder)

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:  # noqa: ARG002 (the store knows)
        """Open it."""
        store = CellStore.open(folder)
        genes = store.gene_map([f"g{i}" for i in panel])
        return lambda rows: store.gather(rows, genes).counts


class PackedAhead(Packed):
    """The same with the system told of the next 16 batches, as the loader does for cold disks."""

    name = "the same, read ahead by 16 batches"

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:  # noqa: ARG002
        """Open it."""
        store = CellStore.open(folder)
        genes = store.gene_map([f"g{i}" for i in panel])

        def gather(rows: np.ndarray) -> np.ndarray:
            store.will_need(rows)
            batches = np.array_split(rows, max(1, len(rows) // 64))
            return np.concatenate([store.gather(batch, genes).counts for batch in batches])

        return gather


class H5ad:
    """An uncompressed h5ad file, row by row through h5py."""

    name = "h5ad, uncompressed, h5py"

    def write(self, counts: sparse.csr_matrix, folder: Path) -> None:
        """Write float32 and int32, as is usual."""
        with h5py.File(folder / "cells.h5", "w") as file:
            file["data"] = counts.data.astype(np.float32)
            file["indices"] = counts.indices.astype(np.int32)
            file["indptr"] = counts.indptr

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:
        """Open it, the row pointers in memory."""
        file = h5py.File(folder / "cells.h5", "r")
        return _row_by_row(file["indices"], file["data"], file["indptr"][:], panel, n_genes)


class Zarr:
    """Zarr v3: shards of many chunks of 64 cells each."""

    def __init__(self, codec: str) -> None:
        self.name = f"zarr v3 shards, {_CHUNK_CELLS}-cell chunks, blosc {codec}"
        self._codec = codec

    def write(self, counts: sparse.csr_matrix, folder: Path) -> None:
        """Write 16-bit arrays."""
        group = zarr.create_group(folder / "cells.zarr")
        chunk = int(_CHUNK_CELLS * counts.nnz / counts.shape[0])
        codec = zarr.codecs.BloscCodec(cname=self._codec, clevel=5, shuffle="bitshuffle")
        for name, values in (("genes", counts.indices), ("counts", np.minimum(counts.data, 65_535))):
            group.create_array(
                name, data=values.astype(np.uint16), chunks=(chunk,), shards=(64 * chunk,), compressors=codec
            )
        np.save(folder / "ends.npy", counts.indptr)

    def open(self, folder: Path, panel: np.ndarray, n_genes: int) -> Gather:
        """Open it, the row pointers in memory."""
        group = zarr.open_group(folder / "cells.zarr", mode="r")
        return _row_by_row(group["genes"], group["counts"], np.load(folder / "ends.npy"), panel, n_genes)


CANDIDATES: Sequence[Plain | OneByte | Packed | H5ad | Zarr] = (
    Plain(),
    Packed(),
    PackedAhead(),
    OneByte(),
    H5ad(),
    Zarr("lz4"),
    Zarr("zstd"),
)


def _row_by_row(genes, counts, ends: np.ndarray, panel: np.ndarray, n_genes: int) -> Gather:
    target = _target(panel, n_genes)

    def gather(rows: np.ndarray) -> np.ndarray:
        out = np.zeros((len(rows), len(panel)), np.float32)
        for line, row in zip(out, rows, strict=True):
            place = target[genes[ends[row] : ends[row + 1]]]
            line[place[place >= 0]] = counts[ends[row] : ends[row + 1]][place >= 0]
        return out

    return gather


def _target(panel: np.ndarray, n_genes: int) -> np.ndarray:
    target = np.full(n_genes, -1, np.int32)
    target[panel] = np.arange(len(panel))
    return target


@njit(nogil=True, cache=True)
def _plain(genes, counts, ends, rows, target, out):
    for i in range(len(rows)):
        out[i] = 0
        for j in range(ends[rows[i]], ends[rows[i] + 1]):
            place = target[genes[j]]
            if place >= 0:
                out[i, place] = counts[j]


@njit(cache=True)
def _one_byte(genes, counts, ends):
    n = len(ends) - 1
    begin = np.zeros(n + 1, np.int64)
    out = np.empty(8 * n + 10 * len(genes), np.uint8)
    at = 0
    for row in range(n):
        begin[row] = at
        at += 8
        position = 0
        for j in range(ends[row], ends[row + 1]):
            gap = genes[j] - position
            while gap > 62:
                skip = min(gap // 62, 4)
                out[at] = 251 + skip
                at += 1
                gap -= 62 * skip
            out[at] = gap * 4 + min(counts[j], 4) - 1
            at += 1
            position = genes[j]
        codes = at - begin[row] - 8
        n_large = 0
        for j in range(ends[row], ends[row + 1]):
            if counts[j] >= 4:  # gene and count again, exactly
                for byte in (genes[j] & 255, genes[j] >> 8, counts[j] & 255, min(counts[j] >> 8, 255)):
                    out[at] = byte
                    at += 1
                n_large += 1
        for byte in range(4):
            out[begin[row] + byte] = (codes >> (8 * byte)) & 255
            out[begin[row] + 4 + byte] = (n_large >> (8 * byte)) & 255
    begin[n] = at
    return out[:at].copy(), begin


@njit(nogil=True, cache=True)
def _gather_one_byte(records, begin, rows, steps, target, out):
    for i in range(len(rows)):
        out[i] = 0
        at = begin[rows[i]]
        codes, n_large = np.int64(0), np.int64(0)
        for byte in range(4):
            codes |= np.int64(records[at + byte]) << (8 * byte)
            n_large |= np.int64(records[at + 4 + byte]) << (8 * byte)
        position = np.int64(0)
        for j in range(at + 8, at + 8 + codes):
            code = records[j]
            position += steps[code]
            place = target[position]
            if place >= 0 and code < 252:
                out[i, place] = (code & 3) + 1
        at += 8 + codes
        for j in range(at, at + 4 * n_large, 4):
            place = target[np.int64(records[j]) | np.int64(records[j + 1]) << 8]
            if place >= 0:
                out[i, place] = np.int64(records[j + 2]) | np.int64(records[j + 3]) << 8
