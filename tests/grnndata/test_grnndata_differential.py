"""Differential hubs, edges and overlap of two groups of replicate networks."""

import tracemalloc
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import grnndata
from grnndata.tools import compare, differential_edges, differential_hubs, differential_overlap
from grnndata.tools import exchanges as exchanges_module
from grnndata.tools.exchanges import make_design, permutation_p_values
from grnndata.tools.two_sides import Sides, compared

KINDS = pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
EFFECTS = ["gene", "strength_a", "strength_b", "difference"]
EXCHANGES = ["p_value", "q_value", "smallest_p"]
MODERATED = ["t", "p_moderated", "q_moderated"]


def make(matrix, names=None, **options):
    names = [f"g{i:02d}" for i in range(matrix.shape[0])] if names is None else list(names)
    return grnndata.from_matrix(matrix, names, **options)


def random(n, seed, share=0.5):
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random((n, n)) < share, rng.normal(size=(n, n)), 0).astype(np.float32)
    np.fill_diagonal(matrix, 7)  # self-edges, which must not count
    return matrix


def group(n, seeds, kind=np.asarray):
    return [make(kind(random(n, seed))) for seed in seeds]


@KINDS
def test_one_network_on_each_side_shows_effects_by_hand_and_no_test(kind):
    a = np.zeros((4, 4))
    b = np.zeros((4, 4))
    a[0], b[0] = [50, 6, -3, 1], [0, 1, 1, -2]
    a[1, 2] = 2
    found = differential_hubs(make(kind(a), "pqrs"), make(kind(b), "pqrs"), normalise=False)
    assert found["gene"].tolist() == ["p", "q", "r", "s"]
    assert list(found.columns) == EFFECTS  # no p-value, no q-value
    assert found["strength_a"].tolist() == [10, 2, 0, 0]
    assert found["strength_b"].tolist() == [4, 0, 0, 0]
    assert found["difference"].tolist() == [6, 2, 0, 0]
    assert found.attrs["test"].startswith("none: 1 network against 1 network show effects")


@KINDS
@pytest.mark.parametrize("direction", ["out", "in"])
def test_p_values_are_those_of_all_dealings_of_the_labels(kind, direction):
    a, b = group(9, (1, 2, 3), kind), group(9, (4, 5, 6), kind)
    found = differential_hubs(a, b, direction=direction).set_index("gene")
    assert list(found.columns) == EFFECTS[1:] + EXCHANGES + MODERATED
    assert found["smallest_p"].tolist() == [0.1] * 9
    assert "labels of 3 + 3 networks exchanged, in all 20 ways" in found.attrs["test"]
    assert "the smallest p-value that can be reached is 0.1" in found.attrs["test"]
    strengths = np.stack([grnndata.tl.strength(grn, direction) for grn in (*a, *b)])
    strengths /= strengths.mean(axis=1, keepdims=True)
    for i, gene in enumerate(found.index.sort_values()):
        values = strengths[:, i]
        gaps = [values[list(chosen)].mean() - np.delete(values, chosen).mean() for chosen in combinations(range(6), 3)]
        assert found.loc[gene, "difference"] == pytest.approx(gaps[0], abs=1e-6)
        assert found.loc[gene, "strength_a"] == pytest.approx(values[:3].mean(), abs=1e-6)
        assert found.loc[gene, "p_value"] == pytest.approx(np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-9))
    assert found["p_value"].min() >= 0.1
    np.testing.assert_allclose(found["q_value"], stats.false_discovery_control(found["p_value"]))
    np.testing.assert_allclose(found["q_moderated"], stats.false_discovery_control(found["p_moderated"]))


