"""Copies of cells as h5ad where the file itself cannot be copied: of other formats, or without some of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, write_elem

from grnndata import atomic_path
from scdataloader import hdf5_for_writing, open_source


def write_copy(
    source: Path,
    output: Path,
    cells: AnnData,
    places: np.ndarray | None,
    *,
    obs: pd.DataFrame | None,
    obsm: Mapping[str, Any],
    uns: Mapping[str, Any],
) -> None:
    """Write the cells of a file with all that it says of them, and more, as h5ad; an entry at a time is in memory.

    Parameters
    ----------
    source
        File of any format; not changed.
    output
        File to write; whole or not at all.
    cells
        Cells as they were opened, with the counts that were taken; their names count.
    places
        Positions of these cells in the file; None: all.
    obs, obsm, uns
        Tables that are added; see `scprint_model.tasks.files.write_with`.
    """
    table = cast("pd.DataFrame", cells.obs).copy()
    if obs is not None:
        table[obs.columns] = obs
    with atomic_path(output) as temporary, hdf5_for_writing(temporary) as file:
        with _group(source) as group:
            if group is None:
                _copy_source(source, file, cells, places, uns)
            else:
                _copy_group(group, file, places, uns)
        write_elem(file, "obs", table)
        for name, values in obsm.items():
            _put(file, f"obsm/{name}", values)


@contextmanager
def _group(path: Path) -> Iterator[Any]:
    """Yield the root of an AnnData file, or None for another format."""
    if path.is_file() and h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            yield file if {"obs", "var"} <= set(file) and not isinstance(file["obs"], h5py.Dataset) else None
    elif path.is_dir() and (path / "obs").is_dir():
        import zarr

        yield zarr.open_group(path, mode="r")
    else:
        yield None


def _copy_group(group: Any, file: h5py.File, places: np.ndarray | None, uns: Mapping[str, Any]) -> None:
    write_elem(file, "/", AnnData())

    def copy(name: str, by: int) -> None:
        values: Any = read_elem(group[name])
        if by and places is not None:
            values = values[places] if not hasattr(values, "iloc") else values.iloc[places]
            values = values[:, places] if by > 1 else values
        _put(file, name, values)

    def copy_all(names: tuple[str, ...], by: int) -> None:
        for name in names:
            for key in _keys(group, name):
                copy(f"{name}/{key}", by)

    if "X" in group and group["X"].attrs.get("encoding-type") != "null":
        copy("X", 1)
    copy("var", 0)
    copy_all(("layers", "obsm"), 1)
    copy_all(("obsp",), 2)  # a row and a column a cell
    copy_all(("varm", "varp"), 0)
    if "X" in _keys(group, "raw"):
        if "raw" in file:
            del file["raw"]
        file.create_group("raw").attrs.update(group["raw"].attrs)
        for name in _keys(group, "raw"):
            copy(f"raw/{name}", int(name == "X"))
    for name in _keys(group, "uns"):
        copy(f"uns/{name}", 0)
    for name, value in uns.items():
        _put(file, f"uns/{name}", value)


def _copy_source(
    source: Path, file: h5py.File, cells: AnnData, places: np.ndarray | None, uns: Mapping[str, Any]
) -> None:
    """Write counts, genes, layers over the same genes, and embeddings of a file that is not an AnnData."""
    write_elem(file, "/", AnnData())
    write_elem(file, "X", cells.X)
    write_elem(file, "var", cells.var)
    with open_source(source) as opened:
        kept = {name: value for name, value in opened.uns.items() if name not in uns}
        for name, matrix in opened.matrices.items():
            if name.startswith("layers/") and matrix.var.index.equals(cells.var.index):
                values = matrix.rows(0, matrix.shape[0])
                _put(file, name, values if places is None else values[places])
        for name, read in opened.embeddings.items():
            _put(file, f"obsm/{name}", read() if places is None else read()[places])
    for name, value in {**kept, **uns}.items():
        _put(file, f"uns/{name}", value)


def _keys(group: Any, name: str) -> list[str]:
    found = group.get(name)
    return sorted(found) if hasattr(found, "keys") else []  # else there is nothing, or None as an array


def _put(file: h5py.File, name: str, value: Any) -> None:
    """Write an entry of a group, which is there."""
    group, _, key = name.rpartition("/")
    write_elem(cast("h5py.Group", file[group]) if group else file, key, value)
