"""Sums over cells of tokens or attention maps, and over parts of the cells of networks; no cell is kept.

Shape suffixes: b cell, n token (T cell tokens, then genes), d model width, h query head, g key head, k head width.
Rows attend: they are targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scprint_model.attention.multi_head import SelfAttention
from scprint_model.kernels.mean_attention import accumulate_mean_attention
from scprint_model.networks.heads import Combine, Head


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


class MeanAttention:
    """Sum over cells of the attention maps of chosen heads: of their mean, or of each.

    Parameters
    ----------
    n_tokens
        Tokens of every cell, the same in each, the cell tokens first.
    heads
        Heads to keep, sorted.
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

    @property
    def sums(self) -> Tensor:
        """Sums over the cells, (1 or heads, n_tokens, n_tokens).

        Raises
        ------
        ValueError
            When no cell was added.
        """
        if self._sums is None or not self.n_cells:
            raise ValueError("no cell was added: there is no mean")
        return self._sums


class Moments:
    """Running mean and squared deviations of networks of parts of the cells.

    Notes
    -----
    Welford 1962; the standard error is that of random groups: Wolter 2007, "Introduction to Variance Estimation", 2.
    """

    def __init__(self, n_genes: int) -> None:
        self._n_genes, self._n = n_genes, 0
        self._mean = self._squares = np.zeros((0, 0), dtype=np.float32)

    def add(self, network: np.ndarray, seen: np.ndarray) -> None:
        """Take in the network of another part, over the genes that it showed, (n_genes,) bool."""
        placed = network
        if not seen.all():
            placed = np.full((self._n_genes, self._n_genes), np.nan, dtype=np.float32)
            placed[np.ix_(seen, seen)] = network
        self._n += 1
        if self._n == 1:
            self._mean, self._squares = placed, np.zeros_like(placed)
            return
        off = placed - self._mean
        self._mean += off / self._n
        self._squares += off * (placed - self._mean)

    def standard_deviation(self, seen: np.ndarray) -> np.ndarray:
        """Return the standard deviation of each edge among some genes, (n_genes,) bool, between the networks."""
        return np.asarray(np.sqrt(self._squares[np.ix_(seen, seen)] / (self._n - 1)))

    def standard_error(self, seen: np.ndarray) -> np.ndarray:
        """Return the standard error of each edge among some genes, (n_genes,) bool, from the parts' networks."""
        return self.standard_deviation(seen) / np.float32(np.sqrt(self._n))
