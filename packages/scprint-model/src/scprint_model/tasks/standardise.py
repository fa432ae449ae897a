"""Standardisation of a model's embedding by cells that stand for all."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.model import ScPrint
from scprint_model.tasks.encode import stream


def standardise(
    model: ScPrint,
    adata: AnnData,
    *,
    context: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> Standardisation:
    """Measure mean and spread of a model's cell tokens on some cells, and keep them with the model.

    ``embed(standardise=True)`` then takes the mean off and divides by the spread, and `save_folder` stores both.

    Parameters
    ----------
    model
        Model; its ``standardisation`` is set.
    adata
        Cells that stand for all that the model will see, such as a sample of its training cells, with raw counts in X.
    context
        Number of most expressed genes that the model sees of a cell; None: as many as in training.
    batch_size
        Number of cells at a time.
    seed
        Seed for the choice between genes with equal counts.

    Returns
    -------
    Standardisation
        Mean and spread of each number of each token.
    """
    options = {"context": context, "batch_size": batch_size, "seed": seed, "draws": 1}
    found = stream(model, adata, **options, classes=(), description="measuring the embedding")  # type: ignore[arg-type]
    model.standardisation = Standardisation.of(np.concatenate([batch.embeddings for batch in found]))
    return model.standardisation
