"""Reading one network out of the model's attention over a group of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scprint_model.model import ScPrint
from scprint_model.networks.assemble import assemble
from scprint_model.networks.attention import MeanTokens, attention_rows
from scprint_model.networks.cells import NetworkCells
from scprint_model.networks.listen import listening, self_attentions
from scprint_model.networks.mean_attention import MeanAttention
from scprint_model.networks.null import Exceedances, shuffled_counts
from scprint_model.networks.plan import NetworkPlan

type Heard = MeanTokens | MeanAttention


@dataclass(frozen=True)
class ReadNetwork:
    """A network and what is known of it.

    Attributes
    ----------
    network
        As `scprint_model.networks.assemble.assemble` gives it, over the genes that were seen.
    n_seen
        int64, shape (all genes,): the cells that showed each gene.
    standard_error
        float32, as a dense network; None where it was not asked for. NaN for genes that some part did not show.
    p_value
        float32, as a dense network: of the weight, among networks of shuffled counts; None where it was not asked for.
    """

    network: Any
    n_seen: np.ndarray
    standard_error: np.ndarray | None
    p_value: np.ndarray | None


def read_network(
    model: ScPrint,
    cells: NetworkCells,
    plan: NetworkPlan,
    *,
    regulators: np.ndarray | None = None,
    seed: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> ReadNetwork:
    """Run all cells through the model and build their network.

    Parameters
    ----------
    model, cells, plan
        Whose attention, to what, and what becomes of it.
    regulators
        bool, one a gene: which may have outgoing edges; None: all.
    seed
        Deals the cells into the parts whose variation is measured, and shuffles their counts.
    advance
        Called with the number of cells after each batch.
    """
    n_cells, n_genes = cells.counts.shape
    order = np.arange(n_cells)
    parts = [order]
    if plan.stability:
        dealt = np.random.default_rng(seed).permutation(order)
        parts = [np.sort(dealt[i :: plan.stability]) for i in range(plan.stability)]
    total: Any = None
    moments = _Moments(n_genes)
    for part in parts:
        heard = _hear(model, cells, part, plan, advance)
        if plan.stability:
            seen = _seen(heard, model, n_genes)
            moments.add(_build(heard, model, plan, seen > 0, regulators), seen > 0)
        if total is None:
            total = heard
        else:
            total.merge(heard)
    seen = _seen(total, model, n_genes)
    error = moments.standard_error(seen > 0) if plan.stability else None
    network = _build(total, model, plan, seen > 0, regulators)
    if not plan.permutations:
        return ReadNetwork(network, seen, error, None)
    found, rng = Exceedances(network), np.random.default_rng([seed, 1])
    for _ in range(plan.permutations):
        shuffled = _hear(model, shuffled_counts(cells, rng), order, plan, advance)
        found.add(_build(shuffled, model, plan, seen > 0, regulators))
    return ReadNetwork(network, seen, error, found.p_values())


def _hear(
    model: ScPrint, cells: NetworkCells, part: np.ndarray, plan: NetworkPlan, advance: Callable[[int], object]
) -> Heard:
    """Run some of the cells, and keep what a network needs."""
    n_cell_tokens = len(model.captured_tokens)
    n_tokens = n_cell_tokens + len(cells.genes)
    device = next(model.parameters()).device
    batch_size = plan.cells_a_batch(n_cell_tokens + cells.context, device.type)
    batches = cells.batches(part, batch_size)
    if plan.attention == "mean_attention":
        maps = MeanAttention(n_tokens, plan.heads, plan.combine)
        with listening(model, plan.layers, maps.add) as run:
            for _, genes, counts, totals in batches:
                run(genes.to(device), counts.to(device), totals.to(device))
                maps.count(len(counts))
                advance(len(counts))
        return maps
    means = MeanTokens(n_tokens, self_attentions(model))
    token_places: Tensor | None = None

    def receive(layer: int, x_bnd: Tensor) -> None:
        means.add(layer, x_bnd, token_places)

    with listening(model, plan.layers, receive, tokens=True) as run:
        for places, genes, counts, totals in batches:
            if places is not None:
                first = torch.arange(n_cell_tokens).expand(len(places), -1)
                token_places = torch.cat((first, places + n_cell_tokens), dim=1).to(device)
            run(genes.to(device), counts.to(device), totals.to(device))
            means.count(len(counts), token_places)
            advance(len(counts))
    return means


def _seen(heard: Heard, model: ScPrint, n_genes: int) -> np.ndarray:
    if isinstance(heard, MeanAttention):
        return np.full(n_genes, heard.n_cells)
    return heard.n_seen[len(model.captured_tokens) :].numpy()


def _build(heard: Heard, model: ScPrint, plan: NetworkPlan, seen: np.ndarray, regulators: np.ndarray | None) -> Any:
    n_cell_tokens = len(model.captured_tokens)
    blocks: Iterator[tuple[slice, Tensor]]
    if isinstance(heard, MeanAttention):
        blocks = heard.rows(n_cell_tokens=n_cell_tokens, sinkhorn=plan.normalize == "sinkhorn")
    else:
        blocks = attention_rows(
            heard, plan.heads, n_cell_tokens=n_cell_tokens, combine=plan.combine, normalize=plan.normalize
        )
    return assemble(
        blocks,
        int(seen.sum()),
        n_planes=plan.n_planes,
        regulators=None if regulators is None else regulators[seen],
        top_k=plan.sparsify,
    )


class _Moments:
    """Running mean and squared deviations of networks of parts of the cells.

    Notes
    -----
    Welford 1962; the standard error is that of random groups: Wolter 2007, "Introduction to Variance Estimation", 2.
    """

    def __init__(self, n_genes: int) -> None:
        self._n_genes, self._n = n_genes, 0
        self._mean = self._squares = np.zeros((0, 0), dtype=np.float32)

    def add(self, network: np.ndarray, seen: np.ndarray) -> None:
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

    def standard_error(self, seen: np.ndarray) -> np.ndarray:
        variance = self._squares[np.ix_(seen, seen)] / (self._n - 1)
        return np.asarray(np.sqrt(variance / self._n))
