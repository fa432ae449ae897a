"""Axes to draw on, and the names and colours that every plot shares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core import GRNAnnData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours, which people with any colour vision can tell apart; black is left for text.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GREY = "#B5B5B5"


def get_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install grnndata[plots]") from error
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def gene_labels(grn: GRNAnnData, label: str) -> pd.Series:
    """Return the text that stands for every gene: the column `label` of ``var``, or else the gene's name.

    Raises
    ------
    KeyError
        When there is no such column. (``"symbol"``, the default of every plot, may be absent.)
    """
    names = pd.Series(grn.var_names.to_numpy(), index=grn.var_names, dtype="str")
    if label not in grn.var:
        if label != "symbol":
            raise KeyError(f"label={label!r} is no column of var: it has {list(grn.var.columns)}")
        return names
    column = grn.var[label]
    text = column.astype(str).where(column.notna() & (column.astype(str) != ""), names)
    return pd.Series(text.to_numpy(), index=grn.var_names, dtype="str")


def is_regulator(labels: pd.Series, regulators: Iterable[str] | None) -> np.ndarray:
    """Say which genes are in `regulators` (none when None), by name or by label: shape (genes,), bool."""
    if isinstance(regulators, str):
        raise TypeError(f"regulators must be a list of gene names, not the string {regulators!r}")
    known = set() if regulators is None else set(regulators)
    return np.array([name in known or text in known for name, text in labels.items()], dtype=bool)
