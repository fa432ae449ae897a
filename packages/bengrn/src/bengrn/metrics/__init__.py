"""Scores of how well a ranking of gene pairs finds the true ones: arrays in, numbers out."""

from bengrn.metrics.compat import Compat, published_scores
from bengrn.metrics.early import (
    LogOddsRatio,
    early_precision_ratio,
    log_odds_ratio,
    odds_ratio_at_k,
    true_positives_at_k,
)
from bengrn.metrics.partial import partial_auroc
from bengrn.metrics.per_gene import macro_means, per_regulator, per_target
from bengrn.metrics.ranking import (
    Curve,
    Ranking,
    auroc,
    average_precision,
    expected_average_precision,
    paper_auprc,
    precision_recall_curve,
    rank_matrix,
    rank_positives,
    trapezoid_auprc,
)
from bengrn.metrics.signed import SignedScores, score_signs
from bengrn.metrics.topk import (
    f_score_at_k,
    overlap_p_value,
    precision_at_k,
    precision_of_predicted,
    recall_at_k,
    recall_of_predicted,
)

__all__ = [
    "Compat",
    "Curve",
    "LogOddsRatio",
    "Ranking",
    "SignedScores",
    "auroc",
    "average_precision",
    "early_precision_ratio",
    "expected_average_precision",
    "f_score_at_k",
    "log_odds_ratio",
    "macro_means",
    "odds_ratio_at_k",
    "overlap_p_value",
    "paper_auprc",
    "partial_auroc",
    "per_regulator",
    "per_target",
    "precision_at_k",
    "precision_of_predicted",
    "precision_recall_curve",
    "published_scores",
    "rank_matrix",
    "rank_positives",
    "recall_at_k",
    "recall_of_predicted",
    "score_signs",
    "trapezoid_auprc",
    "true_positives_at_k",
]
