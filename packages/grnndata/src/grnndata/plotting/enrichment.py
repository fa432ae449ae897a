"""Gene sets as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._wording import listed
from ..ranking import check_count
from .axes import get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 48
#: Columns that place a set, and what they are.
_SCORES = {"nes": "normalised enrichment score", "difference": "mean normal score, less that of the others"}


def enrichment(table: pd.DataFrame, *, n: int = 15, ax: Axes | None = None) -> Axes:
    """Draw the gene sets of smallest q-value as dots.

    Parameters
    ----------
    table
        Table of `grnndata.tl.camera` (placed by the difference of normal scores, sized by genes of the set), of
        `grnndata.tl.prerank` (placed by normalised enrichment score, sized likewise), or of
        `grnndata.tl.over_representation` (placed by the share of the set's genes, sized by their number).
    n
        Number of sets; all when there are fewer.
    ax
        Axes to draw on; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes
        Smallest q-value on top; colour is -log10 q.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ValueError
        When `table` is none of these, or empty.
    """
    check_count(n, "n")
    score = next((column for column in _SCORES if {"term", column, "q_value", "n_genes"} <= set(table.columns)), None)
    if score is None and not {"term", "n_overlap", "n_genes", "q_value"} <= set(table.columns):
        raise ValueError(
            f"this is no table of camera, prerank or over_representation: it has the columns [{listed(table.columns)}]"
        )
    if table.empty:
        raise ValueError("the table holds no gene set")
    shown = table.sort_values("q_value", kind="stable").head(n)
    count = shown["n_genes" if score else "n_overlap"].to_numpy(dtype=float)
    places = shown[score] if score else shown["n_overlap"] / shown["n_genes"]
    # A q-value may be 0 where every permutation was below.
    least = table["q_value"][table["q_value"] > 0].min()
    colour = -np.log10(shown["q_value"].clip(lower=least if np.isfinite(least) else 1e-300).to_numpy(dtype=float))

    ax = get_axes(ax, (7, 1.4 + 0.3 * len(shown)))
    dots = ax.scatter(
        places,
        range(len(shown)),
        s=30 + 170 * count / count.max(),
        c=colour,
        cmap="viridis_r",
        vmin=0,
        vmax=max(1.3, colour.max()),
        zorder=3,
    )
    ax.set_yticks(range(len(shown)), labels=[_short(row) for row in shown.to_dict("records")])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.margins(x=0.12)
    ax.grid(axis="x", linewidth=0.5, alpha=0.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel(_SCORES[score] if score else "share of the set's genes found")
    ax.figure.colorbar(dots, ax=ax, label="-log10 q", shrink=0.6)
    sizes = np.unique([count.min(), count.max()])
    for size in sizes:
        ax.scatter([], [], s=30 + 170 * size / count.max(), color="grey", label=f"{size:.0f}")
    title = "genes in the set" if score else "genes found"
    ax.legend(title=title, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, fontsize=8)
    return ax


def _short(row: dict) -> str:
    text = str(row["term"]).replace("_", " ")
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
    return f"{row['community']}: {text}" if "community" in row else text
