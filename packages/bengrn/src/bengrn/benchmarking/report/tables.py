"""Tables of a page: blocks of rows that are ranked among themselves, with intervals and details."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from bengrn.benchmarking.report.page import Facets, as_attribute

#: Width and height of the drawing of an interval, in pixels.
_WIDTH, _HEIGHT = 112, 16


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes
    ----------
    key, label
        Key of its cells; its heading.
    help
        What it holds, in a sentence.
    drawn
        Whether intervals are drawn, on one scale for all rows of a block.
    largest_first
        Whether the first click puts the largest on top.
    """

    key: str
    label: str
    help: str = ""
    drawn: bool = False
    largest_first: bool = True


@dataclass(frozen=True)
class Number:
    """A number, as it is shown and as it is sorted, with its interval.

    Attributes
    ----------
    value
        What rows are sorted by; rows without a finite one come last.
    shown
        What people read.
    low, high
        Ends of the interval.
    reference
        What chance reaches.
    note
        What stands below the number; by default the interval.
    """

    value: float
    shown: str
    low: float = math.nan
    high: float = math.nan
    reference: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes
    ----------
    name
        What the row is called.
    cells
        Text or `Number` of each column that has one, by key.
    note
        Small print below the name.
    badges
        Words that set the row apart, such as ``"baseline"``.
    failure
        What went wrong, as a pair of a word and a sentence, in place of cells.
    facets
        Values by which it is filtered.
    details
        Names and texts that are shown on demand; those of several lines as code.
    """

    name: str
    cells: Mapping[str, str | Number] = field(default_factory=dict)
    note: str = ""
    badges: tuple[str, ...] = ()
    failure: tuple[str, str] | None = None
    facets: Facets = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Rows that may be compared, under a heading that says what they are about; sorting never mixes two blocks."""

    title: str
    rows: Sequence[Row]
    note: str = ""
    facets: Facets = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of blocks.

    Attributes
    ----------
    caption
        What the table is, for those who do not see the page.
    heading
        Heading of the first column, which has the rows' names.
    columns
        The other columns.
    blocks
        The rows.
    sorted_by
        Key of the column by which rows are sorted at first, largest on top; as they are given when None.
    action
        Word on the button that shows the details of a row.
    """

    caption: str
    heading: str
    columns: Sequence[Column]
    blocks: Sequence[Block]
    sorted_by: str | None = None
    action: str = "Details"

    def html(self, name: str) -> str:
        """Return the element; `name` is its own within the page."""
        heads = [_head(Column("", self.heading, largest_first=False), None)]
        heads += [_head(column, self.sorted_by) for column in self.columns]
        bodies = "".join(self._body(name, i, block) for i, block in enumerate(self.blocks))
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.caption)}">'
            f'<table class="sortable" id="{name}" data-action="{escape(self.action)}">'
            f"<caption>{escape(self.caption)}</caption><thead><tr>{''.join(heads)}</tr></thead>{bodies}</table></div>"
        )

    def data(self) -> dict[str, Any]:
        """Return what the script needs."""
        return {
            "kind": "table",
            "details": {
                f"{i}-{j}": dict(row.details)
                for i, block in enumerate(self.blocks)
                for j, row in enumerate(self._ordered(block))
                if row.details
            },
        }

    def _ordered(self, block: Block) -> list[Row]:
        if self.sorted_by is None:
            return list(block.rows)
        return sorted(block.rows, key=lambda row: -_finite(row.cells.get(self.sorted_by or ""), -math.inf))

    def _body(self, name: str, number: int, block: Block) -> str:
        ends = {column.key: _ends(block, column.key) for column in self.columns if column.drawn}
        rows = [self._row(name, f"{number}-{j}", row, ends) for j, row in enumerate(self._ordered(block))]
        width = 1 + len(self.columns)
        note = f" <small>{escape(block.note)}</small>" if block.note else ""
        return (
            f'<tbody data-facets="{as_attribute(block.facets)}"><tr class="block">'
            f'<th colspan="{width}" scope="rowgroup"><span>{escape(block.title)}{note}</span></th></tr>'
            f"{''.join(rows)}</tbody>"
        )

    def _row(self, name: str, number: str, row: Row, ends: Mapping[str, tuple[float, float]]) -> str:
        badges = "".join(f' <span class="badge">{escape(badge)}</span>' for badge in row.badges)
        note = f"<small>{escape(row.note)}</small>" if row.note else ""
        opened = (
            f'<button type="button" class="open" aria-expanded="false" aria-controls="{name}-{number}" '
            f'aria-label="{escape(self.action)}: {escape(row.name)}">{escape(self.action)}</button>'
            if row.details
            else ""
        )
        first = f'<th scope="row"><span class="name">{escape(row.name)}</span>{badges}{note}{opened}</th>'
        if row.failure is not None:
            word, message = row.failure
            cells = (
                f'<td class="failure" colspan="{len(self.columns)}"><div><span class="status">{escape(word)}</span> '
                f"{escape(message)}</div></td>"
            )
        else:
            cells = "".join(_cell(row.cells.get(column.key, ""), ends.get(column.key)) for column in self.columns)
        kind = ' class="failed"' if row.failure is not None else ""
        return (
            f'<tr{kind} data-row="{number}" data-name="{escape(row.name)}" '
            f'data-facets="{as_attribute(row.facets)}">{first}{cells}</tr>'
        )


def _head(column: Column, sorted_by: str | None) -> str:
    sort = ' aria-sort="descending"' if sorted_by is not None and column.key == sorted_by else ""
    help_text = f' title="{escape(column.help)}"' if column.help else ""
    first = "descending" if column.largest_first else "ascending"
    return (
        f'<th scope="col"{sort} data-first="{first}"><button type="button"{help_text}>'
        f"{escape(column.label)}</button></th>"
    )


def _finite(cell: str | Number | None, otherwise: float) -> float:
    return cell.value if isinstance(cell, Number) and math.isfinite(cell.value) else otherwise


def _ends(block: Block, key: str) -> tuple[float, float]:
    """Return the ends of the scale on which a block's intervals are drawn: of all that is drawn, and a little more."""
    cells = [cell for row in block.rows if isinstance(cell := row.cells.get(key), Number)]
    drawn = [v for cell in cells for v in (cell.value, cell.low, cell.high, cell.reference) if math.isfinite(v)]
    if not drawn:
        return 0.0, 1.0
    low, high = min(drawn), max(drawn)
    margin = 0.04 * (high - low) or abs(high) or 1.0
    return low - margin, high + margin