def test_pairs_are_sign_flips_and_matched_by_name():
    a, b = group(8, range(5)), group(8, range(10, 15))
    found = differential_hubs(a, b, paired=True).set_index("gene").sort_index()
    strengths = np.stack([grnndata.tl.strength(grn) for grn in (*a, *b)])
    strengths /= strengths.mean(axis=1, keepdims=True)
    d = strengths[:5] - strengths[5:]
    signs = np.array(list(product([1, -1], repeat=5)))
    exact = (np.abs(signs @ d) >= np.abs(d.sum(axis=0)) - 1e-9).mean(axis=0)
    np.testing.assert_allclose(found["p_value"], exact)
    np.testing.assert_allclose(found["difference"], d.mean(axis=0), atol=1e-6)
    assert (found["smallest_p"] == 2 / 32).all()
    assert "within pairs, in all 32 ways" in found.attrs["test"]
    named = differential_hubs(dict(zip("vwxyz", a, strict=True)), dict(zip("zyxwv", b[::-1], strict=True)), paired=True)
    pd.testing.assert_frame_equal(named.set_index("gene").sort_index(), found)
    with pytest.raises(ValueError, match="one side only has 'v', 'w'"):
        differential_hubs({"v": a[0]}, {"w": b[0]}, paired=True)
    with pytest.raises(ValueError, match="as many networks on both sides, got 2 and 3"):
        differential_hubs(a[:2], b[:3], paired=True)
    with pytest.raises(ValueError, match="paired=True or blocks=, not both"):
        differential_hubs(a, b, paired=True, blocks=(range(5), range(5)))


def test_blocks_keep_labels_within_and_the_difference_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 0, 1, 1])  # block of each network: 3 + 1 of the first, 1 + 2 of the second
    values = rng.normal(size=(7, 3)) + 5 * labels[:, None]
    design = make_design(4, 3, (labels[:4], labels[4:]))
    assert design.n_exchanges == 4 * 3
    assert design.smallest_p(100) == 1 / 12

    def least_squares(first):
        columns = np.column_stack([first, labels == 0, labels == 1]).astype(float)
        return np.linalg.lstsq(columns, values)[0][0]

    fitted = least_squares(np.arange(7) < 4)
    np.testing.assert_allclose(exchanges_module.difference(values, design), fitted)
    every = []
    for one in combinations((0, 1, 2, 4), 3):
        for other in combinations((3, 5, 6), 1):
            first = np.isin(np.arange(7), one + other)
            every.append(
                np.linalg.lstsq(np.column_stack([first, labels == 0, labels == 1]).astype(float), values)[0][0]
            )
    expected = (np.abs(every) >= np.abs(fitted) - 1e-9).mean(axis=0)
    found = permutation_p_values(values, design, statistic="difference", permutations=100, rng=rng)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match="blocks with networks of one side only say nothing of a difference: 'y'"):
        make_design(2, 1, (["x", "y"], ["x"]))
    with pytest.raises(ValueError, match="two lists, of 2 labels for a and of 1 for b"):
        make_design(2, 1, (["x"], ["x"]))


def test_rank_and_welch_statistics_equal_those_of_scipy():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, 40)) + np.r_[np.ones(4), np.zeros(5)][:, None]
    design = make_design(4, 5, None)
    options = {"permutations": 1000, "rng": rng}
    ranked = permutation_p_values(values, design, statistic="rank", **options)
    expected = [stats.mannwhitneyu(values[:4, i], values[4:, i], method="exact").pvalue for i in range(40)]
    np.testing.assert_allclose(ranked, expected, atol=1e-9)
    welch = permutation_p_values(values, design, statistic="welch", **options)
    exact = stats.permutation_test(
        (values[:4], values[4:]),
        lambda x, y, axis: np.abs(stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic),
        vectorized=True,
        alternative="greater",
        n_resamples=1000,
    )
    np.testing.assert_allclose(welch, exact.pvalue)
    with pytest.raises(ValueError, match="statistic must be one of 'difference', 'rank', 'welch', got 'median'"):
        permutation_p_values(values, design, statistic="median", **options)
    with pytest.raises(ValueError, match="statistic='welch' takes two networks or more on each side"):
        permutation_p_values(values[:5], make_design(4, 1, None), statistic="welch", **options)


