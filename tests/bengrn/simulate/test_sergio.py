"""SERGIO: steady states worked by hand, noise, differentiation, names, feedback, bad input."""

import numpy as np
import pandas as pd
import pytest

import bengrn
from bengrn.simulate import TechnicalNoise, sergio

QUIET = {"technical": None, "noise": 0.0, "noise_spliced": 0.0}
#: Levels of the master regulator are 1 and 3, so that its half response is 2.
RATES = pd.DataFrame({"low": [0.8], "high": [2.4]}, index=["M"])


def table(*edges):
    return pd.DataFrame(edges, columns=["source", "target", "strength", "hill"])


def mean_levels(cells):
    return pd.DataFrame(cells.X, columns=cells.var_names).groupby(cells.obs["cell_type"].to_numpy()).mean()


@pytest.mark.parametrize(
    ("strength", "hill", "low", "high"),
    [
        (4, 1, 4 / 3, 4 * 3 / 5),
        (4, 2, 4 / 5, 4 * 9 / 13),
        (4, 3, 4 / 9, 4 * 27 / 35),
        (-4, 1, 4 * 2 / 3, 4 * 2 / 5),
        (-4, 2, 4 * 4 / 5, 4 * 4 / 13),
        (-4, 3, 4 * 8 / 9, 4 * 8 / 35),
    ],
)
def test_steady_states_of_three_genes_are_those_worked_by_hand(strength, hill, low, high):
    edges = table(("M", "A", strength, hill), ("A", "B", 2.0, 1.0))
    cells, _ = sergio(edges, rates=RATES, n_cells=4, **QUIET)
    levels = mean_levels(cells)
    a = np.array([low, high]) / 0.8
    b = 2.0 * a / (a + a.mean()) / 0.8
    np.testing.assert_allclose(levels.loc[["low", "high"], "A"], a, rtol=1e-5)
    np.testing.assert_allclose(levels.loc[["low", "high"], "B"], b, rtol=1e-5)
    np.testing.assert_allclose(levels.loc[["low", "high"], "M"], [1, 3], rtol=1e-5)


def test_two_regulators_add_up():
    rates = pd.DataFrame({"low": [0.8, 1.6], "high": [2.4, 1.6]}, index=["M", "N"])
    cells, _ = sergio(table(("M", "A", 4, 2), ("N", "A", -2, 2)), rates=rates, n_cells=2, **QUIET)
    # N has level 2 in both types, which is its half response: it represses by half
    np.testing.assert_allclose(mean_levels(cells)["A"], [(4 * 9 / 13 + 1) / 0.8, (4 / 5 + 1) / 0.8], rtol=1e-5)


def test_noise_has_the_variance_of_the_linear_equation():
    """Of dx = (P - λx) dt + q sqrt(P + λx) dW the variance is q² E[x], and what differs at τ is e^(-λτ) correlated."""
    rates = pd.DataFrame({"one": [8.0]}, index=["M"])
    cells, _ = sergio(table(("M", "A", 1, 2)), rates=rates, n_cells=4000, spacing=200, technical=None, noise=0.5)
    x = cells[:, "M"].X.ravel()
    assert abs(x.mean() - 10) < 0.1
    assert abs(x.var() / (0.25 * 10) - 1) < 0.1


def test_unspliced_and_spliced_follow_their_differential_equations():
    rates = pd.DataFrame({"parent": [0.8], "child": [2.4]}, index=["M"])
    graph = [[0, 1], [0, 0]]
    cells, _ = sergio(table(("M", "A", 1, 2)), rates=rates, n_cells=40, differentiation=graph, dt=0.002, **QUIET)
    child = cells[(cells.obs["cell_type"] == "child").to_numpy()]
    t = child.obs["time"].to_numpy()
    assert (child.obs["parent"] == "parent").all()
    assert 0 <= t.min() < t.max() <= 15
    u = 3 - 2 * np.exp(-0.8 * t)
    # ds = 0.8 u - 0.2 s from s = 4
    s = 12 + (8 / 3) * np.exp(-0.8 * t) - (8 + 8 / 3) * np.exp(-0.2 * t)
    np.testing.assert_allclose(child[:, "M"].layers["unspliced"].ravel(), u, rtol=5e-3)
    np.testing.assert_allclose(child[:, "M"].layers["spliced"].ravel(), s, rtol=5e-3)
    parent = cells[(cells.obs["cell_type"] == "parent").to_numpy()]
    assert parent.obs["time"].isna().all()
    np.testing.assert_allclose(parent.layers["spliced"], 4 * parent.layers["unspliced"], rtol=1e-5)
    np.testing.assert_allclose(cells.X, cells.layers["unspliced"] + cells.layers["spliced"], rtol=1e-5)


