"""Turn a directed network into an undirected one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from .._provenance import step
from ..blocks import row_blocks
from ..core import GRNAnnData
from ..schema import Network, is_sparse
from ..stored import single_network

type Merge = Literal["mean", "sum", "max", "min"]


def symmetrise(grn: GRNAnnData, how: Merge = "mean") -> GRNAnnData:
    """Return an undirected copy: one weight for both directions of every pair of genes.

    Parameters
    ----------
    grn
        The network; not changed.
    how
        Rule that makes one weight of the two; an absent edge counts as 0, and self-edges keep their weight.
        ``"mean"`` and ``"sum"`` add up signed weights. ``"max"`` and ``"min"`` take the one that is larger or
        smaller in absolute value, with its sign, the positive one if they differ in sign only; so ``"min"``
        keeps the pairs with edges in both directions.

    Returns
    -------
    GRNAnnData
        ``directed`` is False; sparse or dense as `grn` is. ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When `how` is unknown.
    """
    made = step(symmetrise, locals(), skip=("grn",))
    network = symmetrise_matrix(single_network(grn), how)
    return grn.with_network(network, step=f"symmetrise(how={how!r})", directed=False, made=made)


def symmetrise_matrix(network: Network, how: Merge = "mean") -> Network:
    """Merge both directions of every pair: the plain-array form of `symmetrise`.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator; CSR or array, as is the result.
    how
        See `symmetrise`.

    Raises
    ------
    ValueError
        When `how` is unknown.
    """
    if how not in ("mean", "sum", "max", "min"):
        raise ValueError(f"how must be 'mean', 'sum', 'max' or 'min', got {how!r}")
    if sp.issparse(network):
        merged = sp.csr_matrix(_merge(network, network.T.tocsr(), how))
        if how == "sum":
            merged = sp.csr_matrix(merged - sp.diags_array(network.diagonal()))
        merged.eliminate_zeros()
        return merged
    dense = np.asarray(network)
    full = np.empty_like(dense, order="C")
    for rows in row_blocks(dense):
        full[rows] = _merge(dense[rows], dense.T[rows], how)
    np.fill_diagonal(full, dense.diagonal())
    return full


def _merge(one: Any, other: Any, how: Merge) -> Any:
    if how == "sum":
        return one + other
    if how == "mean":
        return one * np.float32(0.5) + other * np.float32(0.5)  # their sum may be beyond float32
    if is_sparse(one):
        high, low = one.maximum(other), one.minimum(other)
        use_low = (-low > high) if how == "max" else (high > -low)
        return high - high.multiply(use_low) + low.multiply(use_low)
    high, low = np.maximum(one, other), np.minimum(one, other)
    return np.where(-low > high if how == "max" else high > -low, low, high)
