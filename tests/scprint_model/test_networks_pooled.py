"""Pooled p-values of edges: where edges differ in mean, spread and shape, and what is counted in their place."""

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import gamma, norm

from scprint_model import infer
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import permutation_p_values
from scprint_model.networks.pooled import PooledNull, correlations

N = 30
OFF = ~np.eye(N, dtype=bool)
NO_CELLS = NetworkCells(sparse.csr_matrix((3, N), dtype=np.float32), np.ones(3), np.arange(N), np.arange(3), N, 0)


def pooled(observed, networks, tested=OFF):
    null = PooledNull(observed, tested)
    as_strong = np.ones(observed.shape)
    for network in networks:
        null.add(network, NO_CELLS)
        as_strong += network >= observed
    counted = np.where(tested, as_strong / (len(networks) + 1), np.nan).astype(np.float32)
    return null.p_values(counted, lambda: NO_CELLS, 0)


def genes_of_their_own(rng, shape=()):
    """Means that differ by far more than an edge varies, and spreads that depend on both genes."""
    mean = rng.normal(0, 50, (N, N))
    spread = np.exp(0.5 * rng.normal(size=(N, 1)) + 0.5 * rng.normal(size=N))
    return lambda z: mean + spread * z


def test_edges_with_means_and_spreads_of_their_own_are_uniform_where_nothing_is():
    shares = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        edge = genes_of_their_own(rng)
        p, smallest = pooled(edge(rng.normal(size=(N, N))), [edge(rng.normal(size=(N, N))) for _ in range(20)])
        assert np.isnan(p[~OFF]).all()
        assert p[OFF].min() >= smallest
        shares.append([(p[OFF] <= level).mean() for level in (0.5, 0.05, 0.001)])
    found, error = np.mean(shares, axis=0), np.std(shares, axis=0) / 40**0.5
    np.testing.assert_array_less(abs(found - [0.5, 0.05, 0.001]), 3.5 * error)


def test_small_p_values_beside_those_of_the_distribution():
    """Edges of one mean in units of their spread: twenty permutations of all know it well."""
    rng = np.random.default_rng(1)
    spread = np.exp(0.5 * rng.normal(size=(N, 1)) + 0.5 * rng.normal(size=N))
    true = 10 ** rng.uniform(-4, -2, (N, N))
    for draw, quantile in (
        (lambda: rng.normal(size=(N, N)), norm.isf(true)),
        (lambda: rng.gamma(4, size=(N, N)), gamma.isf(true, 4)),
    ):
        p, _ = pooled(spread * quantile, [spread * draw() for _ in range(20)])
        ratio = np.log2(p / true)[OFF]
        assert (abs(ratio[true[OFF] > 1e-3]) <= 1).mean() > 0.9
        assert (abs(ratio) <= 2).mean() > 0.95
        assert abs(np.median(ratio)) < 0.4


def test_planted_edges_get_small_p_values_and_leave_the_others_theirs():
    rng = np.random.default_rng(2)
    edge, planted = genes_of_their_own(rng), rng.random((N, N)) < 0.3
    p, smallest = pooled(
        edge(rng.normal(size=(N, N)) + 12 * planted), [edge(rng.normal(size=(N, N))) for _ in range(20)]
    )
    assert (p[planted & OFF] < 1e-3).mean() > 0.95
    assert p[OFF].min() == pytest.approx(smallest)
    assert 0.02 < (p[~planted & OFF] <= 0.05).mean() < 0.09


def test_too_few_permutations_or_edges_are_counted_and_so_are_edges_that_never_vary():
    rng = np.random.default_rng(3)
    observed, networks = rng.normal(size=(N, N)), [rng.normal(size=(N, N)) for _ in range(20)]
    few, smallest = pooled(observed, networks[:9])
    np.testing.assert_allclose(few[OFF] * 10, (few[OFF] * 10).round(), atol=1e-5)
    assert smallest == 0.1
    small = OFF & (np.arange(N) < 6)[:, None]
    assert pooled(observed, networks, small)[1] == pytest.approx(1 / 21)
    for network in networks:
        network[0], network[1] = observed[0], observed[1] - 1
    constant, _ = pooled(observed, networks)
    assert (constant[0, 1:] == 1).all()
    np.testing.assert_allclose(constant[1, 2:], 1 / 21, rtol=1e-6)


def test_networks_of_correlations_lean_on_more_permutations_of_these():
    """Few cells whose strata differ: each edge has a mean of its own, which twenty permutations know badly."""
    rng = np.random.default_rng(4)
    depth = np.sort(rng.lognormal(8, 0.5, 60))
    counts = rng.poisson(depth[:, None] / 300 * rng.gamma(2, 0.5, (60, N)))
    totals = depth.astype(np.float32) + counts.sum(axis=1)
    cells = NetworkCells(sparse.csr_matrix(counts.astype(np.float32)), totals, np.arange(N), np.arange(60), N, 0)
    options = {"strata": None, "pooled": True, "reference": 400}
    draws = [
        permutation_p_values(
            cells, correlations, correlations(cells), OFF, n=20, rng=np.random.default_rng(i), **options
        )
        for i in range(2)
    ]
    two = [np.log(p[OFF]) for p, _ in draws]
    many, _ = permutation_p_values(
        cells, correlations, correlations(cells), OFF, n=400, strata=None, pooled=False, rng=np.random.default_rng(9)
    )
    assert np.std(two[0] - two[1]) < 0.15  # without it, 0.4
    rough = many[OFF] > 0.05
    assert np.std((two[0] - np.log(many[OFF]))[rough]) < 0.2


def test_networks_say_how_their_p_values_came(retina, small_model):
    some = retina[:40].copy()
    options = {"genes": "expressed", "n_genes": 24, "seed": 1}
    found = infer(small_model, some, permutations=10, **options)
    told, p = found.uns["grn"]["parameters"], found.varp["GRN_p_value"]
    assert told["p_values"] == "pooled"
    assert told["smallest_p_value"] == pytest.approx(1 / 5000)  # of ten permutations
    tested = ~np.isnan(p)
    assert tested.sum() == 24 * 23
    assert p[tested].min() < 1 / 11 - 0.01
    counted = infer(small_model, some, permutations=10, pooled=False, **options)
    own = counted.varp["GRN_p_value"]
    assert counted.uns["grn"]["parameters"]["p_values"] == "counted"
    assert counted.uns["grn"]["parameters"]["smallest_p_value"] == pytest.approx(1 / 11)
    np.testing.assert_allclose(own[tested] * 11, (own[tested] * 11).round(), atol=1e-4)
    assert np.corrcoef(own[tested], p[tested])[0, 1] > 0.9  # from the same networks
    sparse_one = infer(small_model, some, permutations=10, steps=["maximum_spanning_tree"], **options)
    assert sparse_one.uns["grn"]["parameters"]["p_values"] == "counted"
    with pytest.raises(ValueError, match="pooled=True needs permutations of 10 or more, here are 3"):
        infer(small_model, some, permutations=3, pooled=True, **options)
    with pytest.raises(ValueError, match="pooled=True needs networks without sparse steps"):
        infer(small_model, some, permutations=10, pooled=True, steps=["tmfg"], **options)
