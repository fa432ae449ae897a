"""Simulations beside the files that SERGIO and BEELINE publish."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest

from bengrn.simulate import boolode, sergio
from bengrn.simulate.signed_edges import signed_edges

#: The Boolean rules of gonadal sex determination (Ríos et al. 2015, Frontiers in Genetics 6:9).
GSD = {
    "UGR": "UGR and not (NR5A1 or WNT4)",
    "CBX2": "UGR and not (NR0B1 and WNT4 and CTNNB1)",
    "GATA4": "UGR or WNT4 or NR5A1 or SRY",
    "WT1mKTS": "UGR or GATA4",
    "WT1pKTS": "(UGR or GATA4) and not (WNT4 and CTNNB1)",
    "NR5A1": "(UGR or CBX2 or WT1mKTS or GATA4) and not (NR0B1 and WNT4)",
    "NR0B1": "(WT1mKTS or (WNT4 and CTNNB1)) and not (NR5A1 and SOX9)",
    "SRY": "((NR5A1 and WT1mKTS and CBX2) or (GATA4 and WT1pKTS and CBX2 and NR5A1) or (SOX9 or SRY)) and not CTNNB1",
    "SOX9": "((SOX9 and FGF9) or (SRY or PGD2) or (SRY and CBX2) or (GATA4 and NR5A1 and SRY)) "
    "and not (WNT4 or CTNNB1 or FOXL2)",
    "FGF9": "SOX9 and not WNT4",
    "PGD2": "SOX9",
    "DMRT1": "(SRY or SOX9) and not FOXL2",
    "DHH": "SOX9",
    "DKK1": "SRY or SOX9",
    "AMH": "((SOX9 and GATA4 and NR5A1) or (SOX9 and NR5A1 and GATA4 and WT1mKTS)) and not (NR0B1 and CTNNB1)",
    "WNT4": "(GATA4 or (CTNNB1 or RSPO1 or NR0B1)) and not (FGF9 or DKK1)",
    "RSPO1": "(WNT4 or CTNNB1) and not DKK1",
    "FOXL2": "(WNT4 and CTNNB1) and not (DMRT1 or SOX9)",
    "CTNNB1": "(WNT4 or RSPO1) and not (SRY or (SOX9 and AMH))",
}


@pytest.fixture(scope="module")
def published(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sergio")
    with tarfile.open(shared / "data/networks/sergio_inputs_and_networks.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "data_sets"


@pytest.fixture(scope="module")
def gsd(shared):
    with tarfile.open(shared / "data/networks/beeline_example_GSD.tar.xz") as archive:

        def table(name, **options):
            return pd.read_csv(io.BytesIO(archive.extractfile(name).read()), **options)

        return {
            "network": table("GSD/GroundTruthNetwork.csv"),
            "expression": table("GSD/ex1/ExpressionData.csv", index_col=0).T,
            "pseudotime": table("GSD/ex1/PseudoTime.csv", index_col=0),
        }


def test_interactions_hold_the_edges_of_the_published_true_networks(published):
    folders = sorted(published.glob("De-noised_*"))
    assert len(folders) == 8
    for folder in folders:
        edges = signed_edges(next(folder.glob("Interaction_*")))
        truth = pd.read_csv(folder / "gt_GRN.csv", header=None, dtype=str)
        pairs = set(zip(edges.table["source"], edges.table["target"], strict=True))
        assert pairs == set(zip(truth[0], truth[1], strict=True))
        n = int(folder.name.split("_")[1].removesuffix("G"))
        assert edges.genes == tuple(map(str, range(n)))


def test_every_published_network_can_be_simulated_from_its_files(published):
    folder = published / "De-noised_100G_9T_300cPerT_4_DS1"
    cells, truth = sergio(next(folder.glob("Interaction_*")), rates=next(folder.glob("Regs_*")), n_cells=45)
    assert cells.shape == (45, 100)
    assert cells.obs["cell_type"].nunique() == 9
    assert (truth.edges["sign"] == -1).any()


@pytest.mark.slow
def test_the_published_run_has_these_means_variances_and_correlations(published):
    """DS8: three types, two of which differentiate; cells along 13.5 and 7.8 units of time, as its master regulators'
    spliced RNA shows; the amplitude of the noise is fitted to the unspliced variance of its first type."""
    folder = next(published.glob("*DS8"))
    options = {"rates": next(folder.glob("Regs_*")), "differentiation": next(folder.glob("bMat_*"))}
    runs = [
        sergio(
            next(folder.glob("Interaction_*")), n_cells=900, technical=None, noise=0.28, duration=duration, **options
        )[0]
        for duration in (13.5, 7.8)
    ]
    pairs = np.triu_indices(100, 1)
    for layer, letter in (("unspliced", "U"), ("spliced", "S")):
        theirs = pd.read_csv(folder / f"simulated_noNoise_{letter}_0.csv", index_col=0).to_numpy().T
        ours = np.concatenate([runs[0].layers[layer][:600], runs[1].layers[layer][600:]])
        assert np.corrcoef(np.log(ours.mean(axis=0)), np.log(theirs.mean(axis=0)))[0, 1] > 0.995
        assert 0.97 < np.median(ours.mean(axis=0) / theirs.mean(axis=0)) < 1.04
        assert np.corrcoef(np.log(ours.var(axis=0)), np.log(theirs.var(axis=0)))[0, 1] > 0.97
        assert 0.85 < np.median(ours.var(axis=0) / theirs.var(axis=0)) < 1.15
        assert np.corrcoef(np.corrcoef(ours.T)[pairs], np.corrcoef(theirs.T)[pairs])[0, 1] > 0.97


def agreement(cells, mark, gsd, branch):
    """Return the share of the genes that clearly follow a published branch whose sign along time is the same."""
    pseudotime = gsd["pseudotime"].loc[gsd["expression"].index, branch].dropna()
    theirs = gsd["expression"].loc[pseudotime.index].corrwith(pseudotime, method="spearman")
    clear = theirs[theirs.abs() > 0.3]
    assert len(clear) >= 10
    of_branch = cells[cells.obs["end_state"].str.split(" ").map(lambda genes: mark in genes).to_numpy()]
    assert of_branch.n_obs > 30
    ours = pd.DataFrame(of_branch.X, columns=of_branch.var_names, index=of_branch.obs_names)
    rho = ours.corrwith(of_branch.obs["time"], method="spearman")[clear.index]
    return (np.sign(rho) == np.sign(clear)).mean()


def test_genes_follow_time_as_in_beelines_example_in_both_branches(gsd):
    cells, truth = boolode(GSD, initial=["UGR"], n_cells=300)
    assert agreement(cells, "FOXL2", gsd, "PseudoTime1") >= 0.8
    assert agreement(cells, "SOX9", gsd, "PseudoTime2") >= 0.8
    published = {(row.Gene1, row.Gene2, 1 if row.Type == "+" else -1) for row in gsd["network"].itertuples()}
    # edges that rules can do without are no edges: AMH of WT1mKTS, SOX9 of CBX2, FGF9 and others
    implied = set(zip(truth.edges["source"], truth.edges["target"], truth.edges["sign"], strict=True))
    assert implied < published
    assert len(published) - len(implied) < 10


def test_the_rule_made_of_signed_edges_follows_the_branch_it_has(gsd):
    edges = gsd["network"].rename(columns={"Gene1": "source", "Gene2": "target", "Type": "type"})
    cells, truth = boolode(edges, initial=["UGR"], n_cells=150)
    assert cells.uns["simulation"]["notes"][0] == "rules were made of signed edges: any activator and no repressor"
    assert "7 edges there twice with the same sign counted once" in cells.uns["simulation"]["notes"]
    assert len(truth) == 79
    assert agreement(cells, "SOX9", gsd, "PseudoTime2") >= 0.8
