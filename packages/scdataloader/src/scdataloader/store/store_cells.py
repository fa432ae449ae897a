"""The cells of a store as a training sees them: which data sets, labels and genes; the counts stay on disk."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from scdataloader.fingerprint import cell_fingerprints
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace
from scdataloader.store.reader import CellReader

#: Cells that are looked at at a time.
_CHUNK = 1 << 14


class StoreCells:
    """What `scdataloader.CellDataset` says of cells in memory, said of those of a store.

    Parameters
    ----------
    store
        Open; see `scdataloader.store.open_store`.
    vocabulary
        The genes that count.
    label_space
        Which labels to encode.

    Raises
    ------
    ValueError
        When the store is empty.
    """

    def __init__(self, store: CellReader, vocabulary: GeneVocabulary, label_space: LabelSpace) -> None:
        if len(store) == 0:
            raise ValueError("the store holds no cells")
        self.store, self.vocabulary, self.label_space = store, vocabulary, label_space

    def __len__(self) -> int:
        return len(self.store)

    @property
    def names(self) -> list[str]:
        """Names of the data sets, in order."""
        return self.store.datasets

    @property
    def sizes(self) -> list[int]:
        """Number of cells of each data set."""
        return self.store.dataset_sizes.tolist()

    @property
    def dataset(self) -> np.ndarray:
        """Index of each cell's data set, int64, shape (n_cells,)."""
        return self.store.dataset

    @property
    def labels(self) -> np.ndarray:
        """Label codes, -1 unknown; shape (n_cells, n_classes), of as few bytes as they need. Read anew each time."""
        encode, n = self.store.encoder(self.label_space), len(self.store)
        most = max((len(labels.codes) for labels in self.label_space.classes.values()), default=0)
        kind = next(k for k in (np.int8, np.int16, np.int32) if most <= np.iinfo(k).max)
        out = np.empty((n, len(self.label_space.classes)), kind)
        for begin in range(0, n, _CHUNK):
            rows = np.arange(begin, min(begin + _CHUNK, n))
            out[rows] = encode(rows)
        return out

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """One 64-bit hash a cell, see `scdataloader.fingerprint`; reads all counts of the store once."""
        genes = self.store.gene_map(self.vocabulary)
        index, n = np.arange(genes.width), len(self.store)
        out = np.empty(n, np.uint64)
        with tqdm(total=n, desc="fingerprints of cells", unit="cell", disable=None) as bar:
            for begin in range(0, n, _CHUNK):
                rows = np.arange(begin, min(begin + _CHUNK, n))
                ends, columns, counts = self.store.gather_csr(rows, genes, exact=True)
                matrix = sparse.csr_matrix((counts, columns, ends), shape=(len(rows), genes.width))
                out[rows] = cell_fingerprints(matrix, index)
                bar.update(len(rows))
        return out
