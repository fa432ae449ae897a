"""From whatever names a source's genes carry to columns of counts over Ensembl ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.genes.identifiers import GeneMapping, map_identifiers, merge_columns

#: Columns of var that may name genes better than its index does, as public files have them.
_COLUMNS = (
    "feature_id",
    "gene_ids",
    "gene_id",
    "ensembl_id",
    "ensembl_gene_id",
    "ensembl",
    "gene_symbols",
    "gene_name",
    "feature_name",
    "symbol",
)
#: Share of the names that must be known.
_LEAST_KNOWN = 0.01


@dataclass(frozen=True)
class GeneColumns:
    """Tells how the columns of a source become columns of clean counts.

    Attributes
    ----------
    mapping
        Gene id of each column of the source.
    column
        Where the names were found: ``"var_names"`` or a column of var.
    ids
        Ensembl ids of the result, sorted.
    n_merged
        Columns that were summed into another (or left out, where the first of each gene counts).
    """

    mapping: GeneMapping
    column: str
    ids: tuple[str, ...]
    n_merged: int
    _targets: tuple[str | None, ...]

    def apply(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the counts of a block of cells over `ids`: float32, zeros not stored, columns in order."""
        merged, names = merge_columns(block, self._targets)
        known = sparse.csr_matrix(merged[:, np.argsort(np.asarray(names))], dtype=np.float32)
        known.eliminate_zeros()
        known.sort_indices()
        if len(names) == len(self.ids):
            return known
        place = np.searchsorted(np.asarray(self.ids), np.sort(np.asarray(names)))  # genes that were not measured
        wide = (known.data, place[known.indices].astype(np.int32), known.indptr)
        return sparse.csr_matrix(wide, shape=(known.shape[0], len(self.ids)))


def all_names(var: pd.DataFrame) -> pd.Index:
    """Return every name that the genes have, in ``var_names`` and other columns."""
    return pd.Index([str(name) for column in (var.index, *_other(var)) for name in column.tolist()])


def _other(var: pd.DataFrame) -> list[pd.Series]:
    return [var[name] for name in _COLUMNS if name in var]


def gene_columns(
    var: pd.DataFrame, table: pd.DataFrame, *, organism: str, duplicates: str = "sum", all_genes: bool = False
) -> GeneColumns:
    """Map the genes of a source.

    The names are those of ``var_names``, unless a column of var such as ``gene_ids`` maps to more genes.

    Parameters
    ----------
    var
        Table of the genes of the source's matrix.
    table
        Gene table of the organism.
    organism
        For messages.
    duplicates
        Treatment of several columns of one gene: ``"sum"`` them, or keep the ``"first"``.
    all_genes
        Add all other genes of the table as columns without counts.

    Raises
    ------
    ValueError
        When next to no name is known: fewer than 1 %, which may be aliases by chance.
    """
    best: tuple[int, str, GeneMapping] | None = None
    for column in ("var_names", *(name for name in _COLUMNS if name in var)):
        names: Sequence[object] = (var.index if column == "var_names" else var[column]).tolist()
        mapping = map_identifiers(names, table)
        n_known = len(set(mapping.ids) - {None})
        if best is None or n_known > best[0]:
            best = (n_known, column, mapping)
        if n_known == len(names):
            break
    assert best is not None  # noqa: S101 (var_names is always looked at)
    n_known, column, mapping = best
    if n_known == 0 or n_known < _LEAST_KNOWN * len(var):
        n = n_known or "none"
        raise ValueError(
            f"{n} of the {len(var):,} gene names is an Ensembl id or symbol of {organism}: they look like "
            f"{var.index[:3].tolist()}. Put Ensembl ids or symbols in var_names, or pass the right organism"
        )
    targets = list(mapping.ids)
    if duplicates == "first":
        seen: set[str | None] = {None}
        for i, gene in enumerate(targets):
            targets[i] = None if gene in seen else gene
            seen.add(gene)
    n_merged = sum(gene is not None for gene in mapping.ids) - n_known
    ids = sorted(table.index.tolist() if all_genes else {gene for gene in targets if gene is not None})
    return GeneColumns(mapping, column, tuple(ids), n_merged, tuple(targets))
