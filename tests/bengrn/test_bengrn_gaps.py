"""Where scores lie among values: the same as by bisection, whatever their type, spread and signs."""

from __future__ import annotations

import numpy as np
import pytest

from bengrn.uncertainty import gaps as gaps_module
from bengrn.uncertainty.gaps import Gaps

RNG = np.random.default_rng(0)
SCORES = {
    "uniform": RNG.random(3000, dtype=np.float32),
    "heavy tail": np.exp(RNG.normal(size=3000) * 12).astype(np.float32),
    "both signs, heavy tail": RNG.normal(size=3000) ** 9,
    "ties": RNG.integers(-3, 4, 3000).astype(np.float32),
    "zeros of both signs": RNG.choice([-0.0, 0.0, 1e-30, -1e-30], 3000),
    "infinite": RNG.choice([-np.inf, -1.0, 0.0, 2.0, np.inf], 3000),
    "only infinite": RNG.choice([-np.inf, np.inf], 3000),
    "one value": np.full(3000, 7.5, dtype=np.float32),
    "too close for bins": 1 + RNG.integers(0, 50, 3000) * np.spacing(1.0),
    "a range beyond the type": RNG.choice([-1.7e308, 0.0, 1.7e308], 3000),
    "half precision": RNG.random(3000).astype(np.float16),
    "large integers": RNG.integers(2**62, 2**62 + 40, 3000),
    "bytes": RNG.integers(0, 256, 3000).astype(np.uint8),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("by_bits", [False, True, None])
@pytest.mark.parametrize("bins", [1 << 17, 8])
def test_the_same_as_by_bisection(name, by_bits, bins, monkeypatch):
    monkeypatch.setattr(gaps_module, "_BINS", bins)
    scores = SCORES[name]
    for n in (1, 3, 400):
        value = np.unique(np.random.default_rng(n).choice(scores, n))
        found = Gaps.of(value, scores)
        if by_bits is not None:
            found = Gaps._with_bins(value, found.padded, by_bits=by_bits)
        below, tied = found.below(scores)
        np.testing.assert_array_equal(below, np.searchsorted(value, scores))
        np.testing.assert_array_equal(tied, np.flatnonzero(np.isin(scores, value)))


def test_scores_of_a_heavy_tail_are_not_all_compared():
    scores = SCORES["heavy tail"]
    value = np.unique(scores[:30])
    equal_width, by_bits = (Gaps._with_bins(value, np.append(value, np.inf), by_bits=one) for one in (False, True))
    assert np.mean(equal_width._place.take(equal_width._bin(scores), mode="clip") < 0) > 0.5
    assert np.mean(by_bits._place.take(by_bits._bin(scores), mode="clip") < 0) < 0.05
    assert Gaps.of(value, scores)._by_bits
    assert not Gaps.of(np.unique(SCORES["uniform"][:30]), SCORES["uniform"])._by_bits


def test_nan_always_goes_the_same_way():
    found = Gaps.of(np.array([-1.0, 2.0]), np.zeros(3))
    first, tied = found.below(np.array([np.nan]))
    again, _ = found.below(np.array([3.0, np.nan, -2.0]))
    assert first[0] == again[1]
    assert tied.size == 0
