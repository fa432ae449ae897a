"""The main job through all four packages, on a cut-down input, by the command line."""

import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr

import bengrn
import grnndata
from bengrn.baselines import random_expectation
from scdataloader import datasets
from scprint_model import _provenance as provenance
from scprint_model import infer
from scprint_model.checkpoints.identity import identity
from scprint_model.cli import main
from scprint_model.metrics import neighbour_agreement

N_GENES = 150
TYPES = ["retinal rod cell", "amacrine cell", "Mueller cell", "rod bipolar cell"]


@pytest.fixture(scope="session")
def cut_down(tmp_path_factory):
    """The first 50 cells of each of four types, and one that has too few genes."""
    retina = datasets.retina_1k()
    rows = np.concatenate([np.flatnonzero(retina.obs["cell_type"] == name)[:50] for name in TYPES])
    few = retina[rows].copy()
    poor = few[:1].copy()
    poor.X.data[150:] = 0
    poor.obs_names = ["poor"]
    path = tmp_path_factory.mktemp("input") / "cells.h5ad"
    anndata.concat([few, poor], merge="same").write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def demo(cut_down, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    options = ["--cell_type", "retinal rod cell", "--n_genes", str(N_GENES), "--seed", "3"]
    status = main(["demo", "--data", str(cut_down), "--out", str(out), *options])
    assert status == 0
    return out


def test_all_files_are_there_and_the_page_shows_them(demo):
    files = {path.name for path in demo.iterdir()}
    assert files == {
        "index.html", "cells.h5ad", "denoised.h5ad", "network.h5ad", "edges.tsv", "scores.tsv", "cleaning.tsv",
        "summary.json", "tsne.png", "hubs.png", "edges.tsv.json", "scores.tsv.json", "cleaning.tsv.json",
        "tsne.png.json", "hubs.png.json", "network.html",
    }  # fmt: skip
    page = (demo / "index.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) <= files
    assert not re.search(r"https?://", page)  # nothing is fetched when it is opened
    assert "retinal rod cell" in page
    assert 'data:,"' in (demo / "network.html").read_text()  # that page needs nothing else, either
    for name in ("tsne.png", "hubs.png"):
        assert (demo / name).read_bytes().startswith(b"\x89PNG")
        assert (demo / name).stat().st_size > 20_000


def test_cleaning_removed_the_poor_cell_and_said_so(demo):
    cleaning = pd.read_csv(demo / "cleaning.tsv", sep="\t").set_index("step")
    assert cleaning.loc["cells", ["cells_in", "cells_out"]].tolist() == [201, 200]
    assert "poor" not in anndata.read_h5ad(demo / "cells.h5ad").obs_names


def test_embedding_separates_cell_types_better_than_shuffled_labels(demo):
    cells = anndata.read_h5ad(demo / "cells.h5ad")
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    agreement = neighbour_agreement(cells.obsm["X_scprint"], labels)
    shuffled = [neighbour_agreement(cells.obsm["X_scprint"], rng.permutation(labels)) for _ in range(20)]
    assert agreement > max(shuffled) + 0.05
    assert cells.obsm["X_tsne"].shape == (200, 2)


def test_predictions_are_labels_that_the_model_knows(demo):
    from scprint_model import ScPrint

    cells = anndata.read_h5ad(demo / "cells.h5ad")
    for name, labels in ScPrint.from_pretrained().label_space.classes.items():
        predicted = cells.obs[f"predicted_{name}_ontology_term_id"].astype(str)
        assert set(predicted) <= {*labels.leaves, "unknown"}
        assert cells.obs[f"predicted_{name}_confidence"].between(0, 1).all()


def test_denoised_counts_are_of_the_same_cells(demo):
    denoised, cells = anndata.read_h5ad(demo / "denoised.h5ad"), anndata.read_h5ad(demo / "cells.h5ad")
    assert denoised.obs_names.equals(cells.obs_names)
    assert (denoised.layers["true_counts"] != cells[:, denoised.var_names].X).nnz == 0
    kept = denoised.layers["counts"].sum() / denoised.layers["true_counts"].sum()
    assert 0.3 < kept < 0.5  # 70 % noise leaves (1 - 0.385)² = 38 % of large counts
    assert np.isfinite(denoised.X).all()
    assert (denoised.X >= 0).all()


def test_network_is_of_rods_and_carries_its_origin(demo):
    network = grnndata.read_h5ad(demo / "network.h5ad")
    assert isinstance(network, grnndata.GRNAnnData)
    assert network.shape == (50, N_GENES)
    assert network.uns["grn"]["method"] == "scPRINT"
    assert set(network.obs["cell_type"]) == {"retinal rod cell"}
    assert (network.varp["GRN"].sum(axis=0) < 1).all()  # a target's regulators share what the cell tokens leave
    assert network.var["community"].nunique() > 1
    np.testing.assert_allclose(network.var["out_strength"], network.varp["GRN"].sum(axis=1), rtol=1e-5)


def test_edge_table_holds_the_strongest_regulators_of_each_gene(demo):
    edges = pd.read_csv(demo / "edges.tsv", sep="\t")
    network = grnndata.read_h5ad(demo / "network.h5ad")
    assert (edges.groupby("target").size() == 20).all()
    assert edges["source_symbol"].tolist() == network.var["symbol"].astype(str)[edges["source"]].tolist()
    assert grnndata.read_edges(demo / "edges.tsv").columns.tolist() == ["source", "target", "weight"]
    target = edges["target"].iloc[0]
    column = pd.Series(network.varp["GRN"][:, network.var_names.get_loc(target)], network.var_names)
    strongest = column.nlargest(20)
    mine = edges[edges["target"] == target].set_index("source")["weight"]
    assert set(mine.index) == set(strongest.index)
    np.testing.assert_allclose(mine[strongest.index], strongest, rtol=1e-5)


def test_scores_are_those_of_the_written_network(demo):
    table = pd.read_csv(demo / "scores.tsv", sep="\t")
    assert {"scPRINT", "random expectation"} <= set(table["method"])
    assert table["method"].str.contains("pearson", case=False).any()
    assert table["method"].str.startswith("random (mean").any()
    ours = table[(table["method"] == "scPRINT") & (table["universe"] == "all")].set_index("orientation")
    truth = bengrn.load_truth("omnipath-demo")
    network = grnndata.read_h5ad(demo / "network.h5ad")
    for orientation, transpose in (("as stored", False), ("transposed", True)):
        again = bengrn.score(network, truth, transpose=transpose).to_dict()
        for key in ("ap", "auprc_paper", "epr", "odds_ratio"):
            assert ours.loc[orientation, key] == pytest.approx(again[key])
    expectation = table[table["method"] == "random expectation"].iloc[0]
    pairs = again["n_pairs"], int(expectation["n_positives"])
    assert expectation["ap"] == pytest.approx(random_expectation(*pairs)["ap"])
    # above the share of true pairs, by the less the more pairs there are
    assert 1 < expectation["ap"] * pairs[0] / pairs[1] < 1.2
    assert json.loads((demo / "summary.json").read_text())["network_scores"][0]["ap"] == pytest.approx(
        table["ap"].iloc[0]
    )


def test_the_page_says_what_made_it_and_what_the_numbers_show(demo):
    page, scores = (demo / "index.html").read_text(), json.loads((demo / "summary.json").read_text())
    (made,) = scores["provenance_steps"]
    for told in (made["version"], made["model"]["sha256"], "--n_genes 150 --seed 3", scores["hubs"]["note"]):
        assert told in page
    network = grnndata.read_h5ad(demo / "network.h5ad")
    counts = network.X.toarray()
    logged = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4).mean(axis=0)
    expected = spearmanr(network.var["out_strength"], logged).statistic
    assert scores["hubs"]["rank_correlation"] == pytest.approx(expected, abs=1e-6)
    rows = {row["method"]: row for row in scores["denoising"]}
    assert set(rows) == {
        "down-sampled", "mean of all cells", "mean with 15 nearest cells", "scPRINT alone", "scPRINT with 15 neighbours"
    }  # fmt: skip
    ours = rows["scPRINT with 15 neighbours"]["value"]
    words = {"ahead of": 1, "not told apart from": 0, "behind": -1}
    said = re.search(r"By mean rank correlation with the true counts, .*? is (.*?)\.</p>", page)[1]
    for part in said.split("; "):
        how = next(one for one in words if part.startswith(one))
        for name in re.split(", | and ", part.removeprefix(f"{how} ")):
            row = rows[name]
            assert row["difference"] == pytest.approx(ours - row["value"])
            assert np.sign(row["difference_low"]) + np.sign(row["difference_high"]) == 2 * words[how]
    table = pd.read_csv(demo / "scores.tsv", sep="\t").query("universe == 'TF'")
    assert {"scPRINT, derivatives", "GENIE3, factors", "abundance", "degrees of the truth"} <= set(table["method"])
    pairs = pd.DataFrame(scores["annotation"]["pairs"])
    assert pairs["cells"].sum() == 200
    assert pairs.loc[pairs["right"], "cells"].sum() == pytest.approx(200 * scores["annotation"]["accuracy"])


def test_records_of_the_demo_make_its_network_again(demo):
    from scprint_model import ScPrint

    (page,) = provenance.read(demo / "index.html")
    assert page["task"] == "scprint_model.run_demo"
    assert (page["parameters"]["seed"], page["parameters"]["n_genes"]) == (3, N_GENES)
    model = ScPrint.from_pretrained(page["model"]["name"])
    assert identity(model) == page["model"]
    for name in ("summary.json", "edges.tsv", "hubs.png"):
        assert provenance.read(demo / name) == [page]
    steps = provenance.read(demo / "network.h5ad")
    tasks = ["scdataloader.Preprocessor", "scprint_model.tasks.embed", "scprint_model.tasks.annotate"]
    assert [step["task"] for step in steps] == [*tasks, "scprint_model.infer"]
    cells, network = anndata.read_h5ad(demo / "cells.h5ad"), grnndata.read_h5ad(demo / "network.h5ad")
    assert steps[-1]["inputs"] == [provenance.content(cells)]
    np.testing.assert_array_equal(infer(model, cells, **steps[-1]["parameters"]).grn, network.grn)


def test_a_failed_run_leaves_the_last_one_whole(demo, cut_down, capsys):
    before = {path.name: path.read_bytes() for path in demo.iterdir()}
    assert main(["demo", "--data", str(cut_down), "--out", str(demo), "--cell_type", "retinal rod"]) == 2
    error = capsys.readouterr().err
    assert "0 cells are of type 'retinal rod'" in error
    assert "'amacrine cell': 50" in error
    assert {path.name: path.read_bytes() for path in demo.iterdir()} == before


def spoil(kind, source, folder):
    """Write a copy of the input with one thing wrong, and return its path."""
    cells = anndata.read_h5ad(source)
    if kind == "normalised":
        lengths = np.random.default_rng(0).uniform(0.5, 8, cells.n_vars)  # of the genes: that cannot be undone
        cells.X = sparse.csr_matrix(cells.X.multiply(1 / lengths), dtype=np.float32).log1p()
    elif kind == "one cell":
        cells = cells[:1].copy()
    elif kind == "no cell":
        cells = cells[:0].copy()
    elif kind == "duplicate ids":
        cells.obs_names = [cells.obs_names[0], *cells.obs_names[:-1]]
    elif kind == "organism":
        cells.obs["organism_ontology_term_id"] = "NCBITaxon:999999"
    elif kind == "names":
        cells.var = pd.DataFrame(index=[f"gene{i}" for i in range(cells.n_vars)])
    elif kind == "no model gene":
        cells = cells[:, cells.var["biotype"].astype(str) != "protein_coding"].copy()
    path = folder / "spoilt.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("normalised", "these are not raw counts"),
        ("one cell", "1 cell(s): at least 2 are needed"),
        ("no cell", "0 cells and"),
        ("duplicate ids", "1 duplicate cell id, such as ['"),
        ("organism", "unknown organism 'NCBITaxon:999999'"),
        ("names", "of the 27,019 gene names is an Ensembl id or symbol"),
        ("no model gene", "genes are among the model's"),
    ],
)
def test_bad_input_is_refused_before_work_starts(kind, message, cut_down, tmp_path, capsys):
    source = spoil(kind, cut_down, tmp_path)
    assert main(["demo", "--data", str(source), "--out", str(tmp_path / "out"), "--min_genes", "0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("scprint: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_missing_files_and_wrong_commands(tmp_path, capsys):
    assert main(["demo", "--data", str(tmp_path / "no.h5ad"), "--out", str(tmp_path / "out")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["demo", "--data", "lung", "--out", str(tmp_path / "out")]) == 2
    assert "no file lung, and the bundled sets are pancreas and retina" in capsys.readouterr().err
    (tmp_path / "taken").write_text("a file")
    assert main(["demo", "--out", str(tmp_path / "taken")]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err
    assert main(["demo", "--model", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "give 'bundled', a folder" in capsys.readouterr().err
    assert main(["dance"]) == 2
    assert "there is no command 'dance'" in capsys.readouterr().err
    assert main([]) == 0
    assert "usage: scprint COMMAND" in capsys.readouterr().out


@pytest.mark.slow
def test_symbols_no_labels_and_another_model_work_too(cut_down, tmp_path, capsys):
    from scprint_model import ScPrint
    from scprint_model.checkpoints import save_folder

    cells = anndata.read_h5ad(cut_down)[::4].copy()
    cells.obs = cells.obs.drop(columns=["cell_type", "organism", "organism_ontology_term_id"])
    cells.var_names = cells.var["symbol"].astype(str).to_numpy()
    cells = cells[:, ~cells.var_names.duplicated()].copy()
    cells.write_h5ad(tmp_path / "symbols.h5ad")
    model = ScPrint.from_pretrained()
    torch.nn.init.zeros_(model.class_heads["tissue"].out.weight)
    torch.nn.init.zeros_(model.class_heads["tissue"].out.bias)
    model.class_heads["tissue"].out.bias.data[3] = 5.0  # this one always says the fourth tissue
    save_folder(model, tmp_path / "model", card={"context": 200})
    options = ["--data", str(tmp_path / "symbols.h5ad"), "--n_genes", "60", "--model", str(tmp_path / "model")]
    out = tmp_path / "out"
    assert main(["demo", *options, "--out", str(out)]) == 2
    assert "cannot tell the organism" in capsys.readouterr().err
    assert main(["demo", *options, "--out", str(out), "--organism", "human"]) == 0
    assert "symbols recognised" in capsys.readouterr().out
    written = anndata.read_h5ad(out / "cells.h5ad")
    assert set(written.obs["predicted_tissue_ontology_term_id"]) == {model.label_space.classes["tissue"].leaves[3]}
    network = grnndata.read_h5ad(out / "network.h5ad")
    predicted = written.obs["predicted_cell_type"].astype(str)
    assert set(network.obs["predicted_cell_type"].astype(str)) == {predicted[predicted != "unknown"].mode()[0]}
    assert json.loads((out / "summary.json").read_text())["embedding"] == []  # nothing to compare with
