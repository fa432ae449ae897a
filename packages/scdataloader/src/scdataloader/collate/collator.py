"""Rows of cells in, a mini-batch out: which genes, and in which format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from scdataloader.batch import Batch
from scdataloader.collate.expressed import most_expressed, random_expressed
from scdataloader.collate.geneformer import Geneformer, rank_value
from scdataloader.collate.listed import all_measured, given_genes
from scdataloader.collate.rows import CellRow, Context, Panel
from scdataloader.collate.scprint import ScPrint
from scdataloader.collate.variable import most_variable
from scdataloader.genes import GeneVocabulary

#: How the genes of a context may be chosen.
CHOICES = ("random_expressed", "most_expressed", "most_variable", "given", "all")
#: Those that take the number of genes from a list, not from the context.
_LISTS = ("given", "all")
#: Those that give all cells of a data set the same genes.
_FIXED = ("most_variable", *_LISTS)


class Format(Protocol):
    """How chosen genes become a batch: `ScPrint`, `ScGPT`, `Geneformer`, or your own."""

    @property
    def usable(self) -> np.ndarray | None:
        """Which genes of the vocabulary it knows, bool; None: all."""

    @property
    def n_special(self) -> int:
        """Places of the context that are not for genes."""

    def batch(self, contexts: Sequence[Context], *, masked: bool) -> Batch:
        """Return the batch; `masked` where cells may differ in length."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Collator:
    """Turns cells into a mini-batch; needs neither Lightning nor a database.

    Parameters
    ----------
    vocabulary
        The genes that batches are made of.
    context
        Places per cell, also those of special tokens such as ``<cls>``; the paper uses 2,200. None only for the choices
        ``"given"`` and ``"all"``, whose lists decide; there it is an upper limit.
    choice
        ``"random_expressed"`` (the default), ``"most_expressed"``, ``"most_variable"``, ``"given"`` or ``"all"``. For
        Geneformer, which ranks a cell's genes itself, leave it None. Genes that a data set did not measure are never
        chosen.
    genes
        Ids of the vocabulary: the list of ``"given"``, in whose order they come, or a ranking for ``"most_variable"``,
        most variable first (None: each data set its own, see `variance_ranking`).
    missing
        What to do where a data set did not measure a gene of the list: ``"error"``, or ``"mask"`` it.
    variable_context
        False: every cell has exactly as many genes as the context, filled up with unexpressed ones. True: as many as
        it expresses (or its data set measured), the context at most; the batch is as wide as its longest cell and
        has a ``mask``.
    min_context
        Each batch draws its context anew between this and `context`; for training.
    format
        `ScPrint` (the default), `ScGPT` or `Geneformer`.
    seed
        Of the genes drawn: with the indices of the batch for random genes, so that a cell shows others the next time it
        is drawn; with the cell's own index for the others, where chance only breaks ties. No worker, rank or order of
        calls changes them.

    Raises
    ------
    ValueError
        For options that do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from scdataloader import GeneVocabulary
    >>> from scdataloader.collate import CellRow, Collator
    >>> vocabulary = GeneVocabulary.for_organisms(["human"])
    >>> collate = Collator(vocabulary=vocabulary, context=2, choice="most_expressed")
    >>> panel = collate.panel("mine", np.arange(100))
    >>> row = CellRow(np.array([3, 5, 8]), np.array([2, 9, 4]), 15, np.array([0]), dataset=0, index=0, panel=panel)
    >>> collate([row])["counts"]
    tensor([[9., 4.]])
    """

    vocabulary: GeneVocabulary = field(repr=False)
    context: int | None = None
    choice: str | None = None
    genes: Sequence[str] | None = field(default=None, repr=False)
    missing: str = "error"
    variable_context: bool = False
    min_context: int | None = None
    format: Format = field(default_factory=ScPrint, repr=False)
    seed: int = 0

    def __post_init__(self) -> None:
        ranked = isinstance(self.format, Geneformer)
        if ranked and self.choice is not None:
            raise ValueError(f"Geneformer ranks the genes itself: leave out choice={self.choice!r}")
        if not ranked and self.gene_choice not in CHOICES:
            raise ValueError(f"choice={self.choice!r} is not one of {CHOICES}")
        if self.missing not in ("error", "mask"):
            raise ValueError(f"missing={self.missing!r} is neither 'error' nor 'mask'")
        if self.missing == "mask" and self.gene_choice != "given":
            raise ValueError(f"missing='mask' goes with choice='given', not with {self.gene_choice!r}")
        if (self.genes is None) == (self.gene_choice == "given"):
            if self.genes is None:
                raise ValueError("choice='given' needs genes: the ids to choose")
            if self.gene_choice != "most_variable":
                raise ValueError(f"genes are for the choices 'given' and 'most_variable', not {self.gene_choice!r}")
        self._check_context()
        _ = self._listed  # unknown genes are named here, not at the first batch

    def _check_context(self) -> None:
        least = 1 + self.format.n_special
        if self.context is None:
            if self.gene_choice not in _LISTS:
                raise ValueError(f"choice={self.gene_choice!r} needs a context: the number of genes per cell")
        elif self.context < least:
            raise ValueError(f"context={self.context} is too small: it has to hold {least} at least")
        if self.variable_context and self.gene_choice in _LISTS:
            raise ValueError(f"choice={self.gene_choice!r} takes all of its genes: leave out variable_context")
        if self.min_context is not None:
            if self.gene_choice in _LISTS or self.context is None:
                raise ValueError(f"choice={self.gene_choice!r} takes all of its genes: leave out min_context")
            if not least <= self.min_context <= self.context:
                raise ValueError(
                    f"min_context={self.min_context} must lie between {least} and the context of {self.context}"
                )

    @property
    def gene_choice(self) -> str:
        """The choice that is made: ``"rank_value"`` for Geneformer."""
        if isinstance(self.format, Geneformer):
            return "rank_value"
        return self.choice or "random_expressed"

    @property
    def needs_ranking(self) -> bool:
        """Whether each data set has to bring its own ranking of its genes."""
        return self.gene_choice == "most_variable" and self.genes is None

    @cached_property
    def _listed(self) -> np.ndarray | None:
        if self.genes is None:
            return None
        wanted = [str(gene) for gene in self.genes]
        index = self.vocabulary.index(wanted)
        unknown = [gene for gene, i in zip(wanted, index, strict=True) if i < 0]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of the {len(wanted)} given genes are not in the vocabulary, such as {unknown[:3]}; "
                f"its ids look like {list(self.vocabulary.ids[:2])}"
            )
        if len(set(wanted)) < len(wanted):
            repeated = [gene for gene, n in Counter(wanted).items() if n > 1]
            raise ValueError(f"{len(repeated)} genes are given more than once, such as {repeated[:3]}")
        usable = self.format.usable
        if self.gene_choice == "given" and usable is not None and not usable[index].all():
            bad = [gene for gene, i in zip(wanted, index, strict=True) if not usable[i]]
            raise ValueError(f"{len(bad)} of the given genes have no token, such as {bad[:3]}")
        return index

    def panel(self, name: str, index: np.ndarray, ranking: np.ndarray | None = None) -> Panel:
        """Say which genes a data set measures, once; its rows refer to the result.

        Parameters
        ----------
        name
            The data set, for messages.
        index
            Vocabulary index of each of its genes, -1 for those outside; shape (n_genes,).
        ranking
            Vocabulary indices, most variable first; for the choice ``"most_variable"`` without given genes.

        Raises
        ------
        ValueError
            When the data set measures fewer genes than the context asks for, or not all of the given ones.
        """
        known = np.sort(index[index >= 0])
        repeated = known[1:][known[1:] == known[:-1]]
        if len(repeated):
            ids = [self.vocabulary.ids[i] for i in repeated[:3]]
            raise ValueError(f"{name}: {len(repeated)} genes occur more than once, such as {ids}")
        usable = self.format.usable
        measured = known if usable is None else known[usable[known]]
        self._check_measured(name, len(measured), len(index))
        if self.gene_choice == "all":
            return Panel(name, measured, fixed=all_measured(measured))
        if self.gene_choice == "given":
            return self._given(name, measured)
        if self.gene_choice == "most_variable":
            ranked = self._listed if ranking is None else ranking
            if ranked is None:
                raise ValueError(f"{name}: the most variable genes need a ranking: pass it, or genes to the collator")
            size = self._n_genes
            if self.variable_context:
                size = min(size, int(np.isin(ranked, measured).sum()))
            try:
                return Panel(name, measured, fixed=most_variable(ranked, measured, size))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return Panel(name, measured)

    @property
    def _n_genes(self) -> int:
        """Most genes a cell may have."""
        return len(self.vocabulary) if self.context is None else self.context - self.format.n_special

    def _check_measured(self, name: str, n_measured: int, n_genes: int) -> None:
        token = "" if self.format.usable is None else " and have a token"
        found = f"{name}: {n_measured} of its {n_genes} genes are in the vocabulary{token}"
        if n_measured == 0:
            raise ValueError(f"{found}: nothing to choose from; are its var_names Ensembl ids?")
        places = f"the context of {self.context}" + (f" ({self._n_genes} for genes)" if self.format.n_special else "")
        if self.gene_choice == "all":
            if n_measured > self._n_genes:
                raise ValueError(f"{found}, more than {places}: choose all of them with a larger context, or None")
        elif n_measured < self._n_genes and not self._clips:
            raise ValueError(
                f"{found}, fewer than {places}: use a smaller context, or variable_context=True, "
                "or leave this data set out"
            )

    @property
    def _clips(self) -> bool:
        return self.variable_context or self.gene_choice in ("given", "rank_value")

    def _given(self, name: str, measured: np.ndarray) -> Panel:
        wanted = self._listed
        if wanted is None:  # ruled out when the collator was made
            raise ValueError("choice='given' needs genes")
        genes, present = given_genes(wanted, measured)
        if len(genes) > self._n_genes:
            raise ValueError(f"{len(genes)} genes are given, more than the context of {self.context} holds")
        if present.all():
            return Panel(name, measured, fixed=genes)
        if self.missing == "error":
            lost = [self.vocabulary.ids[i] for i in genes[~present][:3]]
            raise ValueError(
                f"{name}: {(~present).sum()} of the {len(genes)} given genes were not measured, such as {lost}: leave "
                "them out, or pass missing='mask'"
            )
        return Panel(name, measured, fixed=genes, present=present)

    def __call__(self, rows: Sequence[CellRow]) -> Batch:
        """Return the batch of some cells, in their order.

        Raises
        ------
        ValueError
            When there are no rows.
        """
        if not rows:
            raise ValueError("a batch needs at least one cell")
        shared = np.random.default_rng([self.seed, *(row.index for row in rows)])
        size = self._n_genes
        if self.min_context is not None:
            size = int(shared.integers(self.min_context - self.format.n_special, size, endpoint=True))
        at_random = self.gene_choice == "random_expressed"
        contexts = []
        for row in rows:
            rng = shared if at_random else np.random.default_rng([self.seed, row.index])
            contexts.append(self._choose(self._restrict(row), size, rng))
        masked = self.variable_context or self.gene_choice == "all" or self.missing == "mask"
        return self.format.batch(contexts, masked=masked)

    def _restrict(self, row: CellRow) -> CellRow:
        usable = self.format.usable
        if usable is None or (keep := usable[row.genes]).all():
            return row
        return CellRow(
            row.genes[keep], row.counts[keep], row.total_count, row.labels, row.dataset, row.index, row.panel
        )

    def _choose(self, row: CellRow, size: int, rng: np.random.Generator) -> Context:
        panel = row.panel
        if (panel.fixed is None) == (self.gene_choice in _FIXED):
            raise ValueError(
                f"{panel.name}: its panel was not made for choice={self.gene_choice!r}: use Collator.panel"
            )
        if panel.fixed is not None:
            return Context(row, panel.fixed[:size], panel.present, rng)
        if isinstance(self.format, Geneformer):
            return Context(row, rank_value(row.genes, row.counts, self.format.medians, size, rng), None, rng)
        if self.variable_context:
            size = min(size, len(row.genes))
        if self.gene_choice == "most_expressed":
            genes = most_expressed(row.genes, row.counts, panel.measured, size, rng)
        else:
            genes = random_expressed(row.genes, panel.measured, size, rng)
        return Context(row, genes, None, rng)
