"""The time that networks will take, from a batch of cells and a block of edges that are timed before the work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from scprint_model.model import ScPrint
from scprint_model.networks.choose import NetworkCells
from scprint_model.networks.group import edge_blocks, read_cells
from scprint_model.networks.plan import MemoryNeed, NetworkPlan

#: Regulators whose passes are timed, where each has its own.
TIMED_REGULATORS = 8


@dataclass(frozen=True)
class WorkEstimate:
    """The time and memory that networks will take.

    Attributes
    ----------
    n_networks
        Number of networks that are returned.
    n_passes
        Number of cells that pass through the model, each as often as it does.
    n_genes, context
        Number of genes of the largest network, and of those that a cell shows at a time.
    memory
        Memory of one network, by what for, and of all that are returned.
    seconds
        Time on this machine: that of a batch and of a block of edges, times their numbers.
    """

    n_networks: int
    n_passes: int
    n_genes: int
    context: int
    memory: MemoryNeed
    seconds: float

    def __str__(self) -> str:
        networks = "1 network" if self.n_networks == 1 else f"{self.n_networks:,} networks"
        return (
            f"{networks} of {self.n_genes:,} genes, {self.n_passes:,} passes of a cell with {self.context:,} genes: "
            f"some {duration(self.seconds)} and {self.memory.total / 1e9:.1f} GB of memory"
        )


def estimate_work(
    model: ScPrint,
    plan: NetworkPlan,
    inputs: NetworkCells,
    *,
    n_networks: int,
    n_passes: int,
    memory: MemoryNeed,
    regulators: np.ndarray | None = None,
) -> WorkEstimate:
    """Time a batch of `inputs`, and a block of the edges of their network, and multiply.

    The genes that may be regulators, bool, count where each takes passes of its own; None: all.
    """
    n_genes, n_tokens = len(inputs.genes), inputs.context + len(model.captured_tokens)
    device = next(model.parameters()).device.type
    n_batch = min(plan.cells_a_batch(n_tokens, device), inputs.counts.shape[0])
    builds = n_networks * (1 + plan.stability + plan.permutations + (plan.draws if plan.has_spread else 0))
    cell = time_cells(model, plan, inputs, n_batch) if n_passes else 0.0
    if plan.source == "jacobian":
        cell *= (n_genes if regulators is None else int(regulators.sum())) / min(n_genes, TIMED_REGULATORS)
    seconds = n_passes * cell + builds * time_edges(model, plan, inputs, n_genes)
    return WorkEstimate(n_networks, n_passes, n_genes, inputs.context, memory, seconds)


def time_cells(model: ScPrint, plan: NetworkPlan, inputs: NetworkCells, n_cells: int) -> float:
    """Return the seconds that a cell takes, or `TIMED_REGULATORS` of it: of a batch, run a second time."""
    for _ in range(2):  # the first time compiles and fills caches
        start = _now(model)
        read_cells(model, inputs, np.arange(n_cells), plan, regulators=_first(n=TIMED_REGULATORS, inputs=inputs))
        seconds = _now(model) - start
    return seconds / n_cells


def time_edges(model: ScPrint, plan: NetworkPlan, inputs: NetworkCells, n_genes: int) -> float:
    """Return the seconds that all edges of a network take: of their first two blocks."""
    sums = read_cells(model, inputs, np.arange(1), plan, regulators=_first(n=1, inputs=inputs))
    times, n_rows, n_columns = [_now(model)], [], n_genes
    for rows, values in islice(edge_blocks(sums, model, plan), 2):
        times.append(_now(model))
        n_rows.append(rows.stop - rows.start)
        n_columns = values.shape[1]  # the genes that this cell showed
    row = (times[-1] - times[-2]) / n_rows[-1]
    begin = max(0.0, times[1] - times[0] - row * n_rows[0])
    return begin + row * n_genes * (n_genes / n_columns)


def _first(*, n: int, inputs: NetworkCells) -> np.ndarray:
    """Return regulators to time: the first `n` genes."""
    return np.arange(len(inputs.genes)) < n


def _now(model: ScPrint) -> float:
    if next(model.parameters()).device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def duration(seconds: float) -> str:
    """Return a duration to two digits: it is an estimate."""
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds >= 2 * size), ("s", 1))
    return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:,.0f} {unit}"
