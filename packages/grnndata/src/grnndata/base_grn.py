"""Base GRNs of CellOracle: which factors have a motif in which peak of which gene."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from .rectangle import Rectangle
from .text_tables import TextTable

#: Columns beside the one of 0 and 1 for each transcription factor.
PEAK, GENE = "peak_id", "gene_short_name"

_UNNAMED = ("", "index", "Unnamed: 0", "__index_level_0__")
_ROWS = 2000
_COLUMNS = 50


def is_base_grn(names: Sequence[str]) -> bool:
    """Say whether a table with these columns is a base GRN."""
    return {PEAK, GENE} <= set(names)


def read_parquet_base_grn(path: Path) -> Rectangle:
    """Read a base GRN that CellOracle's documentation writes with ``to_parquet``: factors × genes, weights of 1.

    Raises
    ------
    ValueError
        When a column of a factor does not hold numbers.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, memory_map=True)
    names = file.schema_arrow.names
    codes, genes = pd.factorize(pd.Index(file.read([GENE]).column(0).to_pylist()).astype(str))
    factors = [name for name in names if name not in (PEAK, GENE, *_UNNAMED)]
    rows: list[NDArray[np.intp]] = []
    for start in range(0, len(factors), _COLUMNS):
        table = file.read(factors[start : start + _COLUMNS])
        for name, column in zip(table.column_names, table.columns, strict=True):
            values = column.to_numpy()
            _check_numbers(values, name)
            rows.append(np.unique(codes[values != 0]))
    return _rectangle(rows, factors, genes, len(codes))


def read_text_base_grn(text: TextTable) -> Rectangle:
    """Read a base GRN of text, as ``to_csv`` writes it: factors × genes, weights of 1.

    Raises
    ------
    ValueError
        When a column of a factor does not hold numbers.
    """
    header = text.lines[0]
    places = [place for place, name in enumerate(header) if name not in (PEAK, GENE, *_UNNAMED)]
    held: dict[str, NDArray[np.bool_]] = {}
    n_peaks = 0
    for fields in csv.reader(text.rest(), delimiter=text.sep):
        if len(fields) != len(header):
            raise ValueError(f"line {n_peaks + 2} has {len(fields):,} fields, and the header {len(header):,}")
        try:
            values = np.array([fields[place] for place in places], dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"line {n_peaks + 2} of a base GRN holds something else than 0 and 1: {error}") from error
        gene = fields[header.index(GENE)].strip()
        held[gene] = held.get(gene, False) | (values != 0)
        n_peaks += 1
    genes = pd.Index(list(held), dtype="str")
    members = np.array(list(held.values())).reshape(len(genes), len(places))
    return _rectangle([np.flatnonzero(column) for column in members.T], [header[i] for i in places], genes, n_peaks)


def _rectangle(targets: list[NDArray[np.intp]], factors: Sequence[str], genes: pd.Index, n_peaks: int) -> Rectangle:
    indptr = np.concatenate([[0], np.cumsum([part.size for part in targets], dtype=np.int64)])
    indices = np.concatenate([np.empty(0, np.intp), *targets]).astype(np.int32)
    ones = np.ones(indices.size, dtype=np.float32)
    matrix = sp.csr_matrix((ones, indices, indptr), shape=(len(factors), len(genes)))
    note = (
        f"a base GRN of CellOracle: {n_peaks:,} peaks of {len(genes):,} genes, an edge of weight 1 where any peak of a "
        "gene holds the factor's motif"
    )
    return Rectangle(matrix, pd.Index(list(factors), dtype="str"), pd.Index(genes).astype("str"), [note])


def _check_numbers(values: NDArray[Any], name: str) -> None:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"the column {name!r} of a base GRN holds something else than 0 and 1, {values[0]!r}")
