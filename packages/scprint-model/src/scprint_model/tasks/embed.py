"""Cell embeddings."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from scprint_model.model import ScPrint
from scprint_model.tasks.encode import EncodedCells, encode


def embed(
    model: ScPrint,
    adata: AnnData,
    *,
    token: str = "mean",
    key: str = "X_scprint",
    context: int | None = None,
    seed: int = 0,
    encoded: EncodedCells | None = None,
) -> np.ndarray:
    """Write each cell's embedding to ``adata.obsm[key]``.

    Parameters
    ----------
    model, adata, context, seed
        See `scprint_model.tasks.encode`.
    token
        ``"mean"`` of all cell tokens, or the name of one of them, such as ``"cell_type"``.
    key
        Where in ``obsm``.
    encoded
        What `encode` gave for these cells, if it was run already; `context` and `seed` are not used then.

    Returns
    -------
    numpy.ndarray
        The same float32 array, shape (n_cells, d).

    Raises
    ------
    ValueError
        When the model has no such token.
    """
    names = model.token_names
    if token != "mean" and token not in names:
        raise ValueError(f"token={token!r} is not one of 'mean', {', '.join(map(repr, names))}")
    encoded = encoded or encode(model, adata, context=context, seed=seed)
    tokens = encoded.embeddings
    chosen = tokens.mean(axis=1) if token == "mean" else tokens[:, names.index(token)]
    adata.obsm[key] = np.ascontiguousarray(chosen, dtype=np.float32)
    return chosen
