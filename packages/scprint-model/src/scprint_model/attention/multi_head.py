"""Multi-head and grouped-query self-attention over all tokens of a cell.

Shape suffixes: b cell, t token, d model width, h head, k head width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear

from scprint_model.attention.sdpa import attend

#: Queries and keys of one layer, each (B, T, H, head width), before scaling.
type QueriesKeys = tuple[Tensor, Tensor]


class MultiHeadAttention(nn.Module):
    """Bidirectional self-attention without positional terms; all projections have a bias.

    Parameters
    ----------
    d_model
        Width of the tokens.
    n_heads
        Query heads.
    n_kv_heads
        Key and value heads; each serves ``n_heads / n_kv_heads`` consecutive query heads.
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_kv_heads = n_kv_heads
        self.head_dim = d_model // n_heads
        # Rows: all queries, then all keys, then all values, heads in order inside each.
        self.qkv = nn.Linear(d_model, d_model + 2 * n_kv_heads * self.head_dim)
        self.out = nn.Linear(d_model, d_model)

    def forward(
        self, x_btd: Tensor, *, n_queries: int | None = None, capture: bool = False
    ) -> tuple[Tensor, QueriesKeys | None]:
        """Attend.

        Parameters
        ----------
        x_btd
            (B, T, d) normalised tokens.
        n_queries
            Let only the first so many tokens ask (all of them are still keys); None: all.
        capture
            Return queries and keys beside the result.

        Returns
        -------
        (B, n_queries or T, d), and (q, k) where asked: q (B, n_queries or T, H, h) and k (B, T, H, h), keys
        repeated to the number of query heads. Both are views on what was computed anyway.
        """
        if n_queries is None:
            qkv = self.qkv(x_btd)
            q, kv = qkv[..., : self.d_model], qkv[..., self.d_model :]
        else:
            weight, bias = self.qkv.weight, self.qkv.bias
            q = linear(x_btd[:, :n_queries], weight[: self.d_model], bias[: self.d_model])
            kv = linear(x_btd, weight[self.d_model :], bias[self.d_model :])
        k, v = kv.chunk(2, dim=-1)
        q_bthk = q.reshape(*q.shape[:-1], self.n_heads, self.head_dim)
        k_bthk, v_bthk = self._to_query_heads(k), self._to_query_heads(v)
        out_bhtk = attend(q_bthk.transpose(1, 2), k_bthk.transpose(1, 2), v_bthk.transpose(1, 2))
        out = self.out(out_bhtk.transpose(1, 2).flatten(2))
        return out, (q_bthk, k_bthk) if capture else None

    def _to_query_heads(self, x_btd: Tensor) -> Tensor:
        x_bthk = x_btd.reshape(*x_btd.shape[:-1], self.n_kv_heads, self.head_dim)
        if self.n_kv_heads == self.n_heads:
            return x_bthk
        return x_bthk.repeat_interleave(self.n_heads // self.n_kv_heads, dim=2)
