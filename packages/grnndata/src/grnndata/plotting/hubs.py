"""Bars of the strongest genes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..core import GRNAnnData
from ..gene_labels import gene_labels
from ..tools import centrality
from .axes import COLOURS, get_axes, is_regulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def hubs(
    grn: GRNAnnData,
    n: int = 20,
    ax: Axes | None = None,
    *,
    direction: centrality.Direction = "out",
    label: str = "symbol",
    regulators: Iterable[str] | None = None,
) -> Axes:
    """Draw the genes of largest strength as bars, strongest on top.

    Parameters
    ----------
    grn
        The network.
    n
        Number of genes; all when there are fewer.
    ax
        Axes to draw on; a new figure when None.
    direction
        ``"out"`` for regulators, ``"in"`` for targets, see `grnndata.tl.strength`.
    label
        Column of ``var`` to name genes by; their names when ``var`` lacks ``"symbol"``.
    regulators
        Genes to draw in another colour, by name or label, for example `grnndata.transcription_factors`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    KeyError
        When `label` is not a column of ``var``.
    ValueError
        When `n` is not positive, `direction` unknown, or the network has none of `regulators`.
    """
    table = centrality.hubs(grn, n, direction=direction)
    every = gene_labels(grn, label)
    labels = every.loc[table["gene"]]
    marked = is_regulator(labels.index, every, regulators)
    ax = get_axes(ax, (5, 1.2 + 0.24 * len(table)))
    places = np.arange(len(table))
    for chosen, colour, text in (
        (marked, COLOURS[5], "given regulators"),
        (~marked, COLOURS[0], "other genes"),
    ):
        if chosen.any():
            ax.barh(places[chosen], table["strength"].to_numpy()[chosen], color=colour, label=text, height=0.75)
    ax.set_yticks(places, labels=labels.tolist())
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(f"{direction}-strength (sum of |weight| {'to targets' if direction == 'out' else 'from regulators'})")
    if marked.any():
        ax.legend(frameon=False, loc="lower right")
    return ax
