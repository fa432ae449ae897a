"""The scores of a fine-tuning on held-out cells, beside those of simple rivals, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from scprint_model.finetuning.cells import Cells, Parts
from scprint_model.finetuning.regression import Regression
from scprint_model.finetuning.rivals import PrincipalComponents, rival_predictions
from scprint_model.finetuning.train import Aims
from scprint_model.intervals import score_table
from scprint_model.metrics import is_right

BEFORE, AFTER = "before", "after"
#: Columns of a table of scores as people read them.
_SHOWN = {"accuracy": "accuracy", "macro_f1": "macro F1", "difference": "after, less this"}


def compare(
    predicted: Mapping[str, Mapping[str, np.ndarray]],
    aims: Aims,
    cells: Cells,
    parts: Parts,
    *,
    embeddings: np.ndarray,
    regressions: Mapping[str, Regression],
    groups: np.ndarray | None,
    unit: str,
    seed: int,
    new: Collection[str] = (),
) -> dict[str, Any]:
    """Return the scores of each class as JSON has them.

    Parameters
    ----------
    predicted
        ``"before"`` and ``"after"`` to each class's predicted codes of all cells, (n_cells,).
    aims
        Classes and labels.
    cells
        The cells, for their counts.
    parts
        Cells to learn from, to choose by and to score on.
    embeddings
        (n_cells, F) embedding from before the network learned, all tokens side by side.
    regressions
        Regression on it of each class.
    groups
        Group of each cell, such as its donor, from which intervals are drawn; None: cells alone.
    unit
        Word for such a group.
    seed
        Seed for the draws.
    new
        Classes that the model did not have, whose head of before is a random one.

    Returns
    -------
    dict
        For each class: ``is_new``, whether the model did not have it, so that its row of ``"before"`` means nothing;
        ``held_out``, a row a method with its scores and their intervals; ``differences``, a row a
        method with the accuracy of ``"after"`` less its own; ``interval``, what the intervals are of; ``validation``,
        the accuracy of the regression and of ``"after"`` on the cells that it was chosen by; ``n_cells`` with a label;
        ``commonest_share``, the share of these that have the label which is commonest among them; ``unseen_share``, the
        share of these whose label no cell to learn from has: no method can name it.
    """
    components = PrincipalComponents(cells, parts, seed)
    found: dict[str, Any] = {}
    for c, name in enumerate(aims.names):
        codes, below = aims.codes[:, c].numpy(), aims.descendants[c]
        held = parts.held_out[codes[parts.held_out] >= 0]
        if not len(held):
            found[name] = {"n_cells": 0}
            continue
        rivals = rival_predictions(
            aims.outputs(c),
            parts,
            np.concatenate([held, parts.validation]),
            regression=regressions[name],
            embeddings=embeddings,
            components=components,
            keys=cells.keys,
            seed=seed,
        )
        said = {method: values[: len(held)] for method, values in rivals.items()}
        said |= {when: predicted[when][name][held] for when in (BEFORE, AFTER)}
        labels = torch.from_numpy(codes[held])
        right = {method: is_right(torch.from_numpy(v), labels, below).numpy() for method, v in said.items()}
        table = score_table(
            {method: aims.classes[c].said(outputs) for method, outputs in said.items()},
            codes[held],
            right,
            reference=AFTER,
            groups=None if groups is None else groups[held],
            unit=unit,
            seed=seed,
        )
        stop = parts.validation[codes[parts.validation] >= 0]
        on_validation = {method: values[len(held) :][codes[parts.validation] >= 0] for method, values in rivals.items()}
        on_validation[AFTER] = predicted[AFTER][name][stop]
        told = torch.from_numpy(codes[stop])
        found[name] = {
            "n_cells": table.n_cells,
            "is_new": name in new,
            "commonest_share": float(np.bincount(codes[held]).max() / len(held)),
            "unseen_share": float(np.mean(~np.isin(codes[held], codes[parts.train]))),
            "held_out": rows_of(table.table),
            "differences": rows_of(table.differences),
            "interval": {"unit": unit if table.n_groups else "cell", "n_groups": table.n_groups, "note": table.note},
            "validation": {
                method: _number(float(is_right(torch.from_numpy(values), told, below).double().mean()))
                for method, values in on_validation.items()
            },
        }
    return found


def text_of(scores: Mapping[str, Any]) -> str:
    """Return the scores of one class as a table to read, and what its intervals are of."""
    if not scores["n_cells"]:
        return "no held-out cell has a label"
    gaps = {row["method"]: row for row in scores["differences"]}
    rows = []
    for row in scores["held_out"]:
        shown = {"method": row["method"]}
        for source, name in ((row, "accuracy"), (row, "macro_f1"), (gaps.get(row["method"]), "difference")):
            shown[_SHOWN[name]] = "" if source is None else _with_interval(source, name)
        rows.append(shown)
    lines = pd.DataFrame(rows).to_string(index=False, justify="left").splitlines()
    told = f"{scores['interval']['note']}. Of these cells {scores['commonest_share']:.3f} have their commonest label"
    if scores["unseen_share"]:
        told += f", and {scores['unseen_share']:.3f} one that no cell to learn from has"
    if scores["is_new"]:
        told += f". The model had no such class: {BEFORE!r} is a random head, and means nothing"
    return "\n".join([*lines, f"{told}."])


def text_of_neighbours(scores: Mapping[str, Any]) -> str:
    """Return what the neighbours of held-out cells tell as a table to read, and what its intervals are of."""
    gaps = {row["method"]: row for row in scores["differences"]}
    rows = [
        {
            "by neighbours, in": row["method"],
            "accuracy": _with_interval(row, "accuracy"),
            _SHOWN["difference"]: _with_interval(gaps[row["method"]], "difference") if row["method"] in gaps else "",
        }
        for row in scores["held_out"]
    ]
    lines = pd.DataFrame(rows).to_string(index=False, justify="left").splitlines()
    return "\n".join([*lines, f"{scores['interval']['note']}."])


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    sign = "+" if name == "difference" else ""
    if row[f"{name}_low"] is None:
        return format(row[name], f"{sign}.3f")
    low, high = (format(row[f"{name}_{end}"], f"{sign}.3f") for end in ("low", "high"))
    return f"{format(row[name], f'{sign}.3f')} [{low}, {high}]"


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON has them."""
    return [
        {str(k): _number(v) if isinstance(v, float) else v for k, v in row.items()} for row in table.to_dict("records")
    ]


def _number(value: float) -> float | None:
    """Return a number as JSON has it."""
    return None if math.isnan(value) else value
