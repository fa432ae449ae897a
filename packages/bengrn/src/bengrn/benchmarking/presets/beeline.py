"""BEELINE's experiments: their significantly varying factors and most varying genes, against its four networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

import grnndata
from bengrn.benchmarking.presets.given_files import Wanted, folder_of, told, with_installed_methods
from bengrn.truths.beeline import ORGANISMS

_ZENODO = "BEELINE-data.zip of https://zenodo.org/records/3701939, unpacked"
FILES = {
    f"{name}/{file}": Wanted(what, _ZENODO)
    for name in ORGANISMS
    for file, what in (
        ("ExpressionData.csv", "genes × cells, normalised and logarithmic"),
        ("GeneOrdering.csv", "how much each gene varies: VGAMpValue, Variance"),
    )
}
#: Most varying genes beside the factors, and the p-value, corrected for their number, that factors need.
N_GENES, P_VALUE = 500, 0.01
# Where the archive has the folders of the experiments, from where a user may point.
_BELOW = ("", "scRNA-Seq", "inputs/scRNA-Seq", "BEELINE-data/inputs/scRNA-Seq")
_KINDS = {
    "specific": "ChIP-seq of the cell type",
    "non-specific": "ChIP-seq of any cell type",
    "string": "STRING",
    "lofgof": "loss and gain of function",
}


def resolve(values: Mapping[str, Any], data: Path | None) -> dict[str, Any]:
    """Read the seven experiments, cut to the genes that BEELINE chooses, with the networks of each.

    Raises
    ------
    FileNotFoundError
        If files are missing.
    ValueError
        If one is not a table of that form.
    """
    folder = folder_of("beeline", data, FILES)
    at = next(
        (folder / below for below in _BELOW if any((folder / below / name).is_dir() for name in ORGANISMS)), folder
    )
    missing = {name: one for name, one in FILES.items() if not (at / name).is_file()}
    if missing:
        raise FileNotFoundError(f"the preset beeline lacks {len(missing)} of its files in {at}:\n{told(missing)}")
    datasets = [
        {
            "name": name,
            "cells": experiment(at / name, organism),
            "organism": organism,
            "truths": [
                {"name": what, "truth": "beeline", "options": {"data_set": name, "kind": kind}}
                for kind, what in _KINDS.items()
                if kind != "lofgof" or name == "mESC"
            ],
        }
        for name, organism in ORGANISMS.items()
    ]
    return with_installed_methods(values) | {"datasets": datasets}


def experiment(folder: Path, organism: str) -> AnnData:
    """Read an experiment's cells, with the genes that are chosen of it.

    Parameters
    ----------
    folder
        Folder with ExpressionData.csv and GeneOrdering.csv.
    organism
        Organism whose list of transcription factors is taken, "human" or "mouse".
    """
    values = read_expression(folder / "ExpressionData.csv")
    order = pd.read_csv(folder / "GeneOrdering.csv", index_col=0, keep_default_na=False)
    lacks = [column for column in ("VGAMpValue", "Variance") if column not in order.columns]
    if lacks:
        raise ValueError(f"{folder / 'GeneOrdering.csv'} lacks the columns {lacks}")
    order = order[order.index.isin(values.index)].apply(pd.to_numeric, errors="coerce")
    varying = order[order["VGAMpValue"] < P_VALUE / max(len(order), 1)]
    # Names are capitals throughout, also of mouse genes.
    factors = {name.upper() for name in grnndata.transcription_factors(organism)}
    most = varying.sort_values("Variance", ascending=False, kind="stable").index[:N_GENES]
    chosen = sorted({*most, *varying.index[varying.index.str.upper().isin(factors)]})
    if not chosen:
        raise ValueError(f"{folder} has no gene with a p-value below {P_VALUE} over the number of its genes")
    cut = values.loc[chosen]
    return AnnData(cut.to_numpy().T, obs=pd.DataFrame(index=cut.columns), var=pd.DataFrame(index=cut.index))


def read_expression(path: Path) -> pd.DataFrame:
    """Read BEELINE's table of expression: genes are rows, cells are columns.

    Raises
    ------
    ValueError
        If a value is not a number, or a gene stands twice.
    """
    try:
        table = pd.read_csv(path, index_col=0, keep_default_na=False).astype("float32")
    except ValueError as error:
        raise ValueError(f"{path} is no table of numbers, genes × cells: {error}") from error
    table.index = table.index.astype(str)
    if table.index.has_duplicates:
        raise ValueError(f"{path} has the gene {table.index[table.index.duplicated()][0]!r} twice")
    return table
