"""Ranking a matrix in place: the same as ranking the flattened pairs, in little memory, whatever the layout."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bengrn.metrics import (
    Ranking,
    auroc,
    average_precision,
    early_precision_ratio,
    expected_average_precision,
    f_score_at_k,
    log_odds_ratio,
    odds_ratio_at_k,
    overlap_p_value,
    paper_auprc,
    partial_auroc,
    precision_of_predicted,
    rank_matrix,
    rank_positives,
    recall_of_predicted,
    trapezoid_auprc,
)
from bengrn.metrics import pairs as pairs_module

METRICS = (
    average_precision,
    expected_average_precision,
    trapezoid_auprc,
    paper_auprc,
    auroc,
    partial_auroc,
    early_precision_ratio,
    odds_ratio_at_k,
    f_score_at_k,
    log_odds_ratio,
    overlap_p_value,
    precision_of_predicted,
    recall_of_predicted,
)
#: Those that do not ask which scores are above zero.
BY_RANK = tuple(
    metric for metric in METRICS if metric not in (paper_auprc, precision_of_predicted, recall_of_predicted)
)


@st.composite
def universes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties and zeros, true edges off the self pairs, and the rows' own columns."""
    n_rows, n_columns = draw(st.integers(1, 6)), draw(st.integers(3, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64, np.int8, np.float16]))
    levels = draw(st.integers(1, 12))
    scores = rng.integers(-2, levels, (n_rows, n_columns)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        scores /= dtype(7)
    own = rng.permutation(max(n_rows, n_columns))[:n_rows]
    own = np.where((own < n_columns) & draw(st.booleans()), own, -1)
    truth = rng.random(scores.shape) < draw(st.floats(0.05, 0.9))
    scored = scored_mask(scores.shape, own)
    truth &= scored
    inside = np.flatnonzero(scored)
    truth.ravel()[inside[0]], truth.ravel()[inside[-1]] = True, False
    return scores, truth, own


def scored_mask(shape: tuple[int, int], own: np.ndarray) -> np.ndarray:
    scored = np.ones(shape, dtype=bool)
    scored[np.flatnonzero(own >= 0), own[own >= 0]] = False
    return scored


def assert_same(first: Ranking, second: Ranking) -> None:
    for field, value in vars(first).items():
        other = vars(second)[field]
        np.testing.assert_array_equal(value, other, err_msg=field)
        if field == "value":
            assert value.dtype == other.dtype


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda scores: np.repeat(np.repeat(scores, 2, axis=0), 3, axis=1)[::2, ::3],
    "strided transpose": lambda scores: np.repeat(np.repeat(scores.T, 2, axis=0), 3, axis=1)[::2, ::3].T,
    "csr": lambda scores: sp.csr_array(scores),
    "csr_matrix": lambda scores: sp.csr_matrix(scores),
    "csc": lambda scores: sp.csc_array(scores),
    "coo": lambda scores: sp.coo_array(scores),
}


@given(universes(), st.sampled_from(sorted(LAYOUTS)), st.sampled_from([1, 3, 1 << 19]))
def test_a_matrix_ranks_as_its_flattened_scored_pairs(case, layout, piece):
    scores, truth, own = case
    if scores.dtype == np.float16 and layout in ("csr", "csr_matrix", "csc", "coo"):
        scores = scores.astype(np.float32)
    scored = scored_mask(scores.shape, own)
    expected = rank_positives(scores[scored], truth[scored])
    with pytest.MonkeyPatch.context() as patch:
        # The smallest pieces make every edge of the walk appear in small matrices.
        patch.setattr("bengrn.metrics.ranking._piece_size", lambda _: piece)
        result = rank_matrix(LAYOUTS[layout](scores), np.flatnonzero(truth), self_columns=own)
        assert_same(result, expected)
        assert_same(rank_matrix(LAYOUTS[layout](scores), np.nonzero(truth), self_columns=own), expected)


@given(universes())
def test_ranks_are_the_counts_one_would_take_by_hand(case):
    scores, truth, own = case
    scored = scored_mask(scores.shape, own)
    values, positive = scores[scored], truth[scored]
    ranking = rank_matrix(scores, np.flatnonzero(truth), self_columns=own)
    assert ranking.value.tolist() == sorted(set(values[positive].tolist()), reverse=True)
    for at, value in enumerate(ranking.value):
        assert ranking.n_above[at] == (values > value).sum()
        assert ranking.n_tied[at] == (values == value).sum()
        assert ranking.p_above[at] == (values[positive] > value).sum()
        assert ranking.p_tied[at] == (values[positive] == value).sum()
    assert ranking.n_predicted == (values > 0).sum()
    assert (ranking.n_pairs, ranking.n_positives) == (values.size, positive.sum())


