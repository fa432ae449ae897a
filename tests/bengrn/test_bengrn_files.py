"""Networks on disk in every form, gene names, the table beside baselines, and comparisons."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bengrn
import grnndata
from bengrn.gene_names import symbols_of, without_version
from bengrn.network import as_network
from grnndata import read_network

GENES = ["A", "B", "C", "D"]
WEIGHTS = np.array([[0, 4, 3, 0], [0, 0, 2, 0], [1, 0, 0, 0], [0, 0, 5, 0]], dtype=np.float32)


def truth_of(*pairs, **options):
    return bengrn.GroundTruth.from_edges(pd.DataFrame(pairs, columns=["source", "target"]), **options)


def dense(grn):
    return grn.grn.toarray() if sparse.issparse(grn.grn) else grn.grn


@pytest.mark.parametrize(
    "name", ["n.h5ad", "n.zarr", "n.csv", "n.tsv.gz", "n.parquet", "square.csv", "square.tsv", "square.parquet"]
)
def test_every_form_gives_the_same_network(name, tmp_path):
    grn = grnndata.from_matrix(WEIGHTS, GENES, method="m")
    path = tmp_path / name
    square = pd.DataFrame(WEIGHTS, index=GENES, columns=GENES)
    if name == "n.h5ad":
        grn.write_h5ad(path)
    elif name == "n.zarr":
        grn.write_zarr(path)
    elif name == "square.csv":
        square.to_csv(path)
    elif name == "square.tsv":
        square.to_csv(path, sep="\t", index_label="gene")
    elif name == "square.parquet":
        square.to_parquet(path)
    else:
        grnndata.write_edges(grn, path)
    again = read_network(path)
    assert again.var_names.tolist() == GENES
    np.testing.assert_array_equal(dense(again), WEIGHTS)


def test_square_tables_may_have_targets_as_rows(tmp_path):
    pd.DataFrame(WEIGHTS.T, index=GENES, columns=GENES).to_csv(tmp_path / "t.csv")
    again = read_network(tmp_path / "t.csv", orientation="target_regulator")
    np.testing.assert_array_equal(dense(again), WEIGHTS)


def test_a_file_of_several_networks_needs_a_name(tmp_path):
    several = grnndata.concat_networks(
        {"rod": grnndata.from_matrix(WEIGHTS, GENES), "cone": grnndata.from_matrix(WEIGHTS * 2, GENES)}
    )
    several.write_h5ad(tmp_path / "s.h5ad")
    with pytest.raises(ValueError, match=r"several networks \('rod', 'cone'\): choose one"):
        as_network(read_network(tmp_path / "s.h5ad"))
    assert dense(read_network(tmp_path / "s.h5ad", name="cone")).max() == 10
    with pytest.raises(ValueError, match="no network 'bar': there are 'rod', 'cone'"):
        read_network(tmp_path / "s.h5ad", name="bar")


def test_predictions_of_open_problems_are_networks(tmp_path):
    grn = grnndata.from_matrix(WEIGHTS, GENES)
    grnndata.write_open_problems(grn, tmp_path / "p.h5ad", dataset_id="op", method_id="mine")
    again = read_network(tmp_path / "p.h5ad")
    assert as_network(again).method == "mine"
    assert again.edges().to_numpy().tolist() == grn.edges().to_numpy().tolist()


def test_files_that_are_no_network_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_network(tmp_path / "none.h5ad")
    (tmp_path / "n.doc").write_text("x")
    with pytest.raises(ValueError, match=r"cannot tell what .*n\.doc is"):
        read_network(tmp_path / "n.doc")
    (tmp_path / "bad.h5ad").write_text("x")
    with pytest.raises(ValueError, match="is not an h5ad file"):
        read_network(tmp_path / "bad.h5ad")
    twice = pd.DataFrame({"source": ["A", "A"], "target": ["B", "B"], "weight": [1.0, 3.0]})
    twice.to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(ValueError, match="1 pairs are listed more than once: A → B"):
        read_network(tmp_path / "twice.csv")
    assert read_network(tmp_path / "twice.csv", duplicates="max").edges()["weight"].tolist() == [3]


# ----------------------------------------------------------------------------------------------- gene names


def test_ids_get_the_symbols_of_the_bundled_table():
    ids = pd.Index(["ENSG00000141510.19", "ENSMUSG00000059552", "ENSG00000136997", "unknown"])
    assert symbols_of(ids).tolist() == ["TP53", "Trp53", "MYC", ""]
    assert without_version(ids).tolist() == ["ENSG00000141510", "ENSMUSG00000059552", "ENSG00000136997", "unknown"]
    assert symbols_of(pd.Index(["TP53", "MYC"])) is None


def test_a_network_of_ids_is_scored_against_a_truth_of_symbols():
    ids = ["ENSG00000141510.19", "ENSG00000124762", "ENSG00000135679"]  # TP53, CDKN1A, MDM2
    weights = np.array([[0, 3, 2], [0, 0, 1], [0, 0, 0]])
    scores = bengrn.score((weights, ids), truth_of(("TP53", "CDKN1A"), ("TP53", "MDM2")), regulators="all")
    assert scores.matched_by == "symbol"
    assert scores.n_matched == 3
    assert scores.ap == 1
    by_id = truth_of(("ENSG00000141510", "ENSG00000124762"))
    assert bengrn.score((weights, ids), by_id).matched_by == "var_names"


# ---------------------------------------------------------------------------------------- beside baselines


def test_baselines_stand_on_the_same_pairs():
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(30)]
    true = [(f"g{i}", f"g{j}") for i, j in np.argwhere(rng.random((30, 30)) < 0.1) if i != j]
    weights = rng.random((30, 30)).astype(np.float32)
    truth = truth_of(*true)
    X = rng.poisson(5, size=(40, 30)).astype(np.float32)
    grn = grnndata.GRNAnnData(anndata.AnnData(X, var=pd.DataFrame(index=genes)), weights, method="mine")
    table = bengrn.score_table(grn, truth, seed=1).set_index("method")
    assert table.index.tolist() == [
        *("mine", "mine, transposed", "hubs of the network", "|Pearson correlation|"),
        *("degrees of the truth", "random weights", "random expectation"),
    ]
    assert table.loc["mine", "ap"] == bengrn.score(grn, truth).ap
    assert table.loc["mine, transposed", "ap"] == bengrn.score(grn, truth, transpose=True).ap
    pearson = bengrn.get_method("pearson").infer(grn)
    assert table.loc["|Pearson correlation|", "auroc"] == bengrn.score(pearson, truth).auroc
    rows = [genes.index(gene) for gene in bengrn.score(grn, truth).universe.regulators]
    bare = weights - np.diag(np.diag(weights))
    hubs = np.zeros((30, 30))
    hubs[rows] = np.outer(bare[rows].sum(axis=1), bare[rows].sum(axis=0))
    assert table.loc["hubs of the network", "auroc"] == pytest.approx(
        bengrn.score((hubs, genes), truth).auroc, abs=1e-3
    )
    assert table.loc["random expectation", "auroc"] == 0.5
    assert 0.3 < table.loc["random weights", "auroc"] < 0.7
    without_cells = bengrn.score_table((weights, genes), truth)
    assert "|Pearson correlation|" not in without_cells["method"].tolist()


def test_degrees_of_the_truth_leave_the_scored_edge_out():
    # Everybody regulates D: of three true edges into it each sees two others, and no one else is popular.
    truth = truth_of(("A", "D"), ("B", "D"), ("C", "D"))
    table = bengrn.score_table((WEIGHTS, GENES), truth).set_index("method")
    assert table.loc["degrees of the truth", "ap"] == 1


# ------------------------------------------------------------------------------------------------ comparison


def example(seed, strength, genes=40):
    rng = np.random.default_rng(seed)
    true = np.random.default_rng(7).random((genes, genes)) < 0.1
    return rng.random((genes, genes)) + strength * true, true


def test_networks_are_compared_on_the_pairs_that_all_have():
    genes = [f"g{i}" for i in range(40)]
    good, true = example(0, 0.5)
    poor, _ = example(1, 0.0)
    truth = truth_of(*[(genes[i], genes[j]) for i, j in np.argwhere(true)])
    some = [f"g{i}" for i in range(39, 9, -1)]  # fewer genes, another order
    at = [genes.index(gene) for gene in some]
    result = bengrn.compare({"good": (good, genes), "poor": (poor[np.ix_(at, at)], some)}, truth, n_replicates=300)
    assert result.scores["network"].tolist() == ["good", "poor"]
    part = sorted(at)
    shared = [genes[i] for i in part]
    for name, matrix in (("good", good), ("poor", poor)):
        alone = bengrn.score((matrix[np.ix_(part, part)], shared), truth)
        row = result.scores.set_index("network").loc[name]
        assert row["ap"] == pytest.approx(alone.ap)
        assert row["auroc"] == pytest.approx(alone.auroc)
        assert result.n_positives == alone.n_positives
    (pair,) = result.pairs.to_dict("records")
    assert pair["difference"] == pytest.approx(result.scores["ap"][0] - result.scores["ap"][1])
    assert 0 < pair["low"] < pair["difference"] < pair["high"]
    assert pair["p_value"] == pair["p_holm"] == pytest.approx(1 / 301)  # no exchange of the 300 gives as much


def test_many_networks_are_corrected_for_their_number():
    genes = [f"g{i}" for i in range(40)]
    matrices = {name: (example(i, s)[0], genes) for i, (name, s) in enumerate({"a": 0.4, "b": 0, "c": 0}.items())}
    truth = truth_of(*[(genes[i], genes[j]) for i, j in np.argwhere(example(0, 0)[1])])
    pairs = bengrn.compare(matrices, truth, n_replicates=200).pairs.set_index(["a", "b"])
    assert len(pairs) == 3
    assert pairs.loc[("a", "b"), "p_holm"] == pytest.approx(3 * pairs.loc[("a", "b"), "p_value"])
    assert pairs.loc[("b", "c"), "p_holm"] > 0.05
    with pytest.raises(ValueError, match="needs two networks or more, not 1"):
        bengrn.compare({"a": matrices["a"]}, truth)
    other = ([[0.0, 1], [1, 0]], ["z1", "z2"])
    both = pd.concat([truth.edges, pd.DataFrame({"source": ["z1"], "target": ["z2"]})])
    wide = bengrn.GroundTruth.from_edges(both)
    with pytest.raises(ValueError, match="share no scored pair"):
        bengrn.compare({"a": matrices["a"], "z": other}, wide)
