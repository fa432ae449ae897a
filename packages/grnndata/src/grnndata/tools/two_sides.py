"""Collections of replicate networks, brought over the same genes, and the table of a comparison of two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._wording import counted, listed
from ..concat import named_networks
from ..core import GRNAnnData
from ..ranking import check_count
from ..schema import GRN_KEY
from .align import shared_genes
from .exchanges import Design, Statistic, check_statistic, difference, make_design, permutation_p_values
from .moderated_t import moderated_t

#: One network, or one of every replicate: by name, in a sequence, or as the named networks of one object.
type Replicates = GRNAnnData | Mapping[str, GRNAnnData] | Sequence[GRNAnnData]
#: Label of the block of each network, for both sides.
type Blocks = tuple[Sequence[object], Sequence[object]]

# Values are sums of float32 weights: what differs less, relative to its size, does not vary.
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Sides:
    """Two collections of networks and the genes of all.

    Attributes
    ----------
    networks
        All networks, those of the first side before the others.
    genes
        Genes that are in all of them.
    design
        Which network is of the first side, and the blocks.
    pairs
        Whether the blocks are pairs.
    """

    networks: list[GRNAnnData]
    genes: pd.Index
    design: Design
    pairs: bool

    @property
    def is_replicated(self) -> bool:
        """Whether there is anything to measure chance with: more than one way to deal the labels, and an error."""
        return self.design.degrees_of_freedom > 0

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of networks of each side."""
        n_first = int(self.design.is_first.sum())
        return n_first, self.design.is_first.size - n_first


def two_sides(a: Replicates, b: Replicates, *, paired: bool, blocks: Blocks | None) -> Sides:
    """Return two collections of networks with the genes that all hold, and how their labels may be exchanged.

    Raises
    ------
    ValueError
        When pairs do not match, both pairs and blocks are given, blocks do not fit, gene names repeat or no gene
        is in all networks.
    """
    first, second = _collection(a), _collection(b)
    if paired:
        if blocks is not None:
            raise ValueError("pass paired=True or blocks=, not both: each pair is a block already")
        second = _matched(first, second, by_name=isinstance(a, Mapping) and isinstance(b, Mapping))
        blocks = (range(len(first)), range(len(first)))
    named = {_title("a", name, first): grn for name, grn in first.items()}
    named |= {_title("b", name, second): grn for name, grn in second.items()}
    genes = shared_genes(named)
    networks = list(named.values())
    if not all(grn.var_names.equals(networks[0].var_names) for grn in networks):
        genes = genes.sort_values()  # an order that does not depend on which network comes first
    return Sides(networks, genes, make_design(len(first), len(second), blocks), paired)


def _collection(networks: Replicates) -> dict[str, GRNAnnData]:
    if isinstance(networks, GRNAnnData) and GRN_KEY in networks.varp and networks.varp[GRN_KEY].ndim == 2:
        return {"": networks}
    return named_networks(networks)


def _title(side: str, name: str, collection: Mapping[str, GRNAnnData]) -> str:
    return side if len(collection) == 1 else f"{side} {name!r}"


def _matched(first: dict[str, GRNAnnData], second: dict[str, GRNAnnData], *, by_name: bool) -> dict[str, GRNAnnData]:
    if by_name and set(first) != set(second):
        apart = sorted(set(first) ^ set(second), key=str)
        raise ValueError(f"pairs are matched by name, and one side only has {listed(apart)}: leave these out")
    if len(first) != len(second):
        raise ValueError(
            f"pairs take as many networks on both sides, got {len(first)} and {len(second)}: leave out those without "
            "a partner, or pass paired=False where no two are of one sample"
        )
    return {name: second[name] for name in first} if by_name else second


def compared(
    values: NDArray[np.float64],
    sides: Sides,
    *,
    called: str,
    statistic: Statistic,
    moderate: bool,
    permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Return means of both sides, their difference and the tests of every feature, one row a feature.

    Parameters
    ----------
    values
        Value of every network and feature, shape (networks, features).
    sides
        The networks.
    called
        Noun for a value in the names of the columns, such as ``"strength"``.
    statistic, permutations
        See `grnndata.tools.exchanges.permutation_p_values`.
    moderate
        Whether to add the moderated t-test.
    seed
        Seed of the exchanges.
    """
    from scipy.stats import false_discovery_control  # takes a second to import

    check_count(permutations, "permutations")
    check_statistic(statistic, sides.design if sides.is_replicated else make_design(2, 2, None))
    is_first, design = sides.design.is_first, sides.design
    table = pd.DataFrame(
        {
            f"{called}_a": values[is_first].mean(axis=0),
            f"{called}_b": values[~is_first].mean(axis=0),
            "difference": difference(values, design),
        }
    )
    if not sides.is_replicated:
        table.attrs["test"] = told(sides, permutations)
        return table
    varies = _varies(values, design)

    def rates(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return false discovery rates over the features that vary; 1 for the others."""
        found = np.ones(p_values.size)
        if varies.any():
            found[varies] = false_discovery_control(p_values[varies])
        return found

    p_values = np.ones(varies.size)
    rng = np.random.default_rng(seed)
    p_values[varies] = permutation_p_values(
        values[:, varies], design, statistic=statistic, permutations=permutations, rng=rng
    )
    table = table.assign(p_value=p_values, q_value=rates(p_values), smallest_p=design.smallest_p(permutations))
    table.attrs["test"] = told(sides, permutations)
    if moderate:
        size = np.abs(values[:, varies]).mean(axis=0)
        test = moderated_t(values[:, varies], design, covariate=np.log(size))
        t, p_moderated = np.zeros(varies.size), np.ones(varies.size)
        t[varies], p_moderated[varies] = test.t, test.p_values
        table = table.assign(t=t, p_moderated=p_moderated, q_moderated=rates(p_moderated))
        table.attrs["test"] += (
            f"; moderated t: normal errors, {design.degrees_of_freedom} degrees of freedom of each and "
            f"{test.prior_df:.3g} of all"
        )
    return table


def _varies(values: NDArray[np.float64], design: Design) -> NDArray[np.bool_]:
    """Return which features differ between networks, within blocks, by more than rounding."""
    spread = np.abs(design.within_blocks(values)).max(axis=0, initial=0.0)
    return np.asarray(spread > _TOLERANCE * np.abs(values).mean(axis=0))


def told(sides: Sides, permutations: int) -> str:
    """Return in words which labels were exchanged, and the smallest p-value that this can give."""
    if not sides.is_replicated:
        return (
            f"none: {counted(sides.sizes[0], 'network')} against {counted(sides.sizes[1], 'network')} "
            "show effects, and nothing of what chance does; pass replicates"
        )
    n_ways = sides.design.n_exchanges
    within = " within pairs" if sides.pairs else " within blocks" if len(sides.design.members) > 1 else ""
    exact = f"in all {n_ways:,} ways" if n_ways <= permutations else f"in {permutations:,} of {n_ways:,} ways"
    return (
        f"replicates: labels of {sides.sizes[0]} + {sides.sizes[1]} networks exchanged{within}, {exact}; the smallest "
        f"p-value that can be reached is {sides.design.smallest_p(permutations):.2g}"
    )


def with_symbols(grn: GRNAnnData, genes: pd.Index) -> dict[str, Any]:
    """Return the column of symbols of some genes, where the network has it."""
    return {"symbol": grn.var["symbol"].astype(str).loc[genes].to_numpy()} if "symbol" in grn.var else {}
