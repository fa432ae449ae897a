"""The score table that other packages ask for: a network against OmniPath, beside its baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bengrn.align import align
from bengrn.baselines import network_degree
from bengrn.methods.correlation import PEARSON
from bengrn.methods.method import Method
from bengrn.methods.random import RANDOM
from bengrn.network import Network, as_network
from bengrn.scoring import Scores, score, score_universe
from bengrn.truths import GroundTruth, load_truth
from bengrn.uncertainty.score_intervals import REPLICATES, interval_columns, no_intervals, score_intervals

if TYPE_CHECKING:
    from grnndata import GRNAnnData

RANDOM_DRAWS = 10
_MEASURED = ("ap", "auprc_paper", "auroc", "epr", "odds_ratio")
_SIZES = ("prevalence", "n_positives", "n_regulators", "n_targets")
_AGAINST = ("truth", "truth_version")
COLUMNS = ("method", "orientation", "universe", *_MEASURED, *interval_columns(_MEASURED), *_SIZES, *_AGAINST)


def score_against_omnipath(grn: GRNAnnData, *, truth: GroundTruth | None = None, seed: int = 0) -> pd.DataFrame:
    """Score a network and its baselines on the same pairs.

    Parameters
    ----------
    grn
        The network, with the raw counts it came from in X.
    truth
        Ground truth to score against. Default: "omnipath-demo", the part of OmniPath that comes with the package,
        which knows the genes of the bundled example only. ``load_truth("omnipath")`` is the whole.
    seed
        Seed for the random baseline and the intervals. Draws go by the genes' names.

    Returns
    -------
    DataFrame
        Columns ``method, orientation, universe, ap, auprc_paper, auroc, epr, odds_ratio``; ``<score>_low`` and
        ``<score>_high`` of each of these: 95 % intervals over regulators (:func:`bengrn.uncertainty.bootstrap`; NaN
        below five regulators and of rows that are means); ``prevalence, n_positives, n_regulators, n_targets, truth,
        truth_version``. Per universe ("all": every regulator with a true edge; "TF": the transcription factors among
        them, left out where there are none) one row each for

        - the network "as stored" (row = regulator) and "transposed", which is how the paper scores networks
          against OmniPath (Kalfon et al. 2025, "Normalization and network interpretation");
        - "hubs of" it in either orientation: its own strengths alone (:func:`bengrn.baselines.network_degree`), which
          a network of edges should beat;
        - |Pearson correlation| of X ("symmetric": both orientations are the same), left out where X is lacking;
        - random weights, each score the mean over 10 draws;
        - the mean over all orders of the pairs, exactly: :func:`bengrn.baselines.random_expectation`.

    Raises
    ------
    ValueError
        As :func:`bengrn.score`, and if X holds NaN or infinite values.
    """
    truth = load_truth("omnipath-demo") if truth is None else truth
    universes: dict[str, Any] = {"all": "truth"}
    if _has_factors(grn, truth):
        universes["TF"] = "tf"
    baselines = _baselines(grn, seed)
    rows = []
    for universe, regulators in universes.items():
        own = {
            orientation: score(grn, truth, transpose=transpose, regulators=regulators)
            for orientation, transpose in (("as stored", False), ("transposed", True))
        }
        rows += [_row(one.method, turn, universe, [one], seed) for turn, one in own.items()]
        hubs = {turn: _hubs(one, truth) for turn, one in own.items()}
        rows += [_row(one.method, turn, universe, [one], seed) for turn, one in hubs.items()]
        for method, orientation, networks in baselines:
            scores = [score(network, truth, regulators=regulators) for network in networks]
            rows.append(_row(method or scores[0].method, orientation, universe, scores, seed))
        rows.append(_expectation(universe, own["as stored"]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _baselines(grn: GRNAnnData, seed: int) -> list[tuple[str | None, str, list[Any]]]:
    rng = np.random.default_rng(seed)
    # Matrices only: ten copies of the cells beside them would be waste.
    symbols = {"symbol": grn.var["symbol"]} if "symbol" in grn.var else {}
    genes = pd.DataFrame(symbols, index=grn.var_names)
    draws = [_without_cells(RANDOM, genes, rng) for _ in range(RANDOM_DRAWS)]
    found: list[tuple[str | None, str, list[Any]]] = [(f"random (mean of {RANDOM_DRAWS})", "any", draws)]
    if grn.X is not None and grn.n_obs:
        found.insert(0, (None, "symmetric", [PEARSON.infer(grn)]))
    return found


def _hubs(scores: Scores, truth: GroundTruth) -> Scores:
    """Score the network that the strengths of a network's genes imply, on the same pairs."""
    universe = scores.universe
    implied = network_degree(universe.scores, self_columns=universe.self_columns)
    name = f"hubs of {scores.method}"
    return score_universe(
        replace(universe, scores=implied), Network(None, {}, name), truth, transposed=scores.transposed
    )


def _without_cells(method: Method, genes: pd.DataFrame, rng: np.random.Generator) -> GRNAnnData:
    from anndata import AnnData

    return method.infer(AnnData(shape=(0, len(genes)), var=genes), rng=rng)


def _has_factors(grn: GRNAnnData, truth: GroundTruth) -> bool:
    """Say whether a transcription factor is among the regulators that are scored by default."""
    try:
        align(as_network(grn), truth, regulators="tf")
    except ValueError:  # none has a true edge, or there is no list for the organism
        return False
    return True


def _row(method: str, orientation: str, universe: str, scores: list[Scores], seed: int) -> dict[str, Any]:
    of_one = score_intervals(scores[0], _MEASURED, seed=seed, n_replicates=REPLICATES if len(scores) == 1 else 0)
    return {
        "method": method,
        "orientation": orientation,
        "universe": universe,
        **{key: float(np.mean([getattr(one, key) for one in scores])) for key in _MEASURED},
        **of_one,
        **{key: getattr(scores[0], key) for key in (*_SIZES, *_AGAINST)},
    }


def _expectation(universe: str, one: Scores) -> dict[str, Any]:
    chance = {key: one.random_expectation[key] for key in _MEASURED}
    sizes = {key: getattr(one, key) for key in (*_SIZES, *_AGAINST)}
    named = {"method": "random expectation", "orientation": "any", "universe": universe}
    return named | chance | no_intervals(_MEASURED) | sizes
