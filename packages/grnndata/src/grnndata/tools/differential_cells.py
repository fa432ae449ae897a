"""Differences of networks out of cells: of replicates where there are any, else within one sample, which is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._wording import listed
from ..core import GRNAnnData
from ..protocol import GRNMethod
from ..ranking import check_count
from .centrality import Direction, check_direction
from .compare import common_edges
from .differential import (
    differential_edges,
    differential_hubs,
    edges_table,
    hubs_table,
    strengths_over,
    strongest_edges,
    weights_of,
)
from .exchanges import Statistic
from .replicate_networks import by_name, column, network_of, replicate_networks, two_groups
from .shared_edges import differential_overlap, strong_edges
from .two_sides import two_sides

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

#: Exchanges at most, by default: of replicates' labels, which cost nothing, and of cells' labels, two networks each.
PERMUTATIONS_OF_REPLICATES, PERMUTATIONS_OF_CELLS = 10_000, 199


def differential_hubs_of_cells(
    adata: AnnData,
    method: GRNMethod,
    *,
    groupby: str,
    replicate: str | None = None,
    groups: tuple[str, str] | None = None,
    paired: bool | None = None,
    n_cells: int | None = None,
    regulators: Sequence[str] | None = None,
    statistic: Statistic = "difference",
    moderate: bool = True,
    direction: Direction = "out",
    normalise: bool = True,
    permutations: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Infer networks of two groups of cells, and find genes that are stronger hubs in one of them.

    With `replicate`, a network is made of each replicate and group, always of the same number of cells. The networks
    are compared as `differential_hubs` does, and the p-values hold for other donors too.

    Without `replicate`, the test is within the sample: the two networks are made again after the labels of the cells
    were exchanged, `permutations` times. Its null hypothesis is that all cells are exchangeable, and its p-values hold
    for other cells of the same donors only. Where each group has donors of its own, those differ whatever the groups
    are, and the test finds that. Its columns are called ``p_within_sample`` and ``q_within_sample`` for this reason.

    Parameters
    ----------
    adata, method, groupby, groups, n_cells, regulators
        See `replicate_networks`. Without replicates, `n_cells` is the number of cells of each group.
    replicate
        Column of ``obs`` with what was sampled independently, such as a donor; None for a test within the sample.
    paired
        Whether the networks of one replicate in both groups are a pair. None: where any replicate is in both
        groups. Those in one group only are then left out, which is logged.
    statistic, moderate, direction, normalise
        See `differential_hubs`. Within a sample the statistic is the difference, without a moderated t.
    permutations
        Number of exchanges at most. None: 10,000 of the labels of replicates; 199 of the labels of cells, with
        two networks for each.
    seed
        Seed of the choice of cells, the method and the exchanges.

    Returns
    -------
    pandas.DataFrame
        As `differential_hubs`, a being the first of `groups`; without replicates with ``p_within_sample,
        q_within_sample, smallest_p`` as the tests. ``attrs["test"]`` says which test was run.

    Raises
    ------
    KeyError
        When a column of ``obs`` is not there.
    ValueError
        As `replicate_networks` and `differential_hubs`; and when `paired` is False while a replicate is in both
        groups, or True while none is.
    """
    check_direction(direction)
    if replicate is not None:
        a, b, pairs = _of_replicates(
            adata, method, paired, groupby=groupby, replicate=replicate, groups=groups, n_cells=n_cells,
            regulators=regulators, seed=seed,
        )  # fmt: skip
        return differential_hubs(
            a, b, paired=pairs, statistic=statistic, moderate=moderate, direction=direction, normalise=normalise,
            permutations=permutations or PERMUTATIONS_OF_REPLICATES, seed=seed,
        )  # fmt: skip
    _check_within(paired, statistic)
    sample = _Sample.of(adata, method, groupby, groups, n_cells, regulators, seed)
    sides = two_sides(sample.a, sample.b, paired=False, blocks=None)
    table = sample.test(lambda grn: strengths_over(grn, sides.genes, direction, normalise), "strength", permutations)
    return hubs_table(table, sides)


