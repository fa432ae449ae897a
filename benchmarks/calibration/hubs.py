"""P-values of differential hubs, edges and overlap, of donors that differ as donors do, and of cells of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.calibration.shares import Simulation, by_quartile, p_value_shares
from bengrn import get_method
from grnndata import GRNAnnData, tl

N_GENES, N_PROGRAMS = 80, 4
PLANTED = (0, 40)
PEARSON = get_method("pearson")


def calibrate(*, quick: bool = False) -> pd.DataFrame:
    """Simulate donors without and with genes that join programs in one group, and single samples."""
    n, n_cells = (20, 60) if quick else (150, 100)
    n_within, permutations = (4, 39) if quick else (50, 39)
    donors = [of_donors(seed, n_cells) for seed in range(n)]
    paired = [of_donors(seed, n_cells, paired=True) for seed in range(n // 2)]
    tables = []
    for case, found in (("4 + 4 donors", donors), ("6 pairs", paired)):
        for kind, part in (("discrete", "exchanges"), ("no effect", "moderated t")):
            named = [{name: p for name, p in one.items() if name.startswith(part)} for one in found]
            tables.append(p_value_shares(named, case=case, kind=kind))
    within = [within_sample(seed, n_cells, permutations) for seed in range(n_within)]
    tables.append(p_value_shares(within, case="halves of one sample", kind="no effect", levels=(0.05,)))
    rivals = [of_rivals(seed, n_cells, permutations) for seed in range(n_within)]
    tables.append(p_value_shares(rivals, case="4 + 4 donors", kind="rival", levels=(0.05,)))
    planted = [of_planted(seed, n_cells) for seed in range(40 if quick else 80)]
    tables.append(p_value_shares(planted, case="4 + 4 donors", kind="planted", levels=(0.05,)))
    for case, is_paired in (("4 + 4 donors", False), ("6 pairs", True)):
        joining = (8,) if quick else (2, 4)
        shared = [of_planted_overlap(seed, n_cells, joining, paired=is_paired) for seed in range(20 if quick else 80)]
        tables.append(p_value_shares(shared, case=case, kind="planted", levels=(0.05,)))
    return pd.concat(tables, ignore_index=True)


def simulate(
    seed: int, n_cells: int, *, groups: Sequence[str] = "aaaabbbb", paired: bool = False, planted: Sequence[int] = ()
) -> anndata.AnnData:
    """Draw cells of donors that differ in expression, depth and in how genes follow four programs.

    Parameters
    ----------
    seed
        Seed of all draws.
    n_cells
        Number of cells of each donor and group.
    groups
        Group of each donor.
    paired
        Whether every donor is in both groups "a" and "b" instead.
    planted
        Genes that follow two programs in group "a" and none in group "b".
    """
    rng = np.random.default_rng([seed, 19])
    mean = rng.normal(0.5, 1, N_GENES)
    in_program = rng.random((N_GENES, N_PROGRAMS)) < 0.3
    loading = rng.normal(0, 0.5, in_program.shape) * in_program
    parts, rows = [], []
    for donor, group_of_donor in enumerate(groups):
        own = loading + in_program * rng.normal(0, 0.3, loading.shape)
        shift, depth = rng.normal(0, 0.3, N_GENES), rng.normal(0, 0.3)
        for group in "ab" if paired else group_of_donor:
            followed = own + paired * in_program * rng.normal(0, 0.15, loading.shape)
            if len(planted):
                followed[list(planted)] = [0.8, 0.8, 0, 0] if group == "a" else 0
            rate = np.exp(mean + shift + rng.normal(size=(n_cells, N_PROGRAMS)) @ followed.T)
            depths = 250 * np.exp(depth + rng.normal(0, 0.5, n_cells))
            parts.append(rng.poisson(rate / rate.sum(axis=1, keepdims=True) * depths[:, None]))
            rows += [(group, f"donor {donor}")] * n_cells
    obs = pd.DataFrame(rows, columns=["group", "donor"], index=[f"cell {i}" for i in range(len(rows))])
    var = pd.DataFrame(index=[f"gene {i:02d}" for i in range(N_GENES)])
    return anndata.AnnData(np.vstack(parts).astype(np.float32), obs=obs, var=var)


def of_donors(seed: int, n_cells: int, *, paired: bool = False) -> Simulation:
    """Return the p-values of donors whose groups mean nothing, by test, expression and strength."""
    cells = simulate(seed, n_cells, groups="aaabbb" if paired else "aaaabbbb", paired=paired)
    networks = tl.replicate_networks(cells, PEARSON, groupby="group", replicate="donor")
    hubs = tl.differential_hubs(networks["a"], networks["b"], paired=paired).set_index("gene").loc[cells.var_names]
    edges = tl.differential_edges(networks["a"], networks["b"], paired=paired, top_edges=500)
    overlap = tl.differential_overlap(networks["a"], networks["b"], paired=paired, top_k=10)
    found = {"exchanges, overlap": np.array([overlap["p_value"]])}
    expression, strength = np.asarray(cells.X).mean(axis=0), hubs["strength_a"] + hubs["strength_b"]
    for test, column in (("exchanges", "p_value"), ("moderated t", "p_moderated")):
        p = hubs[column].to_numpy()
        found[f"{test}, hubs"] = p
        for name, by in (("expression", expression), ("strength", strength)):
            found |= {f"{test}, hubs, {part}": some for part, some in by_quartile(p, by, name).items()}
        found[f"{test}, edges"] = edges[column].to_numpy()
    return found


def of_planted(seed: int, n_cells: int) -> Simulation:
    """Return the p-values of genes that follow programs in one group only."""
    cells = simulate(seed, n_cells, planted=PLANTED)
    networks = tl.replicate_networks(cells, PEARSON, groupby="group", replicate="donor")
    hubs = tl.differential_hubs(networks["a"], networks["b"]).set_index("gene").loc[cells.var_names[list(PLANTED)]]
    return {"exchanges, hubs": hubs["p_value"].to_numpy(), "moderated t, hubs": hubs["p_moderated"].to_numpy()}


def of_planted_overlap(seed: int, n_cells: int, joining: Sequence[int], *, paired: bool) -> Simulation:
    """Return the p-value of the edges that networks share, where so many genes follow programs in one group only."""
    found = {}
    for n in joining:
        cells = simulate(seed, n_cells, groups="aaabbb" if paired else "aaaabbbb", paired=paired, planted=range(n))
        networks = tl.replicate_networks(cells, PEARSON, groupby="group", replicate="donor")
        overlap = tl.differential_overlap(networks["a"], networks["b"], paired=paired, top_k=10)
        found[f"exchanges, overlap, {n} of {N_GENES} genes"] = np.array([overlap["p_value"]])
    return found


def within_sample(seed: int, n_cells: int, permutations: int) -> Simulation:
    """Return the p-values of the test within a sample, whose cells fall into two groups by chance."""
    cells = simulate(seed, 4 * n_cells, groups="a")
    cells.obs["half"] = np.random.default_rng(seed).permutation(np.repeat(["a", "b"], cells.n_obs // 2))
    options = {"groupby": "half", "permutations": permutations, "seed": seed}
    hubs = tl.differential_hubs_of_cells(cells, PEARSON, **options).set_index("gene").loc[cells.var_names]
    edges = tl.differential_edges_of_cells(cells, PEARSON, top_edges=500, **options)
    p = hubs["p_within_sample"].to_numpy()
    found = {"within the sample, hubs": p, "within the sample, edges": edges["p_within_sample"].to_numpy()}
    for name, by in (
        ("expression", np.asarray(cells.X).mean(axis=0)),
        ("strength", hubs["strength_a"] + hubs["strength_b"]),
    ):
        found |= {f"within the sample, hubs, {part}": some for part, some in by_quartile(p, by, name).items()}
    return found


def of_rivals(seed: int, n_cells: int, permutations: int) -> Simulation:
    """Return what two tests that know nothing of donors make of donors whose groups mean nothing."""
    cells = simulate(seed, n_cells)
    hubs = tl.differential_hubs_of_cells(cells, PEARSON, groupby="group", permutations=permutations)
    networks = [PEARSON.infer(cells[(cells.obs["group"] == group).to_numpy()].copy()) for group in "ab"]
    return {
        "labels of cells exchanged": hubs["p_within_sample"].to_numpy(),
        "weights of single edges exchanged": signs_flipped(*networks, rng=np.random.default_rng(seed)),
    }


def signs_flipped(a: GRNAnnData, b: GRNAnnData, *, rng: np.random.Generator, permutations: int = 999) -> NDArray:
    """Return p-values of strengths as if the two weights of each edge could be exchanged on their own."""
    first, second = (np.asarray(grn.grn, dtype=float) for grn in (a, b))
    gaps = first / first.sum() - second / second.sum()
    signs = rng.choice([-1.0, 1.0], (len(gaps), permutations))
    at_least = (np.abs(gaps @ signs) >= np.abs(gaps.sum(axis=1))[:, None] - 1e-12).sum(axis=1)
    return (1 + at_least) / (1 + permutations)
