"""Cross-validated predictions: of cells, or donors, that were not learned from, in any order."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scprint_model.cross_validation import cross_validated


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    features = rng.normal(size=(120, 4)) + 1.2 * np.eye(3, 4)[codes]
    return features, codes, rng.integers(0, 2**63, 120).astype(np.uint64)


def test_each_donor_is_predicted_from_the_others(blobs):
    features, codes, keys = blobs
    donors = np.array(["a", "b", "c"])[np.arange(120) % 3]
    found = cross_validated(features, codes, keys=keys, groups=donors)
    for donor in "abc":
        mine = donors == donor
        other = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features[~mine], codes[~mine])
        np.testing.assert_array_equal(found[mine], other.predict(features[mine]))
    # a donor's own shift is of no use for other donors
    shifted = np.column_stack([np.where(donors == "a", codes, 0), np.where(donors == "b", codes, 0)]).astype(float)
    by_donor, by_cell = (cross_validated(shifted, codes, keys=keys, groups=one) == codes for one in (donors, None))
    assert by_donor.mean() < 0.5
    assert by_cell.mean() > by_donor.mean() + 0.15


def test_labels_that_mean_nothing_are_not_predicted_and_order_does_not_matter(blobs):
    features, codes, keys = blobs
    found = cross_validated(features, codes, keys=keys, seed=3)
    assert 0.6 < (found == codes).mean() < 0.95
    shuffled = np.random.default_rng(1).permutation(codes)
    assert (cross_validated(features, shuffled, keys=keys) == shuffled).mean() < 0.5
    order = np.random.default_rng(2).permutation(120)
    again = cross_validated(features[order], codes[order], keys=keys[order], seed=3)
    np.testing.assert_array_equal(again, found[order])


def test_cells_without_a_label_have_no_part(blobs):
    features, codes, keys = blobs
    some = np.where(np.arange(120) % 4 == 0, -1, codes)
    found = cross_validated(features, some, keys=keys)
    assert (found[some < 0] == -1).all()
    changed = features.copy()
    changed[some < 0] += 100
    np.testing.assert_array_equal(cross_validated(changed, some, keys=keys), found)
    assert cross_validated(features[:1], codes[:1], keys=keys[:1]).tolist() == [-1]
    with pytest.raises(ValueError, match="folds=1"):
        cross_validated(features, codes, keys=keys, folds=1)
