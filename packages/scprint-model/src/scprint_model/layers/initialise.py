"""Starting values of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from scprint_model.layers.block import Block
from scprint_model.layers.bottleneck import Bottleneck
from scprint_model.layers.class_head import AllTokensHead, ClassHead
from scprint_model.layers.value_encoder import ValueEncoder

WEIGHT_STD = 0.02


def initialise(model: nn.Module, stacks: Sequence[nn.ModuleList], *, class_bias: float) -> None:
    """Draw all weights, in place.

    Linear and embedding weights are N(0, 0.02) with zero bias; the two layers of each block which write to
    the residual stream are smaller by √(2 n) in a stack of n blocks, so that the stream's variance does not grow
    with depth; class heads start with `class_bias`, below zero, since most labels are wrong for most cells; the
    value encoders' first bias is spread and the bottlenecks start between their codes (see there).
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=WEIGHT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=WEIGHT_STD)
    # Second pass: these children were set in the first.
    for stack in stacks:
        std = WEIGHT_STD / math.sqrt(2 * len(stack))
        for block in stack:
            if isinstance(block, Block):
                nn.init.normal_(block.attention.out.weight, std=std)
                nn.init.normal_(block.mlp.fc2.weight, std=std)
    for module in model.modules():
        if isinstance(module, ClassHead | AllTokensHead):
            nn.init.constant_(module.out.bias, class_bias)
        elif isinstance(module, ValueEncoder):
            module.spread_first_bias()
        elif isinstance(module, Bottleneck):
            module.start_between_codes()
