"""One pre-norm transformer block with a float32 residual stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scprint_model.attention.multi_head import MultiHeadAttention, QueriesKeys
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
    """

    def __init__(self, config: ModelConfig, *, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(config.d_model, eps=BLOCK_NORM_EPS)
        self.attention = MultiHeadAttention(config.d_model, config.n_heads, config.kv_heads)
        self.norm2 = nn.LayerNorm(config.d_model, eps=BLOCK_NORM_EPS)
        self.mlp = Mlp(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, *, n_queries: int | None = None, capture: bool = False
    ) -> tuple[Tensor, QueriesKeys | None]:
        """Run the block.

        Parameters
        ----------
        x
            (B, T, d) residual stream, float32. Under autocast the branches are half precision; their sum
            stays float32.
        n_queries
            Update the first so many tokens only and return just these: enough in the last block, where
            nobody reads the other tokens, and much cheaper.
        capture
            Return the queries and keys too.
        """
        attended, queries_keys = self.attention(self.norm1(x), n_queries=n_queries, capture=capture)
        if n_queries is not None:
            x = x[:, :n_queries]
        x = x + self._drop(attended)
        x = x + self._drop(self.mlp(self.norm2(x)))
        return x, queries_keys

    def _drop(self, branch: Tensor) -> Tensor:
        return stochastic_depth(self.dropout(branch), self.drop_path, training=self.training)
