"""Scores of predicted cell types in the ontology, the usual baseline of an embedding, and the noise to take away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, stats

from scdataloader import LabelSpace, cell_keys, draw_numbers
from scdataloader.labels import UNKNOWN, ancestors, roll_up
from scprint_model.cell_features import gene_numbers, keys_of, principal_components
from scprint_model.noise import HALF_RATE

__all__ = ["TermOutcomes", "keys_of", "principal_components", "term_outcomes", "term_scores", "thinned"]

#: Broad cell classes, first match counts: neuron, glial cell, leukocyte, endothelial, epithelial, muscle, connective.
BROAD = ("CL:0000540", "CL:0000125", "CL:0000738", "CL:0000115", "CL:0000066", "CL:0000187", "CL:0002320")
#: Purposes of the draws of the noise.
_LOST, _KEPT = 1, 2
#: Counts up to this one are common.
_SMALL = 50


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
    numbers = gene_numbers(gene_ids)
    cells, genes = np.repeat(cell_keys(noisy, numbers), np.diff(noisy.indptr)), numbers[noisy.indices]
    lost_by, kept_by = (
        (draw_numbers((seed, purpose), cells, genes) >> np.uint64(11)) * 2.0**-53 for purpose in (_LOST, _KEPT)
    )
    lost = _poisson_quantiles(lost_by, noisy.data, HALF_RATE * rate)
    noisy.data[:] = (noisy.data - lost).clip(min=0) * (kept_by >= HALF_RATE * rate)
    noisy.eliminate_zeros()
    return noisy


def _poisson_quantiles(shares: np.ndarray, counts: np.ndarray, rate: float) -> np.ndarray:
    """Return the quantile of each share, below 1, in the Poisson distribution with mean rate × count.

    That of small counts, which are nearly all, is looked up in a table a count: as ``scipy.stats.poisson.ppf``, which
    takes twenty times as long.
    """
    found = np.empty(len(counts))
    small = counts <= _SMALL
    found[~small] = stats.poisson.ppf(shares[~small], rate * counts[~small])
    for count in np.unique(counts[small]):
        at = np.flatnonzero(counts == count)
        most = stats.poisson.ppf(1 - 2.0**-53, rate * count)  # of the largest share
        found[at] = np.searchsorted(stats.poisson.cdf(np.arange(most + 1), rate * count), shares[at])
    return found


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
    found = term_outcomes(obs, space, name=name)
    if found is None:
        return {}
    scores = {"share_known": float(found.known.mean()), "accuracy": float(found.right.mean())}
    if found.known.any():
        scores["accuracy_known"] = float(found.right[found.known].mean())
    if len(found.broad_right):
        scores["broad_accuracy"] = float(found.broad_right.mean())
        scores["broad_majority"] = float(found.broad_commonest.mean())
    return scores


@dataclass(frozen=True, eq=False)
class TermOutcomes:
    """Outcome of each cell's predicted ontology term.

    Attributes
    ----------
    labelled
        Whether each cell has a given label, (B,). All that follows is of the labelled cells, in order.
    answered
        Whether there is a prediction: a cell that the model is unsure of is left "unknown", and that is not right.
    right
        Whether the prediction is the given label or one below it.
    known
        Whether the model can predict the given label, or one below it, at all.
    has_broad
        Whether the given label is of a broad class.
    broad_right
        Of the cells of a broad class, whether the predicted one is the same.
    broad_commonest
        Of these cells, whether their broad class is the commonest one.
    """

    labelled: np.ndarray
    answered: np.ndarray
    right: np.ndarray
    known: np.ndarray
    has_broad: np.ndarray
    broad_right: np.ndarray
    broad_commonest: np.ndarray


def term_outcomes(obs: pd.DataFrame, space: LabelSpace, *, name: str = "cell_type") -> TermOutcomes | None:
    """Compare predicted with given ontology terms, cell by cell; None where no cell has a given label."""
    given = obs[f"{name}_ontology_term_id"].astype(str).to_numpy()
    predicted = obs[f"predicted_{name}_ontology_term_id"].astype(str).to_numpy()
    labelled = np.array([term.lower() not in UNKNOWN for term in given])
    given, predicted = given[labelled], predicted[labelled]
    if not len(given):
        return None
    leaves = space.classes[name].leaves
    reachable = {t: any(t == leaf or t in ancestors(leaf) for leaf in leaves) for t in np.unique(given)}
    pairs = pd.MultiIndex.from_arrays([given, predicted])
    fits = {(g, p): g == p or g in ancestors(p) for g, p in pairs.unique()}
    broad_given, broad_predicted = (
        np.array(roll_up(each.tolist(), BROAD), dtype=object) for each in (given, predicted)
    )
    has_broad = np.array([one is not None for one in broad_given], dtype=bool)
    counts = pd.Series(broad_given[has_broad]).value_counts()
    commonest = counts[counts == counts.max()].index.min() if len(counts) else None
    return TermOutcomes(
        labelled=labelled,
        answered=np.array([term.lower() not in UNKNOWN for term in predicted], dtype=bool),
        right=np.array([fits[pair] for pair in pairs], dtype=bool),
        known=np.array([reachable[t] for t in given], dtype=bool),
        has_broad=has_broad,
        broad_right=(broad_given == broad_predicted)[has_broad],
        broad_commonest=(broad_given == commonest)[has_broad],
    )
