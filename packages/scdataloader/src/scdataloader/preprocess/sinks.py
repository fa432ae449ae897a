"""Take clean cells while a source is read block by block: into memory, or straight into an h5ad file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

from scdataloader.hdf5_writing import HushedFile

#: Values in one compressed chunk of a file: 1 MB, so that a block of cells opens few and wastes little.
_CHUNK = 1 << 18


class Sink(Protocol):
    """Takes blocks of cells in order, then what belongs to all of them."""

    def add(self, block: sparse.csr_matrix) -> None:
        """Append cells: float32 counts, shape (n, n_genes)."""

    def finish(
        self, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any], obsm: Mapping[str, np.ndarray]
    ) -> None:
        """Add the tables, whose sizes fit the blocks taken."""


class MemorySink:
    """Collects an AnnData, in `adata` after `finish`."""

    def __init__(self) -> None:
        self._blocks: list[sparse.csr_matrix] = []
        self.adata: anndata.AnnData

    def add(self, block: sparse.csr_matrix) -> None:
        """Append cells."""
        self._blocks.append(block)

    def finish(
        self, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any], obsm: Mapping[str, np.ndarray]
    ) -> None:
        """Build the AnnData."""
        counts = self._blocks[0] if len(self._blocks) == 1 else sparse.vstack(self._blocks, format="csr")
        self._blocks = []
        self.adata = anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var, uns=dict(uns))
        for name, values in obsm.items():
            self.adata.obsm[name] = values


class H5adSink:
    """Writes an h5ad file while the cells come in; holds one block at a time.

    Parameters
    ----------
    path
        File to write, made anew.
    n_genes
        Columns of the blocks.
    compression
        ``"gzip"``, ``"lzf"`` or None.

    References
    ----------
    The layout: anndata's "On-disk format" page, csr_matrix 0.1.0.
    """

    def __init__(self, path: Path, n_genes: int, *, compression: str | None = "gzip") -> None:
        self._raw = HushedFile(path)
        self._file = h5py.File(self._raw, "w")
        self._file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        self._n_genes = n_genes
        self._ends = [np.zeros(1, dtype=np.int64)]
        self._group = self._file.create_group("X")
        for name, dtype in (("data", np.float32), ("indices", np.int32)):
            self._group.create_dataset(
                name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(_CHUNK,), compression=compression
            )

    def add(self, block: sparse.csr_matrix) -> None:
        """Append cells.

        Raises
        ------
        OSError
            When they cannot be written, for instance because the disk is full.
        """
        begin = int(self._ends[-1][-1])
        for name, values in (("data", block.data), ("indices", block.indices)):
            dataset = self._group[name]
            dataset.resize((begin + len(values),))
            dataset[begin:] = values
        self._raw.check()
        self._ends.append(begin + block.indptr[1:].astype(np.int64))

    def finish(
        self, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any], obsm: Mapping[str, np.ndarray]
    ) -> None:
        """Write the tables and close the file."""
        ends = np.concatenate(self._ends)
        narrow = ends[-1] <= np.iinfo(np.int32).max
        self._group.create_dataset("indptr", data=ends.astype(np.int32) if narrow else ends)
        shape = np.array([len(ends) - 1, self._n_genes])
        self._group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        write_elem(self._file, "obs", obs)
        write_elem(self._file, "var", var)
        write_elem(self._file, "uns", dict(uns))
        for name in ("layers", "varm", "obsp", "varp"):
            write_elem(self._file, name, {})
        write_elem(self._file, "obsm", dict(obsm))
        self.close()

    def close(self) -> None:
        """Close the file, whole or not; OSError when something could not be written. A second call does nothing."""
        self._file.close()
        self._raw.close()
        self._raw.check()
