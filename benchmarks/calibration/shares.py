"""How often a number of uncertainty is right, over independent simulations, and how far that may be chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from scipy.stats import t as student

#: Levels at which p-values are looked at.
LEVELS = (0.05, 0.001)
#: Standard errors that a share may lie from where it should.
MOST_ERRORS = 3.0

#: One simulation: p-values, or whether each interval held the truth, by the part of the tests that they belong to.
type Simulation = Mapping[str, NDArray]


def by_quartile(values: ArrayLike, by: ArrayLike, name: str) -> dict[str, NDArray]:
    """Split values into four parts by the quartiles of other numbers, such as each edge's expression."""
    numbers = np.asarray(by, dtype=float)
    place = np.searchsorted(np.quantile(numbers, [0.25, 0.5, 0.75]), numbers, side="left")
    return {f"{name}, quarter {i + 1}": np.asarray(values)[place == i] for i in range(4)}


def p_value_shares(
    simulations: Iterable[Simulation], *, case: str, kind: str, levels: Sequence[float] = LEVELS
) -> pd.DataFrame:
    """Return the share of p-values at or below each level.

    Parameters
    ----------
    simulations
        P-values of each simulation, by part; NaN where nothing was tested.
    case
        Name of what was simulated.
    kind
        "no effect": nothing is there to find, and shares should be the levels. "discrete": the same for a test whose
        p-values have few values, whose shares may be below. "planted": the shares are power. "rival": a test whose
        null is not true here, shown beside the others. "real": cells of which nobody knows the truth.
    levels
        Levels to look at.
    """
    found = [{part: _numbers(p) for part, p in one.items()} for one in simulations]
    rows = [_row([_reaches(one[part], level) for one in found], part, level) for part in found[0] for level in levels]
    smallest = min(float(p.min()) for one in found for p in one.values() if p.size)
    return pd.DataFrame(rows).assign(smallest=smallest).pipe(_named, case, kind)


def coverage(simulations: Iterable[Simulation], *, case: str, level: float) -> pd.DataFrame:
    """Return the share of intervals that held the truth; `simulations` say of each interval whether it did, by part."""
    found = list(simulations)
    rows = [_row([np.asarray(one[part]) for one in found], part, level) for part in found[0]]
    return pd.DataFrame(rows).assign(smallest=np.nan).pipe(_named, case, "coverage")


def at_least(right: Iterable[NDArray[np.bool_]], *, case: str, part: str, level: float) -> pd.DataFrame:
    """Return the share of what is right in each repetition, which should be `level` or more."""
    row = _row([np.asarray(one) for one in right], part, level)
    return pd.DataFrame([row]).assign(smallest=np.nan).pipe(_named, case, "at least")


def holds(table: pd.DataFrame) -> pd.Series:
    """Say of each row whether its share is what it should be; those of planted effects should be above their level.

    Nothing is asked of rivals, nor of real cells.

    The bound is three standard errors: those of the mean over simulations, from the spread between these, and not
    less than if all tests were independent and at their level. As few simulations know their spread roughly, it is
    more by as much as Student's t asks for the same certainty.
    """
    by_chance = np.sqrt(table["level"] * (1 - table["level"]) / table["tests"].clip(lower=1))
    degrees = (table["simulations"] - 1).clip(lower=1)
    bound = student.isf(norm.sf(MOST_ERRORS), degrees) * np.maximum(table["error"].fillna(np.inf), by_chance)
    off = table["share"] - table["level"]
    held = off.abs() <= bound
    held |= (table["kind"] == "discrete") & (off <= bound)
    held |= table["kind"].isin(["rival", "real"])
    held |= (table["kind"] == "at least") & (off >= -bound)
    planted = table["kind"] == "planted"
    return held.where(~planted, off > bound)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw shares with three standard errors, a panel for each level and for what shares should be there."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = {
        "no effect": "nothing to find: p-values at",
        "rival": "nothing to find, tests that know nothing of it: p-values at",
        "coverage": "intervals at",
        "at least": "share that should reach",
        "planted": "power at",
        "real": "real cells, whose truth nobody knows: p-values at",
    }
    shown = table.assign(kind=table["kind"].replace("discrete", "no effect"))
    panels = [
        (kind, level, some)
        for kind in titles
        for level, some in shown[shown["kind"] == kind].groupby("level", sort=False)
    ]
    heights = [max(2, len(some)) for *_, some in panels]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(7.5, 0.2 * sum(heights) + 0.8 * len(panels)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, (kind, level, some) in zip(axes[:, 0], panels, strict=True):
        axis.axvline(level, color="0.6", lw=1, ls=":" if kind == "planted" else "-")
        axis.errorbar(
            some["share"],
            np.arange(len(some)),
            xerr=MOST_ERRORS * some["error"].fillna(0),
            fmt="o",
            ms=3,
            color={"planted": "C2", "rival": "C1", "real": "C4"}.get(kind, "C0"),
        )
        labels = [
            case if case == part else f"{case}: {part}" for case, part in zip(some["case"], some["part"], strict=True)
        ]
        axis.set_yticks(np.arange(len(some)), labels, fontsize=7)
        axis.set_ylim(len(some) - 0.5, -0.5)
        if kind in ("no effect", "rival"):
            axis.set_xlim(left=0)
        axis.set_title(f"{titles[kind]} {level:g}", fontsize=9, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _numbers(p: ArrayLike) -> NDArray:
    values = np.asarray(p, dtype=float).ravel()
    return values[~np.isnan(values)]


def _reaches(p: NDArray, level: float) -> NDArray[np.bool_]:
    return p <= level * (1 + 1e-6)  # 5 of 100 in float32 is more than 0.05


def _row(right: list[NDArray], part: str, level: float) -> dict[str, object]:
    each = np.array([one.mean() for one in right if one.size], dtype=float)
    return {
        "part": part,
        "level": level,
        "share": each.mean() if each.size else np.nan,
        "error": each.std(ddof=1) / each.size**0.5 if each.size > 1 else np.nan,
        "simulations": each.size,
        "tests": sum(one.size for one in right),
    }


def _named(table: pd.DataFrame, case: str, kind: str) -> pd.DataFrame:
    table = table.assign(case=case, kind=kind)
    return table[["case", "kind", "part", "level", "share", "error", "simulations", "tests", "smallest"]]
