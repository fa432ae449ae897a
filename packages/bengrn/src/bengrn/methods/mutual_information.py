"""Mutual information of genes, and two ways to clear it of indirect edges: CLR and ARACNE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bengrn.methods.correlation import absolute_correlation
from bengrn.methods.method import Method

#: "bins": values in bins of about equal numbers of cells, corrected for the number of cells (Miller and Madow).
#: "gaussian": -1/2 log(1 - r**2) of the Spearman correlation r brought to that of normal variables.
type Estimator = Literal["bins", "gaussian"]

#: Step between values of mutual information, in nats.
_GRID = 2.0**-40
#: Values that are held at a time.
_BLOCK = 1 << 25


def mutual_information(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,  # noqa: ARG001 (nothing is random here)
    *,
    estimator: Estimator = "bins",
    bins: int = 10,
) -> NDArray[np.float64]:
    """Take the mutual information of each two genes, in nats.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator, not used.
    estimator
        Way to estimate it: "bins" puts values into bins of about equal numbers of cells and corrects for the number of
        cells; "gaussian" takes ranks as if they came from a normal distribution.
    bins
        Largest number of bins of a gene. Cells with equal values share a bin, so that genes with many zeros have fewer.

    Raises
    ------
    ValueError
        If there are fewer than two bins, or the estimator is not known.
    """
    if estimator == "gaussian":
        ranks = rankdata(values, axis=0)
        # The correlation of the normal variables behind ranks that correlate by r is 2 sin(pi r / 6).
        r = 2.0 * np.sin(np.pi / 6.0 * absolute_correlation(ranks, regulators))
        information: NDArray[np.float64] = -0.5 * np.log1p(-(np.minimum(r, 1.0 - 1e-12) ** 2))
        return information
    if estimator != "bins":
        raise ValueError(f"estimator is 'bins' or 'gaussian', not {estimator!r}")
    if bins < 2:
        raise ValueError(f"bins is the number of bins, at least 2, got {bins}")
    return _binned_information(values, regulators, bins)


def clr(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    estimator: Estimator = "bins",
    bins: int = 10,
) -> NDArray[np.float64]:
    """Compare the mutual information of two genes with that of each of them with all other genes (CLR).

    With z_i the number of standard deviations by which it lies above the mean of gene i, 0 where below, the weight is
    sqrt(z_i**2 + z_j**2).

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None. The mean of a regulator is over all genes, that of
        a target over all regulators.
    rng
        Generator, not used.
    estimator
        Way to estimate the mutual information, see "mutual-information".
    bins
        Largest number of bins of a gene.
    """
    return relatedness(mutual_information(values, regulators, rng, estimator=estimator, bins=bins), regulators)


def aracne(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,
    *,
    estimator: Estimator = "bins",
    bins: int = 10,
    tolerance: float = 0.0,
    inequality: bool = True,
) -> NDArray[np.float64]:
    """Take the mutual information without the weakest edge of each three genes (ARACNE).

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None. An edge then falls only to a third gene that is a
        regulator.
    rng
        Generator, not used.
    estimator
        Way to estimate the mutual information, see "mutual-information".
    bins
        Largest number of bins of a gene.
    tolerance
        Share by which the weakest of three edges has to lie below the second weakest to fall, from 0 to below 1.
    inequality
        Whether to use the data-processing inequality; without it this is "mutual-information".

    Raises
    ------
    ValueError
        If the tolerance is outside.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is from 0 to below 1, not {tolerance:g}")
    information = mutual_information(values, regulators, rng, estimator=estimator, bins=bins)
    return without_indirect(information, regulators, tolerance) if inequality else information


