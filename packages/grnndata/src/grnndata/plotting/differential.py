"""Two networks beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._wording import counted, listed
from ..core import GRNAnnData
from ..edges import check_unique
from ..gene_labels import gene_labels
from ..ranking import check_count
from ..stored import single_network
from .axes import FIRST, GREY, SECOND, get_axes
from .choice import both_ways, check_genes, edges_between, ego_edges
from .drawing import (
    DASHES,
    EDGE_COLOUR,
    add_legend,
    draw_edges,
    draw_nodes,
    place,
    prepare_axes,
    width_handles,
    write_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ALPHA = 0.05
#: Columns of q-values, the one to show first, and what they are of.
_RATES = {
    "q_moderated": "moderated t of replicates",
    "q_value": "exchanged replicates",
    "q_within_sample": "within the sample",
}
_EDGE = ("source", "target", "weight")
# Of edges in both networks.
_SHARED = GREY


def differential(
    a: GRNAnnData,
    b: GRNAnnData,
    genes: Sequence[str],
    *,
    neighbours: int = 5,
    top_edges: int = 40,
    names: tuple[str, str] = ("a", "b"),
    label: str = "symbol",
    ax: Axes | None = None,
) -> Axes:
    """Draw some genes and their strongest targets in two networks, at the same places.

    Edges of both networks are grey, those of one of them coloured; negative weights are dashed. Widths have one
    scale, so that weights should be comparable. An edge is drawn in every network that has it: of dense
    networks, which have all of them, keep the strongest edges first, with `grnndata.tl.top_k`.

    Parameters
    ----------
    a, b
        The networks.
    genes
        Names which both networks have.
    neighbours
        Number of targets of every gene to draw too, the strongest in each network, with all edges out of the given
        genes; 0 for the edges between the given genes. Genes of one network only are left out.
    top_edges
        Number of edges to choose in each network, those of largest absolute weight.
    names
        Names of the two networks.
    label
        Column of ``var`` of `a` to name genes by; their names when ``var`` lacks ``"symbol"``.
    ax
        Axes to draw on; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes
        Empty, with the two drawings in ``ax.child_axes``.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ValueError
        When genes are unknown to one of the networks, repeated or none, or one network is directed and the
        other is not.
    """
    check_count(top_edges, "top_edges")
    if a.directed != b.directed:
        raise ValueError("one network is directed and the other is not: symmetrise it with grnndata.tl.symmetrise")
    shared = check_unique(a.var_names)[a.var_names.isin(check_unique(b.var_names))]
    every = gene_labels(a, label)
    asked = check_genes(genes, every.loc[shared])
    drawn = asked
    for part in (a, b):
        first = ego_edges(single_network(part), part.var_names, asked, neighbours=neighbours, among=shared)
        drawn = drawn.append(pd.Index(first["target"])).unique()
    tables = [_edges(part, asked, drawn, only_asked=bool(neighbours)) for part in (a, b)]
    edges = _side_by_side(tables, top_edges)

    ax = get_axes(ax, (12, 6.5))
    ax.set_axis_off()
    panels = [ax.inset_axes((0.0, 0.0, 0.49, 0.93)), ax.inset_axes((0.51, 0.0, 0.49, 0.93))]
    for panel in panels:
        prepare_axes(panel)
    labels = every.loc[drawn]
    weights = edges[["weight_a", "weight_b"]].abs()
    positions, is_above = place(panels[0], edges.assign(weight=weights.max(axis=1))[[*_EDGE]], labels)
    scale = float(weights.to_numpy().max()) if len(edges) else 1.0
    marked = np.asarray(drawn.isin(asked))
    in_both = (weights > 0).all(axis=1)
    for panel, column, name, colour in zip(panels, weights, names, (FIRST, SECOND), strict=True):
        own = weights[column] > 0
        draw_edges(
            panel,
            edges[own].assign(weight=edges[column])[[*_EDGE]],
            positions,
            np.where(in_both, _SHARED, colour)[own],
            directed=a.directed,
            scale=scale,
            # As in the other panel, or an edge would bend in one of them only.
            bowed=both_ways(edges)[own],
        )
        draw_nodes(panel, positions, np.where(marked, "#222222", "#888888"), np.zeros_like(marked))
        write_labels(panel, positions, labels, bold=marked, is_above=is_above)
        n_only, n_both = int((own & ~in_both).sum()), int(in_both.sum())
        panel.set_title(f"{name}: {counted(n_only, 'edge')} of its own, {n_both} in both", fontsize=10, color=colour)
    _add_legend(ax, edges, names, scale=scale, directed=a.directed)
    return ax


def differential_hubs(
    table: pd.DataFrame, n: int = 15, *, names: tuple[str, str] = ("a", "b"), ax: Axes | None = None
) -> Axes:
    """Draw the genes whose strength differs most, a line from one group of networks to the other.

    Asterisks mark genes whose q-value is below 0.05: that of the moderated t-test where the table has one, else of
    the exchanges of replicates, else of the test within the sample. The label of the axis says which. A table of
    effects only, of one network on each side, has no asterisks.

    Parameters
    ----------
    table
        Table of `grnndata.tl.differential_hubs` or `grnndata.tl.differential_hubs_of_cells`.
    n
        Number of genes, those of largest absolute difference; all when there are fewer.
    names
        Names of the two groups.
    ax
        Axes to draw on; those of a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes
        Largest difference on top.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ValueError
        When `n` is not positive, or `table` another table.
    """
    check_count(n, "n")
    if not {"gene", "strength_a", "strength_b", "difference"} <= set(table.columns):
        raise ValueError(f"this is no table of differential_hubs: it has the columns [{listed(table.columns)}]")
    order = np.argsort(-table["difference"].abs().to_numpy(), kind="stable")[:n]
    shown = table.iloc[order]
    labels = shown["symbol" if "symbol" in shown else "gene"].astype(str)
    rates = next((column for column in _RATES if column in shown), None)
    marks = np.where(shown[rates] < _ALPHA, " *", "") if rates else [""] * len(shown)
    ax = get_axes(ax, (5.5, 1.4 + 0.26 * len(shown)))
    places = np.arange(len(shown))
    ax.hlines(places, shown["strength_a"], shown["strength_b"], color=GREY, linewidth=2, zorder=1)
    for column, name, colour in (("strength_a", names[0], FIRST), ("strength_b", names[1], SECOND)):
        ax.scatter(shown[column], places, color=colour, s=36, label=name, zorder=2)
    ax.set_yticks(places, labels=[text + mark for text, mark in zip(labels, marks, strict=True)])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(
        f"strength   (* q < {_ALPHA}, {_RATES[rates]})" if rates else "strength   (no replicates: effects only)"
    )
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.5 / (1.4 + 0.26 * len(shown))), ncols=2)
    return ax


def _edges(part: GRNAnnData, asked: pd.Index, drawn: pd.Index, *, only_asked: bool) -> pd.DataFrame:
    """List the edges among drawn genes, strongest first: all, or those out of the asked genes."""
    network, directed = single_network(part), part.directed
    none = ego_edges(network, part.var_names, asked, neighbours=0)
    edges = edges_between(network, part.var_names, drawn, top_edges=len(drawn) ** 2, directed=directed, first=none)
    if only_asked:
        edges = edges[edges["source"].isin(asked) | (edges["target"].isin(asked) & (not directed))]
    return edges


def _side_by_side(tables: list[pd.DataFrame], top_edges: int) -> pd.DataFrame:
    """Return the strongest edges of either network with their weights in both, 0 where there is none."""
    pairs = ["source", "target"]
    chosen = pd.concat([table.head(top_edges)[pairs] for table in tables]).drop_duplicates()
    for table, column in zip(tables, ("weight_a", "weight_b"), strict=True):
        chosen = chosen.merge(table.rename(columns={"weight": column}), on=pairs, how="left")
    chosen = chosen.fillna({"weight_a": 0.0, "weight_b": 0.0})
    strongest_first = chosen[["weight_a", "weight_b"]].abs().max(axis=1).sort_values(ascending=False, kind="stable")
    return chosen.loc[strongest_first.index].reset_index(drop=True)


def _add_legend(ax: Axes, edges: pd.DataFrame, names: tuple[str, str], *, scale: float, directed: bool) -> None:
    from matplotlib.lines import Line2D

    if edges.empty:
        return
    handles = [
        Line2D([], [], color=c, lw=2, label=f"only {name}") for c, name in zip((FIRST, SECOND), names, strict=True)
    ]
    handles.insert(1, Line2D([], [], color=_SHARED, lw=2, label="both"))
    if (edges[["weight_a", "weight_b"]] < 0).to_numpy().any():
        handles.append(Line2D([], [], color=EDGE_COLOUR, linestyle=DASHES, label="negative weight"))
    add_legend(ax, handles + width_handles(scale, directed=directed))
