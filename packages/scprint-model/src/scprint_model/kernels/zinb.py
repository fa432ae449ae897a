"""The zero-inflated negative binomial loss with its gradient in one pass over the counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from scprint_model.kernels.choice import runs_triton
from scprint_model.losses.counts import zinb_loss


def fused_zinb_loss(
    counts: Tensor,
    mean: Tensor,
    dispersion: Tensor,
    zero_logits: Tensor,
    *,
    real: Tensor | None = None,
    use_triton: bool | None = None,
) -> Tensor:
    """Return the mean negative log-likelihood, float32, as :func:`scprint_model.losses.counts.zinb_loss` gives it.

    The kernel writes the gradients of the three parameters while it computes the values, so that three tensors are
    kept for the backward pass instead of some forty; everywhere else `zinb_loss`, its twin, runs.

    Parameters
    ----------
    counts, mean, dispersion, zero_logits
        (B, S), as for `zinb_loss`. The counts get no gradient.
    real
        (B, S) false where a place holds no gene; None: every place holds one.
    use_triton
        None: where the environment has ``SCPRINT_MODEL_TRITON=1`` and the tensors are on CUDA.

    Raises
    ------
    ValueError
        When the shapes differ, an input is float64 (the kernel computes in float32), or Triton is asked for where it
        cannot run.
    """
    if not runs_triton(mean, use_triton):
        return zinb_loss(counts, mean, dispersion, zero_logits, real=real)
    given = {"counts": counts, "mean": mean, "dispersion": dispersion, "zero_logits": zero_logits}
    if real is not None:
        given["real"] = real
    shapes = {name: tuple(t.shape) for name, t in given.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"the kernel needs tensors of one shape, not {shapes}: expand them")
    wide = [name for name, t in given.items() if t.dtype == torch.float64]
    if wide:
        raise ValueError(f"{wide} are float64, the kernel computes in float32: pass use_triton=False")
    loss: Tensor = _FusedZinb.apply(counts, mean, dispersion, zero_logits, real)
    return loss


class _FusedZinb(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, counts: Tensor, mean: Tensor, dispersion: Tensor, zero_logits: Tensor, real: Tensor | None
    ) -> Tensor:
        from scprint_model.kernels.zinb_triton import zinb_with_gradients

        loss, gradients = zinb_with_gradients(counts, mean, dispersion, zero_logits, real)
        ctx.save_for_backward(*gradients)
        ctx.dtypes = (mean.dtype, dispersion.dtype, zero_logits.dtype)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scaled = ((saved * gradients[0]).to(dtype) for saved, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return None, *scaled, None
