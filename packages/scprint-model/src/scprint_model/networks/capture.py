"""Capture of the queries and keys of chosen layers while cells pass through the model, and no further.

Shape suffixes: b cell, n token (T cell tokens, then S genes), h query head, g key head, k head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from scprint_model.attention.multi_head import SelfAttention
from scprint_model.model import ScPrint

#: Takes a layer's index, its queries (B, N, H, h) and its keys (B, N, G, h), before scaling.
type Receive = Callable[[int, Tensor, Tensor], None]
#: Takes a layer's index and its normalised tokens (B, N, d).
type ReceiveTokens = Callable[[int, Tensor], None]


class _Enough(Exception):  # noqa: N818  (no error: it ends a pass)
    """The last layer that is wanted has been captured: nothing after it is computed."""


def self_attentions(model: ScPrint) -> list[SelfAttention]:
    """Return the model's self-attention modules over genes, in order: the layers that networks are read from."""
    found = [block.attention for block in model.blocks]
    return [attention for attention in found if isinstance(attention, SelfAttention)]


@contextmanager
def capturing(
    model: ScPrint, layers: Sequence[int], receive: Callable[..., None], *, tokens: bool = False
) -> Iterator[Callable[..., None]]:
    """Yield a function that runs a batch of cells (genes, counts, total counts) and hands on what is captured.

    `receive` is a `Receive`, or with `tokens` a `ReceiveTokens`. One layer is held at a time. In the last wanted layer
    attention, the layers behind it and the heads are not computed.
    """
    modules = self_attentions(model)
    last = modules[max(layers)]
    if tokens:
        handles = [modules[i].register_forward_pre_hook(partial(_capture_tokens, i, receive)) for i in layers]
    else:
        handles = [modules[i].qkv.register_forward_hook(partial(_capture, modules[i], i, receive)) for i in layers]
    handles.append(last.register_forward_pre_hook(partial(_stop, tokens)))

    def run(genes: Tensor, counts: Tensor, total_counts: Tensor) -> None:
        try:
            model.encode(genes, counts, total_counts, classes=())
        except _Enough:
            return

    try:
        yield run
    finally:
        for handle in handles:
            handle.remove()


def _capture_tokens(layer: int, receive: ReceiveTokens, module: nn.Module, args: tuple[Any, ...]) -> None:
    del module
    receive(layer, args[0])


def _capture(
    attention: SelfAttention, layer: int, receive: Receive, module: nn.Module, args: tuple[Any, ...], qkv: Tensor
) -> None:
    del module, args
    d, width = attention.d_model, attention.head_dim
    n_keys = (qkv.shape[-1] - d) // 2
    q, k = qkv[..., :d], qkv[..., d : d + n_keys]
    receive(layer, q.view(*q.shape[:2], -1, width), k.view(*k.shape[:2], -1, width))


def _stop(tokens: bool, attention: nn.Module, args: tuple[Any, ...]) -> None:
    if not tokens:  # they were captured before
        attention.qkv(args[0])  # type: ignore[operator]
    raise _Enough
