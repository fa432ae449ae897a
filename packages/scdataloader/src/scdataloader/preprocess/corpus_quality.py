"""The quality of the files of a corpus: which to look at first, and how each compares with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scdataloader._wording import percent
from scdataloader.preprocess.file_result import FileResult
from scdataloader.preprocess.report import Report

#: Columns of `quality_table`: a whole number of cells, or a median over cells.
COLUMNS = ("median_counts", "median_genes", "median_mt_percent", "cells_over_max_mt", "outliers", "doublets")
#: A file is suspect when more than this share of its cells is flagged, dropped, or of its gene names unknown.
_FLAGGED, _DROPPED, _UNKNOWN = 0.1, 0.5, 0.5
#: Files to compare one with; and how far from the others' median is far, in median absolute deviations scaled to be
#: standard deviations where values are normal (Iglewicz and Hoaglin 1993).
_MIN_FILES, _FAR = 5, 3.5


@dataclass(frozen=True)
class _Compared:
    """A median that is compared among files, and how large a difference must be to matter."""

    column: str
    word: str
    by_factor: bool
    least: float


_COMPARED = (
    _Compared("median_counts", "counts in a cell", by_factor=True, least=3.0),
    _Compared("median_genes", "expressed genes in a cell", by_factor=True, least=2.0),
    _Compared("median_mt_percent", "mitochondrial counts", by_factor=False, least=5.0),
)


def quality_table(results: Sequence[FileResult]) -> pd.DataFrame:
    """Return the quality of each file, one row a file in the order given.

    Returns
    -------
    pandas.DataFrame
        ``median_counts``, ``median_genes`` and ``median_mt_percent`` (medians over the cells that stayed), and how many
        of them are ``cells_over_max_mt``, ``outliers`` and predicted ``doublets``; missing where not measured.
    """
    rows = []
    for file in results:
        facts = file.report.facts if file.report and file.status != "failed" else {}
        rows.append({name: facts.get(name) for name in COLUMNS})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype("Float64")


def suspicions(results: Sequence[FileResult]) -> list[list[str]]:
    """Return what speaks against each file, the worst first; an empty list for a file that nothing speaks against.

    A file is suspect when `scdataloader.counts.count_warnings` speaks against its counts; when more than a tenth of its
    cells have too high a mitochondrial share, are outliers or predicted doublets; when more than half of its cells were
    dropped, or more than half of its gene names are not known; and when, of five files or more, its median depth,
    number of expressed genes or mitochondrial share lies far from the others'. Why a file failed stands in its result.
    """
    table = quality_table(results)
    others = [_far_from_others(table[kind.column], kind) for kind in _COMPARED]
    return [
        [] if file.status == "failed" or not file.report else [*_alone(file, file.report), *filter(None, compared)]
        for file, *compared in zip(results, *others, strict=True)
    ]


def _alone(file: FileResult, report: Report) -> list[str]:
    """Return what speaks against a file whatever the others are."""
    facts, numbers = report.facts, report.summary
    out = list(facts.get("doubts", []))
    n = numbers.get("cells_out", 0)
    limit = file.settings.get("max_mt")
    over = "too large a share" if limit is None else f"more than {limit:g}%"
    words = {
        "cells_over_max_mt": f"have {over} of their counts in mitochondrial genes",
        "outliers": "are outliers in depth, expressed genes or the share of the top genes",
        "doublets": "are predicted doublets",
    }
    flagged = [(facts.get(name) or 0, word) for name, word in words.items()]
    out += [
        f"{part:,} of {n:,} cells ({percent(part / n)}) {word}"
        for part, word in sorted(flagged, key=lambda item: -item[0])
        if n and part > _FLAGGED * n
    ]
    n_in = numbers.get("cells_in", 0)
    if n_in - n > _DROPPED * n_in:
        out.append(f"{n_in - n:,} of {n_in:,} cells ({percent(1 - n / n_in)}) were dropped")
    known = facts.get("share_of_names_known")
    if known is not None and 1 - known > _UNKNOWN:
        out.append(f"{percent(1 - known)} of the gene names are not known")
    return out


def _far_from_others(values: pd.Series, kind: _Compared) -> list[str]:
    """Return, for each file, in which way its median is far from the others'; empty text where it is not."""
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(numbers)
    if known.sum() < _MIN_FILES:
        return [""] * len(numbers)
    scaled = np.log(np.maximum(numbers, 1)) if kind.by_factor else numbers
    from_middle = np.abs(scaled - np.median(scaled[known]))
    deviation = 1.4826 * np.median(from_middle[known])
    least = np.log(kind.least) if kind.by_factor else kind.least
    unit = "" if kind.by_factor else "%"
    middle = f"{_number(float(np.median(numbers[known])))}{unit}"
    return [
        f"the median of {kind.word} is {_number(value)}{unit}, that of the files {middle}" if far else ""
        for value, far in zip(numbers, from_middle > max(_FAR * deviation, least), strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
