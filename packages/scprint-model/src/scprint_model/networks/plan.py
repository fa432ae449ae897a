"""Options of how networks are made, and the memory that takes; cells and genes come from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse

import grnndata
from grnndata import GRNAnnData
from scprint_model.model import ScPrint
from scprint_model.networks.capture import self_attentions
from scprint_model.networks.heads import Combine, Head, head_names
from scprint_model.networks.pooled import LEAST_PERMUTATIONS
from scprint_model.networks.source import CHUNK_ENTRIES, MEANINGS, Source
from scprint_model.networks.strata import NULLS, Null
from scprint_model.networks.to_network import BLOCK_VALUES, Normalize

Attention = Literal["mean_qk", "mean_attention"]
#: Changes to a finished network, by grnndata's tools.
Step = Literal["apc", "symmetrise", "maximum_spanning_tree", "tmfg"]

#: Steps that leave most edges without a weight.
_SPARSE_STEPS = {"maximum_spanning_tree", "tmfg"}

#: What a network remembers of its standard errors and p-values.
EDGE_NUMBERS = (
    "of the weights as the network holds them: every network that they compare went through the same steps; NaN where "
    "no edge was tested (self edges, genes that were not to be regulators)"
)

#: Tokens of a batch: a core's work fits its cache with few, a GPU is busy with many.
BATCH_TOKENS = {"cpu": 4096, "cuda": 65_536}


@dataclass(frozen=True)
class NetworkPlan:
    """Checked options; see `scprint_model.networks.infer`.

    Raises
    ------
    ValueError
        When an option is unknown, or two do not go together.
    """

    source: Source
    attention: Attention
    heads: tuple[Head, ...]
    combine: Combine
    normalize: Normalize
    top_k: int | None
    steps: tuple[Step, ...]
    stability: int
    permutations: int
    null: Null
    pooled: bool | None
    draws: int
    batch_size: int | None

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("attention", self.attention, get_args(Attention)),
            ("normalize", self.normalize, get_args(Normalize)),
            ("null", self.null, tuple(NULLS)),
            *(("steps", step, get_args(Step)) for step in self.steps),
        ):
            if value not in choices:
                raise ValueError(f"{name}: {value!r} is not one of {choices}")
        if (self.batch_size is not None and self.batch_size < 1) or (self.top_k is not None and self.top_k < 1):
            raise ValueError(f"batch_size={self.batch_size} and top_k={self.top_k} must be at least 1")
        if self.stability < 0 or self.permutations < 0:
            raise ValueError(f"stability={self.stability} and permutations={self.permutations} are numbers, 0 for none")
        if self.draws < 1 or (self.draws > 1 and self.stability):
            raise ValueError(
                f"draws={self.draws} must be at least 1, and 1 with stability={self.stability}: one repeats the cells, "
                "the other divides them"
            )
        if self.stability == 1:
            raise ValueError("stability=1 is one part of the cells, which cannot vary: take 2 or more, or 0")
        if self.attention == "mean_attention" and self.normalize == "none":
            raise ValueError("the mean of attention maps is of softmax: normalize='none' goes with attention='mean_qk'")
        if self.pooled and self._why_counted:
            raise ValueError(
                f"pooled=True needs {self._why_counted}: leave it out, and p-values are counted edge by edge"
            )
        several = self.combine == "all"
        if several and (self.top_k is not None or self.steps):
            raise ValueError("heads='all' keeps a network a head: top_k= and steps= are for one network")
        if (self.stability or self.permutations) and (self.top_k is not None or several):
            raise ValueError(
                "stability= and permutations= keep a dense number for every edge of one network: leave out top_k= "
                "and heads='all', and sparsify the result with grnndata.tl.top_k"
            )

    def check(self, n_cells: Mapping[str, int], n_genes: int, context: int | None) -> None:
        """Compare with what the networks are made of: the cells of each, genes, and those that a cell shows.

        Raises
        ------
        ValueError
            When the options ask for more cells or a larger context.
        """
        smallest = min(n_cells, key=lambda name: n_cells[name])
        least = n_cells[smallest]
        of = f" of {smallest!r}" if smallest else ""
        if least < self.stability:
            raise ValueError(f"stability={self.stability} parts cannot be made of {least} cells{of}: take fewer parts")
        if self.permutations and least < 2:
            raise ValueError(f"permutations= shuffles counts among cells, here is one{of}: leave it out")
        if context is None or context >= n_genes:
            if self.draws > 1:
                raise ValueError(
                    f"draws={self.draws} asks for several draws of genes, but every cell shows all {n_genes:,}: choose "
                    "a smaller context=, or leave it out"
                )
            return
        for option, asked in (
            ("attention='mean_attention'", self.attention == "mean_attention"),
            (f"permutations={self.permutations}", bool(self.permutations)),
        ):
            if asked:
                raise ValueError(
                    f"{option} needs all {n_genes:,} genes in every cell, the context is {context:,}: choose fewer "
                    "genes, a larger context=, or leave it out"
                )

    @property
    def pools(self) -> bool:
        """Whether p-values come of the permutations of all edges together."""
        return not self._why_counted if self.pooled is None else self.pooled

    @property
    def _why_counted(self) -> str:
        if self.permutations < LEAST_PERMUTATIONS:
            return f"permutations of {LEAST_PERMUTATIONS} or more, here are {self.permutations}"
        return "networks without sparse steps, whose weights are mostly 0" if set(self.steps) & _SPARSE_STEPS else ""

    @property
    def passes_a_cell(self) -> int:
        """Number of times that each cell passes through the model."""
        if self.source == "gene_embedding":
            return 0
        return 1 + self.permutations if self.draws == 1 else self.draws

    @property
    def layers(self) -> list[int]:
        """Layers that any of the heads is in."""
        return sorted({layer for layer, _ in self.heads})

    @property
    def n_planes(self) -> int:
        """Heads kept apart in the result; 0: it is one network."""
        return len(self.heads) if self.combine == "all" else 0

    @property
    def has_spread(self) -> bool:
        """Whether there are several draws, and one dense network to say how far their networks lie apart."""
        return self.draws > 1 and self.top_k is None and self.combine != "all"

    @property
    def normalisation(self) -> str:
        """Normalisation of the weights, in words."""
        if self.source != "attention":
            return MEANINGS[self.source]
        return {
            "softmax": "softmax over all tokens that a target may attend to, cell tokens then cut off",
            "sinkhorn": "rows and columns scaled in turn to sums of 1, without the cell tokens",
            "none": "scaled products of queries and keys",
        }[self.normalize]

    def describe(self, model: ScPrint) -> dict[str, Any]:
        """Return the options for ``uns["grn"]["parameters"]``."""
        told = {"source": self.source} | (self._of_attention(model) if self.source == "attention" else {})
        told |= {
            "top_k": 0 if self.top_k is None else self.top_k,
            "stability": self.stability,
            "permutations": self.permutations,
        }
        if self.stability or self.permutations:
            told["edge_numbers"] = EDGE_NUMBERS
        if self.permutations:
            told |= {"null": self.null, "null_meaning": NULLS[self.null]}
        return told

    def _of_attention(self, model: ScPrint) -> dict[str, Any]:
        n_layers, n_heads = len(self_attentions(model)), model.config.n_heads
        every = len(self.heads) == n_layers * n_heads
        return {
            "attention": {
                "mean_qk": "of the mean query and the mean key of each gene",
                "mean_attention": "mean of each cell's attention",
            }[self.attention],
            "heads": f"{self.combine} of all layers and heads" if every else f"{self.combine} of {len(self.heads)}",
            "head_list": [] if every else head_names(self.heads),
            "draws": self.draws,
            "model_layers": n_layers,
            "model_heads": n_heads,
        }

    def cells_a_batch(self, n_tokens: int, device: str) -> int:
        """Return how many cells of so many tokens pass through the model at a time."""
        if self.batch_size is None and self.source == "jacobian":
            return 1  # several directions of each pass together instead
        return self.batch_size or max(1, BATCH_TOKENS.get(device, BATCH_TOKENS["cuda"]) // n_tokens)

    def memory(self, model: ScPrint, n_genes: int, context: int, *, n_networks: int = 1) -> MemoryNeed:
        """Estimate what networks of so many genes take, whose cells show `context` of them."""
        config, n_cell_tokens = model.config, len(model.captured_tokens)
        mean_attention = self.attention == "mean_attention"
        return memory_need(
            n_genes=n_genes,
            n_tokens=n_genes + n_cell_tokens,
            n_layers=len(self.layers),
            n_kept=len(self.heads) if self.combine == "all" or (mean_attention and self.combine == "max") else 1,
            width=config.d_model + (config.n_heads + config.kv_heads) * config.head_dim,
            mean_attention=mean_attention,
            top_k=self.top_k,
            dense_numbers=(self.stability > 0) + (self.permutations > 0) + self.has_spread,
            pooled=self.pools,
            sums_twice=self.stability > 0 or self.permutations > 0 or self.draws > 1,
            batch_tokens=self.cells_a_batch(context + n_cell_tokens, next(model.parameters()).device.type)
            * (context + n_cell_tokens),
            d_model=config.d_model,
            n_networks=n_networks,
            source=self.source,
        )

    def finish(self, network: GRNAnnData) -> GRNAnnData:
        """Apply the steps, in order."""
        for step in self.steps:
            network = getattr(grnndata.tl, step)(network)
        return network

    def finish_weights(self, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        """Apply the steps to a dense matrix of weights; also say whether the result is directed."""
        if not self.steps:
            return weights, True
        finished = self.finish(grnndata.from_matrix(weights, [str(i) for i in range(len(weights))]))
        values = finished.grn
        dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
        return dense.astype(np.float32, copy=False), finished.directed


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that making one network takes, by what for.

    Attributes
    ----------
    n_genes, n_heads
        Of the network; heads that are kept apart count.
    sums
        What is kept while cells are read.
    result
        The network.
    work
        Blocks and the activations of a batch.
    """

    n_genes: int
    n_heads: int
    sums: int
    result: int
    work: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.sums + self.result + self.work

    def check(self, limit: float | None = None) -> None:
        """Compare with what there is, or with `limit` (GB).

        Raises
        ------
        ValueError
            When it is not enough; the message offers ways out.
        """
        available = available_memory() if limit is None else limit * 1e9
        if available is not None and self.total > available:
            raise ValueError(
                f"this network needs {self.total / 1e9:.1f} GB, {available / 1e9:.1f} GB are there: "
                f"{self.n_genes:,} genes x {self.n_genes:,} genes x {self.n_heads} heads x 4 bytes and "
                f"{self.sums / 1e9:.1f} GB of sums. Take fewer genes (n_genes=), heads='mean' or a selection instead "
                "of keeping heads apart, top_k= to keep only the strongest edges, attention='mean_qk', a smaller "
                "batch_size, or state with max_memory= how many GB may be used"
            )


