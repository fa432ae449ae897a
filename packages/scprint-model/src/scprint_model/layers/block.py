"""Pre-norm transformer blocks with a float32 residual stream."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from scprint_model.attention.attend import EVERYTHING, Scope
from scprint_model.attention.multi_head import CrossAttention, QueriesKeys, SelfAttention
from scprint_model.config import BLOCK_NORM_EPS, ModelConfig


def stochastic_depth(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Drop a cell's whole contribution with probability `rate`; scale the others up to keep the mean.

    Notes
    -----
    Huang et al. 2016, "Deep networks with stochastic depth".
    """
    if not training or rate == 0:
        return x
    keep = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(1 - rate)
    return x * (keep / (1 - rate))


class Mlp(nn.Module):
    """Two layers with a hidden width of four times the token's, exact (erf) GELU."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, 4 * d_model)
        self.fc2 = nn.Linear(4 * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d) to (B, T, d)."""
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each after a layer norm and added to the residual stream.

    Parameters
    ----------
    config
        Sizes.
    drop_path
        This block's stochastic-depth rate.
    cross
        Read another sequence's tokens instead of its own.
    """

    attention: SelfAttention | CrossAttention

    def __init__(self, config: ModelConfig, *, drop_path: float, cross: bool = False) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(config.d_model, eps=BLOCK_NORM_EPS)
        kind = CrossAttention if cross else SelfAttention
        self.attention = kind(config.d_model, config.n_heads, config.kv_heads)
        self.norm2 = nn.LayerNorm(config.d_model, eps=BLOCK_NORM_EPS)
        self.mlp = Mlp(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def cross(self) -> bool:
        """Whether this block reads another sequence."""
        return isinstance(self.attention, CrossAttention)

    def forward(
        self, x: Tensor, scope: Scope = EVERYTHING, *, n_queries: int | None = None, capture: bool = False
    ) -> tuple[Tensor, QueriesKeys | None]:
        """Run the block.

        Parameters
        ----------
        x
            (B, T, d) residual stream, float32. Under autocast the branches are half precision; their sum
            stays float32.
        scope
            Limits of what the tokens may read.
        n_queries
            Update the first so many tokens only and return just these: enough in the last block, where
            nobody reads the other tokens, and much cheaper.
        capture
            Return the queries and keys too, in a block with self-attention.
        """
        queries_keys = None
        if isinstance(self.attention, CrossAttention):
            attended = self.attention(self.norm1(x), scope)
        else:
            attended, queries_keys = self.attention(self.norm1(x), scope, n_queries=n_queries, capture=capture)
        if n_queries is not None:
            x = x[:, :n_queries]
        x = x + self._drop(attended)
        x = x + self._drop(self.mlp(self.norm2(x)))
        return x, queries_keys

    def _drop(self, branch: Tensor) -> Tensor:
        return stochastic_depth(self.dropout(branch), self.drop_path, training=self.training)


def build_blocks(config: ModelConfig, n_blocks: int, *, alternate: bool) -> nn.ModuleList:
    """Stack blocks whose stochastic depth rises linearly; `alternate` makes every second one, from the first, cross."""
    rates = torch.linspace(0, config.drop_path, n_blocks).tolist()
    return nn.ModuleList(Block(config, drop_path=rate, cross=alternate and i % 2 == 0) for i, rate in enumerate(rates))


def run_blocks(
    blocks: Iterable[nn.Module],
    x: Tensor,
    scope: Scope,
    *,
    n_outputs: int | None = None,
    capture: bool = False,
    checkpointing: bool = False,
) -> tuple[Tensor, tuple[QueriesKeys, ...]]:
    """Run a stack.

    Parameters
    ----------
    blocks
        Blocks of :func:`build_blocks`. Those with cross-attention are left out where ``scope.other`` is None.
    x
        (B, T, d) tokens.
    scope
        Limits of what the tokens may read.
    n_outputs
        Return the first so many tokens only; None: all.
    capture
        Return the (queries, keys) of the blocks with self-attention.
    checkpointing
        Keep only the tokens between blocks for the gradient and compute the rest again: less memory, more time.
    """
    chosen = [block for block in blocks if isinstance(block, Block) and (scope.other is not None or not block.cross)]
    captured: list[QueriesKeys] = []
    for i, block in enumerate(chosen):
        n_queries = n_outputs if i == len(chosen) - 1 else None
        if checkpointing and torch.is_grad_enabled():
            from torch.utils.checkpoint import checkpoint

            x, queries_keys = checkpoint(block, x, scope, n_queries=n_queries, capture=capture, use_reentrant=False)
        else:
            x, queries_keys = block(x, scope, n_queries=n_queries, capture=capture)
        if queries_keys is not None:
            captured.append(queries_keys)
    return x, tuple(captured)
