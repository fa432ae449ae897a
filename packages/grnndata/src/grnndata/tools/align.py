"""Networks over different genes, seen over the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..edges import check_unique
from ..schema import Network, is_sparse, nonzero_entries

#: Entries of a dense network that are worked on at a time: 32 MB as float64.
BLOCK = 2**22


def shared_genes(networks: Mapping[str, GRNAnnData]) -> pd.Index:
    """Return the genes that are in all networks, in the order of the first.

    Raises
    ------
    ValueError
        When a network repeats gene names, or no gene is in all networks; the message names some.
    """
    indices = {name: _unique_names(name, grn) for name, grn in networks.items()}
    first, *others = indices.values()
    kept = np.ones(len(first), dtype=bool)
    for other in others:
        kept &= first.isin(other)
    shared = first[kept]
    if shared.empty:
        examples = "; ".join(f"{name}: {', '.join(index[:3]) or 'no genes'}" for name, index in indices.items())
        raise ValueError(
            f"no gene is in all {len(indices)} networks ({examples}): give them the same kind of gene names "
            "(symbols on one side, Ensembl ids on the other?)"
        )
    return shared


def all_genes(networks: Mapping[str, GRNAnnData]) -> pd.Index:
    """Return the genes of any network, those of the first one first.

    Raises
    ------
    ValueError
        When a network repeats gene names.
    """
    names = chain.from_iterable(_unique_names(name, grn) for name, grn in networks.items())
    return pd.Index(list(dict.fromkeys(names)), dtype="str")


def over_genes(network: Network, at: NDArray[np.intp]) -> Network:
    """Return a network over chosen genes, shape (chosen, chosen); without a copy when they are all, in order.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    at
        Place of every chosen gene in the network, shape (chosen,); -1 = not there, and so without edges.
    """
    if _is_all(at, network):
        return network
    if not is_sparse(network):
        placed = np.empty((at.size, at.size), dtype=np.float32)
        for rows in row_slices(at.size):
            placed[rows] = dense_block(network, at, rows)
        return placed
    to = np.full(network.shape[0], -1, dtype=np.intp)
    to[at[at >= 0]] = np.flatnonzero(at >= 0)
    sources, targets, weights = nonzero_entries(network)
    sources, targets = to[sources], to[targets]
    kept = (sources >= 0) & (targets >= 0)
    return sp.csr_matrix((weights[kept], (sources[kept], targets[kept])), shape=(at.size, at.size))


def dense_block(
    network: Network, at: NDArray[np.intp], rows: slice, *, axis: int = 0, self_edges: bool = True
) -> NDArray[np.float32]:
    """Return some rows of a network over chosen genes, as an array that is often a view: not to be changed.

    Parameters
    ----------
    network, at
        See `over_genes`.
    rows
        Slice of the chosen genes, of step 1.
    axis
        0 for rows, the genes as regulators; 1 for columns, the genes as targets, which become rows here.
    self_edges
        False sets the diagonal of the network to 0.

    Returns
    -------
    numpy.ndarray
        float32, shape (rows, chosen).
    """
    turned: Any = network.T if axis else network
    if is_sparse(network):
        turned = turned.tocsr()
    if _is_all(at, network):
        block = turned[rows].toarray() if is_sparse(network) else turned[rows]
    else:
        here, there = at[rows], at
        # Whole rows first: a two-way fancy index reads the rows in the order of columns, many times slower.
        found = turned[here[here >= 0]]
        found = found.toarray() if is_sparse(network) else found
        block = np.take(found, there[there >= 0], axis=1)
        if block.shape != (here.size, there.size):
            placed = np.zeros((here.size, there.size), dtype=np.float32)
            placed[np.ix_(here >= 0, there >= 0)] = block
            block = placed
    if not self_edges:
        block = block.copy()
        start = rows.indices(at.size)[0]
        np.fill_diagonal(block[:, start:], 0)
    return np.asarray(block, dtype=np.float32)


def row_slices(n_genes: int) -> list[slice]:
    """Cut the rows of a dense network into slices of at most `BLOCK` entries."""
    step = max(1, BLOCK // max(1, n_genes))
    return [slice(start, min(start + step, n_genes)) for start in range(0, n_genes, step)]


def _is_all(at: NDArray[np.intp], network: Network) -> bool:
    return at.size == network.shape[0] and bool((at == np.arange(at.size)).all())


def _unique_names(name: str, grn: GRNAnnData) -> pd.Index:
    try:
        return check_unique(grn.var_names)
    except ValueError as error:
        raise ValueError(f"network {name}: {error}") from error
