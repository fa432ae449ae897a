"""The names of genes that people read: of every drawing, and of gene sets."""

from __future__ import annotations

import pandas as pd

from ._wording import listed
from .core import GRNAnnData


def gene_labels(grn: GRNAnnData, label: str) -> pd.Series:
    """Return the text that stands for every gene: the column `label` of ``var``, or else the gene's name.

    Raises
    ------
    KeyError
        When the column does not exist. (``"symbol"``, the default of every plot, may be absent.)
    """
    names = pd.Series(grn.var_names.to_numpy(), index=grn.var_names, dtype="str")
    if label not in grn.var:
        if label != "symbol":
            raise KeyError(f"label={label!r} is no column of var: it has [{listed(grn.var.columns)}]")
        return names
    column = grn.var[label]
    text = column.astype(str).where(column.notna() & (column.astype(str) != ""), names)
    return pd.Series(text.to_numpy(), index=grn.var_names, dtype="str")
