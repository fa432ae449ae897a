"""Samplers say which cells come next: weighted by how rare their labels are, at random, once each, or in order.

Every sampler is a pure function of its seed, the epoch and the place of a draw: ``sampler.indices(begin, end)``.
"""

from scdataloader.sampling.batches import Batches
from scdataloader.sampling.design_effect import design_effect
from scdataloader.sampling.groups import Groups
from scdataloader.sampling.pool import BlockSampler, SequentialSampler, ShuffledSampler, UniformSampler
from scdataloader.sampling.ranks import Interleaved, Place, Share
from scdataloader.sampling.runs import DatasetRuns
from scdataloader.sampling.sampler import Sampler
from scdataloader.sampling.stratified import StratifiedSampler
from scdataloader.sampling.weighted import WeightedSampler, group_weights

__all__ = [
    "Batches",
    "BlockSampler",
    "DatasetRuns",
    "Groups",
    "Interleaved",
    "Place",
    "Sampler",
    "SequentialSampler",
    "Share",
    "ShuffledSampler",
    "StratifiedSampler",
    "UniformSampler",
    "WeightedSampler",
    "design_effect",
    "group_weights",
]
