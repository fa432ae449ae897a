"""Rows of the table: one network against one truth, in both orientations, with details for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bengrn.align import NoOverlapError, Universe, align
from bengrn.baselines import degree_only
from bengrn.benchmarking.columns import SCORES
from bengrn.benchmarking.work_files import WorkFiles, write_parquet
from bengrn.network import SYMBOL, Network, is_sparse
from bengrn.scoring import Scores, score_universe
from bengrn.truths.ground_truth import GroundTruth
from bengrn.uncertainty import bootstrap, degree_preserving_p
from bengrn.uncertainty.bootstrap import ROUGH_REGULATORS

#: Points of a precision-recall curve, and edges of a network, that are kept at most.
MOST_POINTS, MOST_EDGES = 200, 10_000


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Choices by which networks are scored.

    Attributes
    ----------
    truth
        Name of the truth, as the table shows it.
    sha256
        Checksum of the truth.
    organism
        Organism of the truth.
    regulators
        Rows of the scored pairs.
    orientations
        Orientations to score.
    n_replicates, n_permutations
        Replicates for intervals and rewired truths; 0 for none.
    absolute
        Whether to rank by absolute weight.
    held_out
        Whether the truth is cells that the network was not inferred from, whose expression is predicted.
    by
        Column of obs whose cells stay together in one fold of these.
    """

    truth: str
    sha256: str
    organism: str
    regulators: Any
    orientations: tuple[str, ...]
    n_replicates: int
    n_permutations: int
    absolute: bool = False
    held_out: bool = False
    by: str | None = None


def score_rows(
    network: Network, truth: GroundTruth, how: Scoring, *, seed: int, details: str, files: WorkFiles
) -> list[dict[str, Any]]:
    """Score a network and write the details of the orientation that is stored.

    Parameters
    ----------
    network
        Network over all genes of the group.
    truth
        Truth to score against.
    how
        Universe, orientations, intervals.
    seed
        Seed for intervals and permutations.
    details
        Beginning of the names of the files of details.
    files
        Folder of the benchmark.

    Returns
    -------
    list of dict
        One row an orientation; a single one where there is nothing to score, or the weights are symmetric.
    """
    symmetric = not network.directed or is_symmetric(network.matrix)
    wanted: Sequence[str] = ["symmetric"] if symmetric else how.orientations
    rows = []
    for orientation in wanted:
        turned = orientation == "transposed"
        try:
            universe = align(network, truth, transpose=turned, regulators=how.regulators)
            scores = _scored(universe, network, truth, turned=turned, absolute=how.absolute)
        except NoOverlapError as error:
            return [{"orientation": wanted[0], "status": "no overlap", "message": str(error)}]
        row = {"orientation": orientation} | row_of(scores, how, seed=seed)
        if not turned:
            row["details"] = details
            write_details(scores, symbols_by_name(network, scores.matched_by), details, files)
        rows.append(row)
    return rows


def degree_rows(
    genes: Network, truth: GroundTruth, how: Scoring, *, seed: int, details: str, files: WorkFiles
) -> list[dict[str, Any]]:
    """Score the degrees of the truth: targets by how many other regulators they have.

    Parameters are those of :func:`score_rows`; of `genes` only the names matter.
    """
    try:
        size = len(genes.namings["var_names"])
        nothing = replace(genes, matrix=sp.csr_matrix((size, size), dtype=np.float32))
        universe = align(nothing, truth, regulators=how.regulators)
    except NoOverlapError as error:
        return [{"orientation": "symmetric", "status": "no overlap", "message": str(error)}]
    shape = (len(universe.regulators), len(universe.targets))
    weights = degree_only(universe.positives, shape, degrees="target", leave_one_out=True)
    scores = _scored(replace(universe, scores=weights), genes, truth, turned=False, absolute=False)
    # The weights hold the truth's own edges: against other truths they are no fair rival.
    row = row_of(scores, replace(how, n_permutations=0), seed=seed)
    row["message"] = "made from the truth that it is scored on"
    write_details(scores, symbols_by_name(genes, scores.matched_by), details, files)
    return [{"orientation": "symmetric", "details": details} | row]