def relatedness(information: NDArray[np.float64], regulators: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Return CLR's weights from mutual information.

    Parameters
    ----------
    information
        Mutual information, (genes, genes) or (regulators, genes); that of a gene with itself is not used.
    regulators
        Places of the genes of the rows, (rows,); all genes when None.
    """
    rows = np.arange(len(information)) if regulators is None else regulators
    own = np.zeros(information.shape, dtype=bool)
    own[np.arange(len(rows)), rows] = True
    weights: NDArray[np.float64] = np.hypot(_above_mean(information, own, 1), _above_mean(information, own, 0))
    weights[own] = 0.0
    return weights


def without_indirect(
    information: NDArray[np.float64], regulators: NDArray[np.int64] | None = None, tolerance: float = 0.0
) -> NDArray[np.float64]:
    """Set to 0 each edge i-j for which a gene k has larger mutual information with both i and j.

    Parameters
    ----------
    information
        Mutual information, (genes, genes) or (regulators, genes), which is not changed.
    regulators
        Places of the genes of the rows, (rows,); all genes when None. Only these are tried as k.
    tolerance
        Share by which the edge has to lie below the weaker one of the two others.
    """
    rows = np.arange(len(information)) if regulators is None else regulators
    # How well the best way round explains an edge: the largest over k of the smaller of its two parts.
    best = np.zeros_like(information)
    part = np.empty_like(information)
    for k, place in enumerate(rows.tolist()):
        to_k = information[:, place].copy()
        to_k[k] = 0.0  # k itself is no way round
        from_k = information[k].copy()
        from_k[place] = 0.0
        np.minimum(to_k[:, None], from_k, out=part)
        np.maximum(best, part, out=best)
    return np.where(information < best * (1.0 - tolerance), 0.0, information)


def _above_mean(information: NDArray[np.float64], own: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    n = np.maximum((~own).sum(axis=axis, keepdims=True), 1)
    others = np.where(own, 0.0, information)
    mean = others.sum(axis=axis, keepdims=True) / n
    spread = np.sqrt(np.where(own, 0.0, (information - mean) ** 2).sum(axis=axis, keepdims=True) / n)
    z = np.divide(information - mean, spread, out=np.zeros_like(information), where=spread > 0)
    return np.maximum(z, 0.0)


def _binned_information(
    values: NDArray[np.float64], regulators: NDArray[np.int64] | None, bins: int
) -> NDArray[np.float64]:
    n_cells, n_genes = values.shape
    places = [_bin(values[:, gene], bins) for gene in range(n_genes)]
    sizes = np.array([place.max() + 1 for place in places])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    # Counts of cells are whole numbers below 2**24: float32 holds them, and any order of adding gives the same.
    members = np.zeros((n_cells, int(starts[-1])), dtype=np.float32)
    for gene, place in enumerate(places):
        members[np.arange(n_cells), starts[gene] + place] = 1.0
    count = members.sum(axis=0, dtype=np.float64)
    log_count = np.log(count)
    rows = np.arange(n_genes) if regulators is None else regulators
    information = np.zeros((len(rows), n_genes))
    for part in _blocks(sizes[rows], int(starts[-1])):
        genes = rows[part]
        columns = np.concatenate([np.arange(starts[gene], starts[gene + 1]) for gene in genes])
        joint = (members[:, columns].T @ members).astype(np.float64)
        some = joint > 0
        # n * sum over bins of p_ab log(p_ab / (p_a p_b)), with counts for p.
        terms = joint * (np.log(joint, out=np.zeros_like(joint), where=some) - log_count[columns][:, None] - log_count)
        first = np.concatenate([[0], np.cumsum(sizes[genes])[:-1]])
        total = np.add.reduceat(np.add.reduceat(terms, first, axis=0), starts[:-1], axis=1)
        filled = np.add.reduceat(np.add.reduceat(some.astype(np.int64), first, axis=0), starts[:-1], axis=1)
        free = filled - sizes[genes][:, None] - sizes + 1
        information[part] = total / n_cells + np.log(n_cells) - free / (2 * n_cells)
    np.maximum(information, 0.0, out=information)
    # Sums in another order differ in their last digits: equal information ties, and i with j is j with i.
    information = np.round(information / _GRID) * _GRID
    between = information[:, rows]
    information[:, rows] = np.maximum(between, between.T)
    information[np.arange(len(rows)), rows] = 0.0
    return information


def _bin(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each value: about equal numbers of cells a bin, equal values together, no bin empty."""
    share = (rankdata(values) - 0.5) / len(values)
    return np.unique(np.floor(share * bins), return_inverse=True)[1]


def _blocks(sizes: NDArray[np.int64], width: int) -> Iterator[slice]:
    """Yield slices of genes whose bins make at most about `_BLOCK` values with `width` others."""
    limit = max(1, _BLOCK // max(width, 1))
    start = total = 0
    for at, size in enumerate(sizes.tolist()):
        if at > start and total + size > limit:
            yield slice(start, at)
            start, total = at, 0
        total += size
    if start < len(sizes):
        yield slice(start, len(sizes))


_INFORMATION = "Cover and Thomas, Elements of Information Theory (2006), doi 10.1002/047174882X"
MUTUAL_INFORMATION = Method(
    name="mutual-information",
    function=mutual_information,
    reference=f"{_INFORMATION}; correction: Miller, Information Theory in Psychology (1955)",
    takes="log",
    directed=False,
    deterministic=True,
)
CLR = Method(
    name="clr",
    function=clr,
    reference="Faith et al., PLoS Biol. 5:e8 (2007), doi 10.1371/journal.pbio.0050008",
    takes="log",
    directed=False,
    deterministic=True,
)
ARACNE = Method(
    name="aracne",
    function=aracne,
    reference="Margolin et al., BMC Bioinformatics 7(Suppl 1):S7 (2006), doi 10.1186/1471-2105-7-S1-S7",
    takes="log",
    directed=False,
    deterministic=True,
    growth=3.0,
)
