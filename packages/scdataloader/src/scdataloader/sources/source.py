"""The form of every source of cells, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

#: Values held in memory at a time while a source is read: about 400 MB with their column numbers.
BLOCK_VALUES = 50_000_000


@dataclass(frozen=True)
class Matrix:
    """One matrix of a source, read a block of cells at a time; it is never in memory as a whole.

    Attributes
    ----------
    shape
        (n_cells, n_genes).
    var
        One row a gene of this matrix; its index is the genes' names.
    rows
        ``rows(begin, end)`` returns those cells as CSR, shape (end - begin, n_genes), stored values as in the file.
    row_ends
        Number of stored values in all cells up to and with each one, shape (n_cells,), where the format tells it
        without reading the values; else None, and every value counts as stored.
    """

    shape: tuple[int, int]
    var: pd.DataFrame
    rows: Callable[[int, int], sparse.csr_matrix]
    row_ends: np.ndarray | None = None

    def blocks(self, values: int = BLOCK_VALUES) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
        """Yield (begin, end, rows) over all cells in order, about `values` stored values each (one cell at least)."""
        n_cells, n_genes = self.shape
        begin = 0
        while begin < n_cells:
            if self.row_ends is None:
                end = begin + max(1, values // max(1, n_genes))
            else:
                before = int(self.row_ends[begin - 1]) if begin else 0
                end = int(np.searchsorted(self.row_ends, before + values, side="right"))
            end = min(n_cells, max(end, begin + 1))
            yield begin, end, self.rows(begin, end)
            begin = end


@dataclass
class Source(AbstractContextManager["Source"]):
    """Cells with labels, and the matrices that may hold their raw counts. Use it in a ``with`` block.

    Attributes
    ----------
    name
        Short name: the file's without its ending, the data set's id.
    uri
        Where it came from, for messages and reports.
    obs
        One row a cell.
    matrices
        By the name that users know: ``"X"``, ``"raw"``, ``"layers/<name>"``. All have the same cells, ``raw`` often
        more genes.
    uns
        Small unstructured entries of the file, where its format has them.
    embeddings
        ``obsm`` entries by name, shape (n_cells, ...), read when called.
    close
        Frees the file.
    """

    name: str
    uri: str
    obs: pd.DataFrame
    matrices: Mapping[str, Matrix]
    uns: Mapping[str, Any] = field(default_factory=dict)
    embeddings: Mapping[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
