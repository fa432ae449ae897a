"""Find the raw counts of a source: in X, in raw or in a layer, or behind a logarithm that can be undone.

Counts k of a cell are often published as log(1 + s·k), with one unknown scale s for each cell (10,000 / total, say).
As most cells have genes of count 1, s is the cell's smallest value with the logarithm undone; dividing by it must give
whole numbers. Where it does not, other operations came between (integration, regression, scaling by gene length), and
no one knows the counts any more: such values are refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from scdataloader.counts import check_raw_counts
from scdataloader.sources import Matrix, Source

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


#: Layers that hold counts by custom; among others that hold whole numbers (spliced, unspliced) a choice is the user's.
_CUSTOMARY = ("layers/counts", "layers/raw_counts", "layers/raw", "layers/umi", "layers/umis")
#: Stored values of the sample that decides.
_SAMPLE_VALUES = 1 << 20


@dataclass(frozen=True)
class Counts:
    """Where a source's raw counts are.

    Attributes
    ----------
    name
        Of the matrix: ``"X"``, ``"raw"``, ``"layers/<name>"``.
    matrix
        The matrix.
    undo
        What has to be undone to get counts, None where they are there as they are.
    """

    name: str
    matrix: Matrix
    undo: Undo | None = None

    def __str__(self) -> str:
        return f"raw counts in {self.name}" + (f", recovered from {self.undo}" if self.undo else "")

    def blocks(self, values: int) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
        """Yield (begin, end, counts) over all cells, every value checked.

        Raises
        ------
        ValueError
            When a value is no count; the message says in which cells.
        """
        for begin, end, block in self.matrix.blocks(values):
            where = f"{self.name}, cells {begin:,} to {end:,}"
            if self.undo is None:
                try:
                    check_raw_counts(block, all_zero=True)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
                yield begin, end, block
                continue
            counts, exact = recover(block, self.undo)
            if not exact.all():
                raise ValueError(
                    f"{where}: {(~exact).sum():,} values do not turn into whole numbers when {self.undo} "
                    "is undone, though those looked at first did: the raw counts cannot be had from this matrix"
                )
            yield begin, end, counts


def find_counts(source: Source, name: str | None = None, *, undo_log: bool = True) -> Counts:
    """Find the raw counts.

    X is taken if it holds whole numbers, unless ``raw`` does too and has more genes; then ``raw``, then a layer with
    a customary name, then the only layer of whole numbers. If no matrix has whole numbers, the first of X, raw and
    the layers whose normalisation can be undone exactly is taken.

    Parameters
    ----------
    source
        The cells.
    name
        Take this matrix: ``"X"``, ``"raw"``, a layer's name or ``"layers/<name>"``.
    undo_log
        Whether to undo normalisations; see `scdataloader.preprocess.find_counts`.

    Raises
    ------
    ValueError
        When there is none, or the choice is unclear; the message says what each matrix holds.
    """
    if not source.matrices:
        raise ValueError("X is empty: put the raw counts in X, in raw or in a layer")
    if name is not None:
        return _look(_named(source, name), source, undo_log=undo_log)
    samples = {key: _sample(matrix) for key, matrix in source.matrices.items()}
    whole = [key for key, sample in samples.items() if _refusal(sample) is None]
    if "X" in whole and "raw" in whole:
        wider = source.matrices["raw"].shape[1] > source.matrices["X"].shape[1]
        return Counts(key := "raw" if wider else "X", source.matrices[key])
    for key in ("X", "raw", *_CUSTOMARY):
        if key in whole:
            return Counts(key, source.matrices[key])
    if len(whole) == 1:
        return Counts(whole[0], source.matrices[whole[0]])
    if whole:
        raise ValueError(f"{whole} all hold whole numbers: say which are the raw counts, as counts={whole[0]!r}")
    if undo_log:
        for key, sample in samples.items():
            undo = how_to_undo(sample)
            if undo is not None:
                return Counts(key, source.matrices[key], undo)
    first = next(iter(samples))
    others = f" (nor do {list(samples)[1:]})" if len(samples) > 1 else ""
    tried = "; no logarithm or scale per cell could be undone exactly" if undo_log else ""
    raise ValueError(f"{first}{others}: {_refusal(samples[first])}{tried}")


def _named(source: Source, name: str) -> str:
    for key in (name, f"layers/{name}"):
        if key in source.matrices:
            return key
    have = list(source.matrices)
    near = difflib.get_close_matches(name, [*have, *(key.removeprefix("layers/") for key in have)], n=1)
    raise ValueError(
        f"there is no matrix {name!r}: the data hold {have}" + (f"; did you mean {near[0]!r}?" if near else "")
    )


def _look(key: str, source: Source, *, undo_log: bool) -> Counts:
    sample = _sample(source.matrices[key])
    refusal = _refusal(sample)
    if refusal is None:
        return Counts(key, source.matrices[key])
    undo = how_to_undo(sample) if undo_log else None
    if undo is None:
        raise ValueError(f"{key}: {refusal}")
    return Counts(key, source.matrices[key], undo)


def _sample(matrix: Matrix) -> sparse.csr_matrix:
    """Cells from the beginning, the middle and the end."""
    n_cells = matrix.shape[0]
    parts = []
    for start in sorted({0, n_cells // 2, max(0, n_cells - 64)}):
        ends = matrix.row_ends
        if ends is None:
            stop = start + max(1, _SAMPLE_VALUES // max(1, 3 * matrix.shape[1]))
        else:
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + _SAMPLE_VALUES // 3, side="right"))
        parts.append(matrix.rows(start, min(n_cells, max(stop, start + 1))))
    return sparse.csr_matrix(sparse.vstack(parts, format="csr"))


def _refusal(sample: sparse.csr_matrix) -> str | None:
    """Say why a sample cannot be raw counts, None if it can."""
    try:
        check_raw_counts(sample, all_zero=True)
    except ValueError as error:
        return str(error)
    return None
