"""Score how often the nearest neighbours of held-out cells tell their batch and label, beside principal components."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from scprint_model.finetuning.cells import Cells, Parts
from scprint_model.finetuning.rivals import MAJORITY, PrincipalComponents
from scprint_model.finetuning.scores import AFTER, BEFORE, rows_of
from scprint_model.finetuning.train import Aims
from scprint_model.intervals import score_table
from scprint_model.metrics import neighbour_votes

COMPONENTS = "principal components"


def neighbour_scores(
    before: Tensor,
    after: Tensor,
    aims: Aims,
    cells: Cells,
    parts: Parts,
    *,
    groups: np.ndarray | None,
    unit: str,
    seed: int,
) -> dict[str, Any]:
    """Return how well the ten nearest cells that were learned from tell a held-out cell's batch and first label.

    Of batches, what the commonest batch reaches is the best that there is: a batch that no neighbour tells.

    Parameters
    ----------
    before, after
        (n_cells, T, d) embeddings of all cells; the mean of their tokens is looked at.
    aims
        Batches and labels.
    cells, parts
        The cells, those to learn from and those to score on.
    groups, unit
        Group of each cell, such as its donor, from which intervals are drawn, and the word for it; None: cells alone.
    seed
        Seed for the draws.

    Returns
    -------
    dict
        ``"batch"``, and the name of the first class, to: ``n_cells``; ``held_out``, a row a method (`BEFORE`, `AFTER`,
        principal components, the commonest one) with its scores and their intervals; ``differences``, the accuracy of
        `AFTER` less each other one; ``interval``, what the intervals are of. Empty without batches.
    """
    if aims.batches is None:
        return {}
    told, held = parts.train, parts.held_out
    components = PrincipalComponents(cells, parts, seed)
    places = {
        BEFORE: (before.mean(dim=1).numpy()[told], before.mean(dim=1).numpy()[held]),
        COMPONENTS: (components(told), components(held)),
        AFTER: (after.mean(dim=1).numpy()[told], after.mean(dim=1).numpy()[held]),
    }
    found: dict[str, Any] = {}
    columns = {"batch": aims.batches.numpy()} | ({aims.names[0]: aims.codes[:, 0].numpy()} if aims.names else {})
    for name, codes in columns.items():
        known = codes[held] >= 0
        if not known.any() or not (codes[told] >= 0).any():
            continue
        commonest = np.bincount(codes[told][codes[told] >= 0]).argmax()
        said = {MAJORITY if name != "batch" else "commonest batch": np.full(len(held), commonest)}
        said |= {method: neighbour_votes(here, codes[told], there) for method, (here, there) in places.items()}
        table = score_table(
            said,
            codes[held],
            {method: values == codes[held] for method, values in said.items()},
            reference=AFTER,
            groups=None if groups is None else groups[held],
            unit=unit,
            seed=seed,
        )
        found[name] = {
            "n_cells": table.n_cells,
            "held_out": rows_of(table.table),
            "differences": rows_of(table.differences),
            "interval": {"unit": unit if table.n_groups else "cell", "n_groups": table.n_groups, "note": table.note},
        }
    return found
