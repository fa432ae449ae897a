"""A ground truth: the edges held to be true, the genes it can speak about, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bengrn._wording import counted, listed

_ID_COLUMNS = ("source_id", "target_id")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Edges held to be true.

    Build one with :meth:`from_edges`, which checks the table.

    Attributes
    ----------
    name
        Short name, printed beside scores.
    edges
        One row an edge: ``source`` (regulator) and ``target``; optionally ``source_id`` and ``target_id``
        (the same genes in a second naming, usually Ensembl ids), ``sign`` (1 activates, -1 represses, 0 not
        stated), ``kind``.
    genes, gene_ids
        Every gene the truth can speak about, in the naming of ``source`` and of ``source_id``; None where it
        does not say, and then every gene of a network counts as known.
    organism
        "human", "mouse", ...
    directed
        Whether source → target says nothing about target → source. Edges of an undirected truth count both
        ways.
    citation, licence, version
        Where it comes from, on which terms, and which release.
    orientation
        Which orientation of a network to score against it, in words.
    part
        Part of its source that it holds, in words; empty where it holds all of it, or does not say.
    guessed
        What was guessed when its file was read, in words; empty where nothing was.
    """

    name: str
    edges: pd.DataFrame
    genes: frozenset[str] | None = None
    gene_ids: frozenset[str] | None = None
    organism: str = "human"
    directed: bool = True
    citation: str = ""
    licence: str = ""
    version: str = ""
    orientation: str = ""
    part: str = ""
    guessed: str = ""

    @classmethod
    def from_edges(
        cls,
        table: pd.DataFrame,
        *,
        name: str = "custom",
        genes: Iterable[str] | None = None,
        gene_ids: Iterable[str] | None = None,
        organism: str = "human",
        directed: bool = True,
        citation: str = "",
        licence: str = "",
        version: str = "",
        orientation: str = "",
        part: str = "",
    ) -> GroundTruth:
        """Make a ground truth of a table of edges.

        Parameters
        ----------
        table
            DataFrame with columns ``source`` and ``target``, and the optional ones of the class. Further
            columns are kept. Duplicate rows and self edges may stay: scoring merges and drops them, and
            counts them.
        genes, gene_ids
            Every gene the truth knows, also those without a true edge; see the class.
        name, organism, directed, citation, licence, version, orientation, part
            See the class.

        Raises
        ------
        ValueError
            If a column is missing, the table is empty, a name is missing, or `genes` lacks a gene of an edge.

        Examples
        --------
        >>> import pandas as pd
        >>> table = pd.DataFrame({"source": ["TP53", "TP53"], "target": ["CDKN1A", "MDM2"]})
        >>> len(GroundTruth.from_edges(table, name="two edges"))
        2
        """
        missing = [column for column in ("source", "target") if column not in table.columns]
        if missing:
            raise ValueError(f"a truth needs the columns source and target; [{listed(table.columns)}] lacks {missing}")
        if table.empty:
            raise ValueError(f"the truth {name!r} has no edge: nothing can be scored against it")
        given = [column for column in _ID_COLUMNS if column in table.columns]
        if len(given) == 1:
            raise ValueError(
                f"the truth {name!r} has the column {given[0]} only: give both {' and '.join(_ID_COLUMNS)}"
            )
        columns = ["source", "target", *given]
        unnamed = table[columns].isna().any(axis=1) | (table[columns] == "").any(axis=1)
        if unnamed.any():
            raise ValueError(
                f"{int(unnamed.sum()):,} of {len(table):,} edges of the truth {name!r} lack a gene name in "
                f"{columns}: drop those rows (first: row {table.index[unnamed][0]!r})"
            )
        edges = table.reset_index(drop=True)
        edges[columns] = edges[columns].astype(str)
        if gene_ids is not None and not given:
            raise ValueError(f"the truth {name!r} states gene_ids but its edges have no {' and '.join(_ID_COLUMNS)}")
        return cls(
            name=name,
            edges=edges,
            genes=_stated(genes, edges, "source", "target", name),
            gene_ids=_stated(gene_ids, edges, *_ID_COLUMNS, name),
            organism=organism,
            directed=directed,
            citation=citation,
            licence=licence,
            version=version,
            orientation=orientation,
            part=part,
        )

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        columns: Sequence[str | int] | None = None,
        separator: str | None = None,
        name: str | None = None,
        genes: Iterable[str] | None = None,
        organism: str = "human",
        directed: bool = True,
        citation: str = "",
        licence: str = "",
        version: str = "",
        orientation: str = "",
        part: str = "",
    ) -> GroundTruth:
        """Read a ground truth from an edge table on disk.

        Parameters
        ----------
        path
            csv, tsv, white-space separated text or parquet, compressed or not, with or without a header: both
            "TF, target" files and BEELINE's refNetwork.csv (Gene1, Gene2, Type) are understood. Or another file that
            :func:`grnndata.read_edges` reads, such as a matrix, regulons in a gmt file or a base GRN.
        columns, separator
            See :func:`bengrn.truths.edge_file.read_edge_file`.
        name
            Default: the file's name.
        genes, organism, directed, citation, licence, orientation, part
            See the class.
        version
            Release of the truth. Default: the first digits of the hash (sha256) of what the file holds.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If it holds no table of edges; see :meth:`from_edges`.
        """
        from bengrn.fetch import content_hash
        from bengrn.truths.edge_file import read_edge_file

        edges = read_edge_file(path, columns=columns, separator=separator)
        truth = cls.from_edges(
            edges,
            name=Path(path).name.split(".")[0] if name is None else name,
            genes=genes,
            organism=organism,
            directed=directed,
            citation=citation,
            licence=licence,
            version=version or f"sha256:{content_hash(Path(path))[:12]}",
            orientation=orientation,
            part=part,
        )
        return replace(truth, guessed="; ".join(edges.attrs.get("notes", [])))

    def __len__(self) -> int:
        """Return the number of rows of the edge table."""
        return len(self.edges)

    def __repr__(self) -> str:
        """Say what it is in one line."""
        known = "all" if self.genes is None else f"{len(self.genes):,}"
        return f"GroundTruth({self.name!r}, {self.organism}, {len(self):,} edges, {known} genes known)"

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader of a score against it, one sentence each."""
        part = (f"the truth holds a part: {self.part}",) if self.part else ()
        return part + ((f"read from the file of the truth: {self.guessed}",) if self.guessed else ())

    @property
    def namings(self) -> list[tuple[str, str]]:
        """Pairs of columns that name an edge's genes: always source and target, and the ids where given."""
        namings = [("source", "target")]
        if _ID_COLUMNS[0] in self.edges.columns:
            namings.append(_ID_COLUMNS)
        return namings

    def known(self, naming: tuple[str, str]) -> frozenset[str] | None:
        """Return the genes the truth can speak about in one of its :attr:`namings`; None where it does not say."""
        return self.genes if naming == ("source", "target") else self.gene_ids


def _stated(
    genes: Iterable[str] | None, edges: pd.DataFrame, source: str, target: str, name: str
) -> frozenset[str] | None:
    if genes is None:
        return None
    known = frozenset(map(str, genes))
    named = (edges[column].to_numpy(dtype=object) for column in (source, target))
    outside = sorted(set().union(*named) - known)
    if outside:
        raise ValueError(
            f"{counted(len(outside), 'gene')} with edges in the truth {name!r} but not among its {len(known):,} genes "
            f"(first: {', '.join(outside[:3])}): add them, or drop their edges"
        )
    return known
