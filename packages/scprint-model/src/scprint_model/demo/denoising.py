"""The demo's test of denoising: counts are taken away and predicted back, beside what needs no model."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from grnndata import tl
from scdataloader.counts import csr_counts, total_counts
from scprint_model.demo import evaluate, scored
from scprint_model.genes import match_genes, shared_genes
from scprint_model.model import ScPrint
from scprint_model.noise import HALF_RATE
from scprint_model.tables import tables
from scprint_model.tasks import denoise
from scprint_model.tasks.neighbours import nearest_cells, neighbour_counts, with_neighbours

#: Down-sampling rate of the test, as in the paper's benchmark.
NOISE = 0.7
#: Genes over which denoising is tested.
N_GENES = 1000
#: Cells that join in, as for ``denoise(neighbours=...)``.
NEIGHBOURS = 15
ALONE = f"{scored.OURS} alone"
TOGETHER = f"{scored.OURS} with {NEIGHBOURS} neighbours"


def denoising_test(
    model: ScPrint, cells: AnnData, donors: np.ndarray | None, seed: int
) -> tuple[AnnData, list[scored.Row]]:
    """Take counts away, predict them back, and correlate with the truth, beside what needs no model.

    Parameters
    ----------
    model
        Trained model.
    cells
        Cleaned cells with raw counts; not changed.
    donors
        Donor of each cell; None: intervals are of cells alone.
    seed
        Seed for the counts that are taken away.

    Returns
    -------
    anndata.AnnData, list
        Down-sampled cells with the counts that the model expects in X, those with neighbours and the true ones as
        layers; and a row of scores for each profile.
    """
    noisy = cells.copy()
    noisy.X = evaluate.thinned(csr_counts(cells), cells.var_names.tolist(), NOISE, seed=seed)
    noisy.obs["total_counts"] = np.asarray(noisy.X.sum(axis=1)).ravel()
    known = cells[:, shared_genes(tables(model)[0], cells)]
    genes = tl.most_variable_genes(known, N_GENES).tolist()
    deeper = (1 - HALF_RATE * NOISE) ** -2
    denoised = denoise(model, noisy, genes=genes, depth_multiplier=deeper)
    true_counts = csr_counts(cells[:, denoised.var_names])
    thinned = csr_counts(noisy[:, denoised.var_names]).toarray()
    smoothed = thinned + _of_nearest(model, noisy, denoised.var_names.tolist())
    # what denoise(neighbours=NEIGHBOURS) gives, without a second pass of the model
    together = with_neighbours(np.asarray(denoised.X), smoothed).astype(np.float32)
    denoised.layers["with_neighbours"], denoised.layers["true_counts"] = together, true_counts
    truth = true_counts.toarray()
    depth = np.maximum(total_counts(noisy), 1)[:, None]
    profiles = {
        "down-sampled": thinned,
        "mean of all cells": np.broadcast_to((thinned / depth).mean(axis=0), truth.shape),
        f"mean with {NEIGHBOURS} nearest cells": smoothed,
        ALONE: np.asarray(denoised.X),
        TOGETHER: together,
    }
    return denoised, scored.denoising_rows(truth, profiles, groups=donors, reference=TOGETHER)


def _of_nearest(model: ScPrint, noisy: AnnData, genes: list[str]) -> np.ndarray:
    """Return the counts of each cell's nearest cells, added up: smoothing without a model."""
    known = match_genes(tables(model)[0], noisy)
    names = noisy.var_names[known.columns].tolist()
    place = {name: i for i, name in enumerate(names)}
    nearest = nearest_cells(noisy, known, NEIGHBOURS)
    return neighbour_counts(noisy, known, np.array([place[name] for name in genes]), nearest)
