"""Genes whose strength, and edges whose weight, differ between two groups of networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._wording import counted
from ..core import GRNAnnData
from ..ranking import check_count, strongest
from ..schema import is_sparse
from ..stored import single_network
from .align import dense_block, over_genes, row_slices
from .centrality import Direction, check_direction, strength_of_matrix
from .exchanges import Statistic
from .two_sides import Blocks, Replicates, Sides, compared, two_sides, with_symbols


def differential_hubs(
    a: Replicates,
    b: Replicates,
    *,
    paired: bool = False,
    blocks: Blocks | None = None,
    statistic: Statistic = "difference",
    moderate: bool = True,
    direction: Direction = "out",
    normalise: bool = True,
    permutations: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Find genes that are stronger hubs in one of two groups of replicate networks.

    A gene's strength is the sum of the absolute weights of its edges with the other shared genes. A replicate is
    what was sampled independently: a donor, an animal, a culture. The null hypothesis is that replicates are
    exchangeable: a network could as well have come from the other group. Labels are exchanged in all ways, or in
    `permutations` random ones where there are more, and the p-value is the share of exchanges with a difference at
    least as large. Few replicates have few exchanges: 3 against 3 cannot give a p-value below 0.1, nor 4 against
    4 below 0.029. The column ``smallest_p`` states it.

    The moderated t-test beside it reaches smaller p-values, as it assumes normal errors and draws the variance of
    each gene towards that of genes of like strength.

    Networks of parts of one sample are replicates of the cells of that sample only. With one network on each side
    the table has the effects and no test at all: edges of one network depend on each other, so that they cannot
    say what chance does.

    Parameters
    ----------
    a, b
        Networks of the two groups: a mapping of name to network, a sequence, an object with several named
        networks, or one network. Genes are matched by ``var_names``, and those in all networks are compared.
    paired
        Whether the networks of `a` and `b` come in pairs, such as two conditions of each donor: labels are then
        exchanged within pairs. Pairs are matched by name where both are mappings, and by place otherwise.
    blocks
        Label of the block of each network, such as a laboratory: one list for `a` and one for `b`. Labels are
        exchanged within blocks, and the difference is one within blocks, by least squares.
    statistic
        Statistic that is compared over exchanges: ``"difference"`` of means, ``"rank"`` (Wilcoxon's, for
        strengths with outliers) or ``"welch"`` (t with a variance for each group, which keeps to its level in
        large groups of unequal spread; without pairs and blocks).
    moderate
        Whether to add the moderated t-test.
    direction
        ``"out"``: edges in which the gene is the regulator; ``"in"``: the target.
    normalise
        Whether to scale each network so that strengths over the shared genes have mean 1. A network without edges
        stays as it is. Without it, networks of methods with different scales differ in every gene.
    permutations
        Number of exchanges to draw, where there are more than so many.
    seed
        Seed of the draws. The same seed gives the same table.

    Returns
    -------
    pandas.DataFrame
        One row for every shared gene, largest absolute difference first, ties by gene name: ``gene``, ``symbol``
        (where ``var`` of the first network has it), ``strength_a, strength_b`` (means), ``difference`` (a minus b).
        With replicates also ``p_value, q_value`` and ``smallest_p`` (of the exchanges), and ``t, p_moderated,
        q_moderated``. q-values are over genes whose strengths vary; the p-value of others is 1.
        ``attrs["test"]`` says which test was run.

    Raises
    ------
    TypeError
        When an item is not a GRNAnnData.
    ValueError
        When no gene is shared, gene names repeat, pairs or blocks do not fit, `direction` or `statistic` is
        unknown, or `permutations` is not a positive whole number.

    References
    ----------
    Exchanges: Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010, Stat. Appl. Genet. Mol.
    Biol. 9:39. Moderated t: Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3. Replicates in single-cell data: Squair
    et al. 2021, Nature Communications 12:5692. q-value: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289-300.
    """
    check_direction(direction)
    sides = two_sides(a, b, paired=paired, blocks=blocks)
    values = np.stack([strengths_over(grn, sides.genes, direction, normalise) for grn in sides.networks])
    table = compared(
        values,
        sides,
        called="strength",
        statistic=statistic,
        moderate=moderate,
        permutations=permutations,
        seed=seed,
    )
    return hubs_table(table, sides)


