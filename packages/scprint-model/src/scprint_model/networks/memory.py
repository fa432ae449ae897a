"""How much memory a network will need, told before it is begun."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scprint_model.networks.attention import BLOCK_VALUES


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
                "of keeping heads apart, sparsify= to keep only the strongest edges, attention='mean_qk', a smaller "
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
    sums_twice: bool = False,
    batch_tokens: int,
    d_model: int,
    n_networks: int = 1,
) -> MemoryNeed:
    """Estimate what a network takes.

    Parameters
    ----------
    n_genes, n_tokens
        Of the network, and with the cell tokens.
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
    sums_twice
        Whether two networks are read at a time.
    batch_tokens, d_model
        Tokens of a batch, and their width.
    n_networks
        Networks that are returned together.
    """
    square = n_genes * n_genes * 4
    # tokens: sums in float64; then queries and keys of their means in float32, and these by head
    sums = n_tokens * n_tokens * 4 * n_kept if mean_attention else n_tokens * n_layers * width * 8
    return MemoryNeed(
        n_genes=n_genes,
        n_heads=n_kept,
        sums=sums * (1 + sums_twice),
        result=(n_genes * top_k * 24 if top_k is not None else square * (n_kept + 3 * dense_numbers)) * n_networks,
        work=8 * 4 * BLOCK_VALUES + batch_tokens * d_model * 4 * 12,
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
