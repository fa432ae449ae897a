"""Configuration of a benchmark: what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anndata import AnnData

    from bengrn.truths.ground_truth import GroundTruth


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """A method with settings: its installed name, or an object (``module:NAME`` or, in Python, itself)."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    method: Any = None
    label: str = ""
    absolute: bool = False


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Cells that networks are not inferred from, to be predicted: their share, and the column of obs to hold out by."""

    share: float = 0.2
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """A data set: cells in a file (or in memory), and which of its cells, genes and regulators are used."""

    name: str
    path: Path | None = None
    cells: AnnData | None = field(default=None, compare=False)
    gene_list: tuple[str, ...] | None = None
    groupby: str | None = None
    groups: tuple[str, ...] | None = None
    replicates: str | int | None = None
    n_genes: int | None = None
    n_cells: int | None = None
    genes_by: str = "all"
    regulators: tuple[str, ...] | str | None = None
    organism: str = "human"
    layer: str | None = None
    counts: str = "X"
    seed: int = 0
    truths: tuple[TruthEntry, ...] | None = None
    held_out: HeldOut | None = None


@dataclass(frozen=True, kw_only=True)
class TruthEntry:
    """A ground truth: an installed one, edges in a file, or an object."""

    name: str
    truth: str = ""
    path: Path | None = None
    columns: tuple[str, ...] | None = None
    organism: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    loaded: GroundTruth | None = field(default=None, compare=False)
    directed: bool = True


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A network in a file, and the data set and group whose genes it is scored on."""

    name: str
    path: Path
    dataset: str | None = None
    group: str | None = None
    replicate: str | None = None
    network: str | None = None
    columns: tuple[str, ...] | None = None
    duplicates: str = "error"
    missing: str = "error"
    orientation: str = "regulator_target"
    absolute: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """A benchmark: methods × data sets × truths × seeds, and how it is run.

    Attributes
    ----------
    time, memory
        Seconds of a stage and bytes of a process at most; None for no limit.
    """

    methods: tuple[MethodEntry, ...] = ()
    datasets: tuple[DataEntry, ...] = ()
    truths: tuple[TruthEntry, ...] = ()
    networks: tuple[NetworkEntry, ...] = ()
    seeds: tuple[int, ...] = (0,)
    regulators: str = "assayed"
    orientations: tuple[str, ...] = ("as stored", "transposed")
    baselines: bool = True
    bootstrap: int = 200
    permutations: int = 200
    time: float | None = None
    memory: float | None = None
    workers: int | None = None
    threads: int = 1
    out: Path | None = None
    title: str = ""
