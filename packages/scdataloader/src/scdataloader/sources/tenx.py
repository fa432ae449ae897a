"""Count matrices of 10x Genomics' Cell Ranger (and STARsolo): HDF5 files and matrix market folders, versions 2 and 3.

Formats: https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-outputs-h5-matrices and
cr-outputs-mex-matrices. Both hold genes × cells; only the gene expression features are kept.
"""

from __future__ import annotations

import gzip
import logging
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader._wording import counted
from scdataloader.sources.addresses import source_name
from scdataloader.sources.elements import check_complete, row_major
from scdataloader.sources.reading import Lazy, damage_named, guarded
from scdataloader.sources.source import Matrix, Source

logger = logging.getLogger(__name__)

_EXPRESSION = "Gene Expression"


def is_tenx_h5(file: Any) -> bool:
    """Say whether an open HDF5 file is a 10x count matrix of either version."""
    groups = [file[name] for name in file]
    return any(
        isinstance(group, h5py.Group) and {"barcodes", "data", "indices", "indptr"} <= set(group) for group in groups
    )


def open_tenx_h5(path: Path | str, *, genome: str | None = None) -> Source:
    """Open a 10x HDF5 file as a source; its values are read in blocks of cells.

    Parameters
    ----------
    path
        File of Cell Ranger.
    genome
        Name of the genome that is read, where the file holds a matrix for each of several (version 2).

    Raises
    ------
    ValueError
        When it is not an intact 10x file, holds several genomes (version 2) and not the one that is asked for, or no
        gene expression.
    """
    path, kind = Path(path), "a 10x h5 file"
    with damage_named(path, kind):
        file = h5py.File(path, "r")
        try:
            group = file["matrix"] if "matrix" in file else _of_genome(file, genome)
            features = _features_of(group)
            cells = _texts(group["barcodes"])
            shape = tuple(int(n) for n in group["shape"][:2])
            if shape != (len(features), len(cells)):
                raise ValueError(
                    f"it has {shape[0]:,} features × {shape[1]:,} cells, but names {len(features):,} and {len(cells):,}"
                )

            def matrix() -> Matrix:
                # compressed columns of genes × cells are the compressed rows of cells × genes
                found = _expression_only(row_major(group, features, len(cells)), path)
                return Matrix(found.shape, found.var, guarded(found.rows, path, kind), found.row_ends)

            _check_expression(features)
            obs = pd.DataFrame(index=pd.Index(cells, name="barcode"))
            return Source(
                source_name(str(path)), str(path), obs, Lazy({"X": guarded(matrix, path, kind)}), close=file.close
            )
        except BaseException:
            file.close()
            raise


def open_tenx_mtx(path: Path | str) -> Source:
    """Open a 10x matrix market folder, or the matrix file in it, as a source; the counts are read at first use.

    The files are ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` (version 3) or ``genes.tsv`` (version 2), each
    also with ``.gz``, and with any prefix (``GSM123_matrix.mtx.gz``) that the three share.

    Raises
    ------
    FileNotFoundError
        When one of the three files is missing.
    ValueError
        When they do not fit each other, are damaged, or hold no gene expression.
    """
    path = Path(path)
    matrix_file = _matrix_in(path) if path.is_dir() else path
    prefix = matrix_file.name.partition("matrix.mtx")[0]
    barcode_file = _beside(matrix_file, [f"{prefix}barcodes.tsv"])
    feature_file = _beside(matrix_file, [f"{prefix}features.tsv", f"{prefix}genes.tsv"])
    kind = "a 10x matrix folder"
    with damage_named(path, kind):
        from scipy.io import mminfo

        features, cells = _feature_table(feature_file), [line.split("\t")[0] for line in _lines(barcode_file)]
        n_features, n_cells = (int(n) for n in mminfo(str(matrix_file))[:2])
        if (n_features, n_cells) != (len(features), len(cells)):
            raise ValueError(
                f"{matrix_file.name} has {n_features:,} rows × {n_cells:,} columns, but {feature_file.name} names "
                f"{counted(len(features), 'feature')} and {barcode_file.name} {counted(len(cells), 'cell')}"
            )
        _check_expression(features)

    def matrix() -> Matrix:
        from scipy.io import mmread

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # which of scipy's two kinds it returns is all the same
            counts = sparse.csr_matrix(mmread(str(matrix_file)).T)
        ends = counts.indptr[1:].astype(np.int64)
        whole = Matrix((n_cells, n_features), features, lambda begin, end: counts[begin:end], ends)
        return _expression_only(whole, path)

    obs = pd.DataFrame(index=pd.Index(cells, name="barcode"))
    return Source(source_name(str(path)), str(path), obs, Lazy({"X": guarded(matrix, path, kind)}))


