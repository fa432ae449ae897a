"""Refuse what is not a matrix of raw counts with usable names, before any work starts, and say what to do instead."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.genes import ORGANISMS, organism_id

_CHUNK = 1 << 22  # values looked at together: bounds the temporary arrays of the integer test


def read(path: Path | str) -> anndata.AnnData:
    """Read an h5ad file.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is not a readable h5ad file.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.h5ad"))[:5] if path.parent.is_dir() else []
        hint = f"; that folder holds {near}" if near else ""
        raise FileNotFoundError(f"there is no file {path}{hint}")
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # the HDF5 stack raises many kinds for one fact: this is no intact h5ad
        raise ValueError(f"{path} cannot be read as an h5ad file: {error}") from error


def check_shape(adata: anndata.AnnData, *, min_cells: int = 2) -> None:
    """Raise ValueError unless there are at least `min_cells` cells and one gene."""
    n_cells, n_genes = adata.shape
    if n_genes == 0 or n_cells == 0:
        raise ValueError(f"the data hold {n_cells} cells and {n_genes} genes: there is nothing to work on")
    if n_cells < min_cells:
        raise ValueError(f"the data hold {n_cells} cell(s): at least {min_cells} are needed")
    if adata.X is None:
        raise ValueError("X is empty: put the raw counts in X, for instance from a layer")


def check_unique(adata: anndata.AnnData) -> None:
    """Raise ValueError when a gene or a cell has the name of another, and say which."""
    for what, names in (("gene", adata.var_names), ("cell", adata.obs_names)):
        repeated = names[names.duplicated()].unique()
        if len(repeated):
            axis = "var" if what == "gene" else "obs"
            raise ValueError(
                f"{len(repeated)} duplicate {what} ids, such as {repeated[:3].tolist()}: "
                f"make them unique (adata.{axis}_names_make_unique()) or merge what they name"
            )


def check_raw_counts(matrix: sparse.csr_matrix | np.ndarray) -> None:
    """Raise ValueError unless every value is a finite whole number, zero or more, and not all are zero.

    Parameters
    ----------
    matrix
        Counts, shape (n_cells, n_genes).
    """
    values = matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
    largest = 0.0
    for begin in range(0, len(values), _CHUNK):
        part = values[begin : begin + _CHUNK]
        if not np.isfinite(part).all():
            raise ValueError("the counts hold NaN or infinite values: fix them first")
        if (part < 0).any():
            raise ValueError(
                f"the counts hold negative values (least {part.min():.4g}): they look scaled, pass raw counts"
            )
        whole = part == np.floor(part)
        if not whole.all():
            examples = ", ".join(f"{v:.4g}" for v in part[~whole][:3])
            raise ValueError(
                f"these are not raw counts: {(~whole).mean():.0%} of the stored values are not whole numbers "
                f"({examples}, ...; largest {part.max():.4g}), so they look normalised. Put raw counts in X, for "
                "instance from adata.raw or a layer"
            )
        largest = max(largest, float(part.max(initial=0)))
    if largest == 0:
        raise ValueError("every count is zero")


def find_organism(adata: anndata.AnnData, organism: str | None = None) -> str:
    """Return the NCBI taxon id of the data's organism.

    Taken from `organism` if given, else from ``obs["organism_ontology_term_id"]`` or ``obs["organism"]``, else
    from the prefix of Ensembl ids among the gene names.

    Raises
    ------
    ValueError
        When the organism is unknown, mixed, or cannot be told.
    """
    if organism is not None:
        return organism_id(organism)
    for column in ("organism_ontology_term_id", "organism"):
        if column in adata.obs:
            found = [str(x) for x in pd.unique(adata.obs[column].dropna()) if str(x) not in {"unknown", "na", ""}]
            if len(found) > 1:
                raise ValueError(f"obs[{column!r}] mixes organisms {found[:5]}: split the data by organism")
            if found:
                return organism_id(found[0])
    for prefix, taxon in (("ENSMUSG", "NCBITaxon:10090"), ("ENSG0", "NCBITaxon:9606")):
        if any(name.startswith(prefix) for name in adata.var_names.tolist()):
            return taxon
    choices = " or ".join(repr(name) for name in ORGANISMS.values())
    raise ValueError(
        f"cannot tell the organism: obs has no 'organism_ontology_term_id' and the gene names "
        f"({adata.var_names[:3].tolist()}) are no Ensembl ids: pass organism={choices}"
    )
