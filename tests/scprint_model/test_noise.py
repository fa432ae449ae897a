"""Down-sampling has the moments of its formula."""

from __future__ import annotations

import math

import pytest
import torch

from scprint_model.noise import downsample, thin

N = 200_000


def draw(value: float, rate: float) -> torch.Tensor:
    return downsample(torch.full((N,), value), rate, generator=torch.Generator().manual_seed(3)).double()


@pytest.mark.parametrize("rate", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("value", [1, 2, 5, 40])
def test_moments_are_those_of_the_formula(value: int, rate: float) -> None:
    share = 0.55 * rate
    # What the Poisson loss leaves of the count, exactly; then the whole is dropped with probability `share`.
    lost = [math.exp(-share * value) * (share * value) ** k / math.factorial(k) for k in range(value)]
    moments = [(1 - share) * sum((value - k) ** m * p for k, p in enumerate(lost)) for m in (1, 2)]
    zeros = 1 - (1 - share) * sum(lost)
    noised = draw(value, rate)
    variance = moments[1] - moments[0] ** 2
    assert noised.mean().item() == pytest.approx(moments[0], abs=5 * math.sqrt(variance / N))
    assert noised.var().item() == pytest.approx(variance, rel=0.03)
    assert (noised == 0).double().mean().item() == pytest.approx(zeros, abs=5 * math.sqrt(zeros / N))


def test_large_counts_keep_the_documented_share() -> None:
    assert draw(1000, 0.6).mean().item() / 1000 == pytest.approx((1 - 0.33) ** 2, abs=5e-3)


def test_bounds_types_and_seed() -> None:
    counts = torch.randint(0, 50, (20, 30))
    before = counts.clone()
    first, second = (downsample(counts, 0.6, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, downsample(counts, 0.6, generator=torch.Generator().manual_seed(2)))
    assert first.dtype == torch.float32
    assert (first >= 0).all()
    assert (first <= counts).all()
    assert torch.equal(first, first.round())
    assert torch.equal(counts, before)
    assert torch.equal(downsample(counts, 0.0), counts.float())


def test_a_rate_for_each_entry() -> None:
    generator = torch.Generator().manual_seed(3)
    kept = downsample(torch.full((N,), 1000.0), 0.6, each=True, generator=generator).double() / 1000
    # (1 - s)² over s uniform between 0 and 0.33, and no entry below the lowest
    assert kept.mean().item() == pytest.approx((1 - 0.67**3) / (3 * 0.33), abs=5e-3)
    assert kept[kept > 0].min() > 0.67 - 0.1
    assert kept[kept > 0].std() > 0.08


def test_counts_that_are_none() -> None:
    noised = downsample(torch.tensor([math.nan, -5.0, 0.0]), 0.6)
    assert noised[0].isnan()
    assert noised[1:].tolist() == [0, 0]


@pytest.mark.parametrize("rate", [-0.1, 60.0])
def test_bad_rate(rate: float) -> None:
    with pytest.raises(ValueError, match=f"rate = {rate}"):
        downsample(torch.ones(2), rate)


def test_rates_of_cells_are_theirs() -> None:
    counts = torch.full((2, 4000), 50.0)
    kept = downsample(counts, torch.tensor([[0.0], [0.6]]), generator=torch.Generator().manual_seed(0))
    assert torch.equal(kept[0], counts[0])
    assert float(kept[1].mean() / 50) == pytest.approx((1 - 0.55 * 0.6) ** 2, abs=0.02)


def test_thinned_counts_are_binomial() -> None:
    counts = torch.full((20_000,), 6.0)
    kept = thin(counts, torch.tensor(0.25), generator=torch.Generator().manual_seed(0))
    assert float(kept.mean()) == pytest.approx(1.5, abs=0.05)
    assert float(kept.var()) == pytest.approx(6 * 0.25 * 0.75, abs=0.05)
    assert torch.equal(kept, kept.round())
    assert torch.equal(thin(counts, torch.tensor(1.0)), counts)
