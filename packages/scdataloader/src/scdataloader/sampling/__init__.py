"""Which cells come next: weighted by how rare their labels are, or in order."""

from scdataloader.sampling.weighted import WeightedSampler, group_weights

__all__ = ["WeightedSampler", "group_weights"]
