"""Keep the edges of a network that another source knows, or does not know."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._provenance import step
from ..core import GRNAnnData
from ..edges import check_edges, check_unique, some
from ..history import told
from ..schema import Network, nonzero_entries
from ..stored import single_network

logger = logging.getLogger(__name__)


def keep_known(grn: GRNAnnData, known: GRNAnnData | pd.DataFrame, *, invert: bool = False) -> GRNAnnData:
    """Return a copy with only the edges that are in another network.

    Parameters
    ----------
    grn
        The network; not changed.
    known
        A network, or a table with columns ``source, target``, over any genes; its weights do not matter. An
        edge is known in its direction only, in both when `known` or `grn` is undirected.
    invert
        Whether to keep the edges that are not in `known` instead.

    Returns
    -------
    GRNAnnData
        Sparse; with `invert` dense if `grn` is. ``uns["grn"]["steps"]`` names this step.

    Raises
    ------
    ValueError
        When no gene of `known` is in `grn`, gene names repeat, or the table misses a column or a name.
    TypeError
        When `known` is neither a network nor a table.
    """
    made = step(keep_known, locals(), inputs=[_told(known)], skip=("grn", "known"))
    network = single_network(grn)
    mask = _known_matrix(known, check_unique(grn.var_names), both_ways=not grn.directed)
    return grn.with_network(mask_matrix(network, mask, invert=invert), step=f"keep_known(invert={invert})", made=made)


def mask_matrix(network: Network, mask: sp.csr_matrix, *, invert: bool = False) -> Network:
    """Keep the entries of a matrix that a mask has, or has not: the plain-array form of `keep_known`.

    Parameters
    ----------
    network
        Shape (genes, genes).
    mask
        bool, same shape.
    invert
        Keep the entries outside the mask.

    Returns
    -------
    scipy.sparse.csr_matrix or numpy.ndarray
        Sparse, unless `invert` and `network` is an array.
    """
    if sp.issparse(network):
        inside = sp.csr_matrix(network.multiply(mask))
        kept = sp.csr_matrix(network - inside) if invert else inside  # exact: a weight minus itself
        kept.eliminate_zeros()
        return kept
    dense = np.asarray(network)
    rows, columns = mask.nonzero()
    if invert:
        full = dense.copy()
        full[rows, columns] = 0
        return full
    kept = sp.csr_matrix((dense[rows, columns], (rows, columns)), shape=dense.shape, dtype=np.float32)
    kept.eliminate_zeros()
    return kept


def _known_matrix(known: GRNAnnData | pd.DataFrame, genes: pd.Index, *, both_ways: bool) -> sp.csr_matrix:
    if isinstance(known, GRNAnnData):
        names = check_unique(known.var_names)
        sources, targets, _ = nonzero_entries(single_network(known))
        both_ways = both_ways or not known.directed
    elif isinstance(known, pd.DataFrame):
        edges = check_edges(known.assign(weight=1.0))
        codes, listed = pd.factorize(np.concatenate([edges["source"], edges["target"]]))
        names = pd.Index(listed, dtype="str")
        sources, targets = np.split(codes, 2)
    else:
        raise TypeError(f"known must be a GRNAnnData or a data frame of edges, not {type(known).__name__}")
    place = genes.get_indexer(names)
    used = np.zeros(len(names), dtype=bool)
    used[sources] = used[targets] = True
    absent = names[used & (place < 0)].to_list()
    if absent:
        message = f"{len(absent):,} of the {used.sum():,} genes with known edges are not in the network: {some(absent)}"
        if len(absent) == used.sum():
            raise ValueError(
                f"{message}; rename them (symbols on one side, ids on the other?), as the network has "
                f"{some(genes[:3].to_list())}"
            )
        logger.info(message)
    rows, columns = place[sources], place[targets]
    inside = (rows >= 0) & (columns >= 0)
    rows, columns = rows[inside], columns[inside]
    if both_ways:
        rows, columns = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    shape = (len(genes), len(genes))
    # Adding up duplicates in bool is "or".
    return sp.csr_matrix((np.ones(rows.size, dtype=bool), (rows, columns)), shape=shape)


def _told(known: GRNAnnData | pd.DataFrame) -> dict[str, Any]:
    """Return what tells the known edges in a record."""
    if not isinstance(known, pd.DataFrame):
        return told(known) if isinstance(known, GRNAnnData) else {}
    pairs = known.reindex(columns=["source", "target"]).to_csv(index=False)
    return {"edges": len(known), "sha256_of_pairs": hashlib.sha256(pairs.encode()).hexdigest()}
