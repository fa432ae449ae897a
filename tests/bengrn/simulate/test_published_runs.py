"""Simulations beside the files that SERGIO and BEELINE publish."""

import io
import tarfile

import numpy as np
import pandas as pd
import pytest

from bengrn.benchmarking.presets.boolode import FIRST, RULES
from bengrn.simulate import boolode, sergio
from bengrn.simulate.signed_edges import signed_edges


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
    cells, truth = boolode(RULES, initial=FIRST, n_cells=300)
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


def test_presets_simulate_cells_and_the_truth_that_belongs_to_them(tmp_path, monkeypatch):
    from bengrn.benchmarking.as_config import as_config
    from bengrn.benchmarking.preset import load_preset

    with pytest.raises(FileNotFoundError, match=r"has neither network\.csv"):
        load_preset("sergio", tmp_path)
    with pytest.raises(ValueError, match="comes with its rules"):
        load_preset("boolode", tmp_path)
    (tmp_path / "network.csv").write_text("source,target,sign\nM,A,1\nA,B,-1\nB,A,1\n")
    monkeypatch.setattr("bengrn.benchmarking.presets.sergio.N_CELLS", 90)
    monkeypatch.setattr("bengrn.benchmarking.presets.boolode.N_CELLS", 60)
    for name, data, shape in (("sergio", tmp_path, (90, 3)), ("boolode", None, (60, 19))):
        config = as_config(load_preset(name, data))
        (cells,), (truth,) = config.datasets, config.truths
        assert cells.cells.shape == shape
        assert truth.loaded.genes == set(cells.cells.var_names)
        assert len(config.methods) == 5
