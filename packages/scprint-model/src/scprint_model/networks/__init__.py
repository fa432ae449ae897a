"""Gene networks from attention."""

from scprint_model.networks.estimate import estimate
from scprint_model.networks.heads import HeadSelection, select_heads
from scprint_model.networks.infer import infer

__all__ = ["HeadSelection", "estimate", "infer", "select_heads"]
