"""Cells that stay in their file: opened without their counts, and written again with what a task found."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from grnndata import atomic_path
from scdataloader import open_source
from scdataloader.expression import CountsChoice, take_counts
from scdataloader.sources import Matrix
from scprint_model._provenance import in_uns, step, steps_of, stored
from scprint_model._wording import listed
from scprint_model.tasks.copies import write_copy

#: Stored values that are held at a time while a matrix is turned by rows: some 200 MB.
CHUNK = 1 << 22


def open_cells(path: Path | str, choice: CountsChoice | None = None) -> AnnData:
    """Open a file of cells: obs and var in memory, the counts left in a file; no layers or obsm.

    ``uns`` has nothing but the record of what made the file, to which its opening is added.

    ``adata[a:b].X`` and `scprint_model.parts.parts` read the cells that are asked for alone. Of an h5ad file they are
    left where they are. A matrix that is stored by columns (CSC), one of another format, and counts that are rounded or
    of some cells are written once to an unnamed temporary file as large as the counts that goes away with the AnnData
    (``TMPDIR`` says where).

    Parameters
    ----------
    path
        Path of an h5ad, zarr, loom or 10x h5 file, or a 10x matrix folder; not changed. It stays open as long as the
        AnnData lives.
    choice
        Raw counts that are meant; see `scdataloader.expression.CountsChoice`. None: X, whatever it holds.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not a file of cells, has no X, or not the raw counts that are meant.
    """
    path = Path(path)
    if choice is not None or not path.exists() or path.suffix != ".h5ad":
        return read_cells(path, choice).cells
    if not path.is_file():
        raise ValueError(f"{path} is a folder: an h5ad file is needed, or the name of one of AnnData in zarr")
    _check_hdf5(path)
    file = h5py.File(path, "r")
    try:
        return _cells(file, path)
    except BaseException:
        file.close()
        raise


def _cells(file: h5py.File, path: Path) -> AnnData:
    missing = [name for name in ("obs", "var") if name not in file]
    if missing:
        raise ValueError(f"{path} is HDF5 but no h5ad file: it has [{listed(sorted(file))}] and not {missing}")
    obs, var = cast("pd.DataFrame", read_elem(file["obs"])), cast("pd.DataFrame", read_elem(file["var"]))
    counts = _counts(file, path)
    if counts.shape != (len(obs), len(var)):
        raise ValueError(f"{path}: X has the shape {counts.shape}, but there are {len(obs)} cells and {len(var)} genes")
    opened = step(open_cells, {}, inputs=[{"file": path.name}])
    return AnnData(X=counts, obs=obs, var=var, uns=in_uns([*stored(file), opened]))


@dataclass(frozen=True, eq=False)
class CellsFile:
    """A file of cells that a task reads, and its copy with what the task found.

    Attributes
    ----------
    path
        The file.
    cells
        The cells that are used, as `open_cells` gives them.
    places
        Positions of these cells in the file; None: all.
    notes
        What was taken or left out, as the end of a message; empty where that is X as it is.
    """

    path: Path
    cells: AnnData
    places: np.ndarray | None
    notes: str
    _is_copied: bool

    def write(
        self,
        output: Path,
        *,
        obs: pd.DataFrame | None = None,
        obsm: Mapping[str, Any] | None = None,
        uns: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a copy of the cells with more in it, as h5ad; see `write_with`, whose arguments these are."""
        if self._is_copied:
            write_with(self.path, output, obs=obs, obsm=obsm, uns=uns)
            return
        check_output(self.path, output)
        write_copy(self.path, output, self.cells, self.places, obs=obs, obsm=obsm or {}, uns=uns or {})


