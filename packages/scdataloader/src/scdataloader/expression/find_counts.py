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
import pandas as pd
from scipy import sparse

from scdataloader._wording import listed, percent
from scdataloader.counts import check_raw_counts
from scdataloader.expression.bad_cells import bad_cells, bad_rows
from scdataloader.expression.counts_choice import option
from scdataloader.expression.views import rounded
from scdataloader.sources import Matrix, Source

#: How far a recovered count k may be from a whole number: 0.02 + k · 1.5e-6, the second for what float32 has lost. Past
#: 0.25 the whole number meant cannot be told, so higher counts (153,000) cannot be recovered.
_ABSOLUTE, _RELATIVE, _MOST = 0.02, 1.5e-6, 0.25
#: Below this many values a cell fits any scale by chance, so such cells prove nothing.
_FEW = 5


@dataclass(frozen=True)
class Undo:
    """The way a matrix was made from counts.

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
        Normalisation to undo.

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
#: Share of the expressed values that are whole numbers in fractional counts: most reads are of one gene only. Of
#: normalised values hardly any is.
_WHOLE = 0.1
#: Share of the cells of the sample that may be bad where bad cells are left out; of all cells it is less.
_BAD_IN_SAMPLE = 0.5


@dataclass(frozen=True)
class Counts:
    """The place of a source's raw counts.

    Attributes
    ----------
    name
        Of the matrix: ``"X"``, ``"raw"``, ``"layers/<name>"``.
    matrix
        The matrix.
    undo
        What has to be undone to get counts, None where they are there as they are.
    is_rounded
        Whether fractional counts were rounded.
    cells
        Names of the cells, for messages.
    """

    name: str
    matrix: Matrix
    undo: Undo | None = None
    is_rounded: bool = False
    cells: pd.Index | None = None

    def __str__(self) -> str:
        how = f", recovered from {self.undo}" if self.undo else ", rounded" if self.is_rounded else ""
        return f"raw counts in {self.name}{how}"

    def blocks(self, values: int) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
        """Yield (begin, end, counts) over all cells, every value checked.

        Raises
        ------
        ValueError
            When a value is not a count; the message says in which cells.
        """
        for begin, end, block in self.matrix.blocks(values):
            yield begin, end, self.checked(begin, end, block)

    def checked(self, begin: int, end: int, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the counts of cells that were read; raises as `blocks`."""
        where = f"{self.name}, cells {begin:,} to {end:,}"
        if self.undo is None:
            try:
                check_raw_counts(block, all_zero=True)
            except ValueError as error:
                raise ValueError(f"{where}: {error}{self._way_out()}") from None
            return block
        counts, exact = recover(block, self.undo)
        if not exact.all():
            raise ValueError(
                f"{where}: {(~exact).sum():,} values do not turn into whole numbers when {self.undo} "
                "is undone, though those looked at first did: the raw counts cannot be had from this matrix"
            )
        return counts

    def _way_out(self) -> str:
        if self.cells is None:
            return ""
        return out_of_bad_cells(self.matrix, self.cells)