def test_many_ways_are_drawn_and_come_near_all_of_them():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(14, 30)) + np.r_[np.ones(7) * 0.8, np.zeros(7)][:, None]
    design = make_design(7, 7, None)
    assert design.n_exchanges == 3432
    exact = permutation_p_values(values, design, statistic="difference", permutations=5000, rng=rng)
    drawn = permutation_p_values(values, design, statistic="difference", permutations=999, rng=rng)
    assert design.smallest_p(999) == 1 / 1000
    assert drawn.min() >= 1 / 1000
    np.testing.assert_allclose(drawn, exact, atol=4 * np.sqrt(0.25 / 999))
    again = permutation_p_values(values, design, statistic="difference", permutations=999, rng=np.random.default_rng(3))
    assert not np.array_equal(drawn, again)


def test_chunks_of_exchanges_change_nothing(monkeypatch):
    a, b = group(20, range(4)), group(20, range(4, 8))
    whole = differential_hubs(a, b)
    monkeypatch.setattr(exchanges_module, "_ENTRIES", 60)  # three exchanges at a time
    pd.testing.assert_frame_equal(differential_hubs(a, b), whole)


@KINDS
def test_dense_networks_in_blocks_give_the_same(kind, monkeypatch):
    a = make(kind(random(23, 4)))
    b = make(kind(random(23, 5)), [f"g{i:02d}" for i in range(3, 26)])
    hubs, edges = differential_hubs(a, b, direction="in"), differential_edges(a, b, top_edges=50)
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 64)  # three rows at a time
    pd.testing.assert_frame_equal(differential_hubs(a, b, direction="in"), hubs)
    pd.testing.assert_frame_equal(differential_edges(a, b, top_edges=50), edges)


def test_networks_without_edges_or_of_one_gene():
    empty, one = make(sparse.csr_matrix((3, 3))), make(np.ones((1, 1)))
    for a, b in ((empty, empty), (one, one), (empty, one)):
        assert (differential_hubs(a, b)["difference"] == 0).all()
        table = differential_hubs([a, b], [b, a])
        assert (table[["p_value", "q_value", "p_moderated", "q_moderated"]] == 1).all(axis=None)
        assert (table["difference"] == 0).all()
        with pytest.raises(ValueError, match="no network has an edge between the"):
            differential_edges(a, b)


@KINDS
def test_a_planted_hub_is_found_whose_edges_no_single_pair_of_networks_could_test(kind):
    rng = np.random.default_rng(10)
    n = 60
    matrices = [rng.exponential(size=(n, n)) * (rng.random((n, n)) < 0.3) for _ in range(10)]
    for matrix in matrices[:5]:
        matrix[17] *= 3
    for matrix in matrices[5:]:
        matrix[:, 40] *= 3
    networks = [make(kind(matrix)) for matrix in matrices]
    out = differential_hubs(networks[:5], networks[5:])
    into = differential_hubs(networks[:5], networks[5:], direction="in")
    assert out["gene"][0] == "g17"
    assert out["difference"][0] > 0
    assert out["p_value"][0] == out["smallest_p"][0] == 2 / 252
    assert out["q_moderated"][0] < 0.001
    assert (out["q_moderated"][1:] > 0.05).all()
    assert into["gene"][0] == "g40"
    assert into["difference"][0] < 0
    assert into["q_moderated"][0] < 0.001


@pytest.mark.parametrize("same_order", [True, False])
def test_swapping_the_groups_turns_the_sign_only(same_order):
    a = [make(random(40, seed)) for seed in (11, 21, 31)]
    b = [make(sparse.csr_matrix(random(40, seed))) for seed in (12, 22, 32)]
    if not same_order:
        b[0] = b[0][:, list(np.random.default_rng(0).permutation(b[0].var_names))].copy()
    one, two = differential_hubs(a, b), differential_hubs(b, a)
    assert one["gene"].tolist() == two["gene"].tolist()
    np.testing.assert_allclose(one["difference"], -two["difference"])
    np.testing.assert_allclose(one["t"], -two["t"])
    for column in ("p_value", "p_moderated"):
        np.testing.assert_allclose(one[column], two[column])