def _matrix_in(folder: Path) -> Path:
    found = sorted([*folder.glob("*matrix.mtx"), *folder.glob("*matrix.mtx.gz")])
    if len(found) != 1:
        problem = f"holds {[p.name for p in found]}: give the one you mean" if found else "holds no matrix.mtx(.gz)"
        raise FileNotFoundError(f"{folder} {problem}")
    return found[0]


def _beside(matrix_file: Path, names: list[str]) -> Path:
    for name in names:
        for candidate in (matrix_file.parent / name, matrix_file.parent / f"{name}.gz"):
            if candidate.exists():
                return candidate
    raise FileNotFoundError(f"beside {matrix_file} there is no {' and no '.join(names)}, with or without .gz")


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return file.read().splitlines()


def _feature_table(path: Path) -> pd.DataFrame:
    fields = [line.split("\t") for line in _lines(path)]
    widths = {len(row) for row in fields}
    if not fields or len(widths) != 1:
        raise ValueError(f"{path.name} has lines of {sorted(widths)} columns, all should have 2 or 3")
    columns = list(zip(*fields, strict=True))
    symbols = columns[1] if len(columns) > 1 else columns[0]
    types = columns[2] if len(columns) > 2 else [_EXPRESSION] * len(fields)
    return _table(columns[0], symbols, types)


def _features_of(group: Any) -> pd.DataFrame:
    if "features" not in group:
        if "genes" not in group:
            raise ValueError(f"{group.name} has neither features nor genes, only {sorted(group)}")
        ids = _texts(group["genes"])
        symbols = _texts(group["gene_names"]) if "gene_names" in group else ids
        return _table(ids, symbols, [_EXPRESSION] * len(ids)).assign(genome=group.name.strip("/"))
    features = group["features"]
    ids, symbols = _texts(features["id"]), _texts(features["name"])
    types = _texts(features["feature_type"]) if "feature_type" in features else [_EXPRESSION] * len(ids)
    table = _table(ids, symbols, types)
    if "genome" in features:
        table["genome"] = _texts(features["genome"])
    return table


def _table(ids: Any, symbols: Any, types: Any) -> pd.DataFrame:
    index = pd.Index(list(ids), name="gene_id")
    return pd.DataFrame({"symbol": list(symbols), "feature_type": list(types)}, index=index)


def _of_genome(file: Any, genome: str | None) -> Any:
    genomes = [name for name in file if isinstance(file[name], h5py.Group) and "barcodes" in file[name]]
    if genome in genomes:
        return file[genome]
    if len(genomes) == 1:
        return file[genomes[0]]
    if not genomes:
        raise ValueError(f"it holds no matrix, only {sorted(file)[:10]}")
    has = f"it holds the genomes {genomes}" + (f" and not {genome!r}" if genome else "")
    raise ValueError(f"{has}; one is needed: choose it with genome={genomes[0]!r} (--genome {genomes[0]})")


def _check_expression(features: pd.DataFrame) -> None:
    if not (features["feature_type"] == _EXPRESSION).any():
        raise ValueError(f"it has no {_EXPRESSION!r} features, only {sorted(set(features['feature_type'].tolist()))}")


def _expression_only(matrix: Matrix, path: Path) -> Matrix:
    keep = (matrix.var["feature_type"] == _EXPRESSION).to_numpy(bool)
    var = matrix.var.loc[keep].drop(columns="feature_type")
    if keep.all():
        return Matrix(matrix.shape, var, matrix.rows, matrix.row_ends)
    dropped = matrix.var.loc[~keep, "feature_type"].value_counts().to_dict()
    logger.info("%s: only %s features are kept, left out: %s", path, _EXPRESSION, dropped)
    columns = np.flatnonzero(keep)
    return Matrix((matrix.shape[0], len(var)), var, lambda begin, end: matrix.rows(begin, end)[:, columns])


def _texts(array: Any) -> list[str]:
    check_complete(array)
    return [str(value) for value in array.asstr()[:]]
