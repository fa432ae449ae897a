"""Sums over cells of their attention maps, in memory of the genes squared whatever the number of cells.

Shape suffixes: b cell, n token, h query head, g key head (shared by consecutive query heads), k head width, m map.
Rows attend.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scprint_model.kernels.choice import runs_triton

#: Values held at a time by the plain-torch path: 1 MB of float32, which stays in a core's cache.
BLOCK_VALUES = 2**18


def accumulate_mean_attention(
    q_bnhk: Tensor,
    k_bngk: Tensor,
    *,
    out: Tensor,
    square: Tensor | None = None,
    head_weights: Tensor | None = None,
    use_triton: bool | None = None,
) -> None:
    """Add softmax(q kᵀ / √width), summed over the cells of a batch, to `out` in place; no gradient flows.

    Divide `out` by the number of cells for the mean, E; the variance over cells is the same of `square`, less E².

    Parameters
    ----------
    q_bnhk, k_bngk
        Queries (B, N, H, k) and keys (B, N, G, k) of one layer; G divides H.
    out
        Float32, (N, N) for the weighted sum over heads of each cell's maps, or (H, N, N) for a map a head.
    square
        Array of `out`'s shape, to which the square of what each cell adds to `out` is added.
    head_weights
        (H,) weights of the heads in an (N, N) map; None: 1 / H each.
    use_triton
        None: where the environment has ``SCPRINT_MODEL_TRITON=1`` and the tensors are on CUDA.

    Raises
    ------
    ValueError
        When shapes do not fit, a sum is not float32 and contiguous, weights come with a map a head, or Triton is asked
        for where it cannot run.

    Notes
    -----
    The kernel stores each row's log-sum-exp, then recomputes the maps tile by tile, summing over cells in registers.
    """
    n_cells, n_tokens, n_heads, _ = q_bnhk.shape
    _check(q_bnhk, k_bngk, out, square, head_weights)
    if not n_cells:
        return
    weights_h = torch.ones(n_heads) if out.ndim == 3 else torch.full((n_heads,), 1 / n_heads)
    weights_h = (weights_h if head_weights is None else head_weights.detach()).to(q_bnhk.device, torch.float32)
    out_mnn = out.view(-1, n_tokens, n_tokens)
    square_mnn = None if square is None else square.view(-1, n_tokens, n_tokens)
    with torch.no_grad():
        if runs_triton(q_bnhk, use_triton):
            from scprint_model.kernels.mean_attention_triton import accumulate

            accumulate(q_bnhk, k_bngk, out_mnn, square_mnn, weights_h)
        else:
            _accumulate(q_bnhk, k_bngk, out_mnn, square_mnn, weights_h)


def _accumulate(q_bnhk: Tensor, k_bngk: Tensor, out_mnn: Tensor, square_mnn: Tensor | None, weights_h: Tensor) -> None:
    """Sum in plain torch, a block of rows of one head of one cell at a time: in cache, and the product is one gemm."""
    n_cells, n_tokens, n_heads, width = q_bnhk.shape
    group = n_heads // k_bngk.shape[2]
    step = min(n_tokens, max(1, BLOCK_VALUES // n_tokens)) if q_bnhk.device.type == "cpu" else n_tokens
    q_bhnk = (q_bnhk.float() * width**-0.5).transpose(1, 2).contiguous()
    k_bgkn = k_bngk.float().permute(0, 2, 3, 1).contiguous()
    weights = weights_h.tolist()
    per_map = n_heads // len(out_mnn)
    logits = q_bhnk.new_empty(step, n_tokens)
    cell = None if square_mnn is None else torch.empty_like(logits)
    for start in range(0, n_tokens, step):
        rows = slice(start, min(start + step, n_tokens))
        n_rows = rows.stop - rows.start
        for b in range(n_cells):
            for h, weight in enumerate(weights):
                part = torch.mm(q_bhnk[b, h, rows], k_bgkn[b, h // group], out=logits[:n_rows])
                torch.softmax(part, dim=-1, out=part)
                place = h // per_map
                if cell is None or square_mnn is None:
                    out_mnn[place, rows].add_(part, alpha=weight)
                    continue
                of_cell = cell[:n_rows]
                if h % per_map == 0:
                    of_cell.zero_()
                of_cell.add_(part, alpha=weight)
                if h % per_map == per_map - 1:
                    out_mnn[place, rows].add_(of_cell)
                    square_mnn[place, rows].addcmul_(of_cell, of_cell)


def _check(q_bnhk: Tensor, k_bngk: Tensor, out: Tensor, square: Tensor | None, head_weights: Tensor | None) -> None:
    n_cells, n_tokens, n_heads, width = q_bnhk.shape
    n_groups = k_bngk.shape[2]
    fits = tuple(k_bngk.shape) == (n_cells, n_tokens, n_groups, width) and n_groups > 0 and n_heads % n_groups == 0
    if not fits:
        raise ValueError(
            f"keys {tuple(k_bngk.shape)} do not fit queries {tuple(q_bnhk.shape)}: pass (B, N, G, k), G | H"
        )
    allowed = ((n_tokens, n_tokens), (n_heads, n_tokens, n_tokens))
    for name, sums in (("out", out), ("square", square)):
        if sums is None:
            continue
        if tuple(sums.shape) not in allowed or sums.shape != out.shape:
            raise ValueError(f"{name} has shape {tuple(sums.shape)}, not {allowed[0]} or {allowed[1]}, as out has")
        if sums.dtype != torch.float32 or not sums.is_contiguous():
            raise ValueError(f"{name} must be float32 and contiguous, not {sums.dtype} with strides {sums.stride()}")
    if head_weights is not None and (out.ndim == 3 or tuple(head_weights.shape) != (n_heads,)):
        raise ValueError(
            f"head_weights of shape {tuple(head_weights.shape)} with out of shape {tuple(out.shape)}: ({n_heads},) "
            "weights go with an (N, N) map, none with a map a head"
        )
