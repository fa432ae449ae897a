"""One number for each combination of labels, made from the columns a chunk of cells at a time, and its frequency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class CodeTable(NamedTuple):
    """The codes of some cells.

    Attributes
    ----------
    keys
        Hash table: a code or -1 at each place; int64, its length a power of two.
    slots
        Places of the codes in `keys`, in increasing order of the codes.
    counts
        How often each of these occurs.
    """

    keys: np.ndarray
    slots: np.ndarray
    counts: np.ndarray

    def of_slots(self, values: np.ndarray) -> np.ndarray:
        """Return what is given for each code at the code's place of the hash table; int64."""
        out = np.zeros(len(self.keys), np.int64)
        out[self.slots] = values
        return out


def count_codes(chunks: Iterable[np.ndarray]) -> CodeTable:
    """Count codes that come in chunks: int64, not negative."""
    from scdataloader.sampling.grouping import count, grow

    keys, counts, used = np.full(1 << 12, -1, np.int64), np.zeros(1 << 12, np.int64), 0
    for codes in chunks:
        done = 0
        while True:
            done, used = count(codes, done, keys, counts, used)
            if done == len(codes):
                break
            keys, counts = grow(keys, counts)
    slots = np.flatnonzero(keys >= 0)
    slots = slots[np.argsort(keys[slots])]
    return CodeTable(keys, slots, counts[slots])


#: Codes stay below this, so that 64 bits hold them.
_LARGEST = 2**62
#: And two columns' codes together, if each column has no more values than this.
_LARGEST_PART = 2**31
#: Cells looked at at a time: bounds the memory.
_CHUNK = 1 << 20


class LabelCodes:
    """Codes of cells: ``codes[where]`` is int64, equal for cells with equal labels, and sorts as the labels do.

    Parameters
    ----------
    labels
        Integers; shape (n_cells, n_columns) or (n_cells,), or a list of columns.
    """

    def __init__(self, labels: np.ndarray | Sequence[np.ndarray]) -> None:
        self._columns = columns_of(labels)
        self._set_ranges()
        if math.prod(self._sizes) > _LARGEST:
            for j, size in enumerate(self._sizes):
                if size > _LARGEST_PART:  # identifiers rather than codes
                    self._columns[j] = np.unique(self._columns[j], return_inverse=True)[1]
            self._set_ranges()
        while (product := np.cumprod(np.array(self._sizes, dtype=object)))[-1] > _LARGEST:
            n = int(np.sum(product <= _LARGEST))
            self._columns = [_dense(LabelCodes(self._columns[:n])), *self._columns[n:]]
            self._set_ranges()

    def _set_ranges(self) -> None:
        ranges = [_range(column) for column in self._columns]
        # modulo 2^64, like the sums with it: unsigned labels may be larger than an int64
        self._lows = [np.uint64(low % 2**64).astype(np.int64) for low, _ in ranges]
        self._sizes = [high - low + 1 for low, high in ranges]

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, where: slice | np.ndarray) -> np.ndarray:
        out = self._columns[0][where].astype(np.int64)
        out -= self._lows[0]
        for column, low, size in zip(self._columns[1:], self._lows[1:], self._sizes[1:], strict=True):
            out *= size
            out += column[where].astype(np.int64, copy=False)
            out -= low
        return out


def columns_of(labels: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the columns of labels; only those of another type that holds whole numbers are copied.

    Raises
    ------
    ValueError
        When no column is given, or they are not integers of one length.
    """
    if isinstance(labels, np.ndarray):
        if labels.ndim not in (1, 2):
            raise ValueError(f"labels has shape {labels.shape}: it must be (n_cells,) or (n_cells, n_columns)")
        columns = [labels] if labels.ndim == 1 else list(labels.T)
    else:
        columns = [np.asarray(column) for column in labels]
    shapes = sorted({column.shape for column in columns})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(f"labels has columns of shapes {shapes}: there must be one or more, all (n_cells,)")
    return [column if column.dtype.kind in "iub" else _whole(column) for column in columns]


def _whole(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind != "f":
        raise ValueError(f"labels are of type {column.dtype}: pass integer codes")
    wrong = column[~(np.abs(column) < 2**53) | (column != np.floor(column))]
    if len(wrong):
        raise ValueError(f"labels hold {wrong[0]}: pass integer codes")
    return column.astype(np.int64)


def _dense(codes: LabelCodes) -> np.ndarray:
    """Return the codes numbered in their order: as small as can be; int64 or narrower, shape (n_cells,)."""
    from scdataloader.sampling.grouping import number

    parts = [slice(begin, begin + _CHUNK) for begin in range(0, len(codes), _CHUNK)]
    table = count_codes(codes[part] for part in parts)
    numbers = table.of_slots(np.arange(len(table.counts)))
    out = np.empty(len(codes), np.min_scalar_type(len(table.counts)))
    for part in parts:
        out[part] = number(codes[part], table.keys, numbers)
    return out


def _range(column: np.ndarray) -> tuple[int, int]:
    parts = [column[begin : begin + _CHUNK] for begin in range(0, len(column), _CHUNK)]
    if not parts:
        return 0, 0
    return min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
