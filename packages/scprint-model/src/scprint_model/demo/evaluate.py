"""Scores of predicted cell types in the ontology, the usual baseline of an embedding, and the noise to take away."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse, stats

from scdataloader import LabelSpace, cell_keys, draw_numbers
from scdataloader.counts import log_normalise
from scdataloader.labels import UNKNOWN, ancestors, roll_up
from scprint_model.noise import HALF_RATE

#: Broad cell classes, first match counts: neuron, glial cell, leukocyte, endothelial, epithelial, muscle, connective.
BROAD = ("CL:0000540", "CL:0000125", "CL:0000738", "CL:0000115", "CL:0000066", "CL:0000187", "CL:0002320")
#: Purposes of the draws of the noise.
_LOST, _KEPT = 1, 2


def principal_components(adata: AnnData, *, n: int = 50, seed: int = 0) -> np.ndarray:
    """Return the usual baseline embedding: `n` principal components of log counts per 10,000, shape (n_cells, n)."""
    from sklearn.decomposition import PCA

    return PCA(min(n, min(adata.shape) - 1), svd_solver="arpack", random_state=seed).fit_transform(log_normalise(adata))


def thinned(counts: sparse.csr_matrix, gene_ids: Sequence[str], rate: float, *, seed: int = 0) -> sparse.csr_matrix:
    """Return counts with the noise of `scprint_model.noise.downsample`, drawn by each cell's content, not by its place.

    Parameters
    ----------
    counts
        Raw counts, shape (n_cells, n_genes); not changed.
    gene_ids
        Names of the genes.
    rate
        Rate of the noise, between 0 and 1.
    seed
        Seed of the draws.
    """
    noisy = sparse.csr_matrix(counts, dtype=np.float32, copy=True)
    noisy.sum_duplicates()
    numbers = np.array([crc32(gene.encode()) for gene in gene_ids], dtype=np.int64)
    cells, genes = np.repeat(cell_keys(noisy, numbers), np.diff(noisy.indptr)), numbers[noisy.indices]
    lost_by, kept_by = (
        (draw_numbers((seed, purpose), cells, genes) >> np.uint64(11)) * 2.0**-53 for purpose in (_LOST, _KEPT)
    )
    lost = stats.poisson.ppf(lost_by, HALF_RATE * rate * noisy.data)
    noisy.data[:] = (noisy.data - lost).clip(min=0) * (kept_by >= HALF_RATE * rate)
    noisy.eliminate_zeros()
    return noisy


def term_scores(obs: pd.DataFrame, space: LabelSpace, *, name: str = "cell_type") -> dict[str, float]:
    """Compare predicted with given ontology terms.

    Returns
    -------
    dict
        ``share_known``: share of the labelled cells whose given label, or one below it, the model can predict at all;
        ``accuracy_known``: share of those with a right prediction (the given label or one below it);
        ``accuracy``: the same over all labelled cells; ``broad_accuracy``: share with the right broad class (neuron,
        glial cell, leukocyte, ...), and ``broad_majority``: that share if the commonest broad class were always said.
    """
    given = obs[f"{name}_ontology_term_id"].astype(str).to_numpy()
    predicted = obs[f"predicted_{name}_ontology_term_id"].astype(str).to_numpy()
    labelled = np.array([term.lower() not in UNKNOWN for term in given])
    given, predicted = given[labelled], predicted[labelled]
    if not len(given):
        return {}
    leaves = space.classes[name].leaves
    reachable = {t: any(t == leaf or t in ancestors(leaf) for leaf in leaves) for t in np.unique(given)}
    known = np.array([reachable[t] for t in given])
    right = np.array([g == p or g in ancestors(p) for g, p in zip(given, predicted, strict=True)])
    scores = {"share_known": float(known.mean()), "accuracy": float(right.mean())}
    if known.any():
        scores["accuracy_known"] = float(right[known].mean())
    broad_given, broad_predicted = roll_up(given.tolist(), BROAD), roll_up(predicted.tolist(), BROAD)
    pairs = [(g, p) for g, p in zip(broad_given, broad_predicted, strict=True) if g is not None]
    if pairs:
        scores["broad_accuracy"] = float(np.mean([g == p for g, p in pairs]))
        scores["broad_majority"] = float(pd.Series([g for g, _ in pairs]).value_counts(normalize=True).iloc[0])
    return scores
