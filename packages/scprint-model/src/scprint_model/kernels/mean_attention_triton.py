# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""Triton kernels that sum attention maps over cells: rows' log-sum-exp first, then one tile of the map at a time.

B cells, N tokens, H query heads, G key heads, K head width; a tile has ROWS × COLUMNS entries.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_ROWS, _COLUMNS = 64, 64


def accumulate(q_bnhk: Tensor, k_bngk: Tensor, out_mnn: Tensor, square_mnn: Tensor | None, weights_h: Tensor) -> None:
    """Add the attention maps of a batch to `out_mnn`, their squares a cell to `square_mnn`."""
    n_cells, n_tokens, n_heads, width = q_bnhk.shape
    group = n_heads // k_bngk.shape[2]
    q_bhnk, k_bgnk = q_bnhk.transpose(1, 2).contiguous(), k_bngk.transpose(1, 2).contiguous()
    lse_bhn = torch.empty(n_cells, n_heads, n_tokens, dtype=torch.float32, device=q_bnhk.device)
    # Block widths are powers of two, and products need at least 16.
    padded = max(16, triton.next_power_of_2(width))
    sizes = {"ROWS": _ROWS, "COLUMNS": _COLUMNS, "WIDTH": padded, "GROUP": group}
    n_blocks = triton.cdiv(n_tokens, _ROWS)
    scale = width**-0.5
    _log_sum_exp[(n_blocks, n_cells * n_heads)](q_bhnk, k_bgnk, lse_bhn, scale, n_tokens, n_heads, width, **sizes)
    grid = (n_blocks, triton.cdiv(n_tokens, _COLUMNS), len(out_mnn))
    _accumulate[grid](
        q_bhnk,
        k_bgnk,
        lse_bhn,
        weights_h,
        out_mnn,
        out_mnn if square_mnn is None else square_mnn,
        scale,
        n_cells,
        n_tokens,
        n_heads,
        width,
        HEADS=n_heads // len(out_mnn),
        SQUARE=square_mnn is not None,
        **sizes,
    )


@triton.jit
def _tile(ptr, rows, n_tokens, width, WIDTH: tl.constexpr):
    """Load some rows of one head's (N, K) queries or keys, zero outside."""
    columns = tl.arange(0, WIDTH)
    inside = (rows[:, None] < n_tokens) & (columns[None, :] < width)
    return tl.load(ptr + rows[:, None] * width + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _log_sum_exp(
    q_ptr,
    k_ptr,
    lse_ptr,
    scale,
    n_tokens,
    n_heads,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    at = tl.program_id(1).to(tl.int64)
    of_keys = (at // n_heads) * (n_heads // GROUP) + (at % n_heads) // GROUP
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    q = _tile(q_ptr + at * n_tokens * width, rows, n_tokens, width, WIDTH)
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, n_tokens, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        k = _tile(k_ptr + of_keys * n_tokens * width, columns, n_tokens, width, WIDTH)
        logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        logits = tl.where(columns[None, :] < n_tokens, logits, float("-inf"))
        higher = tl.maximum(top, tl.max(logits, axis=1))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(logits - higher[:, None]), axis=1)
        top = higher
    tl.store(lse_ptr + at * n_tokens + rows, top + tl.log(total), mask=rows < n_tokens)


@triton.jit
def _accumulate(
    q_ptr,
    k_ptr,
    lse_ptr,
    weight_ptr,
    out_ptr,
    square_ptr,
    scale,
    n_cells,
    n_tokens,
    n_heads,
    width,
    HEADS: tl.constexpr,
    SQUARE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WIDTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    first = tl.program_id(2) * HEADS
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    squares = tl.zeros((ROWS, COLUMNS), tl.float32)
    for b in range(0, n_cells):
        of_cell = tl.zeros((ROWS, COLUMNS), tl.float32)
        for h in range(first, first + HEADS):
            at = tl.cast(b, tl.int64) * n_heads + h
            of_keys = tl.cast(b, tl.int64) * (n_heads // GROUP) + h // GROUP
            q = _tile(q_ptr + at * n_tokens * width, rows, n_tokens, width, WIDTH)
            k = _tile(k_ptr + of_keys * n_tokens * width, columns, n_tokens, width, WIDTH)
            lse = tl.load(lse_ptr + at * n_tokens + rows, mask=rows < n_tokens, other=0.0)
            logits = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            of_cell += tl.load(weight_ptr + h) * tl.exp(logits - lse[:, None])
        total += of_cell
        if SQUARE:
            squares += of_cell * of_cell
    inside = (rows[:, None] < n_tokens) & (columns[None, :] < n_tokens)
    place = tl.program_id(2).to(tl.int64) * n_tokens * n_tokens
    place += rows[:, None].to(tl.int64) * n_tokens + columns[None, :]
    tl.store(out_ptr + place, tl.load(out_ptr + place, mask=inside, other=0.0) + total, mask=inside)
    if SQUARE:
        tl.store(square_ptr + place, tl.load(square_ptr + place, mask=inside, other=0.0) + squares, mask=inside)