def row_of(scores: Scores, how: Scoring, *, seed: int) -> dict[str, Any]:
    """Return scores, their intervals, the test of degrees and the sizes as columns of the table."""
    universe = scores.universe
    n_with_edges = int(np.unique(universe.positives[0]).size)
    row: dict[str, Any] = {"status": "ok", "message": "; ".join(scores.notes)}
    for name in SCORES:
        row[name] = getattr(scores, name)
        row[f"{name}_random"] = scores.random_expectation[name]
    common: dict[str, Any] = {"self_columns": universe.self_columns}
    if how.n_replicates:
        found = bootstrap(
            universe.scores,
            universe.positives,
            **common,
            names=universe.regulators,
            n_replicates=how.n_replicates,
            rng=seed,
            metrics=list(SCORES),
        )
        bounds: Any = found.table.to_dict()
        for name in SCORES:
            for end in ("low", "high"):
                row[f"{name}_{end}"] = float(bounds[end][name])
    if how.n_permutations:
        null = degree_preserving_p(
            universe.scores,
            universe.positives,
            **common,
            names=(universe.regulators, universe.targets),
            n_permutations=how.n_permutations,
            rng=seed,
        )
        row |= {"p_degree": null.p_value, "p_degree_smallest": 1 / (1 + how.n_permutations)}
    sizes = {key: getattr(scores, key) for key in ("n_regulators", "n_targets", "n_positives", "prevalence")}
    told = {"n_regulators_with_edges": n_with_edges, "rough": n_with_edges < ROUGH_REGULATORS}
    return row | sizes | told | {"date": datetime.now(UTC).isoformat(timespec="seconds")}


def symbols_by_name(network: Network, naming: str) -> dict[str, str]:
    """Return the symbol of each gene, by its name in a naming; empty where the network has no symbols."""
    symbols = network.namings.get(SYMBOL, pd.Index([]))
    return dict(zip(network.namings[naming], symbols, strict=False))


def write_details(scores: Scores, symbols: Mapping[str, str], name: str, files: WorkFiles) -> None:
    """Write the precision-recall curve and the scores of each regulator, with its symbol where that is known."""
    curve = scores.curve
    recall, precision = np.asarray(curve.recall), np.asarray(curve.precision)
    at = np.unique(np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(int))
    points = pd.DataFrame({"recall": recall[at], "precision": precision[at]})
    write_parquet(files.details(f"{name}.curve.parquet"), points)
    table = scores.per_regulator
    table = table[table["n_positives"] > 0]
    own = pd.DataFrame(
        {
            "regulator": table.index.astype(str),
            "symbol": [symbols.get(one, "") for one in table.index.astype(str)],
            "n_positives": table["n_positives"].to_numpy(),
            "ap": table["ap"].to_numpy(),
            "ap_ratio": (table["ap"] / table["prevalence"]).to_numpy(),
        }
    )
    write_parquet(files.details(f"{name}.regulators.parquet"), own)


def write_edges(weights: Any, genes: pd.Index, name: str, files: WorkFiles) -> None:
    """Write the edges of largest absolute weight."""
    import grnndata

    network = grnndata.from_matrix(weights, genes)
    write_parquet(files.details(f"{name}.edges.parquet"), network.edges(top_k=MOST_EDGES))


def is_symmetric(matrix: Any) -> bool:
    """Say whether every pair of genes has the same weight in both directions."""
    if is_sparse(matrix):
        return bool((matrix != matrix.T).nnz == 0)
    step = 512
    return all(np.array_equal(matrix[i : i + step], matrix[:, i : i + step].T) for i in range(0, len(matrix), step))


def _scored(universe: Universe, network: Network, truth: GroundTruth, *, turned: bool, absolute: bool) -> Scores:
    if absolute:
        universe = replace(universe, scores=abs(universe.scores))
    return score_universe(universe, network, truth, transposed=turned, absolute=absolute)


def rows_for(status: str, message: str, orientations: Mapping[str, Any] | Sequence[str]) -> list[dict[str, Any]]:
    """Return rows without scores, one an orientation."""
    return [{"orientation": one, "status": status, "message": message} for one in orientations]
