"""Cell embeddings."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from scdataloader.labels import SUFFIX
from scprint_model.model import ScPrint
from scprint_model.tables import tables
from scprint_model.tasks.encode import EncodedCells, Settings, class_names, stream


def embed(
    model: ScPrint,
    adata: AnnData,
    *,
    token: str = "mean",
    logits: str | None = None,
    key: str = "X_scprint",
    context: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    encoded: EncodedCells | None = None,
) -> np.ndarray:
    """Write each cell's embedding to ``adata.obsm[key]``.

    The cells are read a part at a time, in memory or from a file, and nothing but the embedding asked for is kept.

    Parameters
    ----------
    model, adata
        Model and cells; see `scprint_model.tasks.encode`. A cell without any count of a gene that the model knows gets
        what the model makes of such a cell; the log says how many there are.
    token
        Cell token to take: ``"mean"`` of all, the name of one, such as ``"cell_type"`` or ``"base"``, or ``"all"``: one
        entry ``<key>_<token>`` for each.
    logits
        Class whose logits are the embedding, one dimension a leaf label, which removes more of the batch effects;
        `token` is not used then.
    key
        Name in ``obsm``; for ``"all"`` its start.
    context
        Number of most expressed genes that the model sees of a cell. None: as many as it saw in training.
    batch_size
        Number of cells at a time. It changes nothing but speed and memory.
    seed
        Seed for the choice between genes with equal counts.
    encoded
        Result of `encode` for these cells, if it was run already; `context`, `batch_size` and `seed` are not used then.

    Returns
    -------
    numpy.ndarray
        The same float32 array, shape (n_cells, d), with `logits` (n_cells, n_leaves), with ``"all"`` (n_cells, T, d).

    Raises
    ------
    ValueError
        When the model has no such token or class.

    Notes
    -----
    scPRINT paper, Methods, "The bottleneck learning task": the logits of cell type, disease or assay, which have many
    labels, as the embedding, which removes more of the batch effects (its Supplementary Figure S7).
    """
    tables(model)
    names = [name.removesuffix(SUFFIX) for name in model.token_names]
    wanted = token.removesuffix(SUFFIX)
    if logits is not None:
        if token != "mean":
            raise ValueError(f"token={token!r} and logits={logits!r} are two embeddings: ask for one of them")
        classes = class_names(model, [logits])
        shape: tuple[int, ...] = (model.config.class_sizes[classes[0]],)
    else:
        if wanted not in ("mean", "all", *names):
            raise ValueError(f"token={token!r} is not one of 'mean', 'all', {', '.join(map(repr, names))}")
        classes = ()
        shape = (len(names), model.config.d_model) if wanted == "all" else (model.config.d_model,)
    result = np.empty((adata.n_obs, *shape), dtype=np.float32)
    done = 0
    settings: Settings = {"context": context, "batch_size": batch_size, "seed": seed}
    for batch in stream(model, adata, **settings, classes=classes, description="embedding cells", encoded=encoded):
        rows = slice(done, done + len(batch.empty))
        if classes:
            result[rows] = batch.class_logits[classes[0]]
        elif wanted == "all":
            result[rows] = batch.embeddings
        else:
            chosen = batch.embeddings
            result[rows] = chosen.mean(axis=1) if wanted == "mean" else chosen[:, names.index(wanted)]
        done = rows.stop
    if wanted == "all":
        for i, name in enumerate(names):
            adata.obsm[f"{key}_{name}"] = result[:, i]
    else:
        adata.obsm[key] = result
    return result
