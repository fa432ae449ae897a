"""Measure how much labels and neighbours change with what should not matter: depth, missing genes, a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from scdataloader.counts import obs_table, total_counts
from scprint_model.intervals import mean_interval, share_interval
from scprint_model.model import ScPrint
from scprint_model.parts import parts
from scprint_model.tasks.changes import CHANGES, Change
from scprint_model.tasks.encode import encode

#: Reads cells: their embedding, (n_cells, d), and their labels, (n_cells,); None for what it does not give.
type Reader = Callable[[AnnData], tuple[np.ndarray | None, np.ndarray | None]]

#: Most cells whose neighbours are looked for.
MOST_CELLS = 2000


def invariance(
    model: ScPrint | Reader,
    adata: AnnData,
    *,
    changes: Mapping[str, Change] = CHANGES,
    label: str = "cell_type",
    token: str | None = None,
    context: int | None = None,
    n_cells: int = 500,
    n_neighbours: int = 10,
    groups: str | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how many labels and neighbours a model keeps when cells are thinned or genes are missing.

    No true labels are needed: the model's answers are compared with its own answers for the cells as they are.

    Parameters
    ----------
    model
        Model; or a function that takes cells and gives their embedding, (n_cells, d), and their labels, (n_cells,),
        with None in place of what it does not give, so that any method can be measured alike.
    adata
        Cells with raw counts in X, in memory or in a file, of which those drawn are read; not changed.
    changes
        Name of each change to a function that takes cells and a generator of random numbers and returns the same cells,
        changed. The default thins counts 8 times, drops half of the genes, and keeps a panel of 500 genes.
    label
        Class of a model whose labels are compared.
    token
        Cell token of a model whose embedding is compared; None: the mean of all.
    context
        Number of most expressed genes that a model sees of a cell; None: as many as in training.
    n_cells
        Number of cells to take, drawn at random, at most 2,000; all of them where there are fewer.
    n_neighbours
        Number of nearest cells of each cell that are compared.
    groups
        Column of obs, such as the donor, by which the intervals draw cells together.
    batch_size
        Number of cells that a model reads at a time.
    seed
        Seed for the draws of cells and of the changes.

    Returns
    -------
    pandas.DataFrame
        One row a change and measure: ``change``, ``measure`` (``labels unchanged`` or ``neighbours kept``), ``share``,
        its 95 % interval ``low`` and ``high``, and ``n_cells``. Neighbours kept are the mean share of a cell's nearest
        cells, without itself, that are still among its nearest ones.

    Raises
    ------
    ValueError
        When there are not more cells than neighbours, or a change does not return the same number of cells.
    """
    rng = np.random.default_rng(seed)
    at = np.sort(rng.permutation(adata.n_obs)[: min(n_cells, MOST_CELLS)])
    if len(at) <= n_neighbours:
        raise ValueError(
            f"{len(at)} cells have no {n_neighbours} neighbours each: take more cells, or fewer neighbours"
        )
    _, cells = next(parts(adata[at], len(at)))
    cells.obs["total_counts"] = total_counts(cells)
    drawn_by = None if groups is None else obs_table(cells)[groups].astype(str).to_numpy()
    read = _reader(model, label, token, context, batch_size) if isinstance(model, ScPrint) else model
    embedding, labels = read(cells)
    rows = []
    for name, change in changes.items():
        changed = change(cells, np.random.default_rng([seed, *name.encode()]))
        if changed.n_obs != cells.n_obs:
            raise ValueError(f"the change {name!r} made {changed.n_obs} of {cells.n_obs} cells: it must keep them all")
        new_embedding, new_labels = read(changed)
        about = {"change": name, "n_cells": cells.n_obs}
        if labels is not None and new_labels is not None:
            same = np.asarray(labels) == np.asarray(new_labels)
            low, high = share_interval(same, groups=drawn_by, seed=seed)
            rows.append(about | {"measure": "labels unchanged", "share": float(same.mean()), "low": low, "high": high})
        if embedding is not None and new_embedding is not None:
            kept = neighbours_kept(embedding, new_embedding, n_neighbours)
            share, low, high = mean_interval(kept, groups=drawn_by, seed=seed)
            rows.append(about | {"measure": "neighbours kept", "share": share, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["change", "measure", "share", "low", "high", "n_cells"])


def neighbours_kept(before: np.ndarray, after: np.ndarray, n_neighbours: int) -> np.ndarray:
    """Return the share of each cell's nearest cells in one embedding that are among those in another, (n_cells,)."""
    from sklearn.neighbors import NearestNeighbors

    first, second = (
        NearestNeighbors(n_neighbors=n_neighbours).fit(points).kneighbors(return_distance=False)
        for points in (before, after)
    )
    return np.asarray((first[:, :, None] == second[:, None, :]).any(axis=2).mean(axis=1))


def _reader(model: ScPrint, label: str, token: str | None, context: int | None, batch_size: int) -> Reader:
    def read(cells: AnnData) -> tuple[np.ndarray, np.ndarray]:
        found = encode(model, cells, context=context, batch_size=batch_size, classes=[label])
        logits = next(iter(found.class_logits.values()))
        names = [name.removesuffix("_ontology_term_id") for name in found.token_names]
        chosen = found.embeddings.mean(axis=1) if token is None else found.embeddings[:, names.index(token)]
        return chosen, logits.argmax(axis=1)

    return read
