"""Pearson correlation: the baseline that any method has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData

_SCALE = 1e4
# Products of multiples of this are multiples of 2**-52: sums of them below 2 are exact in float64.
_GRID = 2.0**-26


def log_cp10k(counts: Any) -> NDArray[np.float64]:
    """Scale each cell to 10,000 counts over the given genes and take log(1 + x).

    Parameters
    ----------
    counts
        Raw counts, (cells, genes), array or sparse. Cells without counts are left out.

    Raises
    ------
    ValueError
        If a value is negative or no whole number, or fewer than two cells have counts.
    """
    is_sparse: bool = sp.issparse(counts)
    X = np.asarray(counts.toarray() if is_sparse else counts, dtype=np.float64)
    bad = (X < 0) | (np.floor(X) != X)
    if bad.any():
        example = float(X[bad][0])
        raise ValueError(
            f"{int(bad.sum()):,} of {X.size:,} values in X are no counts (first: {example:g}): pass raw "
            "counts, the normalisation is done here"
        )
    total = X.sum(axis=1)
    if int((total > 0).sum()) < 2:
        raise ValueError(f"{int((total > 0).sum())} of {len(X)} cells have counts: a correlation needs at least two")
    X, total = X[total > 0], total[total > 0]
    return np.log1p(X / total[:, None] * _SCALE)


def absolute_correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Absolute Pearson correlation of the columns of `values` (cells, genes): (genes, genes), diagonal 0.

    The result does not depend on the order in which a processor adds: columns are standardised on a grid on which
    their products and all sums of them are exact (:func:`standardise`). Pairs of genes that correlate alike, such as
    genes seen in one cell each, tie exactly instead of being ordered by rounding. A gene that does not vary
    correlates with none: 0.

    Parameters
    ----------
    values
        Finite values, (cells, genes), such as those of :func:`log_cp10k`.

    Returns
    -------
    numpy.ndarray
        (genes, genes). At most ``sqrt(cells) * 2**-26`` away from the exact correlation, typically 1e-8: as much as
        float32 holds near 1, and far below the standard error of a correlation, ``1 / sqrt(cells)``.
    """
    units = standardise(values)
    correlation = np.abs(units.T @ units).clip(max=1.0)
    np.fill_diagonal(correlation, 0.0)
    return correlation


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


class Pearson:
    """|Pearson correlation| of log1p-CP10k expression; symmetric, diagonal 0.

    Sums are exact in any order, so that the network does not hang on the way a processor adds; genes that correlate
    alike tie exactly.
    """

    name = "pearson"

    def infer(
        self,
        adata: AnnData,
        *,
        regulators: Sequence[str] | None = None,
        rng: np.random.Generator | int | None = None,  # noqa: ARG002 (nothing is random here)
    ) -> GRNAnnData:
        """Infer a network; see :class:`grnndata.GRNMethod`.

        Parameters
        ----------
        adata
            Raw counts in X; each cell is scaled to 10,000 counts over the genes given.
        regulators
            Names of genes, ids or symbols; the other genes' rows are 0. All genes when None.
        rng
            Not used: there is nothing random.

        Raises
        ------
        ValueError
            If X holds no raw counts, fewer than two cells have any, or a regulator is unknown.
        """
        from grnndata import GRNAnnData

        if adata.X is None:
            raise ValueError("this AnnData has no X: a correlation needs raw counts there")
        weights = absolute_correlation(log_cp10k(adata.X)).astype(np.float32)
        keep_rows(weights, adata, regulators)
        parameters = {"transform": "log1p of counts per 10,000"}
        return GRNAnnData(adata, grn=weights, method=self.name, parameters=parameters, directed=regulators is not None)


def keep_rows(weights: NDArray[np.float32], adata: AnnData, regulators: Sequence[str] | None) -> None:
    """Set the rows of genes that are no regulators to 0, in place.

    Raises
    ------
    ValueError
        If a regulator is not among the genes.
    """
    from bengrn.network import namings_of
    from grnndata import find_genes

    if regulators is None:
        return
    namings = [adata.var_names, *namings_of(adata).values()]
    asked = find_genes(regulators, *(names.tolist() for names in namings), what="regulators")
    if asked.missing:
        raise ValueError(
            f"{len(asked.missing):,} of {len(asked):,} regulators are not in var_names (first: "
            f"{asked.missing[0]!r}): pass names from var_names{asked.hint()}"
        )
    weights[np.setdiff1d(np.arange(adata.n_vars), asked.places)] = 0.0
