"""Find gene sets that stand out in a ranking of genes, where genes are correlated among themselves: CAMERA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..schema import is_sparse
from ..stored import single_network
from .centrality import strength_of_matrix
from .enrichment import GeneSets, Ranking, ranked_genes, sets_among
from .replicate_networks import column

type Correlation = Literal["auto", "network", "expression"] | float

#: Correlation of genes within a set where nothing at hand tells it: limma's default for ranked lists.
PRESET = 0.01
# Cells from which correlations of expression are taken.
_LEAST_CELLS = 10


def camera(
    grn: GRNAnnData,
    gene_sets: GeneSets,
    *,
    ranking: Ranking | pd.Series = "out_strength",
    correlation: Correlation = "auto",
    groupby: str | None = None,
    label: str = "symbol",
    min_size: int = 5,
    max_size: int = 1000,
) -> pd.DataFrame:
    """Find gene sets that stand out in a ranking of genes, allowing for the correlation of the genes in a set.

    Genes of a set are often co-regulated, so that their values rise and fall together. A test that compares with
    random genes, as `prerank` does, calls a third of such sets significant where nothing is there. Here the variance
    of a set's mean is inflated by ``1 + (m - 1) × r``, with m genes of mean correlation r. The values are the normal
    scores of the ranks, and the statistic is Student's t of the set against all other genes.

    The null hypothesis is that the genes of the set are ranked as the others are, with their correlation. For
    strengths r is the correlation of the genes' weights over all partners, of which a strength is the sum; r of
    expression is smaller than that of strengths, which gives p-values that are too small. For a ranking of one's own,
    such as t-statistics of the same cells, r is that of expression.

    Parameters
    ----------
    grn
        Network, with its cells where `correlation` is taken from expression. Genes in none of the sets stay in the
        ranking, as the background.
    gene_sets
        Gene symbols by name of the set, or a GMT file. Names are compared as they are spelled.
    ranking
        See `prerank`.
    correlation
        Source of the correlation of genes: ``"network"`` (of the rows of the network for ``"out_strength"``, of its
        columns else), ``"expression"`` (of log counts per 10,000 in ``X``; values that are not counts are taken as
        they are), or a number for all sets. ``"auto"``: of the network where `ranking` is a centrality; where it is a
        Series of expression if there are 10 cells, and 0.01 if not. Negative correlations count as 0.
    groupby
        Column of ``obs``, such as the condition that a ranking compares: the mean expression of each group is
        taken off before genes are correlated.
    label, min_size, max_size
        See `prerank`.

    Returns
    -------
    pandas.DataFrame
        One row a set, smallest p-value first: ``term``, ``difference`` (mean normal score of the set less that of the
        others; above 0 at the top of the ranking), ``correlation``, ``t``, ``p_value`` (two-sided), ``q_value``
        (Benjamini and Hochberg, over the sets), ``n_genes`` (of the set, in the ranking). ``attrs["test"]`` says
        where the correlation comes from.

    Raises
    ------
    KeyError
        When `label` is neither ``"symbol"`` nor a column of ``var``, or `groupby` is not a column of ``obs``.
    ValueError
        As `prerank`; when `correlation` is unknown or not from 0 to 1, or is taken from expression and there are
        fewer than 10 cells.

    References
    ----------
    Wu and Smyth 2012, Camera: a competitive gene set test accounting for inter-gene correlation, Nucleic Acids
    Research 40:e133.
    """
    genes = ranked_genes(grn, ranking, label)
    kept = sets_among(genes.index, gene_sets, min_size, max_size, proper=True)
    correlate, df, told = _correlation(grn, ranking, correlation, groupby)
    scores = normal_scores(genes["value"].to_numpy())
    places = pd.Series(np.arange(len(genes)), index=genes.index)
    rows = []
    for term, members in kept.items():
        at = places.loc[members].to_numpy()
        r = correlate(genes["place"].to_numpy()[at])
        difference, t, p_value = camera_test(scores, at, r, df)
        rows.append((term, difference, r, t, p_value, len(at)))
    from scipy.stats import false_discovery_control  # takes a second to import

    table = pd.DataFrame(rows, columns=["term", "difference", "correlation", "t", "p_value", "n_genes"])
    table.insert(5, "q_value", false_discovery_control(table["p_value"]))
    order = np.lexsort((table["term"].to_numpy(dtype=object), -table["t"].abs(), table["p_value"]))
    table = table.iloc[order].reset_index(drop=True)
    table.attrs["test"] = f"camera: genes of a set against the others, correlated {told}"
    return table


def camera_test(
    scores: NDArray[np.float64], members: NDArray[np.intp], correlation: float, df: float = float("inf")
) -> tuple[float, float, float]:
    """Compare the mean of some genes with that of the others, with an inflated variance.

    Parameters
    ----------
    scores
        Value of every gene, shape (genes,).
    members
        Places of the genes of the set, shape (members,).
    correlation
        Mean correlation of the values of two genes of the set.
    df
        Degrees of freedom of the correlation; those of the test are at most the number of genes less 2.

    Returns
    -------
    float, float, float
        Difference of means, t and its two-sided p-value: Wu and Smyth 2012, equation 5, with pooled variance.
    """
    from scipy.stats import t as student  # takes a second to import

    n, m = scores.size, members.size
    others = np.delete(scores, members)
    inside = scores[members]
    difference = float(inside.mean() - others.mean())
    pooled = (((inside - inside.mean()) ** 2).sum() + ((others - others.mean()) ** 2).sum()) / (n - 2)
    error = np.sqrt(pooled * ((1 + (m - 1) * correlation) / m + 1 / (n - m)))
    t = difference / float(error)
    return difference, t, float(2 * student.sf(abs(t), min(df, n - 2)))


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quantiles of a normal distribution at the ranks of values, ties at their mean rank."""
    from scipy.special import ndtri
    from scipy.stats import rankdata  # takes a second to import

    return np.asarray(ndtri((rankdata(values) - 0.5) / values.size))


