"""From mean queries and keys, or mean attention, to a network: rows of attention turned into columns of edges.

Shape suffixes: b cell, n token (T cell tokens, then genes), d model width, r rows of a block, h query head, g key head,
k head width.
A head is a pair (layer, head in the layer), both from 0. Rows attend: they are targets; columns are regulators.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from scprint_model.networks.accumulate import MeanAttention, MeanTokens
from scprint_model.networks.heads import Combine, Head

Normalize = Literal["softmax", "sinkhorn", "none"]

#: Values in a block of rows over the heads of a layer: 16 MB of float32, which stay in a core's cache longer than more.
BLOCK_VALUES = 2**22
#: Rounds of Sinkhorn's scaling at most, and the largest error of a row's sum at which it ends.
SINKHORN_ROUNDS, SINKHORN_ERROR = 100, 1e-4


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
        Heads to combine.
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


def map_rows(maps: MeanAttention, *, n_cell_tokens: int, sinkhorn: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """Yield the mean attention between genes, in blocks as `attention_rows` gives them.

    Parameters
    ----------
    maps
        Summed maps of the cells, the cell tokens in the first `n_cell_tokens` places.
    n_cell_tokens
        Number of cell tokens.
    sinkhorn
        Whether to scale rows and columns of what is kept, the mean over heads or each head's map, to sums of 1.

    Raises
    ------
    ValueError
        When no cell was added.
    """
    sums = maps.sums[:, n_cell_tokens:, n_cell_tokens:]
    scale = maps.n_cells
    if sinkhorn:
        sums, scale = scale_both_ways(sums.clone()), 1
    n_genes = sums.shape[1]
    step = block_rows(n_genes, len(sums))
    for start in range(0, n_genes, step):
        rows = slice(start, min(start + step, n_genes))
        block = sums[:, rows] / scale
        yield rows, block.permute(1, 2, 0) if maps.combine == "all" else block.amax(dim=0)


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


#: What a network remembers of how attention became edges.
TURNED = "rows attend and are targets, columns are regulators: transposed once, here rows are regulators"


def assemble(
    blocks: Iterable[tuple[slice, Tensor]],
    n_genes: int,
    *,
    n_planes: int = 0,
    regulators: np.ndarray | None = None,
    top_k: int | None = None,
) -> Any:
    """Build the network, row = regulator, column = target.

    Parameters
    ----------
    blocks
        (Rows, values) as `scprint_model.networks.to_network.attention_rows` gives them; row = target.
    n_genes
        Their number of columns.
    n_planes
        Heads that are kept apart; 0: values have no axis of heads.
    regulators
        bool, shape (n_genes,): which genes may have outgoing edges; None: all.
    top_k
        Keep so many regulators of each target, those with the largest absolute values; None: all.

    Returns
    -------
    numpy.ndarray or scipy.sparse.csr_matrix
        float32, shape (n_genes, n_genes), or (n_genes, n_genes, n_planes); CSR for `top_k`.
    """
    if top_k is not None:
        return _sparse(blocks, n_genes, regulators, top_k)
    shape = (n_genes, n_genes, n_planes) if n_planes else (n_genes, n_genes)
    network = np.empty(shape, dtype=np.float32)
    for rows, values in blocks:
        block = as_numpy(values)
        if regulators is not None:
            block[:, ~regulators] = 0
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0
        network[:, rows] = block.swapaxes(0, 1)
    return network


def _sparse(
    blocks: Iterable[tuple[slice, Tensor]], n_genes: int, regulators: np.ndarray | None, top_k: int
) -> sparse.csr_matrix:
    n_allowed = n_genes if regulators is None else int(regulators.sum())
    k = min(top_k, n_allowed)
    places, weights = [], []
    for rows, values in blocks:
        size = values.abs()
        if regulators is not None:
            size[:, torch.from_numpy(~regulators).to(size.device)] = -1
        size[torch.arange(len(size)), torch.arange(rows.start, rows.stop)] = -1
        strongest = torch.topk(size, k, dim=1)
        weight = values.gather(1, strongest.indices)
        weight[strongest.values < 0] = 0
        places.append(strongest.indices.cpu().numpy().astype(np.int32))
        weights.append(as_numpy(weight))
    by_target = sparse.csc_matrix(
        (np.concatenate(weights).ravel(), np.concatenate(places).ravel(), np.arange(n_genes + 1) * k),
        shape=(n_genes, n_genes),
    )
    network = sparse.csr_matrix(by_target)
    network.eliminate_zeros()
    network.sort_indices()
    return network
