"""The default attention kernel: torch's own, which picks a fused implementation for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

#: Largest attention matrix (entries over all cells and heads) to keep for the backward pass: 128 MiB.
_MAX_KEPT_ENTRIES = 2**26


def attend_sdpa(
    q_bqhk: Tensor,
    k_btgk: Tensor,
    v_btgk: Tensor,
    *,
    key_lengths: Tensor | None = None,
    bias_bqt: Tensor | None = None,
) -> Tensor:
    """Do as :func:`scprint_model.attention.attend.attend` on any device."""
    q, k, v = (t.transpose(1, 2) for t in (q_bqhk, k_btgk, v_btgk))
    if key_lengths is None and bias_bqt is None and _keeping_the_matrix_is_faster(q, k):
        return attend_keeping_matrix(q_bqhk, k_btgk, v_btgk)
    mask = None if key_lengths is None else length_mask(key_lengths, k.shape[2])[:, None, None]
    if bias_bqt is not None:
        bias = bias_bqt[:, None].to(q.dtype)
        mask = bias if mask is None else bias.masked_fill(~mask, float("-inf"))
        grouped = q.shape[1] != k.shape[1]
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped).transpose(1, 2)
    # Few fused kernels take groups, and fewer take them with a mask; as more rows of one head they are no groups.
    rows = _groups_as_rows(q, k.shape[1])
    return scaled_dot_product_attention(rows, k, v, attn_mask=mask).reshape(q.shape).transpose(1, 2)


def attend_keeping_matrix(q_bqhk: Tensor, k_btgk: Tensor, v_btgk: Tensor) -> Tensor:
    """Do the same by two matrix products and a softmax whose result is kept for the gradient."""
    q = (q_bqhk * q_bqhk.shape[-1] ** -0.5).transpose(1, 2)
    k, v = (t.transpose(1, 2).contiguous() for t in (k_btgk, v_btgk))
    rows = _groups_as_rows(q, k.shape[1]).contiguous()
    out = torch.matmul(torch.matmul(rows, k.transpose(-1, -2)).softmax(dim=-1), v)
    return out.reshape(q.shape).transpose(1, 2)


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) lengths to (B, size), true where a token counts."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def _groups_as_rows(q_bhqk: Tensor, n_kv_heads: int) -> Tensor:
    """(B, H, Tq, h) to (B, G, H / G · Tq, h): the queries that share keys, one after the other."""
    n_cells, n_heads, n_queries, width = q_bhqk.shape
    return q_bhqk.reshape(n_cells, n_kv_heads, n_heads // n_kv_heads * n_queries, width)


def _keeping_the_matrix_is_faster(q: Tensor, k: Tensor) -> bool:
    """Tell whether torch's fused kernel is the slower one.

    Its bfloat16 backward on a CPU takes 1.5 to 2.5 times as long at contexts of a few hundred genes.
    """
    return (
        q.device.type == "cpu"
        and q.dtype == torch.bfloat16
        and q.requires_grad
        and q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] <= _MAX_KEPT_ENTRIES
    )
