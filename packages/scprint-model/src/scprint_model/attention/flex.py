"""FlexAttention: a bias between tokens is read inside the kernel, not spread over the heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor


def attend_flex(
    q_bqhk: Tensor,
    k_btgk: Tensor,
    v_btgk: Tensor,
    *,
    key_lengths: Tensor | None = None,
    bias_bqt: Tensor | None = None,
) -> Tensor:
    """Do as :func:`scprint_model.attention.attend.attend` with FlexAttention.

    Raises
    ------
    ValueError
        When a gradient is asked for on a CPU.

    Notes
    -----
    Dong et al. 2024, "Flex Attention: a programming model for generating optimized attention kernels".
    """
    q, k, v = (t.transpose(1, 2) for t in (q_bqhk, k_btgk, v_btgk))
    if q.device.type == "cpu" and torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v)):
        raise ValueError("FlexAttention has no gradient on a CPU: use attention_backend='sdpa', or torch.no_grad()")
    shared = bias_bqt is not None and bias_bqt.shape[0] == 1

    def score(logit: Tensor, cell: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:  # noqa: ARG001
        if bias_bqt is not None:
            logit = logit + bias_bqt[0 if shared else cell, query, key]
        if key_lengths is not None:
            logit = torch.where(key < key_lengths[cell], logit, float("-inf"))
        return logit

    kernel = _compiled() if q.is_cuda else _kernel()
    out: Tensor = kernel(q, k, v, score_mod=score, enable_gqa=q.shape[1] != k.shape[1])
    return out.transpose(1, 2)


def _kernel() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


@cache
def _compiled() -> Callable[..., Any]:
    """Without the compiler FlexAttention keeps the whole attention matrix."""
    return torch.compile(_kernel())
