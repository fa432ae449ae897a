"""The tables of the files of a corpus: what became of each, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from scdataloader._wording import percent
from scdataloader.genes.tables import ORGANISMS
from scdataloader.preprocess.corpus_quality import quality_table, suspicions
from scdataloader.preprocess.corpus_svg import number
from scdataloader.preprocess.file_result import FileResult

WORDS = {"done": "✓ done", "skipped": "✓ done before", "failed": "✗ failed"}
#: Entries of a list that are shown at once.
SHOWN = 12


def suspects(results: Sequence[FileResult]) -> str:
    """List what speaks against files that were made, those with the most against them first."""
    found = [
        (i, file, doubts) for i, (file, doubts) in enumerate(zip(results, suspicions(results), strict=True)) if doubts
    ]
    found.sort(key=lambda item: -len(item[2]))
    items = "".join(
        f'<li><a href="#f{i}">{escape(file.name)}</a>: {escape("; ".join(doubts))}</li>'
        for i, file, doubts in found[:SHOWN]
    )
    if len(found) > SHOWN:
        items += f'<li class="soft">and {len(found) - SHOWN:,} more, marked in the table of quality below</li>'
    return f'<section><h2>Look at these first</h2><ul class="suspects card">{items}</ul></section>' if found else ""


#: Heads of the table of quality, and whether a number of cells is shown as their share.
_QUALITY = {
    "median_counts": ("Median counts", False),
    "median_genes": ("Median genes", False),
    "median_mt_percent": ("Median mito %", False),
    "cells_over_max_mt": ("Over mito limit", True),
    "outliers": ("Outliers", True),
    "doublets": ("Doublets", True),
}


def quality(results: Sequence[FileResult]) -> str:
    """Compare the files that were made, those that are suspect first."""
    table, doubts = quality_table(results), suspicions(results)
    shown = [name for name in _QUALITY if table[name].notna().any()]
    made = [i for i, file in enumerate(results) if _cells_out(file)]
    if not shown or not made:
        return ""
    rows = []
    for i in sorted(made, key=lambda i: -len(doubts[i])):
        mark = f'<small class="suspect">{escape("; ".join(doubts[i]))}</small>' if doubts[i] else ""
        cells = [f'<th scope="row"><a href="#f{i}">{escape(results[i].name)}</a>{mark}</th>']
        for name in shown:
            value = table[name].iloc[i]
            if pd.isna(value):
                cells.append(_number(None))
            elif _QUALITY[name][1]:
                part = float(value) / _cells_out(results[i])
                cells.append(_number(part, percent(part, 1)))
            else:
                cells.append(_number(round(float(value), 2)))
        rows.append(f'<tr data-status="{results[i].status}" data-file="f{i}">{"".join(cells)}</tr>')
    heads = _head("File") + "".join(_head(_QUALITY[name][0], "number") for name in shown)
    return (
        '<section><h2>Quality</h2><p class="soft">Of the cells that stayed; suspect files first.</p>'
        f'<div class="scroll"><table class="files quality"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cells_out(file: FileResult) -> int:
    return file.report.summary.get("cells_out", 0) if file.report and file.status != "failed" else 0


def files_table(results: Sequence[FileResult]) -> str:
    """Show what became of each file, in the order given."""
    heads = [("File", ""), ("Status", ""), ("Cells in", "number"), ("Cells out", "number"), ("Kept", "number")]
    heads += [("Genes in", "number"), ("Genes out", "number"), ("Organism", ""), ("Seconds", "number")]
    head = "".join(_head(name, kind) for name, kind in heads)
    rows = "".join(_row(i, file) for i, file in enumerate(results))
    options = "".join(
        f'<option value="{status}">{word}</option>'
        for status, word in WORDS.items()
        if any(file.status == status for file in results)
    )
    return (
        '<section><h2>Files</h2><div class="tools" hidden>'
        '<input id="text" type="search" placeholder="Find a name, an organism, a reason" aria-label="Find files">'
        f'<select id="status" aria-label="Status"><option value="">any status</option>{options}</select>'
        '<span id="count" class="soft" role="status"></span></div>'
        f'<div class="scroll"><table class="files"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</section>"
    )


def _row(i: int, file: FileResult) -> str:
    numbers: Mapping[str, int] = file.report.summary if file.report else {}
    if file.status == "failed":
        numbers = {key: n for key, n in numbers.items() if key.endswith("_in")}
    kept = numbers["cells_out"] / numbers["cells_in"] if numbers.get("cells_in") and "cells_out" in numbers else None
    why = f"<small>{escape(file.reason)}</small>" if file.reason else ""
    cells = [
        f'<th scope="row"><a href="#f{i}">{escape(file.name)}</a>{why}</th>',
        f"<td>{status(file)}</td>",
        *(_number(numbers.get(key)) for key in ("cells_in", "cells_out")),
        _number(kept, None if kept is None else percent(kept, 1)),
        *(_number(numbers.get(key)) for key in ("genes_in", "genes_out")),
        f"<td>{escape(organism(file))}</td>",
        _number(file.seconds, None if file.seconds is None else f"{file.seconds:,.1f}"),
    ]
    return f'<tr data-status="{file.status}" data-file="f{i}">{"".join(cells)}</tr>'


def _head(name: str, kind: str = "") -> str:
    return f'<th scope="col" class="{kind}"><button type="button" disabled>{name}</button></th>'


def _number(value: float | None, text: str | None = None) -> str:
    if value is None:
        return '<td class="number"></td>'
    return f'<td class="number" data-value="{value!r}">{escape(number(value) if text is None else text)}</td>'


def status(file: FileResult) -> str:
    """Show in a word what became of a file."""
    return f'<span class="status {file.status}">{WORDS[file.status]}</span>'


def organism(file: FileResult) -> str:
    """Return the name of a file's organism; empty where it is not known."""
    found = file.report.facts.get("organism") if file.report else None
    return "" if found is None else ORGANISMS.get(str(found), str(found))
