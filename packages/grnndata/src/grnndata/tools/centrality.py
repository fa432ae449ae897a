"""How much a gene regulates, or is regulated."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import check_count, strongest
from ..schema import Network

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
        ``"out"``: edges in which the gene is the regulator (row sums); ``"in"``: the target (column sums).
    signed
        Add the weights themselves; otherwise their absolute values, as activation and repression both count.
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
    values = _strength_of_matrix(grn.grn, direction, signed=signed, self_edges=self_edges)
    return pd.Series(values, index=grn.var_names, name=f"{direction}_strength")


def hubs(grn: GRNAnnData, n: int = 10, *, direction: Direction = "out") -> pd.DataFrame:
    """Return the genes of largest strength.

    Parameters
    ----------
    grn
        The network.
    n
        How many genes; all when there are fewer.
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
    network = grn.grn
    values = _strength_of_matrix(network, direction, signed=False, self_edges=False)
    order = strongest(values, n)
    table = pd.DataFrame({"gene": grn.var_names[order]})
    if "symbol" in grn.var:
        table["symbol"] = grn.var["symbol"].astype(str).to_numpy()[order]
    return table.assign(strength=values[order], n_edges=_degree_of_matrix(network, direction)[order])


def _strength_of_matrix(
    network: Network, direction: Direction, *, signed: bool, self_edges: bool
) -> NDArray[np.float64]:
    axis = _summed_axis(direction)
    if sp.issparse(network):
        # A bincount adds in float64; the sum of a float32 sparse matrix does not.
        coo = sp.coo_array(network)
        weights = coo.data if signed else np.abs(coo.data)
        total = np.bincount(coo.row if axis == 1 else coo.col, weights=weights, minlength=network.shape[0])
    elif signed:
        total = np.asarray(network).sum(axis=axis, dtype=np.float64)
    else:
        total = _absolute_sums(np.asarray(network), axis)
    if not self_edges:
        diagonal = np.asarray(network.diagonal(), dtype=np.float64)
        total = total - (diagonal if signed else np.abs(diagonal))
    return np.asarray(total, dtype=np.float64)


def _absolute_sums(dense: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    # In blocks of rows: |network| as a whole would be a second network in memory.
    step = max(1, 2**22 // max(1, dense.shape[1]))
    blocks = (np.abs(dense[i : i + step]).sum(axis=axis, dtype=np.float64) for i in range(0, dense.shape[0], step))
    if axis == 1:
        return np.concatenate([np.empty(0), *blocks])
    return sum(blocks, start=np.zeros(dense.shape[1]))


def _degree_of_matrix(network: Network, direction: Direction) -> NDArray[np.int64]:
    axis = _summed_axis(direction)
    if sp.issparse(network):
        coo = sp.coo_array(network)
        degree = np.bincount(coo.row if axis == 1 else coo.col, minlength=network.shape[0])
    else:
        degree = np.count_nonzero(np.asarray(network), axis=axis)
    return np.asarray(degree - (network.diagonal() != 0), dtype=np.int64)


def _summed_axis(direction: Direction) -> int:
    if direction not in ("out", "in"):
        raise ValueError(f"direction must be 'out' (as regulator) or 'in' (as target), got {direction!r}")
    return 1 if direction == "out" else 0