def test_sparse_and_dense_agree_and_collections_come_in_any_form():
    matrices = [random(50, seed) for seed in (13, 14, 15, 16)]
    sparse_ones, dense = ([make(kind(matrix)) for matrix in matrices] for kind in (sparse.csr_matrix, np.asarray))
    expected = differential_hubs(dense[:2], dense[2:])
    pd.testing.assert_frame_equal(differential_hubs(sparse_ones[:2], sparse_ones[2:]), expected)
    several = [grnndata.concat_networks({"x": pair[0], "y": pair[1]}) for pair in (dense[:2], dense[2:])]
    pd.testing.assert_frame_equal(differential_hubs(*several), expected)
    pd.testing.assert_frame_equal(differential_hubs({"x": dense[0], "y": dense[1]}, tuple(dense[2:])), expected)
    edges = differential_edges(dense[:2], dense[2:], top_edges=100)
    pd.testing.assert_frame_equal(differential_edges(sparse_ones[:2], sparse_ones[2:], top_edges=100), edges)


@pytest.mark.parametrize("direction", ["out", "in"])
def test_differential_hubs_of_dense_networks_copy_none_of_them(direction, monkeypatch):
    monkeypatch.setattr("grnndata.tools.align.BLOCK", 2**15)
    n = 1500
    rng = np.random.default_rng(16)
    a, b = (make(rng.random((n, n), dtype=np.float32), [f"g{i}" for i in range(s, n + s)]) for s in (0, 20))
    tracemalloc.start()
    found = differential_hubs(a, b, direction=direction)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == n - 20
    assert peak < 0.5 * a.grn.nbytes


def test_normalising_takes_the_scale_away():
    matrix = random(30, 15)
    a = [make(matrix), make(matrix)]
    tenth = [make(matrix * np.float32(0.1)), make(matrix * np.float32(0.1))]
    scaled = differential_hubs(a, tenth)
    assert scaled["strength_a"].mean() == pytest.approx(1)
    assert scaled["strength_b"].mean() == pytest.approx(1)
    np.testing.assert_allclose(scaled["difference"], 0, atol=1e-6)
    assert (scaled[["p_value", "p_moderated"]] == 1).all(axis=None)  # rounding of float32 is no difference
    raw = differential_hubs(a, tenth, normalise=False)
    np.testing.assert_allclose(raw["p_value"], 1 / 3)
    edges = differential_edges(a, tenth, normalise=False)
    np.testing.assert_allclose(edges["weight_b"], 0.1 * edges["weight_a"], rtol=1e-6)


def test_symbols_are_shown_and_only_shared_genes_count():
    a = make(np.ones((3, 3)), ["E1", "E2", "E3"])
    a.var["symbol"] = ["SOX2", "PAX6", "OTX2"]
    b = make(np.ones((3, 3)), ["E3", "E1", "E9"])
    found = differential_hubs(a, b, normalise=False).set_index("gene")
    assert found["symbol"].to_dict() == {"E1": "SOX2", "E3": "OTX2"}
    assert found["strength_a"].tolist() == [1, 1]  # neither self-edges nor edges with E2 and E9


