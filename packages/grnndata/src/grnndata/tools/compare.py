"""Measure how much two networks agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..concat import named_networks
from ..core import GRNAnnData
from ..ranking import check_count, top_k_matrix
from ..schema import Network, is_sparse, nonzero_entries
from ..stored import single_network
from .align import dense_block, over_genes, row_slices, shared_genes

#: Edges on which the rank correlation is computed at most. A sample of that many has a standard error of 0.0005.
MAX_EDGES = 4_000_000


@dataclass(frozen=True)
class Comparison:
    """Numbers that say what two networks have in common: see `compare`."""

    #: Genes of each network, in both, and the last as a share of the genes in either.
    n_genes_a: int
    n_genes_b: int
    n_shared_genes: int
    share_of_genes: float
    #: Edges looked at, out of every gene.
    top_k: int
    #: Of those edges, how many are in both networks; as a share of the mean number of one network; and as a
    #: share of those in either network. NaN when there are no edges at all.
    n_common_edges: int
    share_of_common_edges: float
    jaccard: float
    #: Rank correlation of the weights. NaN when there are fewer than two edges, or all weights are equal.
    spearman: float

    def to_series(self) -> pd.Series:
        """Return the fields as a Series; counts stay whole numbers."""
        return pd.Series(asdict(self), dtype=object)


def compare(a: GRNAnnData, b: GRNAnnData, *, top_k: int = 20, self_edges: bool = False, seed: int = 0) -> Comparison:
    """Compare two networks over the genes that both hold.

    Both are restricted to the shared genes first. Then the `top_k` strongest edges (absolute weight) out of
    every gene are looked up in the other network's: ``share_of_common_edges`` is twice their number in both,
    over the sum of the numbers in each, which is "the share of common edges among the top 20 per gene" of
    the reference where every gene has `top_k` edges; ``jaccard`` is their number in both over that in either.

    ``spearman`` correlates the ranks of the signed weights of all edges between shared genes, not only of the
    strongest: of every ordered pair that has an edge in at least one network, an absent edge counting as 0.
    Pairs with no edge in either are left out, so sparse networks that share few edges come out negative, down
    to -1, not at 0. Above 4 million pairs it is computed on a random sample of about that many (standard
    error below 0.001), so that dense networks take little further memory.

    Parameters
    ----------
    a, b
        The networks; genes are matched by ``var_names``.
    top_k
        Number of strongest edges out of every gene that are looked up in the other network.
    self_edges
        Whether edges from a gene to itself take part.
    seed
        Seed for the sample of pairs.

    Returns
    -------
    Comparison
        Frozen; ``.to_series()`` gives a Series.

    Raises
    ------
    ValueError
        When no gene is shared, gene names repeat, or `top_k` is not a positive whole number.

    References
    ----------
    Kalfon et al. 2025, scPRINT, Nature Communications 16:3607, section on prostate fibroblasts.
    """
    check_count(top_k, "top_k")
    genes = shared_genes({"a": a, "b": b})
    networks = (single_network(a), single_network(b))
    places = (a.var_names.get_indexer(genes), b.var_names.get_indexer(genes))
    # One after the other: a dense network over other genes is a copy, and there is room for one.
    edges_a, edges_b = (
        top_edges_of(over_genes(network, at), top_k, self_edges) for network, at in zip(networks, places, strict=True)
    )
    n_common = int(np.isin(edges_a, edges_b, assume_unique=True).sum())
    n_listed = edges_a.size + edges_b.size
    return Comparison(
        n_genes_a=a.n_vars,
        n_genes_b=b.n_vars,
        n_shared_genes=len(genes),
        share_of_genes=len(genes) / (a.n_vars + b.n_vars - len(genes)),
        top_k=int(top_k),
        n_common_edges=n_common,
        share_of_common_edges=common_edges(edges_a, edges_b),
        jaccard=n_common / (n_listed - n_common) if n_listed else float("nan"),
        spearman=_rank_correlation(*_paired_weights(networks, places, self_edges, np.random.default_rng(seed))),
    )


def compare_all(networks: Mapping[str, GRNAnnData] | Sequence[GRNAnnData] | GRNAnnData, **options: Any) -> pd.DataFrame:
    """Compare every two of several networks.

    Parameters
    ----------
    networks
        By name, in a sequence (then called ``"0", "1", ...``), or an object that holds several.
    **options
        Options of `compare`.

    Returns
    -------
    pandas.DataFrame
        One row a pair, in the order of the networks: columns ``a, b`` (names) and the fields of `Comparison`.

    Raises
    ------
    ValueError
        When there are fewer than two networks, and as `compare`, naming the pair.
    """
    named = named_networks(networks)
    if len(named) < 2:
        raise ValueError(f"comparing takes two networks or more, got {len(named)}: {', '.join(named)}")
    rows = []
    for a, b in combinations(named, 2):
        try:
            rows.append({"a": a, "b": b} | asdict(compare(named[a], named[b], **options)))
        except ValueError as error:
            raise ValueError(f"comparing a = {a!r} with b = {b!r}: {error}") from error
    return pd.DataFrame(rows)


def common_edges(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Return how many edges are in both of two lists, as a share of their mean length; NaN when both are empty."""
    n_common = int(np.isin(a, b, assume_unique=True).sum())
    return 2 * n_common / (a.size + b.size) if a.size + b.size else float("nan")


