"""Plots of networks: ``grnndata.pl``. They need matplotlib, which is imported when a plot is drawn."""

from .degree import degree_distribution
from .differential import differential, differential_hubs
from .enrichment import enrichment
from .hubs import hubs
from .interactive import network_html
from .matrix import matrix
from .network import subnetwork

__all__ = [
    "degree_distribution",
    "differential",
    "differential_hubs",
    "enrichment",
    "hubs",
    "matrix",
    "network_html",
    "subnetwork",
]
