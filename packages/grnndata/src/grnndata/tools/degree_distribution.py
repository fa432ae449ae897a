"""Count the genes with each number of edges, and fit a power law to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..stored import single_network
from .centrality import Direction, degree_of_matrix
from .igraph_graphs import import_igraph, seeded


@dataclass(frozen=True)
class PowerLaw:
    """A power law fitted to degrees: of those from `xmin` on, the share of degree k is as k to the -`alpha`."""

    #: Exponent.
    alpha: float
    #: Smallest degree that follows the law.
    xmin: int
    #: Largest distance between the cumulative distributions of degrees and of the law (Kolmogorov-Smirnov).
    ks_distance: float
    #: Number of genes of degree `xmin` or more.
    n_tail: int


def degree_distribution(grn: GRNAnnData, direction: Direction = "out") -> pd.DataFrame:
    """Count the genes of every degree.

    Parameters
    ----------
    grn
        The network; self-edges do not count.
    direction
        ``"out"``: edges in which the gene is the regulator; ``"in"``: the target.

    Returns
    -------
    pandas.DataFrame
        One row for every degree that occurs, smallest first; columns ``degree``, ``n_genes`` and
        ``share_at_least``, the share of all genes of this degree or more.

    Raises
    ------
    ValueError
        When `direction` is unknown.
    """
    degrees, counts = np.unique(degree_of_matrix(single_network(grn), direction), return_counts=True)
    at_least = np.cumsum(counts[::-1])[::-1] / max(1, int(counts.sum()))
    return pd.DataFrame({"degree": degrees, "n_genes": counts, "share_at_least": at_least})


def power_law(grn: GRNAnnData, direction: Direction = "out") -> PowerLaw:
    """Fit a power law to the degrees, of genes with edges, by maximum likelihood.

    `PowerLaw.xmin` is the one that brings degrees and law closest. That a law fits best says not that it fits
    well, nor better than another heavy-tailed distribution.

    Parameters
    ----------
    grn
        The network; self-edges do not count.
    direction
        See `degree_distribution`.

    Returns
    -------
    PowerLaw
        ``alpha``, ``xmin``, ``ks_distance`` and ``n_tail``.

    Raises
    ------
    ImportError
        When igraph is not installed.
    ValueError
        When the degrees above 0 are not at least two different numbers, or `direction` is unknown.

    References
    ----------
    Clauset, Shalizi and Newman 2009, Power-law distributions in empirical data, SIAM Rev. 51:661-703, sections
    3.1 and 3.3.
    """
    fit = fit_power_law(degree_of_matrix(single_network(grn), direction))
    if fit is None:
        raise ValueError(
            f"a power law needs two different {direction}-degrees above 0, and the {grn.n_vars:,} genes of this "
            "network have fewer"
        )
    return fit


def fit_power_law(degrees: NDArray[np.int64]) -> PowerLaw | None:
    """Fit a power law to degrees above 0, shape (genes,): None when they are not two different numbers."""
    present = degrees[degrees > 0]
    if not present.size or present.min() == present.max():
        return None
    igraph = import_igraph()
    # A coarse p-value, which is not used: a precise one takes a fit to each of thousands of random samples.
    with seeded(0):
        fit = igraph.power_law_fit(present.tolist(), method="discrete", p_precision=0.5)
    xmin = int(fit.xmin)
    return PowerLaw(float(fit.alpha), xmin, float(fit.D), int(np.count_nonzero(present >= xmin)))
