"""How networks are made, apart from the cells and genes they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import grnndata
from grnndata import GRNAnnData
from scprint_model.model import ScPrint
from scprint_model.networks.attention import Combine, Head, Normalize
from scprint_model.networks.heads import head_names
from scprint_model.networks.listen import self_attentions
from scprint_model.networks.memory import MemoryNeed, memory_need

Attention = Literal["mean_qk", "mean_attention"]
#: Changes to a finished network, by grnndata's tools.
Step = Literal["apc", "symmetrise", "maximum_spanning_tree", "tmfg"]


@dataclass(frozen=True)
class NetworkPlan:
    """Checked options; see `scprint_model.networks.infer`.

    Raises
    ------
    ValueError
        When an option is unknown, or two do not go together.
    """

    attention: Attention
    heads: tuple[Head, ...]
    combine: Combine
    normalize: Normalize
    sparsify: int | None
    steps: tuple[Step, ...]
    stability: int
    batch_size: int

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("attention", self.attention, get_args(Attention)),
            ("normalize", self.normalize, get_args(Normalize)),
            *(("steps", step, get_args(Step)) for step in self.steps),
        ):
            if value not in choices:
                raise ValueError(f"{name}: {value!r} is not one of {choices}")
        if self.batch_size < 1 or (self.sparsify is not None and self.sparsify < 1) or self.stability < 0:
            raise ValueError(
                f"batch_size={self.batch_size} and sparsify={self.sparsify} must be at least 1, "
                f"stability={self.stability} at least 2, or 0"
            )
        if self.stability == 1:
            raise ValueError("stability=1 is one part of the cells, which cannot vary: take 2 or more, or 0")
        if self.attention == "mean_attention" and self.normalize == "none":
            raise ValueError("the mean of attention maps is of softmax: normalize='none' goes with attention='mean_qk'")
        several = self.combine == "all"
        if several and (self.sparsify is not None or self.steps):
            raise ValueError("heads='all' keeps a network a head: sparsify= and steps= are for one network")
        if self.stability and (self.sparsify is not None or several):
            raise ValueError(
                "stability= keeps a dense error for every edge of one network: leave out sparsify= and heads='all', "
                "and sparsify the result with grnndata.tl.top_k"
            )

    @property
    def layers(self) -> list[int]:
        """Layers that any of the heads is in."""
        return sorted({layer for layer, _ in self.heads})

    @property
    def n_planes(self) -> int:
        """Heads kept apart in the result; 0: it is one network."""
        return len(self.heads) if self.combine == "all" else 0

    @property
    def normalisation(self) -> str:
        """What was done to the weights, in words."""
        return {
            "softmax": "softmax over all tokens that a target may attend to, cell tokens then cut off",
            "sinkhorn": "rows and columns scaled in turn to sums of 1, without the cell tokens",
            "none": "scaled products of queries and keys",
        }[self.normalize]

    def describe(self, model: ScPrint) -> dict[str, Any]:
        """Return the options for ``uns["grn"]["parameters"]``."""
        n_layers, n_heads = len(self_attentions(model)), model.config.n_heads
        every = len(self.heads) == n_layers * n_heads
        return {
            "attention": {
                "mean_qk": "of the mean query and the mean key of each gene",
                "mean_attention": "mean of each cell's attention",
            }[self.attention],
            "heads": f"{self.combine} of all layers and heads" if every else f"{self.combine} of {len(self.heads)}",
            "head_list": [] if every else head_names(self.heads),
            "sparsify": 0 if self.sparsify is None else self.sparsify,
            "stability": self.stability,
            "model_layers": n_layers,
            "model_heads": n_heads,
        }

    def memory(self, model: ScPrint, n_genes: int, context: int, *, n_networks: int = 1) -> MemoryNeed:
        """Estimate what networks of so many genes take, whose cells show `context` of them."""
        config, n_cell_tokens = model.config, len(model.captured_tokens)
        mean_attention = self.attention == "mean_attention"
        return memory_need(
            n_genes=n_genes,
            n_tokens=n_genes + n_cell_tokens,
            n_layers=len(self.layers),
            n_kept=len(self.heads) if self.combine == "all" or (mean_attention and self.combine == "max") else 1,
            width=(config.n_heads + config.kv_heads) * config.head_dim,
            mean_attention=mean_attention,
            top_k=self.sparsify,
            stability=self.stability > 0,
            batch_tokens=self.batch_size * (context + n_cell_tokens),
            d_model=config.d_model,
            n_networks=n_networks,
        )

    def finish(self, network: GRNAnnData) -> GRNAnnData:
        """Apply the steps, in order."""
        for step in self.steps:
            network = getattr(grnndata.tl, step)(network)
        return network
