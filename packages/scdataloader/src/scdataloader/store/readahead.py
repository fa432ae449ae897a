"""Have the system read records that will be needed soon: many requests wait for the disk together, not one by one."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scdataloader.store.records import Shards

_WILL_NEED = 3


def advise(first: np.ndarray, last: np.ndarray) -> None:
    """Announce ranges of mapped memory in order of their place, each page once; does nothing on Windows.

    Parameters
    ----------
    first, last
        Addresses where they begin and end; int64, of one shape.
    """
    call = _madvise()
    if call is None or len(first) == 0:
        return
    first = first - first % mmap.PAGESIZE
    order = np.argsort(first)
    for begin, end in _joined(first[order], np.maximum.accumulate(last[order])):
        call(begin, end - begin, _WILL_NEED)


def record_ranges(shards: Shards, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the records of rows begin and end in memory."""
    rows = np.unique(rows)
    numbers = np.searchsorted(shards.first_row, rows, side="right") - 1
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for number in np.unique(numbers):
        n_rows = int(shards.first_row[number + 1] - shards.first_row[number])
        begins = _begins(int(shards.begin[number]), n_rows)
        local = rows[numbers == number] - shards.first_row[number]
        following = np.minimum(local + 1, n_rows - 1)
        ends = np.where(local + 1 < n_rows, begins[following], shards.n_units[number]).astype(np.int64)
        found.append((shards.counts[number] + 2 * begins[local].astype(np.int64), shards.counts[number] + 2 * ends))
    return _all(found)


def chunk_ranges(
    chunks: np.ndarray, size: int, width: int, begins: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the elements ``begins[i]`` to ``ends[i]`` of a chunked array lie in memory.

    Parameters
    ----------
    chunks
        Address of each chunk.
    size, width
        Elements of a chunk, bytes of an element.
    """
    begins, ends = begins[ends > begins], ends[ends > begins]
    pieces = (ends - 1) // size - begins // size + 1
    which = np.repeat(np.arange(len(begins)), pieces)
    chunk = begins[which] // size + np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    inside = np.maximum(begins[which] - chunk * size, 0)
    until = np.minimum(ends[which] - chunk * size, size)
    return chunks[chunk] + width * inside, chunks[chunk] + width * until


def _all(ranges: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    none = np.empty(0, np.int64)
    first, last = zip(*ranges, strict=True) if ranges else ((none,), (none,))
    return np.concatenate(first), np.concatenate(last)


def _joined(first: np.ndarray, last: np.ndarray) -> list[tuple[int, int]]:
    """Join ranges that touch or share pages; both arrays ascend."""
    apart = np.flatnonzero(first[1:] > last[:-1]) + 1
    begins, ends = first[np.append(0, apart)], last[np.append(apart - 1, len(last) - 1)]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _begins(address: int, n_rows: int) -> np.ndarray:
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint32)), (n_rows,))


@lru_cache(maxsize=1)
def _madvise() -> Any:
    if sys.platform == "win32":
        return None
    call = ctypes.CDLL(None, use_errno=True).madvise
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return call
