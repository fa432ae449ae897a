"""Networks from disk: h5ad files, zarr folders, and every other form that is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py
from anndata import AnnData

from . import _provenance as provenance
from ._wording import counted, listed
from .convert import Orientation, from_edges, from_matrix, from_networkx, orient
from .core import GRNAnnData, adopt
from .edge_columns import Columns
from .edge_files import is_edge_file, is_special, read_edges_or_matrix
from .edges import Duplicates, Missing
from .graph_files import is_graphml, read_graphml
from .loom import read_loom
from .open_problems import read_open_problems
from .rectangle import Rectangle, square
from .schema import GRN_KEY, ORIENTATION, UNS_KEY, check_description, network_name

logger = logging.getLogger(__name__)


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
        When the file does not exist.
    ValueError
        When it is not an h5ad file, holds no network or not a valid one, or says that its rows are regulators
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
        When the folder does not exist.
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


def read_network(
    path: PathLike[str] | str,
    *,
    name: str | None = None,
    orientation: Orientation = "regulator_target",
    columns: Columns | None = None,
    sep: str | None = None,
    duplicates: Duplicates = "error",
    missing: Missing = "error",
    with_cells: bool = True,
) -> GRNAnnData:
    """Read the network, or the networks, of a file of any known kind.

    Parameters
    ----------
    path
        h5ad or zarr with ``varp["GRN"]`` or named networks, an h5ad of Open Problems (``uns["prediction"]``), a loom
        of SCENIC, ``.graphml``, or a file that `read_edges` reads: an edge table, a matrix of weights, regulons
        (pySCENIC's motifs, ``.gmt``), a base GRN of CellOracle, ``.sif``. Tables are ``.csv``, ``.tsv``, ``.txt`` (each
        also ``.gz``) or ``.parquet``; in those of a matrix the first column and the header name genes.
    name
        Name of the one network to return of a file that holds several; everything in the file when None.
    orientation
        ``"target_regulator"`` for a matrix whose rows are targets; see `read_h5ad`. Edge tables and looms name source
        and target, and take no notice of it.
    columns, sep, missing
        Columns and separator of an edge table, and treatment of weights that are not numbers, see `read_edges`.
    duplicates
        Treatment of an edge that a table lists twice, see `from_edges`.
    with_cells
        Whether to read the cells of a loom, too.

    Returns
    -------
    GRNAnnData
        Row = regulator. A matrix of regulators × genes is stored as CSR, with empty rows for the other genes. A table
        does not say how it was made: its ``method`` is the name of the file, and ``parameters["notes"]`` in
        ``uns["grn"]`` lists, in words, what was guessed and what was left out when it was read. The record of
        what made it comes along where one lies beside it (``table.csv.json``).

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the name does not say what kind of file it is, when the file cannot be read or holds no network, or none
        called `name`, and when `columns` or `sep` are given for something else than a table.
    """
    path = Path(path)
    if is_edge_file(path) or is_special(path):
        grn = _with_record(_read_table(path, orientation, duplicates, columns, sep, missing), path)
    else:
        grn = _read_other(path, orientation, duplicates, columns, with_cells=with_cells)
    return grn if name is None else choose_network(grn, name)


def _read_table(
    path: Path,
    orientation: Orientation,
    duplicates: Duplicates,
    columns: Columns | None,
    sep: str | None,
    missing: Missing,
) -> GRNAnnData:
    found = read_edges_or_matrix(path, columns=columns, sep=sep, missing=missing)
    told: dict[str, Any] = {"file": path.name}
    if columns is not None:
        told["columns"] = dict(columns) if isinstance(columns, Mapping) else list(map(str, columns))
    notes = list(found.notes) if isinstance(found, Rectangle) else found.attrs["notes"]
    if not isinstance(found, Rectangle):
        if duplicates != "error" and (n := int(found.duplicated(["source", "target"]).sum())):
            notes.append(f"{counted(n, 'row repeats', 'rows repeat')} a pair and are merged by their {duplicates}")
        told |= {"notes": notes} if notes else {}
        return from_edges(found, duplicates=duplicates, method=path.name, parameters=told)
    if orientation != "regulator_target":
        orient(found.matrix[:0], orientation)
        found = found.turned
    if len(found.rows) > 2 * len(found.columns):
        notes.append(
            f"{len(found.rows):,} rows are taken for regulators of {len(found.columns):,} genes: if the columns are "
            "the regulators, pass orientation='target_regulator', on the command line --orientation (of "
            "bengrn: --transpose)"
        )
        logger.warning("%s: %s", path, notes[-1])
    network, genes = square(found)
    dense = found.rows.equals(found.columns) and 2 * network.nnz > len(genes) ** 2
    told |= {"notes": notes} if notes else {}
    return from_matrix(network.toarray() if dense else network, genes, method=path.name, parameters=told)


def _read_other(
    path: Path, orientation: Orientation, duplicates: Duplicates, columns: Columns | None, *, with_cells: bool
) -> GRNAnnData:
    kind = path.suffix.lower()
    if columns is not None:
        raise ValueError(f"columns= names the columns of an edge table, and {path} is none")
    if is_graphml(path):
        return _with_record(from_networkx(read_graphml(path), method=path.name, parameters={"file": path.name}), path)
    if kind == ".zarr":
        return read_zarr(path, orientation=orientation)
    if kind == ".loom":
        return read_loom(path, with_cells=with_cells)
    if kind != ".h5ad":
        raise ValueError(
            f"cannot tell what {path} is: name it .h5ad, .zarr, .loom, .csv, .tsv, .txt, .parquet, .gmt, .sif, "
            ".graphml or .npy"
        )
    if _is_prediction(_existing(path)):
        return read_open_problems(path, duplicates=duplicates)
    return read_h5ad(path, orientation=orientation)


def choose_network(grn: GRNAnnData, name: str | None, *, option: str = "name=") -> GRNAnnData:
    """Return the network of this name, or the only one when None; `option` is what an error tells to use.

    Raises
    ------
    ValueError
        When no network has this name, or there are several and `name` is None.
    """
    names = list(grn.networks)
    if name is not None:
        if name not in names:
            raise ValueError(f"there is no network {name!r}: there are {listed(names) or 'no named ones'}")
        return grn.networks[name]
    if GRN_KEY not in grn.varp or grn.varp[GRN_KEY].ndim != 2:
        raise ValueError(f"there are {len(names)} networks: choose one with {option}, of {listed(names)}")
    return grn


def networks_of_files(
    paths: Sequence[str], names: Sequence[str] | None, *, option: str, reader: Callable[[str], GRNAnnData]
) -> list[GRNAnnData]:
    """Return one network of each file, or of a single file that holds several those of the given names, or all.

    Raises
    ------
    ValueError
        When there are several files and another number of names, and as `choose_network`.
    """
    if len(paths) > 1:
        if names is not None and len(names) != len(paths):
            raise ValueError(f"{option} takes one name for each of {len(paths)} files, got {len(names)}")
        chosen: Sequence[str | None] = names or [None] * len(paths)
        return [choose_network(reader(path), name, option=option) for path, name in zip(paths, chosen, strict=True)]
    grn = reader(paths[0])
    if names:
        return [choose_network(grn, name, option=option) for name in names]
    is_one = GRN_KEY in grn.varp and grn.varp[GRN_KEY].ndim == 2
    return [choose_network(grn, None, option=option)] if is_one else list(grn.networks.values())


def reading_notes(grn: AnnData) -> list[str]:
    """Return what was guessed and left out when a network was read from a table, in words."""
    return list(check_description(grn.uns.get(UNS_KEY))["parameters"].get("notes", []))


def _with_record(grn: GRNAnnData, path: Path) -> GRNAnnData:
    """Return a network with the record of what made it, which is kept beside a table."""
    if steps := provenance.read(path):
        grn.uns.update(provenance.in_uns(steps))
    return grn


def _is_prediction(path: Path) -> bool:
    """Say whether an h5ad file is a prediction of Open Problems, rather than one with a network."""
    if not h5py.is_hdf5(path):
        return False  # the reader of h5ad files says what is wrong
    with h5py.File(path) as file:
        has_network = any(key == GRN_KEY or network_name(key) is not None for key in file.get("varp", {}))
        return not has_network and "prediction" in file.get("uns", {})


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
