"""Feedback: cycles of edges, found, named and broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from bengrn._wording import counted, listed
from bengrn.simulate.signed_edges import SignedEdges

type Cycles = Literal["error", "break", "keep"]


def without_cycles(edges: SignedEdges, cycles: Cycles = "error") -> SignedEdges:
    """Return edges without feedback, or raise an error that names a cycle.

    Parameters
    ----------
    edges
        Edges to look at.
    cycles
        "error" to refuse cycles, as SERGIO does; "break" to leave out the edges that run against an order of the genes
        in which few do (Eades, Lin and Smyth 1993); "keep" to leave them in.

    Raises
    ------
    ValueError
        If there is a cycle and `cycles` is "error".
    """
    if cycles not in ("error", "break", "keep"):
        raise ValueError(f"cycles is 'error', 'break' or 'keep', not {cycles!r}")
    sources, targets = places(edges)
    looped = feedback(sources, targets, len(edges.genes))
    if not looped.any() or cycles == "keep":
        return edges
    if cycles == "error":
        path = one_cycle(sources[looped], targets[looped])
        raise ValueError(
            f"{counted(int(looped.sum()), 'edge is', 'edges are')} part of a cycle, such as "
            f"{' → '.join(edges.genes[at] for at in path)}: SERGIO simulates from master regulators down; leave out "
            "the edges that close cycles with cycles='break', or simulate feedback with cycles='keep'"
        )
    rank = np.empty(len(edges.genes), dtype=np.int64)
    rank[few_backward(sources[looped], targets[looped], len(edges.genes))] = np.arange(len(edges.genes))
    against = looped & (rank[sources] >= rank[targets])
    left_out = [f"{row.source} → {row.target}" for row in edges.table[against].itertuples()]
    note = f"left out {counted(len(left_out), 'edge that closes', 'edges that close')} cycles: {listed(left_out)}"
    return SignedEdges(edges.table[~against].reset_index(drop=True), edges.genes, (*edges.notes, note))


def places(edges: SignedEdges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of sources and targets among the genes."""
    place = {gene: at for at, gene in enumerate(edges.genes)}
    source, target = (
        np.array([place[gene] for gene in edges.table[name]], dtype=np.int64) for name in ("source", "target")
    )
    return source, target


def feedback(sources: NDArray[np.int64], targets: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Return which edges are part of a cycle: those within a strongly connected part, and of a gene on itself."""
    graph = csr_array((np.ones(len(sources)), (sources, targets)), shape=(n, n))
    _, part = connected_components(graph, directed=True, connection="strong")
    return part[sources] == part[targets]


def one_cycle(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> list[int]:
    """Return the shortest cycle through the first gene that is in one, its first gene again at the end."""
    after: dict[int, list[int]] = {}
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        after.setdefault(source, []).append(target)
    start = min(after)
    came: dict[int, int] = {}
    waiting = [start]
    for at in waiting:
        for target in after.get(at, []):
            if target == start:
                path = [at]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return [*path[::-1], start]
            if target not in came:
                came[target] = at
                waiting.append(target)
    raise AssertionError("edges of a strongly connected part close a cycle")


def few_backward(sources: Sequence[int] | NDArray, targets: Sequence[int] | NDArray, n: int) -> list[int]:
    """Return an order of n genes against which few edges run: sinks last, sources first, else most outgoing first."""
    pairs = {(int(a), int(b)) for a, b in zip(sources, targets, strict=True) if a != b}
    after: list[set[int]] = [set() for _ in range(n)]
    before: list[set[int]] = [set() for _ in range(n)]
    for a, b in pairs:
        after[a].add(b)
        before[b].add(a)
    left = set(range(n))
    head: list[int] = []
    tail: list[int] = []
    while left:
        sinks = sorted(at for at in left if not after[at])
        heads = [] if sinks else sorted(at for at in left if not before[at])
        chosen = sinks or heads or [min(left, key=lambda at: (len(before[at]) - len(after[at]), at))]
        for at in chosen:
            (tail if sinks else head).append(at)
            left.discard(at)
            for other in after[at]:
                before[other].discard(at)
            for other in before[at]:
                after[other].discard(at)
    return head + tail[::-1]
