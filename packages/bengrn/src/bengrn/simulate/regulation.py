"""Describe how regulators drive their targets in SERGIO: strengths, Hill functions, half responses, expected levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn.simulate.cycles import few_backward, places
from bengrn.simulate.signed_edges import SignedEdges

#: Range of strengths that are drawn, and of low and high rates of master regulators (Dibaeinia and Sinha 2020).
STRENGTHS, LOW, HIGH = (1.0, 5.0), (0.2, 0.5), (0.7, 1.0)
#: Most rounds of expected levels where there is feedback, and the relative change at which they have settled.
_ROUNDS, _SETTLED = 10_000, 1e-9


@dataclass(frozen=True, eq=False)
class Regulation:
    """Regulators that drive each gene, and how strongly.

    Attributes
    ----------
    genes
        Names of the genes.
    types
        Names of the cell types.
    start
        Place of the first edge into each gene, (genes + 1,); edges stand by target.
    source
        Place of the regulator of each edge, (edges,).
    strength
        Largest production that each edge brings, below 0 for a repressor, (edges,).
    hill
        Exponent of each edge, (edges,).
    half
        Level of the regulator of each edge at which it has half its effect, (edges,).
    basal
        Production of each gene that no regulator brings, 0 but for master regulators, (types, genes).
    decay
        Rate of decay.
    """

    genes: tuple[str, ...]
    types: tuple[str, ...]
    start: NDArray[np.int64]
    source: NDArray[np.int64]
    strength: NDArray[np.float64]
    hill: NDArray[np.float64]
    half: NDArray[np.float64]
    basal: NDArray[np.float64]
    decay: float


def with_strengths(edges: SignedEdges, hill: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table of edges with all strengths (drawn where not given) and Hill exponents (else `hill`)."""
    table = edges.table.copy()
    drawn = rng.uniform(*STRENGTHS, len(table))
    table["strength"] = table["strength"].fillna(pd.Series(drawn, index=table.index))
    table["hill"] = table["hill"].fillna(hill)
    return table


def drawn_rates(masters: Sequence[str], n_types: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return rates of master regulators: each low or high in each cell type, at random."""
    shape = (len(masters), n_types)
    low, high = rng.uniform(*LOW, shape), rng.uniform(*HIGH, shape)
    values = np.where(rng.random(shape) < 0.5, high, low)
    return pd.DataFrame(values, index=list(masters), columns=[f"type {at}" for at in range(n_types)])


def regulation(
    edges: SignedEdges, table: pd.DataFrame, rates: pd.DataFrame, decay: float
) -> tuple[Regulation, NDArray[np.float64]]:
    """Return what drives each gene, and the levels that are expected of it.

    The half response of an edge is the expected level of its regulator, averaged over cell types.

    Parameters
    ----------
    edges
        Edges in order.
    table
        The same edges with all strengths and exponents, see `with_strengths`.
    rates
        Rates of the master regulators, (master regulators, types).
    decay
        Rate of decay, the same for all genes.

    Returns
    -------
    Regulation
        What drives each gene.
    numpy.ndarray
        Expected levels, (types, genes).

    Raises
    ------
    FloatingPointError
        If an expected level is infinite; the gene is named.
    ValueError
        If levels with feedback do not settle.
    """
    sources, targets = places(edges)
    n_types, n = rates.shape[1], len(edges.genes)
    basal = np.zeros((n_types, n))
    basal[:, [edges.genes.index(gene) for gene in rates.index]] = rates.to_numpy().T
    start = np.searchsorted(targets, np.arange(n + 1))
    strength = (table["strength"] * table["sign"]).to_numpy(float)
    given = Regulation(
        edges.genes,
        tuple(rates.columns),
        start,
        sources,
        strength,
        table["hill"].to_numpy(float),
        np.zeros(len(table)),
        basal,
        decay,
    )
    levels = expected_levels(given, few_backward(sources, targets, n))
    return replace(given, half=levels.mean(axis=0)[sources]), levels


def expected_levels(given: Regulation, order: Sequence[int]) -> NDArray[np.float64]:
    """Return the level of each gene where production and decay are equal, regulators at their own such level.

    Without feedback one round in the order of the levels is exact; with feedback rounds go on until nothing changes.

    Parameters
    ----------
    given
        Regulation of the genes; its half responses are not used.
    order
        Places of the genes, regulators before their targets except in feedback loops.

    Returns
    -------
    numpy.ndarray
        Levels, (types, genes).
    """
    levels = np.zeros_like(given.basal)
    for at_round in range(_ROUNDS):
        before = levels.copy()
        for gene in order:
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large is named below
                goal = (given.basal[:, gene] + _production(given, levels, gene)) / given.decay
                # with feedback half the way at a time, so that opposite effects do not swing for ever
                levels[:, gene] = goal if at_round == 0 else (levels[:, gene] + goal) / 2
            if not np.isfinite(levels[:, gene]).all():
                raise FloatingPointError(
                    f"the expected level of {given.genes[gene]} is no finite number: lower the rates or strengths "
                    "behind it"
                )
        change = float(np.max(np.abs(levels - before) / np.maximum(levels, 1e-12)))
        if at_round > 0 and change < _SETTLED:
            return levels
    worst = given.genes[int(np.argmax(np.max(np.abs(levels - before), axis=0)))]
    raise ValueError(f"feedback around {worst} does not settle: leave its edges out with cycles='break'")


def _production(given: Regulation, levels: NDArray[np.float64], gene: int) -> NDArray[np.float64]:
    at = slice(given.start[gene], given.start[gene + 1])
    x = levels[:, given.source[at]]
    on = hill_response(x, x.mean(axis=0), given.hill[at])
    strength = given.strength[at]
    return np.where(strength > 0, strength * on, -strength * (1 - on)).sum(axis=1)


def hill_response(x: NDArray[np.float64], half: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x**n / (half**n + x**n), 0 where x is 0, without overflow."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(x > 0, 1 / (1 + (half / x) ** n), 0.0)
