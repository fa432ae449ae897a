"""Axes to draw on, and the names and colours that every plot shares."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._wording import counted
from ..edges import some
from ..named_genes import find_genes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

#: Okabe and Ito's colours, which people with any colour vision can tell apart; black is left for text.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GREY = "#B5B5B5"
#: Of negative weights.
NEGATIVE = "#B2182B"
#: Of two networks side by side: what is in the first only, in the second only.
FIRST, SECOND = COLOURS[0], COLOURS[5]


def get_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install grnndata[plots]") from error
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def size_on_paper(ax: Axes) -> NDArray[np.float64]:
    """Return width and height of axes in points, once the layout of their figure is settled."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes that draw are on a figure
    figure.draw_without_rendering()
    return np.asarray(ax.get_window_extent().size) * 72 / figure.dpi


def is_regulator(drawn: pd.Index, labels: pd.Series, regulators: Iterable[str] | None) -> np.ndarray:
    """Return which of the drawn genes are in `regulators`, none when None: bool, shape (genes drawn,).

    Parameters
    ----------
    drawn
        Names of the genes that are drawn.
    labels
        Label of every gene of the network, by its name.
    regulators
        Names or labels; see `grnndata.find_genes`. How many the network has is told in the log.

    Raises
    ------
    ValueError
        When the network has none of them.
    """
    if regulators is None:
        return np.zeros(len(drawn), dtype=bool)
    found = find_genes(regulators, labels.index.tolist(), labels.tolist(), what="regulators")
    if not len(found.places):
        raise ValueError(
            f"none of the {len(found):,} regulators is a gene of the network, {found.examples()}; its genes are like "
            f"{', '.join(labels[:3])}: name the regulators so, or leave them out"
        )
    if found.missing:
        # a list of all factors is longer than a network: its genes are only marked, so that nothing is lost
        n_there = len(found.places)
        logger.info("%d of %d regulators are genes of the network; others, %s", n_there, len(found), found.examples())
    return np.asarray(drawn.isin(labels.index.take(found.places)))


def communities_of(drawn: pd.Index, communities: pd.Series) -> pd.Series:
    """Return the community of every drawn gene.

    Raises
    ------
    ValueError
        When a gene has none.
    """
    without = drawn[~drawn.isin(communities.index[communities.notna()])]
    if len(without):
        raise ValueError(f"{counted(len(without), 'gene has', 'genes have')} no community: {some(list(without))}")
    return communities.loc[drawn]


def community_colours(drawn: pd.Index, communities: pd.Series | None) -> tuple[NDArray[Any], dict[str, str]]:
    """Return a colour for every gene, and what the legend says of each colour.

    Raises
    ------
    ValueError
        When a gene has no community.
    """
    if communities is None:
        return np.full(len(drawn), COLOURS[0], dtype=object), {}
    groups = communities_of(drawn, communities)
    sizes = groups.value_counts().sort_index()
    coloured = sizes.sort_values(ascending=False, kind="stable").index[: len(COLOURS)].sort_values()
    colour_of = dict(zip(coloured, COLOURS, strict=False))
    named = {f"community {name}": colour for name, colour in colour_of.items()}
    if len(sizes) > len(COLOURS):
        named["other communities"] = GREY
    return np.array([colour_of.get(name, GREY) for name in groups], dtype=object), named
