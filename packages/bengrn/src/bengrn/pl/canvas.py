"""Axes to draw on, the rows that one drawing may show, and the colours that every plot shares."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import pandas as pd

from bengrn._wording import listed
from bengrn.benchmarking.columns import SCORES
from bengrn.benchmarking.report.questions import Question, is_baseline, questions
from bengrn.benchmarking.report.reading import QUESTION, Results, read_results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that people with any colour vision can tell apart, dark enough for lines on white.
COLOURS = ("#0072B2", "#C44E00", "#00805F", "#A8477F", "#8A6A00", "#5A4FCF", "#30363F")
#: Of baselines, and of what chance reaches.
GREY, CHANCE = "#6D7683", "#A8480F"
MARKERS = ("o", "s", "^", "v")
DASHES = ("-", "--", ":", "-.")


def get_axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install bengrn[plots]") from error
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def as_results(results: Results | PathLike[str] | str) -> Results:
    """Return results, read from their folder where it is given."""
    return results if isinstance(results, Results) else read_results(results)


def one_question(results: Results) -> Question:
    """Return the rows of results, which all have to answer the same question on the same pairs.

    Raises
    ------
    ValueError
        When they answer several, or there are none with a score.
    """
    asked = list(questions(results.table))
    if not asked:
        raise ValueError("there are no rows with scores against a truth")
    if len(asked) > 1:
        scored = pd.concat([question.rows for question in asked])
        several = {name: scored[name].unique() for name in QUESTION if scored[name].nunique() > 1}
        told = "; ".join(f"{name} is {listed(values)}" for name, values in several.items())
        raise ValueError(
            f"rows that answer different questions are never in one plot ({told or 'networks of other genes'}): "
            f"choose with results.select({', '.join(f'{name}=...' for name in several) or 'method=...'})"
        )
    return asked[0]


def check_metric(metric: str) -> None:
    """Raise where a score of this name does not exist.

    Raises
    ------
    ValueError
        When there is none.
    """
    if metric not in SCORES:
        raise ValueError(f"there is no score {metric!r}: there are {listed(SCORES)}")


def styles(methods: Iterable[str], labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and dashes of each label; those of baselines are grey."""
    found: dict[str, dict[str, Any]] = {}
    coloured = greys = 0
    for method, label in zip(methods, labels, strict=True):
        if label in found:
            continue
        if is_baseline(method):
            greys += 1
            found[label] = {"color": GREY, "marker": "o", "linestyle": DASHES[greys % len(DASHES)]}
        else:
            n = len(COLOURS)
            dashes = DASHES[coloured // n % len(DASHES)]
            found[label] = {"color": COLOURS[coloured % n], "marker": MARKERS[coloured % 4], "linestyle": dashes}
            coloured += 1
    return found


def tidy(ax: Axes, title: str) -> Axes:
    """Set the title and take away lines that carry nothing."""
    ax.set_title(title, fontsize="medium", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
