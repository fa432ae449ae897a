"""The score table that other packages ask for: a network against OmniPath, beside its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn.align import Alignment, align_genes
from bengrn.baselines import degree_only, network_degree
from bengrn.methods.correlation import PEARSON
from bengrn.methods.expression import expression
from bengrn.methods.method import Method
from bengrn.methods.random import RANDOM
from bengrn.network import Network, as_network, of_same_genes
from bengrn.scoring import Scores, score_universe
from bengrn.truths import GroundTruth, load_truth
from bengrn.uncertainty.bootstrap import interval
from bengrn.uncertainty.score_intervals import LEVEL, bootstrap_scores, ends, interval_columns, no_intervals

if TYPE_CHECKING:
    from anndata import AnnData

    from grnndata import GRNAnnData

RANDOM_DRAWS = 10
_MEASURED = ("ap", "ap_ratio", "auprc_paper", "auroc", "epr", "odds_ratio")
_SIZES = ("prevalence", "n_positives", "n_regulators", "n_targets")
_AGAINST = ("truth", "truth_version")
_GAIN = ("gain", "gain_low", "gain_high")
COLUMNS = ("method", "orientation", "universe", *_MEASURED, *interval_columns(_MEASURED), *_GAIN, *_SIZES, *_AGAINST)


def score_against_omnipath(
    grn: GRNAnnData,
    *,
    truth: GroundTruth | None = None,
    rivals: Mapping[str, GRNAnnData] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score a network and its baselines on the same pairs.

    Parameters
    ----------
    grn
        The network, with the raw counts it came from in X.
    truth
        Ground truth to score against. Default: "omnipath-demo", the part of OmniPath that comes with the package,
        which knows the genes of the bundled examples only. ``load_truth("omnipath")`` is the whole.
    rivals
        Name to a further network of the same genes. One that has weights of some regulators only is scored where
        all regulators are among them.
    seed
        Seed for the random baseline and the intervals. Draws go by the genes' names.

    Returns
    -------
    DataFrame
        Columns ``method, orientation, universe, ap, ap_ratio, auprc_paper, auroc, epr, odds_ratio``; ``<score>_low``
        and ``<score>_high`` of each of these: 95 % intervals over regulators (:func:`bengrn.uncertainty.bootstrap`;
        NaN below five regulators and of rows that are means); ``gain, gain_low, gain_high``: the ``ap_ratio`` of the
        network as stored less that of the row, with the interval of this difference, the same regulators drawn for
        both; ``prevalence, n_positives, n_regulators, n_targets, truth, truth_version``. Per universe ("all": every
        regulator with a true edge; "TF": the transcription factors among them, left out where there are none) one row
        each for

        - the network "as stored" (row = regulator) and "transposed", which is how the paper scores networks
          against OmniPath (Kalfon et al. 2025, "Normalization and network interpretation");
        - "hubs of" it in either orientation: its own strengths alone (:func:`bengrn.baselines.network_degree`), which
          a network of edges should beat;
        - each of the rivals, as stored;
        - |Pearson correlation| of X and "abundance", the mean expression of the regulator times that of the target
          ("symmetric": both orientations are the same), left out where X is lacking;
        - "degrees of the truth": how popular each target is among other regulators, which uses the truth
          (:func:`bengrn.baselines.degree_only`, targets, leave-one-out);
        - random weights, each score the mean over 10 draws;
        - the mean over all orders of the pairs, exactly: :func:`bengrn.baselines.random_expectation`.

    Raises
    ------
    ValueError
        As :func:`bengrn.score`, if X holds NaN or infinite values, and if a rival has other genes.
    """
    truth = load_truth("omnipath-demo") if truth is None else truth
    others = dict(rivals or {})
    for name, rival in others.items():
        if not rival.var_names.equals(grn.var_names):
            raise ValueError(f"the rival {name!r} has other genes than the network, or another order of them")
    network = as_network(grn)
    # all networks have these genes: they are brought onto those of the truth once
    universes = {"all": align_genes(network, truth)}
    factors = _of_factors(network, truth)
    if factors is not None:
        universes["TF"] = factors
    baselines = _baselines(grn, seed)
    rows = []
    for universe, alignment in universes.items():

        def scored(one: AnnData, *, transpose: bool = False, alignment: Alignment = alignment) -> Scores:
            taken = of_same_genes(one, network)
            on = alignment.universe(taken, transpose=transpose)
            return score_universe(on, taken, truth, transposed=transpose)

        own = {
            orientation: scored(grn, transpose=transpose)
            for orientation, transpose in (("as stored", False), ("transposed", True))
        }
        table = _Rows(own["as stored"], universe, seed)
        for turn, one in own.items():
            table.add(one.method, turn, [one])
        for turn, one in own.items():
            implied = network_degree(one.universe.scores, self_columns=one.universe.self_columns)
            table.add(f"hubs of {one.method}", turn, [_other(one, implied, truth)])
        for name, rival in others.items():
            scores = scored(rival)
            if _has_all_regulators(scores):
                table.add(name, "as stored", [scores])
        for method, orientation, networks in baselines:
            found = [scored(one) for one in networks]
            table.add(method or found[0].method, orientation, found)
        first = own["as stored"]
        shape = (len(first.universe.regulators), len(first.universe.targets))
        popular = degree_only(first.universe.positives, shape, degrees="target", leave_one_out=True)
        table.add("degrees of the truth", "any", [_other(first, popular, truth)])
        rows += [*table.rows, _expectation(universe, first)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Rows:
    """Rows of one universe, each compared with the network as stored over the same draws of regulators."""

    def __init__(self, reference: Scores, universe: str, seed: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._reference, self._universe, self._seed = reference, universe, seed
        self._drawn: pd.Series | None = None

    def add(self, method: str, orientation: str, scores: list[Scores]) -> None:
        """Add a row: of one network, or the mean of several. The first is the reference."""
        means = {key: float(np.mean([getattr(one, key) for one in scores])) for key in _MEASURED}
        row = {"method": method, "orientation": orientation, "universe": self._universe} | means
        row |= no_intervals(_MEASURED) | dict.fromkeys(_GAIN, np.nan)
        if len(scores) == 1:
            drawn = bootstrap_scores(scores[0], _MEASURED, seed=self._seed)
            row |= ends(drawn, _MEASURED)
            if self._drawn is None:
                self._drawn = drawn.replicates["ap_ratio"]
            else:
                row |= self._gain(scores[0], self._drawn - drawn.replicates["ap_ratio"], drawn.n_regulators)
        self.rows.append(row | {key: getattr(scores[0], key) for key in (*_SIZES, *_AGAINST)})

    def _gain(self, other: Scores, differences: pd.Series, n_regulators: int) -> dict[str, float]:
        """Return what the reference's score is above another's, with its interval over the same draws."""
        low, high = interval(differences.dropna().to_numpy(), LEVEL, n_regulators)
        return {"gain": self._reference.ap_ratio - other.ap_ratio, "gain_low": float(low), "gain_high": float(high)}


def _baselines(grn: GRNAnnData, seed: int) -> list[tuple[str | None, str, list[Any]]]:
    rng = np.random.default_rng(seed)
    # Matrices only: ten copies of the cells beside them would be waste.
    symbols = {"symbol": grn.var["symbol"]} if "symbol" in grn.var else {}
    genes = pd.DataFrame(symbols, index=grn.var_names)
    draws = [_without_cells(RANDOM, genes, rng) for _ in range(RANDOM_DRAWS)]
    found: list[tuple[str | None, str, list[Any]]] = [(f"random (mean of {RANDOM_DRAWS})", "any", draws)]
    if grn.X is not None and grn.n_obs:
        expressed = _mean_expression(grn)
        abundance = grn.copy()
        abundance.grn = np.multiply.outer(expressed, expressed).astype(np.float32)
        found[:0] = [(None, "symmetric", [PEARSON.infer(grn)]), ("abundance", "symmetric", [abundance])]
    return found


def _mean_expression(grn: GRNAnnData) -> NDArray[np.float64]:
    """Return the mean over cells of log counts per 10,000, or of other values as they are given, for each gene."""
    return expression(grn.X, "log")[0].mean(axis=0)


def _other(scores: Scores, weights: Any, truth: GroundTruth) -> Scores:
    """Score other weights on the same pairs."""
    universe = replace(scores.universe, scores=weights)
    return score_universe(universe, Network(None, {}, "weights"), truth, transposed=scores.transposed)


def _has_all_regulators(scores: Scores) -> bool:
    """Say whether each regulator that is scored has a weight."""
    weights = scores.universe.scores
    return bool((abs(weights).sum(axis=1) > 0).all())


def _without_cells(method: Method, genes: pd.DataFrame, rng: np.random.Generator) -> GRNAnnData:
    from anndata import AnnData

    return method.infer(AnnData(shape=(0, len(genes)), var=genes), rng=rng)


def _of_factors(network: Network, truth: GroundTruth) -> Alignment | None:
    """Return the pairs whose regulators are transcription factors; None where no factor is among the regulators."""
    try:
        return align_genes(network, truth, regulators="tf")
    except ValueError:  # none has a true edge, or there is no list for the organism
        return None


def _expectation(universe: str, one: Scores) -> dict[str, Any]:
    chance = {key: one.random_expectation[key] for key in _MEASURED}
    sizes = {key: getattr(one, key) for key in (*_SIZES, *_AGAINST)}
    named = {"method": "random expectation", "orientation": "any", "universe": universe}
    return named | chance | no_intervals(_MEASURED) | dict.fromkeys(_GAIN, np.nan) | sizes
