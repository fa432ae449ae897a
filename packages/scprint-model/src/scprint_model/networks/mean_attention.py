"""The mean over cells of their attention maps, without ever keeping the map of a cell.

Shape suffixes: b cell, n token, h query head, g key head, k head width. Rows attend: they are targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.networks.attention import Combine, Head, block_rows, scale_both_ways


class MeanAttention:
    """Sum over cells of the attention maps of chosen heads: of their mean, or of each.

    Parameters
    ----------
    n_tokens
        Tokens of every cell, the same in each, the cell tokens first.
    heads
        Which ones, sorted.
    combine
        ``"mean"`` keeps one map, in memory of n_tokens²; ``"max"`` and ``"all"`` keep one a head.
    """

    def __init__(self, n_tokens: int, heads: Sequence[Head], combine: Combine) -> None:
        self.n_cells = 0
        self.heads = tuple(sorted(heads))
        self.combine = combine
        self._n_tokens = n_tokens
        self._sums: Tensor | None = None

    def count(self, n_cells: int) -> None:
        """Count a batch of cells; to be called once a batch, `add` once a layer."""
        self.n_cells += n_cells

    def add(self, layer: int, q_bnhk: Tensor, k_bngk: Tensor) -> None:
        """Add the maps of a layer's chosen heads in a batch of cells."""
        chosen = [head for at, head in self.heads if at == layer]
        if self._sums is None:
            shape = (1 if self.combine == "mean" else len(self.heads), self._n_tokens, self._n_tokens)
            self._sums = q_bnhk.new_zeros(shape, dtype=torch.float32)
        if chosen != list(range(q_bnhk.shape[2])):
            at = torch.tensor(chosen, device=q_bnhk.device)
            q_bnhk, k_bngk = q_bnhk[:, :, at], k_bngk[:, :, at // (q_bnhk.shape[2] // k_bngk.shape[2])]
        if self.combine == "mean":
            weights = torch.full((len(chosen),), 1 / len(self.heads))
            accumulate_mean_attention(q_bnhk, k_bngk, out=self._sums[0], head_weights=weights)
        else:
            first = [at for at, _ in self.heads].index(layer)
            accumulate_mean_attention(q_bnhk, k_bngk, out=self._sums[first : first + len(chosen)])

    def merge(self, other: MeanAttention) -> None:
        """Add what another part of the cells gave."""
        if other._sums is not None:
            self._sums = other._sums.clone() if self._sums is None else self._sums + other._sums
        self.n_cells += other.n_cells

    def rows(self, *, n_cell_tokens: int, sinkhorn: bool = False) -> Iterator[tuple[slice, Tensor]]:
        """Yield the mean attention between genes as `scprint_model.networks.attention.attention_rows` does.

        `sinkhorn` scales the rows and columns of what is kept, the mean over heads or each head's map, to sums of 1.

        Raises
        ------
        ValueError
            When no cell was added.
        """
        if self._sums is None or not self.n_cells:
            raise ValueError("no cell was added: there is no mean")
        maps = self._sums[:, n_cell_tokens:, n_cell_tokens:]
        scale = self.n_cells
        if sinkhorn:
            maps, scale = scale_both_ways(maps.clone()), 1
        n_genes = maps.shape[1]
        step = block_rows(n_genes, len(maps))
        for start in range(0, n_genes, step):
            rows = slice(start, min(start + step, n_genes))
            block = maps[:, rows] / scale
            yield rows, block.permute(1, 2, 0) if self.combine == "all" else block.amax(dim=0)