def test_the_rate_of_migration_is_the_share_gone_in_a_step():
    rates = pd.DataFrame({"parent": [0.8], "child": [2.4]}, index=["M"])
    slow, fast = (
        sergio(
            table(("M", "A", 1, 2)),
            rates=rates,
            n_cells=40,
            differentiation=[[0, share], [0, 0]],
            duration=0.02,
            **QUIET,
        )[0]
        for share in (0.25, 1.0)
    )
    # one step from level 1, with production on the way from 0.8 to 2.4
    at = slow.obs["time"].to_numpy() > 0
    assert slow.var_names[1] == "M"
    assert 5 < at.sum() < 20
    np.testing.assert_allclose(slow.layers["unspliced"][at, 1], 1 + 0.25 * 1.6 * 0.01, rtol=1e-5)
    np.testing.assert_allclose(fast.layers["unspliced"][at, 1], 1 + 1.6 * 0.01, rtol=1e-5)


@pytest.fixture(scope="module")
def edges():
    rng = np.random.default_rng(3)
    names = [f"G{at:02d}" for at in range(20)]
    pairs = [(names[int(rng.integers(0, min(at, 6)))], names[at]) for at in range(3, 20) for _ in range(2)]
    found = pd.DataFrame(dict.fromkeys(pairs), index=[0]).T.reset_index()[["level_0", "level_1"]]
    found.columns = ["source", "target"]
    return found.assign(sign=np.where(np.arange(len(found)) % 3 == 0, -1, 1))


def test_the_result_follows_names_and_the_seed(edges):
    cells, truth = sergio(edges, n_cells=60, n_types=3, seed=4)
    shuffled, same_truth = sergio(edges.sample(frac=1, random_state=0), n_cells=60, n_types=3, seed=4, threads=1)
    assert shuffled.var_names.tolist() == cells.var_names.tolist()
    np.testing.assert_array_equal(shuffled.X, cells.X)
    pd.testing.assert_frame_equal(truth.edges, same_truth.edges)
    assert not np.array_equal(sergio(edges, n_cells=60, n_types=3, seed=5)[0].X, cells.X)


def test_cells_carry_labels_counts_and_a_record_and_the_truth_knows_every_gene(edges):
    cells, truth = sergio(edges, n_cells=61, n_types=3)
    assert cells.obs["cell_type"].value_counts().to_dict() == {"type 0": 21, "type 1": 20, "type 2": 20}
    assert np.array_equal(cells.X, np.round(cells.X))
    assert cells.X.sum() > 0
    assert truth.genes == set(cells.var_names)
    assert set(zip(truth.edges["source"], truth.edges["target"], strict=True)) == set(
        zip(edges["source"], edges["target"], strict=True)
    )
    assert truth.edges["strength"].between(1, 5).all()
    assert cells.var["is_master_regulator"].sum() == 20 - edges["target"].nunique()
    (step,) = bengrn._provenance.steps_of(cells.uns)
    assert step["parameters"]["n_cells"] == 61
    assert step["inputs"][0]["as"] == "network"


def test_correlation_finds_edges_of_simulated_cells_far_above_chance(edges):
    cells, truth = sergio(edges, n_cells=600, n_types=6, technical=None)
    scores = bengrn.score(bengrn.infer(cells, "pearson"), truth)
    assert scores.ap > 1.5 * scores.random_expectation["ap"]


