"""Profiles of cells by ours and by published methods, all from the same counts."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import anndata
import numpy as np
from scipy import sparse

from benchmarks.denoising.knn_smoothing import knn_smoothing
from benchmarks.peer import run_peer
from scprint_model import ScPrint, tasks
from scprint_model.genes import match_genes
from scprint_model.tasks.neighbours import nearest_cells, posterior_counts, with_neighbours

PEERS = Path(__file__).parent / "peers"
SCRIPTS = {
    "MAGIC": ("magic", "magic_peer.py"),
    "ALRA": ("alra", "alra_peer.py"),
    "scVI": ("scvi", "scvi_peer.py"),
}
#: The counts that are left, beside which gains are taken.
NOISED = "noised profile"
N_NEIGHBOURS = 15


def profiles(
    model: ScPrint,
    noised: anndata.AnnData,
    at: np.ndarray,
    genes: np.ndarray,
    *,
    epochs: int,
    peers: Collection[str],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return profiles of the cells `at` over some genes, (len(at), len(genes)), on any scale a cell, by method.

    Parameters
    ----------
    model
        Our model.
    noised
        All cells, with the counts that are left.
    at
        Places of the cells whose profiles are asked for.
    genes
        Names of the genes.
    epochs
        Number of epochs that scVI is trained for.
    peers
        Published methods of `SCRIPTS` that are run, in environments of their own.
    seed
        Seed of all methods.
    """
    nearest = nearest_cells(noised, match_genes(model.vocabulary, noised), N_NEIGHBOURS)
    alone = tasks.denoise(model, noised[at].copy(), genes=genes.tolist(), depth_multiplier=1.0, batch_size=8)
    expected = np.asarray(alone[:, genes].X)
    places = noised.var_names.get_indexer(genes)
    counts = noised.X.tocsc()[:, places].toarray().astype(np.float64)
    own, pooled = counts[at], counts[at] + counts[nearest[at]].sum(axis=1)
    mean = np.tile(counts.mean(axis=0), (len(at), 1))
    found = {
        NOISED: own,
        "mean profile": mean,
        "scPRINT": expected,
        "scPRINT, neighbours=15": with_neighbours(expected, pooled),
        "scPRINT, its posterior": posterior_counts(own, with_neighbours(expected, pooled - own)),
        "15 neighbours added up": pooled,
        "mean profile x neighbours, no model": with_neighbours(mean, pooled),
        "kNN-smoothing 2": knn_smoothing(noised.X, N_NEIGHBOURS, seed=seed)[at][:, places].toarray(),
    }
    if not peers:
        return found
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sparse.save_npz(folder / "counts.npz", noised.X)
        np.save(folder / "cells.npy", at)
        np.save(folder / "genes.npy", places)
        for method in peers:
            environment, script = SCRIPTS[method]
            (folder / "profiles.npy").unlink(missing_ok=True)
            told = run_peer(PEERS / script, environment, [str(folder), str(seed), str(epochs)], methods=[method])
            if told is not None:
                found[method] = np.load(folder / "profiles.npy")
    return found
