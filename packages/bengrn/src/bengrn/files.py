"""Networks on disk, in every form that can be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pandas as pd

import grnndata

_TABLES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet")
_KINDS = f".h5ad, .zarr, .loom, or a table: {', '.join(_TABLES)}"


def read_network(
    path: str | Path,
    *,
    name: str | None = None,
    orientation: Literal["regulator_target", "target_regulator"] = "regulator_target",
    duplicates: Literal["error", "sum", "max"] = "error",
) -> grnndata.GRNAnnData:
    """Read a network to score.

    Parameters
    ----------
    path
        h5ad or zarr with ``varp["GRN"]``, an h5ad of Open Problems (``uns["prediction"]``), a loom of SCENIC, an
        edge table (see `grnndata.read_edges`), or a square table of weights whose first column and header name
        the genes in the same order.
    name
        Which network, in a file that holds several.
    orientation
        "target_regulator" for a matrix whose rows are targets. Edge tables and looms name source and target.
    duplicates
        What to do with an edge that a table lists twice, see `grnndata.from_edges`.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it holds no network, several and no `name` is given, or cannot be read.
    """
    path = Path(path)
    kind = path.name.lower()
    if not kind.endswith((".zarr", ".h5ad", ".loom", *_TABLES)):
        raise ValueError(f"cannot tell what {path} is: name it {_KINDS}")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    if kind.endswith(".zarr"):
        grn = grnndata.read_zarr(path, orientation=orientation)
    elif kind.endswith(".h5ad"):
        grn = _read_h5ad(path, orientation)
    elif kind.endswith(".loom"):
        grn = grnndata.read_loom(path, with_cells=False)
    else:
        matrix = _square_table(path)
        if matrix is not None:
            grn = grnndata.from_matrix(matrix.to_numpy(), matrix.index, orientation=orientation, method=path.name)
        else:
            grn = grnndata.from_edges(grnndata.read_edges(path), method=path.name, duplicates=duplicates)
    return _choose(grn, name, path)


def _read_h5ad(path: Path, orientation: Any) -> grnndata.GRNAnnData:
    import h5py

    try:
        with h5py.File(path) as file:
            is_prediction = "prediction" in file.get("uns", {}) and "GRN" not in file.get("varp", {})
    except OSError as error:
        raise ValueError(f"{path} is not an h5ad file: {error}") from error
    if is_prediction:
        return grnndata.read_open_problems(path)
    return grnndata.read_h5ad(path, orientation=orientation)


def _choose(grn: grnndata.GRNAnnData, name: str | None, path: Path) -> grnndata.GRNAnnData:
    if name is not None:
        if name not in grn.networks:
            raise ValueError(
                f"{path} holds no network {name!r}: there are {', '.join(grn.networks) or 'no named ones'}"
            )
        return grn.networks[name]
    if "GRN" not in grn.varp or grn.varp["GRN"].ndim == 3:
        raise ValueError(f"{path} holds several networks ({', '.join(grn.networks)}): choose one by its name")
    return grn


def _square_table(path: Path) -> pd.DataFrame | None:
    """Return a square table of weights, genes as index and columns; None when the file is none."""
    if path.name.lower().endswith(".parquet"):
        table = pd.read_parquet(path)
        if isinstance(table.index, pd.RangeIndex) and len(table.columns):
            table = table.set_index(table.columns[0])
    else:
        sep = "," if ".csv" in path.name.lower() else "\t"
        options: dict[str, Any] = {"sep": sep, "index_col": 0, "keep_default_na": False, "na_values": [""]}
        head = pd.read_csv(path, nrows=3, **options)
        # An edge table has few columns; one of three genes still has a header that names its rows.
        if list(head.index.astype(str)) != list(head.columns.astype(str)[: len(head)]) or head.empty:
            return None
        table = pd.read_csv(path, dtype={head.index.name or 0: str}, **options)
    genes, columns = table.index.astype(str), table.columns.astype(str)
    if list(genes) == list(columns):
        return table.set_axis(genes).set_axis(columns, axis=1)
    return None
