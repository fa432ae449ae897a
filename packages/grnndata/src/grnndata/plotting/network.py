"""A drawing of a part of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..edges import check_unique, edges_to_matrix, matrix_to_edges
from ..ranking import check_count
from ..tools.sparsify import top_k_matrix
from .axes import COLOURS, GREY, gene_labels, get_axes, is_regulator
from .layout import node_positions, spread_boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT_SIZE = 8.5
_NODE_AREA = 90.0  # points²
_NEGATIVE = "#B2182B"


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

    Arrows point from regulator to target (plain lines in an undirected network), wider for larger absolute
    weights; negative weights are red and dashed. Self-edges are not drawn.

    Parameters
    ----------
    grn
        The network.
    genes
        Names from ``var_names``.
    neighbours
        Also draw this many targets of every gene, those of largest absolute weight, with their edges.
    top_edges
        Number of edges to draw, those of largest absolute weight; with `neighbours`, the edges from the given
        genes to their neighbours come first.
    label
        Column of ``var`` to name genes by; their names when there is no ``"symbol"``.
    regulators
        Genes to draw as diamonds, by name or label, for example `grnndata.transcription_factors`.
    communities
        Community of every gene, as `grnndata.tl.louvain` returns; each has a colour, the largest ones their
        own.
    ax
        Where to draw; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    KeyError
        When `label` is no column of ``var``.
    ValueError
        When genes are unknown, repeated or none, or a gene has no community.
    """
    check_count(top_edges, "top_edges")
    drawn, edges = _choose(grn, genes, neighbours=neighbours, top_edges=top_edges)
    labels = gene_labels(grn, label).loc[drawn]
    marked = is_regulator(labels, regulators)
    colours, named_colours = _colours(drawn, communities)
    ax = get_axes(ax, (8, 7))
    positions, is_above = _place(ax, edges, drawn, labels)
    scale = float(edges["weight"].abs().max()) if len(edges) else 1.0
    _draw_edges(ax, edges, pd.DataFrame(positions, index=drawn), directed=grn.directed, scale=scale)
    for chosen, marker, area in ((~marked, "o", 1.0), (marked, "D", 1.15)):
        if chosen.any():
            ax.scatter(
                positions[chosen, 0],
                positions[chosen, 1],
                s=_NODE_AREA * area,
                c=colours[chosen].tolist(),
                marker=marker,
                edgecolors="white",
                linewidths=0.8,
                zorder=3,
            )
    _write_labels(ax, positions, labels, marked=marked, is_above=is_above)
    _add_legend(ax, edges, named_colours, has_regulators=bool(marked.any()), scale=scale, directed=grn.directed)
    return ax


def _choose(grn: GRNAnnData, genes: Sequence[str], *, neighbours: int, top_edges: int) -> tuple[pd.Index, pd.DataFrame]:
    """Return the genes to draw and the edges between them."""
    if isinstance(genes, str):
        raise ValueError(f"genes must be a list of gene names, not the string {genes!r}: pass [{genes!r}]")
    asked = check_unique(list(genes))
    names = check_unique(grn.var_names)
    unknown = asked[~asked.isin(names)]
    if len(unknown) or not len(asked):
        what = f"{len(unknown)} genes are not in var_names: {', '.join(unknown[:5])}" if len(unknown) else "no genes"
        raise ValueError(f"{what}; pass names from var_names, which are like {', '.join(names[:3])}")
    network, first = grn.grn, None
    if neighbours:
        check_count(neighbours, "neighbours")
        at = names.get_indexer(asked)
        rows = sp.csr_matrix((np.ones(len(at), np.float32), (at, np.arange(len(at)))), shape=(len(names), len(at)))
        outgoing = sp.csr_matrix(rows @ sp.csr_matrix(network[at]))
        first = matrix_to_edges(top_k_matrix(outgoing, neighbours), names)
        asked = asked.append(pd.Index(first["target"])).unique()
    at = names.get_indexer(asked)
    inner = matrix_to_edges(network[np.ix_(at, at)], asked)
    inner = inner[inner["source"] != inner["target"]]
    if first is not None:
        inner = pd.concat([first, inner]).drop_duplicates(["source", "target"])
    if not grn.directed:
        pair = pd.Series(list(map(frozenset, zip(inner["source"], inner["target"], strict=True))), index=inner.index)
        inner = inner[~pair.duplicated().to_numpy()]
    return asked, inner.head(top_edges).reset_index(drop=True)


def _colours(drawn: pd.Index, communities: pd.Series | None) -> tuple[NDArray[Any], dict[str, str]]:
    """Return a colour for every gene, and what the legend says of each colour."""
    if communities is None:
        return np.full(len(drawn), COLOURS[0], dtype=object), {}
    without = drawn[~drawn.isin(communities.index)]
    if len(without):
        raise ValueError(f"{len(without)} genes have no community: {', '.join(without[:5])}")
    groups = communities.loc[drawn]
    sizes = groups.value_counts().sort_index()
    coloured = sizes.sort_values(ascending=False, kind="stable").index[: len(COLOURS)].sort_values()
    colour_of = dict(zip(coloured, COLOURS, strict=False))
    named = {f"community {name}": colour for name, colour in colour_of.items()}
    if len(sizes) > len(COLOURS):
        named["other communities"] = GREY
    return np.array([colour_of.get(name, GREY) for name in groups], dtype=object), named