def test_knocking_out_a_gene_changes_only_its_descendants(edges):
    wild, _ = sergio(edges, n_cells=30, n_types=2, technical=None)
    without, _ = sergio(edges, n_cells=30, n_types=2, technical=None, knock_out=["G04"])
    below, waiting = set(), ["G04"]
    while waiting:
        for target in edges.loc[edges["source"] == waiting.pop(), "target"]:
            waiting += [] if target in below else [target]
            below.add(target)
    changed = set(wild.var_names[(wild.X != without.X).any(axis=0)])
    assert below
    assert changed == below | {"G04"}
    assert (without[:, "G04"].X == 0).all()


LOOP = pd.DataFrame({"source": ["M", "A", "B"], "target": ["A", "B", "A"], "strength": [2.0, 3.0, 4.0], "hill": 2.0})


def test_cycles_are_refused_with_their_names():
    with pytest.raises(ValueError, match="2 edges are part of a cycle, such as A → B → A"):
        sergio(LOOP, n_cells=4)
    with pytest.raises(ValueError, match="such as A → A: "):
        sergio(pd.DataFrame({"source": ["M", "A"], "target": ["A", "A"]}), n_cells=4)


def test_cycles_are_broken_and_that_is_said():
    cells, truth = sergio(LOOP, n_cells=4, cycles="break")
    assert len(truth) == 2
    (note,) = cells.uns["simulation"]["notes"]
    assert note.startswith("left out 1 edge that closes cycles: ")


def test_feedback_is_simulated_at_levels_that_agree_with_each_other():
    cells, truth = sergio(LOOP, rates=RATES, n_cells=4, cycles="keep", **QUIET)
    levels = mean_levels(cells)
    on = {gene: levels[gene] ** 2 / (levels[gene] ** 2 + levels[gene].mean() ** 2) for gene in levels}
    np.testing.assert_allclose(0.8 * levels["A"], 2 * on["M"] + 4 * on["B"], rtol=1e-4)
    np.testing.assert_allclose(0.8 * levels["B"], 3 * on["A"], rtol=1e-4)
    assert len(truth) == 3


def test_few_edges_run_against_the_order_that_breaks_cycles():
    from bengrn.simulate.cycles import few_backward

    rng = np.random.default_rng(0)
    forward = np.array([(a, b) for a in range(30) for b in range(a + 1, 30) if rng.random() < 0.3])
    edges = np.vstack([forward, [(29, 0), (20, 3)]])
    edges = rng.permutation(30)[edges]
    order = few_backward(edges[:, 0], edges[:, 1], 30)
    rank = np.argsort(order)
    assert sorted(order) == list(range(30))
    assert (rank[edges[:, 0]] >= rank[edges[:, 1]]).sum() <= 6


@pytest.mark.parametrize(
    ("change", "options", "error", "told"),
    [
        ({}, {"rates": RATES * 0.65e308}, FloatingPointError, "the expected level of M is no finite number"),
        ({"strength": [np.nan, 1, 1]}, {}, ValueError, "the strength of 1 edge .* of 'M → A'"),
        ({"hill": [2, -1, 2]}, {}, ValueError, "the hill of 1 edge .* of 'A → B'"),
        ({"target": ["A", "B", "A"], "source": ["M", "A", "M"]}, {}, ValueError, "1 edge is there twice: 'M → A'"),
        ({"source": ["M", None, "M"]}, {}, ValueError, "1 edge lacks the name of a gene, rows 1"),
        ({"source": ["A", "B", "C"], "target": ["B", "A", "A"]}, {"cycles": "keep"}, None, ""),
        ({"source": ["A", "B", "C"], "target": ["B", "C", "A"]}, {"cycles": "keep"}, ValueError, "no master regulator"),
        ({}, {"rates": RATES.rename({"M": "X"})}, ValueError, "1 of 1 master regulators .* have no rate: 'M'"),
        ({}, {"rates": RATES * np.nan}, ValueError, "the rates of M are"),
        ({}, {"rates": pd.concat([RATES, RATES.rename({"M": "A"})])}, ValueError, "'A' are regulated by others"),
        ({}, {"dt": 2.0}, ValueError, "steps of dt=2.0 are too long"),
        ({}, {"decay": 0.0}, ValueError, "decay is a number above 0"),
        ({}, {"knock_out": ["PAX6"]}, ValueError, "knock_out names 'PAX6', absent from"),
        ({}, {"differentiation": [[0, 1], [1, 0]], "rates": RATES}, ValueError, "comes from itself"),
        ({}, {"differentiation": [[0]], "rates": RATES}, ValueError, "has the shape"),
    ],
)
def test_bad_input_is_named(change, options, error, told):
    given = table(("M", "A", 1.0, 2.0), ("A", "B", 1.0, 2.0), ("M", "C", 1.0, 2.0)).assign(**change)
    if error is None:
        assert sergio(given, n_cells=4, **options).cells.n_obs == 4
        return
    with pytest.raises(error, match=told):
        sergio(given, n_cells=4, **options)


