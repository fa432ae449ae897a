"""Attention between genes, averaged over heads and cells without ever holding cells × heads × genes²."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: Numbers of one block of attention: 32 MB.
_BLOCK = 2**23


def add_attention(query: Tensor, key: Tensor, total: Tensor, *, scale: float, skip: tuple[int, int] = (0, 0)) -> None:
    """Add one cell's attention, averaged over heads, to a sum.

    Parameters
    ----------
    query, key
        Queries and keys, (heads, tokens, width of a head).
    total
        Sum, (tokens - skipped, tokens - skipped) float32, changed in place. Row = the token that attends (query).
    scale
        Number by which products are multiplied before the softmax over all tokens.
    skip
        Numbers of tokens at the start and at the end that take part in the softmax and are not added.
    """
    import torch

    heads, tokens, _ = query.shape
    first, last = skip[0], tokens - skip[1]
    # Keys are turned once: a product of float32, whatever the precision of the layers before.
    turned = key.float().transpose(1, 2).contiguous()
    rows = max(1, _BLOCK // (heads * tokens))
    for start in range(first, last, rows):
        stop = min(start + rows, last)
        block = torch.bmm(query[:, start:stop].float() * scale, turned)
        block = torch.softmax(block, dim=-1)
        total[start - first : stop - first] += block[:, :, first:last].mean(dim=0)
