"""Precision-recall curves of networks."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from bengrn.benchmarking.report.reading import Results
from bengrn.pl.canvas import CHANCE, as_results, get_axes, one_question, styles, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def precision_recall(results: Results | PathLike[str] | str, ax: Axes | None = None) -> Axes:
    """Draw the precision-recall curves of networks as stored, on a logarithmic axis of precision.

    Parameters
    ----------
    results
        Results of one question, with their folder; see :func:`bengrn.pl.scores`.
    ax
        Axes to draw on; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ValueError
        When the rows answer several questions, or no curve is known.
    """
    found = as_results(results)
    question = one_question(found)
    rows = question.rows
    rows = rows[rows.index.isin(list(found.curves))]
    if not len(rows):
        raise ValueError(
            f"no curve of these rows is in {found.folder or 'a folder: read one with bengrn.read_results'}"
        )
    ax = get_axes(ax, (6, 4))
    style = styles(rows["method"], rows["label"])
    named = set()
    for place, row in rows.iterrows():
        curve, given = found.curves[int(str(place))], style[row["label"]]
        name = None if row["label"] in named else row["label"]
        named.add(row["label"])
        shown = curve[curve["precision"] > 0]
        ax.plot(
            shown["recall"], shown["precision"], given["linestyle"], color=given["color"], label=name, linewidth=1.6
        )
    ax.axhline(rows["prevalence"].median(), color=CHANCE, linestyle=":", label="random expectation")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.set_xlim(0, 1)
    ax.set_xlabel("recall")
    ax.set_ylabel("precision")
    ax.legend(frameon=False, fontsize="small")
    return tidy(ax, question.title)