def test_edges_without_a_sign_activate_and_that_is_said():
    cells, truth = sergio(pd.DataFrame({"source": ["M", "M"], "target": ["A", "B"]}), n_cells=4)
    assert truth.edges["sign"].tolist() == [1, 1]
    assert cells.uns["simulation"]["notes"] == ["2 edges state no sign: taken as activating"]


def test_repeated_edges_can_be_kept_once():
    twice = pd.DataFrame({"source": ["M", "M"], "target": ["A", "A"], "sign": [1, -1]})
    cells, truth = sergio(twice, n_cells=4, duplicates="first")
    assert truth.edges["sign"].tolist() == [1]
    assert "there twice: the first was kept" in cells.uns["simulation"]["notes"][0]


# technical noise


@pytest.fixture(scope="module")
def levels():
    return np.random.default_rng(0).gamma(2.0, 1.0, (1, 400, 200)).astype(np.float32)


OFF = {"outlier_share": 0, "depth_per_gene": None, "dropout_percentile": 0, "counting": False}


def applied(levels, **numbers):
    return TechnicalNoise(**OFF | numbers)(levels, np.random.default_rng(1))[0]


def test_with_all_switched_off_levels_stay(levels):
    np.testing.assert_allclose(applied(levels), levels[0], rtol=1e-6)


def test_outliers_are_whole_genes(levels):
    factor = applied(levels, outlier_share=0.1, outlier_mean=2.0) / levels[0]
    assert np.ptp(factor, axis=0).max() < 1e-5 * factor.max()
    share = (np.abs(factor[0] - 1) > 1e-4).mean()
    assert 0.04 < share < 0.17


def test_library_sizes_have_the_median_and_spread_asked_for_also_with_outliers(levels):
    for share in (0, 0.1):
        depth = applied(levels, depth_per_gene=2.0, depth_sd=0.3, outlier_share=share).sum(axis=1)
        assert abs(np.median(depth) / 400 - 1) < 0.05
        assert abs(np.log(depth).std() - 0.3) < 0.03


def test_half_of_the_values_at_the_percentile_drop_out_and_more_below_it(levels):
    kept = applied(levels, dropout_percentile=70) > 0
    middle = np.percentile(levels[0], 70)
    near = np.abs(levels[0] / middle - 1) < 0.05
    assert abs(kept[near].mean() - 0.5) < 0.03
    # the logistic curve itself, at another level
    low = np.abs(levels[0] / (middle / 2) - 1) < 0.05
    at = np.log1p(middle / 2) - np.log1p(middle)
    assert abs(kept[low].mean() - 1 / (1 + np.exp(-6.5 * at))) < 0.03


def test_dropouts_come_after_library_sizes_and_counts_last(levels):
    whole = applied(levels, depth_per_gene=2.0, dropout_percentile=60)
    assert whole.sum() < 0.95 * applied(levels, depth_per_gene=2.0).sum()
    counts = applied(levels, depth_per_gene=2.0, dropout_percentile=60, counting=True)
    assert np.array_equal(counts, np.round(counts))
    assert (counts[whole == 0] == 0).all()
    assert abs(counts.sum() / whole.sum() - 1) < 0.01


@pytest.mark.parametrize(
    "numbers", [{"outlier_share": 2}, {"dropout_percentile": -1}, {"depth_per_gene": 0.0}, {"depth_sd": np.nan}]
)
def test_numbers_of_technical_noise_that_make_no_sense_are_named(numbers):
    with pytest.raises(ValueError, match=next(iter(numbers))):
        TechnicalNoise(**numbers)
