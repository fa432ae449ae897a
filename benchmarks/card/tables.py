"""The card as Markdown tables: sets beside each other, a row a method, and whether the model is told from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from benchmarks.card.sets import SETS

TITLES = {
    "embedding": "Embedding",
    "annotation": "Cell types",
    "invariance": "Invariance",
    "denoising": "Denoising",
    "networks": "Networks",
}
#: Beginnings of measures of which less is better.
LOWER = ("share of depth", "wrong with confidence")
NOTE = (
    "In brackets: 95 % intervals. The model is ahead of a method (▲), behind it (▼) or not told from it (=) by the "
    "paired interval of their difference over the same cells, donors or regulators. A star: the model was trained on "
    "this set. Beside its name: number of cells, or of regulators with a true edge."
)


def card_tables(card: pd.DataFrame) -> str:
    """Return the tables of all parts, in Markdown."""
    lines = [NOTE, ""]
    for part, title in TITLES.items():
        own = card[card["part"] == part]
        if len(own):
            lines += [f"### {title}", ""]
            for measure, rows in own.groupby("measure", sort=False):
                lines += [*measure_table(str(measure), rows), ""]
    return "\n".join(lines)


def measure_table(measure: str, rows: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of the table of one measure."""
    order = {name: i for i, name in enumerate(SETS)}
    sets = sorted(rows["set"].unique(), key=lambda name: order.get(name, len(order)))
    first = rows.drop_duplicates("set").set_index("set")
    heads = [f"{name}{'*' if first.loc[name, 'seen'] == 'yes' else ''} ({first.loc[name, 'n']})" for name in sets]
    yield "| " + " | ".join([measure, *heads]) + " |"
    yield "|" + "---|" * (1 + len(sets))
    for method, own in rows.groupby("method", sort=False):
        at = own.set_index("set")
        cells = [entry(at.loc[name]) if name in at.index else "–" for name in sets]
        yield "| " + " | ".join([str(method), *cells]) + " |"


def entry(row: pd.Series) -> str:
    """Return a number with its interval, and a sign of how it compares with the model's."""
    text = f"{row['value']:.3g}" if 0 < abs(row["value"]) < 0.01 else f"{row['value']:.2f}"
    if math.isfinite(row["low"]):
        text += f" ({row['low']:.2f}–{row['high']:.2f})"
    if math.isfinite(row["difference_low"]):
        text += f" {sign(row['measure'], row['difference_low'], row['difference_high'])}"
    return text


def sign(measure: str, low: float, high: float) -> str:
    """Return whether the model is better than a method, worse, or neither, by the interval of their difference."""
    if measure.startswith(LOWER):
        low, high = -high, -low
    return "▲" if low > 0 else "▼" if high < 0 else "="
