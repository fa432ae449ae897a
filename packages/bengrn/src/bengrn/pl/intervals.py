"""Scores with their intervals: a line for each method, and over the time that it took."""

from __future__ import annotations

import math
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from bengrn.benchmarking.report.questions import is_baseline
from bengrn.benchmarking.report.reading import Results
from bengrn.benchmarking.report.score_rows import LABELS
from bengrn.pl.canvas import CHANCE, COLOURS, GREY, as_results, check_metric, get_axes, one_question, styles, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scores(results: Results | PathLike[str] | str, metric: str = "ap", ax: Axes | None = None) -> Axes:
    """Draw one score of every network with its 95% interval, beside what chance reaches.

    Methods are ordered by their best network. Filled points lie above chance with their whole interval; diamonds are
    networks that were transposed. Networks without a result are named with their status.

    Parameters
    ----------
    results
        Results of one question: one data set, group of cells, truth and universe, see
        :meth:`bengrn.Results.select`; or the folder that ``bengrn run`` wrote.
    metric
        Name of the score, such as ``"ap"``, ``"auroc"`` or ``"epr"``.
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
        When the rows answer several questions, or the score does not exist.
    """
    check_metric(metric)
    question = one_question(as_results(results))
    rows = question.rows
    best = rows.groupby("label")[metric].max().sort_values(ascending=False, na_position="last")
    ax = get_axes(ax, (6, 1.1 + 0.28 * len(best)))
    chance = rows[f"{metric}_random"].median()
    if math.isfinite(chance):
        ax.axvline(chance, color=CHANCE, linestyle=":", label="random expectation", zorder=1)
    for height, label in enumerate(best.index):
        same = rows[rows["label"] == label]
        for i, (_, row) in enumerate(same.iterrows()):
            y = height + 0.3 * (i - (len(same) - 1) / 2) / max(1, len(same) - 1)
            value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
            if not math.isfinite(value):
                if not i:
                    place: Any = {"xy": (0.01, height), "xycoords": ("axes fraction", "data"), "va": "center"}
                    ax.annotate(row["status"], color="#A8201A", backgroundcolor="white", **place)
                continue
            colour = GREY if is_baseline(row["method"]) else COLOURS[0]
            if math.isfinite(low) and math.isfinite(high):
                ax.plot([low, high], [y, y], color=colour, linewidth=1.5, zorder=2)
            marker = "D" if row["orientation"] == "transposed" else "o"
            face = colour if low > chance else "white"
            ax.plot([value], [y], marker, color=colour, markerfacecolor=face, markersize=6, zorder=3)
    ax.set_yticks(range(len(best)), labels=best.index.tolist())
    ax.set_ylim(len(best) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(LABELS[metric])
    ax.spines["left"].set_visible(False)
    if math.isfinite(chance):
        ax.legend(frameon=False, loc="lower right", fontsize="small")
    return tidy(ax, question.title)


def time_against_score(results: Results | PathLike[str] | str, metric: str = "ap", ax: Axes | None = None) -> Axes:
    """Draw one score of every network, with its 95% interval, over the time that inferring it took.

    Networks whose time is not known, such as those given by a file, are left out. Diamonds are networks that were
    transposed.

    Parameters
    ----------
    results
        Results of one question, see :func:`bengrn.pl.scores`.
    metric
        Name of the score.
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
        When the rows answer several questions, the score does not exist, or no time is known.
    """
    check_metric(metric)
    question = one_question(as_results(results))
    rows = question.rows[(question.rows["wall_s"] > 0) & question.rows[metric].notna()]
    if not len(rows):
        raise ValueError("no row has a time and a score: networks that are given by a file have no time")
    ax = get_axes(ax, (6, 4))
    style = styles(rows["method"], rows["label"])
    chance = rows[f"{metric}_random"].median()
    if math.isfinite(chance):
        ax.axhline(chance, color=CHANCE, linestyle=":", zorder=1)
        ax.annotate(
            "random expectation",
            (1, chance),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize="small",
        )
    for _, row in rows.iterrows():
        given = style[row["label"]]
        ends = np.array([row[f"{metric}_low"], row[f"{metric}_high"]])
        if np.isfinite(ends).all():
            ax.plot([row["wall_s"]] * 2, ends, color=GREY, linewidth=1, alpha=0.6, zorder=2)
        marker = "D" if row["orientation"] == "transposed" else given["marker"]
        ax.plot([row["wall_s"]], [row[metric]], marker, color=given["color"], markersize=7, zorder=3)
        if row["orientation"] != "transposed":
            beside: Any = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": "small"}
            ax.annotate(row["label"], (row["wall_s"], row[metric]), **beside)
    ax.set_xscale("log")
    ax.margins(x=0.15)
    ax.set_xlabel("time of inferring (s)")
    ax.set_ylabel(LABELS[metric])
    return tidy(ax, question.title)
