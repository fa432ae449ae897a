"""Score one network against one ground truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bengrn.align import Regulators, Universe, align
from bengrn.baselines import random_expectation
from bengrn.metrics import (
    Compat,
    Curve,
    Ranking,
    SignedScores,
    auroc,
    average_precision,
    early_precision_ratio,
    expected_average_precision,
    f_score_at_k,
    macro_means,
    odds_ratio_at_k,
    paper_auprc,
    partial_auroc,
    per_regulator,
    per_target,
    precision_at_k,
    precision_recall_curve,
    published_scores,
    rank_matrix,
    score_signs,
    trapezoid_auprc,
)
from bengrn.network import Network, as_network, is_sparse
from bengrn.truths.ground_truth import GroundTruth

logger = logging.getLogger(__name__)

#: Names that a publication gives to what has a field here.
_PUBLISHED_NAMES = {"odd_ratio": "odds_ratio", "rand_precision": "prevalence"}


@dataclass(frozen=True, eq=False)
class Scores:
    """All scores of a network, and the pairs over which they were taken.

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
        The paper's area, over the prevalence line; 0 is random: :func:`bengrn.metrics.paper_auprc`.
    auroc
        Area under the ROC curve.
    auroc_partial
        The part of it up to a false-positive rate of 0.1, scaled so that 0.5 is random and 1 perfect:
        :func:`bengrn.metrics.partial_auroc`.
    epr
        Early precision over prevalence: :func:`bengrn.metrics.early_precision_ratio`.
    odds_ratio
        Diagnostic odds ratio, which the paper calls EPR: :func:`bengrn.metrics.odds_ratio_at_k`.
    precision_at_k, f_score_at_k
        Precision and F1 of the K best pairs, K = number of positives; recall there is the same as precision.
    prevalence
        Share of positives among the scored pairs: the expectation of `ap` for a random network.
    n_regulators, n_targets, n_pairs, n_positives
        Size of the universe.
    n_predicted
        Scored pairs with a weight above zero.
    n_genes, n_matched, n_ambiguous, n_true_edges, lost
        How genes matched and where true edges were lost: :class:`bengrn.align.Universe`.
    matched_by, method, truth, transposed, absolute
        Naming that matched, network and truth, and whether the network was transposed and taken without signs.
    truth_version, truth_part
        Release or hash of the truth, and which part of its source it holds; empty where the truth does not say.
    notes
        What a reader of these numbers should know, one sentence each.
    compat, published
        The publication whose definitions `ap`, `auprc`, `auroc`, `epr`, `odds_ratio` and `prevalence` follow
        where it has them, and all its numbers under its own names; None and empty for the ones above.
    ranking, universe
        Where the positives stand, and the pairs: all scores come from them.
    """

    ap: float
    ap_expected: float
    ap_ratio: float
    auprc: float
    auprc_paper: float
    auroc: float
    auroc_partial: float
    epr: float
    odds_ratio: float
    precision_at_k: float
    f_score_at_k: float
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
    absolute: bool
    notes: tuple[str, ...]
    ranking: Ranking
    universe: Universe
    truth_version: str = ""
    truth_part: str = ""
    compat: str | None = None
    published: dict[str, float] = field(default_factory=dict)

    @property
    def curve(self) -> Curve:
        """Precision over recall: a named pair of arrays ``recall`` and ``precision``, by rising recall."""
        return precision_recall_curve(self.ranking)

    @cached_property
    def random_expectation(self) -> dict[str, float]:
        """The mean scores of random weights on these pairs: :func:`bengrn.baselines.random_expectation`."""
        return random_expectation(self.n_pairs, self.n_positives)

    @cached_property
    def per_regulator(self) -> pd.DataFrame:
        """Scores of each regulator's targets, one row a regulator: :func:`bengrn.metrics.per_regulator`."""
        universe = self.universe
        return per_regulator(
            universe.scores, universe.positives, self_columns=universe.self_columns, names=universe.regulators
        )

    @cached_property
    def per_target(self) -> pd.DataFrame:
        """Scores of each target's regulators, one row a target: :func:`bengrn.metrics.per_target`."""
        universe = self.universe
        return per_target(
            universe.scores, universe.positives, self_columns=universe.self_columns, names=universe.targets
        )

    @property
    def macro(self) -> dict[str, float]:
        """Means over regulators, each weighing the same: :func:`bengrn.metrics.macro_means`."""
        return macro_means(self.per_regulator)

    @property
    def signed(self) -> SignedScores:
        """Score whether signs are right: :func:`bengrn.metrics.score_signs`.

        Raises
        ------
        ValueError
            If the truth states no signs, or the network has none.
        """
        universe = self.universe
        if universe.signs is None:
            raise ValueError(f"the truth {self.truth!r} states no signs: signed scores need one, such as collectri")
        return score_signs(universe.scores, universe.positives, universe.signs, self_columns=universe.self_columns)

    def bootstrap(self, *, n_replicates: int = 200, level: float = 0.95, seed: int = 0) -> Any:
        """Return intervals over regulators drawn with replacement: :func:`bengrn.uncertainty.bootstrap`."""
        from bengrn.uncertainty import bootstrap

        universe = self.universe
        options: Any = {"n_replicates": n_replicates, "level": level, "rng": seed, "names": universe.regulators}
        return bootstrap(universe.scores, universe.positives, self_columns=universe.self_columns, **options)

    def degree_preserving(self, *, metric: str = "ap", n_permutations: int = 200, seed: int = 0) -> Any:
        """Test against truths rewired at the same degrees: :func:`bengrn.uncertainty.degree_preserving_p`."""
        from bengrn.uncertainty import degree_preserving_p

        universe = self.universe
        return degree_preserving_p(
            universe.scores,
            universe.positives,
            self_columns=universe.self_columns,
            names=(universe.regulators, universe.targets),
            n_permutations=n_permutations,
            rng=seed,
            metric=metric,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all but arrays and tables as plain numbers and strings; losses as ``lost_self`` and so on."""
        left_out = ("ranking", "universe", "lost", "notes", "compat", "published")
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in left_out}
        plain |= {f"lost_{reason}": count for reason, count in self.lost.items()}
        if self.compat is not None:
            plain["compat"] = self.compat
            plain |= {f"published_{name}": value for name, value in self.published.items()}
        return plain | {"notes": "; ".join(self.notes)}

    def __repr__(self) -> str:
        """Say the main scores in one line."""
        by = "" if self.compat is None else f" as {self.compat}"
        return (
            f"Scores({self.method!r} against {self.truth!r}{by}: ap={self.ap:.4g}, auroc={self.auroc:.4g}, "
            f"epr={self.epr:.4g}, odds_ratio={self.odds_ratio:.4g}, prevalence={self.prevalence:.4g}, "
            f"{self.n_positives:,} positives of {self.n_regulators:,} × {self.n_targets:,})"
        )


def score(
    grn: Any,
    truth: GroundTruth,
    *,
    transpose: bool = False,
    regulators: Regulators = "truth",
    absolute: bool = False,
    compat: Compat | None = None,
) -> Scores:
    """Score a network against a ground truth.

    Parameters
    ----------
    grn
        GRNAnnData, AnnData with ``varp["GRN"]``, an edge table (source, target, weight), or a pair (square
        matrix, gene names). Row = regulator, column = target. Genes may be named by symbol or id; with
        ``var["symbol"]`` both are tried.
    truth
        Ground truth that :func:`bengrn.load_truth` or :meth:`bengrn.GroundTruth.from_edges` gives.
    transpose
        Whether to score the transpose. The paper does so against OmniPath (Kalfon et al. 2025, "Normalization and
        network interpretation"): in its networks many genes regulate a few, OmniPath's sources have few
        targets each.
    regulators
        Rows of the universe: "truth" (genes with at least one true edge in the network), "assayed" (all sources of the
        truth in the network), "tf" (the transcription factors with a true edge), "all", or a list of names; see
        :func:`bengrn.align.align`. The notes say which of the list are not there.
    absolute
        Whether to rank pairs by absolute weight. Otherwise a negative weight ranks below an absent edge.
    compat
        Publication whose definitions are followed where it has its own, to set numbers beside its tables:
        "paper", "bengrn-1.3.2" (which also ranks self pairs) or "beeline" (which takes absolute weights); see
        :func:`bengrn.metrics.published_scores`. The universe stays the one that is asked for here.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If `grn` holds no network, it shares no gene with the truth, no true edge or no other pair is left, or a
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
    if absolute:
        universe = replace(universe, scores=abs(universe.scores))
    scores = score_universe(universe, network, truth, transposed=transpose, absolute=absolute)
    return scores if compat is None else _as_published(scores, compat)


def score_universe(
    universe: Universe, network: Network, truth: GroundTruth, *, transposed: bool, absolute: bool = False
) -> Scores:
    """Score the pairs that :func:`bengrn.align.align` chose."""
    try:
        ranking = rank_matrix(universe.scores, universe.positives, self_columns=universe.self_columns)
    except ValueError as error:
        raise ValueError(_first_nan(universe) or str(error)) from error
    ap = average_precision(ranking)
    notes = _notes(universe, ranking, network, truth)
    for note in notes:
        logger.warning("%s against %s: %s", network.method, truth.name, note)
    notes += truth.notes
    return Scores(
        ap=ap,
        ap_expected=expected_average_precision(ranking),
        ap_ratio=ap / ranking.prevalence,
        auprc=trapezoid_auprc(ranking),
        auprc_paper=paper_auprc(ranking),
        auroc=auroc(ranking),
        auroc_partial=partial_auroc(ranking),
        epr=early_precision_ratio(ranking),
        odds_ratio=odds_ratio_at_k(ranking),
        precision_at_k=precision_at_k(ranking),
        f_score_at_k=f_score_at_k(ranking),
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
        absolute=absolute,
        notes=notes,
        ranking=ranking,
        universe=universe,
        truth_version=truth.version,
        truth_part=truth.part,
    )


def _notes(universe: Universe, ranking: Ranking, network: Network, truth: GroundTruth) -> tuple[str, ...]:
    notes = [f"read from its file: {note}" for note in network.notes]
    if universe.asked is not None and universe.asked.missing:
        asked = universe.asked
        notes.append(
            f"{len(asked.missing):,} of the {len(asked):,} regulators asked for are not scored, as the network or "
            f"the truth lacks them, {asked.examples()}"
        )
    if universe.n_ambiguous:
        notes.append(
            f"{universe.n_ambiguous:,} of {universe.n_genes:,} genes have no name of their own as "
            f"{universe.matched_by} and are not scored"
        )
    if ranking.n_tied[0] == ranking.n_pairs:
        notes.append("every scored weight is the same: the ranking says nothing")
    stored = universe.scores.data if is_sparse(universe.scores) else universe.scores
    n_negative = _count_negative(stored)
    if n_negative:
        notes.append(
            f"{n_negative:,} weights are negative and rank below no edge; absolute=True ranks by absolute weight"
        )
    if not network.directed and truth.directed:
        notes.append("the network is undirected and the truth is not: it gets no credit for directions")
    return tuple(notes)


def _first_nan(universe: Universe) -> str | None:
    """Say which scored weights are NaN, in gene names; None when none is."""
    count, first = 0, ""
    for i, own in enumerate(universe.self_columns):
        row = universe.scores[[i]].toarray()[0] if is_sparse(universe.scores) else universe.scores[i]
        bad = np.flatnonzero(np.isnan(row)) if row.dtype.kind == "f" else np.empty(0, dtype=int)
        bad = bad[bad != own]
        if bad.size and not count:
            first = f"{universe.regulators[i]} → {universe.targets[bad[0]]}"
        count += bad.size
    if not count:
        return None
    return (
        f"{count:,} of {universe.n_pairs:,} scored weights are NaN, first {first}: give every pair a weight (0 means "
        "no edge), for example with numpy.nan_to_num"
    )


def _count_negative(values: Any) -> int:
    # By rows: a mask of the whole would be a quarter of the network once more.
    if values.dtype.kind not in "fi":
        return 0
    step = max(1, 2**22 // max(1, values[0].size)) if len(values) else 1
    return sum(int(np.count_nonzero(values[i : i + step] < 0)) for i in range(0, len(values), step))


def _as_published(scores: Scores, compat: Compat) -> Scores:
    universe = scores.universe
    is_true = np.zeros((len(universe.regulators), len(universe.targets)), dtype=bool)
    is_true[universe.positives] = True
    own = None if compat == "bengrn-1.3.2" else universe.self_columns
    published = published_scores(universe.scores, is_true, compat=compat, self_columns=own)
    known = {_PUBLISHED_NAMES.get(name, name): value for name, value in published.items()}
    if compat == "paper":
        # It calls the odds ratio EPR, and its AUPRC is the one over the prevalence line.
        known |= {"odds_ratio": known["epr"], "auprc_paper": known["auprc"]}
    have = {one.name for one in fields(Scores)}
    changed: dict[str, Any] = {name: value for name, value in known.items() if name in have}
    return replace(scores, **changed, compat=compat, published=published)
