"""Gene names as the published models know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bengrn.gene_names import symbols_of

if TYPE_CHECKING:
    from anndata import AnnData

_COLUMNS = ("symbol", "feature_name", "gene_name", "gene_symbols")


def symbols(adata: AnnData) -> list[str]:
    """Return the symbol of each gene: from a column of var, by its Ensembl id, or its name as it stands."""
    names = adata.var_names.astype(str)
    for column in _COLUMNS:
        if column in adata.var:
            return adata.var[column].astype(str).tolist()
    by_id = symbols_of(names)
    return names.tolist() if by_id is None else by_id.tolist()
