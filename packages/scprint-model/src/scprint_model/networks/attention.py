"""From the tokens of cells to attention between genes, a block of rows at a time.

Shape suffixes: b cell, n token (T cell tokens, then genes), d model width, r rows of a block, h query head, g key head,
k head width.
A head is a pair (layer, head in the layer), both from 0. Rows attend: they are targets; columns are regulators.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from scprint_model.attention.multi_head import SelfAttention

Normalize = Literal["softmax", "sinkhorn", "none"]
Combine = Literal["mean", "max", "all"]
type Head = tuple[int, int]

#: Values in a block of rows over the heads of a layer: 16 MB of float32, which stay in a core's cache longer than more.
BLOCK_VALUES = 2**22
#: Rounds of Sinkhorn's scaling at most, and the largest error of a row's sum at which it ends.
SINKHORN_ROUNDS, SINKHORN_ERROR = 100, 1e-4


class MeanTokens:
    """Sums over cells of each normalised token, per layer; memory does not grow with the cells.

    Queries and keys are linear in these, so those of the mean are the mean: half as much to keep, and in the last layer
    neither has to be computed for any cell.

    Parameters
    ----------
    n_tokens
        Places for tokens, the cell tokens first.
    attentions
        The model's modules, by layer.

    Notes
    -----
    scPRINT paper, Methods, "Extracting meta-cell gene networks from attention matrices in scPRINT".
    """

    def __init__(self, n_tokens: int, attentions: Sequence[SelfAttention]) -> None:
        #: Cells that had the token.
        self.n_seen = torch.zeros(n_tokens, dtype=torch.int64)
        self._attentions = attentions
        self._sums: dict[int, Tensor] = {}

    def count(self, n_cells: int, places_bn: Tensor | None = None) -> None:
        """Count a batch of cells; to be called once a batch, `add` once a layer."""
        if places_bn is None:
            self.n_seen += n_cells
        else:
            self.n_seen += torch.bincount(places_bn.flatten().cpu(), minlength=len(self.n_seen))

    def add(self, layer: int, x_bnd: Tensor, places_bn: Tensor | None = None) -> None:
        """Add a layer's normalised tokens of a batch; `places_bn` (B, N) says whose they are, None: each place's."""
        if layer not in self._sums:
            self._sums[layer] = x_bnd.new_zeros(len(self.n_seen), x_bnd.shape[-1], dtype=torch.float64)
        if places_bn is None:
            self._sums[layer] += x_bnd.sum(dim=0, dtype=torch.float64)
        else:
            self._sums[layer].index_add_(0, places_bn.flatten(), x_bnd.flatten(0, 1).double())

    def merge(self, other: MeanTokens) -> None:
        """Add what another part of the cells gave."""
        self.n_seen += other.n_seen
        for layer, total in other._sums.items():
            mine = self._sums.get(layer)
            self._sums[layer] = total.clone() if mine is None else mine + total

    def means(self, layer: int) -> tuple[Tensor, Tensor]:
        """Return the mean query (n, H, h) and key (n, G, h) of the tokens that were seen, float32.

        Raises
        ------
        ValueError
            When no cell was added.
        """
        seen = self.n_seen > 0
        if not seen.any():
            raise ValueError("no cell was added: there is no mean")
        total = self._sums[layer]
        n_cells = self.n_seen[seen].to(total.device)
        return self._attentions[layer].queries_keys((total[seen.to(total.device)] / n_cells[:, None]).float())


def attention_rows(
    means: MeanTokens,
    heads: Sequence[Head],
    *,
    n_cell_tokens: int,
    combine: Combine = "mean",
    normalize: Normalize = "softmax",
) -> Iterator[tuple[slice, Tensor]]:
    """Yield attention between the genes that were seen, in blocks of rows: (their places among these, values).

    Values are (R, genes), or (R, genes, heads) for ``combine="all"``. No more than a block of one layer is held beside
    the result.

    Parameters
    ----------
    means
        Queries and keys, the cell tokens in the first `n_cell_tokens` places.
    heads
        Which ones.
    combine
        Their mean, their maximum, or all of them.
    normalize
        ``"softmax"``: over all tokens, also the cell's, which are cut off afterwards. ``"sinkhorn"``: exp of the logits
        between genes, rows and columns scaled in turn until both sum to 1. ``"none"``: the scaled logits themselves.
    """
    by_layer: dict[int, list[int]] = {}
    for place, (layer, _) in enumerate(heads):
        by_layer.setdefault(layer, []).append(place)
    layers = {
        layer: _heads_of(means.means(layer), [heads[place][1] for place in places])
        for layer, places in by_layer.items()
    }
    n_tokens, device = next(iter(layers.values()))[0].shape[1], next(iter(layers.values()))[0].device
    n_genes = n_tokens - n_cell_tokens
    scalings = {}
    if normalize == "sinkhorn":
        layers = {layer: (q[:, n_cell_tokens:], k[:, n_cell_tokens:]) for layer, (q, k) in layers.items()}
        scalings = {layer: _sinkhorn_scaling(q, k) for layer, (q, k) in layers.items()}
    first = 0 if normalize == "sinkhorn" else n_cell_tokens
    step = block_rows(n_tokens, max(map(len, by_layer.values())))
    buffer = torch.empty(step * n_tokens * max(map(len, by_layer.values())), device=device)
    for start in range(0, n_genes, step):
        rows = slice(start, min(start + step, n_genes))
        n_rows = rows.stop - rows.start
        result: Tensor | None = None
        if combine == "all":
            result = torch.empty(n_rows, n_genes, len(heads), device=device)
        for layer, (q_hnk, k_hnk) in layers.items():
            shape = (len(q_hnk), n_rows, k_hnk.shape[1])
            values = buffer[: math.prod(shape)].view(shape)  # memory that is new each time costs as much as the product
            torch.bmm(q_hnk[:, first + rows.start : first + rows.stop], k_hnk.transpose(1, 2), out=values)
            if normalize == "softmax":
                torch.softmax(values, dim=-1, out=values)
            elif normalize == "sinkhorn":
                u_hn, v_hn = scalings[layer]
                values = values.add_(u_hn[:, rows, None]).add_(v_hn[:, None]).exp_()
            values = values[..., first:]
            if combine == "all" and result is not None:
                result[..., by_layer[layer]] = values.permute(1, 2, 0)
            elif combine == "max":
                top = values.amax(dim=0)
                result = top if result is None else torch.maximum(result, top)
            else:
                total = values.sum(dim=0)
                result = total if result is None else result.add_(total)
        if result is None:
            raise ValueError("no head was chosen")
        yield rows, result.div_(len(heads)) if combine == "mean" else result


def block_rows(n_tokens: int, n_heads: int) -> int:
    """Return how many rows of so many heads are computed at a time."""
    return max(1, BLOCK_VALUES // (n_tokens * n_heads))


def scale_both_ways(maps: Tensor) -> Tensor:
    """Scale the rows and columns of (n, n) positive weights, or of (P, n, n), in turn until all sum to 1; in place.

    Notes
    -----
    Sinkhorn & Knopp 1967, "Concerning nonnegative matrices and doubly stochastic matrices".
    """
    for _ in range(SINKHORN_ROUNDS):
        rows = maps.sum(dim=-1, keepdim=True)
        maps /= rows
        maps /= maps.sum(dim=-2, keepdim=True)
        if (maps.sum(dim=-1) - 1).abs().max() < SINKHORN_ERROR:
            break
    return maps


def _heads_of(means: tuple[Tensor, Tensor], chosen: list[int]) -> tuple[Tensor, Tensor]:
    """Return queries, scaled, and keys of some heads of a layer, each (heads, n, h)."""
    q_nhk, k_ngk = means
    group = q_nhk.shape[1] // k_ngk.shape[1]  # consecutive query heads share a key
    at = torch.tensor(chosen, device=q_nhk.device)
    q_hnk = q_nhk[:, at].transpose(0, 1) * q_nhk.shape[-1] ** -0.5
    return q_hnk.contiguous(), k_ngk[:, at // group].transpose(0, 1).contiguous()


def _sinkhorn_scaling(q_hnk: Tensor, k_hnk: Tensor) -> tuple[Tensor, Tensor]:
    """Return u, v, each (heads, n), for which exp(logits + u of the row + v of the column) has sums of 1."""
    n_heads, n = q_hnk.shape[:2]
    u, v = q_hnk.new_zeros(n_heads, n), q_hnk.new_zeros(n_heads, n)
    for _ in range(SINKHORN_ROUNDS):
        before = u
        u = -_log_sums(q_hnk, k_hnk, v)
        error = float((u - before).abs().max())  # exp of it is what a row's sum was wrong by
        v = -_log_sums(k_hnk, q_hnk, u)
        if error < SINKHORN_ERROR:
            break
    return u, v


def _log_sums(q_hnk: Tensor, k_hnk: Tensor, added_hn: Tensor) -> Tensor:
    n_heads, n = q_hnk.shape[:2]
    step = block_rows(n, n_heads)
    parts = []
    for start in range(0, n, step):
        logits = q_hnk[:, start : start + step] @ k_hnk.transpose(1, 2)
        parts.append(torch.logsumexp(logits.add_(added_hn[:, None]), dim=-1))
    return torch.cat(parts, dim=1)


def as_numpy(values: Tensor) -> np.ndarray:
    """Return values as a float32 array in memory."""
    return values.to("cpu", torch.float32).numpy()
