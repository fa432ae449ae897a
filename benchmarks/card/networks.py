"""Networks of cell types against CollecTRI and OmniPath, beside correlation, trees, degrees and chance.

Intervals are over regulators. The p-value is beside truths rewired at the same degrees.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.card.opened import Opened
from benchmarks.card.rows import Row
from benchmarks.grn.data_sets import TRUTHS
from benchmarks.grn.methods import OfFactors
from bengrn import get_method, load_truth, score
from bengrn.baselines import degree_only, random_scores
from bengrn.network import Network
from bengrn.scoring import Scores, score_universe
from bengrn.uncertainty import compare_paired, degree_preserving_p
from bengrn.uncertainty.score_intervals import score_intervals
from grnndata import GRNAnnData, tl
from scprint_model.genes import shared_genes

TRUTH_NAMES = {"CollecTRI": "collectri", "OmniPath": "omnipath"}
ATTENTION, JACOBIAN = "scPRINT, attention", "scPRINT, Jacobian"
METRIC = "ap_ratio"
N_CELLS, N_GENES, JACOBIAN_CELLS = 250, 1000, 4
N_REPLICATES, N_PERMUTATIONS = 200, 200


def network_rows(opened: Opened, adata: anndata.AnnData, kind: str) -> list[Row]:
    """Return the rows of one cell type: average precision over prevalence, and a row of p-values, against each truth.

    Parameters
    ----------
    opened
        Model.
    adata
        Cells of the set.
    kind
        Cell type.
    """
    if TRUTHS.is_dir():
        os.environ.setdefault("BENGRN_DATA", str(TRUTHS))
    cells = adata[(adata.obs["cell_type"] == kind).to_numpy()]
    cells = cells[:N_CELLS, shared_genes(opened.vocabulary, cells)].copy()
    cells = cells[:, tl.most_variable_genes(cells, N_GENES)].copy()
    networks = inferred(str(opened.given.model), cells, opened.given.seed)
    rows: list[Row] = []
    for name, truth in TRUTH_NAMES.items():
        rows += scored(networks, load_truth(truth), f"{kind}, {name}", seed=opened.given.seed)
    return rows


def inferred(model: str, cells: anndata.AnnData, seed: int) -> dict[str, GRNAnnData]:
    """Return the network of each method."""
    ours = {"model": model, "n_genes": N_GENES}
    jacobian = ours | {"source": "jacobian", "keep_regulators": True, "n_cells": JACOBIAN_CELLS}
    methods: dict[str, Any] = {
        ATTENTION: get_method("scprint", **ours),
        JACOBIAN: OfFactors(name=JACOBIAN, method="scprint", settings=jacobian),
        "scPRINT, gene embeddings": get_method("scprint", **ours, source="gene_embedding"),
        "|Pearson|": get_method("pearson"),
        "GENIE3-TF": OfFactors(name="GENIE3-TF", method="genie3", settings={"n_trees": 100}),
        "GRNBoost2": OfFactors(name="GRNBoost2", method="grnboost2"),
    }
    found = {}
    for name, method in methods.items():
        network = method.infer(cells, rng=seed)
        if name == JACOBIAN:  # of either sign
            network.grn = abs(network.grn)
        # derivatives of few cells are of the genes that these express
        same = network.var_names.equals(cells.var_names)
        found[name] = network if same else over_genes(network, cells.var)
    return found


def over_genes(network: GRNAnnData, var: pd.DataFrame) -> GRNAnnData:
    """Return a network over the genes of a table, in which genes that it lacks have no edges."""
    at = var.index.get_indexer(network.var_names)
    own: Any = network.grn
    weights = np.zeros((len(var), len(var)), dtype=np.float32)
    weights[np.ix_(at, at)] = own.toarray() if sparse.issparse(own) else np.asarray(own)
    return GRNAnnData(anndata.AnnData(var=var), grn=weights)


def scored(networks: dict[str, Any], truth: Any, about: str, *, seed: int) -> list[Row]:
    """Score networks of the same genes against one truth, each beside attention, with two controls."""
    found: dict[str, Scores] = {name: score(network, truth, regulators="truth") for name, network in networks.items()}
    universe = found[ATTENTION].universe
    shape = (len(universe.regulators), len(universe.targets))
    controls = {
        "degrees of the truth": degree_only(universe.positives, shape, degrees="target", leave_one_out=True),
        "random": random_scores(shape, seed, names=(universe.regulators, universe.targets)),
    }
    for name, weights in controls.items():
        found[name] = score_universe(
            replace(universe, scores=weights), Network(None, {}, name), truth, transposed=False
        )
    rows: list[Row] = []
    for name, one in found.items():
        ends = score_intervals(one, [METRIC], seed=seed, n_replicates=N_REPLICATES)
        row: Row = {"measure": f"AP / prevalence, {about}", "method": name, "value": one.ap_ratio}
        row |= {"low": ends[f"{METRIC}_low"], "high": ends[f"{METRIC}_high"]}
        row |= {"n": len(np.unique(one.universe.positives[0])), "unit": "regulator"}
        if name not in (ATTENTION, "degrees of the truth"):
            row |= _ahead(found[ATTENTION], one, seed)
        rows.append(row)
        if name not in controls:
            test = degree_preserving_p(
                one.universe.scores,
                one.universe.positives,
                self_columns=one.universe.self_columns,
                names=(one.universe.regulators, one.universe.targets),
                n_permutations=N_PERMUTATIONS,
                rng=seed,
            )
            told = {"measure": f"p beside truths of the same degrees, {about}", "method": name}
            rows.append(told | {"value": test.p_value, "n": row["n"], "unit": "permutation"})
    return rows


def _ahead(ours: Scores, other: Scores, seed: int) -> Row:
    """Return by how much one network is ahead of another, which has the same pairs, with regulators drawn for both."""
    one = ours.universe
    if not (one.regulators.equals(other.universe.regulators) and one.targets.equals(other.universe.targets)):
        raise ValueError("the networks are of other genes, and cannot be compared pair by pair")
    told = {"self_columns": one.self_columns, "names": one.regulators, "n_replicates": N_REPLICATES, "rng": seed}
    found = compare_paired(one.scores, other.universe.scores, one.positives, **told, metric=METRIC)
    return {"difference": found.difference, "difference_low": found.low, "difference_high": found.high}
