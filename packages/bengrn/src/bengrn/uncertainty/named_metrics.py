"""The metrics that can be resampled, under the names that scores carry everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bengrn.metrics import (
    Ranking,
    auroc,
    average_precision,
    early_precision_ratio,
    expected_average_precision,
    odds_ratio_at_k,
    paper_auprc,
    partial_auroc,
    trapezoid_auprc,
)


def average_precision_ratio(ranking: Ranking) -> float:
    """Average precision over prevalence; 1 is random."""
    return average_precision(ranking) / ranking.prevalence


def prevalence(ranking: Ranking) -> float:
    """Share of positives among the pairs."""
    return ranking.prevalence


METRICS: dict[str, Callable[[Ranking], float]] = {
    "ap": average_precision,
    "ap_expected": expected_average_precision,
    "ap_ratio": average_precision_ratio,
    "auprc": trapezoid_auprc,
    "auprc_paper": paper_auprc,
    "auroc": auroc,
    "auroc_partial": partial_auroc,
    "epr": early_precision_ratio,
    "odds_ratio": odds_ratio_at_k,
    "prevalence": prevalence,
}


def named_metrics(names: Sequence[str]) -> list[Callable[[Ranking], float]]:
    """Look metrics up by name.

    Raises
    ------
    ValueError
        If there is none, or a name is not known.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names or isinstance(names, str):
        raise ValueError(f"metrics = {names!r}: give a list of one or more of {', '.join(map(repr, METRICS))}")
    return [METRICS[name] for name in names]