def _correlation(
    grn: GRNAnnData, ranking: Ranking | pd.Series, correlation: Correlation, groupby: str | None
) -> tuple[Callable[[NDArray[np.intp]], float], float, str]:
    """Return a function from places of genes to their mean correlation, its degrees of freedom, and what it is."""
    has_cells = grn.n_obs >= _LEAST_CELLS and grn.X is not None
    chosen: Any = correlation
    if correlation == "auto":
        chosen = "network" if isinstance(ranking, str) else "expression" if has_cells else PRESET
    if chosen == "network":
        as_rows = ranking == "out_strength" if isinstance(ranking, str) else True
        told = f"as their {'outgoing' if as_rows else 'incoming'} weights are over all genes"
        return _of_network(grn, as_rows=as_rows), float("inf"), told
    if chosen == "expression":
        if not has_cells:
            raise ValueError(f"correlation='expression' takes {_LEAST_CELLS} cells with values in X, got {grn.n_obs:,}")
        residuals, df = _expression(grn, groupby)
        return lambda at: _mean_correlation(residuals(at)), df, f"as their expression is in {grn.n_obs:,} cells"
    is_number = isinstance(chosen, int | float | np.floating) and not isinstance(chosen, bool)
    if not is_number or not 0 <= chosen <= 1:
        raise ValueError(
            f"correlation must be 'auto', 'network', 'expression' or a number from 0 to 1, got {correlation!r}"
        )
    told = f"by a preset {chosen:g}, which says nothing of these genes: sets that are co-regulated come out too often"
    return lambda _: float(chosen), float("inf"), told


def _mean_correlation(profiles: NDArray[np.float64]) -> float:
    """Return the mean correlation of two different rows of centred profiles, at least 0."""
    m = len(profiles)
    length = np.sqrt((profiles**2).sum(axis=1, keepdims=True))
    units = np.divide(profiles, length, out=np.zeros_like(profiles), where=length > 0)
    # The squared length of the sum is the sum of all correlations, those of each row with itself among them.
    total = float((units.sum(axis=0) ** 2).sum()) - float((units**2).sum())
    return min(1.0, max(0.0, total / (m * (m - 1)))) if m > 1 else 0.0


def _of_network(grn: GRNAnnData, *, as_rows: bool) -> Callable[[NDArray[np.intp]], float]:
    """Return a function from places of genes to the mean correlation of their absolute weights over all partners."""
    network: Any = single_network(grn)
    n = network.shape[0]
    # What every gene has in common is the partner's: its mean weight is taken off.
    level = strength_of_matrix(network, "in" if as_rows else "out") / max(1, n - 1)
    turned: Any = network if as_rows else network.T
    stored_sparse = is_sparse(network)
    if stored_sparse:
        turned = sp.csr_array(turned)

    def correlate(at: NDArray[np.intp]) -> float:
        block = turned[at].toarray() if stored_sparse else turned[at]
        profiles = np.abs(np.asarray(block, dtype=np.float64)) - level
        profiles[np.arange(at.size), at] = 0
        return _mean_correlation(profiles - profiles.mean(axis=1, keepdims=True))

    return correlate


def _expression(
    grn: GRNAnnData, groupby: str | None
) -> tuple[Callable[[NDArray[np.intp]], NDArray[np.float64]], float]:
    """Return a function from places of genes to their residuals, shape (genes, cells), and degrees of freedom."""
    # One form for both kinds, as anndata may hold either.
    stored: Any = grn.X
    values = sp.csc_array(stored)
    data = values.data
    are_counts = bool((data >= 0).all() and (data == np.floor(data)).all())
    total = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
    groups = np.zeros(grn.n_obs, dtype=np.intp) if groupby is None else pd.factorize(column(grn, groupby))[0]
    kept = (total > 0) | (not are_counts)

    def residuals(at: NDArray[np.intp]) -> NDArray[np.float64]:
        dense = np.asarray(values[:, at].toarray(), dtype=np.float64)[kept]
        if are_counts:
            dense = np.log1p(dense / total[kept, None] * 1e4)
        for group in np.unique(groups[kept]):
            cells = groups[kept] == group
            dense[cells] -= dense[cells].mean(axis=0)
        return dense.T

    return residuals, float(kept.sum() - np.unique(groups[kept]).size)
