"""Measure how much a gene regulates, or is regulated."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..blocks import row_blocks
from ..core import GRNAnnData
from ..ranking import check_count, strongest
from ..schema import Network, is_sparse, nonzero_entries
from ..stored import single_network

type Direction = Literal["out", "in"]


def strength(
    grn: GRNAnnData, direction: Direction = "out", *, signed: bool = False, self_edges: bool = False
) -> pd.Series:
    """Sum the weights of every gene's outgoing or incoming edges.

    Parameters
    ----------
    grn
        The network.
    direction
        ``"out"``: edges in which the gene is the regulator (row sums); ``"in"``: edges in which it is the target
        (column sums).
    signed
        Whether to add the weights themselves; otherwise their absolute values, as activation and repression both count.
    self_edges
        Whether edges from a gene to itself count.

    Returns
    -------
    pandas.Series
        float64, indexed by ``var_names``, named ``out_strength`` or ``in_strength``.

    Raises
    ------
    ValueError
        When `direction` is unknown.

    References
    ----------
    Barrat et al. 2004, The architecture of complex weighted networks, PNAS 101:3747-3752, equation 2.
    """
    values = strength_of_matrix(single_network(grn), direction, signed=signed, self_edges=self_edges)
    return pd.Series(values, index=grn.var_names, name=f"{direction}_strength")


def degree(grn: GRNAnnData, direction: Direction = "out", *, self_edges: bool = False) -> pd.Series:
    """Count every gene's outgoing or incoming edges.

    Parameters
    ----------
    grn
        The network.
    direction
        ``"out"``: edges in which the gene is the regulator; ``"in"``: the target.
    self_edges
        Whether edges from a gene to itself count.

    Returns
    -------
    pandas.Series
        int64, indexed by ``var_names``, named ``out_degree`` or ``in_degree``.

    Raises
    ------
    ValueError
        When `direction` is unknown.
    """
    values = degree_of_matrix(single_network(grn), direction, self_edges=self_edges)
    return pd.Series(values, index=grn.var_names, name=f"{direction}_degree")


def hubs(grn: GRNAnnData, n: int = 10, *, direction: Direction = "out") -> pd.DataFrame:
    """Return the genes of largest strength.

    Parameters
    ----------
    grn
        The network.
    n
        Number of genes; all when there are fewer.
    direction
        See `strength`.

    Returns
    -------
    pandas.DataFrame
        Strongest first, ties in the order of ``var_names``; columns ``gene``, ``symbol`` (where ``var`` has
        it), ``strength`` (absolute weights, no self-edges) and ``n_edges`` (the edges that it sums).

    Raises
    ------
    ValueError
        When `n` is not positive, or `direction` unknown.
    """
    check_count(n, "n")
    network = single_network(grn)
    values = strength_of_matrix(network, direction)
    order = strongest(values, n)
    table = pd.DataFrame({"gene": grn.var_names[order]})
    if "symbol" in grn.var:
        table["symbol"] = grn.var["symbol"].astype(str).to_numpy()[order]
    return table.assign(strength=values[order], n_edges=degree_of_matrix(network, direction)[order])


def strength_of_matrix(
    network: Network, direction: Direction = "out", *, signed: bool = False, self_edges: bool = False
) -> NDArray[np.float64]:
    """Sum the rows or columns of a matrix: the plain-array form of `strength`, shape (genes,)."""
    axis = _summed_axis(direction)
    if is_sparse(network):
        total = _sparse_sums(sp.csr_array(network), axis, signed=signed)
    elif signed:
        total = np.asarray(network).sum(axis=axis, dtype=np.float64)
    else:
        total = _absolute_sums(np.asarray(network), axis)
    if not self_edges:
        diagonal = np.asarray(network.diagonal(), dtype=np.float64)
        total = total - (diagonal if signed else np.abs(diagonal))
    return np.asarray(total, dtype=np.float64)


def _sparse_sums(network: sp.csr_array, axis: int, *, signed: bool) -> NDArray[np.float64]:
    # In float64, which the sum of a float32 sparse matrix is not.
    weights = (network.data if signed else np.abs(network.data)).astype(np.float64)
    if axis == 0:
        return np.bincount(network.indices, weights=weights, minlength=network.shape[1])
    total = np.zeros(network.shape[0])
    filled = np.diff(network.indptr) > 0
    if weights.size:
        total[filled] = np.add.reduceat(weights, network.indptr[:-1][filled])
    return total


def _absolute_sums(dense: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    blocks = (np.abs(dense[rows]).sum(axis=axis, dtype=np.float64) for rows in row_blocks(dense))
    if axis == 1:
        return np.concatenate([np.empty(0), *blocks])
    return sum(blocks, start=np.zeros(dense.shape[1]))


def degree_of_matrix(network: Network, direction: Direction = "out", *, self_edges: bool = False) -> NDArray[np.int64]:
    """Count the non-zero entries of a matrix's rows or columns: the plain-array form of `degree`, shape (genes,)."""
    axis = _summed_axis(direction)
    if is_sparse(network):
        rows, columns, _ = nonzero_entries(network)
        count = np.bincount(rows if axis == 1 else columns, minlength=network.shape[0])
    else:
        count = np.count_nonzero(np.asarray(network), axis=axis)
    return np.asarray(count if self_edges else count - (network.diagonal() != 0), dtype=np.int64)


def check_direction(direction: Direction) -> None:
    """Raise ValueError when a direction is unknown."""
    if direction not in ("out", "in"):
        raise ValueError(f"direction must be 'out' (as regulator) or 'in' (as target), got {direction!r}")


def _summed_axis(direction: Direction) -> int:
    check_direction(direction)
    return 1 if direction == "out" else 0