def _place(
    ax: Axes, edges: pd.DataFrame, drawn: pd.Index, labels: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return node positions in data units, and which labels go above their node.

    Nodes and labels are apart as far as there is room.
    """
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    size = abs(edges_to_matrix(edges, drawn, duplicates="error"))
    start = node_positions(sp.csr_matrix(size + size.T))
    # Text has a size in points, whatever the axes: boxes are spread on the paper, then put back.
    figure = ax.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that draw are on a figure
    figure.draw_without_rendering()
    paper = np.asarray(ax.get_window_extent().size) * 72 / figure.dpi
    boxes = np.array([_label_size(text) for text in labels])
    boxes = np.column_stack([boxes[:, 0] + 4, boxes[:, 1] + 1.45 * np.sqrt(_NODE_AREA) + 3])
    room = paper - boxes.max(axis=0)
    centres = boxes.max(axis=0) / 2 + start * np.maximum(room, 1)
    centres = spread_boxes(centres, boxes, (float(paper[0]), float(paper[1])))
    # A label would hide the arrow heads on its side: it goes where fewer edges do.
    ends = [drawn.get_indexer(pd.Index(edges[column])) for column in ("source", "target")]
    rise = np.sign(centres[ends[1], 1] - centres[ends[0], 1])
    is_above = np.bincount(ends[0], rise, len(drawn)) - np.bincount(ends[1], rise, len(drawn)) < 0
    centres[:, 1] += np.where(is_above, -0.5, 0.5) * (boxes[:, 1] - 1.45 * np.sqrt(_NODE_AREA))
    return centres / paper, is_above


def _label_size(text: str) -> tuple[float, float]:
    """Return width and height of a label in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    extent = TextPath((0, 0), text or " ", size=_FONT_SIZE, prop=FontProperties(weight="bold")).get_extents()
    return extent.width, _FONT_SIZE * 1.2


def _draw_edges(ax: Axes, edges: pd.DataFrame, positions: pd.DataFrame, *, directed: bool, scale: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    pairs = set(zip(edges["source"], edges["target"], strict=True))
    # Weakest first, so that strong edges lie on top.
    for source, target, weight in edges.iloc[::-1].itertuples(index=False):
        share = abs(weight) / scale
        # Only edges that run both ways need a bow to be told apart.
        bow = 0.18 if (target, source) in pairs else 0.06
        ax.add_patch(
            FancyArrowPatch(
                tuple(positions.loc[source]),
                tuple(positions.loc[target]),
                arrowstyle="-|>" if directed else "-",
                mutation_scale=7 + 4 * share,
                connectionstyle=f"arc3,rad={bow if directed else 0}",
                shrinkA=5,
                shrinkB=7 if directed else 5,
                linewidth=_width(share),
                linestyle="-" if weight > 0 else (0, (3, 1.5)),
                color="#555555" if weight > 0 else _NEGATIVE,
                alpha=0.3 + 0.5 * share,
                zorder=1,
                joinstyle="miter",
            )
        )


def _width(share: float) -> float:
    return 0.4 + 2.8 * share


def _write_labels(
    ax: Axes,
    positions: NDArray[np.float64],
    labels: pd.Series,
    *,
    marked: NDArray[np.bool_],
    is_above: NDArray[np.bool_],
) -> None:
    from matplotlib.patheffects import withStroke

    for (x, y), text, is_marked, above in zip(positions, labels, marked, is_above, strict=True):
        ax.annotate(
            text,
            (x, y),
            xytext=(0, (1 if above else -1) * 0.72 * np.sqrt(_NODE_AREA)),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=_FONT_SIZE,
            fontweight="bold" if is_marked else "normal",
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            zorder=4,
        )


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
        shape: dict[str, Any] = {
            "linestyle": "",
            "markersize": 7,
            "color": "#777777",
            "markeredgecolor": "white",
        }
        handles.append(Line2D([], [], marker="D", label="regulator", **shape))
        handles.append(Line2D([], [], marker="o", label="other gene", **shape))
    if len(edges):
        for share in (1.0, 0.25):
            text = f"{'regulator → target, ' if directed else ''}|weight| {share * scale:.2g}"
            handles.append(Line2D([], [], color="#555555", alpha=0.3 + 0.5 * share, lw=_width(share), label=text))
        if (edges["weight"] < 0).any():
            handles.append(Line2D([], [], color=_NEGATIVE, linestyle=(0, (3, 1.5)), label="negative weight"))
    if handles:
        ax.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=min(4, len(handles)),
            frameon=False,
            fontsize=8,
        )
