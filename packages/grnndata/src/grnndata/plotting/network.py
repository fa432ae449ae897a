"""A drawing of a part of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core import GRNAnnData
from ..edges import check_unique
from ..gene_labels import gene_labels
from ..ranking import check_count
from ..stored import single_network
from .axes import NEGATIVE, community_colours, get_axes, is_regulator
from .choice import choose_edges, is_directed, merge_equal_ways
from .drawing import (
    DASHES,
    EDGE_COLOUR,
    add_legend,
    draw_edges,
    draw_nodes,
    place,
    prepare_axes,
    shape_handles,
    width_handles,
    write_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def subnetwork(
    grn: GRNAnnData,
    genes: Sequence[str],
    *,
    neighbours: int = 0,
    top_edges: int = 60,
    label: str = "symbol",
    regulators: Iterable[str] | None = None,
    communities: pd.Series | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw some genes and the strongest edges between them.

    Arrows point from regulator to target, wider for larger absolute weights; negative weights are red and dashed.
    A line without a head is an undirected edge, or two opposite edges of the same weight. Self-edges are not drawn.

    Parameters
    ----------
    grn
        The network.
    genes
        Names or labels of genes; see `grnndata.find_genes`.
    neighbours
        Number of targets of every gene to draw too, those of largest absolute weight, with their edges.
    top_edges
        Number of edges to draw, those of largest absolute weight; with `neighbours`, the edges from the given
        genes to their neighbours come first.
    label
        Column of ``var`` to name genes by; their names when ``var`` lacks ``"symbol"``.
    regulators
        Genes to draw as diamonds, by name or label, for example `grnndata.transcription_factors`.
    communities
        Community of every gene, as `grnndata.tl.louvain` returns; each has a colour, the largest ones their
        own.
    ax
        Axes to draw on; a new figure when None.

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
        When genes are unknown, repeated or none, or a gene has no community.
    """
    check_count(top_edges, "top_edges")
    network, names, every = single_network(grn), check_unique(grn.var_names), gene_labels(grn, label)
    directed = is_directed(network, directed=grn.directed)
    drawn, edges = choose_edges(network, every, genes, neighbours=neighbours, top_edges=top_edges, directed=directed)
    edges, mutual = merge_equal_ways(network, names, edges, directed=directed)
    labels = every.loc[drawn]
    marked = is_regulator(drawn, every, regulators)
    colours, named_colours = community_colours(drawn, communities)
    ax = get_axes(ax, (8, 7))
    prepare_axes(ax)
    positions, is_above = place(ax, edges, labels)
    scale = float(edges["weight"].abs().max()) if len(edges) else 1.0
    edge_colours = np.where(edges["weight"] > 0, EDGE_COLOUR, NEGATIVE)
    draw_edges(ax, edges, positions, edge_colours, directed=~mutual & directed, scale=scale)
    draw_nodes(ax, positions, colours, marked)
    write_labels(ax, positions, labels, bold=marked, is_above=is_above)
    _add_legend(ax, edges, named_colours, has_regulators=bool(marked.any()), scale=scale, directed=directed)
    return ax


def _add_legend(
    ax: Axes,
    edges: pd.DataFrame,
    named_colours: dict[str, str],
    *,
    has_regulators: bool,
    scale: float,
    directed: bool,
) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=colour, markeredgecolor="white", label=name)
        for name, colour in named_colours.items()
    ]
    if has_regulators:
        handles += shape_handles()
    if len(edges):
        handles += width_handles(scale, directed=directed)
        if (edges["weight"] < 0).any():
            handles.append(Line2D([], [], color=NEGATIVE, linestyle=DASHES, label="negative weight"))
    add_legend(ax, handles)
