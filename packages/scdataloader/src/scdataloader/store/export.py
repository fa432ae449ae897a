"""Cells of a store back as AnnData: for other tools, or to read a store without this package's loader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.write import atomic

if TYPE_CHECKING:
    import anndata

    from scdataloader.store.reader import CellReader


def to_anndata(store: CellReader, rows: np.ndarray | None = None) -> anndata.AnnData:
    """Return cells of a store as an AnnData in memory.

    Parameters
    ----------
    rows
        Which cells, in this order; by default all.

    Returns
    -------
    anndata.AnnData
        ``X`` CSR uint32, exact; genes: those that any of the cells' data sets measured, in the order of the
        store's gene tables; ``obs`` with ``dataset``.
    """
    import anndata

    from scdataloader.store.genemap import GeneMap

    rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
    used = np.unique(store.table_of(rows)) if len(rows) else np.arange(len(store.gene_tables))
    tables = [store.gene_tables[number] for number in used]
    ids = list(dict.fromkeys(gene for table in tables for gene in table.index.tolist()))
    genes = GeneMap.of(store.gene_tables, ids)
    ends, columns, counts = store.gather_csr(rows, genes, exact=True)
    x = sparse.csr_matrix((counts, columns, ends), shape=(len(rows), len(ids)))
    x.sort_indices()
    obs = store.obs().iloc[rows].copy()
    obs["dataset"] = pd.Categorical.from_codes(store.dataset_of(rows), categories=pd.Index(store.datasets))
    var = pd.concat(tables)
    var = var[~var.index.duplicated()].loc[ids] if ids else var
    return anndata.AnnData(x, obs=obs, var=var.rename_axis(None))


def export(store: CellReader, path: Path, rows: np.ndarray | None = None, *, kind: str = "h5ad") -> None:
    """Write cells of a store as an AnnData file; a failure leaves what was there.

    Parameters
    ----------
    rows
        Which cells, in this order; by default all. They are held in memory, 8 bytes a count.
    kind
        ``"h5ad"`` or ``"zarr"``.

    Raises
    ------
    FileExistsError
        When a zarr folder of that name is there.
    """
    if kind not in ("h5ad", "zarr"):
        raise ValueError(f"format={kind!r} is neither 'h5ad' nor 'zarr'")
    if kind == "zarr" and path.exists():
        raise FileExistsError(f"{path} is there already: choose another name")
    adata = to_anndata(store, rows)
    if kind == "h5ad":
        with atomic(path) as temporary:
            adata.write_h5ad(temporary)
        return
    unfinished = path.with_name(f".{path.name}.unfinished")
    adata.write_zarr(unfinished)
    unfinished.replace(path)