def find_counts(
    source: Source,
    name: str | None = None,
    *,
    undo_log: bool = True,
    round: bool = False,  # noqa: A002 (the option's name)
    drop_bad_cells: bool = False,
) -> Counts:
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
        Whether to undo normalisations; see `recover`.
    round
        Whether to take fractional counts, rounded, where there are none of whole numbers.
    drop_bad_cells
        Whether cells without counts do not matter, because they are left out later.

    Raises
    ------
    ValueError
        When there is none, or the choice is unclear; the message says what each matrix holds.
    """
    if not source.matrices:
        raise ValueError("X is empty: put the raw counts in X, in raw or in a layer")
    names = source.obs.index

    def found(key: str, undo: Undo | None = None, *, is_rounded: bool = False) -> Counts:
        matrix = source.matrices[key]
        return Counts(key, rounded(matrix) if is_rounded else matrix, undo, is_rounded, names)

    keys = source.matrices if name is None else [_named(source, name)]
    samples = {key: _sample(source.matrices[key]) for key in keys}
    if drop_bad_cells:
        samples = {key: _without_bad_cells(sample, round=round) for key, sample in samples.items()}
    whole = [key for key, sample in samples.items() if refusal(sample) is None]
    if "X" in whole and "raw" in whole:
        wider = source.matrices["raw"].shape[1] > source.matrices["X"].shape[1]
        return found("raw" if wider else "X")
    if (key := _first(whole)) is not None:
        return found(key)
    if round:
        fractional = [key for key, sample in samples.items() if are_fractional_counts(sample)]
        if (key := _first(fractional)) is not None:
            return found(key, is_rounded=True)
    elif undo_log:
        for key, sample in samples.items():
            undo = how_to_undo(sample)
            # a scale alone fits whole numbers, too: then a few bad cells are bad
            if undo is not None and (undo.base is not None or _are_mostly_bad(sample)):
                return found(key, undo)
    raise ValueError(_why_none(source, samples, undo_log=undo_log, round=round))


def _first(keys: list[str]) -> str | None:
    """Return the matrix among several that is taken by itself, None where there is none."""
    for key in ("X", "raw", *_CUSTOMARY):
        if key in keys:
            return key
    if len(keys) > 1:
        raise ValueError(
            f"{keys} all hold whole numbers: say which are the raw counts, as counts={keys[0]!r} (--counts {keys[0]})"
        )
    return keys[0] if keys else None


def _why_none(source: Source, samples: dict[str, sparse.csr_matrix], *, undo_log: bool, round: bool) -> str:  # noqa: A002
    first = next(iter(samples))
    others = f" (nor do {list(samples)[1:]})" if len(samples) > 1 else ""
    if round and not are_fractional_counts(samples[first]) and (samples[first].data >= 0).all():
        values = samples[first].data[samples[first].data > 0]
        share = percent(float((values == np.floor(values)).mean()))
        told = f"{share} of the values are whole numbers: they are normalised, and rounded they are no counts"
        return f"{first}{others}: {told}{elsewhere(source, samples)}"
    tried = "; no logarithm or scale per cell could be undone exactly" if undo_log and not round else ""
    return f"{first}{others}: {refusal(samples[first])}{tried}{way_out(source, first, samples)}"


def way_out(source: Source, key: str, samples: dict[str, sparse.csr_matrix] | None = None) -> str:
    """Return what to do where a matrix holds no raw counts, for the end of a message; may be empty.

    Parameters
    ----------
    source
        The cells.
    key
        Name of the matrix that was refused.
    samples
        Samples of matrices that were looked at.
    """
    known = dict(samples or {})
    sample = known.setdefault(key, _sample(source.matrices[key]))
    if there := elsewhere(source, known):
        return there
    if are_fractional_counts(sample):
        return f"; they look like fractional counts, as of RSEM, salmon or alevin: {option('round')} rounds them"
    found = sum(len(places) for places in bad_rows(sample).values())
    if 0 < found <= _BAD_IN_SAMPLE * sample.shape[0]:
        return out_of_bad_cells(source.matrices[key], source.obs.index)
    return ""


def elsewhere(source: Source, known: dict[str, sparse.csr_matrix]) -> str:
    """Return where else raw counts are, for the end of a message; empty where they are nowhere."""
    samples = known | {key: _sample(matrix) for key, matrix in source.matrices.items() if key not in known}
    places = [key for key, sample in samples.items() if refusal(sample) is None and sample.nnz]
    if not places:
        return ""
    first = places[0]
    is_layer = first.startswith("layers/")
    how = option("layer", first.removeprefix("layers/")) if is_layer else option("counts", first)
    return f"; raw counts lie in [{listed(places, 5)}]: {how} takes them, {option('counts', 'auto')} finds them"


def out_of_bad_cells(matrix: Matrix, names: pd.Index) -> str:
    """Return which cells hold no counts and how to do without them, where they are few, for the end of a message."""
    bad = bad_cells(matrix, names)
    return f"; {bad}: {option('drop_bad_cells')} leaves them out" if bad.are_few else ""


def are_fractional_counts(sample: sparse.csr_matrix) -> bool:
    """Say whether values are counts with fractions, as tools estimate them that divide reads among genes.

    They are not negative, a tenth at least are whole numbers, and they are neither logarithms nor scaled counts.
    """
    values = sample.data[sample.data != 0]
    if not len(values) or not np.isfinite(values).all() or (values < 0).any():
        return False
    return bool((values == np.floor(values)).mean() >= _WHOLE) and how_to_undo(sample) is None


def _are_mostly_bad(sample: sparse.csr_matrix) -> bool:
    wrong = np.unique(np.concatenate([np.empty(0, np.int64), *bad_rows(sample).values()]))
    return bool(len(wrong) > _BAD_IN_SAMPLE * np.count_nonzero(np.diff(sample.indptr)))


def _without_bad_cells(sample: sparse.csr_matrix, *, round: bool) -> sparse.csr_matrix:  # noqa: A002
    found = {kind: places for kind, places in bad_rows(sample).items() if not (round and kind == "fractional")}
    wrong = np.unique(np.concatenate([np.empty(0, np.int64), *found.values()]))
    if len(wrong) > _BAD_IN_SAMPLE * sample.shape[0]:
        return sample
    return sparse.csr_matrix(sample[np.setdiff1d(np.arange(sample.shape[0]), wrong)])


def _named(source: Source, name: str) -> str:
    for key in (name, f"layers/{name}"):
        if key in source.matrices:
            return key
    have = list(source.matrices)
    near = difflib.get_close_matches(name, [*have, *(key.removeprefix("layers/") for key in have)], n=1)
    raise ValueError(
        f"there is no matrix {name!r}: the data hold {have}" + (f"; did you mean {near[0]!r}?" if near else "")
    )


def _sample(matrix: Matrix) -> sparse.csr_matrix:
    """Return cells from the beginning, the middle and the end."""
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


def refusal(sample: sparse.csr_matrix) -> str | None:
    """Say why a sample cannot be raw counts, None if it can."""
    try:
        check_raw_counts(sample, all_zero=True)
    except ValueError as error:
        return str(error)
    return None
