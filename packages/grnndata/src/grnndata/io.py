"""Networks on disk: h5ad files and zarr folders."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py

from .atomic import atomic_folder, atomic_path
from .convert import Orientation, orient
from .core import GRNAnnData, adopt
from .schema import GRN_KEY, ORIENTATION, UNS_KEY, network_name
from .sharing import as_anndata


def read_h5ad(
    path: PathLike[str] | str,
    *,
    orientation: Orientation = "regulator_target",
    backed: Literal["r", "r+"] | None = None,
) -> GRNAnnData:
    """Read an h5ad file that holds a network in ``varp["GRN"]``, or named ones.

    Parameters
    ----------
    path
        The file.
    orientation
        ``"target_regulator"`` for a file of another tool whose rows are targets: the network is transposed.
        Files written here say how they are oriented and need no argument.
    backed
        ``"r"`` or ``"r+"`` leaves the counts in the file, as in `anndata.read_h5ad`; networks are always read
        into memory.

    Returns
    -------
    GRNAnnData
        Row = regulator.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is no h5ad file, holds no network or not a valid one, or says that its rows are regulators
        while `orientation` says targets.
    """
    path = _existing(path)
    try:
        with h5py.File(path) as file:
            keys = sorted(file["varp"]) if "varp" in file else []
    except OSError as error:
        raise ValueError(f"{path} is not an h5ad file: {error}") from error
    _require_network(path, keys, reader="read_h5ad")
    adata = anndata.read_h5ad(path, backed=backed)
    try:
        return _as_grnndata(adata, path, orientation)
    except ValueError:
        if backed:
            adata.file.close()
        raise


def read_zarr(path: PathLike[str] | str, *, orientation: Orientation = "regulator_target") -> GRNAnnData:
    """Read a zarr folder that holds a network in ``varp["GRN"]``, or named ones.

    Parameters
    ----------
    path
        The folder.
    orientation
        See `read_h5ad`.

    Returns
    -------
    GRNAnnData
        In memory, row = regulator.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    ValueError
        As `read_h5ad`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path.resolve()}")
    import zarr

    try:
        group: Any = zarr.open_group(path, mode="r")
        keys = sorted(group["varp"].keys()) if "varp" in group else []
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not an AnnData zarr folder: {error}") from error
    _require_network(path, keys, reader="read_zarr")
    return _as_grnndata(anndata.read_zarr(path), path, orientation)


def write_h5ad(grn: GRNAnnData, path: PathLike[str] | str, **options: Any) -> None:
    """Write a network and everything around it to an h5ad file, atomically.

    Parameters
    ----------
    grn
        What to write; not changed.
    path
        The file; replaced if it exists, and left as it was if writing fails.
    **options
        As `anndata.AnnData.write_h5ad`. ``convert_strings_to_categoricals`` is False here unless asked for,
        because it would change `grn`.

    Raises
    ------
    FileNotFoundError
        When the folder does not exist.
    """
    options = {"convert_strings_to_categoricals": False} | options
    with atomic_path(path) as temporary:
        anndata.io.write_h5ad(temporary, grn, **options)


def write_zarr(grn: GRNAnnData, path: PathLike[str] | str, **options: Any) -> None:
    """Write a network and everything around it to a zarr folder, atomically.

    Parameters
    ----------
    grn
        What to write; not changed.
    path
        The folder; replaced if it exists and is a zarr group, and left as it was if writing fails.
    **options
        As `anndata.AnnData.write_zarr`. ``convert_strings_to_categoricals`` is False here unless asked for,
        because it would change `grn`.

    Raises
    ------
    FileExistsError
        When `path` exists and is not a zarr group.
    FileNotFoundError
        When the folder around it does not exist.
    """
    options = {"convert_strings_to_categoricals": False} | options
    path = Path(path)
    # Zarr 2 and 3 mark a group by one of these: anything else may be somebody's work.
    if path.exists() and not any((path / name).is_file() for name in (".zgroup", "zarr.json")):
        raise FileExistsError(f"{path.resolve()} exists and is no zarr group: choose another name, or remove it")
    with atomic_folder(path) as temporary:
        # It looks up how to write the very class that it is given.
        anndata.io.write_zarr(temporary, as_anndata(grn), **options)


def _require_network(path: Path, keys: list[str], *, reader: str) -> None:
    if not any(key == GRN_KEY or network_name(key) is not None for key in keys):
        held = ", ".join(keys) or "nothing"
        raise ValueError(
            f"{path} holds no network: varp[{GRN_KEY!r}] is missing (varp holds {held}); "
            f"add one with GRNAnnData(anndata.{reader}(path), grn)"
        )


def _as_grnndata(adata: anndata.AnnData, path: Path, orientation: Orientation) -> GRNAnnData:
    try:
        if orientation != "regulator_target":
            said = adata.uns.get(UNS_KEY)
            if isinstance(said, dict) and said.get("orientation") == ORIENTATION:
                raise ValueError(f"the file says {ORIENTATION!r}: read it without orientation={orientation!r}")
            for key in [key for key in adata.varp if key == GRN_KEY or network_name(key) is not None]:
                adata.varp[key] = orient(adata.varp[key], orientation)
        return adopt(adata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _existing(path: PathLike[str] | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    return path
