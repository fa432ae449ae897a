"""Down-sampling of counts: the noise that the denoising task takes away again."""

from __future__ import annotations

import torch
from torch import Tensor

#: The paper's 0.55 · r instead of r / 2, for each of the two halves of the loss.
HALF_RATE = 0.55


def downsample(
    counts: Tensor, rate: float | Tensor, *, each: bool = False, generator: torch.Generator | None = None
) -> Tensor:
    """Lose about `rate` of the counts: half read by read, half by dropping genes.

    ``max(0, x - Poisson(0.55 r x)) · 1[u ≥ 0.55 r]`` with u uniform, independently for each entry.

    Parameters
    ----------
    counts
        Raw counts, any shape, not negative (else 0 comes out); NaN stays NaN. Not changed.
    rate
        r in [0, 1], or a tensor of such that fits `counts`, as one a cell. The expected share lost of a large count is
        1 - (1 - 0.55 r)² (0.551 at r = 0.6); of a count of 1 somewhat less, as the Poisson draw is cut at the count.
    each
        Draw r for each entry, uniform between 0 and `rate`.
    generator
        Source of randomness, on the device of `counts`; None: torch's global one.

    Returns
    -------
    Noised counts, of the dtype of `counts` (float32 for integer counts) and never above `counts`.

    Raises
    ------
    ValueError
        When `rate` is outside [0, 1].

    Notes
    -----
    scPRINT paper, Methods, "The denoising task"; the published code's default noise is the same formula, and `each`
    what its version 2 does before masking.
    """
    if not isinstance(rate, Tensor) and not 0 <= rate <= 1:
        raise ValueError(f"rate = {rate} must be a share between 0 and 1, as 0.6 for 60 %")
    counts = counts if counts.is_floating_point() else counts.float()
    share: float | Tensor = HALF_RATE * rate
    if each:
        share = share * torch.rand(counts.shape, generator=generator, device=counts.device)
    # Counts that are none must not reach the sampler, which need not come back from them: NaN stays NaN this way.
    rates = (counts * share).nan_to_num(0, 0, 0).clamp(min=0)
    lost = torch.poisson(rates, generator=generator)
    kept = torch.rand(counts.shape, generator=generator, device=counts.device) >= share
    return (counts - lost).clamp(min=0) * kept


def thin(counts: Tensor, share: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Keep each count with probability `share`: what the cell would have given at a lower depth.

    Parameters
    ----------
    counts
        Raw counts, any shape, whole numbers.
    share
        Probability, of a shape that fits `counts`.
    generator
        Source of randomness, on the device of `counts`; None: torch's global one.

    Returns
    -------
    Counts of the binomial distribution, float32.
    """
    counts = (counts if counts.is_floating_point() else counts.float()).nan_to_num(0, 0, 0).clamp(min=0)
    return torch.binomial(counts.round(), share.to(counts.dtype).expand_as(counts), generator=generator)
