"""Get raw counts back from normalised ones, where it can be done exactly; refuse where it cannot.

Counts k of a cell are often published as log(1 + s·k), with one unknown scale s for each cell (10,000 / total, say).
As most cells have genes of count 1, s is the cell's smallest value with the logarithm undone; dividing by it must give
whole numbers. Where it does not, other operations came between (integration, regression, scaling by gene length), and
no one knows the counts any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

#: How far a recovered count k may be from a whole number: 0.02 + k · 1.5e-6, the second for what float32 has lost. Past
#: 0.25 the whole number meant cannot be told, so higher counts (153,000) cannot be recovered.
_ABSOLUTE, _RELATIVE, _MOST = 0.02, 1.5e-6, 0.25
#: Below this many values a cell fits any scale by chance, so such cells prove nothing.
_FEW = 5


@dataclass(frozen=True)
class Undo:
    """How a matrix was made from counts.

    Attributes
    ----------
    base
        Base of the logarithm of 1 + x; None where no logarithm was taken.
    scaled
        Whether each cell has a scale of its own.
    """

    base: float | None
    scaled: bool

    def __str__(self) -> str:
        log = {None: "", math.e: "log1p of ", 2.0: "log2(1 + x) of ", 10.0: "log10(1 + x) of "}[self.base]
        return log + ("counts scaled per cell" if self.scaled else "counts")


#: What is tried, in this order; the plainest first.
KINDS = tuple(Undo(base, scaled) for scaled in (False, True) for base in (math.e, 2.0, 10.0, None) if base or scaled)


def recover(block: sparse.csr_matrix, undo: Undo) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Undo a normalisation.

    Parameters
    ----------
    block
        Stored values, shape (n_cells, n_genes).
    undo
        What to undo.

    Returns
    -------
    tuple
        Whole numbers, float64, CSR of the same shape; and for each stored value whether it was so close to its whole
        number that it can only have been that one.
    """
    values = block.data.astype(np.float64)
    if undo.base is not None:
        with np.errstate(over="ignore"):
            values = np.expm1(values * math.log(undo.base))
    if undo.scaled:
        per_cell = np.diff(block.indptr)
        full = np.flatnonzero(per_cell)
        with_zeros = np.where(values > 0, values, np.inf)
        scale = np.ones(len(per_cell))
        if len(full):
            scale[full] = np.minimum.reduceat(with_zeros, block.indptr[full])
        scale[~np.isfinite(scale)] = 1  # a cell of zeros only
        values = values / np.repeat(scale, per_cell)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0)
    whole = np.rint(values)
    allowed = _ABSOLUTE + whole * _RELATIVE
    exact = finite & (values >= 0) & (np.abs(values - whole) <= allowed) & (allowed <= _MOST)
    return sparse.csr_matrix((whole, block.indices, block.indptr), shape=block.shape), exact


def how_to_undo(sample: sparse.csr_matrix) -> Undo | None:
    """Return the plainest way that turns a sample of cells into whole numbers, None where there is none.

    Cells with fewer than five different values count for nothing: any scale fits them.
    """
    rows = (sample.data[begin:end] for begin, end in pairwise(sample.indptr))
    telling = [i for i, values in enumerate(rows) if len(np.unique(values)) >= _FEW]
    if not telling:
        return None
    cells = sparse.csr_matrix(sample[telling])
    for undo in KINDS:
        if recover(cells, undo)[1].all():
            return undo
    return None
