"""Walk over a dense network in blocks of rows, so that no tool holds a second one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .schema import is_sparse

#: 2**21 entries: 8 MB of float32.
BLOCK = 2**21


def row_blocks(network: Any, entries: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover the rows of a network, each of at most `entries` entries, but at least a row."""
    n_rows, n_columns = network.shape
    step = max(1, entries // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def dense_rows(network: Any, rows: slice) -> NDArray[np.float32]:
    """Return rows of a sparse or dense network as an array."""
    return np.asarray(network[rows].toarray() if is_sparse(network) else network[rows])