def top_edges_of(network: Network, top_k: int, self_edges: bool) -> NDArray[np.int64]:
    """Return the strongest edges out of every gene, each as row × genes + column."""
    rows, columns, _ = nonzero_entries(top_k_matrix(network, top_k, self_edges=self_edges))
    return _pair_numbers(rows, columns, network.shape[0])


def _pair_numbers(rows: NDArray[Any], columns: NDArray[Any], n_genes: int) -> NDArray[np.int64]:
    return rows.astype(np.int64) * n_genes + columns


def _paired_weights(
    networks: tuple[Network, Network],
    places: tuple[NDArray[np.intp], NDArray[np.intp]],
    self_edges: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights in both networks of the pairs with an edge in either, at most `MAX_EDGES` of them."""
    if all(is_sparse(network) for network in networks):
        a, b = (over_genes(network, at) for network, at in zip(networks, places, strict=True))
        return _paired_weights_of_sparse(a, b, self_edges, rng)

    def pair_of_blocks(rows: slice) -> list[NDArray[np.float32]]:
        return [
            dense_block(network, at, rows, self_edges=self_edges) for network, at in zip(networks, places, strict=True)
        ]

    pieces = row_slices(places[0].size)
    counts = []
    for rows in pieces:
        a, b = pair_of_blocks(rows)
        counts.append(int(np.count_nonzero((a != 0) | (b != 0))))
    kept = _sample(sum(counts), rng)
    first = np.concatenate([[0], np.cumsum(counts)])
    weights_a, weights_b = [], []
    for rows, start, stop in zip(pieces, first[:-1], first[1:], strict=True):
        wanted = kept[np.searchsorted(kept, start) : np.searchsorted(kept, stop)] - start
        a, b = pair_of_blocks(rows)
        at = np.flatnonzero((a != 0) | (b != 0))[wanted]
        weights_a.append(a.ravel()[at])
        weights_b.append(b.ravel()[at])
    return np.concatenate(weights_a), np.concatenate(weights_b)


def _paired_weights_of_sparse(
    a: Network, b: Network, self_edges: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    listed = []
    for network in (a, b):
        rows, columns, weights = nonzero_entries(network)
        kept = slice(None) if self_edges else rows != columns
        listed.append((_pair_numbers(rows[kept], columns[kept], network.shape[0]), weights[kept]))
    pairs = _once(np.concatenate([listed[0][0], listed[1][0]]))
    chosen = _sample(pairs.size, rng)
    found = []
    for numbers, weights in listed:
        of_all = np.zeros(pairs.size, dtype=np.float32)
        of_all[np.searchsorted(pairs, numbers)] = weights
        found.append(of_all[chosen])
    return found[0], found[1]


def _sample(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return all of 0 ... n - 1, or when they are too many a sample, ascending."""
    if n <= MAX_EDGES:
        return np.arange(n)
    # With replacement, then once each: a sample without replacement would need memory for all n.
    return _once(rng.integers(0, n, size=MAX_EDGES))


def _once(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numbers ascending and once each; those of millions several times faster than numpy.unique."""
    ordered = np.sort(numbers, kind="stable")
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _rank_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size < 2 or (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    from scipy.stats import rankdata  # takes a second to import

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
