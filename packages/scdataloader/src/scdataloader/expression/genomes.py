"""Genes of one genome among several, as aligners to two genomes write them side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from scdataloader._wording import counted
from scdataloader.expression.views import of_genes
from scdataloader.sources import Matrix, Source
from scdataloader.sources.reading import Lazy

#: The genome's name in front of Ensembl's: ``GRCh38_ENSG...``, ``mm10___ENSMUSG...``.
_PREFIX = re.compile(r"^([A-Za-z0-9.]+?)_+ENS[A-Z]*G\d{11}")


def of_genome(source: Source, genome: str | None) -> tuple[Source, list[str]]:
    """Return the source with the genes of one genome, named without it, and what is to be told of it.

    Parameters
    ----------
    source
        Cells; each matrix tells the genome of a gene in ``var["genome"]``, or by the name in front of an Ensembl id.
    genome
        Name of the genome; None: all genes stay.

    Raises
    ------
    ValueError
        When the data do not have this genome.
    """
    if genome is None:
        return source, []
    places: dict[str, np.ndarray] = {}
    told: list[str] = []
    for key, matrix in source.matrices.items():
        genomes = genomes_of(matrix.var)
        places[key] = np.flatnonzero(genomes == genome)
        if not len(places[key]):
            there = [name for name in pd.unique(genomes).tolist() if name]
            has = f"the genes are of {there}" if there else "the genes do not say of which genome they are"
            raise ValueError(f"genome={genome!r} (--genome {genome}): {has}")
        if not told and len(places[key]) < matrix.shape[1]:
            told = [f"{counted(matrix.shape[1] - len(places[key]), 'gene')} of other genomes than {genome} left out"]

    def chosen(key: str) -> Matrix:
        matrix = of_genes(source.matrices[key], places[key])
        return replace(matrix, var=_without_prefix(matrix.var, genome))

    matrices: Mapping[str, Matrix] = Lazy({key: partial(chosen, key) for key in source.matrices})
    return replace(source, matrices=matrices), told


def genomes_of(var: pd.DataFrame) -> np.ndarray:
    """Return the genome of each gene as text, empty where it is not told."""
    if "genome" in var:
        return var["genome"].astype(object).where(var["genome"].notna(), "").map(str).to_numpy(dtype=object)
    found = [match[1] if (match := _PREFIX.match(str(name))) else "" for name in var.index.tolist()]
    return np.array(found, dtype=object)


def _without_prefix(var: pd.DataFrame, genome: str) -> pd.DataFrame:
    prefix = re.compile(f"^{re.escape(genome)}_+")
    out = var.set_axis(pd.Index([prefix.sub("", str(name)) for name in var.index.tolist()], name=var.index.name))
    for column in out.columns.difference(["genome"]):
        names = out[column].astype(str)
        if names.str.match(prefix).all():
            out[column] = names.str.replace(prefix, "", regex=True)
    return out
