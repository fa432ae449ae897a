"""Gene tables, genome locations, and the ordered gene vocabulary that a model is trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pandas as pd

#: NCBI taxon ids of the organisms whose gene tables are packaged, and the names people write for them.
ORGANISMS = {"NCBITaxon:9606": "human", "NCBITaxon:10090": "mouse"}
_ALIASES = {
    "human": "NCBITaxon:9606",
    "homo sapiens": "NCBITaxon:9606",
    "ncbitaxon:9606": "NCBITaxon:9606",
    "mouse": "NCBITaxon:10090",
    "mus musculus": "NCBITaxon:10090",
    "ncbitaxon:10090": "NCBITaxon:10090",
}
_CHROMOSOME = re.compile(r"^(\d+|X|Y|MT?)$")


def organism_id(name: str) -> str:
    """Return the NCBI taxon id of an organism given by any usual name.

    Parameters
    ----------
    name
        ``"human"``, ``"Homo sapiens"``, ``"NCBITaxon:9606"`` and the same for mouse; case does not matter.

    Raises
    ------
    ValueError
        When there is no gene table for the organism.
    """
    try:
        return _ALIASES[str(name).strip().lower()]
    except KeyError:
        known = ", ".join(f"{label} ({taxon})" for taxon, label in ORGANISMS.items())
        raise ValueError(f"unknown organism {name!r}: there are gene tables for {known}") from None


@lru_cache(maxsize=4)
def gene_table(organism: str) -> pd.DataFrame:
    """Return the packaged gene table of an organism.

    Parameters
    ----------
    organism
        See `organism_id`.

    Returns
    -------
    pandas.DataFrame
        Index ``gene_id`` (Ensembl, no version, sorted); columns ``symbol, biotype, chromosome, start`` (base pairs,
        1-based) and ``location`` (see `location_index`). GENCODE 48 (human) and M37 (mouse). Treat it as read-only:
        it is cached.
    """
    name = f"genes_{ORGANISMS[organism_id(organism)]}.parquet"
    with as_file(files("scdataloader") / "resources" / name) as path:
        return pd.read_parquet(path).set_index("gene_id")


def location_index(chromosomes: np.ndarray, starts: np.ndarray, *, gap: int = 10_000) -> np.ndarray:
    """Return a number for each gene's place along the genome: genes whose starts are close share one.

    Walking along each chromosome, a gene that starts less than `gap` base pairs after the one before it has the same
    location; otherwise the number goes up by one, as it does at each new chromosome. Numbers start at 1.

    Parameters
    ----------
    chromosomes
        Names, shape (n_genes,). 1, 2, ... X, Y, MT come first, in that order, then all others by name.
    starts
        Start of each gene in base pairs, shape (n_genes,).
    gap
        Smallest distance in base pairs that starts a new location.

    Returns
    -------
    numpy.ndarray
        int32, shape (n_genes,), in the order of the input.

    References
    ----------
    Kalfon et al. 2025, Methods, "Expression encoder", 2.
    """

    def rank(name: str) -> tuple[int, int, str]:
        if not _CHROMOSOME.match(name):
            return (2, 0, name)
        return (0, int(name), "") if name.isdigit() else (1, "XYM".index(name[0]), "")

    names = np.asarray(chromosomes).astype(str)
    ordered = {name: i for i, name in enumerate(sorted(set(names), key=rank))}
    chromosome = np.array([ordered[name] for name in names])
    start = np.asarray(starts, dtype=np.int64)
    order = np.lexsort((start, chromosome))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(chromosome[order]) != 0) | (np.diff(start[order]) >= gap)
    out = np.empty(len(order), dtype=np.int32)
    out[order] = np.cumsum(new)
    return out


@dataclass(frozen=True, eq=False)
class GeneVocabulary:
    """The ordered genes that a model knows; a gene's index here is its row in the model's tables.

    Attributes
    ----------
    ids
        Ensembl ids without version, unique.
    symbols
        Gene symbols, same length.
    organisms
        NCBI taxon id of each gene, same length.
    locations
        Genome location index of each gene (see `location_index`), int32.
    """

    ids: tuple[str, ...]
    symbols: tuple[str, ...]
    organisms: tuple[str, ...]
    locations: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.symbols), len(self.organisms), len(self.locations)}
        if len(lengths) != 1:
            raise ValueError(f"ids, symbols, organisms and locations differ in length: {sorted(lengths)}")
        if len(self._index) != len(self.ids):
            repeated = pd.Index(self.ids)
            names = repeated[repeated.duplicated()].unique().tolist()
            raise ValueError(f"{len(names)} gene ids occur more than once, such as {names[:3]}")

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GeneVocabulary):
            return NotImplemented
        same_names = (self.ids, self.symbols, self.organisms) == (other.ids, other.symbols, other.organisms)
        return same_names and bool(np.array_equal(self.locations, other.locations))

    __hash__ = None  # type: ignore[assignment]  # holds an array

    @cached_property
    def _index(self) -> dict[str, int]:
        return {gene: i for i, gene in enumerate(self.ids)}

    def index(self, ids: Iterable[str]) -> np.ndarray:
        """Return the vocabulary index of each gene id, and -1 for those that are not here; int64."""
        return np.fromiter((self._index.get(gene, -1) for gene in ids), dtype=np.int64)

    @cached_property
    def shared_rows(self) -> np.ndarray:
        """Row of an embedding table in which genes of the same (upper-case) symbol share one row; int64.

        Mouse *Rho* and human *RHO* so share what a model learns of either. It stands in for the protein embeddings
        of the paper, which give orthologs nearly the same vector.
        """
        rows: dict[str, int] = {}
        return np.array([rows.setdefault(symbol.upper(), len(rows)) for symbol in self.symbols], dtype=np.int64)

    @classmethod
    def for_organisms(cls, organisms: Sequence[str], *, biotype: str = "protein_coding") -> GeneVocabulary:
        """Build a vocabulary from the packaged tables: organisms in the given order, genes by Ensembl id inside."""
        tables = []
        for name in organisms:
            table = gene_table(name)
            tables.append(table[table["biotype"] == biotype].assign(organism=organism_id(name)))
        joined = pd.concat(tables)
        return cls(
            ids=tuple(joined.index),
            symbols=tuple(joined["symbol"]),
            organisms=tuple(joined["organism"]),
            locations=joined["location"].to_numpy(dtype=np.int32),
        )

    def save(self, path: Path | str) -> None:
        """Write the vocabulary as a parquet table."""
        columns = {
            "gene_id": self.ids,
            "symbol": self.symbols,
            "organism": self.organisms,
            "location": self.locations,
        }
        frame = pd.DataFrame(columns).astype({"organism": "category"})
        frame.to_parquet(path, compression="zstd", index=False)

    @classmethod
    def load(cls, path: Path | str) -> GeneVocabulary:
        """Read what `save` wrote."""
        frame = pd.read_parquet(path)
        return cls(
            ids=tuple(frame["gene_id"]),
            symbols=tuple(frame["symbol"]),
            organisms=tuple(frame["organism"].astype(str)),
            locations=frame["location"].to_numpy(dtype=np.int32),
        )
