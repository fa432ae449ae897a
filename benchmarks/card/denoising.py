"""How near profiles are to counts that were taken away, in cells of all types and of rare ones."""

from __future__ import annotations

import anndata
import numpy as np

from benchmarks.card.opened import Opened
from benchmarks.card.rows import Row, Units, mean_rows
from benchmarks.denoising.methods import NOISED
from benchmarks.denoising.scores import cell_scores, drawn_cells

OURS = "scPRINT, neighbours=15"
METHODS = (OURS, "scPRINT", "MAGIC", "kNN-smoothing 2", "mean profile x neighbours, no model", "mean profile", NOISED)
#: Over all genes, the estimate that keeps what was counted.
POSTERIOR = "scPRINT, its posterior"
#: Cells that are scored, at most, of all types and as many of rare ones.
SCORED = 60
N_GENES, RATE = 1000, 0.7


def denoising_rows(opened: Opened, adata: anndata.AnnData) -> list[Row]:
    """Return the rows of one set. Intervals are over cells."""
    seed = opened.given.seed
    sizes = {"n_cells": min(SCORED, adata.n_obs // 4), "n_genes": N_GENES, "rate": RATE}
    found = cell_scores(
        opened.model, drawn_cells(adata, adata.n_obs, seed), "paper", **sizes, peers=("MAGIC",), seed=seed
    )
    rows: list[Row] = []
    for kind, way, _, scores in found:
        over_all = way == "all genes"
        ours, methods = (POSTERIOR, (POSTERIOR, "scPRINT", NOISED)) if over_all else (OURS, METHODS)
        values = {method: scores[method] for method in methods if method in scores}
        known = np.all([np.isfinite(one) for one in values.values()], axis=0)
        measure = f"denoising, {kind}{', over all genes' if over_all else ''}"
        kept = {method: one[known] for method, one in values.items()}
        rows += mean_rows(measure, kept, Units(int(known.sum())), ours=ours)
    return rows
