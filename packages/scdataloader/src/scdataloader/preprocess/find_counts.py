"""Find the raw counts of a source: in X, in raw or in a layer, or behind a logarithm that can be undone."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from scdataloader.counts import check_raw_counts
from scdataloader.preprocess.undo import Undo, how_to_undo, recover
from scdataloader.sources import Matrix, Source

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
        Whether to undo normalisations; see `scdataloader.preprocess.undo`.

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
