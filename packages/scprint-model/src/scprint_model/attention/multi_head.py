"""Multi-head and grouped-query attention: among the tokens of one sequence, and from one sequence to another.

Shape suffixes: b cell, t token, d model width, h head, k head width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear

from scprint_model.attention.attend import EVERYTHING, Scope, attend

#: Queries and keys of one layer, each (B, T, H, head width), before scaling.
type QueriesKeys = tuple[Tensor, Tensor]


class SelfAttention(nn.Module):
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
        self.head_dim = d_model // n_heads
        # Rows: all queries, then all keys, then all values, heads in order inside each.
        self.qkv = nn.Linear(d_model, d_model + 2 * n_kv_heads * self.head_dim)
        self.out = nn.Linear(d_model, d_model)

    def forward(
        self, x_btd: Tensor, scope: Scope = EVERYTHING, *, n_queries: int | None = None, capture: bool = False
    ) -> tuple[Tensor, QueriesKeys | None]:
        """Attend.

        Parameters
        ----------
        x_btd
            (B, T, d) normalised tokens.
        scope
            Lengths, bias and backend.
        n_queries
            Let only the first so many tokens ask (all of them are still keys); None: all.
        capture
            Return queries and keys beside the result.

        Returns
        -------
        (B, n_queries or T, d), and (q, k) where asked: q (B, n_queries or T, H, h) and k (B, T, H, h), keys
        repeated to the number of query heads.
        """
        if n_queries is None:
            qkv = self.qkv(x_btd)
            q, kv = qkv[..., : self.d_model], qkv[..., self.d_model :]
        else:
            weight, bias = self.qkv.weight, self.qkv.bias
            q = linear(x_btd[:, :n_queries], weight[: self.d_model], bias[: self.d_model])
            kv = linear(x_btd, weight[self.d_model :], bias[self.d_model :])
        q_bthk, k_btgk, v_btgk = _to_heads(q, kv, self.head_dim)
        out_bthk = attend(
            q_bthk,
            k_btgk,
            v_btgk,
            backend=scope.backend,
            key_lengths=scope.lengths,
            query_lengths=scope.lengths if n_queries is None else None,
            bias_bqt=None if scope.bias is None else scope.bias[:, :n_queries],
        )
        return self.out(out_bthk.flatten(2)), _captured(q_bthk, k_btgk) if capture else None

    def queries_keys(self, x_td: Tensor) -> QueriesKeys:
        """(..., T, d) normalised tokens to queries (..., T, H, h) and keys (..., T, G, h), which are not repeated."""
        n_keys = (len(self.qkv.weight) - self.d_model) // 2
        rows = slice(self.d_model + n_keys)
        qk = linear(x_td, self.qkv.weight[rows], self.qkv.bias[rows])
        qk = qk.view(*qk.shape[:-1], -1, self.head_dim)
        return qk[..., : self.n_heads, :], qk[..., self.n_heads :, :]


class CrossAttention(nn.Module):
    """Attention of one sequence's tokens to another's; parameters as for :class:`SelfAttention`."""

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int) -> None:
        super().__init__()
        self.head_dim = d_model // n_heads
        self.q = nn.Linear(d_model, d_model)
        # Rows: all keys, then all values.
        self.kv = nn.Linear(d_model, 2 * n_kv_heads * self.head_dim)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x_btd: Tensor, scope: Scope) -> Tensor:
        """(B, T, d) normalised tokens that ask, ``scope.other`` (B, To, d) being read as it is, to (B, T, d)."""
        if scope.other is None:
            raise ValueError("cross-attention needs the tokens of the other sequence: scope.other is None")
        q_bthk, k_btgk, v_btgk = _to_heads(self.q(x_btd), self.kv(scope.other), self.head_dim)
        out_bthk = attend(
            q_bthk,
            k_btgk,
            v_btgk,
            backend=scope.backend,
            key_lengths=scope.other_lengths,
            query_lengths=scope.lengths,
        )
        return self.out(out_bthk.flatten(2))


def _to_heads(q: Tensor, kv: Tensor, head_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    k, v = kv.chunk(2, dim=-1)
    q_bthk, k_btgk, v_btgk = (t.reshape(*t.shape[:-1], t.shape[-1] // head_dim, head_dim) for t in (q, k, v))
    return q_bthk, k_btgk, v_btgk


def _captured(q_bthk: Tensor, k_btgk: Tensor) -> QueriesKeys:
    group = q_bthk.shape[2] // k_btgk.shape[2]
    return q_bthk, k_btgk if group == 1 else k_btgk.repeat_interleave(group, dim=2)
