"""The ordered gene vocabulary that a model is trained on; the tables it is made of are in `tables`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from scdataloader._atomic import atomic_path
from scdataloader._wording import counted
from scdataloader.genes.tables import gene_table, organism_id


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
            raise ValueError(
                f"{counted(len(names), 'gene id occurs', 'gene ids occur')} more than once, such as {names[:3]}"
            )

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

        Mouse *Rho* and human *RHO* thus share what a model learns of either. It stands in for the protein embeddings
        of the paper, which give orthologs nearly the same vector.
        """
        rows: dict[str, int] = {}
        return np.array([rows.setdefault(symbol.upper(), len(rows)) for symbol in self.symbols], dtype=np.int64)

    @classmethod
    def for_organisms(cls, organisms: Sequence[str], *, biotype: str = "protein_coding") -> GeneVocabulary:
        """Build a vocabulary from gene tables: organisms in the given order, genes by Ensembl id inside.

        Parameters
        ----------
        organisms
            Names or taxon ids; see `gene_table` for those that are not packaged.
        biotype
            Biotype of the genes that are taken.

        Raises
        ------
        ValueError
            When an organism has no table, or its table has no gene of the biotype.
        """
        tables = []
        for name in organisms:
            table = gene_table(name)
            chosen = table[table["biotype"] == biotype]
            if chosen.empty:
                kinds = table["biotype"].value_counts().head(5).index.tolist()
                raise ValueError(f"the gene table of {name} has no gene of biotype {biotype!r}: most are {kinds}")
            tables.append(chosen.assign(organism=organism_id(name)))
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
        with atomic_path(path) as temporary:
            frame.to_parquet(temporary, compression="zstd", index=False)

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