def test_edges_are_compared_by_hand():
    names = list("pqr")
    a = [np.array([[9, 4, 0], [0, 0, -6], [0, 0, 0.0]]), np.array([[9, 5, 0], [0, 0, -8], [0, 0, 0.0]])]
    b = [np.array([[0, 1, 0], [0, 0, 2], [1, 0, 0.0]]), np.array([[0, 2, 0], [0, 0, 4], [0, 0, 0.0]])]
    networks = [[make(matrix, names) for matrix in side] for side in (a, b)]
    found = differential_edges(*networks, normalise=False, top_edges=2)
    # Mean |weight| of p→q is 3, of q→r 5, of r→p 0.25: the third is left out.
    assert found[["source", "target", "weight_a", "weight_b", "difference"]].to_numpy().tolist() == [
        ["q", "r", -7.0, 3.0, -10.0],
        ["p", "q", 4.5, 1.5, 3.0],
    ]
    # Of the 6 dealings (3 up to the sign), none separates q→r further: ±10, 2 and 0.
    assert found["p_value"].tolist() == pytest.approx([1 / 3, 1 / 3])
    undirected = [[make(matrix + matrix.T, names, directed=False) for matrix in side] for side in (a, b)]
    once = differential_edges(*undirected, normalise=False)
    assert list(zip(once["source"], once["target"], strict=True)) == [("q", "r"), ("p", "q"), ("p", "r")]
    with pytest.raises(ValueError, match="some networks are directed and others are not"):
        differential_edges(networks[0], undirected[1])
    with pytest.raises(ValueError, match="top_edges must be a positive whole number"):
        differential_edges(*networks, top_edges=0)


def test_overlap_is_that_of_compare_and_its_p_value_that_of_all_dealings():
    rng = np.random.default_rng(5)
    base = rng.random((15, 15))
    a = [make(base + 0.7 * rng.random((15, 15))) for _ in range(3)]
    b = [make(base + 0.7 * rng.random((15, 15))) for _ in range(4)]
    found = differential_overlap(a, b, top_k=3)
    every = [*a, *b]
    shares = np.array([[compare(x, y, top_k=3).share_of_common_edges for x in every] for y in every])

    def gap(first):
        within = [shares[i, j] for i, j in combinations(range(7), 2) if (i in first) == (j in first)]
        between = [shares[i, j] for i, j in combinations(range(7), 2) if (i in first) != (j in first)]
        return np.mean(within), np.mean(between)

    gaps = [np.subtract(*gap(first)) for first in combinations(range(7), 3)]
    assert found["within"] == pytest.approx(gap((0, 1, 2))[0])
    assert found["between"] == pytest.approx(gap((0, 1, 2))[1])
    assert found["difference"] == pytest.approx(gaps[0])
    assert found["p_value"] == pytest.approx(np.mean(np.array(gaps) >= gaps[0] - 1e-9))
    assert found["smallest_p"] == 1 / 35
    other = rng.random((15, 15))
    far = [make(other + 0.3 * rng.random((15, 15))) for _ in range(4)]
    assert differential_overlap(a, far, top_k=3)["p_value"] == 1 / 35
    one = differential_overlap(a[0], b[0], top_k=3)
    assert one.to_dict() == {"between": shares[0, 3]}
    assert one.attrs["test"].startswith("none")


def test_overlap_of_pairs_compares_no_two_networks_of_a_donor():
    rng = np.random.default_rng(6)
    donors = [rng.random((15, 15)) for _ in range(6)]  # strong edges are the donor's, in both conditions
    a, b = ([make(donor + 0.2 * rng.random((15, 15))) for donor in donors] for _ in range(2))
    found = differential_overlap(a, b, paired=True, top_k=3)
    shares = np.array([[compare(x, y, top_k=3).share_of_common_edges for x in a] for y in b])
    assert found["between"] == pytest.approx(shares[~np.eye(6, dtype=bool)].mean())
    assert found["smallest_p"] == 2 / 64
    # Were the two networks of a donor compared, all of it would be "between", and conditions would look alike.
    with_them = np.mean([*shares[~np.eye(6, dtype=bool)], *np.diag(shares)])
    assert found["between"] < with_them - 0.03


