"""Gene networks from attention."""

from scprint_model.networks.heads import HeadSelection
from scprint_model.networks.infer import infer
from scprint_model.networks.select import select_heads

__all__ = ["HeadSelection", "infer", "select_heads"]
