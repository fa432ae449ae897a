"""Estimate how long networks will take, and in how much memory, before they are made."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bengrn._wording import counted
from bengrn.inference import Work
from bengrn.methods.method import ELSEWHERE, Method

#: Products of cells and pairs of genes up to which nobody wants to be told.
_SHORT = 10**10
#: Share of the genes, and at least so many, on which a method is tried.
_SHARE, _LEAST = 0.1, 60


@dataclass(frozen=True)
class Effort:
    """Time and memory that networks are expected to take.

    Attributes
    ----------
    n_networks, n_cells, n_genes, n_regulators
        Number of networks, of cells of the largest group, of genes, and of genes with outgoing edges.
    memory
        Bytes of the result.
    seconds
        Expected time; None where the method cannot be tried on a part.
    """

    n_networks: int
    n_cells: int
    n_genes: int
    n_regulators: int
    memory: int
    seconds: float | None

    def __str__(self) -> str:
        """Return this in a sentence."""
        size = (
            f"{counted(self.n_networks, 'network')} of {self.n_regulators:,} regulators × {self.n_genes:,} genes from "
            f"at most {self.n_cells:,} cells: {self.memory / 1e6:,.3g} MB"
        )
        return size if self.seconds is None else f"{size}, about {duration(self.seconds)}"


def estimate(work: Work, *, seed: int = 0) -> Effort:
    """Estimate what networks take, from one over a tenth of the genes and of the regulators.

    Parameters
    ----------
    work
        Plan of :func:`bengrn.inference.plan`.
    seed
        Seed for the choice of genes and for the method.

    Returns
    -------
    Effort
        The time is that of the pilot, times how many more pairs of genes there are (for methods whose time grows with
        a higher power of the number of genes, by that power), times the share of the cells. It can be off by a factor
        of two.
    """
    sizes = [len(at) for at in work.groups.values()]
    n_genes = work.cells.n_vars
    n_regulators = work.n_regulators
    told = (len(sizes), max(sizes), n_genes, n_regulators, work.memory)
    if not isinstance(work.method, Method):
        return Effort(*told, None)
    largest = work.cells[max(work.groups.values(), key=len)]
    rng = np.random.default_rng(seed)
    some = rng.permutation(n_genes)[: max(_LEAST, int(_SHARE * n_genes))]
    names = None
    if work.regulators is not None:
        chosen = rng.permutation(work.regulators)[: max(_LEAST // 2, int(_SHARE * n_regulators))]
        some = np.union1d(some, work.cells.var_names.get_indexer(pd.Index(chosen)))
        names = chosen.tolist()
    part = largest[:, np.sort(some)].copy()
    here = {name: None for name in ELSEWHERE[1:] if name in work.method.defaults}  # a pilot is kept nowhere
    method = work.method.with_settings(**here)
    start = time.perf_counter()
    try:
        method.infer(part, regulators=names, rng=seed)
    except (
        ValueError
    ):  # a part may lack counts that the whole has, and what the whole lacks is told when it is inferred
        return Effort(*told, None)
    taken = time.perf_counter() - start
    tried = part.n_vars * (part.n_vars if names is None else len(names))
    more = (n_genes * n_regulators / tried) ** (work.method.growth / 2)
    return Effort(*told, taken * max(more, 1.0) * sum(sizes) / max(sizes))


def is_long(work: Work) -> bool:
    """Say whether networks may take so long that one wants to know before."""
    return work.cells.n_obs * work.cells.n_vars * work.n_regulators > _SHORT


def duration(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 1:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
