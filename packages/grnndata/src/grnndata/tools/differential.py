"""Genes whose strength differs between two networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ..core import GRNAnnData
from ..ranking import check_count
from ..schema import Network, is_sparse
from ..stored import single_network
from .align import dense_block, over_genes, row_slices, shared_genes
from .centrality import Direction

# Weights are float32: sums of them that differ by less are equal, as are a sum and its permutations.
_TOLERANCE = 1e-7
# Permutations at a time: the working arrays have genes × this many entries.
_CHUNK_SPARSE = 64
_CHUNK_DENSE = 1024


def differential_hubs(
    a: GRNAnnData,
    b: GRNAnnData,
    *,
    direction: Direction = "out",
    n_permutations: int = 1000,
    seed: int = 0,
    normalise: bool = True,
) -> pd.DataFrame:
    """Find genes that are stronger hubs in one of two networks.

    A gene's strength is the sum of the absolute weights of its edges with the other shared genes. Under the
    null hypothesis it does not matter which network an edge's weight comes from, so the two weights of each
    edge may be swapped: the difference of strengths, a sum over edges of the difference of absolute weights
    d, becomes a sum of ± d with random signs. The p-value is ``(1 + m) / (1 + n_permutations)``, where m of
    the permutations give a difference at least as large in absolute value.

    One set of random signs serves all genes. The test of each gene is valid; tests of different genes depend
    on each other, through these signs and through the networks themselves, as q-values by the method of
    Benjamini and Hochberg allow for positive dependence only. Edges of one gene are treated as independent:
    networks in which they are not (a regulator's weights that all scale with its expression, say) give
    p-values that are too small.

    Parameters
    ----------
    a, b
        The networks; genes are matched by ``var_names``.
    direction
        ``"out"``: edges in which the gene is the regulator; ``"in"``: the target.
    n_permutations
        How many; the smallest possible p-value is 1 / (1 + n_permutations).
    seed
        Of the random signs; the same seed gives the same table, and the same p-values for ``(b, a)``.
    normalise
        Scale each network so that strengths over the shared genes have mean 1; a network without edges stays
        as it is. Without it, networks of methods with different scales differ in every gene.

    Returns
    -------
    pandas.DataFrame
        One row for every shared gene, largest absolute difference first, ties by gene name; columns ``gene``,
        ``symbol`` (where ``var`` of `a` has it), ``strength_a, strength_b, difference`` (a minus b),
        ``p_value, q_value``. A gene without edges has p-value 1.

    Raises
    ------
    ValueError
        When no gene is shared, gene names repeat, `direction` is unknown or `n_permutations` is not a
        positive whole number.

    References
    ----------
    Sign-flip test of paired values: Fisher 1935, The Design of Experiments, section 21; p-value: Phipson and
    Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39; q-value: Benjamini and Hochberg 1995, J. R. Stat. Soc. B
    57:289-300.
    """
    check_count(n_permutations, "n_permutations")
    if direction not in ("out", "in"):
        raise ValueError(f"direction must be 'out' (as regulator) or 'in' (as target), got {direction!r}")
    genes = shared_genes({"a": a, "b": b})
    if not a.var_names.equals(b.var_names):
        genes = genes.sort_values()  # an order that does not depend on which network comes first
    strength_a, strength_b, p_values = _differential_of_matrices(
        (single_network(a), single_network(b)),
        (a.var_names.get_indexer(genes), b.var_names.get_indexer(genes)),
        axis=0 if direction == "out" else 1,
        n_permutations=n_permutations,
        rng=np.random.default_rng(seed),
        normalise=normalise,
    )
    from scipy.stats import false_discovery_control  # takes a second to import

    table = pd.DataFrame({"gene": genes})
    if "symbol" in a.var:
        table["symbol"] = a.var["symbol"].astype(str).loc[genes].to_numpy()
    table = table.assign(
        strength_a=strength_a,
        strength_b=strength_b,
        difference=strength_a - strength_b,
        p_value=p_values,
        q_value=false_discovery_control(p_values),
    )
    order = np.lexsort((genes.to_numpy(dtype=object), -table["difference"].abs().to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _differential_of_matrices(
    networks: tuple[Network, Network],
    places: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    axis: int,
    n_permutations: int,
    rng: np.random.Generator,
    normalise: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return both strengths and the p-value of every gene, each shape (genes,)."""
    n = places[0].size
    sparse = all(is_sparse(network) for network in networks)
    pieces = [slice(0, n)] if sparse else row_slices(n)

    def sizes(which: int, rows: slice) -> sp.csr_array | NDArray[np.float64]:
        network, at = networks[which], places[which]
        if sparse:
            return _absolute_sparse(over_genes(network, at), axis)
        return np.abs(dense_block(network, at, rows, axis=axis, self_edges=False)).astype(np.float64)

    strengths, scales = [], []
    for which in (0, 1):
        strength = np.concatenate([np.asarray(sizes(which, rows).sum(axis=1)) for rows in pieces])
        total = float(strength.sum())
        scales.append(n / total if normalise and total else 1.0)
        strengths.append(strength * scales[-1])

    def differences(rows: slice) -> sp.csr_array | NDArray[np.float64]:
        return sizes(0, rows) * scales[0] - sizes(1, rows) * scales[1]

    whole = differences(pieces[0]) if sparse else None
    reached = np.abs(strengths[0] - strengths[1]) - _TOLERANCE * (strengths[0] + strengths[1])
    at_least = np.zeros(n, dtype=np.int64)
    for signs in _signs(n, n_permutations, _CHUNK_SPARSE if sparse else _CHUNK_DENSE, rng):
        for rows in pieces:
            permuted = np.abs((differences(rows) if whole is None else whole) @ signs)
            at_least[rows] += (permuted >= reached[rows, None]).sum(axis=1)
    return strengths[0], strengths[1], (1 + at_least) / (1 + n_permutations)


def _absolute_sparse(network: Network, axis: int) -> sp.csr_array:
    """Return absolute weights without self-edges; transposed when `axis` is 1."""
    coo = sp.coo_array(network)
    kept = coo.row != coo.col
    index = (coo.row[kept], coo.col[kept])
    return sp.csr_array((np.abs(coo.data[kept], dtype=np.float64), index[::-1] if axis else index), shape=coo.shape)


def _signs(n_genes: int, n_permutations: int, chunk: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield ± 1 for every partner and permutation, shape (genes, up to `chunk`), the same ones for any chunk."""
    words = -(-n_genes // 64)
    for start in range(0, n_permutations, chunk):
        n = min(chunk, n_permutations - start)
        drawn = rng.integers(0, 2**64, size=(n, words), dtype=np.uint64, endpoint=False)
        bits = np.unpackbits(drawn.view(np.uint8), axis=1, count=n_genes)
        yield np.where(np.ascontiguousarray(bits.T), 1.0, -1.0)
