"""Sums of counts over regulators, each weighted as often as a replicate takes it: exact, for all replicates at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, sgemm

# Whole numbers up to here, and so sums of them, are exact in float32.
_EXACT_IN_FLOAT32 = 1 << 24


class DenseSums:
    """Sums of tables of counts, (columns, replicates)."""

    def __init__(self, n_columns: int, n_replicates: int, largest: int) -> None:
        """Make room for sums up to `largest`."""
        self._type: type = np.float32 if largest < _EXACT_IN_FLOAT32 else np.float64
        # Columns first and Fortran order: a replicate's sums are contiguous, and BLAS adds to them in place.
        self._sums = np.zeros((n_columns, n_replicates), dtype=self._type, order="F")

    def add(self, counts: NDArray[Any], weights: NDArray[np.integer]) -> None:
        """Add the counts of some regulators, (regulators, columns), weighted by replicate, (replicates, regulators)."""
        if not self._sums.size:
            return
        product = sgemm if self._type is np.float32 else dgemm
        left: NDArray[Any] = np.ascontiguousarray(counts, dtype=self._type).T
        right: NDArray[Any] = np.ascontiguousarray(weights, dtype=self._type).T
        self._sums = product(1.0, left, right, beta=1.0, c=self._sums, overwrite_c=1)

    def of(self, replicate: int) -> NDArray[np.int64]:
        """Return the sums of one replicate, (columns,)."""
        return self._sums[:, replicate].astype(np.int64)


class SparseSums:
    """The same sums of counts that are nearly all 0, given one by one and added up at the end."""

    def __init__(self, n_columns: int, n_regulators: int, weights: NDArray[np.integer]) -> None:
        """Take the weights of all regulators, (replicates, regulators)."""
        self._shape = (n_columns, n_regulators)
        self._weights = weights
        self._given: list[tuple[NDArray[Any], ...]] = []
        self._sums = np.zeros((0, 0), dtype=np.int64)

    def add(self, regulators: NDArray[np.int64], columns: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Add counts, (n,), of some regulators in some columns."""
        self._given.append((regulators.astype(np.int32), columns.astype(np.int32), counts))

    def finish(self) -> None:
        """Add up what was given."""
        regulators, columns, counts = (np.concatenate(parts) for parts in zip(*self._given, strict=True))
        table = sp.csr_array((counts.astype(np.int64), (columns, regulators)), shape=self._shape)
        self._sums = np.asarray(table @ self._weights.T.astype(np.int64)).T

    def of(self, replicate: int) -> NDArray[np.int64]:
        """Return the sums of one replicate, (columns,)."""
        return self._sums[replicate]
