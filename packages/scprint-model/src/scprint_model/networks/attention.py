"""From queries and keys to a gene-by-gene matrix.

Shapes: B cells, N tokens (T cell tokens, then S genes), H heads, h head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scprint_model.attention.multi_head import QueriesKeys


class MeanQueriesKeys:
    """Running mean over cells of each token's query and key, per layer; memory does not grow with the cells.

    Notes
    -----
    scPRINT paper, Methods, "Extracting meta-cell gene networks from attention matrices".
    """

    def __init__(self) -> None:
        self.n_cells = 0
        self._sums: list[tuple[Tensor, Tensor]] = []

    def add(self, queries_keys: tuple[QueriesKeys, ...]) -> None:
        """Add a batch: per layer (q, k), each (B, N, H, h), the same tokens in every cell."""
        batch = [(q.sum(dim=0, dtype=torch.float64), k.sum(dim=0, dtype=torch.float64)) for q, k in queries_keys]
        if self._sums:
            batch = [(q + a, k + b) for (q, k), (a, b) in zip(batch, self._sums, strict=True)]
        self._sums = batch
        self.n_cells += queries_keys[0][0].shape[0]

    def attention(self) -> Tensor:
        """Return the softmax attention of the mean queries over the mean keys, averaged over all heads of all layers.

        Returns
        -------
        Tensor
            (N, N) float32; row = the token that attends, column = the attended one; rows sum to 1.

        Raises
        ------
        ValueError
            When no cell was added.
        """
        if not self.n_cells:
            raise ValueError("no cell was added: there is no mean")
        first = self._sums[0][0]
        total, n_maps = first.new_zeros(2 * first.shape[:1], dtype=torch.float32), 0
        for q_sum, k_sum in self._sums:
            q = (q_sum / self.n_cells).float().transpose(0, 1)
            k = (k_sum / self.n_cells).float().transpose(0, 1)
            for q_nh, k_nh in zip(q, k, strict=True):  # a head at a time: one (N, N) matrix beside the sum
                total += torch.softmax(q_nh @ k_nh.T * q_nh.shape[-1] ** -0.5, dim=-1)
                n_maps += 1
        return total / n_maps
