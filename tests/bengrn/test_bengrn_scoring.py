"""Matching genes, the universe, orientation, properties, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

import bengrn
import grnndata
from bengrn.align import align
from bengrn.network import as_network


def truth_of(*edges: tuple[str, str], **options) -> bengrn.GroundTruth:
    return bengrn.GroundTruth.from_edges(pd.DataFrame(edges, columns=["source", "target"]), **options)


def network_of(weights, genes, symbols=None) -> grnndata.GRNAnnData:
    var = pd.DataFrame({} if symbols is None else {"symbol": symbols}, index=list(genes))
    return grnndata.GRNAnnData(AnnData(shape=(0, len(var)), var=var), grn=np.asarray(weights), method="by hand")


ABC = ["A", "B", "C"]
# A → B .9, A → C .1, B → A .5, C → A .2
WEIGHTS = np.array([[0, 0.9, 0.1], [0.5, 0, 0], [0.2, 0, 0]])


def test_orientation_row_is_regulator():
    truth = truth_of(("A", "B"), ("A", "C"))
    stored = bengrn.score((WEIGHTS, ABC), truth, regulators="all")
    # Ranked: AB true, BA, CA, AC true, then BC and CB at 0.
    assert stored.ap == pytest.approx((1 + 2 / 4) / 2)
    transposed = bengrn.score((WEIGHTS, ABC), truth, regulators="all", transpose=True)
    # Transposed, A → B has .5 and A → C .2: ranked BA .9, AB true, AC true, CA .1.
    assert transposed.ap == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert transposed.ap == bengrn.score((WEIGHTS.T, ABC), truth, regulators="all").ap
    assert (stored.transposed, transposed.transposed) == (False, True)


def test_default_rows_are_regulators_with_a_true_edge_in_the_network():
    truth = truth_of(("A", "B"), ("C", "Z"), ("Y", "A"), ("B", "B"), ("A", "B"))
    universe = align(as_network((WEIGHTS, ABC)), truth)
    assert list(universe.regulators) == ["A"]
    assert list(universe.targets) == ABC
    assert universe.self_columns.tolist() == [0]
    assert [part.tolist() for part in universe.positives] == [[0], [1]]
    assert universe.n_pairs == 2
    # Four distinct edges: B → B is its own, Y and Z are not in the network.
    assert universe.n_true_edges == 4
    assert universe.lost == {"self": 1, "source_absent": 1, "target_absent": 1, "regulator_not_chosen": 0}


def test_all_and_listed_regulators():
    truth = truth_of(("A", "B"), ("B", "C"))
    everything = bengrn.score((WEIGHTS, ABC), truth, regulators="all")
    assert (everything.n_regulators, everything.n_pairs, everything.n_positives) == (3, 6, 2)
    listed = bengrn.score((WEIGHTS, ABC), truth, regulators=["C", "A", "not there"])
    # A listed gene is a row with or without true edges.
    assert (listed.n_regulators, listed.n_pairs, listed.n_positives) == (2, 4, 1)
    assert listed.lost["regulator_not_chosen"] == 1


def test_columns_are_the_genes_the_truth_knows():
    truth = truth_of(("A", "B"), genes=["A", "B", "D"])
    scores = bengrn.score((np.ones((4, 4)), ["A", "B", "C", "D"]), truth, regulators="all")
    assert (scores.n_regulators, scores.n_targets, scores.n_pairs) == (3, 3, 6)
    assert (scores.n_genes, scores.n_matched) == (4, 3)


def test_an_undirected_truth_counts_both_ways():
    truth = truth_of(("A", "B"), ("B", "A"), ("B", "C"), directed=False)
    scores = bengrn.score((WEIGHTS, ABC), truth)
    assert (scores.n_true_edges, scores.n_positives, scores.n_regulators) == (4, 4, 3)


@pytest.mark.parametrize("naming", ["symbols in var", "symbols as names", "ids both"])
def test_ids_and_symbols_match_whichever_way(naming):
    table = pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"]})
    ids = ["ENSG1", "ENSG2", "ENSG3"]
    if naming == "symbols in var":
        network, matched_by = network_of(WEIGHTS, ids, symbols=ABC), "symbol"
    elif naming == "symbols as names":
        network, matched_by = network_of(WEIGHTS, ABC), "var_names"
    else:
        network, matched_by = network_of(WEIGHTS, ids), "var_names"
        table = table.assign(source_id=["ENSG1", "ENSG1"], target_id=["ENSG2", "ENSG3"])
    truth = bengrn.GroundTruth.from_edges(table)
    scores = bengrn.score(network, truth, regulators="all")
    assert scores.ap == pytest.approx(0.75)
    assert (scores.matched_by, scores.n_matched, scores.method) == (matched_by, 3, "by hand")


def test_a_name_two_genes_share_matches_neither(caplog):
    network = network_of(np.ones((4, 4)) - np.eye(4), ["E1", "E2", "E3", "E4"], symbols=["A", "B", "B", "C"])
    scores = bengrn.score(network, truth_of(("A", "B"), ("A", "C")), regulators="all")
    assert (scores.n_ambiguous, scores.n_targets, scores.n_positives) == (2, 2, 1)
    assert scores.lost["target_absent"] == 1
    assert "2 of 4 genes have no name of their own as symbol" in caplog.text


def test_missing_symbols_never_match():
    network = network_of(WEIGHTS, ["E1", "E2", "E3"], symbols=pd.Series(["A", None, "C"], index=["E1", "E2", "E3"]))
    scores = bengrn.score(network, truth_of(("A", "C"), ("A", "nan"), ("A", "None")), regulators="all")
    assert (scores.n_positives, scores.lost["target_absent"]) == (1, 2)


def test_every_form_of_network_scores_alike():
    truth = truth_of(("A", "B"), ("B", "A"), ("B", "C"))
    rows, columns = np.nonzero(WEIGHTS)
    table = pd.DataFrame(
        {"source": np.take(ABC, rows), "target": np.take(ABC, columns), "weight": WEIGHTS[rows, columns]}
    )
    plain = AnnData(np.zeros((2, 3)), var=pd.DataFrame(index=ABC))
    plain.varp["GRN"] = sp.csr_matrix(WEIGHTS)
    forms = [network_of(WEIGHTS, ABC), plain, table, (WEIGHTS, ABC), (sp.csr_array(WEIGHTS), pd.Index(ABC))]
    values = {(s.ap, s.auroc, s.epr) for s in (bengrn.score(form, truth) for form in forms)}
    assert len(values) == 1


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_relabelling_permuting_and_unknown_genes_change_nothing(seed, transpose):
    rng = np.random.default_rng(seed)
    n = 12
    genes = np.array([f"g{i}" for i in range(n)])
    weights = rng.integers(0, 4, (n, n)).astype(float)
    edges = pd.DataFrame({"source": rng.choice(genes, 20), "target": rng.choice(genes, 20)})
    edges = pd.concat([edges, pd.DataFrame({"source": ["g0"], "target": ["g1"]})])
    truth = bengrn.GroundTruth.from_edges(edges, genes=genes)
    first = bengrn.score((weights, genes), truth, transpose=transpose).to_dict()

    order = rng.permutation(n)
    permuted = bengrn.score((weights[np.ix_(order, order)], genes[order]), truth, transpose=transpose)
    assert permuted.to_dict() == first

    new = dict(zip(genes, rng.permutation([f"renamed{i}" for i in range(n)]), strict=True))
    renamed = bengrn.GroundTruth.from_edges(edges.replace(new), genes=new.values())
    assert bengrn.score((weights, [new[g] for g in genes]), renamed, transpose=transpose).to_dict() == first

    wider = rng.random((n + 3, n + 3)) * 10
    wider[:n, :n] = weights
    widened = bengrn.score((wider, [*genes, "x", "y", "z"]), truth, transpose=transpose).to_dict()
    assert widened == first | {"n_genes": n + 3}


@given(st.integers(0, 2**32 - 1))
def test_a_perfect_network_scores_the_most_and_an_inverted_one_the_least(seed):
    rng = np.random.default_rng(seed)
    n = 8
    genes = [f"g{i}" for i in range(n)]
    true = rng.random((n, n)) < 0.25
    np.fill_diagonal(true, False)
    true[0, 1], true[0, 2] = True, False
    truth = truth_of(*[(genes[i], genes[j]) for i, j in np.argwhere(true)])
    perfect = bengrn.score((true.astype(float), genes), truth)
    other = bengrn.score((rng.random((n, n)), genes), truth)
    inverted = bengrn.score(((~true).astype(float), genes), truth)
    assert (perfect.ap, perfect.ap_expected, perfect.auprc, perfect.auroc) == pytest.approx((1, 1, 1, 1))
    assert perfect.epr == pytest.approx(1 / perfect.prevalence)
    assert perfect.auprc_paper == pytest.approx(1 - perfect.prevalence)
    assert inverted.auroc == 0
    for key in ("ap", "auprc", "auprc_paper", "auroc", "epr", "odds_ratio"):
        assert getattr(inverted, key) <= getattr(perfect, key)
        assert getattr(other, key) <= getattr(perfect, key) + 1e-12
    assert other.auroc >= inverted.auroc


def test_scores_as_numbers_and_curve():
    scores = bengrn.score((WEIGHTS, ABC), truth_of(("A", "B"), ("A", "C"), ("A", "Z")), regulators="all")
    plain = scores.to_dict()
    assert plain["ap"] == scores.ap
    assert plain["ap_ratio"] == pytest.approx(0.75 / (2 / 6))
    assert (plain["n_pairs"], plain["n_predicted"], plain["lost_target_absent"]) == (6, 4, 1)
    assert all(isinstance(value, (int, float, str)) for value in plain.values())
    recall, precision = scores.curve
    assert recall.tolist() == [0, 0, 0.5, 0.5, 1]
    assert precision.tolist() == pytest.approx([1, 1, 1, 1 / 3, 1 / 2])


def test_negative_weights_rank_below_no_edge_and_are_named(caplog):
    weights = np.array([[0, -0.9, 0.1], [0.5, 0, 0], [0.2, 0, 0]])
    scores = bengrn.score((weights, ABC), truth_of(("A", "B")), regulators="all")
    assert scores.auroc == 0
    assert "1 weights are negative and rank below no edge" in caplog.text
    assert scores.notes == ("1 weights are negative and rank below no edge; absolute=True ranks by absolute weight",)
    assert bengrn.score((weights, ABC), truth_of(("A", "B")), regulators="all", absolute=True).ap == 1


def test_no_shared_gene_shows_both_namings():
    network = network_of(WEIGHTS, ["ENSG1", "ENSG2", "ENSG3"], symbols=["a1", "b1", "c1"])
    with pytest.raises(ValueError, match="share no gene") as error:
        bengrn.score(network, truth_of(("TP53", "MDM2")))
    for name in ("ENSG1, ENSG2, ENSG3", "symbol: a1, b1, c1", "MDM2, TP53"):
        assert name in str(error.value)


def test_no_positive_in_the_universe_says_where_they_went():
    truth = truth_of(("A", "A"), ("A", "Z"), ("Z", "B"))
    with pytest.raises(ValueError, match="of 3, 1 self, 1 source_absent, 1 target_absent; 0 regulators × 3 targets"):
        bengrn.score((WEIGHTS, ABC), truth)
    with pytest.raises(ValueError, match="1 regulator_not_chosen; 1 regulators"):
        bengrn.score((WEIGHTS, ABC), truth_of(("A", "B")), regulators=["B"])


def test_nan_is_named_by_pair_but_only_where_it_is_scored():
    weights = WEIGHTS.copy()
    weights[0, 0] = np.nan
    assert bengrn.score((weights, ABC), truth_of(("A", "B"))).ap == 1
    weights[0, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 2 scored weights are NaN, first A → C"):
        bengrn.score((weights, ABC), truth_of(("A", "B")))


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        (AnnData(np.zeros((2, 3))), ValueError, "varp\\['GRN'\\] is missing"),
        ((WEIGHTS, ["A", "B"]), ValueError, "shape \\(3, 3\\) and there are 2 gene names"),
        (WEIGHTS, TypeError, "cannot score a ndarray"),
        (pd.DataFrame({"source": ["A"], "target": ["B"]}), ValueError, "no column \\['weight'\\]"),
        (
            pd.DataFrame({"source": ["A"] * 2, "target": ["B"] * 2, "weight": 1.0}),
            ValueError,
            "more than once",
        ),
    ],
)
def test_what_is_no_network_is_refused(network, error, message):
    with pytest.raises(error, match=message):
        bengrn.score(network, truth_of(("A", "B")))


def test_other_bad_arguments():
    with pytest.raises(TypeError, match="truth is a str: pass load_truth"):
        bengrn.score((WEIGHTS, ABC), "omnipath")
    with pytest.raises(ValueError, match="'truth', 'tf', 'all' or a list of gene names, not 'everyone'"):
        bengrn.score((WEIGHTS, ABC), truth_of(("A", "B")), regulators="everyone")
    with pytest.raises(ValueError, match=r"none of the 2 regulators \(X, Y"):
        bengrn.score((WEIGHTS, ABC), truth_of(("A", "B")), regulators=["X", "Y"])


@pytest.mark.slow
def test_import_is_light_and_every_public_name_is_there():
    code = (
        "import sys, bengrn; heavy = {'torch', 'sklearn', 'anndata', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; bengrn.list_methods(); "
        "assert all(hasattr(bengrn, name) for name in bengrn.__all__); "
        "heavy = {'torch', 'sklearn'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bengrn.nothing  # noqa: B018
