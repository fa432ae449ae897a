"""The format of a file or folder, told by its name, and by its content where names mislead."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import h5py

from scdataloader.sources.tenx import is_tenx_h5

Format = Literal["anndata", "tenx_h5", "tenx_mtx", "loom", "table"]

#: Endings of text tables; many such files beside the data are no counts, so they are read only when asked for by name.
TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
#: What can be read, for messages.
KNOWN = "h5ad, zarr, 10x h5, 10x matrix folder, loom, csv, tsv"


def format_of(path: Path) -> Format | None:
    """Return the format of an existing file or folder, or None for what cannot be read.

    A damaged file has the format that its name says: opening it then says what is wrong with it.
    """
    if path.is_dir():
        return _of_folder(path)
    name = path.name.lower()
    if name.endswith((".h5ad", ".zarr.zip")):
        return "anndata"
    if name.endswith(".loom"):
        return "loom"
    if name.endswith(("matrix.mtx", "matrix.mtx.gz")):
        return "tenx_mtx"
    if name.endswith(TABLES):
        return "table"
    if h5py.is_hdf5(path):
        return _of_hdf5(path)
    return "tenx_h5" if name.endswith(".h5") else None


def _of_folder(path: Path) -> Format | None:
    if path.suffix == ".zarr":
        return "anndata"
    if any((path / name).is_file() for name in ("zarr.json", ".zgroup")) and (path / "obs").is_dir():
        return "anndata"
    if any((path / name).is_file() for name in ("matrix.mtx", "matrix.mtx.gz")):
        return "tenx_mtx"
    return None


def _of_hdf5(path: Path) -> Format | None:
    try:
        with h5py.File(path, "r") as file:
            if "obs" in file and "var" in file:
                return "anndata"
            if isinstance(file.get("matrix"), h5py.Dataset):
                return "loom"
            return "tenx_h5" if is_tenx_h5(file) else None
    except (OSError, RuntimeError, KeyError):
        return "tenx_h5"
