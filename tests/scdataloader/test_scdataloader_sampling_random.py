"""The generators under the samplers: random bits, and random orders that take no memory."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scdataloader.randomness import bits, scaled
from scdataloader.sampling.permutation import ROUNDS, permute, permuted, place_of, round_keys, sides


def u64(*values):
    return [np.uint64(value) for value in values]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    # the known-answer test of Random123, the authors' own code: philox4x32, 10 rounds
    a, b, c, d = counter
    first, second = bits(*u64(key, a | b << 32, c, d))
    words = (first & 0xFFFFFFFF, first >> 32, second & 0xFFFFFFFF, second >> 32)
    assert tuple(int(word) for word in words) == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_multiply_and_shift(number, limit):
    assert int(scaled(*u64(number, limit))) == number * limit >> 64


@given(
    st.integers(1, 5000) | st.integers(2**16 - 9, 2**16 + 9),
    st.integers(0, 2**63),
    st.integers(0, 9),
    st.integers(0, 2**64 - 1),
)
def test_the_order_is_one_to_one_and_can_be_inverted(n, seed, epoch, tweak):
    keys = round_keys(seed, epoch)
    whole = np.empty(n, np.int64)
    permuted(keys, n, 0, whole)
    assert sorted(whole.tolist()) == list(range(n))
    half = np.empty(n - n // 2, np.int64)
    permuted(keys, n, n // 2, half)
    assert half.tolist() == whole[n // 2 :].tolist()
    a, b = sides(n)
    assert a % 2 == 0
    assert n <= a * b < n + math.sqrt(n) + 2
    setting = [*u64(n, a, b), keys, np.uint64(tweak)]
    value = permute(np.uint64(seed % n), *setting)
    assert value < n
    assert place_of(np.uint64(value), *setting) == seed % n


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_are_as_likely(n):
    rng = np.random.default_rng(n)
    seen, out = Counter(), np.empty(n, np.int64)
    for keys in rng.integers(0, 2**64, (30_000, ROUNDS), dtype=np.uint64):
        permuted(keys, n, 0, out)
        seen[tuple(out.tolist())] += 1
    observed = [seen[order] for order in permutations(range(n))]
    assert stats.chisquare(observed).pvalue > 1e-3


def test_the_order_of_many_has_no_pattern():
    n = 300_007
    order = np.empty(n, np.int64)
    permuted(round_keys(3, 1), n, 0, order)
    # where the values of each twentieth of the places lie, and the steps from one place to the next
    table = np.histogram2d(np.arange(n), order, bins=20)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    steps = np.diff(order) % n
    assert stats.chisquare(np.histogram(steps, bins=50, range=(0, n))[0]).pvalue > 1e-3
    assert abs(stats.spearmanr(order[:-1], order[1:]).statistic) < 4 / math.sqrt(n)
