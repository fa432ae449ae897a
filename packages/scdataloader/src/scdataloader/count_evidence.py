"""Whole numbers that are not raw counts: what speaks against them, found in one pass over blocks of cells.

Raw counts have marks that scaling, rounding, multiplying or cutting take away. A cell with many expressed genes has a
gene with a count of 1, then one of 2, and so on without a gap up to the numbers that few genes have; deep cells express
more genes than shallow ones, and their total counts differ more than their numbers of expressed genes do.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from scdataloader._wording import counted, percent

#: Fewer cells or positive counts than this prove nothing.
_MIN_CELLS, _MIN_VALUES = 20, 1000
#: A cell is asked for gaps if it expresses this many genes; a number is missed if this many genes have the next one.
_MIN_GENES, _MISSED_BY = 100, 20
#: Numbers that are looked for in each cell: 1 to this.
_LARGEST = 16
#: More cells with a gap than this share: of the raw data sets that were looked at, one cell in 150 had one.
_GAPPED = 0.05
#: Totals whose median distance from their median is smaller than this share of it are suspect, if they spread less than
#: this many times as far as the numbers of expressed genes. In raw data sets these were 0.13 and 0.85 at least.
_SPREAD, _RATIO = 0.1, 0.6
#: Totals are nearly the same if more than half lie this near to their median.
_NEAR = 0.01


class CountEvidence:
    """Evidence that whole numbers are not raw counts; give it all blocks, then ask for `warnings`.

    Four things count: every count is 0 or 1; every count is a multiple of one number; cells lack numbers that raw
    counts have, as after scaling each cell and rounding (CPM); total counts are nearly the same in all cells. Data with
    fewer than 20 cells or 1,000 positive counts prove nothing.

    Examples
    --------
    >>> evidence = CountEvidence()
    >>> evidence.add(sparse.csr_matrix(np.tile([0, 1], (20, 60))))
    >>> evidence.warnings()
    ['every count is 0 or 1 (1,200 positive counts of 20 cells): the data look binarised']
    """

    def __init__(self) -> None:
        self._divisor = 0
        self._largest = 0.0
        self._n_values = 0
        self._totals: list[np.ndarray] = []
        self._n_genes: list[np.ndarray] = []
        self._n_asked = self._n_gapped = 0
        self._example = ""

    def add(self, block: sparse.csr_matrix) -> None:
        """Look at cells.

        Parameters
        ----------
        block
            Whole numbers, zero or more; shape (n_cells, n_genes), each gene once a cell.
        """
        n_cells = block.shape[0]
        values = block.data
        rows = np.repeat(np.arange(n_cells), np.diff(block.indptr))
        if (values == 0).any():
            rows, values = rows[values > 0], values[values > 0]
        self._n_values += len(values)
        self._largest = max(self._largest, float(values.max(initial=0)))
        self._divide(values)
        n_genes = np.bincount(rows, minlength=n_cells)
        self._n_genes.append(n_genes[n_genes > 0])
        self._totals.append(np.bincount(rows, weights=values, minlength=n_cells)[n_genes > 0])
        self._find_gaps(rows, values, n_genes)

    def _divide(self, values: np.ndarray) -> None:
        if self._divisor == 1 or not len(values):
            return
        if values.min() == 1:
            self._divisor = 1
        elif values.max() < np.iinfo(np.int64).max:
            self._divisor = int(np.gcd(self._divisor, np.gcd.reduce(values.astype(np.int64))))

    def _find_gaps(self, rows: np.ndarray, values: np.ndarray, n_genes: np.ndarray) -> None:
        small = values <= _LARGEST
        place = rows[small] * (_LARGEST + 1) + values[small].astype(np.int64)
        have = np.bincount(place, minlength=len(n_genes) * (_LARGEST + 1)).reshape(len(n_genes), -1)
        missed = (have[:, 2:-1] == 0) & (have[:, 3:] >= _MISSED_BY)
        asked = n_genes >= _MIN_GENES
        gapped = np.flatnonzero(asked & ((have[:, 1] == 0) | missed.any(axis=1)))
        self._n_asked += int(asked.sum())
        self._n_gapped += len(gapped)
        if len(gapped) and not self._example:
            numbers, times = np.unique(values[rows == gapped[n_genes[gapped].argmax()]], return_counts=True)
            absent = next(number for number in range(1, _LARGEST + 2) if number not in numbers)
            commonest = times[numbers > absent].argmax()
            number, n = numbers[numbers > absent][commonest], int(times[numbers > absent][commonest])
            self._example = (
                f"in one, no gene has a count of {absent}, and {counted(n, 'gene has', 'genes have')} {number:.0f}"
            )

    def warnings(self) -> list[str]:
        """Return what speaks against raw counts, each with its numbers; empty where nothing does."""
        n_cells = sum(map(len, self._totals))
        if n_cells < _MIN_CELLS or self._n_values < _MIN_VALUES:
            return []
        of = f"{self._n_values:,} positive counts of {n_cells:,} cells"
        if self._largest == 1:
            return [f"every count is 0 or 1 ({of}): the data look binarised"]
        out = []
        if self._divisor > 1:
            out.append(
                f"every count is a multiple of {self._divisor:,} ({of}): they look multiplied, and may be raw counts "
                f"once they are divided by {self._divisor:,}"
            )
        elif self._n_gapped > _GAPPED * self._n_asked and self._n_gapped >= _MIN_CELLS // 2:
            out.append(
                f"{self._n_gapped:,} of {self._n_asked:,} cells lack numbers that raw counts have ({self._example}): "
                "the values look scaled in each cell, as to counts per million, and then rounded"
            )
        return out + self._same_totals()

    def _same_totals(self) -> list[str]:
        totals, n_genes = np.concatenate(self._totals), np.concatenate(self._n_genes)
        middle = float(np.median(totals))
        spread, of_genes = _spread(totals), _spread(n_genes)
        near = float(np.mean(np.abs(totals - middle) <= _NEAR * middle))
        if near <= 0.5 and (spread >= _SPREAD or spread >= _RATIO * of_genes):
            return []
        return [
            f"the total counts of the cells are nearly the same: half of them lie within {percent(spread, 1)} of "
            f"{middle:,.0f}, and their numbers of expressed genes within {percent(of_genes, 1)} of "
            f"{np.median(n_genes):,.0f}. The values look scaled, or drawn, to one depth"
        ]


def count_warnings(matrix: sparse.csr_matrix) -> list[str]:
    """Return what speaks against whole numbers being raw counts; see `CountEvidence`.

    Parameters
    ----------
    matrix
        Whole numbers, shape (n_cells, n_genes).
    """
    evidence = CountEvidence()
    evidence.add(matrix)
    return evidence.warnings()


def _spread(values: np.ndarray) -> float:
    """Return the median distance from the median, as a share of the median."""
    middle = np.median(values)
    return float(np.median(np.abs(values - middle)) / middle)
