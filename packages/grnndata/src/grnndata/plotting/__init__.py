"""Plots of networks: ``grnndata.pl``. They need matplotlib, which is imported when a plot is drawn."""

from .hubs import hubs
from .network import subnetwork

__all__ = ["hubs", "subnetwork"]
