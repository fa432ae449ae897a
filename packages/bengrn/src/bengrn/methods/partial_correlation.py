"""Partial correlation, shrunk so that it exists where there are more genes than cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from bengrn.methods.correlation import standardise
from bengrn.methods.method import Method


def partial_correlation(
    values: NDArray[np.float64],
    regulators: NDArray[np.int64] | None,
    rng: np.random.Generator,  # noqa: ARG001 (nothing is random here)
    *,
    shrinkage: float | None = None,
) -> NDArray[np.float64]:
    """Take the absolute correlation of each two genes given all other genes, from a shrunk correlation matrix.

    The correlations r are replaced by (1 - shrinkage) r before the matrix is inverted.

    Parameters
    ----------
    values
        Expression, (cells, genes). All genes are conditioned on, also where there are few regulators.
    regulators
        Places of the regulators, (regulators,); all genes when None.
    rng
        Generator, not used.
    shrinkage
        Share of the way from the correlations of the cells to none, above 0 and at most 1; None: the share that makes
        the expected squared error least, estimated from the cells.

    Raises
    ------
    ValueError
        If the shrinkage is outside, or the shrunk matrix cannot be inverted.
    """
    units = standardise(values)
    correlation = units.T @ units
    share = optimal_shrinkage(units, correlation) if shrinkage is None else shrinkage
    if not 0 < share <= 1:
        raise ValueError(f"shrinkage is above 0 and at most 1, not {share:g}")
    correlation *= 1.0 - share
    np.fill_diagonal(correlation, 1.0)
    factor, failed = lapack.dpotrf(correlation, lower=True, overwrite_a=True)
    if failed:
        raise ValueError(f"the correlations cannot be inverted at a shrinkage of {share:g}: take a larger one")
    inverse, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    scale = 1.0 / np.sqrt(np.diagonal(inverse).copy())
    # Only the lower triangle is filled.
    inverse = np.tril(inverse, -1)
    inverse += inverse.T
    partial = np.abs(inverse, out=inverse)
    partial *= scale[:, None]
    partial *= scale
    return partial if regulators is None else partial[regulators]


def optimal_shrinkage(units: NDArray[np.float64], correlation: NDArray[np.float64]) -> float:
    """Return the share by which correlations are best shrunk toward none: Schäfer and Strimmer's estimate.

    It is the sum of the variances of the correlations, over the sum of their squares, for all pairs of genes.

    Parameters
    ----------
    units
        Centred columns of length 1, (cells, genes), of :func:`bengrn.methods.correlation.standardise`.
    correlation
        Their products, (genes, genes).

    Returns
    -------
    float
        Between 1e-6 and 1; 1 where no two genes correlate.
    """
    n = len(units)
    # With z of variance 1, z = units * sqrt(n - 1). w = z_i z_j has the mean m = (n - 1) / n r over cells, and
    # var(r) = n / (n - 1)**3 * sum((w - m)**2).
    squares = units**2
    total = float((squares.sum(axis=1) ** 2).sum() - (squares**2).sum())  # sum over i != j and cells of (u_i u_j)**2
    of_r = float((correlation**2).sum() - (np.diagonal(correlation) ** 2).sum())
    if of_r <= 0:
        return 1.0
    spread = (n - 1) ** 2 * total - (n - 1) ** 2 / n * of_r
    return float(np.clip(n / (n - 1) ** 3 * spread / of_r, 1e-6, 1.0))


PARTIAL_CORRELATION = Method(
    name="partial-correlation",
    function=partial_correlation,
    reference="Schäfer and Strimmer, Stat. Appl. Genet. Mol. Biol. 4:32 (2005), doi 10.2202/1544-6115.1175",
    takes="log",
    directed=False,
    deterministic=True,
    growth=3.0,
)