def read_cells(path: Path | str, choice: CountsChoice | None = None) -> CellsFile:
    """Open a file of cells with the counts that are meant; raises as `open_cells`."""
    path, chosen = Path(path), choice or CountsChoice()
    if path.suffix == ".h5ad" and path.is_file():
        _check_hdf5(path)
    with open_source(path, genome=chosen.genome) as source:
        before = steps_of(source.uns)
        if choice is None:
            if "X" not in source.matrices:
                raise ValueError(f"{path} has no X: put the raw counts in X")
            matrix, obs, name = source.matrices["X"], source.obs, "X"
            places, notes, facts = None, "", {}
        else:
            taken = take_counts(source, choice)
            matrix, obs, name = taken.of(source).matrices["X"], taken.obs, taken.counts.name
            places, facts = taken.places, taken.facts
            notes = f"; {taken}" if facts or taken.notes else ""
        is_h5ad = path.is_file() and _is_h5ad(path)
        is_plain = is_h5ad and places is None and not chosen.round and chosen.genome is None
        counts: Any = _counts(h5py.File(path, "r"), path, name) if is_plain else to_disk(matrix)
    options = {} if chosen == CountsChoice() else {"choice": asdict(chosen)}
    opened = step(open_cells, options, inputs=[{"file": path.name} | facts])
    cells = AnnData(X=counts, obs=obs, var=matrix.var, uns=in_uns([*before, opened]))
    is_whole = is_h5ad and places is None and "renamed_cells" not in facts
    return CellsFile(path, cells, places, notes, is_whole)


def _check_hdf5(path: Path) -> None:
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is no h5ad file, which AnnData.write_h5ad makes: it is not in the HDF5 format")


