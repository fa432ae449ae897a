"""Matrices of weights on disk, square or regulators × targets, read a part at a time into sparse form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ._wording import counted
from .edge_columns import is_known
from .edges import Missing
from .rectangle import Rectangle
from .text_tables import NO_NUMBERS, TextTable, first_field

_PIECE = 2**21  # weights
_MANY = 20  # columns of numbers alone, which only a matrix has


def read_text_matrix(text: TextTable, *, missing: Missing = "error") -> Rectangle | None:
    """Read a matrix from a table of text whose first column and header are names; None when it holds something else.

    Raises
    ------
    ValueError
        When a name repeats, a row is shorter than the header, or a weight is not a finite number (unless `missing`
        is ``"drop"``).
    """
    if len(text.lines) < 2 or is_known(text.lines[0]):
        return None
    names = text.lines[0] if text.names_rows else text.lines[0][1:]
    rows = [line[0] for line in text.lines[1:]]
    places = range(1, len(names) + 1)
    is_matrix = len(text.lines[1]) == len(names) + 1 and all(text.has_numbers(place, header=True) for place in places)
    if not is_matrix or not _are_genes(rows, names):
        return None
    return _collect(_text_parts(text, len(names)), names, missing)


def read_parquet_matrix(path: Path, *, missing: Missing = "error") -> Rectangle | None:
    """Read a matrix from a parquet file, one column of names and the others numbers; None when it holds something else.

    Raises
    ------
    ValueError
        As `read_text_matrix`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, memory_map=False)
    kinds = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
    names = [name for name, kind in kinds.items() if not pa.types.is_floating(kind) and not pa.types.is_integer(kind)]
    if is_known(list(kinds)) or len(names) != 1 or len(kinds) < 2:
        return None
    rows = pd.Index(file.read(names).column(0).to_pylist()).astype(str)
    columns = [name for name in kinds if name != names[0]]
    if not _are_genes(list(rows), columns):
        return None
    dense = np.empty((len(rows), len(columns)), np.float32)
    step = max(1, _PIECE // max(1, len(rows)))
    # By columns, as they lie in the file: a batch of rows would unpack all of it.
    for start in range(0, len(columns), step):
        table = file.read(columns[start : start + step])
        for place, column in enumerate(table.columns, start=start):
            dense[:, place] = column.to_numpy()
    return _collect(_row_parts(dense, list(rows)), columns, missing)


def read_npy_matrix(path: Path, *, missing: Missing = "error") -> Rectangle:
    """Read a matrix of a numpy file, with the names of rows and columns beside it.

    Parameters
    ----------
    path
        ``x.npy``. Names stand one a line in ``x.genes.txt``; those of the rows, where they are others, in
        ``x.regulators.txt``.
    missing
        See `grnndata.read_edges`.

    Raises
    ------
    FileNotFoundError
        When the file with the names does not exist.
    ValueError
        When the numbers of rows and columns are not those of the names, and as `read_text_matrix`.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    genes, regulators = (path.with_suffix(f".{what}.txt") for what in ("genes", "regulators"))
    if not genes.is_file():
        raise FileNotFoundError(
            f"{path} holds no names: write those of its columns, one a line, to {genes}, and those of its rows, unless "
            f"they are the same, to {regulators}; or use from_matrix(numpy.load(path), genes, regulators=...)"
        )
    columns = genes.read_text(encoding="utf-8-sig").split()
    rows = regulators.read_text(encoding="utf-8-sig").split() if regulators.is_file() else columns
    if array.shape != (len(rows), len(columns)):
        raise ValueError(
            f"{path} has shape {array.shape}, and there are {len(rows):,} names of rows "
            f"({(regulators if regulators.is_file() else genes).name}) and {len(columns):,} of columns ({genes.name})"
        )
    return _collect(_row_parts(array, rows), columns, missing)


def _are_genes(rows: Sequence[str], columns: Sequence[str]) -> bool:
    """Say whether names of rows and columns are those of a matrix: some gene is both, or there are many columns."""
    return len(columns) >= _MANY or not set(rows).isdisjoint(columns)


def _collect(
    parts: Iterable[tuple[Sequence[str], NDArray[np.float32]]], columns: Sequence[str], missing: Missing
) -> Rectangle:
    rows: list[str] = []
    data, indices, counts = np.empty(0, np.float32), np.empty(0, np.int32), [np.zeros(1, np.int64)]
    n_missing = 0
    for names, block in parts:
        rows += names
        n_missing += _without_missing(block, missing, names, columns)
        stored = sp.csr_matrix(block)
        start = data.size
        # They grow in place: joining parts at the end would take the memory twice.
        data.resize(start + stored.nnz, refcheck=False)
        indices.resize(start + stored.nnz, refcheck=False)
        data[start:], indices[start:] = stored.data, stored.indices
        counts.append(np.diff(stored.indptr))
    indptr = np.cumsum(np.concatenate(counts))
    matrix = sp.csr_matrix((data, indices, indptr), shape=(len(rows), len(columns)))
    return Rectangle(matrix, pd.Index(rows, dtype="str"), pd.Index(list(columns), dtype="str"), _note(n_missing))


def _row_parts(array: NDArray[Any], rows: Sequence[str]) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
    step = max(1, _PIECE // max(1, array.shape[1]))
    return ((rows[i : i + step], np.array(array[i : i + step], np.float32)) for i in range(0, len(rows), step))


def _text_parts(text: TextTable, n_columns: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Yield the names and weights of some rows at a time; pandas takes minutes for 20,000 columns."""
    step = max(1, _PIECE // max(1, n_columns))
    names: list[str] = []
    block = np.empty((step, n_columns), np.float32)
    for number, line in enumerate(text.rest(), start=2):
        name, rest = first_field(line, text.sep)
        fields = rest.split() if text.is_blank else rest.split(text.sep)
        if len(fields) != n_columns:
            raise ValueError(f"line {number} has {len(fields):,} weights, and the header names {n_columns:,} columns")
        block[len(names)] = _as_floats(fields, text, number)
        names.append(name)
        if len(names) == step:
            yield names, block
            names = []
    yield names, block[: len(names)]


def _as_floats(fields: list[str], text: TextTable, number: int) -> NDArray[np.float32]:
    if text.decimal == ",":
        fields = [field.replace(",", ".") for field in fields]
    try:
        return np.array(fields, dtype=np.float64).astype(np.float32)
    except ValueError:
        plain = [field.strip(' "') for field in fields]
        bad = [field for field in plain if field not in NO_NUMBERS and not text.is_number(field)]
        if bad:
            raise ValueError(f"line {number} holds {bad[0]!r} where a weight should be") from None
        return np.array([np.nan if field in NO_NUMBERS else float(field) for field in plain], np.float32)


def _without_missing(block: NDArray[np.float32], missing: Missing, rows: Sequence[str], columns: Sequence[str]) -> int:
    """Set weights that are not finite numbers to 0, and count them, or raise ValueError."""
    bad = ~np.isfinite(block)
    n_bad = int(np.count_nonzero(bad))
    if n_bad and missing == "error":
        i, j = np.argwhere(bad)[0]
        raise ValueError(
            f"{counted(n_bad, 'weight is', 'weights are')} no finite number, first {rows[i]} → {columns[j]}: pass "
            "missing='drop' to take these pairs for no edges, on the command line --missing drop"
        )
    block[bad] = 0
    return n_bad


def _note(n_missing: int) -> list[str]:
    if not n_missing:
        return []
    return [f"{counted(n_missing, 'weight is', 'weights are')} no finite number and taken for no edge"]
