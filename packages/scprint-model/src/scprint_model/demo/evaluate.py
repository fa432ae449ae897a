"""How good embedding, labels and denoising are where the truth is known, beside simple baselines."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import ConstantInputWarning, spearmanr

from scdataloader import LabelSpace
from scdataloader.counts import log_normalise
from scdataloader.ontology import UNKNOWN, ancestors, roll_up

#: Broad cell classes, first match counts: neuron, glial cell, leukocyte, endothelial, epithelial, muscle, connective.
BROAD = ("CL:0000540", "CL:0000125", "CL:0000738", "CL:0000115", "CL:0000066", "CL:0000187", "CL:0002320")


def neighbour_agreement(embedding: np.ndarray, labels: np.ndarray, *, n_neighbours: int = 10) -> float:
    """Share of cells whose nearest neighbours (without themselves), by majority, have their label.

    Parameters
    ----------
    embedding
        Shape (n_cells, d).
    labels
        Shape (n_cells,).
    n_neighbours
        k; fewer where there are not so many cells.
    """
    from sklearn.neighbors import NearestNeighbors

    codes = pd.factorize(labels)[0]
    k = min(n_neighbours, len(codes) - 1)
    neighbours = NearestNeighbors(n_neighbors=k).fit(embedding).kneighbors(return_distance=False)
    votes = np.zeros((len(codes), codes.max() + 1))
    np.add.at(votes, (np.arange(len(codes))[:, None], codes[neighbours]), 1)
    return float((votes.argmax(axis=1) == codes).mean())


def principal_components(adata: AnnData, *, n: int = 50, seed: int = 0) -> np.ndarray:
    """Return the usual baseline embedding: `n` principal components of log counts per 10,000, shape (n_cells, n)."""
    from sklearn.decomposition import PCA

    return PCA(min(n, min(adata.shape) - 1), svd_solver="arpack", random_state=seed).fit_transform(log_normalise(adata))


def label_scores(obs: pd.DataFrame, space: LabelSpace, *, name: str = "cell_type") -> dict[str, float]:
    """Compare predicted with given labels.

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


def denoising_scores(truth: np.ndarray, profiles: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean over cells of the Spearman correlation with the true counts, over the genes that the cell truly expresses.

    Parameters
    ----------
    truth
        True counts, shape (n_cells, n_genes).
    profiles
        Name to what is compared with them, same shape. A profile that is constant over a cell's genes counts 0.

    Notes
    -----
    scPRINT paper, Methods, "Denoising benchmarks".
    """
    return {name: float(np.mean(_per_cell(truth, values))) for name, values in profiles.items()}


def _per_cell(truth: np.ndarray, values: np.ndarray) -> list[float]:
    out: list[float] = []
    for true_cell, cell in zip(truth, values, strict=True):
        expressed = true_cell > 0
        if expressed.sum() < 3 or np.ptp(true_cell[expressed]) == 0:
            continue  # a correlation with a constant truth does not exist
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            out.append(float(np.nan_to_num(spearmanr(true_cell[expressed], cell[expressed]).statistic)))
    return out
