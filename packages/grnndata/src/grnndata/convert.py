"""Edge tables and plain matrices → `GRNAnnData`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import networkx as nx
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from ._wording import counted, listed
from .core import GRNAnnData
from .edge_columns import Columns
from .edge_files import recognise_edges
from .edges import Duplicates, Genes, Missing, check_unique, edges_to_matrix, networkx_to_matrix
from .rectangle import Rectangle, square

logger = logging.getLogger(__name__)

type Orientation = Literal["regulator_target", "target_regulator"]


def from_edges(
    table: pd.DataFrame,
    adata: AnnData | None = None,
    *,
    by: str | None = None,
    columns: Columns | None = None,
    duplicates: Duplicates = "error",
    missing: Missing = "error",
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    normalisation: str | None = None,
) -> GRNAnnData:
    """Build a network, or several, from a list of edges.

    Parameters
    ----------
    table
        Columns ``source, target, weight``, one directed edge a row, or those of another tool
        (see `grnndata.recognise_edges`); other columns are ignored.
    adata
        Cells × genes to hold the network, its ``var_names`` covering every source and target. When None, the
        result has no cells, and its genes are the sources and targets, sorted.
    by
        Column that says which network an edge belongs to, for example its cell type. Each value becomes a named
        network, see `GRNAnnData.networks`, in the order in which they first come. None for one network.
    columns
        Names of source, target and weight where they are not recognised, for example ``{"source": "cause",
        "target": "effect", "weight": "score"}``; see `grnndata.recognise_edges`.
    duplicates
        Treatment of a pair that is listed more than once: ``"error"``, add the weights up (``"sum"``) or take
        the largest (``"max"``).
    missing
        Treatment of rows that lack a name or a finite number: ``"error"``, or ``"drop"`` them, which is logged.
    method, parameters, normalisation
        See `grnndata.describe`.

    Returns
    -------
    GRNAnnData
        With a sparse network. Arrays of `adata` are shared, `adata` is not changed.

    Raises
    ------
    ValueError
        For missing columns, names or weights, unknown genes, and pairs listed twice; the message says which.
    """
    edges = recognise_edges(table, columns, missing=missing)
    for note in edges.attrs["notes"]:
        logger.warning(note)
    if adata is None:
        genes = pd.unique(pd.concat([edges["source"], edges["target"]], ignore_index=True))
        adata = _without_cells(pd.Index(sorted(genes), dtype="str"))
    described: dict[str, Any] = {"method": method, "parameters": parameters, "normalisation": normalisation}
    if by is None:
        return GRNAnnData(adata, edges_to_matrix(edges, adata.var_names, duplicates=duplicates), **described)
    networks = {}
    for name, part in edges.groupby(_group_names(table, by), sort=False):
        network = edges_to_matrix(part, adata.var_names, duplicates=duplicates)
        networks[str(name)] = GRNAnnData(_without_cells(pd.Index(adata.var_names)), network, **described)
    return GRNAnnData(adata, networks=networks)


def _group_names(table: pd.DataFrame, by: str) -> np.ndarray:
    if by not in table.columns:
        raise ValueError(f"by={by!r} is no column of the edge table: it has [{listed(table.columns)}]")
    if table.empty:
        raise ValueError("the edge table has no edges, and so no networks to tell apart")
    unnamed = table[by].isna().to_numpy()
    if unnamed.any():
        raise ValueError(
            f"{counted(int(unnamed.sum()), 'edge belongs', 'edges belong')} to no network: {by!r} is missing, "
            "drop these rows"
        )
    return table[by].astype(str).to_numpy()


def from_matrix(
    matrix: Any,
    genes: Genes,
    *,
    regulators: Genes | None = None,
    orientation: Orientation = "regulator_target",
    planes: Sequence[str] | None = None,
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    directed: bool = True,
    normalisation: str | None = None,
) -> GRNAnnData:
    """Build a network without cells from a matrix of weights and its gene names.

    To put a matrix beside cells, use ``GRNAnnData(adata, matrix)``.

    Parameters
    ----------
    matrix
        Array or sparse matrix, shape (genes, genes), or (regulators, genes) where `regulators` names its rows; or a
        stack of networks, shape (genes, genes, planes).
    genes
        Names, unique, in the order of rows and columns.
    regulators
        Names of the regulators of a matrix that has no rows for other genes, unique. The network is stored as CSR with
        empty rows for the others; regulators that are not among `genes` come behind them. None for a square matrix.
    orientation
        ``"regulator_target"`` when rows are regulators, ``"target_regulator"`` when rows are targets
        (attention matrices, and the files of several tools).
    planes
        Names of the planes of a stack; ``"0"``, ``"1"``, ... when None.
    method, parameters, directed, normalisation
        See `grnndata.describe`.

    Returns
    -------
    GRNAnnData
        Without cells, row = regulator.

    Raises
    ------
    ValueError
        As `GRNAnnData`, and for an unknown `orientation`.
    """
    oriented = orient(matrix, orientation)
    if regulators is not None:
        oriented, genes = square(_rectangle(oriented, regulators, genes))
    return GRNAnnData(
        _without_cells(check_unique(genes)),
        oriented,
        planes=planes,
        method=method,
        parameters=parameters,
        directed=directed,
        normalisation=normalisation,
    )


def _rectangle(matrix: Any, regulators: Genes, genes: Genes) -> Rectangle:
    rows, columns = pd.Index(regulators).astype(str), pd.Index(genes).astype(str)
    if matrix.ndim != 2 or matrix.shape != (len(rows), len(columns)):
        raise ValueError(
            f"the matrix has shape {matrix.shape}, and there are {len(rows):,} regulators and {len(columns):,} genes: "
            "it needs a row for each regulator and a column for each gene"
        )
    return Rectangle(sp.csr_matrix(matrix, dtype=np.float32), rows, columns)


def orient(matrix: Any, orientation: Orientation) -> Any:
    """Return a matrix with regulators as rows.

    Raises
    ------
    ValueError
        When `orientation` is unknown.
    """
    if orientation == "regulator_target":
        return matrix
    if orientation == "target_regulator":
        if matrix.ndim == 3:
            return np.ascontiguousarray(np.swapaxes(matrix, 0, 1))
        # Row slices of a transposed view would stride through the whole matrix, every time.
        return matrix.T.tocsr() if hasattr(matrix, "tocsr") else np.ascontiguousarray(np.asarray(matrix).T)
    raise ValueError(f"orientation must be 'regulator_target' or 'target_regulator', got {orientation!r}")


def from_networkx(
    graph: nx.Graph,
    adata: AnnData | None = None,
    *,
    weight: str | None = "weight",
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    normalisation: str | None = None,
) -> GRNAnnData:
    """Build a network from a networkx graph.

    Parameters
    ----------
    graph
        Graph whose nodes are genes. An edge u → v says that u regulates v; a Graph gives an undirected network.
        Parallel edges of a multigraph are summed.
    adata
        Cells × genes to hold the network, its ``var_names`` covering every gene with an edge. When None, the
        result has no cells, and its genes are the nodes, in their order.
    weight
        Edge attribute with the weight (1 for edges without it); None for 1 everywhere.
    method, parameters, normalisation
        See `grnndata.describe`.

    Returns
    -------
    GRNAnnData
        With a sparse network. Arrays of `adata` are shared, `adata` is not changed.

    Raises
    ------
    ValueError
        For genes that are not in ``var_names``, names that repeat, and weights that are not finite numbers.
    """
    if adata is None:
        adata = _without_cells(check_unique([str(node) for node in graph.nodes]))
    network = networkx_to_matrix(graph, adata.var_names, weight=weight)
    return GRNAnnData(
        adata,
        network,
        method=method,
        parameters=parameters,
        directed=graph.is_directed(),
        normalisation=normalisation,
    )


def _without_cells(genes: pd.Index) -> AnnData:
    return AnnData(shape=(0, len(genes)), var=pd.DataFrame(index=genes))
