"""The default attention kernel: torch's own, which picks a fused implementation for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

#: Largest attention matrix (entries over all cells and heads) to keep for the backward pass: 128 MiB.
_MAX_KEPT_ENTRIES = 2**26


def attend(q_bhtd: Tensor, k_bhtd: Tensor, v_bhtd: Tensor) -> Tensor:
    """Softmax attention of every query over every key, scaled by 1/√head_dim; no mask and no dropout.

    Parameters
    ----------
    q_bhtd
        (B, H, Tq, h) queries.
    k_bhtd, v_bhtd
        (B, H, Tk, h) keys and values.

    Returns
    -------
    (B, H, Tq, h)
    """
    if _keeping_the_matrix_is_faster(q_bhtd, k_bhtd):
        return attend_keeping_matrix(q_bhtd, k_bhtd, v_bhtd)
    return scaled_dot_product_attention(q_bhtd, k_bhtd, v_bhtd)


def attend_keeping_matrix(q_bhtd: Tensor, k_bhtd: Tensor, v_bhtd: Tensor) -> Tensor:
    """Do as :func:`attend`, by two matrix products and a softmax whose result is kept for the gradient."""
    q, k, v = (t.contiguous() for t in (q_bhtd * q_bhtd.shape[-1] ** -0.5, k_bhtd, v_bhtd))
    return torch.matmul(torch.matmul(q, k.transpose(-1, -2)).softmax(dim=-1), v)


def _keeping_the_matrix_is_faster(q: Tensor, k: Tensor) -> bool:
    """Whether torch's fused kernel is the slower one.

    Its bfloat16 backward on a CPU takes 1.5 to 2.5 times as long at contexts of a few hundred genes.
    """
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.requires_grad
        and q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] <= _MAX_KEPT_ENTRIES
    )
