"""Cells that stay in their file: opened without their counts, and written again with what a task found."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from grnndata import atomic_path
from scprint_model._provenance import in_uns, step, stored
from scprint_model._wording import listed

#: Stored values that are held at a time while a matrix is turned by rows: some 200 MB.
CHUNK = 1 << 22


def open_cells(path: Path | str) -> AnnData:
    """Open an h5ad file: obs and var in memory, the counts left in the file; no layers or obsm.

    ``uns`` has nothing but the record of what made the file, to which its opening is added.

    ``adata[a:b].X`` and `scprint_model.parts.parts` read the cells that are asked for alone. A matrix that is stored by
    columns (CSC) cannot be read so: it is turned once, into an unnamed temporary file as large as the counts that goes
    away with the AnnData (``TMPDIR`` says where).

    Parameters
    ----------
    path
        Of an h5ad file; not changed. It stays open as long as the AnnData lives.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is no h5ad file, or has no X.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give an h5ad file (anndata.read_zarr(...).write_h5ad(...) makes one)")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is no h5ad file, which AnnData.write_h5ad makes: it is not in the HDF5 format")
    file = h5py.File(path, "r")
    try:
        return _cells(file, path)
    except BaseException:
        file.close()
        raise


def _cells(file: h5py.File, path: Path) -> AnnData:
    missing = [name for name in ("obs", "var") if name not in file]
    if missing:
        raise ValueError(
            f"{path} is HDF5 but no h5ad file: it has [{listed(sorted(file))}] and not {missing}. Read it with "
            "scanpy (such as "
            "scanpy.read_10x_h5) and write it with AnnData.write_h5ad"
        )
    obs, var = cast("pd.DataFrame", read_elem(file["obs"])), cast("pd.DataFrame", read_elem(file["var"]))
    counts = _counts(file, path)
    if counts.shape != (len(obs), len(var)):
        raise ValueError(f"{path}: X has the shape {counts.shape}, but there are {len(obs)} cells and {len(var)} genes")
    opened = step(open_cells, {}, inputs=[{"file": path.name}])
    return AnnData(X=counts, obs=obs, var=var, uns=in_uns([*stored(file), opened]))


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
        When there is no such file, or no folder for the output.
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
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    if output.exists() and output.samefile(source):
        raise ValueError(f"{output} is the input, which is not overwritten: choose another output")
    if output.is_dir():
        raise ValueError(f"{output} is a folder: name the file to write")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"cannot write {output}: there is no folder {output.parent.resolve()}")


def _counts(file: h5py.File, path: Path) -> Any:
    """Return X as what reads rows when it is sliced."""
    stored = file.get("X")
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
