"""Cells as the deep methods stream them: checked, in an order of their own, with genes by the model's tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bengrn._wording import counted, listed, percent
from bengrn.cell_draws import cell_numbers

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


def checked_values(adata: AnnData, method: str, *, whole: bool) -> sp.csr_matrix:
    """Return the expression in X as CSR of cells × genes, float64.

    Parameters
    ----------
    adata
        Cells × genes.
    method
        Name of the method, for messages.
    whole
        Whether only counts will do.

    Raises
    ------
    ValueError
        If X or cells are lacking, or a value is NaN, infinite, negative or (where counts are needed) not whole.
    """
    if adata.X is None:
        raise ValueError(f"this AnnData has no X: {method} needs expression there")
    if not adata.n_obs:
        raise ValueError(f"there is no cell: {method} needs at least one")
    values: Any = adata.X
    table = sp.csr_matrix(values, dtype=np.float64, copy=True)
    table.sum_duplicates()
    table.eliminate_zeros()
    n_bad = int(np.count_nonzero(~np.isfinite(table.data)))
    if n_bad:
        raise ValueError(f"{n_bad:,} values in X are NaN or infinite: take these cells out")
    below = table.data[table.data < 0]
    if len(below):
        raise ValueError(
            f"{len(below):,} values in X are negative (first: {float(below[0]):g}): {method} takes counts; if a layer "
            "holds them, name the layer"
        )
    odd = table.data[np.floor(table.data) != table.data] if whole else below
    if len(odd):
        raise ValueError(
            f"{len(odd):,} values in X are no counts (first: {float(odd[0]):g}): {method} takes raw counts; if a layer "
            "holds them, name the layer"
        )
    return table


@dataclass(frozen=True, eq=False)
class Known:
    """The genes of the data that a model knows, one column for each of its tokens.

    Attributes
    ----------
    values
        Expression, (cells, known genes), CSR with sorted columns.
    places
        Place in the data of the gene that stands for each column, (known genes,).
    tokens
        Token of each column, (known genes,).
    """

    values: sp.csr_matrix
    places: NDArray[np.int64]
    tokens: NDArray[np.int64]


def known_genes(
    values: sp.csr_matrix, tokens: NDArray[np.int64], names: Sequence[str], method: str, least: float
) -> Known:
    """Keep the genes that have a token, and add up genes that share one.

    Parameters
    ----------
    values
        Expression, (cells, genes).
    tokens
        Token of each gene, -1 for none, (genes,).
    names
        Names of the genes, for messages.
    method
        Name of the method, for messages.
    least
        Least share of the genes that the model has to know.

    Raises
    ------
    ValueError
        If the model knows fewer genes.
    """
    found = np.flatnonzero(tokens >= 0)
    share = len(found) / max(len(tokens), 1)
    unknown = [names[i] for i in np.flatnonzero(tokens < 0).tolist()]
    if not len(found) or share < least:
        raise ValueError(
            f"{method} knows {len(found):,} of {len(tokens):,} genes ({percent(share)}; at least {percent(least)} are "
            f"asked for); it has no token for {listed(unknown)}"
        )
    if unknown:
        logger.warning(
            "%s knows %s of %s; the others, such as %s, are left out",
            *(method, f"{len(found):,}", counted(len(tokens), "gene"), unknown[0]),
        )
    totals = np.asarray(values.sum(axis=0)).ravel()
    # The gene with most counts stands for a token: its place in the file says nothing.
    by_token = found[np.lexsort((np.array(names, dtype=str)[found], -totals[found], tokens[found]))]
    distinct, first, which = np.unique(tokens[by_token], return_index=True, return_inverse=True)
    places = by_token[first]
    if len(places) < len(found):
        twice = [names[i] for i in np.setdiff1d(found, places).tolist()]
        logger.warning("%s of other genes' tokens are added to those: %s", counted(len(twice), "gene"), listed(twice))
    sums = sp.csr_matrix(
        (np.ones(len(by_token)), (by_token, which)), shape=(len(tokens), len(distinct)), dtype=np.float64
    )
    # Columns stand as in the data.
    order = np.argsort(places, kind="stable")
    table = (values @ sums).tocsr()[:, order]
    table.sort_indices()
    return Known(table, places[order], distinct[order].astype(np.int64))


@dataclass(frozen=True, eq=False)
class OneCell:
    """Genes that a cell expresses, and how much of each.

    Attributes
    ----------
    at
        Place of the cell in the data.
    genes
        Places of its expressed genes among the known ones, by their token.
    values
        Their values.
    rng
        Generator that follows from the cell's content and the seed.
    """

    at: int
    genes: NDArray[np.int64]
    values: NDArray[np.float64]
    rng: np.random.Generator


def each_cell(known: Known, names: Sequence[str], seed: int) -> Iterator[OneCell]:
    """Yield the cells in an order that follows from their content, so that sums over them do, too.

    Parameters
    ----------
    known
        Known genes and their expression.
    names
        Names of all genes of the data.
    seed
        Seed for the cells' generators.
    """
    numbers = cell_numbers(known.values, [names[i] for i in known.places], seed)
    table = known.values
    for at in np.argsort(numbers, kind="stable").tolist():
        genes = table.indices[table.indptr[at] : table.indptr[at + 1]].astype(np.int64)
        values = table.data[table.indptr[at] : table.indptr[at + 1]]
        # What is drawn for a gene does not follow its place in the file.
        order = np.argsort(known.tokens[genes], kind="stable")
        yield OneCell(at, genes[order], values[order], np.random.default_rng(numbers[at]))
