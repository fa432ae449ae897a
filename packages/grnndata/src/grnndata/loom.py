"""Regulons of SCENIC in loom files, as pySCENIC and SCope write them."""

from __future__ import annotations

import logging
import re
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ._wording import listed
from .core import GRNAnnData
from .edges import check_unique, some

logger = logging.getLogger(__name__)

#: Row attributes that hold regulons: pySCENIC and the first SCope; later SCope, by motif and by ChIP-seq track.
REGULON_ATTRIBUTES = ("Regulons", "MotifRegulons", "TrackRegulons")

# ATF3(+), ATF3_(-), ATF3 (12g), ATF3_(12g), ATF3_extended (12g), ATF3_(+)-motif, ATF3_(-)-track
_NAME = re.compile(r"^(?P<tf>.+?)(?:_extended)?[ _]*(?:\((?P<sign>[+-]|\d+g)\)(?:-(?:motif|track))?)?$")
_BLOCK = 2**24


def read_loom(
    path: PathLike[str] | str,
    *,
    with_cells: bool = True,
    regulons: str | None = None,
    missing: Literal["error", "drop"] = "error",
    gene_attribute: str = "Gene",
    cell_attribute: str = "CellID",
) -> GRNAnnData:
    """Read the regulons in a loom file of SCENIC as a network.

    Every gene of a regulon is a target of its transcription factor, with weight 1, or -1 for repressing
    regulons, ``TF(-)``. A factor may have several regulons (``TF(+)``, ``TF_extended``): a gene in any of them is
    a target, and one that is in activating and in repressing ones gets 1, as SCENIC keeps the activating ones by
    default and warns of the others.

    Parameters
    ----------
    path
        The loom file: ``/matrix`` (genes × cells), ``/row_attrs`` with gene names and regulons (one field of 0
        and 1 a regulon), ``/col_attrs``. Versions 2 and 3 of the format.
    with_cells
        Whether to read the counts and what is known of the cells; otherwise the result has no cells.
    regulons
        Name of the row attribute with the regulons; the one of `REGULON_ATTRIBUTES` that is there when None.
    missing
        Treatment of regulons of a factor that is not among the genes: ``"error"``, or ``"drop"`` them.
    gene_attribute, cell_attribute
        Row attribute with the gene names and column attribute with the cell names.

    Returns
    -------
    GRNAnnData
        Sparse ``X`` (cells × genes) and layers with the file's number type, a sparse network, and the
        attributes: plain ones in ``obs`` and ``var``, those of several fields in ``obsm`` and ``varm`` as data
        frames, the regulons' activities among them (``obsm["RegulonsAUC"]``, cells × regulons).

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not a loom file, has no regulons or several kinds of them, a factor is not among the genes, gene
        names repeat, or an attribute does not have the length of the matrix.

    References
    ----------
    Aibar et al., SCENIC: single-cell regulatory network inference and clustering, Nature Methods 14, 2017.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.resolve()}")
    if missing not in ("error", "drop"):
        raise ValueError(f"missing must be 'error' or 'drop', got {missing!r}")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} is not a loom file: {error}") from error
    with file:
        try:
            return _read(file, path.name, with_cells, regulons, missing, gene_attribute, cell_attribute)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def regulon_factor(name: str) -> tuple[str, int]:
    """Return the transcription factor that a regulon is named after, and 1 or -1 for the sign of its edges.

    Examples
    --------
    >>> regulon_factor("NKX2-1(+)"), regulon_factor("REST_(-)"), regulon_factor("ATF3_extended (12g)")
    (('NKX2-1', 1), ('REST', -1), ('ATF3', 1))
    """
    match = _NAME.match(name)
    if match is None:
        return name, 1
    return match["tf"], -1 if match["sign"] == "-" else 1


def regulons_to_matrix(
    members: NDArray[Any], genes: pd.Index, *, missing: Literal["error", "drop"] = "error"
) -> sp.csr_matrix:
    """Put regulons into a matrix.

    Parameters
    ----------
    members
        Structured array, shape (genes,), one numeric field a regulon: not 0 where the gene belongs to it.
    genes
        Their names, unique.
    missing
        See `read_loom`.

    Returns
    -------
    scipy.sparse.csr_matrix
        float32, shape (genes, genes), row = transcription factor.

    Raises
    ------
    ValueError
        When a factor is not among the genes, and `missing` is ``"error"``.
    """
    names = list(members.dtype.names or ())
    factors, signs = zip(*map(regulon_factor, names), strict=True) if names else ((), ())
    rows = genes.get_indexer(pd.Index(factors, dtype=str))
    unknown = [name for name, row in zip(names, rows, strict=True) if row < 0]
    if unknown and missing == "error":
        raise ValueError(
            f"the factors of {len(unknown):,} regulons are not among the {len(genes):,} genes: {some(unknown)}; pass "
            "missing='drop' to leave these regulons out"
        )
    if unknown:
        logger.warning("left out %d regulons, whose factors are not among the genes: %s", len(unknown), some(unknown))
    shape = (len(genes), len(genes))
    ones = {1: sp.csr_matrix(shape, dtype=np.float32), -1: sp.csr_matrix(shape, dtype=np.float32)}
    for sign in ones:
        parts = [
            (row, np.flatnonzero(members[name]))
            for name, row, its in zip(names, rows, signs, strict=True)
            if row >= 0 and its == sign
        ]
        targets = np.concatenate([np.empty(0, dtype=np.intp), *(targets for _, targets in parts)])
        sources = np.repeat([row for row, _ in parts], [targets.size for _, targets in parts]).astype(np.intp)
        ones[sign] = sp.csr_matrix((np.ones(targets.size, dtype=np.float32), (sources, targets)), shape=shape)
    both = ones[1].multiply(ones[-1]).sign()
    if both.nnz:
        logger.warning("%d pairs are in an activating and in a repressing regulon: their weight is 1", both.nnz)
    # Where both are set, the difference is 0 and `both` brings the 1 back.
    return sp.csr_matrix(ones[1].sign() - ones[-1].sign() + both, dtype=np.float32)


def _read(
    file: h5py.File,
    name: str,
    with_cells: bool,
    regulons: str | None,
    missing: Literal["error", "drop"],
    gene_attribute: str,
    cell_attribute: str,
) -> GRNAnnData:
    if not isinstance(file.get("matrix"), h5py.Dataset) or not isinstance(file.get("row_attrs"), h5py.Group):
        raise ValueError(f"this is no loom file: it needs /matrix and /row_attrs, and has [{listed(sorted(file))}]")
    matrix = file["matrix"]
    rows = _attributes(file, "row_attrs", matrix.shape[0])
    genes = check_unique(pd.Index(_pop_names(rows, gene_attribute, "row")))
    chosen = _choose(rows, regulons)
    network = regulons_to_matrix(rows.pop(chosen), genes, missing=missing)
    if with_cells:
        columns = _attributes(file, "col_attrs", matrix.shape[1])
        cells = pd.Index(_pop_names(columns, cell_attribute, "column"))
        layers = {key: _cells_by_genes(layer) for key, layer in file.get("layers", {}).items()}
        X: Any = _cells_by_genes(matrix)
    else:
        columns, cells, layers, X = {}, pd.Index([], dtype=str), {}, None
    adata = anndata.AnnData(
        X,
        obs=pd.DataFrame({key: value for key, value in columns.items() if _is_plain(value)}, index=cells),
        var=pd.DataFrame({key: value for key, value in rows.items() if _is_plain(value)}, index=genes),
        obsm={key: _frame(value, cells) for key, value in columns.items() if not _is_plain(value)},
        varm={key: _frame(value, genes) for key, value in rows.items() if not _is_plain(value)},
        layers=layers,
    )
    return GRNAnnData(adata, network, method="SCENIC", parameters={"file": name, "regulons": chosen})


def _choose(rows: dict[str, NDArray[Any]], regulons: str | None) -> str:
    """Return the name of the row attribute that holds the regulons."""
    of_fields = [key for key, value in rows.items() if value.dtype.names]
    if regulons is not None:
        if regulons not in of_fields:
            raise ValueError(
                f"there is no row attribute {regulons!r} of one field a regulon: there are {of_fields or 'none'}"
            )
        return regulons
    found = [key for key in REGULON_ATTRIBUTES if key in of_fields]
    if not found:
        raise ValueError(
            f"there are no regulons: none of the row attributes {', '.join(REGULON_ATTRIBUTES)} is there, with one "
            f"field a regulon (there are {listed(sorted(rows)) or 'none'}); run pyscenic aucell to write them, or "
            "name the attribute with regulons="
        )
    if len(found) > 1:
        raise ValueError(f"there are several kinds of regulons: choose with regulons={' or '.join(map(repr, found))}")
    return found[0]


def _attributes(file: h5py.File, group: str, length: int) -> dict[str, NDArray[Any]]:
    """Read the attributes of rows or columns, each of the given length."""
    found = {}
    for key, item in file.get(group, {}).items():
        if not isinstance(item, h5py.Dataset):
            continue
        if item.shape[:1] != (length,):
            raise ValueError(f"/{group}/{key} has shape {item.shape}, but /matrix has {length:,} of these")
        is_text = h5py.check_string_dtype(item.dtype) is not None
        found[key] = item.asstr()[...] if is_text else item[...]
    return found


def _pop_names(attributes: dict[str, NDArray[Any]], key: str, kind: str) -> NDArray[Any]:
    if key not in attributes or not _is_plain(attributes[key]):
        argument = "gene_attribute" if kind == "row" else "cell_attribute"
        listed = ", ".join(name for name in sorted(attributes) if _is_plain(attributes[name])) or "none"
        raise ValueError(
            f"there is no {kind} attribute {key!r} with names: name one of them with {argument}= ({listed})"
        )
    return attributes.pop(key).astype(str)


def _is_plain(values: NDArray[Any]) -> bool:
    return values.ndim == 1 and values.dtype.names is None


def _frame(values: NDArray[Any], index: pd.Index) -> Any:
    if values.dtype.names is None:
        return values
    return pd.DataFrame({name: values[name] for name in values.dtype.names}, index=index)


def _cells_by_genes(matrix: h5py.Dataset) -> sp.csr_matrix:
    # In blocks of genes: most counts are 0, and the whole matrix may not fit into memory.
    n_genes, n_cells = matrix.shape
    step = max(1, _BLOCK // max(1, n_cells))
    blocks = [sp.csc_matrix(matrix[start : start + step].T) for start in range(0, n_genes, step)]
    if not blocks:
        return sp.csr_matrix((n_cells, n_genes), dtype=matrix.dtype)
    return sp.hstack(blocks, format="csr")
