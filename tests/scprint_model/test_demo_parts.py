"""The demo's numbers and its page."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse
from scipy.stats import poisson, spearmanr

from scdataloader import LabelSpace
from scdataloader.counts import log_normalise
from scdataloader.labels import LabelClass
from scprint_model.demo import evaluate, scored
from scprint_model.demo.figures import draw_cells, tsne_of
from scprint_model.demo.page import table, write_page
from scprint_model.metrics import denoising_scores, neighbour_agreement
from scprint_model.noise import downsample

ROD, CONE, NEURON, MUELLER, B_CELL, T_CELL = (
    "CL:0000604", "CL:0000573", "CL:0000540", "CL:0000636", "CL:0000236", "CL:0000084",
)  # fmt: skip


def test_neighbour_agreement_by_hand():
    # on a line: a a a | b b, far apart; the fourth is a lone b among the a
    embedding = np.array([[0.0], [1.0], [2.0], [1.5], [100.0], [101.0], [102.0]])
    labels = np.array(["a", "a", "a", "b", "b", "b", "b"])
    assert neighbour_agreement(embedding, labels, n_neighbours=1) == pytest.approx(4 / 7)
    rng = np.random.default_rng(0)
    apart = np.concatenate([rng.normal(0, 1, (30, 3)), rng.normal(50, 1, (30, 3))])
    assert neighbour_agreement(apart, np.repeat([0, 1], 30)) == 1


def test_label_scores_by_hand():
    space = LabelSpace({"cell_type": LabelClass.from_terms([ROD, CONE, B_CELL])})
    obs = pd.DataFrame(
        {
            # right; right (a rod is a neuron); wrong but a neuron; not in the label space; unlabelled
            "cell_type_ontology_term_id": [ROD, NEURON, CONE, MUELLER, "unknown"],
            "predicted_cell_type_ontology_term_id": [ROD, ROD, ROD, B_CELL, ROD],
        }
    )
    scores = evaluate.term_scores(obs, space)
    assert scores == {
        "share_known": 0.75,
        "accuracy": 0.5,
        "accuracy_known": pytest.approx(2 / 3),
        "broad_accuracy": 0.75,
        "broad_majority": 0.75,
    }
    unlabelled = obs.assign(cell_type_ontology_term_id="unknown")
    assert evaluate.term_scores(unlabelled, space) == {}


def test_rows_of_scores_have_intervals_and_rivals():
    rng = np.random.default_rng(0)
    space = LabelSpace({"cell_type": LabelClass.from_terms([ROD, CONE, B_CELL])})
    terms = np.repeat([ROD, CONE, MUELLER], [50, 30, 20])
    X = sparse.csr_matrix(rng.poisson(1 + 4 * (np.arange(60) % 3 == pd.factorize(terms)[0][:, None])))
    obs = pd.DataFrame({"cell_type_ontology_term_id": terms}, index=[f"c{i}" for i in range(100)])
    obs["predicted_cell_type_ontology_term_id"] = np.where(rng.random(100) < 0.5, terms, B_CELL)
    cells = AnnData(X, obs=obs)
    components = evaluate.principal_components(cells, n=10)
    options = {
        "embedding": rng.normal(size=(100, 5)),
        "components": components,
        "groups": None,
        "unit": "cell",
        "seed": 0,
    }
    found = scored.annotation_scores(cells, space, **options)
    methods = pd.DataFrame(found["methods"]).set_index("method")
    right = (obs["predicted_cell_type_ontology_term_id"] == terms).mean()
    assert methods.loc["scPRINT", "accuracy"] == pytest.approx(right)
    assert methods.loc["commonest label", "accuracy"] == 0.5
    assert methods.loc["principal components + regression", "accuracy"] == 1
    assert methods.loc["embedding + regression", "accuracy"] < 0.65
    gap = methods.loc["principal components + regression"]
    assert gap["difference"] == pytest.approx(right - 1)
    assert gap["difference_low"] < gap["difference"] < gap["difference_high"] < 0
    shares = {row["method"]: row for row in found["shares"]}
    assert shares["of a type that the model can name"]["value"] == 0.8
    assert shares["broad class, always the commonest"]["value"] == 0.8  # rods and cones are neurons
    assert all(row["value_low"] <= row["value"] <= row["value_high"] for row in found["shares"])
    assert shares["given a label, of all"]["value"] == 1
    assert shares["of the given labels right"]["value"] == pytest.approx(right)
    assert "of the types that it cannot name, left open" not in shares
    pairs = pd.DataFrame(found["pairs"])
    assert pairs["cells"].sum() == 100
    assert pairs.loc[pairs["right"], "cells"].sum() == (obs["predicted_cell_type_ontology_term_id"] == terms).sum()
    # unsure of every fifth cell, and of all of the type that it cannot name
    unsure = (np.arange(100) % 5 == 0) | (terms == MUELLER)
    open_ = obs.assign(predicted_cell_type_ontology_term_id=np.where(unsure, "unknown", terms))
    found = scored.annotation_scores(AnnData(X, obs=open_), space, **options)
    shares = {row["method"]: row["value"] for row in found["shares"]}
    assert shares["given a label, of all"] == pytest.approx(0.64)
    assert shares["of the given labels right"] == 1
    assert shares["of these named right"] == pytest.approx(0.8)
    assert shares["of the types that it cannot name, left open"] == 1
    assert found["methods"][0]["accuracy"] == pytest.approx(0.64)
    unlabelled = AnnData(X, obs=obs.assign(cell_type_ontology_term_id="unknown"))
    assert scored.annotation_scores(unlabelled, space, **options) == {}


def test_denoising_rows_are_paired():
    rng = np.random.default_rng(0)
    truth = rng.poisson(5, (40, 30))
    quality = rng.normal(0, 2, (40, 1))  # cells differ more than profiles do
    one = truth + rng.normal(0, np.exp(quality), truth.shape)
    rows = scored.denoising_rows(truth, {"guess": one + rng.normal(0, 0.3, truth.shape), "scPRINT": one}, groups=None)
    guess, ours = rows
    assert ours["value"] == pytest.approx(denoising_scores(truth, {"x": one})["x"])
    assert "difference" not in ours
    assert guess["difference"] == pytest.approx(ours["value"] - guess["value"])
    assert guess["difference_high"] - guess["difference_low"] < 0.5 * (ours["value_high"] - ours["value_low"])


def test_embedding_rows():
    rng = np.random.default_rng(0)
    labels = pd.Series(np.repeat(["a", "b"], 30))
    apart = rng.normal(size=(60, 3)) + 50 * np.repeat([0, 1], 30)[:, None]
    ours, components, shuffled = scored.embedding_rows(apart, rng.normal(size=(60, 4)), labels, groups=None, seed=0)
    assert (ours["value"], ours["value_low"], ours["value_high"]) == (1, pytest.approx(0.025 ** (1 / 60)), 1)
    assert components["method"] == "4 principal components"
    assert "difference" not in ours
    for row in (components, shuffled):
        assert row["value_low"] < row["value"] < row["value_high"] < 0.8
        assert row["difference"] == pytest.approx(1 - row["value"])
        assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]


def test_denoising_score_looks_at_expressed_genes_only():
    truth = np.array([[5, 3, 0, 1, 0], [0, 0, 2, 2, 0]])  # the second cell is constant where expressed: left out
    guess = np.array([[9.0, 2.0, 50.0, 3.0, 50.0], [1.0] * 5])
    expected = spearmanr([5, 3, 1], [9, 2, 3]).statistic
    scores = denoising_scores(truth, {"guess": guess, "flat": np.ones((2, 5)), "truth": truth})
    assert scores == {"guess": pytest.approx(expected), "flat": 0.0, "truth": pytest.approx(1.0)}


def test_principal_components_span_the_data():
    rng = np.random.default_rng(0)
    cells = AnnData(sparse.csr_matrix(rng.poisson(2, (20, 30)).astype(np.float32)))
    components = evaluate.principal_components(cells, n=10)
    logged = log_normalise(cells).toarray()
    np.testing.assert_allclose(np.expm1(logged).sum(axis=1), 1e4, rtol=1e-6)
    singular = np.linalg.svd(logged - logged.mean(axis=0), compute_uv=False)[:10]
    np.testing.assert_allclose(np.sqrt((components**2).sum(axis=0)), singular, rtol=1e-5)


def test_tables_escape_and_round(tmp_path):
    html = table(pd.DataFrame({"na<me": ["a&b", "c"], "value": [0.123456, np.nan], "n": [12345, 1]}))
    assert "<th class=text>na&lt;me</th>" in html
    assert "a&amp;b" in html
    assert "<td>0.123</td>" in html
    assert "<td>–</td>" in html
    assert "<td>12,345</td>" in html
    write_page(tmp_path / "p.html", title="T<1>", lead="l", sections=[("h&h", "<p>kept</p>")])
    page = (tmp_path / "p.html").read_text()
    assert "T&lt;1&gt;" in page
    assert "h&amp;h" in page
    assert "<p>kept</p>" in page


def test_many_labels_are_gathered_in_grey(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    original = Axes.scatter
    monkeypatch.setattr(
        Axes, "scatter", lambda self, *a, **k: (drawn.append(k.get("label")), original(self, *a, **k))[1]
    )
    labels = pd.Series([f"type {i}" for i in range(20) for _ in range(20 - i)])
    draw_cells(np.random.default_rng(0).normal(size=(len(labels), 2)), {"given": labels}, tmp_path / "u.png")
    assert len(drawn) == 12
    assert drawn[0] == "type 0 (20)"
    assert drawn[-1] == "9 others (45)"
    assert (tmp_path / "u.png").stat().st_size > 1000


def test_a_label_has_one_colour_in_all_panels_and_unknown_is_grey(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    original = Axes.scatter
    monkeypatch.setattr(
        Axes, "scatter", lambda self, *a, **k: (drawn.append((k["label"], k["c"])), original(self, *a, **k))[1]
    )
    predicted = pd.Series(["unknown"] * 5 + ["beta"] * 3 + ["alpha"] * 2)
    given = pd.Series(["alpha"] * 6 + ["delta"] * 3 + ["beta"])
    panels = {"predicted": predicted, "given": given}
    draw_cells(np.random.default_rng(0).normal(size=(10, 2)), panels, tmp_path / "u.png")
    first, second = dict(drawn[:3]), dict(drawn[3:])
    assert list(first) == ["unknown (5)", "beta (3)", "alpha (2)"]
    assert first["unknown (5)"] == "#C8C8C8"
    assert (second["alpha (6)"], second["beta (1)"]) == (first["alpha (2)"], first["beta (3)"])
    assert len({*first.values(), *second.values()}) == 4


def test_noise_follows_the_cell_and_the_gene_not_their_places():
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(0.3, 4, 40), (30, 40)))
    genes = [f"G{i}" for i in range(40)]
    noisy = evaluate.thinned(counts, genes, 0.7, seed=1)
    rows, columns = rng.permutation(30), rng.permutation(40)
    moved = evaluate.thinned(counts[rows][:, columns].tocsr(), [genes[i] for i in columns], 0.7, seed=1)
    assert (moved != noisy[rows][:, columns]).nnz == 0
    assert (evaluate.thinned(counts[7], genes, 0.7, seed=1) != noisy[7]).nnz == 0
    assert (evaluate.thinned(counts, genes, 0.7, seed=2) != noisy).nnz > 50
    assert noisy.dtype == np.float32


def test_counts_that_noise_takes_are_scipys_quantiles():
    shares = np.random.default_rng(0).random(5000)
    shares[:3] = 0, 2.0**-53, 1 - 2.0**-53
    counts = np.arange(5000.0) % 70 + 1  # up to 50 from tables
    found = evaluate._poisson_quantiles(shares, counts, 0.385)
    np.testing.assert_array_equal(found[1:], poisson.ppf(shares[1:], 0.385 * counts[1:]))
    assert found[0] == 0  # scipy has -1 there


def test_noise_is_that_of_training():
    counts = sparse.csr_matrix(np.tile(np.array([1, 2, 5, 40]), (20_000, 1)) + np.arange(20_000)[:, None] % 3)
    genes = np.arange(20_000)  # a cell a row: the other columns tell them apart
    told_apart = sparse.hstack([counts, sparse.csr_matrix(genes[:, None] + 1)]).tocsr()
    found = evaluate.thinned(told_apart, ["A", "B", "C", "D", "tag"], 0.7, seed=3)[:, :4].toarray()
    expected = downsample(torch.from_numpy(counts.toarray()).float(), 0.7, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found.mean(axis=0), expected.numpy().mean(axis=0), rtol=0.03)
    np.testing.assert_allclose(found.std(axis=0), expected.numpy().std(axis=0), rtol=0.03)
    np.testing.assert_allclose((found == 0).mean(axis=0), (expected.numpy() == 0).mean(axis=0), atol=0.015)
    assert abs(np.corrcoef(found[:, 2], found[:, 3])[0, 1]) < 0.05 + abs(np.corrcoef(expected[:, 2:].T.numpy())[0, 1])


def test_cells_keep_their_places_in_the_map_in_any_order_and_types_lie_apart():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(60, 5)).astype(np.float32)
    embedding[40:] += 8
    order = rng.permutation(60)
    places = tsne_of(embedding)
    np.testing.assert_array_equal(tsne_of(embedding[order]), places[order])
    assert neighbour_agreement(places, np.arange(60) >= 40) == 1
    assert tsne_of(embedding[:4]).shape == (4, 2)


def test_denoising_with_neighbours_is_that_of_the_task(small_model, retina):
    from scprint_model.demo.denoising import NEIGHBOURS, denoising_test
    from scprint_model.tasks import denoise

    cells = retina[:40].copy()
    denoised, rows = denoising_test(small_model, cells, None, seed=1)
    noisy = cells.copy()
    noisy.X = evaluate.thinned(cells.X, cells.var_names.tolist(), 0.7, seed=1)
    noisy.obs["total_counts"] = np.asarray(noisy.X.sum(axis=1)).ravel()
    options = {"genes": denoised.var_names.tolist(), "depth_multiplier": (1 - 0.55 * 0.7) ** -2}
    again = denoise(small_model, noisy, neighbours=NEIGHBOURS, **options)
    np.testing.assert_allclose(denoised.layers["with_neighbours"], again.X, rtol=1e-4)
    assert [row["method"] for row in rows][2:] == [
        "mean with 15 nearest cells", "scPRINT alone", "scPRINT with 15 neighbours"
    ]  # fmt: skip
