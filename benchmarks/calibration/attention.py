"""P-values of edges of the bundled model's attention: genes that vary apart given depth, and pairs that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from benchmarks.calibration.cells import SimulatedCells, simulate_cells
from benchmarks.calibration.shares import Simulation, by_quartile, p_value_shares
from scdataloader import datasets
from scprint_model import ScPrint, infer

N_CELLS, N_GENES, N_PLANTED = 80, 50, 10
PERMUTATIONS = 20


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate cells of known genes without and with pairs that vary together, and infer their networks."""
    n = 4 if quick else 20
    model, genes = ScPrint.from_pretrained(), known_genes()
    tables = []
    found = [null_p_values(model, genes, i) for i in range(n)]
    tables.append(p_value_shares(found, case="attention", kind="discrete"))  # cautious: see the page
    found = [null_p_values(model, genes, i, null="cells") for i in range(n // 2)]
    tables.append(p_value_shares(found, case='attention, null="cells"', kind="rival", levels=(0.05,)))
    found = [planted_p_values(model, genes, i) for i in range(n)]
    tables.append(p_value_shares(found, case="attention", kind="planted", levels=(0.05,)))
    return pd.concat(tables, ignore_index=True)


def known_genes() -> list[str]:
    """Return the genes whose names simulated ones have: the most expressed coding ones of the bundled cells."""
    cells = datasets.retina_1k()
    coding = np.flatnonzero(cells.var["biotype"].astype(str) == "protein_coding")
    totals = np.asarray(cells.X.sum(axis=0)).ravel()[coding]
    return cells.var_names[coding[np.argsort(-totals, kind="stable")[:N_GENES]]].tolist()


def as_cells(simulated: SimulatedCells, genes: list[str]) -> AnnData:
    """Return simulated cells under the names of real genes, with the depth that they have beyond these genes."""
    names = [f"cell {i:03d}" for i in range(len(simulated.depth))]
    obs = pd.DataFrame(
        {"total_counts": simulated.depth.astype(np.float32), "organism_ontology_term_id": "NCBITaxon:9606"}, index=names
    )
    return AnnData(sparse.csr_matrix(simulated.counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=genes))


def p_values(model: ScPrint, genes: list[str], simulated: SimulatedCells, seed: int, **options: Any) -> np.ndarray:
    """Return the p-values of a network of simulated cells, (genes, genes) in the order of the genes."""
    network = infer(model, as_cells(simulated, genes), genes=genes, permutations=PERMUTATIONS, seed=seed, **options)
    at = network.var_names.get_indexer(genes)
    return np.asarray(network.varp["GRN_p_value"])[np.ix_(at, at)]


def null_p_values(model: ScPrint, genes: list[str], seed: int, **options: Any) -> Simulation:
    """Return the p-values of genes that vary apart given depth, also by quartile of expression."""
    simulated = simulate_cells(np.random.default_rng([seed, 7]), n_cells=N_CELLS, n_genes=N_GENES)
    p = p_values(model, genes, simulated, seed, **options)
    off = ~np.eye(N_GENES, dtype=bool)
    mean = np.log(simulated.counts.mean(axis=0) + 1e-9)
    return {"all": p[off]} | by_quartile(p[off], (mean[:, None] + mean)[off], "expression")


def planted_p_values(model: ScPrint, genes: list[str], seed: int) -> Simulation:
    """Return the p-values of pairs that vary together strongly: what attention sees of them."""
    rng = np.random.default_rng([seed, 8])
    simulated = simulate_cells(rng, n_cells=N_CELLS, n_genes=N_GENES, n_planted=N_PLANTED, strength=0.8)
    return {"pairs that vary together": p_values(model, genes, simulated, seed)[simulated.planted]}
