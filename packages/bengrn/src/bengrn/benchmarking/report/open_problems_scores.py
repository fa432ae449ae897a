"""Scores as the tasks of Open Problems in Single-Cell Analysis write them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from bengrn.benchmarking.columns import HELD_OUT, SCORES

#: Description of the form: the score file of task_grn_inference, in the version of this commit of its repository.
FORM = "openproblems-bio/task_grn_inference, src/api/file_score_h5ad.yaml, commit 065225d"


def score_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the score records of a table: what the ``uns`` of an Open Problems score file holds.

    Each has ``dataset_id``, ``method_id``, ``metric_ids`` and, of the same length, ``metric_values``. A task of Open
    Problems has one truth and one universe for each data set, so that these, the group, the replicate and the
    orientation are parts of ``dataset_id``. Rows without a result have no record, as there.

    Parameters
    ----------
    table
        Table of `Results`.

    Raises
    ------
    ValueError
        When two rows would have the same ids.
    """
    records = []
    seeds = table["seed"].nunique() > 1
    for _, row in table[table["status"] == "ok"].iterrows():
        is_gain = row["truth"] == HELD_OUT
        where = [row[name] for name in ("dataset", "group", "replicate", "truth")]
        where += [] if is_gain else [row["regulators"], "transposed" * (row["orientation"] == "transposed")]
        known = {name: float(row[name]) for name in (*SCORES, "gain") if math.isfinite(row[name])}
        method = _identifier(row["label"]) + (f"_seed_{row['seed']}" if seeds else "")
        records.append(
            {
                "dataset_id": "/".join(_identifier(part) for part in where if part),
                "method_id": method,
                "metric_ids": list(known),
                "metric_values": list(known.values()),
            }
        )
    ids = [(one["dataset_id"], one["method_id"]) for one in records]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise ValueError(f"several rows would be {twice[0][1]!r} on {twice[0][0]!r}: give the methods other labels")
    return records


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write the score records of a table as JSON, which readers of YAML take as well.

    Parameters
    ----------
    table
        Table of `Results`.
    path
        File to write; replaced if it exists.
    """
    from grnndata import atomic_path

    text = json.dumps(score_records(table), indent=1, ensure_ascii=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _identifier(text: str) -> str:
    """Return a name in the form of an identifier: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9.+=-]+", "_", str(text).lower()).strip("_")
