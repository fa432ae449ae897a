"""Correlation of expression: the baseline that any method has to beat, on values and on ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bengrn.methods.method import Method

# Products of multiples of this are multiples of 2**-52: sums of them below 2 are exact in float64.
_GRID = 2.0**-26
#: Rows of the result that are made at a time.
_BLOCK = 1024


def absolute_correlation(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None = None,
    dtype: type[np.floating[Any]] = np.float64,
) -> NDArray[Any]:
    """Return the absolute Pearson correlation of the columns of `values`, of a gene with itself 0.

    The result does not depend on the order in which a processor adds: columns are standardised on a grid on which
    their products and all sums of them are exact (:func:`standardise`). Pairs of genes that correlate alike, such as
    genes seen in one cell each, tie exactly instead of being ordered by rounding. A gene that does not vary
    correlates with none: 0.

    Parameters
    ----------
    values
        Finite values, (cells, genes), such as those of :func:`bengrn.methods.expression.log_cp10k`.
    regulators
        Places of the genes that get a row, (regulators,); all genes when None.
    dtype
        Type of the result. Nothing else of its size is held.

    Returns
    -------
    numpy.ndarray
        (genes, genes) or (regulators, genes). At most ``sqrt(cells) * 2**-26`` away from the exact correlation,
        typically 1e-8: as much as float32 holds near 1, and far below the standard error of a correlation,
        ``1 / sqrt(cells)``.
    """
    units = standardise(values)
    rows = np.arange(units.shape[1]) if regulators is None else regulators
    found = np.empty((len(rows), units.shape[1]), dtype=dtype)
    for start in range(0, len(rows), _BLOCK):
        of = rows[start : start + _BLOCK]
        block = units[:, of].T @ units
        np.abs(block, out=block).clip(max=1.0, out=block)
        block[np.arange(len(of)), of] = 0.0
        found[start : start + _BLOCK] = block
    return found


def standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre each column of `values` (cells, genes) and scale it to length 1, to multiples of 2**-26.

    Dot products of such columns are exact in float64 and so the same in any order, blocking and instruction set.
    A product of two entries is a multiple of 2**-52, and any sum of products is below 2 (by Cauchy and Schwarz at
    most the product of the lengths, which the grid leaves near 1): 53 bits hold it, as float64 does. A finer
    grid would not be exact. It would also hide less: an entry is known to about 1e-16, so that another processor's
    logarithm moves about one in 100 million to the next multiple.

    A column that does not vary is 0.
    """
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    # Rounding leaves a constant gene with a tiny spread: noise, not variation.
    varies = length > 1e-10 * np.abs(values).max(initial=0.0) * np.sqrt(len(values))
    units = np.where(varies, centred / np.where(varies, length, 1.0), 0.0)
    return np.rint(units / _GRID) * _GRID


def pearson(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,  # noqa: ARG001 (nothing is random here)
) -> NDArray[np.float32]:
    """Take the absolute Pearson correlation of log-normalised expression.

    Sums are exact in any order, so that the network does not hang on the way a processor adds; genes that correlate
    alike tie exactly.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator, not used.
    """
    return absolute_correlation(values, regulators, np.float32)


def spearman(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,  # noqa: ARG001 (nothing is random here)
) -> NDArray[np.float32]:
    """Take the absolute Spearman correlation of log-normalised expression: that of ranks, ties at their mean rank.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator, not used.
    """
    return absolute_correlation(rankdata(values, axis=0), regulators, np.float32)


PEARSON = Method(
    name="pearson",
    function=pearson,
    reference="Pearson, Proc. R. Soc. Lond. 58:240 (1895), doi 10.1098/rspl.1895.0041",
    takes="log",
    directed=False,
    deterministic=True,
)
SPEARMAN = Method(
    name="spearman",
    function=spearman,
    reference="Spearman, Am. J. Psychol. 15:72 (1904), doi 10.2307/1412159",
    takes="log",
    directed=False,
    deterministic=True,
)