def _is_h5ad(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return all(isinstance(file.get(name), h5py.Group) for name in ("obs", "var"))


def write_with(
    source: Path | str,
    output: Path | str,
    *,
    obs: pd.DataFrame | None = None,
    obsm: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> None:
    """Write a copy of an h5ad file with more in it; all else stays as it was.

    The output appears complete or not at all, and an earlier file of its name is lost only then. The counts are never
    in memory.

    Parameters
    ----------
    source
        h5ad file; not changed.
    output
        File to write.
    obs
        Columns to add or replace; its index is that of the file's ``obs``.
    obsm
        Arrays to add or replace, shape (n_cells, any).
    uns
        Elements to add or replace.

    Raises
    ------
    ValueError
        When `output` is `source`, or the cells are not those of the file.
    FileNotFoundError
        When the file, or the folder for the output, does not exist.
    """
    source, output = Path(source), Path(output)
    check_output(source, output)
    with atomic_path(output) as temporary:
        shutil.copyfile(source, temporary)
        with h5py.File(temporary, "r+") as file:
            table = cast("pd.DataFrame", read_elem(file["obs"]))
            if obs is not None:
                if not table.index.equals(obs.index):
                    raise ValueError(f"obs has {len(obs)} cells, which are not the {len(table)} of {source} in order")
                table[obs.columns] = obs
                write_elem(file, "obs", table)
            for name, array in (obsm or {}).items():
                if len(array) != len(table):
                    raise ValueError(f"obsm[{name!r}] has {len(array)} rows, but {source} has {len(table)} cells")
                write_elem(_mapping(file, "obsm"), name, array)
            for name, value in (uns or {}).items():
                write_elem(_mapping(file, "uns"), name, value)


def check_output(source: Path, output: Path) -> None:
    """Raise before any work where a task's result could not be written; see `write_with`."""
    if not source.exists():
        raise FileNotFoundError(f"there is no file {source}")
    if output.exists() and output.samefile(source):
        raise ValueError(f"{output} is the input, which is not overwritten: choose another output")
    if output.is_dir():
        raise ValueError(f"{output} is a folder: name the file to write")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"cannot write {output}: there is no folder {output.parent.resolve()}")


def _counts(file: h5py.File, path: Path, name: str = "X") -> Any:
    """Return a matrix as what reads rows when it is sliced."""
    stored = file.get("raw/X" if name == "raw" else name)
    if stored is None or stored.attrs.get("encoding-type") == "null":
        raise ValueError(f"{path} has no X: put the raw counts in X")
    if isinstance(stored, h5py.Dataset):
        return stored
    matrix = sparse_dataset(stored)
    return by_rows(stored, matrix.shape) if matrix.format == "csc" else matrix


def by_rows(stored: h5py.Group, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Turn a CSC matrix of a file into a CSR matrix whose values lie in an unnamed temporary file.

    Takes two passes over the file, and `CHUNK` values at a time in memory.

    Raises
    ------
    OSError
        When the disk of the temporary folder is too small.
    """
    values, rows = stored["data"], stored["indices"]
    starts = stored["indptr"][:].astype(np.int64)
    n = len(values)
    counts = np.zeros(shape[0], dtype=np.int64)
    for at in range(0, n, CHUNK):
        counts += np.bincount(rows[at : at + CHUNK], minlength=shape[0])
    ends = np.concatenate([[0], np.cumsum(counts)])
    index_type = np.int32 if max(n, shape[1]) < np.iinfo(np.int32).max else np.int64
    columns, data = _on_disk(n, np.dtype(index_type)), _on_disk(n, values.dtype)
    place = ends[:-1].copy()  # where the next value of each row goes
    for at in range(0, n, CHUNK):
        row = rows[at : at + CHUNK]
        column = np.searchsorted(starts, np.arange(at, at + len(row)), side="right") - 1
        order = np.argsort(row, kind="stable")
        row = row[order]
        new, first, size = np.unique(row, return_index=True, return_counts=True)
        to = place[row] + np.arange(len(row)) - np.repeat(first, size)
        columns[to], data[to] = column[order], values[at : at + CHUNK][order]
        place[new] += size
    return sparse.csr_matrix((data, columns, ends.astype(index_type)), shape=shape, copy=False)


def to_disk(matrix: Matrix) -> sparse.csr_matrix:
    """Write the rows of a matrix to unnamed temporary files, and return them as CSR that lies there."""
    most = int(matrix.row_ends[-1]) if matrix.row_ends is not None and len(matrix.row_ends) else np.prod(matrix.shape)
    index = np.dtype(np.int32 if max(most, *matrix.shape) < np.iinfo(np.int32).max else np.int64)
    ends = [np.zeros(1, dtype=np.int64)]
    with tempfile.TemporaryFile(prefix="scprint-") as values, tempfile.TemporaryFile(prefix="scprint-") as columns:
        kind = matrix.rows(0, 0).dtype
        for _, _, block in matrix.blocks(CHUNK):
            values.write(np.ascontiguousarray(block.data, dtype=kind).tobytes())
            columns.write(np.ascontiguousarray(block.indices, dtype=index).tobytes())
            ends.append(ends[-1][-1] + block.indptr[1:].astype(np.int64))
        pointers = np.concatenate(ends)
        n = int(pointers[-1])
        arrays: list[np.ndarray] = []
        for file, dtype in ((values, kind), (columns, index)):
            file.flush()
            arrays.append(np.memmap(file, dtype=dtype, mode="r+", shape=(n,)) if n else np.zeros(0, dtype))
    data, indices = arrays
    return sparse.csr_matrix((data, indices, pointers.astype(index)), shape=matrix.shape, copy=False)


def _on_disk(n: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return n zeros that the system keeps in a file without a name."""
    if n == 0:
        return np.zeros(0, dtype=dtype)
    with tempfile.TemporaryFile(prefix="scprint-") as file:
        # written in full: a disk that is too small is an error here, and a crash at the first use of a hole
        for at in range(0, n, CHUNK):
            file.write(bytes(dtype.itemsize * min(CHUNK, n - at)))
        file.flush()
        return np.memmap(file, dtype=dtype, mode="r+", shape=(n,))


def _mapping(file: h5py.File, name: str) -> h5py.Group:
    """Return the group of that name, made where it is missing."""
    if name not in file:
        write_elem(file, name, {})
    group = file[name]
    if not isinstance(group, h5py.Group):
        raise ValueError(
            f"{name} of the file is in a format from before anndata 0.7: renew it with "
            "anndata.read_h5ad(...).write_h5ad(...)"
        )
    return group