def differential_edges(
    a: Replicates,
    b: Replicates,
    *,
    paired: bool = False,
    blocks: Blocks | None = None,
    statistic: Statistic = "difference",
    moderate: bool = True,
    top_edges: int = 10_000,
    normalise: bool = True,
    permutations: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Find edges that are heavier in one of two groups of replicate networks.

    The null hypothesis and the tests are those of `differential_hubs`, of signed weights in place of strengths.
    The edges that are compared are chosen without a look at the groups, so that the choice favours none: those of
    largest mean absolute weight over all networks. Of undirected networks every pair of genes counts once.

    Parameters
    ----------
    a, b, paired, blocks, statistic, moderate, permutations, seed
        See `differential_hubs`.
    top_edges
        Number of edges to compare. False discovery rates are over these.
    normalise
        Whether to scale each network so that strengths over the shared genes have mean 1.

    Returns
    -------
    pandas.DataFrame
        One row an edge, largest absolute difference first: ``source, target, weight_a, weight_b`` (means),
        ``difference`` and, with replicates, the tests, as `differential_hubs`.

    Raises
    ------
    TypeError
        When an item is not a GRNAnnData.
    ValueError
        As `differential_hubs`, and when some networks are directed and others are not, no network has an edge
        between shared genes, or `top_edges` is not a positive whole number.
    """
    check_count(top_edges, "top_edges")
    sides = two_sides(a, b, paired=paired, blocks=blocks)
    edges = strongest_edges(sides.networks, sides.genes, top_edges, normalise)
    values = np.stack([weights_of(grn, sides.genes, edges, normalise) for grn in sides.networks])
    table = compared(
        values,
        sides,
        called="weight",
        statistic=statistic,
        moderate=moderate,
        permutations=permutations,
        seed=seed,
    )
    return edges_table(table, sides.genes, edges)


def hubs_table(table: pd.DataFrame, sides: Sides) -> pd.DataFrame:
    """Return what was found of each gene under its name, largest absolute difference first, ties by name."""
    named = pd.DataFrame({"gene": sides.genes} | with_symbols(sides.networks[0], sides.genes))
    order = np.lexsort((sides.genes.to_numpy(dtype=object), -table["difference"].abs().to_numpy()))
    joined = pd.concat([named, table], axis=1).iloc[order].reset_index(drop=True)
    joined.attrs = dict(table.attrs)
    return joined


def edges_table(table: pd.DataFrame, genes: pd.Index, edges: NDArray[np.int64]) -> pd.DataFrame:
    """Return what was found of each edge under the names of its genes, largest absolute difference first."""
    sources, targets = np.divmod(edges, len(genes))
    named = pd.DataFrame({"source": genes[sources], "target": genes[targets]})
    order = np.lexsort((edges, -table["difference"].abs().to_numpy()))
    joined = pd.concat([named, table], axis=1).iloc[order].reset_index(drop=True)
    joined.attrs = dict(table.attrs)
    return joined


def strengths_over(grn: GRNAnnData, genes: pd.Index, direction: Direction, normalise: bool) -> NDArray[np.float64]:
    """Return the strength of chosen genes among themselves, shape (genes,); 0 of those that are not there."""
    network, at = single_network(grn), grn.var_names.get_indexer(genes)
    if is_sparse(network):
        values = strength_of_matrix(over_genes(network, at), direction)
    else:
        axis = 0 if direction == "out" else 1
        blocks = (dense_block(network, at, rows, axis=axis, self_edges=False) for rows in row_slices(at.size))
        values = np.concatenate([np.abs(block).sum(axis=1, dtype=np.float64) for block in blocks])
    total = float(values.sum())
    return values * (at.size / total) if normalise and total else values


def strongest_edges(
    networks: Sequence[GRNAnnData], genes: pd.Index, top_edges: int, normalise: bool
) -> NDArray[np.int64]:
    """Return the edges of largest mean absolute weight, each as row × genes + column, ascending.

    Raises
    ------
    ValueError
        When some networks are directed and others are not, or none has an edge.
    """
    is_directed = {grn.directed for grn in networks}
    if len(is_directed) > 1:
        raise ValueError("some networks are directed and others are not: symmetrise those with grnndata.tl.symmetrise")
    n = len(genes)
    scales = [_scale(grn, genes, normalise) for grn in networks]
    best_at, best = np.empty(0, dtype=np.int64), np.empty(0)
    for rows in row_slices(n):
        total = np.zeros((rows.stop - rows.start, n))
        for grn, scale in zip(networks, scales, strict=True):
            at = grn.var_names.get_indexer(genes)
            total += scale * np.abs(dense_block(single_network(grn), at, rows, self_edges=False))
        if is_directed == {False}:
            total = np.triu(total, k=rows.start + 1)
        found = np.flatnonzero(total)
        values = np.concatenate([best, total.ravel()[found]])
        places = np.concatenate([best_at, found + rows.start * n])
        kept = np.sort(strongest(values, top_edges)) if values.size else np.empty(0, dtype=np.intp)
        best, best_at = values[kept], places[kept]
    if not best.size:
        raise ValueError(f"no network has an edge between the {counted(n, 'shared gene')}: there is nothing to compare")
    return best_at


def weights_of(grn: GRNAnnData, genes: pd.Index, edges: NDArray[np.int64], normalise: bool) -> NDArray[np.float64]:
    """Return the weights of some edges, given as row × genes + column, shape (edges,)."""
    network, at = single_network(grn), grn.var_names.get_indexer(genes)
    sources, targets = (at[places] for places in np.divmod(edges, len(genes)))
    there = (sources >= 0) & (targets >= 0)
    values = np.zeros(edges.size)
    found = network[sources[there], targets[there]]
    values[there] = np.asarray(found, dtype=np.float64).ravel()
    return values * _scale(grn, genes, normalise)


def _scale(grn: GRNAnnData, genes: pd.Index, normalise: bool) -> float:
    total = float(strengths_over(grn, genes, "out", normalise=False).sum()) if normalise else 0.0
    return len(genes) / total if total else 1.0
