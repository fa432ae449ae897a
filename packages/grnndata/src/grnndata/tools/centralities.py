"""One table of how central every gene is, in several senses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from ..core import GRNAnnData
from .betweenness import betweenness
from .centrality import degree, strength
from .spectral import eigenvector, hits, pagerank

_KINDS: dict[str, Callable[[GRNAnnData], pd.Series]] = {
    "out_degree": lambda grn: degree(grn, "out"),
    "in_degree": lambda grn: degree(grn, "in"),
    "out_strength": lambda grn: strength(grn, "out"),
    "in_strength": lambda grn: strength(grn, "in"),
    "out_pagerank": lambda grn: pagerank(grn, direction="out"),
    "in_pagerank": lambda grn: pagerank(grn, direction="in"),
    "out_eigenvector": lambda grn: eigenvector(grn, "out"),
    "in_eigenvector": lambda grn: eigenvector(grn, "in"),
    "hub": lambda grn: hits(grn)["hub"],
    "authority": lambda grn: hits(grn)["authority"],
    "betweenness": betweenness,
}


def centralities(
    grn: GRNAnnData,
    kinds: Sequence[str] = ("out_degree", "in_degree", "out_strength", "in_strength", "out_pagerank", "in_pagerank"),
) -> pd.DataFrame:
    """Return a table of centralities, one row a gene.

    Parameters
    ----------
    grn
        The network.
    kinds
        Columns wanted, of ``out_degree``, ``in_degree``, ``out_strength``, ``in_strength``, ``out_pagerank``,
        ``in_pagerank``, ``out_eigenvector``, ``in_eigenvector``, ``hub``, ``authority`` and ``betweenness``. The
        default ones exist for every network; see the function of each for its options and for what it asks of
        the network.

    Returns
    -------
    pandas.DataFrame
        Columns `kinds` in that order, indexed by ``var_names``.

    Raises
    ------
    ValueError
        For unknown or repeated kinds, and as the functions wanted.
    """
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    unknown = [kind for kind in kinds if kind not in _KINDS]
    if unknown or len(set(kinds)) < len(kinds):
        raise ValueError(f"kinds must be different ones of {', '.join(_KINDS)}; got {kinds}")
    return pd.DataFrame({kind: _KINDS[kind](grn) for kind in kinds}, index=grn.var_names, columns=kinds)
