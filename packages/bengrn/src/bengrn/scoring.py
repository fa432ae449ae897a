"""Score one network against one ground truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from bengrn.align import Regulators, Universe, align
from bengrn.metrics import (
    Curve,
    Ranking,
    auroc,
    average_precision,
    early_precision_ratio,
    expected_average_precision,
    odds_ratio_at_k,
    paper_auprc,
    precision_recall_curve,
    rank_positives,
    trapezoid_auprc,
)
from bengrn.network import Network, as_network
from bengrn.truths.ground_truth import GroundTruth

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Scores:
    """Every score of a network, and over which pairs it was taken.

    Attributes
    ----------
    ap
        Average precision, the one to quote: :func:`bengrn.metrics.average_precision`.
    ap_expected
        Its mean over all orders of tied pairs: :func:`bengrn.metrics.expected_average_precision`.
    ap_ratio
        `ap` over `prevalence`; 1 is random.
    auprc
        Trapezoid area from recall 0 to 1, misleading with ties: :func:`bengrn.metrics.trapezoid_auprc`.
    auprc_paper
        The paper's, over the prevalence line; 0 is random: :func:`bengrn.metrics.paper_auprc`.
    auroc
        Area under the ROC curve.
    epr
        Early precision over prevalence: :func:`bengrn.metrics.early_precision_ratio`.
    odds_ratio
        Diagnostic odds ratio, which the paper calls EPR: :func:`bengrn.metrics.odds_ratio_at_k`.
    prevalence
        Share of positives among the scored pairs: the expectation of `ap` for a random network.
    n_regulators, n_targets, n_pairs, n_positives
        Size of the universe.
    n_predicted
        Scored pairs with a weight above zero.
    n_genes, n_matched, n_ambiguous, n_true_edges, lost
        How genes matched and where true edges were lost: :class:`bengrn.align.Universe`.
    matched_by, method, truth, transposed
        Naming that matched, network and truth, and whether the network was transposed.
    ranking
        Where the positives stand; all the scores come from it.
    """

    ap: float
    ap_expected: float
    ap_ratio: float
    auprc: float
    auprc_paper: float
    auroc: float
    epr: float
    odds_ratio: float
    prevalence: float
    n_regulators: int
    n_targets: int
    n_pairs: int
    n_positives: int
    n_predicted: int
    n_genes: int
    n_matched: int
    n_ambiguous: int
    n_true_edges: int
    lost: dict[str, int]
    matched_by: str
    method: str
    truth: str
    transposed: bool
    ranking: Ranking

    @property
    def curve(self) -> Curve:
        """Precision over recall: a named pair of arrays ``recall`` and ``precision``, by rising recall."""
        return precision_recall_curve(self.ranking)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the ranking as plain numbers and strings; losses as ``lost_self`` and so on."""
        plain = {key: value for key, value in vars(self).items() if key not in ("ranking", "lost")}
        return plain | {f"lost_{reason}": count for reason, count in self.lost.items()}

    def __repr__(self) -> str:
        """Say the main scores in one line."""
        return (
            f"Scores({self.method!r} against {self.truth!r}: ap={self.ap:.4g}, auroc={self.auroc:.4g}, "
            f"epr={self.epr:.4g}, odds_ratio={self.odds_ratio:.4g}, prevalence={self.prevalence:.4g}, "
            f"{self.n_positives:,} positives of {self.n_regulators:,} × {self.n_targets:,})"
        )


def score(grn: Any, truth: GroundTruth, *, transpose: bool = False, regulators: Regulators = "truth") -> Scores:
    """Score a network against a ground truth.

    Pairs are ranked by weight as it is: a negative weight ranks below no edge at all. Take absolute weights
    first where a strong repression should count as a strong edge.

    Parameters
    ----------
    grn
        GRNAnnData, AnnData with ``varp["GRN"]``, an edge table (source, target, weight), or a pair (square
        matrix, gene names). Row = regulator, column = target. Genes may be named by symbol or id; with
        ``var["symbol"]`` both are tried.
    truth
        What :func:`bengrn.load_truth` or :meth:`bengrn.GroundTruth.from_edges` gives.
    transpose
        Score the transpose. The paper does so against OmniPath (Kalfon et al. 2025, "Normalization and
        network interpretation"): in its networks many genes regulate a few, OmniPath's sources have few
        targets each.
    regulators
        Rows of the universe: "truth" (genes with at least one true edge in the network), "all", or a list of
        names; see :func:`bengrn.align.align`.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If there is no network, it shares no gene with the truth, no true edge or no other pair is left, or a
        weight is NaN.
    TypeError
        If `grn` or `truth` is of another type.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> truth = GroundTruth.from_edges(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"]}))
    >>> weights = np.array([[0, 0.9, 0.1], [0.5, 0, 0], [0.2, 0, 0]])
    >>> score((weights, ["A", "B", "C"]), truth, regulators="all").ap
    0.75
    """
    if not isinstance(truth, GroundTruth):
        raise TypeError(f"truth is a {type(truth).__name__}: pass load_truth(name) or GroundTruth.from_edges(table)")
    network = as_network(grn)
    universe = align(network, truth, transpose=transpose, regulators=regulators)
    return score_universe(universe, network, truth, transposed=transpose)


def score_universe(universe: Universe, network: Network, truth: GroundTruth, *, transposed: bool) -> Scores:
    """Score the pairs that :func:`bengrn.align.align` chose."""
    weights, positive = universe.pairs()
    n_negative = int(np.count_nonzero(weights < 0))
    if n_negative:
        logger.warning(
            "%d of %d scored weights are negative and rank below no edge; take absolute weights to ignore signs",
            n_negative,
            weights.size,
        )
    ranking = rank_positives(weights, positive)
    ap = average_precision(ranking)
    return Scores(
        ap=ap,
        ap_expected=expected_average_precision(ranking),
        ap_ratio=ap / ranking.prevalence,
        auprc=trapezoid_auprc(ranking),
        auprc_paper=paper_auprc(ranking),
        auroc=auroc(ranking),
        epr=early_precision_ratio(ranking),
        odds_ratio=odds_ratio_at_k(ranking),
        prevalence=ranking.prevalence,
        n_regulators=len(universe.regulators),
        n_targets=len(universe.targets),
        n_pairs=ranking.n_pairs,
        n_positives=ranking.n_positives,
        n_predicted=ranking.n_predicted,
        n_genes=universe.n_genes,
        n_matched=universe.n_matched,
        n_ambiguous=universe.n_ambiguous,
        n_true_edges=universe.n_true_edges,
        lost=universe.lost,
        matched_by=universe.matched_by,
        method=network.method,
        truth=truth.name,
        transposed=transposed,
        ranking=ranking,
    )