@given(universes(), st.integers(0, 2**32 - 1))
def test_permuting_genes_changes_nothing(case, seed):
    scores, truth, own = case
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(scores.shape[0]), rng.permutation(scores.shape[1])
    moved = np.append(np.argsort(columns), -1)[own[rows]]
    first = rank_matrix(scores, np.flatnonzero(truth), self_columns=own)
    second = rank_matrix(
        scores[np.ix_(rows, columns)], np.flatnonzero(truth[np.ix_(rows, columns)]), self_columns=moved
    )
    assert_same(first, second)


@given(universes(), st.sampled_from(["plus a constant", "times a constant", "cubed", "exponential", "ranks"]))
def test_a_monotone_map_changes_nothing(case, name):
    scores, truth, own = case
    scores = scores.astype(np.float64)
    mapped = {
        "plus a constant": lambda s: s + 64.0,
        "times a constant": lambda s: s * 0.5,
        "cubed": lambda s: s**3,
        "exponential": np.exp,
        "ranks": lambda s: np.unique(s, return_inverse=True)[1].reshape(s.shape),
    }[name](scores)
    first = rank_matrix(scores, np.flatnonzero(truth), self_columns=own)
    second = rank_matrix(mapped, np.flatnonzero(truth), self_columns=own)
    for metric in BY_RANK:
        assert metric(first) == metric(second), metric.__name__


@given(universes())
def test_a_perfect_network_has_the_maximum_and_an_inverted_one_the_minimum(case):
    scores, truth, own = case
    positives = np.flatnonzero(truth)
    perfect = rank_matrix(truth.astype(np.float32), positives, self_columns=own)
    inverted = rank_matrix(-truth.astype(np.float32), positives, self_columns=own)
    given_ = rank_matrix(scores, positives, self_columns=own)
    for metric in (average_precision, expected_average_precision, trapezoid_auprc, auroc, partial_auroc):
        assert metric(perfect) == pytest.approx(1, abs=1e-12)
    for metric in (
        expected_average_precision,
        auroc,
        partial_auroc,
        early_precision_ratio,
        odds_ratio_at_k,
        f_score_at_k,
    ):
        assert metric(inverted) - 1e-12 <= metric(given_) <= metric(perfect) + 1e-12, metric.__name__
    for metric in (average_precision, trapezoid_auprc):
        assert metric(given_) <= metric(perfect) + 1e-12, metric.__name__
    assert overlap_p_value(perfect) - 1e-12 <= overlap_p_value(given_) <= overlap_p_value(inverted) + 1e-12
    assert auroc(inverted) == 0
    assert early_precision_ratio(perfect) == pytest.approx(1 / perfect.prevalence)
    # One block of positives below all else: they are found only when everything is predicted.
    assert average_precision(inverted) == pytest.approx(inverted.prevalence)


def test_with_distinct_scores_no_order_is_worse_than_the_inverted_one():
    rng = np.random.default_rng(4)
    truth = rng.random((8, 9)) < 0.3
    scores = np.arange(float(truth.size))
    inverted = np.empty(truth.size)
    inverted[np.argsort(truth.ravel(), kind="stable")] = -scores
    worst = average_precision(rank_matrix(inverted.reshape(truth.shape), np.flatnonzero(truth)))
    for _ in range(200):
        other = rng.permutation(scores).reshape(truth.shape)
        assert average_precision(rank_matrix(other, np.flatnonzero(truth))) >= worst


def test_float64_is_not_rounded_to_float32_and_large_integers_not_to_float64():
    near = np.array([[1.0, 1.0 + 1e-12, 0.5]])
    assert average_precision(rank_matrix(near, [0])) == 0.5
    assert average_precision(rank_matrix(near.astype(np.float32), [0])) == 0.5
    assert rank_matrix(near, [0]).n_tied.tolist() == [1]
    assert rank_matrix(near.astype(np.float32), [0]).n_tied.tolist() == [2]
    large = np.array([[2**60, 2**60 + 1, 0]])
    assert rank_matrix(large, [1]).n_above.tolist() == [0]
    assert rank_matrix(large, [0]).n_above.tolist() == [1]
    unsigned = np.array([[3, 0, 255]], dtype=np.uint8)
    assert rank_matrix(unsigned, [2]).n_predicted == 2


def test_a_mask_of_edges_is_a_network_too():
    ranking = rank_matrix(np.array([[False, True], [True, False]]), [1])
    assert (ranking.n_above.tolist(), ranking.n_tied.tolist(), ranking.n_predicted) == ([0], [2], 2)


