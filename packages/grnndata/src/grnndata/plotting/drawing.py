"""Nodes, arrows and labels on axes: what drawings of networks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..edges import edges_to_matrix
from .axes import size_on_paper
from .choice import both_ways
from .layout import node_positions, spread_boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Of edges with a positive weight, and of those with a negative one.
EDGE_COLOUR = "#555555"
DASHES = (0, (3, 1.5))
_FONT_SIZE = 8.5
_NODE_AREA = 90.0  # points²


def prepare_axes(ax: Axes) -> None:
    """Make axes an empty sheet from 0 to 1."""
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))


def place(ax: Axes, edges: pd.DataFrame, labels: pd.Series) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Find a place for every node.

    Nodes and labels are apart as far as there is room.

    Parameters
    ----------
    ax
        Sheet to draw on, see `prepare_axes`.
    edges
        Columns ``source, target, weight``, each pair once.
    labels
        Text of every node, indexed by gene.

    Returns
    -------
    pandas.DataFrame
        Two columns, in units of `ax`, indexed by gene.
    numpy.ndarray
        Which labels go above their node.
    """
    drawn = pd.Index(labels.index)
    size = abs(edges_to_matrix(edges, drawn, duplicates="error"))
    start = node_positions(sp.csr_matrix(size + size.T))
    # Text has a size in points, whatever the axes: boxes are spread on the paper, then put back.
    paper = size_on_paper(ax)
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
    return pd.DataFrame(centres / paper, index=drawn), is_above


def draw_edges(
    ax: Axes,
    edges: pd.DataFrame,
    positions: pd.DataFrame,
    colours: NDArray[Any],
    *,
    directed: bool | NDArray[np.bool_],
    scale: float,
    bowed: NDArray[np.bool_] | None = None,
) -> None:
    """Draw edges as arrows, or as lines when not `directed`.

    Parameters
    ----------
    ax, edges, positions
        See `place`.
    colours
        Colour of every edge.
    directed
        Whether to draw heads, of all edges or of each.
    scale
        Absolute weight of the widest edge.
    bowed
        Edges that bend, so as to be told apart from the opposite one; those that have one when None.
    """
    from matplotlib.patches import FancyArrowPatch

    bowed = both_ways(edges) if bowed is None else bowed
    has_head = np.broadcast_to(directed, len(edges))
    # Weakest first, so that strong edges lie on top.
    for i in range(len(edges) - 1, -1, -1):
        source, target, weight = edges.iloc[i][["source", "target", "weight"]]
        share = abs(weight) / scale
        bow = 0.18 if bowed[i] else 0.06
        ax.add_patch(
            FancyArrowPatch(
                tuple(positions.loc[source]),
                tuple(positions.loc[target]),
                arrowstyle="-|>" if has_head[i] else "-",
                mutation_scale=7 + 4 * share,
                connectionstyle=f"arc3,rad={bow if has_head[i] else 0}",
                shrinkA=5,
                shrinkB=7 if has_head[i] else 5,
                linewidth=edge_width(share),
                linestyle="-" if weight > 0 else DASHES,
                color=colours[i],
                alpha=edge_alpha(share),
                zorder=1,
                joinstyle="miter",
            )
        )


def draw_nodes(ax: Axes, positions: pd.DataFrame, colours: NDArray[Any], marked: NDArray[np.bool_]) -> None:
    """Draw nodes, marked ones as diamonds."""
    places = positions.to_numpy()
    for chosen, marker, area in ((~marked, "o", 1.0), (marked, "D", 1.15)):
        if chosen.any():
            ax.scatter(
                places[chosen, 0],
                places[chosen, 1],
                s=_NODE_AREA * area,
                c=colours[chosen].tolist(),
                marker=marker,
                edgecolors="white",
                linewidths=0.8,
                zorder=3,
            )


def write_labels(
    ax: Axes, positions: pd.DataFrame, labels: pd.Series, *, bold: NDArray[np.bool_], is_above: NDArray[np.bool_]
) -> None:
    """Write the label of every node above or below it."""
    from matplotlib.patheffects import withStroke

    for (x, y), text, is_bold, above in zip(positions.to_numpy(), labels, bold, is_above, strict=True):
        ax.annotate(
            text,
            (x, y),
            xytext=(0, (1 if above else -1) * 0.72 * np.sqrt(_NODE_AREA)),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=_FONT_SIZE,
            fontweight="bold" if is_bold else "normal",
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            # A name may hold a dollar sign, which is no formula.
            parse_math=False,
            zorder=4,
        )


def edge_width(share: float) -> float:
    """Return the width in points of an edge, given its part of the largest absolute weight."""
    return 0.4 + 2.8 * share


def edge_alpha(share: float) -> float:
    """Return the opacity of an edge, given its part of the largest absolute weight."""
    return 0.3 + 0.5 * share


def width_handles(scale: float, *, directed: bool) -> list[Line2D]:
    """Return what the legend says of widths."""
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            color=EDGE_COLOUR,
            alpha=edge_alpha(share),
            lw=edge_width(share),
            label=f"{'regulator → target, ' if directed else ''}|weight| {share * scale:.2g}",
        )
        for share in (1.0, 0.25)
    ]


def shape_handles() -> list[Line2D]:
    """Return what the legend says of diamonds and circles."""
    from matplotlib.lines import Line2D

    shape: dict[str, Any] = {"linestyle": "", "markersize": 7, "color": "#777777", "markeredgecolor": "white"}
    return [Line2D([], [], marker=m, label=text, **shape) for m, text in (("D", "regulator"), ("o", "other gene"))]


def add_legend(ax: Axes, handles: list[Line2D]) -> None:
    """Put a legend below the axes."""
    if handles:
        ax.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=min(4, len(handles)),
            frameon=False,
            fontsize=8,
        )


def _label_size(text: str) -> tuple[float, float]:
    """Return width and height of a label in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    # As `parse_math=False` does for texts: TextPath itself has no such option.
    plain = text.replace("$", r"\$")
    extent = TextPath((0, 0), plain or " ", size=_FONT_SIZE, prop=FontProperties(weight="bold")).get_extents()
    return extent.width, _FONT_SIZE * 1.2
