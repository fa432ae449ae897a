"""Which cells exchange counts: by hand, and what dealing within strata keeps and breaks."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader.counts import total_counts
from scprint_model import infer
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import shuffled_counts
from scprint_model.networks.strata import LEAST_CELLS, WIDTH, batches_of, strata_of_null


def cells_of(counts, depth):
    counts = np.asarray(counts, dtype=np.float32)
    n_cells, n_genes = counts.shape
    totals = np.asarray(depth, dtype=np.float32)
    return NetworkCells(sparse.csr_matrix(counts), totals, np.arange(n_genes), np.arange(n_cells), n_genes, 0)


def test_strata_by_hand():
    # 25 cells of one depth, 20 of twice that, and 3 deeper ones that are too few for a stratum of their own
    depth = np.r_[np.full(25, 1000), np.full(20, 2000), [4000, 5000, 9000]]
    order = np.random.default_rng(0).permutation(48)
    found = strata_of_null("depth", depth[order])
    np.testing.assert_array_equal(found.of_cell, np.r_[np.zeros(25), np.ones(23)][order])
    assert found.sizes.tolist() == [25, 23]
    assert str(found) == "2 strata of 23 to 25 cells"
    batch = np.where(np.arange(48) < 5, "a", "b")
    divided = strata_of_null("depth", depth, batch)
    assert divided.sizes.tolist() == [5, 20, 23]
    assert (divided.of_cell[:5] == 0).all()
    whole = strata_of_null("cells", depth, batch)
    assert whole.sizes.tolist() == [5, 43]
    assert not whole.scaled


def test_strata_are_narrow_or_small_and_never_cross_batches():
    rng = np.random.default_rng(1)
    depth, batch = rng.lognormal(8, 0.7, 2000), rng.integers(0, 4, 2000)
    found = strata_of_null("depth", depth, batch)
    table = pd.DataFrame({"stratum": found.of_cell, "log": np.log(depth), "batch": batch}).groupby("stratum")
    assert (table["batch"].nunique() == 1).all()
    sizes, spans = table.size(), table["log"].agg(np.ptp)
    assert sizes.min() >= LEAST_CELLS
    assert (spans[sizes >= 2 * LEAST_CELLS] <= WIDTH).all()
    assert sizes.max() > 3 * LEAST_CELLS  # as large as their depth allows
    means = table["log"].transform("mean")
    assert ((np.log(depth) - means) ** 2).sum() < 0.05 * ((np.log(depth) - np.log(depth).mean()) ** 2).sum()


def test_dealing_stays_within_strata_and_is_scaled_to_the_receiver():
    rng = np.random.default_rng(2)
    depth = np.sort(rng.lognormal(8, 0.5, 120)).round()
    counts = np.stack([np.arange(120), np.full(120, 0), depth // 100], axis=1)
    batch = np.arange(120) % 2
    strata = strata_of_null("depth", depth, batch)
    plain = shuffled_counts(cells_of(counts, depth), rng, strata_of_null("cells", depth, batch)).counts.toarray()
    for one in (0, 1):
        np.testing.assert_array_equal(np.sort(plain[batch == one], axis=0), np.sort(counts[batch == one], axis=0))
    means = np.mean(
        [shuffled_counts(cells_of(counts, depth), rng, strata).counts.toarray() for _ in range(400)], axis=0
    )
    assert (means[:, 1] == 0).all()
    # a gene becomes the mean of its stratum's counts per depth; gene 2, a hundredth of the depth, stays so
    np.testing.assert_allclose(means[:, 2], depth / 100 - 0.5, atol=0.5)
    for stratum in range(len(strata.sizes)):
        mine = strata.of_cell == stratum
        for gene, error in ((0, 0.15), (2, 0.02)):
            expected = depth[mine] * (counts[mine, gene] / depth[mine]).mean()
            np.testing.assert_allclose(means[mine, gene], expected, rtol=error, atol=0.2)


def test_what_other_genes_have_is_drawn_at_its_share_of_the_depth():
    rng = np.random.default_rng(4)
    depth = np.sort(rng.lognormal(8, 0.5, 200))
    counts = rng.poisson(depth[:, None] * 0.05, (200, 4))
    totals = counts.sum(axis=1) + rng.poisson(0.8 * depth)
    cells, strata = cells_of(counts, totals), strata_of_null("depth", totals)
    dealt = [shuffled_counts(cells, rng, strata) for _ in range(300)]
    rest = np.array([one.total_counts - np.asarray(one.counts.sum(axis=1)).ravel() for one in dealt])
    np.testing.assert_allclose(rest.mean(axis=0), 0.8 * totals, rtol=0.05)
    np.testing.assert_allclose(rest.var(axis=0).mean(), rest.mean(), rtol=0.1)  # Poisson, anew each time
    same = shuffled_counts(
        cells_of(np.tile([3, 1], (50, 1)), np.full(50, 100)), rng, strata_of_null("depth", np.full(50, 100))
    )
    assert (same.total_counts == 100).all()


def test_genes_that_follow_depth_keep_their_correlation_and_lose_the_rest():
    rng = np.random.default_rng(3)
    depth = rng.lognormal(9, 0.6, 400)
    shared = rng.normal(size=400)
    counts = rng.poisson(depth[:, None] / 200 * np.exp(0.5 * shared[:, None] * [1, 1, 0, 0] - 0.1))
    strata = strata_of_null("depth", depth)
    dealt = [shuffled_counts(cells_of(counts, depth), rng, strata).counts.toarray() for _ in range(20)]
    before, after = np.corrcoef(counts.T), np.mean([np.corrcoef(each.T) for each in dealt], axis=0)
    assert after[2, 3] == pytest.approx(before[2, 3], abs=0.03)  # they have depth alone in common
    assert after[0, 1] < before[0, 1] - 0.1  # these have more
    overall = [shuffled_counts(cells_of(counts, depth), rng).counts.toarray() for _ in range(20)]
    assert abs(np.mean([np.corrcoef(each.T)[2, 3] for each in overall])) < 0.05


def test_batches_by_several_columns():
    obs = pd.DataFrame({"donor": ["a", "a", "b", "b"], "plate": [1, 2, 1, 1]})
    assert batches_of(obs, ["donor", "plate"]).tolist() == [0, 1, 2, 2]
    assert batches_of(obs, "donor").tolist() == [0, 0, 1, 1]
    assert batches_of(obs, None) is None
    with pytest.raises(ValueError, match=r"batch_key: obs has no column 'doner'; near ones: \['donor'\]"):
        batches_of(obs, "doner")
    with pytest.raises(ValueError, match="batch_key: 1 cell has no 'donor'"):
        batches_of(obs.assign(donor=["a", None, "b", "b"]), "donor")


def test_a_network_says_its_null_and_uses_its_batches(retina, small_model, caplog):
    some = retina[:60].copy()
    some.obs["plate"] = np.repeat(["first", "second"], 30)
    genes = some.var_names[np.asarray((some.X > 0).mean(axis=0)).ravel().argsort()[-400:]]
    options = {"genes": "expressed", "n_genes": 20, "permutations": 3}
    found = infer(small_model, some[:, genes].copy(), batch_key="plate", **options)
    told = found.uns["grn"]["parameters"]
    assert told["null"] == "depth"
    assert "given a cell's depth and batch" in told["null_meaning"]
    depth = total_counts(some[:, genes].copy())
    assert told["strata"] == str(strata_of_null("depth", depth, some.obs["plate"].to_numpy()))
    assert told["strata"] != str(strata_of_null("depth", depth))
    assert list(told["batch_key"]) == ["plate"]
    whole = infer(small_model, some[:, genes].copy(), null="cells", **options)
    assert whole.uns["grn"]["parameters"]["strata"] == "1 stratum of 60 cells"
    off = ~np.isnan(found.varp["GRN_p_value"])
    assert (found.varp["GRN_p_value"][off] != whole.varp["GRN_p_value"][off]).any()
    some.obs["well"] = [f"well {i // 5}" for i in range(60)]
    with pytest.raises(ValueError, match="60 of the 60 cells are in batches of fewer than 8: give a batch_key="):
        infer(small_model, some, batch_key="well", **options)
    with pytest.raises(ValueError, match="batch_key='plate' is for permutations="):
        infer(small_model, some, batch_key="plate", n_genes=20)
    with pytest.raises(ValueError, match="null: 'rows' is not one of"):
        infer(small_model, some, null="rows", **options)
    caplog.clear()
    some.obs["plate"] = np.repeat(["first", "second"], [54, 6])
    infer(small_model, some, batch_key="plate", **options)
    assert "6 cells lie in strata of fewer than 8" in caplog.text
