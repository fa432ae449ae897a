"""The genes of human UniProt accessions: a table that comes with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd

CITATION = "UniProt Consortium. Nucleic Acids Res 53:D609 (2025)"
LICENCE = "UniProt: CC BY 4.0"


def human_accessions() -> pd.DataFrame:
    """Read which accession of a reviewed human protein is which gene.

    Returns
    -------
    pandas.DataFrame
        Columns ``uniprot, symbol, name_match``, one row a pair: the accession, the gene's symbol, and whether that
        is the protein's own name (a protein that several genes encode has one row each).
    """
    with as_file(files("bengrn.truths") / "data" / "uniprot_human.parquet") as path:
        return pd.read_parquet(path).astype({"uniprot": str, "symbol": str, "name_match": bool})