def test_errors_name_what_is_wrong():
    a, b = make(np.eye(2), ["SOX2", "PAX6"]), make(np.eye(2), ["ENSG1", "ENSG2"])
    with pytest.raises(ValueError, match=r"no gene is in all 2 networks \(a: SOX2, PAX6; b: ENSG1, ENSG2\)"):
        differential_hubs(a, b)
    with pytest.raises(ValueError, match=r"\(a 'x': SOX2, PAX6; a 'y': ENSG1, ENSG2; b: SOX2, PAX6\)"):
        differential_hubs({"x": a, "y": b}, a)
    twice = a[:, ["SOX2", "PAX6", "SOX2"]]
    with pytest.raises(ValueError, match="network b '1': 1 gene name occurs more than once: SOX2"):
        differential_hubs([a, a], [a, twice])
    with pytest.raises(ValueError, match="direction must be 'out'"):
        differential_hubs(a, a, direction="row")
    with pytest.raises(ValueError, match="permutations must be a positive"):
        differential_hubs(a, a, permutations=0)
    with pytest.raises(ValueError, match="statistic must be one of"):
        differential_hubs(a, a, statistic="median")
    with pytest.raises(TypeError, match="networks must be GRNAnnData objects, not '0': ndarray"):
        differential_hubs([np.eye(2)], a)


def of_simulated_donors(seed, *, paired=False, effect=0.0):
    """Test strengths of 4 + 4 donors (or 6 pairs) whose spread hangs on the gene; the first ten genes may differ."""
    rng = np.random.default_rng(seed)
    mean, spread = rng.lognormal(0, 1, 200), 0.15 * rng.lognormal(0, 0.3, 200)
    n = 6 if paired else 4
    donors = rng.normal(0, 1, (n, 200)) if paired else 0
    logs = [rng.normal(0, 1, (n, 200)) + donors for _ in range(2)]
    logs[0][:, :10] += effect
    values = mean * np.exp(spread * np.vstack(logs))
    values /= values.mean(axis=1, keepdims=True)
    design = make_design(n, n, (range(n), range(n)) if paired else None)
    sides = Sides([], pd.RangeIndex(200), design, paired)
    table = compared(values, sides, called="strength", statistic="difference", moderate=True, permutations=100, seed=0)
    return table.assign(quarter=np.argsort(np.argsort(values.mean(axis=0))) // 50)


def share(tables, column, level):
    """Mean share of p-values at or below a level, and its standard error from the spread between simulations."""
    found = np.array([(table[column] <= level + 1e-9).mean() for table in tables])
    return found.mean(), max(found.std(ddof=1), np.sqrt(level * (1 - level) / len(tables[0]))) / np.sqrt(found.size)


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_are_calibrated_also_within_quartiles_of_strength(paired):
    tables = [of_simulated_donors(seed, paired=paired) for seed in range(100)]
    smallest = tables[0]["smallest_p"][0]
    assert smallest == (2 / 64 if paired else 2 / 70)
    for level in (smallest, 0.05, 0.2, 0.5):
        found, error = share(tables, "p_value", level)
        assert found <= level + 3 * error
    assert share(tables, "p_value", smallest)[0] == pytest.approx(
        smallest, abs=3 * share(tables, "p_value", smallest)[1]
    )
    for part in (tables, *([table[table["quarter"] == i] for table in tables] for i in range(4))):
        for level in (0.001, 0.05, 0.5):
            found, error = share(part, "p_moderated", level)
            assert found == pytest.approx(level, abs=3.5 * error)


@pytest.mark.parametrize("paired", [False, True])
def test_planted_effects_are_found(paired):
    tables = [of_simulated_donors(seed, paired=paired, effect=2.5).iloc[:10] for seed in range(50)]
    assert share(tables, "p_value", 0.05)[0] > 0.5
    assert share(tables, "p_moderated", 0.05)[0] > 0.7
    assert share(tables, "p_moderated", 0.001)[0] > 0.2
