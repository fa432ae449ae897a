"""Gene networks from attention."""

from scprint_model.networks.infer import infer

__all__ = ["infer"]
