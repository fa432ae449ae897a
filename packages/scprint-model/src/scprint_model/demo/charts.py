"""Plots of the page that are text: scores with their intervals, and given labels by predicted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

#: Name of the types that are not shown by themselves.
OTHERS = "other types"


def interval_chart(
    rows: Sequence[Mapping[str, Any]],
    *,
    label: str,
    bold: Sequence[str] = (),
    digits: int = 3,
    zero: bool = True,
) -> str:
    """Return a plot with a line a row: a dot at the score, a bar over its interval, and both as numbers.

    Parameters
    ----------
    rows
        Rows with ``method, value, value_low, value_high``, and where known ``standing``, which is told beside the
        numbers.
    label
        Name of the scores, as the heading.
    bold
        Methods to stress.
    digits
        Digits behind the point.
    zero
        Whether the scale begins at 0.
    """
    known = [row for row in rows if row.get("value") is not None]
    if not known:
        return ""
    ends = [row[key] for row in known for key in ("value", "value_low", "value_high") if row.get(key) is not None]
    low, high = (min(0.0, *ends) if zero else min(ends)), max(ends)
    width = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (value - low) / width, 2)

    lines = []
    for row in known:
        name, value = escape(str(row["method"])), row["value"]
        number, bar = f"{value:.{digits}f}", ""
        if row.get("value_low") is not None:
            left, right = place(row["value_low"]), place(row["value_high"])
            bar = f'<i class="bar" style="left:{left}%;width:{max(right - left, 0.4):.2f}%"></i>'
            number += f" [{row['value_low']:.{digits}f}, {row['value_high']:.{digits}f}]"
        told = f' <span class="how">{escape(row["standing"])}</span>' if row.get("standing") else ""
        mark = ' class="row ours"' if row["method"] in bold else ' class="row"'
        lines.append(
            f'<div{mark}><span class="name">{name}</span><span class="track">{bar}'
            f'<i class="dot" style="left:{place(value)}%"></i></span><span class="number">{number}{told}</span></div>'
        )
    ends_of_scale = f"<span>{low:.2g}</span><span>{high:.2g}</span>"
    scale = f'<div class="row scale"><span class="name"></span><span class="ends">{ends_of_scale}</span></div>'
    return f'<figure class="chart"><figcaption>{escape(label)}</figcaption>{"".join(lines)}{scale}</figure>'


def confusion(given: pd.Series, predicted: pd.Series, *, most: int = 14) -> pd.DataFrame:
    """Return how many cells of each given type got each predicted one.

    Parameters
    ----------
    given, predicted
        Names of types of the same cells.
    most
        Number of types shown by themselves, the most frequent ones; the rest is `OTHERS`.

    Returns
    -------
    pandas.DataFrame
        Whole numbers; given types as rows and predicted ones as columns, most frequent first. Predicted types that are
        also given stand in the order of the rows.
    """
    one, other = _gathered(given, most), _gathered(predicted, most)
    counts = pd.crosstab(one.to_numpy(), other.to_numpy())
    rows = one.value_counts().index.tolist()
    columns = [name for name in rows if name in counts.columns]
    columns += [name for name in other.value_counts().index if name not in columns]
    # what is gathered, or left open, comes last
    last = [name for name in (OTHERS, "unknown") if name in columns]
    counts.index.name = counts.columns.name = None
    return counts.loc[rows, [name for name in columns if name not in last] + last]


def _gathered(names: pd.Series, most: int) -> pd.Series:
    values = names.astype(str)
    kept = values[values != "unknown"].value_counts().index[:most]
    return values.where(values.isin(kept) | (values == "unknown"), OTHERS)


def heat_table(counts: pd.DataFrame, right: set[tuple[str, str]]) -> str:
    """Return given types by predicted ones as a table whose cells are the darker the larger their share of the row.

    Parameters
    ----------
    counts
        Cells, as `confusion` counts them.
    right
        Pairs of given and predicted types that agree: they are framed.
    """
    head = "".join(f'<th scope="col"><span>{escape(str(name))}</span></th>' for name in counts.columns)
    rows = []
    for name, row in counts.iterrows():
        total = int(row.sum())
        cells = []
        for column, n in row.items():
            share = n / total if total else 0.0
            framed = ' class="right"' if (str(name), str(column)) in right else ""
            text = f"{n:,}" if n else ""
            cells.append(f'<td{framed} style="--share:{100 * share:.0f}%">{text}</td>')
        rows.append(f'<tr><th scope="row">{escape(str(name))} ({total:,})</th>{"".join(cells)}</tr>')
    return (
        '<div class="wide"><table class="heat"><thead><tr><th scope="col">given ↓ predicted →</th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
