"""Words that follow from intervals: what is ahead of what, and what is not told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats

from scprint_model._wording import counted

#: Rank correlation of hubs with abundance from which the page says "mostly", and "in part".
MOSTLY, PARTLY = 0.7, 0.4


def standing(row: Mapping[str, Any], key: str = "difference") -> str | None:
    """Return how a method stands to the one in a row, by the interval of the method's score less the row's.

    Returns
    -------
    str or None
        "ahead of", "behind", or "not told apart from" where the interval holds 0; None where there is no interval.
    """
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    if low is None or high is None or low != low or high != high:
        return None
    return "ahead of" if low > 0 else "behind" if high < 0 else "not told apart from"


def claim(rows: Sequence[Mapping[str, Any]], subject: str, measure: str, *, key: str = "difference") -> str:
    """Return a sentence that says how a method stands to each row that has a difference with an interval.

    Parameters
    ----------
    rows
        Rows with ``method`` and ``<key>_low, <key>_high``.
    subject
        Name of the method that the differences are of.
    measure
        Name of the score, as in "By accuracy".
    key
        Name of the difference.
    """
    found: dict[str, list[str]] = {"ahead of": [], "not told apart from": [], "behind": []}
    for row in rows:
        how = standing(row, key)
        if how is not None:
            found[how].append(str(row["method"]))
    parts = [f"{how} {_and(names)}" for how, names in found.items() if names]
    return f"By {measure}, {subject} is {'; '.join(parts)}." if parts else ""


def _and(names: Sequence[str]) -> str:
    # a name with a comma would be taken for two
    told = [f"“{name}”" if "," in name else name for name in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def abundance_note(strength: Sequence[float], expression: Sequence[float]) -> tuple[float | None, str]:
    """Return the rank correlation of out-strength with mean expression, and what it says of the hubs.

    Parameters
    ----------
    strength
        Sum of each gene's outgoing weights.
    expression
        Mean expression of each gene.

    Returns
    -------
    float or None, str
        None where it is not defined, as for strengths that are all the same.
    """
    if len(set(strength)) < 2 or len(set(expression)) < 2:
        return None, "The genes do not differ in strength or in expression: there is nothing to say of abundance."
    rho = float(stats.spearmanr(strength, expression).statistic)
    genes = counted(len(strength), "gene")
    number = f"the rank correlation of outgoing strength with mean expression is {rho:.2f} over {genes}"
    if abs(rho) >= MOSTLY:
        most = "abundant" if rho > 0 else "rarely counted"
        return rho, f"The hubs are mostly a matter of abundance: {number}. The genes at the top are the {most} ones."
    if abs(rho) >= PARTLY:
        return rho, f"The hubs are in part a matter of abundance: {number}."
    return rho, f"The hubs are not explained by abundance alone: {number}."
