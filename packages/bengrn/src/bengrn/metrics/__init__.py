"""How well a ranking of gene pairs finds the true ones: arrays in, numbers out."""

from bengrn.metrics.early import early_precision_ratio, odds_ratio_at_k, true_positives_at_k
from bengrn.metrics.ranking import (
    Curve,
    Ranking,
    auroc,
    average_precision,
    expected_average_precision,
    paper_auprc,
    precision_recall_curve,
    rank_positives,
    trapezoid_auprc,
)

__all__ = [
    "Curve",
    "Ranking",
    "auroc",
    "average_precision",
    "early_precision_ratio",
    "expected_average_precision",
    "odds_ratio_at_k",
    "paper_auprc",
    "precision_recall_curve",
    "rank_positives",
    "trapezoid_auprc",
    "true_positives_at_k",
]
