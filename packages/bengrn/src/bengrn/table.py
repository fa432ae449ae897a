"""A network beside the baselines that it should beat, on the same pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from bengrn.align import Regulators, Universe
from bengrn.baselines import degree_only, network_degree, random_scores
from bengrn.methods.correlation import PEARSON
from bengrn.network import Network, as_network, is_sparse
from bengrn.scoring import Scores, score, score_universe
from bengrn.truths.ground_truth import GroundTruth
from bengrn.uncertainty.score_intervals import REPLICATES, no_intervals, score_intervals

#: Pairs of a sparse network beyond which no baselines are made: 1 GB each.
_MOST_PAIRS = 2**28
#: Metrics of the table.
MEASURED = ("ap", "ap_ratio", "auroc", "epr", "odds_ratio")


def score_table(
    grn: Any,
    truth: GroundTruth,
    *,
    transpose: bool = False,
    regulators: Regulators = "truth",
    absolute: bool = False,
    seed: int = 0,
    n_replicates: int = REPLICATES,
) -> pd.DataFrame:
    """Score a network and, on the same pairs, its baselines.

    Parameters
    ----------
    grn, truth, transpose, regulators, absolute
        See :func:`bengrn.score`.
    seed
        Seed of the random baseline and of the intervals. Draws go by the genes' names.
    n_replicates
        Number of draws of the intervals, which take most of the time; 0 for none.

    Returns
    -------
    pandas.DataFrame
        Columns ``method, ap, ap_ratio, auroc, epr, odds_ratio``, and ``<score>_low, <score>_high`` of each: 95 %
        intervals over regulators (:func:`bengrn.uncertainty.bootstrap`), the same draws for all rows. One row each for

        - the network, and its transpose;
        - "hubs of the network": its own strengths alone (:func:`bengrn.baselines.network_degree`); a network
          that does not beat it knows who its hubs are, and no more;
        - absolute Pearson correlation of the cells, where `grn` holds at least two cells;
        - "degrees of the truth": how popular each target is among other regulators, which uses the truth
          (:func:`bengrn.baselines.degree_only`, targets, leave-one-out);
        - random weights, and their exact expectation.

    Raises
    ------
    ValueError, TypeError
        As :func:`bengrn.score`; and for a sparse network with more than 268 million pairs, whose baselines would take
        over 1 GB each.
    """
    options: dict[str, Any] = {"regulators": regulators, "absolute": absolute}
    own = score(grn, truth, transpose=transpose, **options)
    network = as_network(grn)
    universe = own.universe
    _check_room(universe)

    def other(name: str, weights: Any) -> Scores:
        return score_universe(replace(universe, scores=weights), Network(None, {}, name), truth, transposed=transpose)

    turned = score(grn, truth, transpose=not transpose, **options)
    rows: list[tuple[str, Scores]] = [
        (network.method, own),
        (f"{network.method}, transposed", turned),
        ("hubs of the network", other("hubs", network_degree(universe.scores, self_columns=universe.self_columns))),
    ]
    correlation = _correlation(grn)
    if correlation is not None:
        rows.append(("|Pearson correlation|", score(correlation, truth, regulators=regulators)))
    shape = (len(universe.regulators), len(universe.targets))
    popular = degree_only(universe.positives, shape, degrees="target", leave_one_out=True)
    rows.append(("degrees of the truth", other("degrees", popular)))
    names = (universe.regulators, universe.targets)
    rows.append(("random weights", other("random", random_scores(shape, seed, names=names))))
    records = [
        {"method": name}
        | {key: getattr(one, key) for key in MEASURED}
        | score_intervals(one, MEASURED, seed=seed, n_replicates=n_replicates)
        for name, one in rows
    ]
    expected = {"method": "random expectation"} | {key: own.random_expectation[key] for key in MEASURED}
    return pd.DataFrame([*records, expected | no_intervals(MEASURED)])


def _check_room(universe: Universe) -> None:
    """Raise ValueError before a sparse network's baselines, which have a weight for every pair, would fill memory."""
    n_pairs = len(universe.regulators) * len(universe.targets)
    if is_sparse(universe.scores) and n_pairs > _MOST_PAIRS:
        raise ValueError(
            f"baselines have a weight for every pair, and {len(universe.regulators):,} regulators × "
            f"{len(universe.targets):,} targets take {4 * n_pairs / 1e9:,.1f} GB for each: leave them out, on the "
            "command line --no-baselines, or score fewer regulators, regulators='truth' or 'tf'"
        )


def _correlation(grn: Any) -> Any:
    if getattr(grn, "X", None) is None or getattr(grn, "n_obs", 0) < 2:
        return None
    return PEARSON.infer(grn)
