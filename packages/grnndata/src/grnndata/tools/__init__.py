"""Tools on networks: ``grnndata.tl``."""

from .apc import apc
from .backbone import maximum_spanning_tree, tmfg
from .betweenness import betweenness
from .camera import camera
from .centralities import centralities
from .centrality import degree, hubs, strength
from .communities import leiden, louvain
from .compare import compare, compare_all
from .consensus import consensus
from .degree_distribution import degree_distribution, power_law
from .differential import differential_edges, differential_hubs
from .differential_cells import (
    differential_edges_of_cells,
    differential_hubs_of_cells,
    differential_overlap_of_cells,
)
from .enrichment import over_representation, prerank
from .known import keep_known
from .modularity import modularity
from .replicate_networks import replicate_networks
from .shared_edges import differential_overlap
from .sparsify import threshold, top_k
from .spectral import eigenvector, hits, pagerank
from .statistics import statistics
from .symmetrise import symmetrise
from .variable_genes import most_variable_genes

__all__ = [
    "apc",
    "betweenness",
    "camera",
    "centralities",
    "compare",
    "compare_all",
    "consensus",
    "degree",
    "degree_distribution",
    "differential_edges",
    "differential_edges_of_cells",
    "differential_hubs",
    "differential_hubs_of_cells",
    "differential_overlap",
    "differential_overlap_of_cells",
    "eigenvector",
    "hits",
    "hubs",
    "keep_known",
    "leiden",
    "louvain",
    "maximum_spanning_tree",
    "modularity",
    "most_variable_genes",
    "over_representation",
    "pagerank",
    "power_law",
    "prerank",
    "replicate_networks",
    "statistics",
    "strength",
    "symmetrise",
    "threshold",
    "tmfg",
    "top_k",
]
