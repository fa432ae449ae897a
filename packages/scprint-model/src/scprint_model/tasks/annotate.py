"""Predicted labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from scdataloader.labels import SUFFIX
from scprint_model.model import ScPrint
from scprint_model.tasks.encode import EncodedCells, encode, tables


def annotate(
    model: ScPrint, adata: AnnData, *, context: int | None = None, seed: int = 0, encoded: EncodedCells | None = None
) -> pd.DataFrame:
    """Predict every class of every cell, and write it to ``adata.obs``.

    For each class (cell type, tissue, ...) three columns: ``predicted_<class>`` (name),
    ``predicted_<class>_ontology_term_id`` and ``predicted_<class>_confidence`` (the sigmoid of its logit, 0 to 1).
    Predictions are always leaf labels of the model's label space: a type that it never saw gets the nearest it knows.

    Parameters
    ----------
    model, adata, context, seed, encoded
        See `scprint_model.tasks.embed`.

    Returns
    -------
    pandas.DataFrame
        The new columns.
    """
    _, labels = tables(model)
    encoded = encoded or encode(model, adata, context=context, seed=seed)
    columns: dict[str, object] = {}
    for name, space in labels.classes.items():
        logits = encoded.class_logits[name]
        best = logits.argmax(axis=1)
        terms = space.decode(best)
        short = name.removesuffix(SUFFIX)  # published checkpoints call classes by the columns of ids
        columns[f"predicted_{short}"] = pd.Categorical([space.names[term] for term in terms])
        columns[f"predicted_{short}{SUFFIX}"] = pd.Categorical(terms)
        columns[f"predicted_{short}_confidence"] = 1 / (1 + np.exp(-logits[np.arange(len(best)), best]))
    predicted = pd.DataFrame(columns, index=adata.obs_names)
    adata.obs[predicted.columns] = predicted
    return predicted
