"""Loom files (genes × cells, https://linnarssonlab.org/loompy/format) as sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from scdataloader._wording import listed
from scdataloader.sources.addresses import source_name
from scdataloader.sources.elements import check_complete, dense
from scdataloader.sources.reading import Lazy, damage_named, guarded
from scdataloader.sources.source import Matrix, Source

#: Attributes that hold gene ids, gene symbols and cell names, in the order they are tried; case does not matter.
_GENE_IDS = ("accession", "gene_ids", "gene_id", "ensembl_ids", "ensembl_id", "ensemblid", "ensembl")
_SYMBOLS = ("gene", "gene_names", "gene_name", "genename", "symbol", "gene_symbol", "var_names", "genes")
_CELLS = ("cellid", "cell_names", "cell_name", "cellname", "obs_names", "cell_id", "barcode", "barcodes", "cell")


def open_loom(path: Path | str) -> Source:
    """Open a loom file as a source; its values are read in blocks of cells.

    Genes are named by their ids where it has them, else by symbols; both stand in ``var``. Attributes with two
    dimensions are embeddings.

    Raises
    ------
    ValueError
        When it is not an intact loom file, or no attribute names its genes or cells.
    """
    path, kind = Path(path), "a loom file"
    with damage_named(path, kind):
        file = h5py.File(path, "r")
        try:
            if not isinstance(file.get("matrix"), h5py.Dataset) or file["matrix"].ndim != 2:
                raise ValueError(f"it has no two-dimensional matrix, only {sorted(file)[:10]}")
            n_genes, n_cells = file["matrix"].shape
            var = _genes(file, n_genes)
            obs, embeddings = _cells(file, n_cells, path, kind)
            elements = {"X": file["matrix"]} | {
                f"layers/{name}": layer for name, layer in file.get("layers", {}).items()
            }
            for name, element in elements.items():
                if element.shape != (n_genes, n_cells):
                    raise ValueError(f"{name} has the shape {element.shape}, the matrix {n_genes, n_cells}")

            def matrix(element: Any) -> Matrix:
                found = dense(element, var, n_cells, genes_first=True)
                return Matrix(found.shape, var, guarded(found.rows, path, kind))

            makers = {
                name: guarded(lambda element=element: matrix(element), path, kind) for name, element in elements.items()
            }
            return Source(source_name(str(path)), str(path), obs, Lazy(makers), {}, embeddings, file.close)
        except BaseException:
            file.close()
            raise


def _genes(file: Any, n_genes: int) -> pd.DataFrame:
    table, _ = _attributes(file, "row_attrs", n_genes)
    ids, symbols = _find(table, _GENE_IDS), _find(table, _SYMBOLS)
    if ids is None and symbols is None:
        raise ValueError(_unnamed("genes", "row_attrs", table, (*_GENE_IDS[:2], *_SYMBOLS[:2])))
    index = table[ids if ids is not None else symbols].astype(str)
    if symbols is not None:
        table = table.rename(columns={symbols: "symbol"})
    return table.set_index(pd.Index(index.tolist(), name="gene_id" if ids is not None else "gene"))


def _cells(file: Any, n_cells: int, path: Path, kind: str) -> tuple[pd.DataFrame, dict[str, Callable[[], np.ndarray]]]:
    table, wide = _attributes(file, "col_attrs", n_cells)
    names = _find(table, _CELLS)
    if names is None:
        raise ValueError(_unnamed("cells", "col_attrs", table, _CELLS[:3]))
    obs = table.drop(columns=names).set_index(pd.Index(table[names].astype(str).tolist(), name="cell"))

    def reader(name: str) -> Callable[[], np.ndarray]:
        return guarded(lambda: np.asarray(file[f"col_attrs/{name}"][:]), path, kind)

    return obs, {name: reader(name) for name in wide}


def _attributes(file: Any, group: str, n: int) -> tuple[pd.DataFrame, list[str]]:
    """Return the attributes of one dimension as a table, and the names of those of two."""
    columns: dict[str, np.ndarray] = {}
    wide: list[str] = []
    for name, array in file.get(group, {}).items():
        if array.shape[:1] != (n,):
            raise ValueError(f"{group}/{name} has the shape {array.shape}, {n:,} values are needed")
        check_complete(array)
        if array.ndim > 1:
            wide.append(name)
        else:
            columns[name] = array.asstr()[:] if array.dtype.kind in "SO" else array[:]
    return pd.DataFrame(columns, index=range(n)), wide


def _find(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    present = {str(column).lower(): str(column) for column in table.columns}
    return next((present[name] for name in names if name in present), None)


def _unnamed(what: str, group: str, table: pd.DataFrame, usual: tuple[str, ...]) -> str:
    return (
        f"no attribute names its {what}: {group} holds [{listed(table.columns)}], usual are {list(usual)} and the like"
    )
