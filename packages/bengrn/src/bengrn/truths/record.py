"""A record of what is known about a ground truth before it is read: its source, its terms, its size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from bengrn.fetch import Source
from bengrn.truths.ground_truth import GroundTruth

#: Numbers of the organisms in the NCBI taxonomy, by which some sources name their files.
TAXA = {"human": 9606, "mouse": 10090}


@dataclass(frozen=True)
class TruthRecord:
    """One ground truth for one organism, with one choice of options.

    Attributes
    ----------
    name, organism, options
        What to give :func:`bengrn.load_truth`: ``load_truth(name, organism, **options)``.
    title
        One line on what it holds.
    citation, licence, version
        Where it comes from, on which terms, and which release.
    may_ship
        Whether the licence lets the package carry it.
    edges, regulators, targets, genes
        Its size as read with these options: rows, distinct sources and targets, and genes it states to know.
        None where it was never read, or where it states no genes.
    directed, signed
        Whether source → target says nothing of the reverse; whether edges carry a sign.
    orientation
        Which orientation of a network to score against it, and why.
    paper_transpose
        The value of ``transpose`` that corresponds to the paper's tables (Kalfon et al. 2025, "Normalization
        and network interpretation"); None where the paper does not use this truth.
    knows
        Which genes it can speak about: those alone are scored.
    part
        Part of the source that it holds, in words; empty where it holds all of it.
    sources
        The files it is read from.
    bundled
        Whether it comes with the package.
    """

    name: str
    title: str
    citation: str
    licence: str
    version: str
    organism: str = "human"
    options: Mapping[str, object] = field(default_factory=dict)
    may_ship: bool = False
    edges: int | None = None
    regulators: int | None = None
    targets: int | None = None
    genes: int | None = None
    directed: bool = True
    signed: bool = False
    orientation: str = ""
    paper_transpose: bool | None = None
    knows: str = "it does not say: every gene of the network counts"
    part: str = ""
    sources: tuple[Source, ...] = ()
    bundled: bool = False

    def truth(
        self,
        edges: pd.DataFrame,
        *,
        name: str | None = None,
        genes: Iterable[str] | None = None,
        gene_ids: Iterable[str] | None = None,
        version: str | None = None,
        part: str | None = None,
    ) -> GroundTruth:
        """Make the ground truth of its edges, with this record's terms."""
        return GroundTruth.from_edges(
            edges,
            name=name or self.name,
            genes=genes,
            gene_ids=gene_ids,
            organism=self.organism,
            directed=self.directed,
            citation=self.citation,
            licence=self.licence,
            version=version or self.version,
            part=self.part if part is None else part,
            orientation=self.orientation,
        )


AS_STORED = (
    "score it as stored (row = regulator, transpose=False): few regulators with many targets each, the shape most "
    "methods' networks have"
)


def only(value: object, allowed: Iterable[object], option: str) -> None:
    """Refuse a value of an option that does not exist.

    Raises
    ------
    ValueError
        If `value` is not one of `allowed`; the message lists them.
    """
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{option}={value!r} does not exist; choose from {', '.join(map(repr, choices))}")
