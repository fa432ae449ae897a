"""The entries of batches besides counts and labels: columns of obs, embeddings, layers, counts of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scdataloader.sampling.sampler import fingerprint, fingerprint_of_array

if TYPE_CHECKING:
    from scdataloader.store.genemap import GeneMap
    from scdataloader.store.reader import CellReader


def nearest_cells(embedding: np.ndarray, groups: np.ndarray, n: int) -> np.ndarray:
    """Return the nearest other cells of each cell among those of its group.

    Parameters
    ----------
    embedding
        Coordinates of the cells, shape (n_cells, d).
    groups
        Number of the group of each cell, such as its data set, shape (n_cells,).
    n
        Number of neighbours.

    Returns
    -------
    numpy.ndarray
        Indices of cells, nearest first by Euclidean distance, -1 where a group has too few; int64, shape (n_cells, n).
    """
    from scipy.spatial import cKDTree

    out = np.full((len(embedding), n), -1, np.int64)
    for group in np.unique(groups):
        cells = np.flatnonzero(groups == group)
        k = min(n + 1, len(cells))
        if k < 2:
            continue
        found = cKDTree(embedding[cells]).query(embedding[cells], k=k)[1]
        # a cell is its own nearest, unless cells with the same coordinates are listed before it
        own = found == np.arange(len(cells))[:, None]
        own[~own.any(axis=1), -1] = True
        out[cells, : k - 1] = cells[found[~own].reshape(len(cells), k - 1)]
    return out


@dataclass(frozen=True, kw_only=True)
class Extras:
    """The further entries of batches.

    Parameters
    ----------
    obs
        Columns of ``obs``. Batches hold each as ``obs/<name>``, shape (B,): whole numbers and truth values as int64,
        other numbers as float32, and anything else as int64 codes, -1 where it is missing, of the values that
        `scdataloader.CellDataset.categories` lists.
    obsm
        Entries of ``obsm``, such as embeddings. Batches hold each as ``obsm/<name>``, float32, shape (B, d).
    layers
        Layers of raw counts, such as ``"spliced"``. Batches hold each as ``layers/<name>``: its counts of the genes of
        the context, float32, shape (B, S).
    neighbours
        Number of nearest cells of the same data set (and the same part of a split) whose counts are summed, as for
        metacells. Batches hold them as ``neighbour_counts``, float32, shape (B, S). 0 for none.
    neighbours_by
        Entry of ``obsm`` whose Euclidean distances say which cells are near.
    """

    obs: tuple[str, ...] = ()
    obsm: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    neighbours: int = 0
    neighbours_by: str = "X_pca"

    def __post_init__(self) -> None:
        for name in ("obs", "obsm", "layers"):
            if isinstance(getattr(self, name), str):
                raise ValueError(
                    f"{name}={getattr(self, name)!r} must be a list of names: write [{getattr(self, name)!r}]"
                )
        if self.neighbours < 0:
            raise ValueError(f"neighbours={self.neighbours} must not be negative")

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.obs or self.obsm or self.layers or self.neighbours)

    @property
    def needs_genes(self) -> bool:
        """Whether some of it is given for the genes of the context."""
        return bool(self.layers or self.neighbours)

    def read(self, store: CellReader, rows: np.ndarray, apart: np.ndarray | None = None) -> ReadExtras:
        """Read what is kept in memory of the given rows.

        Parameters
        ----------
        store
            Open; `obsm` and `layers` are not in stores on disk.
        rows
            Rows of the store, int64, shape (n_cells,).
        apart
            Number of the part of each cell, shape (n_cells,), whose cells are not neighbours of those of other parts.

        Raises
        ------
        ValueError
            When the store does not have one of them.
        """
        return ReadExtras(self, store, rows, apart)


class ReadExtras:
    """Entries of the cells that batches hold besides; see `Extras.read`."""

    def __init__(self, extras: Extras, store: CellReader, rows: np.ndarray, apart: np.ndarray | None) -> None:
        self._store, self._rows = store, rows
        self._arrays: dict[str, np.ndarray] = {}
        #: Values that the codes of each column stand for.
        self.categories: dict[str, list[str]] = {}
        for name in extras.obs:
            self._arrays[f"obs/{name}"] = self._column(name)
        for name in extras.obsm:
            self._arrays[f"obsm/{name}"] = np.ascontiguousarray(store.obsm(name)[rows], np.float32)
        self._layers = {name: store.layer(name) for name in extras.layers}
        self._near: np.ndarray | None = None
        if extras.neighbours:
            groups = store.dataset_of(rows)
            if apart is not None:
                groups = groups * (int(apart.max(initial=0)) + 1) + apart
            near_by = np.asarray(store.obsm(extras.neighbours_by)[rows], np.float32)
            self._near = nearest_cells(near_by, groups, extras.neighbours)
        near = [] if self._near is None else [fingerprint_of_array(self._near)]
        shown = {name: fingerprint_of_array(array) for name, array in self._arrays.items()}
        #: A hash of all of them.
        self.fingerprint = fingerprint({"arrays": shown, "layers": list(self._layers), "near": near})

    def _column(self, name: str) -> np.ndarray:
        try:
            column = self._store.obs([name])[name].iloc[self._rows]
        except KeyError as error:
            raise ValueError(f"obs has no column {name!r}: {error.args[0]}") from error
        whole = pd.api.types.is_bool_dtype(column) or pd.api.types.is_integer_dtype(column)
        if whole and not column.isna().any():
            return column.to_numpy(np.int64)
        if pd.api.types.is_numeric_dtype(column):
            return column.to_numpy(np.float32, na_value=np.nan)
        found = pd.Categorical(column.astype(object).where(column.notna(), None).map(_text))
        self.categories[name] = [str(value) for value in found.categories.tolist()]
        return found.codes.astype(np.int64)

    def of(self, cells: np.ndarray, genes: np.ndarray, wanted: GeneMap) -> dict[str, np.ndarray]:
        """Return the entries of a batch by name.

        Parameters
        ----------
        cells
            Places of the cells among the rows that were read, int64, shape (B,).
        genes
            Vocabulary index of each gene of the contexts, -1 for none, int64, shape (B, S).
        wanted
            Map of the store's genes to the vocabulary.
        """
        out = {name: array[cells] for name, array in self._arrays.items()}
        for name, layer in self._layers.items():
            counts = layer.gather_csr(self._rows[cells], wanted)
            out[f"layers/{name}"] = _at(counts, genes, wanted.width)
        if self._near is not None:
            near = self._near[cells]
            ends, columns, counts_near = self._store.gather_csr(self._rows[near[near >= 0]], wanted)
            # the neighbours of a cell lie one after the other: together they are one row
            ends = ends[np.concatenate([[0], np.cumsum((near >= 0).sum(axis=1))])]
            out["neighbour_counts"] = _at((ends, columns, counts_near), genes, wanted.width)
        return out


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _at(rows: tuple[np.ndarray, np.ndarray, np.ndarray], genes: np.ndarray, width: int) -> np.ndarray:
    from scdataloader.collate.lookups import look_up

    out = np.empty(genes.shape, np.float32)
    look_up(*rows, np.ascontiguousarray(genes), width, out)
    return out
