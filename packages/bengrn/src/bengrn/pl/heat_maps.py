"""Heat maps: how far networks agree, and how each regulator's targets are ranked."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np

from bengrn.benchmarking.report.reading import Results
from bengrn.benchmarking.report.regulator_map import MOST_REGULATORS, log_ratios, regulator_map
from bengrn.benchmarking.report.score_plots import agreement_of, network_sets
from bengrn.pl.canvas import as_results, get_axes, one_question, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

#: Up to so many columns the values are written.
_MOST_WRITTEN = 14


def agreement(
    results: Results | PathLike[str] | str, measure: Literal["shared", "order"] = "shared", ax: Axes | None = None
) -> Axes:
    """Draw how far networks of the same cells agree, those that agree side by side.

    Parameters
    ----------
    results
        Results of one group of cells, replicate and seed, with their folder; see :meth:`bengrn.Results.select`.
    measure
        ``"shared"``: common edges among the 1,000 strongest of each, over all of these (Jaccard); ``"order"``:
        Spearman's correlation of the weights of edges that both list among their 10,000 strongest.
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
        When the measure does not exist, fewer than two networks have edges, or they are of several groups of cells.
    """
    if measure not in ("shared", "order"):
        raise ValueError(f"measure is 'shared' or 'order', and not {measure!r}")
    found = as_results(results)
    sets = list(network_sets(found))
    if not sets:
        raise ValueError("no two networks of the same cells have edges among the results")
    if len(sets) > 1:
        cells = "; ".join(
            " · ".join(map(str, (first["dataset"], first["group"], first["replicate"]))) for first, _ in sets
        )
        raise ValueError(f"networks of several groups of cells ({cells}): choose with results.select(group=...)")
    first, networks = sets[0]
    labels, matrices = agreement_of(found, networks)
    ax = get_axes(ax, (2.4 + 0.5 * len(labels), 1.6 + 0.4 * len(labels)))
    image = ax.imshow(matrices[measure], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    words = {"shared": "shared edges (Jaccard)", "order": "rank correlation (Spearman)"}
    _finish(ax, labels, labels, matrices[measure], matrices[measure] > 0.6)
    ax.figure.colorbar(image, ax=ax, label=words[measure])
    title = " · ".join(part for part in (first["dataset"], first["group"], first["replicate"]) if part)
    return tidy(ax, title)


def regulators(results: Results | PathLike[str] | str, n: int = MOST_REGULATORS, ax: Axes | None = None) -> Axes:
    """Draw average precision over prevalence of single regulators, for networks as stored; 1 is random.

    Regulators go by their symbols where these are known, with the number of true edges behind. Those that are alike
    stand side by side, and so do networks; the tree of the regulators' clusters is drawn beside them.

    Parameters
    ----------
    results
        Results of one question, with their folder; see :func:`bengrn.pl.scores`.
    n
        Number of regulators, those with most true edges.
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
        When `n` is not positive, the rows answer several questions, or no scores of regulators are known.
    """
    if n < 1:
        raise ValueError(f"n is a number of regulators, 1 or more, and not {n}")
    found = as_results(results)
    question = one_question(found)
    drawn = regulator_map(found, question.rows, n)
    table = drawn.table
    if not len(table):
        where = found.folder or "a folder: read one with bengrn.read_results"
        raise ValueError(f"no scores of regulators of these rows are in {where}")
    logs = log_ratios(table)
    most = float(np.nanmax(np.abs(logs), initial=0.3))
    ax = get_axes(ax, (3.0 + 0.5 * table.shape[1], 1.8 + 0.24 * len(table)))
    image = ax.imshow(logs, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    _finish(ax, table.index.tolist(), table.columns.tolist(), table.to_numpy(), np.abs(logs) > 0.6 * most)
    ax.figure.colorbar(image, ax=ax, label="AP ÷ prevalence (log2)", pad=0.15)
    if drawn.row_tree:
        beside = ax.inset_axes((1.01, 0, 0.1, 1))
        for link in drawn.row_tree:
            beside.plot([far for _, far in link], [place for place, _ in link], color="0.4", linewidth=0.8)
        beside.set_ylim(ax.get_ylim())
        beside.set_axis_off()
    return tidy(ax, question.title)


def _finish(
    ax: Axes, rows: list[str], columns: list[str], values: NDArray[np.float64], dark: NDArray[np.bool_]
) -> None:
    ax.set_xticks(range(len(columns)), labels=columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), labels=rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if len(columns) <= _MOST_WRITTEN:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                ax.text(
                    j, i, f"{value:.2g}", ha="center", va="center", fontsize=7, color="white" if dark[i, j] else "black"
                )
