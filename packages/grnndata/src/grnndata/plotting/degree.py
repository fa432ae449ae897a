"""The numbers of genes with each number of edges, on logarithmic axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core import GRNAnnData
from ..tools.centrality import Direction
from ..tools.degree_distribution import degree_distribution as degrees_of
from ..tools.degree_distribution import power_law
from .axes import COLOURS, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def degree_distribution(
    grn: GRNAnnData, direction: Direction = "out", *, fit: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the share of genes with at least so many edges, and the power law that fits best.

    Parameters
    ----------
    grn
        The network; self-edges do not count.
    direction
        ``"out"``: edges in which the gene is the regulator; ``"in"``: the target.
    fit
        Whether to draw the law, see `grnndata.tl.power_law`; it needs igraph.
    ax
        Axes to draw on; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes
        Genes without edges count in the shares, and have no place on a logarithmic axis.

    Raises
    ------
    ImportError
        When matplotlib is not installed, or igraph for the fit.
    ValueError
        When the network has no edges, `direction` is unknown, or a law cannot be fitted.
    """
    table = degrees_of(grn, direction)
    shown = table[table["degree"] > 0]
    if shown.empty:
        raise ValueError("the network has no edges between different genes: there are no degrees to draw")
    law = power_law(grn, direction) if fit else None
    ax = get_axes(ax, (5, 4))
    ax.plot(shown["degree"], shown["share_at_least"], "o", color=COLOURS[0], markersize=4, label="genes")
    if law is not None:
        from scipy.special import zeta

        tail = shown[shown["degree"] >= law.xmin]["degree"].to_numpy()
        # The law holds for the genes from xmin on, whose share of all genes is that of the data.
        share = float(shown.loc[shown["degree"] >= law.xmin, "share_at_least"].iloc[0])
        fitted = share * zeta(law.alpha, tail) / zeta(law.alpha, law.xmin)
        text = f"power law, exponent {law.alpha:.2f}, from degree {law.xmin}"
        ax.plot(tail, np.asarray(fitted), color=COLOURS[5], linewidth=1.5, label=text)
    ax.set(xscale="log", yscale="log", xlabel=f"{direction}-degree", ylabel="share of genes with at least this degree")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower left")
    return ax
