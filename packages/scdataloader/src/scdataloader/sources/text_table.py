"""Plain text tables of counts (csv, tsv, also gzipped) as sources: cells × genes or genes × cells."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import percent
from scdataloader.resources import packaged_file
from scdataloader.sources.addresses import source_name
from scdataloader.sources.reading import damage_named
from scdataloader.sources.source import Matrix, Source

GenesIn = Literal["rows", "columns"]

#: Values parsed together: 80 MB.
_PIECE = 10_000_000
_ENSEMBL = re.compile(r"^ENS[A-Z]{0,6}G\d{6,}(\.\d+)?$")


def open_table(path: Path | str, *, genes_in: GenesIn | None = None) -> Source:
    """Read a text table of counts as a source; it is held in memory, as a sparse matrix.

    The first line and the first column hold names (the first line may be one field short, as R writes it). Text columns
    between the names and the numbers are annotations, and go into ``obs`` or ``var``.

    Parameters
    ----------
    path
        A table with ``,`` (ending ``.csv``) or tabs between its fields; ``.gz`` is read, too.
    genes_in
        Whether genes are in ``"rows"`` or ``"columns"``. By default it is told from the names: at least half of one
        side and less than a tenth of the other have to be Ensembl ids, or human or mouse symbols.

    Raises
    ------
    ValueError
        When it is not such a table, or the names do not tell where the genes are.
    """
    path = Path(path)
    with damage_named(path, "a table of counts"):
        if genes_in not in (None, "rows", "columns"):
            raise ValueError(f"genes_in={genes_in!r} should be 'rows' or 'columns'")
        row_names, column_names, corner, notes, counts = _read(path)
        found = genes_in or _orientation(row_names, column_names)
        if found == "columns" and corner and _gene_share([corner]) == 1:
            raise ValueError(f"its first column is called {corner!r}, like a gene: it should hold the cells' names")
    values = sparse.csr_matrix(counts if found == "columns" else counts.T)
    cells, genes = (row_names, column_names) if found == "columns" else (column_names, row_names)
    obs, var = pd.DataFrame(index=pd.Index(cells, name="cell")), pd.DataFrame(index=pd.Index(genes, name="gene"))
    side = obs if found == "columns" else var
    for name in notes:
        side[name] = notes[name].to_numpy()
    shape = (len(cells), len(genes))
    matrix = Matrix(shape, var, lambda begin, end: values[begin:end], values.indptr[1:].astype(np.int64))
    return Source(source_name(str(path)), str(path), obs, {"X": matrix})


def _read(path: Path) -> tuple[list[str], list[str], str, pd.DataFrame, sparse.csr_matrix]:
    """Return the names of rows and columns, the field in the corner, annotations of the rows, and the numbers."""
    comma = "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"
    with (
        gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as file
    ):
        lines = csv.reader(file, delimiter=comma)
        header, first = next(lines, []), next(lines, [])
    if len(first) < 2:
        raise ValueError(
            f"its second line has {len(first)} fields with {comma!r} between them; names and counts are needed"
        )
    if len(header) not in (len(first), len(first) - 1):
        raise ValueError(f"its first line has {len(header):,} fields, the second {len(first):,}")
    header = [""] * (len(first) - len(header)) + header
    pieces = pd.read_csv(
        path, sep=comma, header=None, skiprows=1, dtype={0: str}, encoding="utf-8-sig", na_filter=False,
        chunksize=max(1, _PIECE // len(first)), low_memory=False,
    )  # fmt: skip
    names: list[str] = []
    notes: list[pd.DataFrame] = []
    blocks: list[sparse.csr_matrix] = []
    n_notes = -1
    for piece in pieces:
        if n_notes < 0:
            n_notes = len(list(takewhile(lambda kind: kind.kind not in "biuf", piece.dtypes.iloc[1:])))
        names += piece[0].tolist()
        notes.append(piece.iloc[:, 1 : 1 + n_notes])
        for column in notes[-1]:  # text among numbers is damage, and no annotation
            if (numeric := pd.to_numeric(piece[column], errors="coerce").notna()).any():
                raise _not_a_number(header, int(str(column)), piece[column][~numeric])
        numbers = piece.iloc[:, 1 + n_notes :]
        for column, kind in numbers.dtypes.items():
            if kind.kind not in "biuf":
                text = pd.to_numeric(piece[column], errors="coerce").isna()
                raise _not_a_number(header, int(str(column)), piece[column][text])
        blocks.append(sparse.csr_matrix(numbers.to_numpy()))
    if not blocks or blocks[0].shape[1] == 0:
        raise ValueError("it holds no numbers")
    annotations = pd.concat(notes).set_axis(header[1 : 1 + n_notes], axis=1)
    return names, header[1 + n_notes :], header[0], annotations, sparse.csr_matrix(sparse.vstack(blocks))


def _not_a_number(header: list[str], column: int, wrong: pd.Series) -> ValueError:
    example = f"{wrong.iloc[0]!r}" if len(wrong) else "text"
    return ValueError(f"its column {header[column]!r} holds {example}, not a number")


def _orientation(rows: Sequence[str], columns: Sequence[str]) -> GenesIn:
    in_rows, in_columns = _gene_share(rows), _gene_share(columns)
    if in_rows >= 0.5 and in_columns < 0.1:
        return "rows"
    if in_columns >= 0.5 and in_rows < 0.1:
        return "columns"
    raise ValueError(
        f"{percent(in_rows)} of its rows ({list(rows[:3])}) and {percent(in_columns)} of its columns "
        f"({list(columns[:3])}) are "
        "named like genes, which does not tell where the genes are: say genes_in='rows' or genes_in='columns'"
    )


def _gene_share(names: Sequence[str]) -> float:
    symbols = _symbols()
    return sum(name in symbols or bool(_ENSEMBL.match(name)) for name in names) / max(1, len(names))


@cache
def _symbols() -> frozenset[str]:
    """Return the symbols of human and mouse."""
    found: set[str] = set()
    for name in ("genes_human.parquet", "genes_mouse.parquet"):
        with packaged_file(name) as path:
            found.update(pd.read_parquet(path, columns=["symbol"])["symbol"].tolist())
    return frozenset(found)
