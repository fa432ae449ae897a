"""Rows that answer the same question on the same pairs: the only ones that stand in one ranking."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bengrn._wording import counted, percent
from bengrn.benchmarking.columns import DEGREES, HELD_OUT
from bengrn.benchmarking.report.reading import QUESTION

#: Sizes that rows of one ranking share.
_SIZES = ["n_regulators", "n_targets", "n_positives"]
#: Methods that are there to be compared with; networks that know nothing, or nothing but degrees.
BASELINES = ("random", DEGREES)


@dataclass(frozen=True, eq=False)
class Question:
    """Rows that may be compared.

    Attributes
    ----------
    title, note
        Data set, cells, truth and universe; numbers of regulators, targets and true edges.
    rows
        Rows of the table.
    """

    title: str
    note: str
    rows: pd.DataFrame


def questions(table: pd.DataFrame) -> Iterator[Question]:
    """Yield the rows of a table question by question: data set, cells, truth, universe, and the same pairs.

    Networks of other genes are scored on other pairs, and stand apart. Rows without a score stand where most rows of
    their question do.

    Parameters
    ----------
    table
        Table of `Results`.
    """
    scored = table[table["truth"] != HELD_OUT]
    several = {name: scored[name].nunique() > 1 for name in QUESTION}
    for key, rows in scored.groupby(list(QUESTION), sort=False):
        known = dict(zip(QUESTION, map(str, key), strict=True))
        parts = [known["dataset"], known["group"], known["truth"]]
        parts += [known["organism"]] * several["organism"] + [f"{known['regulators']} regulators"]
        title = " · ".join(part for part in parts if part)
        sizes = rows[_SIZES].astype("Int64")
        groups = sizes.groupby(_SIZES, sort=False, dropna=True).size().sort_values(ascending=False, kind="stable")
        if not len(groups):
            yield Question(title, "", rows)
        for i, size in enumerate(groups.index):
            same = (sizes == list(size)).fillna(False).all(axis="columns")
            if i == 0:
                same |= sizes.isna().any(axis="columns")
            yield Question(title, _note(rows[same], other=i > 0), rows[same])


def _note(rows: pd.DataFrame, *, other: bool) -> str:
    sized = rows[rows["n_regulators"].notna()]
    first = sized.iloc[0]
    parts = [
        f"{int(first['n_regulators']):,} regulators × {int(first['n_targets']):,} targets",
        counted(int(first["n_positives"]), "true edge"),
    ]
    if math.isfinite(first["prevalence"]):
        parts.append(f"{percent(first['prevalence'], 2)} of the pairs")
    if sized["rough"].fillna(value=False).any():
        parts.append("few regulators: intervals are rough")
    if other:
        parts.append("other genes, so not comparable with the block before")
    return ", ".join(parts)


def places(rows: pd.DataFrame, score: str = "ap") -> pd.DataFrame:
    """Return the best and the worst place of each row that the intervals leave open.

    A row is behind another when its interval lies wholly below the other's. Places are among rows of the same
    replicate, seed and orientation; symmetric networks, which are the same both ways, count with either. Baselines
    have no place: they are there to be compared with, and one of them has seen the truth.

    Parameters
    ----------
    rows
        Rows that answer the same question.
    score
        Name of the score, whose intervals are compared.

    Returns
    -------
    pandas.DataFrame
        Columns ``best``, ``worst`` and ``of``, NaN where a row has no interval; indexed as `rows`.
    """
    low, high = (rows[f"{score}_{end}"].to_numpy(dtype=np.float64) for end in ("low", "high"))
    known = np.isfinite(low) & np.isfinite(high) & ~rows["method"].map(is_baseline).to_numpy(dtype=bool)
    orientation, draw = rows["orientation"].to_numpy(), rows.groupby(["replicate", "seed"], dropna=False).ngroup()
    found = np.full((len(rows), 3), np.nan)
    for i in np.flatnonzero(known):
        turned = "transposed" if orientation[i] == "transposed" else "as stored"
        rivals = known & (draw == draw.iloc[i]).to_numpy() & np.isin(orientation, [turned, "symmetric"])
        n = int(rivals.sum())
        found[i] = 1 + (low[rivals] > high[i]).sum(), n - (high[rivals] < low[i]).sum(), n
    return pd.DataFrame(found, index=rows.index, columns=["best", "worst", "of"])


def is_baseline(method: str) -> bool:
    """Return whether a method is there to be compared with."""
    return method in BASELINES


def orientation_facet(orientation: str) -> list[str]:
    """Return the choices of orientation under which a row is shown."""
    both = "both"
    if orientation == "symmetric":
        return ["as stored", "transposed", both]
    return [orientation, both]
