"""Matrix ↔ edge table ↔ networkx, on plain arrays. Row = regulator = source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._wording import counted, listed
from .ranking import check_count, strongest, top_k_matrix
from .schema import Network, is_sparse, nonzero_entries

if TYPE_CHECKING:
    import igraph

#: Columns of an edge table.
EDGE_COLUMNS = ("source", "target", "weight")

type Genes = Sequence[str] | pd.Index
type Duplicates = Literal["error", "sum", "max"]
type Missing = Literal["error", "drop"]

_DROP = "which missing='drop' does, on the command line --missing drop"


def matrix_to_edges(
    network: Network, genes: Genes, *, top_k: int | None = None, threshold: float | None = None
) -> pd.DataFrame:
    """List the edges of a network, strongest first.

    Parameters
    ----------
    network
        Shape (genes, genes), row = regulator.
    genes
        Names, in the order of rows and columns.
    top_k
        Keep this many edges, those of largest absolute weight; all when None.
    threshold
        Keep edges whose absolute weight is at least this; all when None.

    Returns
    -------
    pandas.DataFrame
        Columns ``source, target`` (str) and ``weight`` (float32), sorted by absolute weight, largest first;
        ties by the row's and then the column's place in `genes`. Self-edges are listed, zero weights are not.

    Raises
    ------
    ValueError
        When `top_k` is not positive, or `threshold` is negative or NaN.
    """
    if top_k is not None:
        check_count(top_k, "top_k")
    if threshold is not None and not threshold >= 0:
        raise ValueError(f"threshold must be 0 or more (it is compared with the absolute weight), got {threshold!r}")
    if top_k is not None and not is_sparse(network):
        # In blocks: listing every pair of a dense network of 20,000 genes would take 8 GB, to keep a few.
        network = top_k_matrix(network, top_k, per="all", self_edges=True)
    rows, columns, weights = nonzero_entries(network)
    if threshold is not None:
        kept = np.abs(weights) >= threshold
        rows, columns, weights = rows[kept], columns[kept], weights[kept]
    order = strongest(weights, top_k)
    names = pd.Index(genes).astype("str")
    return pd.DataFrame(
        {
            "source": names.take(rows[order]),
            "target": names.take(columns[order]),
            "weight": weights[order].astype(np.float32, copy=False),
        }
    )


def check_edges(table: pd.DataFrame) -> pd.DataFrame:
    """Return the three columns of an edge table as str, str, float32, or say what is wrong with them.

    Raises
    ------
    ValueError
        When a column or a gene name is missing, or a weight is not a finite number.
    """
    missing = [column for column in EDGE_COLUMNS if column not in table.columns]
    if missing:
        fix = "add table.assign(weight=1.0)" if missing == ["weight"] else "rename the columns"
        raise ValueError(
            f"the edge table has no column {missing}: it has [{listed(table.columns)}] and needs "
            f"{list(EDGE_COLUMNS)}; {fix}"
        )
    for column in ("source", "target"):
        unnamed = np.flatnonzero(table[column].isna().to_numpy())
        if unnamed.size:
            raise ValueError(
                f"{counted(unnamed.size, 'row has', 'rows have')} no {column}, first at {_places(unnamed)}: "
                f"drop these rows, {_DROP}"
            )
    weights = pd.to_numeric(table["weight"], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        stored = weights.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(stored))
    if bad.size:
        examples = ", ".join(repr(value) for value in table["weight"].iloc[bad[:3]].tolist())
        raise ValueError(
            f"{bad.size:,} weights are not finite numbers, first at {_places(bad)} ({examples}): drop or "
            f"replace them, {_DROP}"
        )
    # A categorical column compares its codes, not its names: plain strings from here on.
    return pd.DataFrame(
        {
            "source": table["source"].astype(str).reset_index(drop=True),
            "target": table["target"].astype(str).reset_index(drop=True),
            "weight": stored,
        }
    )


def edges_to_matrix(table: pd.DataFrame, genes: Genes, *, duplicates: Duplicates = "error") -> sp.csr_matrix:
    """Put an edge table into a matrix over the given genes.

    Parameters
    ----------
    table
        Columns ``source, target, weight``; other columns are ignored.
    genes
        Names of rows and columns; unique, and covering every source and target.
    duplicates
        Treatment of a pair that is listed more than once: ``"error"``, add the weights up (``"sum"``) or take
        the largest (``"max"``).

    Returns
    -------
    scipy.sparse.csr_matrix
        float32, shape (genes, genes), row = source. Weights of 0 are not edges.

    Raises
    ------
    ValueError
        For genes that are unknown or not unique, for pairs listed twice, and as `check_edges`.
    """
    if duplicates not in ("error", "sum", "max"):
        raise ValueError(f"duplicates must be 'error', 'sum' or 'max', got {duplicates!r}")
    edges = check_edges(table)
    index = check_unique(genes)
    rows, columns = index.get_indexer(pd.Index(edges["source"])), index.get_indexer(pd.Index(edges["target"]))
    names = np.concatenate([edges["source"].to_numpy()[rows < 0], edges["target"].to_numpy()[columns < 0]])
    if names.size:
        unknown = list(dict.fromkeys(names))
        raise ValueError(
            f"{counted(len(unknown), 'gene of the edge table is', 'genes of the edge table are')} not among the "
            f"{len(index):,} genes of var_names: "
            f"{some(unknown)}; drop their edges, or rename them (symbols on one side, ids on the other?)"
        )
    pair = rows.astype(np.int64) * len(index) + columns
    listed_pairs, inverse, counts = np.unique(pair, return_inverse=True, return_counts=True)
    if duplicates == "error" and (counts > 1).any():
        twice = listed_pairs[counts > 1]
        listed = [f"{index[p // len(index)]} → {index[p % len(index)]}" for p in twice[:5]]
        raise ValueError(
            f"{twice.size:,} pairs are listed more than once: {some(listed, twice.size)}; "
            "pass duplicates='sum' or duplicates='max' to merge them, on the command line --duplicates sum or max"
        )
    if duplicates == "sum":
        weights = np.bincount(inverse, weights=edges["weight"], minlength=listed_pairs.size).astype(np.float32)
    else:
        weights = np.full(listed_pairs.size, -np.inf, dtype=np.float32)
        np.maximum.at(weights, inverse, edges["weight"].to_numpy())
    shape = (len(index), len(index))
    matrix = sp.csr_matrix((weights, np.divmod(listed_pairs, max(1, len(index)))), shape=shape, dtype=np.float32)
    matrix.eliminate_zeros()
    return matrix


def matrix_to_networkx(network: Network, genes: Genes, *, directed: bool = True) -> nx.Graph:
    """Build a networkx graph: every gene a node, every non-zero entry an edge with its ``weight``.

    Returns
    -------
    networkx.DiGraph or networkx.Graph
        A Graph when not `directed`: the two entries of a pair become one edge.

    Raises
    ------
    ValueError
        When gene names are not unique, as nodes would merge.
    """
    names = check_unique(genes).to_list()
    graph: nx.Graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(names)
    entries = zip(*(part.tolist() for part in nonzero_entries(network)), strict=True)
    graph.add_weighted_edges_from((names[i], names[j], weight) for i, j, weight in entries)
    return graph


def matrix_to_igraph(network: Network, genes: Genes, *, directed: bool = True) -> igraph.Graph:
    """Build an igraph graph: every gene a vertex (``name``), every non-zero entry an edge with its ``weight``.

    Returns
    -------
    igraph.Graph
        Vertices in the order of `genes`. When not `directed`, the two entries of a pair become one edge.

    Raises
    ------
    ImportError
        When igraph is not installed.
    ValueError
        When gene names are not unique.
    """
    try:
        import igraph
    except ImportError as error:
        raise ImportError("this needs igraph: pip install grnndata[igraph]") from error
    names = check_unique(genes).to_list()
    rows, columns, weights = nonzero_entries(network)
    if not directed:
        upper = rows <= columns
        rows, columns, weights = rows[upper], columns[upper], weights[upper]
    graph = igraph.Graph(n=len(names), edges=np.column_stack([rows, columns]), directed=directed)
    graph.vs["name"] = names
    graph.es["weight"] = weights.tolist()
    return graph


def networkx_to_matrix(graph: nx.Graph, genes: Genes, *, weight: str | None = "weight") -> sp.csr_matrix:
    """Put the edges of a networkx graph into a matrix over the given genes.

    Parameters
    ----------
    graph
        Its nodes are names; an edge of a Graph counts in both directions. Parallel edges of a multigraph
        are summed.
    genes
        Names of rows and columns; unique, and covering every node with an edge.
    weight
        Edge attribute with the weight (1 for edges without it); None for 1 everywhere.

    Returns
    -------
    scipy.sparse.csr_matrix
        float32, shape (genes, genes), row = source.

    Raises
    ------
    ValueError
        For unknown genes, and weights that are not finite numbers.
    """
    table = pd.DataFrame(graph_edges(graph, weight), columns=list(EDGE_COLUMNS))
    return edges_to_matrix(table, genes, duplicates="sum" if graph.is_multigraph() else "error")


def graph_edges(graph: nx.Graph, weight: str | None = "weight") -> list[tuple[str, str, Any]]:
    """List the edges of a networkx graph as source, target and weight, those of an undirected one both ways."""
    listed = [
        (str(u), str(v), 1.0 if weight is None else data.get(weight, 1.0)) for u, v, data in graph.edges(data=True)
    ]
    if not graph.is_directed():
        listed += [(v, u, value) for u, v, value in listed if u != v]
    return listed


def check_unique(genes: Genes) -> pd.Index:
    """Return gene names as an index, or raise ValueError naming those that occur more than once."""
    index = pd.Index(genes).astype(str)
    if not index.is_unique:
        repeated = list(dict.fromkeys(index[index.duplicated()]))
        raise ValueError(
            f"{counted(len(repeated), 'gene name occurs', 'gene names occur')} more than once: "
            f"{some(repeated)}; merge these genes, or "
            "call adata.var_names_make_unique() first"
        )
    return index


def some(names: Sequence[str], total: int | None = None, n: int = 5) -> str:
    """Return the first names, and how many more there are (of `total`, when `names` is a part)."""
    total = len(names) if total is None else total
    return ", ".join(names[:n]) + (f" and {total - n:,} more" if total > n else "")


def _places(rows: np.ndarray, n: int = 3) -> str:
    return ("rows " if rows.size > 1 else "row ") + ", ".join(str(row) for row in rows[:n])
