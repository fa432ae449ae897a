"""The moderated t-test, against limma's and against what was simulated."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from grnndata.tools.exchanges import make_design
from grnndata.tools.moderated_t import fit_prior, inverse_trigamma, moderated_t, squeeze


def variances():
    rng = np.random.default_rng(3)
    return np.round(rng.f(6, 4, 40) * 0.05 * np.exp(np.linspace(-1, 1, 40)), 6), np.linspace(-2, 2, 40)


def test_the_prior_is_that_of_limma():
    # As fitFDist and squeezeVar of InMoose 0.9.1 give them, a port of limma.
    s2, covariate = variances()
    df, level = fit_prior(s2, 6)
    assert df == pytest.approx(2.9966042301766773)
    np.testing.assert_allclose(level, 0.047743520984035254)
    np.testing.assert_allclose(squeeze(s2, 6, df, level)[:3], [0.043252145697, 0.109928636588, 0.022731069603])
    df, level = fit_prior(s2, 6, covariate=covariate)
    assert df == pytest.approx(3.780501797287015)
    np.testing.assert_allclose(level[[0, 10, 39]], [0.027187120514, 0.02745938221, 0.097924336088])


def test_the_prior_solves_the_equations_of_smyth():
    s2, _ = variances()
    e = np.log(s2) - special.digamma(3) + np.log(3)
    target = e.var(ddof=1) - special.polygamma(1, 3)
    d0 = optimize.brentq(lambda d: special.polygamma(1, d / 2) - target, 1e-3, 1e6)
    df, level = fit_prior(s2, 6)
    assert df == pytest.approx(d0)
    assert level[0] == pytest.approx(np.exp(e.mean() + special.digamma(d0 / 2) - np.log(d0 / 2)))
    posterior = (d0 * level[0] + 6 * s2) / (d0 + 6)
    np.testing.assert_allclose(squeeze(s2, 6, df, level), posterior)


@pytest.mark.parametrize("value", [1e-6, 0.01, 1.0, 30.0, 1e6])
def test_inverse_trigamma(value):
    assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize(
    ("blocks", "prior_df", "t", "p_values"),
    [
        (None, 9.845309275667733, [0.43460162, 3.25456321, -0.05896899], [0.66971216, 0.00502498, 0.9537141]),
        (
            ([0, 0, 1, 1], [0, 1, 1, 0]),
            22.116057995719643,
            [0.42667071, 3.41981033, -0.0513502],
            [0.67298769, 0.00199834, 0.95942288],
        ),
        (
            (range(4), range(4)),
            6.9323863727263255,
            [0.36740558, 2.94738046, -0.05368777],
            [0.72102405, 0.01470144, 0.95824843],
        ),
    ],
)
def test_t_and_p_values_are_those_of_limma(blocks, prior_df, t, p_values):
    # lmFit and eBayes of InMoose 0.9.1, with no blocks, two blocks and pairs as columns of the design.
    rng = np.random.default_rng(4)
    values = np.round(rng.normal(size=(8, 12)) * np.sqrt(rng.f(6, 4, 12)) + rng.normal(size=12), 3)
    values[:4, 2] += 3
    found = moderated_t(values, make_design(4, 4, blocks))
    assert found.prior_df == pytest.approx(prior_df)
    np.testing.assert_allclose(found.t[[0, 2, 11]], t, atol=1e-8)
    np.testing.assert_allclose(found.p_values[[0, 2, 11]], p_values, atol=1e-8)


def test_what_was_simulated_is_found_again():
    rng = np.random.default_rng(5)
    prior = 0.3 * np.exp(np.linspace(-2, 2, 20_000))
    s2 = prior * rng.f(6, 10, 20_000)
    df, level = fit_prior(s2, 6, covariate=np.linspace(0, 1, 20_000))
    assert df == pytest.approx(10, rel=0.1)
    np.testing.assert_allclose(level, prior, rtol=0.1)


def test_equal_variances_give_an_infinite_prior_and_a_pooled_test():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(6, 400))
    design = make_design(3, 3, None)
    # Variances that spread less than chance would have them.
    values = design.within_blocks(values)
    labels = np.r_[np.ones(3), -np.ones(3)]
    values -= np.outer(labels, labels @ values / 6)
    values = values / values.std(axis=0) + np.outer(labels / 2, rng.normal(size=400))
    found = moderated_t(values, design)
    assert np.isinf(found.prior_df)
    # All variances are equal, and so is what they are drawn towards, up to the bias of a mean of logarithms.
    pooled = stats.ttest_ind(values[:3], values[3:]).statistic
    assert np.std(found.t / pooled) < 1e-9


def test_features_that_do_not_vary_are_not_tested():
    rng = np.random.default_rng(7)
    values = rng.normal(size=(6, 20))
    values[:, 4] = 2.0
    found = moderated_t(values, make_design(3, 3, None))
    assert (found.t[4], found.p_values[4]) == (0, 1)
    without = moderated_t(np.delete(values, 4, axis=1), make_design(3, 3, None))
    np.testing.assert_allclose(np.delete(found.p_values, 4), without.p_values)
