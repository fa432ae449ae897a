"""One form for the numbers of all suites: a line a number, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from benchmarks.suite import Suite

#: Columns of the table of numbers.
COLUMNS = ("section", "suite", "row", "method", "measure", "better", "value", "low", "high", "runs")


def measures(suites: Iterable[Suite], results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a line for each number of the results.

    The same number of several runs is one line: their mean, with its interval from their spread (Student's t, 95 %).
    """
    known = {suite.name: suite for suite in suites}
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for result in results:
        suite = known.get(result["suite"])
        if suite is None:
            continue
        for row in result["rows"]:
            name = row_name(suite, row)
            for measure in numbers(suite, row):
                low, high = interval(suite, row, measure)
                line = lines.setdefault((suite.name, name, measure), _line(suite, row, name, measure))
                line["values"].append(float(row[measure]))
                line["ends"].append((low, high))
    return pd.DataFrame([_settled(line) for line in lines.values()], columns=list(COLUMNS))


def row_name(suite: Suite, row: Mapping[str, Any]) -> str:
    """Return what a row is called: the columns that name it, in their order."""
    return " · ".join(str(row[column]) for column in suite.names if str(row.get(column, "")))


def numbers(suite: Suite, row: Mapping[str, Any]) -> list[str]:
    """Return the columns of a row that hold a finite number which is measured."""
    ends = {end for pair in suite.ends.values() for end in pair}
    return [
        column
        for column, value in row.items()
        if column not in suite.names
        and column not in ends
        and not column.endswith(("_low", "_high"))
        and isinstance(value, Real)
        and not isinstance(value, bool | np.bool_)
        and math.isfinite(float(value))
    ]


def interval(suite: Suite, row: Mapping[str, Any], measure: str) -> tuple[float, float]:
    """Return the ends of the interval of a number, NaN where it has none."""
    low, high = suite.ends.get(measure, (f"{measure}_low", f"{measure}_high"))
    return _number(row.get(low)), _number(row.get(high))


def better(suite: Suite, measure: str) -> str:
    """Return which numbers of a measure are better: "higher", "lower", or "" where neither is."""
    return "higher" if measure in suite.higher else "lower" if measure in suite.lower else ""


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, floats with four significant digits."""
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in table.astype(object).to_numpy()]
    lines = [list(table.columns), ["---"] * table.shape[1], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _line(suite: Suite, row: Mapping[str, Any], name: str, measure: str) -> dict[str, Any]:
    return {
        "section": suite.section,
        "suite": suite.name,
        "row": name,
        "method": str(row.get(suite.method, "")),
        "measure": measure,
        "better": better(suite, measure),
        "values": [],
        "ends": [],
    }


def _settled(line: dict[str, Any]) -> dict[str, Any]:
    values, ends = line.pop("values"), line.pop("ends")
    mean = float(np.mean(values))
    low, high = ends[0]
    if len(values) > 1:
        half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
        low, high = mean - half, mean + half
    return line | {"value": mean, "low": low, "high": high, "runs": len(values)}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, Real) else math.nan
