"""Plots of a page, drawn by its script from the numbers that are given here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from bengrn.benchmarking.report.page import Facets, rounded


@dataclass(frozen=True)
class Measure:
    """A quantity that a plot can show.

    Attributes
    ----------
    key, label
        Key in the values of marks; what people read on the axis.
    help
        What it is, in a sentence.
    diverging
        Whether values above and below 1 are told apart by colour, in a heat map.
    """

    key: str
    label: str
    help: str = ""
    diverging: bool = False


@dataclass(frozen=True)
class Mark:
    """A point with its intervals, or a curve.

    Attributes
    ----------
    label
        Series to which it belongs, for example a method: its place in a strip, its colour in other plots.
    values
        For each measure value, lower and upper end of its interval.
    x
        Place on the x axis of a scatter plot.
    points
        The curve, as pairs of x and y.
    note
        What is told of it beside its numbers; what stands in place of a point where values are lacking.
    baseline
        Whether it is drawn in grey.
    other
        Whether it is drawn as a diamond: of the other kind, whatever `Plot.other` says that is.
    facets
        Values by which it is filtered.
    """

    label: str
    values: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    x: float | None = None
    points: Sequence[tuple[float, float]] = ()
    note: str = ""
    baseline: bool = False
    other: bool = False
    facets: Facets = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return it as JSON holds it, without what is empty."""
        told: dict[str, Any] = {
            "label": self.label,
            "values": {key: [rounded(one, 6) for one in three] for key, three in self.values.items()},
            "x": rounded(self.x),
            "points": [[rounded(x), rounded(y)] for x, y in self.points],
            "note": self.note,
            "baseline": self.baseline,
            "other": self.other,
            "facets": dict(self.facets),
        }
        return {key: value for key, value in told.items() if value or (key == "x" and value == 0)}


@dataclass(frozen=True)
class Panel:
    """One drawing of a plot: marks, or a matrix of `rows` and `columns` with its values for each measure.

    Attributes
    ----------
    title, note
        Heading of the drawing; small print behind it.
    marks
        What is drawn, unless it is a matrix.
    references
        What chance reaches, for each measure.
    rows, columns
        Names of a matrix.
    values
        For each measure the matrix, None where a value is lacking.
    row_tree, column_tree
        Clusters of a matrix, drawn beside it: corners of each link, as place and height from 0 to 1.
    facets
        Values by which it is filtered.
    """

    title: str
    note: str = ""
    marks: Sequence[Mark] = ()
    references: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    values: Mapping[str, Sequence[Sequence[float | None]]] = field(default_factory=dict)
    row_tree: Sequence[Sequence[tuple[float, float]]] = ()
    column_tree: Sequence[Sequence[tuple[float, float]]] = ()
    facets: Facets = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "title": self.title,
            "note": self.note,
            "marks": [mark.data() for mark in self.marks],
            "references": {key: rounded(value, 6) for key, value in self.references.items()},
            "rows": list(self.rows),
            "columns": list(self.columns),
            "values": {key: [[rounded(v, 3) for v in row] for row in matrix] for key, matrix in self.values.items()},
            "row_tree": [[[rounded(v) for v in corner] for corner in link] for link in self.row_tree],
            "column_tree": [[[rounded(v) for v in corner] for corner in link] for link in self.column_tree],
            "facets": dict(self.facets),
        }


@dataclass(frozen=True)
class Plot:
    """Panels of one kind, one of whose measures is shown at a time.

    Attributes
    ----------
    kind
        ``"strip"``: points with intervals, a line for each label; ``"lines"``: curves; ``"scatter"``: points with
        intervals over `Mark.x`, on a logarithmic axis; ``"heat"``: matrices.
    caption
        How to read it.
    panels
        The drawings; the first few that fit the choices are shown, the others on demand.
    measures
        What can be shown; the first one is at first. Of curves it is the y axis.
    x_label
        What people read on the x axis of curves and of a scatter plot.
    other
        What a diamond stands for.
    """

    kind: Literal["strip", "lines", "scatter", "heat"]
    caption: str
    panels: Sequence[Panel]
    measures: Sequence[Measure]
    x_label: str = ""
    other: str = ""

    def html(self, name: str) -> str:
        """Return the element; `name` is its own within the page."""
        return (
            f'<figure class="plot" id="{name}"><figcaption>{escape(self.caption)}</figcaption>'
            f'<div class="tools"></div><div class="panels {self.kind}"></div><p class="more"></p></figure>'
        )

    def data(self) -> dict[str, Any]:
        """Return what the script needs."""
        return {
            "kind": self.kind,
            "panels": [panel.data() for panel in self.panels],
            "measures": [
                {"key": one.key, "label": one.label, "help": one.help, "diverging": one.diverging}
                for one in self.measures
            ],
            "xLabel": self.x_label,
            "other": self.other,
        }
