"""Signs: by hand, against ranking the weights and the negated weights, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st

from bengrn.metrics import average_precision, early_precision_ratio, rank_matrix, score_signs


def test_by_hand():
    # Six pairs off the diagonal: 0.9 -0.8 | -0.1 0.2 | 0 0.4.
    weights = np.array([[7.0, 0.9, -0.8], [-0.1, -7.0, 0.2], [0.0, 0.4, 7.0]])
    # True: 0→1 up (0.9, right), 0→2 down (-0.8, right), 1→2 down (0.2, wrong), 2→0 up (no weight), 2→1 not known.
    result = score_signs(weights, [1, 2, 5, 6, 7], [1, -1, -1, 1, 0], self_columns=[0, 1, 2])
    assert result.sign_accuracy == pytest.approx(2 / 3)
    assert (result.n_signed_found, result.n_activating, result.n_repressing, result.n_unsigned) == (3, 2, 2, 1)
    # Up, by falling weight: 0.9 true, 0.4, 0.2, 0 true, ...: AP (1 + 2/4) / 2, one of the best two.
    assert result.ap_activation == pytest.approx(0.75)
    assert result.epr_activation == pytest.approx((1 / 2) / (2 / 6))
    # Down, by rising weight: -0.8 true, -0.1, 0, 0.2 true, ...
    assert result.ap_repression == pytest.approx((1 + 2 / 4) / 2)
    assert result.epr_repression == pytest.approx((1 / 2) / (2 / 6))
    assert result.prevalence_activation == result.prevalence_repression == pytest.approx(1 / 3)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([np.float32, np.float64, np.int8]), st.booleans())
def test_repression_is_the_ranking_of_the_negated_weights(seed, sparse, dtype, with_self):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-3, 4, (5, 6)).astype(dtype)
    own = np.array([0, 1, -1, 3, 5]) if with_self else np.full(5, -1)
    scored = np.ones(weights.shape, dtype=bool)
    scored[np.flatnonzero(own >= 0), own[own >= 0]] = False
    positives = rng.permutation(np.flatnonzero(scored))[:9]
    signs = rng.integers(-1, 2, 9)
    assume((signs > 0).any() and (signs < 0).any() and (weights[scored] < 0).any())
    result = score_signs(sp.csr_array(weights) if sparse else weights, positives, signs, self_columns=own)
    up = rank_matrix(weights, positives[signs > 0], self_columns=own)
    down = rank_matrix(-weights, positives[signs < 0], self_columns=own)
    assert result.ap_activation == pytest.approx(average_precision(up), abs=1e-12)
    assert result.epr_activation == pytest.approx(early_precision_ratio(up), abs=1e-12)
    assert result.ap_repression == pytest.approx(average_precision(down), abs=1e-12)
    assert result.epr_repression == pytest.approx(early_precision_ratio(down), abs=1e-12)
    assert result.prevalence_repression == pytest.approx((signs < 0).sum() / scored.sum())
    assume((weights[scored] > 0).any())
    swapped = score_signs(-weights, positives, -signs, self_columns=own)
    assert swapped.ap_activation == pytest.approx(result.ap_repression, abs=1e-12)
    assert swapped.epr_repression == pytest.approx(result.epr_activation, abs=1e-12)
    assert swapped.sign_accuracy == pytest.approx(result.sign_accuracy, nan_ok=True)


def test_perfect_and_inverted_signs():
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], 40)
    weights = np.zeros((10, 30))
    positives = rng.choice(weights.size, 40, replace=False)
    weights.ravel()[positives] = signs
    right = score_signs(weights, positives, signs)
    wrong = score_signs(-weights, positives, signs)
    assert (right.sign_accuracy, right.ap_activation, right.ap_repression) == (1, 1, 1)
    assert right.epr_activation == pytest.approx(1 / right.prevalence_activation)
    assert wrong.sign_accuracy == 0
    assert wrong.epr_activation == wrong.epr_repression == 0
    # Found last of all pairs.
    assert wrong.ap_activation == pytest.approx(wrong.prevalence_activation)


def test_a_truth_of_one_sign_leaves_the_other_side_without_scores():
    result = score_signs(np.array([[0.5, -0.5, 0.1]]), [0], [1])
    assert result.ap_activation == 1
    assert np.isnan([result.ap_repression, result.epr_repression, result.prevalence_repression]).all()
    nothing_found = score_signs(np.array([[0.0, -0.5, 0.1]]), [0], [1])
    assert np.isnan(nothing_found.sign_accuracy)
    assert nothing_found.n_signed_found == 0


@pytest.mark.parametrize(
    ("weights", "signs", "message"),
    [
        ([[0.5, 0.2, 0.1]], [1, -1], "none of the 3 scored weights is below 0"),
        ([[0.5, -0.2, 0.1]], [0, 0], "none of the 2 true edges in the universe has a sign"),
        ([[0.5, -0.2, 0.1]], [1], r"signs has shape \(1,\) for 2 positives"),
        ([[0.5, -0.2, 0.1]], [1, 2], r"signs holds \[2\]"),
        ([[0.5, -0.2, np.nan]], [1, -1], "1 of 3 scores are NaN, the first in row 0, column 2"),
        (np.array([[5, 2, 1]], dtype=np.uint8), [1, -1], "is below 0"),
    ],
)
def test_what_says_nothing_about_signs_is_refused(weights, signs, message):
    with pytest.raises(ValueError, match=message):
        score_signs(np.asarray(weights), [0, 1], signs)


def test_a_negative_weight_on_a_self_pair_is_no_sign():
    with pytest.raises(ValueError, match="none of the 2 scored weights is below 0"):
        score_signs(np.array([[-0.5, 0.2, 0.1]]), [1], [1], self_columns=[0])
