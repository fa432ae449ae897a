"""Several networks against one truth, on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from bengrn.align import Regulators, Universe, align
from bengrn.network import as_network, is_sparse
from bengrn.scoring import score_universe
from bengrn.truths.ground_truth import GroundTruth
from bengrn.uncertainty import compare_paired, holm
from bengrn.uncertainty.score_intervals import REPLICATES, score_intervals

#: Metrics of the table.
MEASURED = ("ap", "ap_ratio", "auroc", "epr", "odds_ratio")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Networks scored on the same pairs.

    Attributes
    ----------
    scores
        One row a network: ``network, ap, ap_ratio, auroc, epr, odds_ratio``, the 95 % interval ``<score>_low,
        <score>_high`` of each (over regulators, see :func:`bengrn.uncertainty.bootstrap`), ``n_edges_scored`` (its
        scored pairs with a weight that is not 0).
    pairs
        One row a pair of networks: ``a, b, difference`` (a less b), its interval ``low, high`` (over regulators
        drawn with replacement, the same ones for both), ``p_value`` (two-sided, of equal skill at each
        regulator) and ``p_holm`` (Holm 1979).
    n_regulators, n_targets, n_positives
        Size of the universe.
    notes
        What a reader of these numbers should know, one sentence each.
    truth, truth_version, truth_part
        Name of the truth, its release or hash, and which part of its source it holds.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    n_regulators: int
    n_targets: int
    n_positives: int
    notes: tuple[str, ...] = ()
    truth: str = ""
    truth_version: str = ""
    truth_part: str = ""


def compare(
    networks: Mapping[str, Any],
    truth: GroundTruth,
    *,
    metric: str = "ap",
    transpose: bool = False,
    regulators: Regulators = "truth",
    absolute: bool = False,
    n_replicates: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Score networks on the pairs of genes that all of them have, and test their differences.

    Scores on pairs of one's own do not compare: a network of fewer genes has another prevalence and easier
    pairs. Genes are matched by the name they have in the truth.

    Parameters
    ----------
    networks
        Name → network, in any form that :func:`bengrn.score` takes; two or more.
    truth, transpose, regulators, absolute
        Options of :func:`bengrn.score`, for all networks.
    metric
        Metric that differences are taken of: a name from :data:`bengrn.uncertainty.METRICS`.
    n_replicates, seed
        See :func:`bengrn.uncertainty.compare_paired`.

    Raises
    ------
    ValueError
        As :func:`bengrn.score`, and when there is one network only, or they share no gene or true edge.
    """
    if len(networks) < 2:
        raise ValueError(f"a comparison needs two networks or more, not {len(networks)}")
    taken = {name: as_network(network) for name, network in networks.items()}
    own = {name: align(network, truth, transpose=transpose, regulators=regulators) for name, network in taken.items()}
    shared = _on_shared_genes(own)
    if absolute:
        shared = {name: replace(one, scores=abs(one.scores)) for name, one in shared.items()}
    rows = []
    for name, universe in shared.items():
        scores = score_universe(universe, taken[name], truth, transposed=transpose, absolute=absolute)
        values: Any = universe.scores.data if is_sparse(universe.scores) else universe.scores
        measured = {key: getattr(scores, key) for key in MEASURED}
        measured |= score_intervals(scores, MEASURED, seed=seed, n_replicates=REPLICATES)
        rows.append({"network": name} | measured | {"n_edges_scored": int(np.count_nonzero(values))})
    first = next(iter(shared.values()))
    pairs = []
    notes: tuple[str, ...] = ()
    for a, b in combinations(shared, 2):
        found = compare_paired(
            shared[a].scores,
            shared[b].scores,
            first.positives,
            self_columns=first.self_columns,
            names=first.regulators,
            n_replicates=n_replicates,
            rng=seed,
            metric=metric,
        )
        notes = found.notes  # of the regulators, which are the same for all
        pairs.append(
            {
                "a": a,
                "b": b,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
            }
        )
    table = pd.DataFrame(pairs)
    table["p_holm"] = holm(table["p_value"].to_numpy())
    sizes = len(first.regulators), len(first.targets), len(first.positives[0])
    notes = tuple(f"{name} was read from its file: {note}" for name, one in taken.items() for note in one.notes) + notes
    return Comparison(pd.DataFrame(rows), table, *sizes, notes + truth.notes, truth.name, truth.version, truth.part)


def _on_shared_genes(own: Mapping[str, Universe]) -> dict[str, Universe]:
    """Cut every universe to the regulators, targets and true edges that all of them have."""
    universes = list(own.values())
    targets, regulators = universes[0].targets, universes[0].regulators
    for universe in universes[1:]:
        targets = targets[targets.isin(universe.targets)]
        regulators = regulators[regulators.isin(universe.regulators)]
    regulators = regulators[regulators.isin(targets)]
    if not len(regulators) or not len(targets):
        sizes = ", ".join(f"{name!r} {len(one.regulators):,} × {len(one.targets):,}" for name, one in own.items())
        raise ValueError(f"the networks share no scored pair (regulators × targets: {sizes}): are genes named alike?")
    self_columns = targets.get_indexer(regulators).astype(np.int64)
    cut = {}
    for name, universe in own.items():
        rows, columns = universe.regulators.get_indexer(regulators), universe.targets.get_indexer(targets)
        scores = universe.scores
        cut_scores = scores[rows][:, columns] if is_sparse(scores) else scores[np.ix_(rows, columns)]
        place = [regulators.get_indexer(universe.regulators), targets.get_indexer(universe.targets)]
        true_rows, true_columns = (at[where] for at, where in zip(place, universe.positives, strict=True))
        kept = (true_rows >= 0) & (true_columns >= 0)
        order = np.lexsort((true_columns[kept], true_rows[kept]))
        cut[name] = replace(
            universe,
            scores=cut_scores,
            positives=(true_rows[kept][order].astype(np.int64), true_columns[kept][order].astype(np.int64)),
            signs=None,
            self_columns=self_columns,
            regulators=regulators,
            targets=targets,
        )
    return cut
