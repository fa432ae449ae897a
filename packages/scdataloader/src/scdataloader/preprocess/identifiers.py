"""Map whatever names a data set's genes carry to the Ensembl ids of the gene table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

_VERSION = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+$")


@dataclass(frozen=True)
class GeneMapping:
    """Which Ensembl id each given name stands for.

    Attributes
    ----------
    ids
        One entry a name: the Ensembl id, or None where the table has none.
    n_ensembl, n_symbol
        How many names were recognised as Ensembl ids and as symbols.
    unknown
        The names that were not recognised.
    """

    ids: tuple[str | None, ...]
    n_ensembl: int
    n_symbol: int
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.n_ensembl:,} Ensembl ids and {self.n_symbol:,} symbols recognised"
        return text + (f", {len(self.unknown):,} unknown, such as {list(self.unknown[:3])}" if self.unknown else "")


def map_identifiers(names: Sequence[str], table: pd.DataFrame) -> GeneMapping:
    """Map gene names, each on its own, to Ensembl ids: ids with or without version, or symbols.

    A symbol that several genes share stands for the protein-coding one if only one of them is, else for none: a
    guess would put counts on a wrong gene. Symbols are tried as written, then in upper case.

    Parameters
    ----------
    names
        Names as in ``adata.var_names``.
    table
        Of the organism; see `scdataloader.genes.gene_table`.
    """
    known = set(table.index)
    symbols, upper = _unique_symbols(table)
    ids: list[str | None] = []
    n_ensembl = n_symbol = 0
    for name in map(str, names):
        bare = _VERSION.sub(r"\1", name)
        if bare in known:
            ids.append(bare)
            n_ensembl += 1
            continue
        gene = symbols.get(name) or upper.get(name.upper())
        ids.append(gene)
        n_symbol += gene is not None
    unknown = tuple(str(name) for name, gene in zip(names, ids, strict=True) if gene is None)
    return GeneMapping(tuple(ids), n_ensembl, n_symbol, unknown)


def _unique_symbols(table: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Return symbol → gene id for the symbols that name one gene, as written and in upper case."""
    coding = table.index[table["biotype"] == "protein_coding"]
    out: dict[str, str] = {}
    for frame in (table, table.loc[coding]):
        once = ~frame["symbol"].duplicated(keep=False)
        out.update(zip(frame["symbol"][once], frame.index[once], strict=True))
    return out, {symbol.upper(): gene for symbol, gene in out.items()}


def merge_columns(matrix: sparse.csr_matrix, ids: Sequence[str | None]) -> tuple[sparse.csr_matrix, list[str]]:
    """Sum the columns of the same id and drop those without one.

    Parameters
    ----------
    matrix
        Counts, shape (n_cells, n_names).
    ids
        Id of each column, or None.

    Returns
    -------
    tuple
        Counts of shape (n_cells, n_ids) and the ids, in the order in which they first occur.
    """
    order: dict[str, int] = {}
    target = np.array([-1 if gene is None else order.setdefault(gene, len(order)) for gene in ids], dtype=np.int64)
    source = np.flatnonzero(target >= 0)
    if len(order) == len(ids):
        return matrix, list(order)
    if len(order) == len(source):  # nothing to sum: plain selection keeps the integer type and is faster
        return sparse.csr_matrix(matrix[:, source]), list(order)
    gather = sparse.csr_matrix(
        (np.ones(len(source), dtype=matrix.dtype), (source, target[source])), shape=(len(ids), len(order))
    )
    return sparse.csr_matrix(matrix @ gather), list(order)
