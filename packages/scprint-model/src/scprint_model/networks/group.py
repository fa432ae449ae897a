"""The network of one group of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scprint_model.model import ScPrint
from scprint_model.networks.accumulate import MeanAttention, MeanTokens, Moments
from scprint_model.networks.capture import capturing, self_attentions
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.permutation import permutation_p_values
from scprint_model.networks.plan import NetworkPlan
from scprint_model.networks.source import GeneCosines, MeanJacobian
from scprint_model.networks.strata import Strata
from scprint_model.networks.to_network import assemble, attention_rows, map_rows

type Sums = MeanTokens | MeanAttention | MeanJacobian | GeneCosines


@dataclass(frozen=True)
class GroupNetwork:
    """A network and what is known of it.

    Attributes
    ----------
    network
        As `scprint_model.networks.to_network.assemble` gives it, over the genes that were seen.
    n_seen
        int64, shape (all genes,): the cells that showed each gene.
    standard_error
        float32, as a dense network: of the weight after the plan's steps; None where it was not asked for. NaN for
        genes that some part did not show, and where no edge was tested.
    p_value
        float32, as a dense network: of the weight after the plan's steps, by networks of dealt counts that went through
        the same steps; None where it was not asked for. NaN where no edge was tested.
    spread
        float32, as a dense network: standard deviation of the weight between networks of several draws of genes; None
        where there is one draw, or no dense network. NaN for genes that some draw did not show.
    smallest_p
        Smallest p-value that there could be; None where none was asked for.
    """

    network: Any
    n_seen: np.ndarray
    standard_error: np.ndarray | None
    p_value: np.ndarray | None
    spread: np.ndarray | None = None
    smallest_p: float | None = None


def infer_group(
    model: ScPrint,
    cells: NetworkCells,
    plan: NetworkPlan,
    *,
    regulators: np.ndarray | None = None,
    strata: Strata | None = None,
    seed: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> GroupNetwork:
    """Run all cells through the model and build their network.

    Parameters
    ----------
    model, cells, plan
        Model whose attention is read, cells that it reads, and what becomes of it.
    regulators
        bool, one a gene: which may have outgoing edges; None: all.
    strata
        Strata of cells within which counts are dealt anew for p-values; None: one of all cells.
    seed
        Deals the cells into the parts whose variation is measured, and shuffles their counts.
    advance
        Called with the number of cells after each batch.
    """
    n_cells, n_genes = cells.counts.shape
    order = np.arange(n_cells)
    parts = [(order, replace(cells, seed=cells.seed + draw)) for draw in range(plan.draws)]
    if plan.stability:
        dealt = np.random.default_rng(seed).permutation(order)
        parts = [(np.sort(dealt[i :: plan.stability]), cells) for i in range(plan.stability)]
    total: Any = None
    moments = Moments(n_genes)
    for part, drawn in parts:
        sums = read_cells(model, drawn, part, plan, regulators=regulators, advance=advance)
        if plan.stability or plan.has_spread:
            seen = _seen(sums, model, n_genes)
            moments.add(plan.finish_weights(_build(sums, model, plan, seen > 0, regulators))[0], seen > 0)
        if total is None:
            total = sums
        else:
            total.merge(sums)
    seen = _seen(total, model, n_genes)
    network = _build(total, model, plan, seen > 0, regulators)
    if not (plan.stability or plan.permutations or plan.has_spread):
        return GroupNetwork(network, seen, None, None)
    finished, directed = plan.finish_weights(network)
    untested = ~_tested(None if regulators is None else regulators[seen > 0], len(finished), directed=directed)
    error, p_value, spread = None, None, None
    if plan.has_spread:
        spread = moments.standard_deviation(seen > 0)
        spread[untested] = np.nan
    if plan.stability:
        error = moments.standard_error(seen > 0)
        error[untested] = np.nan
    smallest = None
    if plan.permutations:

        def infer_dealt(dealt: NetworkCells) -> np.ndarray:
            sums = read_cells(model, dealt, order, plan, regulators=regulators, advance=advance)
            return plan.finish_weights(_build(sums, model, plan, seen > 0, regulators))[0]

        p_value, smallest = permutation_p_values(
            cells,
            infer_dealt,
            finished,
            ~untested,
            strata=strata,
            n=plan.permutations,
            pooled=plan.pools,
            rng=np.random.default_rng([seed, 1]),
        )
    return GroupNetwork(network, seen, error, p_value, spread, smallest)


def _tested(regulators: np.ndarray | None, n_genes: int, *, directed: bool) -> np.ndarray:
    """Say which edges could have a weight at all: no self edge, and none of a gene that may not be a regulator."""
    tested = ~np.eye(n_genes, dtype=bool)
    if regulators is not None:
        tested &= regulators[:, None]
    return tested if directed else tested | tested.T


def read_cells(
    model: ScPrint,
    cells: NetworkCells,
    part: np.ndarray,
    plan: NetworkPlan,
    *,
    regulators: np.ndarray | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> Sums:
    """Run some of the cells, at these positions, through the model, and return the sums that a network is made of."""
    if plan.source == "gene_embedding":
        return GeneCosines(model, cells.genes)
    n_cell_tokens = len(model.captured_tokens)
    n_tokens = n_cell_tokens + len(cells.genes)
    device = next(model.parameters()).device
    batch_size = plan.cells_a_batch(n_cell_tokens + cells.context, device.type)
    batches = cells.batches(part, batch_size)
    if plan.source == "jacobian":
        jacobian = MeanJacobian(len(cells.genes), regulators)
        for _, genes, counts, totals in batches:
            jacobian.add(model, genes.to(device), counts.to(device), totals.to(device))
            advance(len(counts))
        return jacobian
    if plan.attention == "mean_attention":
        maps = MeanAttention(n_tokens, plan.heads, plan.combine)
        with capturing(model, plan.layers, maps.add) as run:
            for _, genes, counts, totals in batches:
                run(genes.to(device), counts.to(device), totals.to(device))
                maps.count(len(counts))
                advance(len(counts))
        return maps
    means = MeanTokens(n_tokens, self_attentions(model))
    token_places: Tensor | None = None

    def receive(layer: int, x_bnd: Tensor) -> None:
        means.add(layer, x_bnd, token_places)

    with capturing(model, plan.layers, receive, tokens=True) as run:
        for places, genes, counts, totals in batches:
            if places is not None:
                first = torch.arange(n_cell_tokens).expand(len(places), -1)
                token_places = torch.cat((first, places + n_cell_tokens), dim=1).to(device)
            run(genes.to(device), counts.to(device), totals.to(device))
            means.count(len(counts), token_places)
            advance(len(counts))
    return means


def _seen(sums: Sums, model: ScPrint, n_genes: int) -> np.ndarray:
    if isinstance(sums, GeneCosines):
        return np.ones(n_genes, dtype=np.int64)
    if not isinstance(sums, MeanTokens):
        return np.full(n_genes, sums.n_cells)
    return sums.n_seen[len(model.captured_tokens) :].numpy()


def edge_blocks(sums: Sums, model: ScPrint, plan: NetworkPlan) -> Iterator[tuple[slice, Tensor]]:
    """Yield weights between the genes that were seen, in blocks of rows; see `attention_rows` and `map_rows`."""
    if isinstance(sums, MeanJacobian | GeneCosines):
        return sums.rows()
    n_cell_tokens = len(model.captured_tokens)
    if isinstance(sums, MeanAttention):
        return map_rows(sums, n_cell_tokens=n_cell_tokens, sinkhorn=plan.normalize == "sinkhorn")
    return attention_rows(sums, plan.heads, n_cell_tokens=n_cell_tokens, combine=plan.combine, normalize=plan.normalize)


def _build(sums: Sums, model: ScPrint, plan: NetworkPlan, seen: np.ndarray, regulators: np.ndarray | None) -> Any:
    return assemble(
        edge_blocks(sums, model, plan),
        int(seen.sum()),
        n_planes=plan.n_planes,
        regulators=None if regulators is None else regulators[seen],
        top_k=plan.top_k,
    )
