"""Tools on networks: ``grnndata.tl``."""

from .centrality import hubs, strength
from .communities import louvain
from .sparsify import top_k

__all__ = ["hubs", "louvain", "strength", "top_k"]