def test_entries_that_a_sparse_matrix_holds_twice_are_summed_and_the_input_is_left_alone():
    twice = sp.coo_array(([1.0, 2.0, 2.5], ([0, 0, 0], [0, 0, 1])), shape=(1, 3))
    assert rank_matrix(twice, [0]).value.tolist() == [3.0]
    csr = sp.csr_array((np.array([1.0, 2.0, 2.5]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 3))
    assert rank_matrix(csr, [0]).n_above.tolist() == [0]
    assert csr.data.tolist() == [1.0, 2.0, 2.5]


def test_the_scores_are_left_as_they_are():
    scores = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    before = scores.copy()
    rank_matrix(scores, [3, 5], self_columns=np.arange(30))
    rank_positives(scores.ravel(), np.arange(1200) < 3)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("layout", ["C", "F", "csr", "strided"])
def test_nan_is_counted_and_placed_but_may_stand_on_a_self_pair(layout):
    scores = np.arange(12.0).reshape(3, 4) + 1
    scores[0, 0] = scores[1, 1] = np.nan
    own = np.array([0, 1, -1])
    clean = np.nan_to_num(scores)
    assert_same(
        rank_matrix(LAYOUTS[layout](scores), [2, 7], self_columns=own), rank_matrix(clean, [2, 7], self_columns=own)
    )
    scores[1, 3] = scores[2, 0] = np.nan
    with pytest.raises(ValueError, match=r"^2 of 10 scores are NaN, the first in row 1, column 3: "):
        rank_matrix(LAYOUTS[layout](scores), [2, 7], self_columns=own)


def test_nan_in_a_flat_ranking_is_placed():
    scores = np.zeros(pairs_module.PIECE + 10)
    scores[[pairs_module.PIECE + 3, pairs_module.PIECE + 5]] = np.nan
    with pytest.raises(ValueError, match="2 of 524,298 scores are NaN, the first at position 524,291"):
        rank_positives(scores, np.arange(scores.size) < 2)


@pytest.mark.parametrize(
    ("scores", "positives", "own", "error", "message"),
    [
        (np.zeros(4), [0], None, ValueError, r"scores have shape \(4,\): give a matrix"),
        (np.zeros((2, 2), dtype=complex), [0], None, TypeError, "type complex128: only real numbers"),
        (np.array([["a", "b"]]), [0], None, TypeError, "only real numbers"),
        (np.zeros((2, 3)), [6], None, ValueError, "1 of 1 positives lie outside the 2 x 3 pairs, the first at row 2"),
        (np.zeros((2, 3)), [-1], None, ValueError, "1 of 1 positives lie outside"),
        (np.zeros((2, 3)), ([0], [3]), None, ValueError, "the first at row 0, column 3"),
        (np.zeros((2, 3)), ([0, 1], [1]), None, ValueError, "name 2 rows and 1 columns"),
        (np.zeros((2, 3)), [1, 2, 1], None, ValueError, "1 of 3 positives are named twice"),
        (np.zeros((2, 3)), np.eye(2, 3, dtype=bool), None, ValueError, "np.flatnonzero"),
        (np.zeros((2, 3)), [0, 1], [0, 1], ValueError, "1 of 2 positives are self pairs, the first at row 0, column 0"),
        (np.zeros((2, 3)), [1], [0], ValueError, "one integer for each of the 2 rows"),
        (np.zeros((2, 3)), [1], [0.0, 1.0], ValueError, "one integer for each"),
        (np.zeros((2, 3)), [1], [0, 3], ValueError, "names column 3 for row 1, but there are 3 columns"),
        (np.zeros((2, 3)), [1], [-2, 0], ValueError, "names column -2"),
        (np.zeros((2, 3)), [1], [2, 2], ValueError, "names column 2 for 2 rows"),
        (np.zeros((2, 3)), [], None, ValueError, "0 of 6 pairs are positive"),
        (np.zeros((2, 2)), [1, 2], [0, 1], ValueError, "2 of 2 pairs are positive"),
        (np.zeros((0, 3)), [], None, ValueError, "0 of 0 pairs are positive"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, positives, own, error, message):
    with pytest.raises(error, match=message):
        rank_matrix(scores, positives, self_columns=own)


@pytest.mark.parametrize("form", ["dense", "transpose", "part", "flat", "csr"])
def test_ranking_takes_less_than_half_the_scores_memory(form):
    rng = np.random.default_rng(0)
    dense = rng.random((2_000, 2_000), dtype=np.float32)
    positives = np.flatnonzero(rng.random(dense.size) < 0.0006)
    positives = positives[positives // 2_000 != positives % 2_000]
    own = np.arange(2_000)
    mask = np.zeros(dense.size, dtype=bool)
    mask[positives] = True
    sparse, wide = sp.csr_array(dense), np.pad(dense, ((0, 0), (5, 0)))
    call = {
        "dense": lambda: rank_matrix(dense, positives, self_columns=own),
        "transpose": lambda: rank_matrix(dense.T, positives, self_columns=own),
        "part": lambda: rank_matrix(wide[:, 5:], positives, self_columns=own),
        "flat": lambda: rank_positives(dense.ravel(), mask),
        "csr": lambda: rank_matrix(sparse, positives, self_columns=own),
    }[form]
    call()
    tracemalloc.start()
    ranking = call()
    for metric in METRICS:
        metric(ranking)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * dense.nbytes
