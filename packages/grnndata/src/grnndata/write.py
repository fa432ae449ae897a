"""Networks to disk: h5ad files and zarr folders."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from anndata import AnnData
from anndata import io as anndata_io

from ._atomic import atomic_folder, atomic_path
from .sharing import as_anndata


def write_h5ad(grn: AnnData, path: PathLike[str] | str, **options: Any) -> None:
    """Write a network and everything around it to an h5ad file, atomically.

    Parameters
    ----------
    grn
        Object to write; not changed.
    path
        The file; replaced if it exists, and left as it was if writing fails.
    **options
        Options of `anndata.AnnData.write_h5ad`. ``convert_strings_to_categoricals`` is False here unless asked for,
        because it would change `grn`.

    """
    options = {"convert_strings_to_categoricals": False} | options
    with atomic_path(path) as temporary:
        anndata_io.write_h5ad(temporary, grn, **options)


def write_zarr(grn: AnnData, path: PathLike[str] | str, **options: Any) -> None:
    """Write a network and everything around it to a zarr folder, atomically.

    Parameters
    ----------
    grn
        Object to write; not changed.
    path
        The folder; replaced if it exists and is a zarr group with nothing else in it, and left as it was if writing
        fails.
    **options
        Options of `anndata.AnnData.write_zarr`. ``convert_strings_to_categoricals`` is False here unless asked for,
        because it would change `grn`.

    Raises
    ------
    FileExistsError
        When `path` exists and is not a zarr group, or holds other files beside it.
    """
    options = {"convert_strings_to_categoricals": False} | options
    path = Path(path)
    # Zarr 2 and 3 mark a group by one of these: anything else may be somebody's work.
    if path.exists() and not any((path / name).is_file() for name in (".zgroup", "zarr.json")):
        raise FileExistsError(f"{path.resolve()} exists and is no zarr group: choose another name, or remove it")
    if path.exists() and (others := _others(path)):
        raise FileExistsError(
            f"{path.resolve()} holds {others[:3]} beside its zarr group: choose another name, or move them elsewhere"
        )
    with atomic_folder(path) as temporary:
        # It looks up how to write the very class that it is given.
        anndata_io.write_zarr(temporary, as_anndata(grn), **options)


def _others(group: Path) -> list[str]:
    """Return what lies in the folder of a zarr group and is not a part of it."""
    marks = (".zgroup", ".zarray", "zarr.json")
    return sorted(
        one.name
        for one in group.iterdir()
        if one.name not in (*marks, ".zattrs", ".zmetadata") and not any((one / mark).is_file() for mark in marks)
    )