def memory_need(
    *,
    n_genes: int,
    n_tokens: int,
    n_layers: int,
    n_kept: int,
    width: int,
    mean_attention: bool,
    top_k: int | None,
    dense_numbers: int = 0,
    pooled: bool = False,
    sums_twice: bool = False,
    batch_tokens: int,
    d_model: int,
    n_networks: int = 1,
    source: Source = "attention",
) -> MemoryNeed:
    """Estimate what a network takes.

    Parameters
    ----------
    n_genes, n_tokens
        Number of genes of the network, and with the cell tokens.
    n_layers, width
        Layers that are read, and the width of their tokens, queries and keys together.
    n_kept
        Heads kept apart, 1 for their mean.
    mean_attention
        Whether attention maps are kept, not queries and keys.
    top_k
        Edges kept of each target; None: all.
    dense_numbers
        Numbers kept for every edge beside its weight: its error, its p-value.
    pooled
        Whether p-values come of the permutations of all edges together: some 25 numbers an edge in float64.
    sums_twice
        Whether two networks are read at a time.
    batch_tokens, d_model
        Tokens of a batch, and their width.
    n_networks
        Networks that are returned together.
    source
        Source of the networks' weights.
    """
    square = n_genes * n_genes * 4
    # tokens: sums in float64; then queries and keys of their means in float32, and these by head
    sums = n_tokens * n_tokens * 4 * n_kept if mean_attention else n_tokens * n_layers * width * 8
    work = 8 * 4 * BLOCK_VALUES + batch_tokens * d_model * 4 * 12
    if source != "attention":
        sums = n_genes * n_genes * 8
        work = 8 * 4 * max(CHUNK_ENTRIES, n_tokens * n_tokens * n_kept) if source == "jacobian" else 8 * square
    return MemoryNeed(
        n_genes=n_genes,
        n_heads=n_kept,
        sums=sums * (1 + sums_twice),
        result=(n_genes * top_k * 24 if top_k is not None else square * (n_kept + 3 * dense_numbers)) * n_networks,
        work=work + 50 * square * pooled,
    )


def available_memory() -> float | None:
    """Return the bytes of memory that can be had without swapping; None where nobody says."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            used = float((group / "memory.current").read_text(encoding="ascii"))
            stat = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            cached = sum(float(line.split()[1]) for line in stat if line.split()[0] in ("inactive_file", "active_file"))
            found.append(float(limit) - used + cached)
    except OSError:
        pass
    if found:
        return min(found)
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return None
