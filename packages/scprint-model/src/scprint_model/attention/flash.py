"""flash-attn, where it is installed: cells of different lengths are packed end to end, without padding."""

from __future__ import annotations

import torch
from torch import Tensor

from scprint_model.attention.sdpa import length_mask


def attend_flash(
    q_bqhk: Tensor,
    k_btgk: Tensor,
    v_btgk: Tensor,
    *,
    key_lengths: Tensor | None = None,
    query_lengths: Tensor | None = None,
) -> Tensor:
    """Do as :func:`scprint_model.attention.attend.attend` with flash-attn; queries beyond the length give zeros.

    Notes
    -----
    Dao 2023, "FlashAttention-2".
    """
    from flash_attn import flash_attn_func, flash_attn_varlen_func

    if key_lengths is None and query_lengths is None:
        out: Tensor = flash_attn_func(q_bqhk, k_btgk, v_btgk)
        return out
    real_queries, query_ends = _packing(q_bqhk, query_lengths)
    real_keys, key_ends = _packing(k_btgk, key_lengths)
    packed = flash_attn_varlen_func(
        q_bqhk[real_queries],
        k_btgk[real_keys],
        v_btgk[real_keys],
        cu_seqlens_q=query_ends,
        cu_seqlens_k=key_ends,
        max_seqlen_q=q_bqhk.shape[1],
        max_seqlen_k=k_btgk.shape[1],
    )
    return torch.zeros_like(q_bqhk).masked_scatter(real_queries[..., None, None], packed)


def _packing(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return which of the (B, T) tokens are real, and (B + 1,) int32 where each cell ends, 0 first."""
    n_cells, n_tokens = x.shape[:2]
    if lengths is None:
        lengths = torch.full((n_cells,), n_tokens, device=x.device)
    ends = torch.zeros(n_cells + 1, dtype=torch.int32, device=x.device)
    ends[1:] = lengths.cumsum(0)
    return length_mask(lengths, n_tokens), ends
