"""A network in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..blocks import row_blocks
from ..core import GRNAnnData
from ..schema import Network
from ..stored import single_network
from .centrality import degree_of_matrix
from .clustering import clustering_coefficients, triangles_and_degrees
from .communities import leiden
from .components import component_labels
from .degree_distribution import PowerLaw, fit_power_law
from .modularity import modularity


def statistics(grn: GRNAnnData, *, communities: pd.Series | Sequence[Any] | None = None, seed: int = 0) -> pd.Series:
    """Describe a network in numbers.

    Self-edges are counted in ``n_self_edges`` and nowhere else. An undirected edge between two genes is two
    edges. Triangles take O(genes³) in a dense network: keep the edges that matter first, with `top_k` or
    `threshold`.

    Parameters
    ----------
    grn
        The network.
    communities
        Label of every gene for ``modularity``, see `modularity`; those of `leiden` when None.
    seed
        Seed for `leiden`.

    Returns
    -------
    pandas.Series
        float64, named ``statistics``:

        - ``n_genes``, ``n_edges``, ``n_self_edges``;
        - ``density``: share of ordered pairs of genes that are joined;
        - ``mean_degree``: edges per gene;
        - ``reciprocity``: share of edges i → j for which j → i exists;
        - ``clustering``: mean share of pairs of a gene's neighbours that are joined, and ``transitivity``: this
          share over all pairs; both whatever the direction;
        - ``n_weak_components``, ``largest_weak_component``: parts joined by edges of any direction, and genes in
          the largest; ``n_strong_components``, ``largest_strong_component``: joined by paths both ways;
        - ``modularity``: of the 10 strongest edges of every regulator;
        - ``power_law_alpha``, ``power_law_xmin``, ``power_law_ks_distance``, ``power_law_n_tail``: see
          `power_law`, of out-degrees.

        NaN where a number is not defined, as for a network without edges.

    Raises
    ------
    ImportError
        When igraph is not installed.
    ValueError
        When `communities` has no label for some genes.

    References
    ----------
    Newman 2003, The structure and function of complex networks, SIAM Rev. 45:167-256, section III.
    """
    network = single_network(grn)
    n = network.shape[0]
    degrees = degree_of_matrix(network, "out")
    n_edges, n_self = int(degrees.sum()), int(np.count_nonzero(network.diagonal()))
    clustering, transitivity = clustering_coefficients(*triangles_and_degrees(network))
    if communities is None and n_edges:
        communities = leiden(grn, seed=seed)
    fit = fit_power_law(degrees) or PowerLaw(*[np.nan] * 4)  # type: ignore[arg-type]
    values = {
        "n_genes": n,
        "n_edges": n_edges,
        "n_self_edges": n_self,
        "density": _ratio(n_edges, n * (n - 1)),
        "mean_degree": _ratio(n_edges, n),
        "reciprocity": _ratio(_n_reciprocal(network) - n_self, n_edges),
        "clustering": clustering,
        "transitivity": transitivity,
        **_components(network, "weak"),
        **_components(network, "strong"),
        "modularity": np.nan if communities is None else modularity(grn, communities),
        "power_law_alpha": fit.alpha,
        "power_law_xmin": fit.xmin,
        "power_law_ks_distance": fit.ks_distance,
        "power_law_n_tail": fit.n_tail,
    }
    return pd.Series(values, dtype=np.float64, name="statistics")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _n_reciprocal(network: Network) -> int:
    """Count the entries whose transposed entry is there too, the diagonal's included."""
    if sp.issparse(network):
        pattern = network.astype(bool)
        return int(pattern.multiply(pattern.T).nnz)
    dense = np.asarray(network)
    return sum(int(np.count_nonzero((dense[rows] != 0) & (dense.T[rows] != 0))) for rows in row_blocks(dense))


def _components(network: Network, connection: Any) -> dict[str, int]:
    sizes = np.bincount(component_labels(network, connection))
    return {
        f"n_{connection}_components": sizes.size,
        f"largest_{connection}_component": int(sizes.max(initial=0)),
    }
