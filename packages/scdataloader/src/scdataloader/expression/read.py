"""Cells of a file of any format in memory, with the expression that is meant."""

from __future__ import annotations

from pathlib import Path

from anndata import AnnData

from scdataloader.expression.counts_choice import CountsChoice
from scdataloader.expression.take import take_counts
from scdataloader.sources import open_source, to_anndata


def read_expression(path: Path | str, choice: CountsChoice | None = None) -> AnnData:
    """Read cells from h5ad, zarr, loom, 10x h5, or a 10x matrix folder.

    Parameters
    ----------
    path
        File, folder or address.
    choice
        Raw counts that are meant; X, whatever it holds, when None.

    Returns
    -------
    AnnData
        Cells in memory, with X, obs and var.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is of another format, has no X, or not the raw counts that are meant.
    """
    with open_source(path, genome=None if choice is None else choice.genome) as source:
        return to_anndata(source if choice is None else take_counts(source, choice).of(source))
