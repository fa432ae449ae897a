"""The demo's scores of cells: each with its interval, beside what simple methods reach on the same cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scdataloader import LabelSpace
from scdataloader.counts import csr_counts, obs_table
from scprint_model.cell_features import N_COMPONENTS
from scprint_model.cross_validation import cross_validated
from scprint_model.demo import evaluate
from scprint_model.demo.figures import content_order
from scprint_model.intervals import mean_interval, score_table, share_interval
from scprint_model.metrics import agreeing_cells, spearman

OURS = "scPRINT"

type Row = dict[str, Any]


def embedding_rows(
    embedding: np.ndarray, components: np.ndarray, labels: pd.Series, *, groups: np.ndarray | None, seed: int
) -> list[Row]:
    """Return how often ten neighbours agree on a cell's label, in the embedding and beside it, and the differences.

    Parameters
    ----------
    embedding, components
        Embedding of the cells and their principal components, (B, d) each.
    labels
        Label of each cell.
    groups
        Donor of each cell, from which intervals are drawn; None: cells alone.
    seed
        Seed for the labels that are shuffled, and the draws.
    """
    given = labels.to_numpy()
    order = content_order(embedding)
    shuffled = np.empty_like(given)
    shuffled[order] = np.random.default_rng(seed).permutation(given[order])
    agrees = {
        OURS: agreeing_cells(embedding, given),
        f"{components.shape[1]} principal components": agreeing_cells(components, given),
        f"{OURS}, labels shuffled": agreeing_cells(embedding, shuffled),
    }
    rows = [_share(name, right, groups, seed) for name, right in agrees.items() if len(right)]
    for row in rows[1:]:
        row |= _mean(agrees[OURS].astype(float) - agrees[row["method"]], groups, "difference")
    return rows


def annotation_scores(
    cells: AnnData,
    space: LabelSpace,
    *,
    embedding: np.ndarray,
    components: np.ndarray,
    groups: np.ndarray | None,
    unit: str,
    seed: int,
) -> dict[str, Any]:
    """Return how right the predicted cell types are, beside the commonest one and cross-validated regressions.

    Parameters
    ----------
    cells
        Cells with predictions, and ontology terms where cell types are given.
    space
        Labels that the model can predict.
    embedding, components
        Embedding of the cells and their principal components, (B, d) each.
    groups, unit
        Donor of each cell and the word for it; None: intervals are of cells alone.
    seed
        Seed for folds and draws.

    Returns
    -------
    dict
        What `evaluate.term_scores` gives; ``shares``, a row for each of these with its interval, and for how many cells
        were given a label at all; ``methods``, a row a method with accuracy and macro F1 over the labelled cells, their
        intervals, and the accuracy of the model less its own; ``pairs``, a row for each given and predicted type with
        the number of cells and whether they agree. Empty where no cell has a given label.
    """
    obs = obs_table(cells)
    found = evaluate.term_outcomes(obs, space)
    if found is None:
        return {}
    at = np.flatnonzero(found.labelled)
    own = None if groups is None else groups[at]
    names, codes = np.unique(obs["cell_type_ontology_term_id"].astype(str).to_numpy()[at], return_inverse=True)
    codes, n = codes.ravel(), len(names)
    wrong = pd.factorize(obs["predicted_cell_type_ontology_term_id"].astype(str).to_numpy()[at])[0] + n
    keys = evaluate.keys_of(csr_counts(cells), cells.var_names.tolist())[at]
    said = {
        OURS: np.where(found.right, codes, wrong),
        "commonest label": np.full(len(at), np.bincount(codes).argmax()),
        "principal components + regression": cross_validated(
            components[at, :N_COMPONENTS], codes, keys=keys, groups=own, seed=seed
        ),
        "embedding + regression": cross_validated(embedding[at], codes, keys=keys, groups=own, seed=seed),
    }
    right = {name: values == codes for name, values in said.items()}
    scored = score_table(said, codes, right, reference=OURS, groups=own, unit=unit, seed=seed)
    methods = scored.table.merge(scored.differences, on="method", how="left")
    shares = [_share("of a type that the model can name", found.known, own, seed)]
    if found.known.any():
        of_known = None if own is None else own[found.known]
        shares.append(_share("of these named right", found.right[found.known], of_known, seed))
    shares.append(_share("given a label, of all", found.answered, own, seed))
    if found.answered.any():
        of_answered = None if own is None else own[found.answered]
        shares.append(_share("of the given labels right", found.right[found.answered], of_answered, seed))
    if not found.known.all() and not found.answered.all():
        unnameable = None if own is None else own[~found.known]
        left = ~found.answered[~found.known]
        shares.append(_share("of the types that it cannot name, left open", left, unnameable, seed))
    if len(found.broad_right):
        broad = None if own is None else own[found.has_broad]
        shares.append(_share("broad class right", found.broad_right, broad, seed))
        shares.append(_share("broad class, always the commonest", found.broad_commonest, broad, seed))
    rows = [{key: _number(value) for key, value in row.items()} for row in methods.to_dict("records")]
    pairs = pd.DataFrame(
        {"given": _names(obs, "", at), "predicted": _names(obs, "predicted_", at), "right": found.right}
    )
    counted = pairs.value_counts(sort=True).rename("cells").reset_index()
    counted = counted.sort_values(["cells", "given", "predicted"], ascending=[False, True, True])
    return evaluate.term_scores(obs, space) | {"shares": shares, "methods": rows, "pairs": counted.to_dict("records")}


def _names(obs: pd.DataFrame, prefix: str, at: np.ndarray) -> np.ndarray:
    """Return the names of cell types, or their terms where there are no names."""
    name = f"{prefix}cell_type"
    return obs[name if name in obs else f"{name}_ontology_term_id"].astype(str).to_numpy()[at]


def denoising_rows(
    truth: np.ndarray, profiles: dict[str, np.ndarray], *, groups: np.ndarray | None, reference: str = OURS
) -> list[Row]:
    """Return the mean Spearman correlation of each profile with the true counts, and the reference's less each other.

    Parameters
    ----------
    truth
        True counts, (B, S).
    profiles
        Name to predicted counts of the same shape.
    groups
        Donor of each cell; None: intervals are of cells alone.
    reference
        Name of the profile that the others are compared with.
    """
    true = torch.from_numpy(np.ascontiguousarray(truth))
    each = {name: spearman(true, torch.from_numpy(np.array(values))).numpy() for name, values in profiles.items()}
    rows = []
    for name, values in each.items():
        row = _mean(values, groups, "value") | {"method": name}
        if name != reference:
            row |= _mean(each[reference] - values, groups, "difference")
        rows.append(row)
    return rows


def _share(name: str, right: np.ndarray, groups: np.ndarray | None, seed: int) -> Row:
    low, high = share_interval(right, groups=groups, seed=seed)
    return {"method": name, "value": float(right.mean()), "value_low": low, "value_high": high}


def _mean(values: np.ndarray, groups: np.ndarray | None, name: str) -> Row:
    known = ~np.isnan(values)
    if not known.any():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    mean, low, high = mean_interval(values[known], groups=None if groups is None else groups[known])
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _number(value: Any) -> Any:
    """Return a value as JSON has it: None for NaN."""
    return None if isinstance(value, float) and np.isnan(value) else value
