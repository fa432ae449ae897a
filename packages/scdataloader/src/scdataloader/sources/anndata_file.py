"""h5ad and zarr files, which share one layout, as sources: obs and var in memory, matrices read in blocks of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from scdataloader.sources.addresses import source_name
from scdataloader.sources.anndata_memory import from_anndata
from scdataloader.sources.elements import check_complete, column_major, dense, row_major
from scdataloader.sources.reading import Lazy, damage_named, guarded
from scdataloader.sources.source import Matrix, Source

logger = logging.getLogger(__name__)


def open_anndata_file(path: Path | str) -> Source:
    """Open an h5ad file, or a zarr folder (versions 2 and 3) or zip of AnnData, as a source.

    Matrices and ``uns`` are read when they are first asked for. Files written before anndata 0.7 are read into memory.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file is not an intact AnnData; also while its matrices are read. Its message names the file.
    """
    path = Path(path)
    kind = "an h5ad file" if path.is_file() and path.suffix != ".zip" else "AnnData in zarr"
    with damage_named(path, kind):
        file, close = _open(path)
        try:
            if _is_old(file):
                close()
                return _read_old(path)
            return _Reader(file, path, kind).source(close)
        except BaseException:
            close()
            raise


#: Values of an entry of ``uns`` that is still read.
_LARGEST_ENTRY = 1_000_000


def _open(path: Path) -> tuple[Any, Callable[[], None]]:
    if path.is_file() and path.suffix != ".zip":
        file = h5py.File(path, "r")
        return file, file.close
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    import zarr

    if path.is_dir():
        return zarr.open_group(path, mode="r"), lambda: None  # zarr keeps nothing open
    store = zarr.storage.ZipStore(path, mode="r")
    return zarr.open_group(store, mode="r"), store.close


def _is_old(file: Any) -> bool:
    """Say whether the tables are compound arrays, as before anndata 0.7."""
    missing = [name for name in ("obs", "var") if name not in file]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}, only {sorted(file)[:10]}")
    return any(getattr(file[name].dtype, "names", None) for name in ("obs", "var") if hasattr(file[name], "dtype"))


def _read_old(path: Path) -> Source:
    logger.info("%s was written before anndata 0.7: read into memory as a whole", path)
    adata = anndata.read_zarr(path) if path.is_dir() else anndata.read_h5ad(path)
    return from_anndata(adata, name=source_name(str(path)), uri=str(path))


class _Reader:
    """The parts of one open file."""

    def __init__(self, file: Any, path: Path, kind: str) -> None:
        self.file = file
        self.path = path
        self.kind = kind
        self.n_cells = _check_table(file["obs"])

    def source(self, close: Callable[[], None]) -> Source:
        found: dict[str, tuple[Any, str]] = {}
        if "X" in self.file:
            found["X"] = (self.file["X"], "var")
        if "raw" in self.file and "X" in self.file["raw"]:
            found["raw"] = (self.file["raw/X"], "raw/var")
        found |= {f"layers/{name}": (self.file[f"layers/{name}"], "var") for name in self._names("layers")}
        n_genes = {name: _check_table(self.file[name]) for name in {"var"} | {var for _, var in found.values()}}
        encodings = {name: self._encoding(name, element, n_genes[var]) for name, (element, var) in found.items()}
        # all sizes fit each other: a damaged one would have made the tables endless
        tables = {name: self._table(name) for name in ("obs", *n_genes)}
        makers = {
            name: self._matrix(element, encodings[name], tables[var])
            for name, (element, var) in found.items()
            if encodings[name]
        }
        uns = {
            name: value for name in self._names("uns") if (value := self._small(self.file[f"uns/{name}"])) is not None
        }
        embeddings = {name: self._embedding(name) for name in self._names("obsm")}
        return Source(source_name(str(self.path)), str(self.path), tables["obs"], Lazy(makers), uns, embeddings, close)

    def _table(self, name: str) -> pd.DataFrame:
        table = read_elem(self.file[name])
        if not isinstance(table, pd.DataFrame):
            raise ValueError(f"its {name} is {type(table).__name__}, a table is needed")
        return table

    def _names(self, group: str) -> Iterable[str]:
        return sorted(self.file[group]) if group in self.file else ()

    def _small(self, element: Any) -> Any:
        """Return an unstructured entry, or None where it is large or of an unknown kind: no one needs it."""
        if _size(element) > _LARGEST_ENTRY:
            return None
        try:
            return read_elem(element)
        except Exception as error:  # such entries are anyone's; they must not keep the cells from being read
            logger.warning("%s: %s is left out, it cannot be read: %s", self.path, element.name, error)
            return None

    def _embedding(self, name: str) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            element = self.file[f"obsm/{name}"]
            if hasattr(element, "dtype") and element.shape[:1] != (self.n_cells,):
                raise ValueError(f"obsm/{name} has the shape {element.shape}, there are {self.n_cells:,} cells")
            values: Any = read_elem(element)
            return values.toarray() if hasattr(values, "toarray") else np.asarray(values)

        return guarded(read, self.path, self.kind)

    def _encoding(self, name: str, element: Any, n_genes: int) -> str:
        """Return how a matrix is stored, after a look at its shape; empty for one that is left out."""
        encoding = str(element.attrs.get("encoding-type", ""))
        if encoding == "null":  # X is None
            return ""
        is_sparse = encoding in ("csr_matrix", "csc_matrix")
        if not is_sparse and not hasattr(element, "dtype"):
            if not name.startswith("layers/"):
                raise ValueError(f"{name} is stored as {encoding!r}, which is no matrix")
            logger.warning("%s: %s is stored as %r and is left out", self.path, name, encoding)
            return ""
        shape = tuple(int(n) for n in (element.attrs["shape"] if is_sparse else element.shape))
        if shape != (self.n_cells, n_genes):
            raise ValueError(
                f"{name} has the shape {shape}, but there are {self.n_cells:,} cells and {n_genes:,} genes"
            )
        return encoding if is_sparse else "array"

    def _matrix(self, element: Any, encoding: str, var: pd.DataFrame) -> Callable[[], Matrix]:
        make = {"csr_matrix": row_major, "csc_matrix": column_major, "array": dense}[encoding]

        def matrix() -> Matrix:
            found = make(element, var, self.n_cells)
            return Matrix(found.shape, var, guarded(found.rows, self.path, self.kind), found.row_ends)

        return guarded(matrix, self.path, self.kind)


def _check_table(table: Any) -> int:
    """Return the number of rows of a stored data frame, all of whose columns have as many."""
    index = str(table.attrs["_index"])
    n = _main(table[index]).shape[0]
    check_complete(_main(table[index]))
    for name in table.attrs["column-order"]:
        if _main(table[str(name)]).shape[:1] != (n,):
            raise ValueError(f"{table.name}/{name} has the shape {_main(table[str(name)]).shape}, the index {n:,} rows")
    for array in _arrays(table):
        check_complete(array, zeros=True)
    return int(n)


def _main(column: Any) -> Any:
    """Return the array with one value a row: the column, or the codes of categories, or the values beside a mask."""
    return column if hasattr(column, "dtype") else column["codes"] if "codes" in column else column["values"]


def _arrays(element: Any) -> Iterator[Any]:
    if hasattr(element, "dtype"):
        yield element
    else:
        for name in element:
            yield from _arrays(element[name])


def _size(element: Any) -> int:
    """Return how many values an array or a group holds."""
    if hasattr(element, "dtype"):
        return 0 if element.shape is None else int(np.prod(element.shape, dtype=np.int64))  # None: a stored None
    return sum(_size(element[name]) for name in element)
