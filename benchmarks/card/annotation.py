"""How right the names of cell types are, beside a regression and neighbours in components of the same corpus.

Right is the given label or one below it. A cell is nameable where its label, or one below it, is among those of the
training cells. The model answers and abstains as `tasks.annotate` does by default; "named right" is of the labels that
it gives where it must answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anndata
import numpy as np
from sklearn.metrics import f1_score

from benchmarks.ablation.scores import cells_of, neighbours, right_names
from benchmarks.card.opened import Opened
from benchmarks.card.rows import OURS, Row, Units, mean_rows, score_rows
from scdataloader.labels import LabelClass, current_term, is_unknown
from scprint_model import tasks

COLUMN = "predicted_cell_type"
CONFIDENT = 0.5
#: Probability with which a set of labels is to hold the right one, and what stands between its labels.
COVERAGE, BETWEEN = 0.9, " || "


@dataclass(frozen=True, eq=False)
class Said:
    """Terms that a method gives to cells, and the confidence of each, (n_cells,)."""

    terms: np.ndarray
    confidence: np.ndarray


def annotation_rows(opened: Opened, name: str, adata: anndata.AnnData, units: Units) -> list[Row]:
    """Return the rows of one set."""
    labels = np.array([current_term(term) for term in adata.obs["cell_type_ontology_term_id"].astype(str)])
    said = answers(opened, name, adata)
    outcome = {method: right_names(one.terms, labels, opened.reference) for method, one in said.items()}
    nameable = outcome[OURS][0]
    rows = mean_rows("nameable", {"all methods": nameable}, units)
    own = units.at(nameable)
    right = {method: one for method, (_, one) in outcome.items()}
    if nameable.any():
        rows += mean_rows("named right", {method: one[nameable] for method, one in right.items()}, own)
        strict = {method: (one.terms == labels)[nameable] for method, one in said.items()}
        rows += mean_rows("strictly right", strict, own)
        shown = {m: np.where(right[m], labels, one.terms)[nameable] for m, one in said.items()}
        rows += score_rows("macro-F1", {m: partial(macro_f1, labels[nameable], one) for m, one in shown.items()}, own)
    sure = {m: ~right[m] & (one.confidence > CONFIDENT) for m, one in said.items() if m != MAJORITY}
    rows += mean_rows("wrong with confidence > 0.5", sure, units)
    return rows + abstention_rows(opened, name, adata, labels, nameable, units)


MAJORITY = "commonest label of the corpus"


def answers(opened: Opened, name: str, adata: anndata.AnnData) -> dict[str, Said]:
    """Return what each method says where it must answer."""
    encoded = opened.encoded(name, adata)
    table = tasks.annotate(opened.model, adata.copy(), classes=["cell_type"], abstain=0.0, encoded=encoded)
    rival, cells = opened.components, cells_of(adata, opened.vocabulary)
    points = rival.embed(cells)
    shares = rival.regression.predict_proba(points / rival.spread)
    known = np.array([not is_unknown(term) for term in rival.labels])
    near = rival.labels[known][neighbours(points, rival.scores[known])]
    nearest = rival.nearest(cells)
    terms, n = np.unique(rival.labels[known], return_counts=True)
    ours = table[f"{COLUMN}_ontology_term_id"].astype(str).to_numpy(), table[f"{COLUMN}_confidence"].to_numpy(float)
    return {
        OURS: Said(*ours),
        "corpus PCs + logistic regression": Said(rival.regression.classes_[shares.argmax(axis=1)], shares.max(axis=1)),
        "corpus PCs + kNN": Said(nearest, (near == nearest[:, None]).mean(axis=1)),
        MAJORITY: Said(np.full(adata.n_obs, terms[n.argmax()]), np.full(adata.n_obs, n.max() / n.sum())),
    }


def abstention_rows(
    opened: Opened, name: str, adata: anndata.AnnData, labels: np.ndarray, nameable: np.ndarray, units: Units
) -> list[Row]:
    """Return what the model answers by default, of types that training sets have and of others, and how right it is.

    Where the model knows how right it is, its sets of labels are looked at, too: how often they hold the given label of
    nameable cells, or one below it, and how large they are.
    """
    knows = "cell_type" in getattr(opened.model, "confidence", {})
    more = {"sets": COVERAGE} if knows else {}
    encoded = opened.encoded(name, adata)
    table = tasks.annotate(opened.model, adata.copy(), classes=["cell_type"], encoded=encoded, **more)
    terms = table[f"{COLUMN}_ontology_term_id"].astype(str).to_numpy()
    answered = ~np.array([is_unknown(term) for term in terms])
    _, right = right_names(terms, labels, opened.reference)
    rows = mean_rows("answered", {OURS: answered}, units)
    rows += mean_rows("answered, of nameable types", {OURS: answered[nameable]}, units.at(nameable))
    rows += mean_rows("answered, of types no training set has", {OURS: answered[~nameable]}, units.at(~nameable))
    rows += mean_rows("right among answered", {OURS: right[answered]}, units.at(answered))
    both = answered & nameable
    rows += mean_rows("right among answered, of nameable types", {OURS: right[both]}, units.at(both))
    if knows:
        held = held_by(table[f"{COLUMN}_set_ontology_term_id"].astype(str).to_numpy(), labels, opened.reference)
        sizes = table[f"{COLUMN}_set_size"].to_numpy(np.float64)
        own = units.at(nameable)
        rows += mean_rows(f"label in the set of {COVERAGE:.0%}, of nameable types", {OURS: held[nameable]}, own)
        rows += mean_rows(f"size of the set of {COVERAGE:.0%}, of nameable types", {OURS: sizes[nameable]}, own)
    return rows


def held_by(sets: np.ndarray, labels: np.ndarray, space: LabelClass) -> np.ndarray:
    """Return whether each cell's set of terms, joined by ``||``, holds its label or one below it."""
    split = [one.split(BETWEEN) for one in sets]
    cells = np.repeat(np.arange(len(sets)), [len(one) for one in split])
    _, right = right_names(np.concatenate(split), labels[cells], space)
    return np.bincount(cells, right, minlength=len(sets)) > 0


def macro_f1(truth: np.ndarray, said: np.ndarray, at: np.ndarray) -> float:
    """Return the mean F1 over the given labels of the cells at some places; any other name is wrong."""
    kinds = np.unique(truth[at])
    return float(f1_score(truth[at], said[at], labels=kinds, average="macro", zero_division=0))