def differential_edges_of_cells(
    adata: AnnData,
    method: GRNMethod,
    *,
    groupby: str,
    replicate: str | None = None,
    groups: tuple[str, str] | None = None,
    paired: bool | None = None,
    n_cells: int | None = None,
    regulators: Sequence[str] | None = None,
    statistic: Statistic = "difference",
    moderate: bool = True,
    top_edges: int = 10_000,
    normalise: bool = True,
    permutations: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Infer networks of two groups of cells, and find edges that are heavier in one of them.

    The tests are those of `differential_hubs_of_cells`: of replicates, or within the sample.

    Parameters
    ----------
    adata, method, groupby, replicate, groups, paired, n_cells, regulators, statistic, moderate, permutations, seed
        See `differential_hubs_of_cells`.
    top_edges, normalise
        See `differential_edges`. Within a sample the edges are the strongest of a network of both groups together.

    Returns
    -------
    pandas.DataFrame
        As `differential_edges`; without replicates with ``p_within_sample, q_within_sample, smallest_p``.

    Raises
    ------
    KeyError
        When a column of ``obs`` is not there.
    ValueError
        As `differential_hubs_of_cells` and `differential_edges`.
    """
    check_count(top_edges, "top_edges")
    if replicate is not None:
        a, b, pairs = _of_replicates(
            adata, method, paired, groupby=groupby, replicate=replicate, groups=groups, n_cells=n_cells,
            regulators=regulators, seed=seed,
        )  # fmt: skip
        return differential_edges(
            a, b, paired=pairs, statistic=statistic, moderate=moderate, top_edges=top_edges, normalise=normalise,
            permutations=permutations or PERMUTATIONS_OF_REPLICATES, seed=seed,
        )  # fmt: skip
    _check_within(paired, statistic)
    sample = _Sample.of(adata, method, groupby, groups, n_cells, regulators, seed)
    genes = two_sides(sample.a, sample.b, paired=False, blocks=None).genes
    # Of a network that exchanges of labels leave as it is: the observed pair's own strongest would favour it.
    edges = strongest_edges([sample.whole()], genes, top_edges, normalise)
    table = sample.test(lambda grn: weights_of(grn, genes, edges, normalise), "weight", permutations)
    return edges_table(table, genes, edges)


def differential_overlap_of_cells(
    adata: AnnData,
    method: GRNMethod,
    *,
    groupby: str,
    replicate: str | None = None,
    groups: tuple[str, str] | None = None,
    paired: bool | None = None,
    n_cells: int | None = None,
    regulators: Sequence[str] | None = None,
    top_k: int = 20,
    permutations: int | None = None,
    seed: int = 0,
) -> pd.Series:
    """Infer networks of two groups of cells, and test whether they share fewer strong edges than chance leaves them.

    With replicates the test is that of `differential_overlap`. Within a sample the share of common edges of the two
    networks is compared with that after exchanges of the cells' labels: a p-value says that two networks of other
    cells of the same sample share at most as much.

    Parameters
    ----------
    adata, method, groupby, replicate, groups, paired, n_cells, regulators, permutations, seed
        See `differential_hubs_of_cells`.
    top_k
        See `differential_overlap`.

    Returns
    -------
    pandas.Series
        As `differential_overlap`; without replicates ``between``, ``expected`` (mean share after exchanges),
        ``p_within_sample`` and ``smallest_p``.

    Raises
    ------
    KeyError
        When a column of ``obs`` is not there.
    ValueError
        As `differential_hubs_of_cells` and `differential_overlap`.
    """
    check_count(top_k, "top_k")
    if replicate is not None:
        a, b, pairs = _of_replicates(
            adata, method, paired, groupby=groupby, replicate=replicate, groups=groups, n_cells=n_cells,
            regulators=regulators, seed=seed,
        )  # fmt: skip
        n = permutations or PERMUTATIONS_OF_REPLICATES
        return differential_overlap(a, b, paired=pairs, top_k=top_k, permutations=n, seed=seed)
    _check_within(paired, "difference")
    sample = _Sample.of(adata, method, groupby, groups, n_cells, regulators, seed)
    genes = two_sides(sample.a, sample.b, paired=False, blocks=None).genes

    def share(a: GRNAnnData, b: GRNAnnData) -> float:
        return common_edges(strong_edges(a, genes, top_k), strong_edges(b, genes, top_k))

    observed = share(sample.a, sample.b)
    n = _n_of_cells(permutations)
    found = np.array([share(a, b) for a, b in sample.exchanged(n)])
    result = pd.Series(
        {
            "between": observed,
            "expected": float(found.mean()),
            "p_within_sample": (1 + int((found <= observed + 1e-9).sum())) / (1 + n),
            "smallest_p": 1 / (1 + n),
        }
    )
    result.attrs["test"] = sample.told(n)
    return result


def _of_replicates(
    adata: AnnData, method: GRNMethod, paired: bool | None, *, replicate: str, **options: Any
) -> tuple[dict[str, GRNAnnData], dict[str, GRNAnnData], bool]:
    """Return the networks of both groups, and whether they are pairs."""
    group_of, (one, other) = two_groups(adata, options["groupby"], options["groups"])
    labels = column(adata, replicate)
    in_both = set(labels[group_of == one]) & set(labels[group_of == other])
    if paired is False and in_both:
        raise ValueError(
            f"{listed(sorted(map(str, in_both)))} of obs[{replicate!r}] are in both groups, so that their networks are "
            "pairs: pass paired=True or None"
        )
    if paired and not in_both:
        raise ValueError(f"no {replicate!r} is in both {one!r} and {other!r}, so that there are no pairs")
    a, b = replicate_networks(adata, method, replicate=replicate, **options).values()
    if not in_both:
        return a, b, False
    shared = [label for label in a if label in b]
    if not shared:
        raise ValueError(f"no {replicate!r} has enough cells in both {one!r} and {other!r}: lower n_cells")
    alone = sorted(set(a) ^ set(b))
    if alone:
        logger.warning("left out, as networks are compared in pairs and one group only has them: %s", listed(alone))
    return {label: a[label] for label in shared}, {label: b[label] for label in shared}, True


def _check_within(paired: bool | None, statistic: Statistic) -> None:
    if paired:
        raise ValueError("paired=True takes replicates: name their column of obs with replicate=")
    if statistic != "difference":
        raise ValueError(f"within a sample the statistic is 'difference', got {statistic!r}; pass replicate=")


def _n_of_cells(permutations: int | None) -> int:
    n = PERMUTATIONS_OF_CELLS if permutations is None else permutations
    check_count(n, "permutations")
    return n


@dataclass(frozen=True)
class _Sample:
    """Two groups of as many cells of one sample, and their networks."""

    adata: AnnData
    method: GRNMethod
    cells: NDArray[np.intp]
    regulators: Sequence[str] | None
    rng: np.random.Generator
    a: GRNAnnData
    b: GRNAnnData

    @classmethod
    def of(
        cls,
        adata: AnnData,
        method: GRNMethod,
        groupby: str,
        groups: tuple[str, str] | None,
        n_cells: int | None,
        regulators: Sequence[str] | None,
        seed: int,
    ) -> _Sample:
        group_of, chosen = two_groups(adata, groupby, groups)
        places = [np.flatnonzero(group_of == group) for group in chosen]
        smallest = min(at.size for at in places)
        n = smallest if n_cells is None else n_cells
        check_count(n, "n_cells")
        if n > smallest:
            raise ValueError(f"a group has {smallest:,} cells, fewer than n_cells={n:,}")
        rng = np.random.default_rng(seed)
        cells = np.concatenate([rng.choice(by_name(adata, at), n, replace=False) for at in places])
        a, b = (network_of(adata, method, half, regulators, rng) for half in np.split(cells, 2))
        return cls(adata, method, cells, regulators, rng, a, b)

    def whole(self) -> GRNAnnData:
        """Return the network of the cells of both groups together."""
        return network_of(self.adata, self.method, self.cells, self.regulators, self.rng)

    def exchanged(self, n: int) -> Any:
        """Yield the networks of two groups of cells whose labels were exchanged at random, n times."""
        for i in range(n):
            logger.info("exchange %d of %d", i + 1, n)
            halves = np.split(self.rng.permutation(self.cells), 2)
            yield tuple(network_of(self.adata, self.method, half, self.regulators, self.rng) for half in halves)

    def test(
        self, values_of: Callable[[GRNAnnData], NDArray[np.float64]], called: str, permutations: int | None
    ) -> pd.DataFrame:
        """Return values of both networks, their difference and the test within the sample."""
        from scipy.stats import false_discovery_control  # takes a second to import

        n = _n_of_cells(permutations)
        first, second = values_of(self.a), values_of(self.b)
        reached = np.abs(first - second) - 1e-7 * (np.abs(first) + np.abs(second))
        at_least = np.zeros(first.size, dtype=np.int64)
        varies = (first != 0) | (second != 0)
        for a, b in self.exchanged(n):
            of_a, of_b = values_of(a), values_of(b)
            at_least += np.abs(of_a - of_b) >= reached
            varies |= (of_a != 0) | (of_b != 0)
        p_values = (1 + at_least) / (1 + n)
        rates = np.ones(p_values.size)
        if varies.any():
            rates[varies] = false_discovery_control(p_values[varies])
        table = pd.DataFrame(
            {
                f"{called}_a": first,
                f"{called}_b": second,
                "difference": first - second,
                "p_within_sample": p_values,
                "q_within_sample": rates,
                "smallest_p": 1 / (1 + n),
            }
        )
        table.attrs["test"] = self.told(n)
        return table

    def told(self, n: int) -> str:
        """Return in words which test this is."""
        return (
            f"within the sample: labels of {self.cells.size // 2:,} + {self.cells.size // 2:,} cells exchanged {n:,} "
            f"times; it speaks of other cells of the same donors; the smallest p-value that can be reached is "
            f"{1 / (1 + n):.2g}"
        )
