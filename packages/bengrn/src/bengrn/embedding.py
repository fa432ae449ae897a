"""Embed cells with the methods that have a model for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bengrn.registry import get_method

if TYPE_CHECKING:
    from anndata import AnnData


def embed(
    adata: AnnData, method: str, *, settings: Mapping[str, Any] | None = None, seed: int = 0
) -> NDArray[np.float32]:
    """Return an embedding of each cell, made by a method that embeds cells: scGPT or Geneformer.

    Parameters
    ----------
    adata
        Cells × genes, with what the method takes in X; not changed.
    method
        Name of the method.
    settings
        Settings of the method, such as the folder of its model.
    seed
        Seed for what is drawn.

    Returns
    -------
    numpy.ndarray
        (cells, width of the model) float32, in the order of the cells.

    Raises
    ------
    ValueError
        If the method does not exist or embeds no cells, or the cells or its model cannot be used.
    TypeError
        If the method has no such setting.

    Examples
    --------
    >>> bengrn.embed(cells, "scgpt", settings={"folder": "scGPT_human"})  # doctest: +SKIP
    """
    found: Any = get_method(method, **(settings or {}))
    if not callable(getattr(found, "embed", None)):
        raise ValueError(f"{method} embeds no cells; scgpt and geneformer do")
    vectors: NDArray[np.float32] = found.embed(adata, seed=seed)
    return vectors
