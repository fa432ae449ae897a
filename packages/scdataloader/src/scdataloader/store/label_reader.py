"""Label codes of any rows, straight from the mapped codes of the shards' dictionaries: no text is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
from numba.np.numpy_support import carray

from scdataloader.store.records import pointer

if TYPE_CHECKING:
    from scdataloader.labels.space import LabelSpace


class Codes(NamedTuple):
    """Dictionary columns, shape (n_shards, n_classes) each but for `lookup`.

    Attributes
    ----------
    address, width
        Where the codes lie, and bytes of each; width 0 where the shard has no such column.
    valid
        Where Arrow's bits of valid rows lie, 0 where all are.
    lookup, lookup_start
        Label codes of the dictionaries' entries, one after the other, and where each dictionary begins.
    """

    address: np.ndarray
    width: np.ndarray
    valid: np.ndarray
    lookup: np.ndarray
    lookup_start: np.ndarray


@numba.njit(nogil=True, cache=True)
def read_codes(first_row: np.ndarray, codes: Codes, rows: np.ndarray, out: np.ndarray) -> int:
    """Write the label codes of rows, shape (n_rows, n_classes); return the place of the first bad row, else -1."""
    for i in range(len(rows)):
        row = rows[i]
        if row < 0 or row >= first_row[-1]:
            return i
        shard = np.searchsorted(first_row, row, side="right") - 1
        at = row - first_row[shard]
        n_rows = first_row[shard + 1] - first_row[shard]
        for c in range(out.shape[1]):
            out[i, c] = -1
            width = codes.width[shard, c]
            if width == 0:
                continue
            bits = codes.valid[shard, c]
            if bits != 0 and not (carray(pointer(bits), (n_rows + 7) // 8, np.uint8)[at >> 3] >> (at & 7)) & 1:
                continue
            place = codes.address[shard, c]
            if width == 1:
                code = np.int64(carray(pointer(place), n_rows, np.int8)[at])
            elif width == 2:
                code = np.int64(carray(pointer(place), n_rows, np.int16)[at])
            else:
                code = np.int64(carray(pointer(place), n_rows, np.int32)[at])
            out[i, c] = codes.lookup[codes.lookup_start[shard, c] + code]
    return -1


class LabelReader:
    """Maps rows to codes of a `LabelSpace`; call it with rows, int64.

    The dictionary of each shard is mapped to the space's codes once, here.

    Parameters
    ----------
    tables
        Tables of the shards' cells.
    first_row
        First row of each shard, and the number of all rows; shape (n_shards + 1,).
    dataset
        Data set of each shard: which ontology a stage's name is from depends on all organisms of its data set.
    space
        Its classes are read from the columns that `LabelSpace.encode` takes; cells of a shard without one are unknown.
    """

    def __init__(
        self, tables: Sequence[pa.Table], first_row: np.ndarray, dataset: np.ndarray, space: LabelSpace
    ) -> None:
        from scdataloader.labels.space import label_column

        self._keep: list[pa.Table | pa.Array] = list(tables)
        self._first_row = first_row
        shape = (len(tables), len(space.classes))
        address, width, valid = (np.zeros(shape, np.int64) for _ in range(3))
        lookup_start = np.zeros(shape, np.int64)
        lookups: list[np.ndarray] = [np.full(1, -1, np.int64)]
        used = 1
        known: dict[tuple[int, tuple[str, ...], tuple[str, ...]], int] = {}
        organisms = _organisms(tables, dataset)
        for place, class_name in enumerate(space.classes):
            for shard, table in enumerate(tables):
                name = label_column(table.column_names, class_name)
                if name is None:
                    continue
                column = _dictionary(table, name)
                self._keep.append(column)
                validity, codes = column.indices.buffers()
                address[shard, place] = codes.address
                width[shard, place] = column.indices.type.bit_width // 8
                valid[shard, place] = validity.address if validity is not None else 0
                organism, taxa = organisms[int(dataset[shard])]
                terms = _terms(column)
                key = (place, terms, taxa)
                if key not in known:
                    known[key] = used
                    lookups.append(_encode(space, place, name, terms, organism, taxa))
                    used += len(terms)
                lookup_start[shard, place] = known[key]
        self._codes = Codes(address, width, valid, np.concatenate(lookups), lookup_start)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the codes; int64, shape (n_rows, n_classes), -1 unknown.

        Raises
        ------
        IndexError
            When a row is not in the store.
        """
        out = np.empty((len(rows), self._codes.address.shape[1]), np.int64)
        bad = read_codes(self._first_row, self._codes, np.ascontiguousarray(rows, dtype=np.int64), out)
        if bad >= 0:
            raise IndexError(f"there is no cell {rows[bad]}: the store holds {self._first_row[-1]}")
        return out


def _dictionary(table: pa.Table, name: str) -> pa.DictionaryArray:
    column = table.column(name).chunk(0)
    if not pa.types.is_dictionary(column.type):  # numbers, or texts that hardly repeat: codes of our own, in memory
        texts = [None if value is None or value != value else str(value) for value in column.to_pylist()]
        column = pa.array(texts, pa.string()).dictionary_encode()
    return column


def _organisms(tables: Sequence[pa.Table], dataset: np.ndarray) -> dict[int, tuple[str | None, tuple[str, ...]]]:
    """Return each data set's column of organisms, and which there are."""
    from scdataloader.labels.space import label_column

    found: dict[int, tuple[str | None, tuple[str, ...]]] = {}
    for table, number in zip(tables, dataset.tolist(), strict=True):
        name = label_column(table.column_names, "organism")
        before = found.get(number, (name, ()))[1]
        here = _terms(_dictionary(table, name)) if name else ()
        found[number] = name, tuple(sorted({*before, *here}))
    return found


def _terms(column: pa.DictionaryArray) -> tuple[str, ...]:
    return tuple(str(term) for term in column.dictionary.to_pylist())


def _encode(
    space: LabelSpace, place: int, name: str, terms: tuple[str, ...], organism: str | None, taxa: tuple[str, ...]
) -> np.ndarray:
    """Return the codes of a dictionary's labels, as `LabelSpace.encode` gives them for a table of these organisms."""
    obs = pd.DataFrame({name: pd.Series([*terms, *([None] * len(taxa))], dtype=object)})
    if organism is not None and organism != name and taxa:
        obs[organism] = [*([taxa[0]] * len(terms)), *taxa]
    return space.encode(obs)[: len(terms), place]
