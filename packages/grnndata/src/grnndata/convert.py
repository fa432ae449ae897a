"""Edge tables and plain matrices → `GRNAnnData`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from .core import GRNAnnData
from .edges import Duplicates, Genes, check_edges, check_unique, edges_to_matrix

type Orientation = Literal["regulator_target", "target_regulator"]


def from_edges(
    table: pd.DataFrame,
    adata: AnnData | None = None,
    *,
    duplicates: Duplicates = "error",
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    normalisation: str | None = None,
) -> GRNAnnData:
    """Build a network from a list of edges.

    Parameters
    ----------
    table
        Columns ``source, target, weight``, one directed edge a row; other columns are ignored.
    adata
        Cells × genes to hold the network, its ``var_names`` covering every source and target. When None, the
        result has no cells, and its genes are the sources and targets, sorted.
    duplicates
        What to do when a pair is listed more than once: ``"error"``, add the weights up (``"sum"``) or take
        the largest (``"max"``).
    method, parameters, normalisation
        See `grnndata.schema.describe`.

    Returns
    -------
    GRNAnnData
        With a sparse network. Arrays of `adata` are shared, `adata` is not changed.

    Raises
    ------
    ValueError
        For missing columns, names or weights, unknown genes, and pairs listed twice; the message says which.
    """
    if adata is None:
        edges = check_edges(table)
        genes = sorted(set(edges["source"]) | set(edges["target"]))
        adata = _without_cells(pd.Index(genes, dtype="str"))
    network = edges_to_matrix(table, adata.var_names, duplicates=duplicates)
    return GRNAnnData(adata, network, method=method, parameters=parameters, normalisation=normalisation)


def from_matrix(
    matrix: Any,
    genes: Genes,
    *,
    orientation: Orientation = "regulator_target",
    method: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    directed: bool = True,
    normalisation: str | None = None,
) -> GRNAnnData:
    """Build a network without cells from a square matrix and its gene names.

    To put a matrix beside cells, use ``GRNAnnData(adata, matrix)``.

    Parameters
    ----------
    matrix
        Array or sparse matrix, shape (genes, genes).
    genes
        Names, unique, in the order of rows and columns.
    orientation
        ``"regulator_target"`` when rows are regulators, ``"target_regulator"`` when rows are targets
        (attention matrices, and the files of several tools).
    method, parameters, directed, normalisation
        See `grnndata.schema.describe`.

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
    return GRNAnnData(
        _without_cells(check_unique(genes)),
        oriented,
        method=method,
        parameters=parameters,
        directed=directed,
        normalisation=normalisation,
    )


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
        # Row slices of a transposed view would stride through the whole matrix, every time.
        return matrix.T.tocsr() if hasattr(matrix, "tocsr") else np.ascontiguousarray(np.asarray(matrix).T)
    raise ValueError(f"orientation must be 'regulator_target' or 'target_regulator', got {orientation!r}")


def _without_cells(genes: pd.Index) -> AnnData:
    return AnnData(shape=(0, len(genes)), var=pd.DataFrame(index=genes))
