"""Whether genes are named by ids, as stores and models need them."""

from __future__ import annotations

import re

import pandas as pd

from scdataloader.genes.identifiers import map_identifiers
from scdataloader.genes.tables import ORGANISMS, gene_table

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{11}")
#: Share of the names that are ids where nothing more is looked at.
_MOSTLY = 0.9


def check_gene_ids(var: pd.DataFrame, name: str) -> None:
    """Raise ValueError where most genes are named by symbols of human or mouse: no model knows them by these.

    Parameters
    ----------
    var
        Table of the genes; its index is their names.
    name
        Name of the data set, for the message.
    """
    names = [str(gene) for gene in var.index.tolist()]
    ids = sum(bool(_ENSEMBL.match(gene)) for gene in names)
    if ids >= _MOSTLY * len(names):
        return
    for organism in ORGANISMS:
        known = map_identifiers(names, gene_table(organism))
        # Former names are short words such as G3, which names of other kinds may be as well.
        if known.n_symbol > max(ids, len(names) // 2):
            raise ValueError(
                f"{name}: the genes are named by symbols, such as {names[:3]}, by which no model knows them: map them "
                "to Ensembl ids with scdataloader.Preprocessor (scdataloader preprocess)"
            )
