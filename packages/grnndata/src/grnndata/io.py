"""Networks and edge tables on disk."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import anndata
import h5py
import pandas as pd

from .atomic import atomic_path
from .convert import Orientation, orient
from .core import GRNAnnData, adopt
from .edges import EDGE_COLUMNS, check_edges
from .schema import GRN_KEY, ORIENTATION, UNS_KEY

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_SUFFIXES = ".csv, .tsv, .csv.gz, .tsv.gz or .parquet"


def read_h5ad(path: PathLike[str] | str, *, orientation: Orientation = "regulator_target") -> GRNAnnData:
    """Read an h5ad file that holds a network in ``varp["GRN"]``.

    Parameters
    ----------
    path
        The file.
    orientation
        ``"target_regulator"`` for a file of another tool whose rows are targets: the network is transposed.
        Files written here say how they are oriented and need no argument.

    Returns
    -------
    GRNAnnData
        In memory, row = regulator.

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
    if GRN_KEY not in keys:
        held = ", ".join(keys) or "nothing"
        raise ValueError(
            f"{path} holds no network: varp[{GRN_KEY!r}] is missing (varp holds {held}); "
            "add one with GRNAnnData(anndata.read_h5ad(path), grn)"
        )
    adata = anndata.read_h5ad(path)
    if orientation != "regulator_target":
        said = adata.uns.get(UNS_KEY)
        if isinstance(said, dict) and said.get("orientation") == ORIENTATION:
            raise ValueError(f"{path} says {ORIENTATION!r}: read it without orientation={orientation!r}")
        adata.varp[GRN_KEY] = orient(adata.varp[GRN_KEY], orientation)
    try:
        return adopt(adata)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


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


def read_edges(path: PathLike[str] | str) -> pd.DataFrame:
    """Read an edge table.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` (each also ``.gz``) or ``.parquet`` with columns ``source, target, weight``; other
        columns are ignored.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), in the file's order.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file's kind is unknown, a column or a name is missing, or a weight is not a finite number.
    """
    path = _existing(path)
    kind = _kind(path)
    if kind == ".parquet":
        table = pd.read_parquet(path)
    else:
        # A gene may be called NA or NAN: only an empty field is a missing name.
        table = pd.read_csv(
            path,
            sep=_SEPARATORS[kind],
            dtype={"source": str, "target": str},
            keep_default_na=False,
            na_values=[""],
        )
    try:
        return check_edges(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_edges(edges: pd.DataFrame | GRNAnnData, path: PathLike[str] | str) -> None:
    """Write an edge table, atomically.

    Parameters
    ----------
    edges
        A table with columns ``source, target, weight``, or a network, whose edges are written strongest
        first.
    path
        ``.csv``, ``.tsv`` (each also ``.gz``) or ``.parquet``; replaced if it exists.

    Raises
    ------
    FileNotFoundError
        When the folder does not exist.
    ValueError
        When the file's kind is unknown, or the table is not valid.
    """
    kind = _kind(Path(path))
    table = check_edges(edges.edges() if isinstance(edges, GRNAnnData) else edges)[list(EDGE_COLUMNS)]
    with atomic_path(path) as temporary:
        if kind == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep=_SEPARATORS[kind], index=False)


def _existing(path: PathLike[str] | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    return path


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(".parquet"):
        return ".parquet"
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in _SEPARATORS:
        raise ValueError(f"cannot tell the kind of edge table from the name {path.name!r}: end it with {_SUFFIXES}")
    return kind