def _cell(cell: str | Number, ends: tuple[float, float] | None) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    note = cell.note
    if not note and math.isfinite(cell.low) and math.isfinite(cell.high):
        note = between(cell.low, cell.high)
    below = f"<small>{escape(note)}</small>" if note else ""
    value = f' data-value="{cell.value!r}"' if math.isfinite(cell.value) else ""
    drawing = _drawing(cell, ends) if ends is not None and math.isfinite(cell.value) else ""
    kind = "number drawn" if drawing else "number"
    return f'<td class="{kind}"{value}><span>{escape(cell.shown)}{below}</span>{drawing}</td>'


def _drawing(cell: Number, ends: tuple[float, float]) -> str:
    def place(value: float) -> str:
        return f"{(value - ends[0]) / (ends[1] - ends[0]) * (_WIDTH - 8) + 4:.1f}"

    middle = _HEIGHT / 2
    parts = []
    if math.isfinite(cell.reference):
        parts.append(f'<path class="reference" d="M{place(cell.reference)} 0V{_HEIGHT}"/>')
    if math.isfinite(cell.low) and math.isfinite(cell.high):
        parts.append(f'<path class="interval" d="M{place(cell.low)} {middle}H{place(cell.high)}"/>')
    # Hollow where chance is within the interval, or nothing is known of it.
    above = math.isfinite(cell.low) and cell.low > cell.reference
    parts.append(f'<circle class="{"above" if above else "level"}" cx="{place(cell.value)}" cy="{middle}" r="3.5"/>')
    return (
        f'<svg class="span" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def between(low: float, high: float) -> str:
    """Return an interval as people read it."""
    return f"{short(low)} to {short(high)}" if low < 0 else f"{short(low)}–{short(high)}"


def short(value: float) -> str:
    """Return a number as people read it: three digits that matter, no exponent where it is avoidable."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 1e-4:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}"
