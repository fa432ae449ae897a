"""Neighbours of the same type, the share of depth, and the mixing of batches, in the model's embedding and others."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import anndata
import numpy as np
from scipy import sparse

from benchmarks.ablation.scores import cells_of
from benchmarks.card.mixing import mixing
from benchmarks.card.opened import Opened, linear_part
from benchmarks.card.rows import OURS, Row, Units, mean_rows, score_rows
from benchmarks.integration.scores import PEERS
from benchmarks.peer import run_peer
from scdataloader.counts import log_normalise
from scprint_model import tasks
from scprint_model.cell_features import principal_components
from scprint_model.metrics import agreeing_cells, depth_share

#: What a random projection is to.
PROJECTED = 256
HARMONY = "Harmony"
#: Embeddings whose mixing is measured.
MIXED = (OURS, "64 corpus PCs", "50 own PCs", HARMONY)


def embedding_rows(opened: Opened, name: str, adata: anndata.AnnData, units: Units, *, mixed: bool) -> list[Row]:
    """Return the rows of one set."""
    found = embeddings(opened, name, adata)
    labels, totals = adata.obs["cell_type"].to_numpy(str), np.asarray(adata.X.sum(axis=1)).ravel()
    rows = mean_rows("kNN agreement", {method: agreeing_cells(one, labels) for method, one in found.items()}, units)
    shares = {method: partial(_depth_share, one, totals) for method, one in found.items()}
    rows += score_rows("share of depth", shares, units)
    if mixed:
        batches = adata.obs["batch"].to_numpy(str)
        of_method = {method: mixing(found[method], labels, batches) for method in MIXED if method in found}
        cells = of_method[OURS][0]
        rows += mean_rows("mixing", {method: shares for method, (_, shares) in of_method.items()}, units.at(cells))
    return rows


def _depth_share(points: np.ndarray, totals: np.ndarray, at: np.ndarray) -> float:
    return depth_share(points[at], totals[at])


def embeddings(opened: Opened, name: str, adata: anndata.AnnData) -> dict[str, np.ndarray]:
    """Return embeddings of the same cells by method."""
    seed = opened.given.seed
    encoded = opened.encoded(name, adata)
    found = {
        OURS: tasks.embed(opened.model, adata.copy(), encoded=encoded),
        "untrained network": tasks.embed(opened.untrained, adata.copy(), seed=seed),
    }
    if opened.model.config.profile_tokens:
        mean, spread = opened.linear
        found["linear part alone"] = (linear_part(opened.model, adata) - mean) / spread
    found["64 corpus PCs"] = opened.components.embed(cells_of(adata, opened.vocabulary))
    found["50 own PCs"] = principal_components(adata, seed=seed)
    if "batch" in adata.obs:
        corrected = harmony(found["50 own PCs"], adata, seed)
        found |= {} if corrected is None else {HARMONY: corrected}
    found["random projection"] = random_projection(adata, seed)
    return found


def harmony(components: np.ndarray, adata: anndata.AnnData, seed: int) -> np.ndarray | None:
    """Return Harmony's correction of principal components for batches, in its own environment; None if it fails."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        np.save(folder / "components.npy", components)
        adata.obs[["batch"]].to_csv(folder / "cells.csv", index=False)
        told = run_peer(PEERS / "harmony.py", "harmony", [str(folder), str(seed)], methods=[HARMONY])
        return None if told is None else np.load(folder / f"{HARMONY}.npy")


def random_projection(adata: anndata.AnnData, seed: int) -> np.ndarray:
    """Return log counts per 10,000 projected at random."""
    directions = np.random.default_rng(seed).standard_normal((adata.n_vars, PROJECTED))
    return np.asarray(sparse.csr_matrix(log_normalise(adata)) @ directions)
