"""A network as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._wording import counted
from ..core import GRNAnnData
from ..edges import check_unique, some
from ..gene_labels import gene_labels
from ..ranking import check_count, strongest
from ..schema import is_sparse
from ..stored import single_network
from ..tools.centrality import strength
from .axes import get_axes
from .choice import check_genes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More tick labels than this would overlap at the default size.
_LABELLED = 60


def matrix(
    grn: GRNAnnData,
    *,
    genes: Sequence[str] | None = None,
    n_genes: int = 50,
    communities: pd.Series | None = None,
    label: str = "symbol",
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights between some genes as a heat map: rows are regulators, columns targets.

    Parameters
    ----------
    grn
        The network.
    genes
        Names or labels of genes; the `n_genes` of largest strength (in and out) when None.
    n_genes
        Number of genes, when `genes` is None.
    communities
        Community of every gene, as `grnndata.tl.louvain` returns: genes are put together by community, with
        lines between. Within one, and without, the strongest come first.
    label
        Column of ``var`` to name genes by; their names when ``var`` lacks ``"symbol"``.
    ax
        Axes to draw on; a new figure when None.

    Returns
    -------
    matplotlib.axes.Axes
        White is 0, blue positive; negative weights are red, as in the other drawings.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    KeyError
        When `label` is not a column of ``var``.
    ValueError
        When genes are unknown, repeated or none, or a gene has no community.
    """
    network = single_network(grn)
    both = (strength(grn, "out") + strength(grn, "in")).to_numpy()
    names = check_unique(grn.var_names)
    if genes is None:
        check_count(n_genes, "n_genes")
        at = strongest(both, n_genes)
    else:
        at = names.get_indexer(check_genes(genes, gene_labels(grn, label)))
        at = at[strongest(both[at], None)]
    groups = _groups(names[at], communities)
    order = np.argsort(groups, kind="stable")
    at, groups = at[order], groups[order]
    part: Any = network[np.ix_(at, at)]
    values = part.toarray() if is_sparse(part) else np.asarray(part)

    ax = get_axes(ax, (6.5, 5.5))
    largest = float(np.abs(values).max(initial=0)) or 1.0
    has_negative = bool((values < 0).any())
    image = ax.imshow(
        values,
        cmap="RdBu" if has_negative else "Blues",
        vmin=-largest if has_negative else 0,
        vmax=largest,
        interpolation="nearest",
    )
    ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.7)
    for edge in np.flatnonzero(np.diff(groups)) + 0.5:
        ax.axhline(edge, color="black", linewidth=0.8)
        ax.axvline(edge, color="black", linewidth=0.8)
    labels = gene_labels(grn, label).iloc[at]
    if len(at) <= _LABELLED:
        size = min(8.0, 280 / len(at))
        ax.set_xticks(range(len(at)), labels=labels.tolist(), rotation=90, fontsize=size)
        ax.set_yticks(range(len(at)), labels=labels.tolist(), fontsize=size)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    ax.tick_params(length=0)
    ax.set_xlabel("target")
    ax.set_ylabel("regulator")
    return ax


def _groups(genes: pd.Index, communities: pd.Series | None) -> np.ndarray:
    if communities is None:
        return np.zeros(len(genes), dtype=np.int64)
    without = genes[~genes.isin(communities.index)]
    if len(without):
        raise ValueError(f"{counted(len(without), 'gene has', 'genes have')} no community: {some(list(without))}")
    return pd.Categorical(communities.loc[genes]).codes.astype(np.int64)
