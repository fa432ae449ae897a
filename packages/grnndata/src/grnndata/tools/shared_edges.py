"""Whether networks of one group share more edges than networks of two groups do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import check_count
from ..stored import single_network
from .align import over_genes
from .compare import common_edges, top_edges_of
from .exchanges import Design
from .two_sides import Blocks, Replicates, Sides, told, two_sides


def differential_overlap(
    a: Replicates,
    b: Replicates,
    *,
    paired: bool = False,
    blocks: Blocks | None = None,
    top_k: int = 20,
    permutations: int = 10_000,
    seed: int = 0,
) -> pd.Series:
    """Test whether two groups of replicate networks differ as a whole: in the strong edges that they share.

    Two networks share a part of their strongest edges out of every gene (``share_of_common_edges`` of `compare`).
    Replicates are exchangeable under the null hypothesis, and then two networks of one group share no more than
    two of different groups. The statistic is the mean share of the pairs within groups less that of the pairs
    between groups; labels are exchanged as in `differential_hubs`. One p-value speaks for all edges together.

    Parameters
    ----------
    a, b, paired, blocks, permutations, seed
        See `differential_hubs`. With pairs or blocks, two networks of one block are not compared, as what they
        share may be the donor's.
    top_k
        Number of strongest edges out of every gene that are looked up in the other network.

    Returns
    -------
    pandas.Series
        ``within`` and ``between`` (mean shares of common edges), ``difference`` (the first less the second), and
        with replicates ``p_value`` (one-sided) and ``smallest_p``, which it can reach at least. With one network on
        each side only ``between``. ``attrs["test"]`` says which test was run.

    Raises
    ------
    TypeError
        When an item is not a GRNAnnData.
    ValueError
        As `differential_hubs`, and when `top_k` is not a positive whole number.

    References
    ----------
    Mielke, Berry and Johnson 1976, Multi-response permutation procedures, Commun. Stat. A 5:1409-1424.
    """
    check_count(top_k, "top_k")
    sides = two_sides(a, b, paired=paired, blocks=blocks)
    return tested_overlap(shares_of(sides, top_k), sides, permutations=permutations, seed=seed)


def shares_of(sides: Sides, top_k: int) -> NDArray[np.float64]:
    """Return the share of common edges of every two networks, shape (networks, networks); 1 on the diagonal."""
    edges = [strong_edges(grn, sides.genes, top_k) for grn in sides.networks]
    shares = np.eye(len(edges))
    for i, first in enumerate(edges):
        for j, second in enumerate(edges[:i]):
            shares[i, j] = shares[j, i] = common_edges(first, second)
    return shares


def strong_edges(grn: GRNAnnData, genes: pd.Index, top_k: int) -> NDArray[np.int64]:
    """Return the strongest edges out of every gene among chosen ones, each as row × genes + column."""
    network = over_genes(single_network(grn), grn.var_names.get_indexer(genes))
    return top_edges_of(network, top_k, self_edges=False)


def tested_overlap(shares: NDArray[np.float64], sides: Sides, *, permutations: int, seed: int) -> pd.Series:
    """Return the mean shares within and between groups, and how often exchanged labels separate them as well."""
    check_count(permutations, "permutations")
    design = sides.design
    if not sides.is_replicated:
        result = pd.Series({"between": shares[0, 1]}, dtype=np.float64)
        result.attrs["test"] = told(sides, permutations)
        return result
    usable = _usable(design)
    labels = design.exchanges(permutations, np.random.default_rng(seed))
    observed = _within_and_between(shares, design.is_first[None], usable)
    within, between = _within_and_between(shares, labels, usable)
    gap = float((observed[0] - observed[1])[0])
    p_value = float(((within - between) >= gap - 1e-9).mean())
    result = pd.Series(
        {
            "within": float(observed[0][0]),
            "between": float(observed[1][0]),
            "difference": gap,
            "p_value": p_value,
            "smallest_p": design.smallest_p(permutations),
        }
    )
    result.attrs["test"] = told(sides, permutations)
    return result


def _usable(design: Design) -> NDArray[np.bool_]:
    """Return which pairs of networks are compared, shape (networks, networks): those of different blocks, if any."""
    if len(design.members) == 1:
        return ~np.eye(design.block.size, dtype=bool)
    return np.asarray(design.block[:, None] != design.block)


def _within_and_between(
    shares: NDArray[np.float64], labels: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean share within and between groups for every dealing of the labels, shape (exchanges,) each."""
    signs = np.where(labels, 1.0, -1.0)
    # signs_i signs_j is 1 within a group and -1 between groups.
    kept = np.where(usable, shares, 0.0)
    total, n_pairs = kept.sum(), float(usable.sum())
    contrast = ((signs @ kept) * signs).sum(axis=1)
    balance = ((signs @ usable.astype(np.float64)) * signs).sum(axis=1)
    return (total + contrast) / (n_pairs + balance), (total - contrast) / (n_pairs - balance)
