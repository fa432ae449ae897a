"""The genes of a cell that a batch shows, and their format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from scdataloader._wording import counted
from scdataloader.collate.contexts import Contexts, Panel
from scdataloader.collate.gene_choice import all_measured, given_genes, most_variable
from scdataloader.collate.geneformer import GeneformerFormat
from scdataloader.collate.scprint import ScPrintFormat
from scdataloader.genes.vocabulary import GeneVocabulary
from scdataloader.sampling.sampler import fingerprint, fingerprint_of_array

#: How the genes of a context may be chosen.
CHOICES = ("random_expressed", "most_expressed", "most_variable", "given", "all")
#: Those that take the number of genes from a list, not from the context.
_LISTS = ("given", "all")
#: Those that choose among given genes where there are some.
_AMONG = ("random_expressed", "most_expressed")
#: Those that give all cells of a data set the same genes.
_FIXED = ("most_variable", *_LISTS)


class Format(Protocol):
    """The way chosen genes become a batch: `ScPrintFormat`, `ScGPTFormat`, `GeneformerFormat`, or your own."""

    @property
    def usable(self) -> np.ndarray | None:
        """The genes of the vocabulary that it knows, bool; None: all."""

    @property
    def n_special(self) -> int:
        """Places of the context that are not for genes."""

    def batch(self, contexts: Contexts, *, masked: bool) -> Mapping[str, np.ndarray]:
        """Return the arrays of a batch by name; `masked` where cells may differ in length."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Collator:
    """Choose the genes of each cell that a batch shows, and their format; see `scdataloader.CellDataset`.

    Parameters
    ----------
    vocabulary
        The genes that batches are made of.
    context
        Number of places per cell, also those of special tokens such as ``<cls>``; the paper uses 2,200. None only for
        the choices ``"given"`` and ``"all"``, whose lists decide; there it is an upper limit.
    choice
        ``"random_expressed"`` (the default), ``"most_expressed"``, ``"most_variable"``, ``"given"`` or ``"all"``. For
        Geneformer, which ranks a cell's genes itself, leave it None. Genes that a data set did not measure are never
        chosen.
    genes
        Ids of the vocabulary: the list of ``"given"``, in whose order they come, or a ranking for ``"most_variable"``,
        most variable first (None: each data set its own, see `variance_ranking`). ``"random_expressed"`` and
        ``"most_expressed"`` choose among them.
    missing
        Treatment of cells whose data set did not measure a gene of the list: ``"error"``, or ``"mask"`` it.
    variable_context
        Whether cells may differ in their number of genes. False: every cell has exactly as many genes as the context,
        filled up with unexpressed ones. True: as many as it expresses (or its data set measured), the context at most;
        the batch is as wide as its longest cell and has a ``mask``.
    min_context
        Fewest genes of a batch, which then draws its context anew between this and `context`; for training.
    format
        `ScPrintFormat` (the default), `ScGPTFormat` or `GeneformerFormat`.
    shuffle
        Whether the genes of ``"random_expressed"`` come in random order, so that the first of them are a smaller
        context of the same kind. False leaves them in the order of the data set's genes, which is faster.
    seed
        Seed of the genes drawn. Random genes depend on the place of the draw, too, so that a cell shows others the next
        time. Where chance only breaks ties, they depend on the cell's counts (`scdataloader.cell_keys`): a cell shows
        the same wherever it lies. No worker, thread, rank or order of calls changes them.

    Raises
    ------
    ValueError
        For options that do not go together.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from scdataloader import CellDataset, GeneVocabulary, LabelSpace
    >>> from scdataloader.collate import Collator
    >>> vocabulary = GeneVocabulary.for_organisms(["human"])
    >>> collator = Collator(vocabulary=vocabulary, context=2, choice="most_expressed")
    >>> counts = anndata.AnnData(np.array([[2.0, 9, 4]]), var=pd.DataFrame(index=vocabulary.ids[:3]))
    >>> CellDataset(counts, vocabulary, LabelSpace({}), collator=collator)[0]["counts"]
    tensor([[9., 4.]])
    """

    vocabulary: GeneVocabulary = field(repr=False)
    context: int | None = None
    choice: str | None = None
    genes: Sequence[str] | None = field(default=None, repr=False)
    missing: str = "error"
    variable_context: bool = False
    min_context: int | None = None
    format: Format = field(default_factory=ScPrintFormat, repr=False)
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        ranked = isinstance(self.format, GeneformerFormat)
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
            if self.gene_choice not in ("most_variable", *_AMONG):
                raise ValueError(
                    f"genes are for the choices 'given', 'most_variable', 'random_expressed' and 'most_expressed', not "
                    f"{self.gene_choice!r}"
                )
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
        if isinstance(self.format, GeneformerFormat):
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
            raise ValueError(
                f"{counted(len(repeated), 'gene is', 'genes are')} given more than once, such as {repeated[:3]}"
            )
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
            raise ValueError(
                f"{name}: {counted(len(repeated), 'gene occurs', 'genes occur')} more than once, such as {ids}"
            )
        usable = self.usable
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
            size = self.n_genes
            if self.variable_context:
                size = min(size, int(np.isin(ranked, measured).sum()))
            try:
                return Panel(name, measured, fixed=most_variable(ranked, measured, size))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return Panel(name, measured)

    def _check_measured(self, name: str, n_measured: int, n_genes: int) -> None:
        token = "" if self.format.usable is None else " and have a token"
        token += " and are among the given ones" if self.gene_choice in _AMONG and self.genes is not None else ""
        found = f"{name}: {n_measured} of its {n_genes} genes are in the vocabulary{token}"
        if n_measured == 0:
            raise ValueError(f"{found}: nothing to choose from; are its var_names Ensembl ids?")
        places = f"the context of {self.context}" + (f" ({self.n_genes} for genes)" if self.format.n_special else "")
        if self.gene_choice == "all":
            if n_measured > self.n_genes:
                raise ValueError(f"{found}, more than {places}: choose all of them with a larger context, or None")
        elif n_measured < self.n_genes and not self._clips:
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
        if len(genes) > self.n_genes:
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

    @property
    def masked(self) -> bool:
        """Whether batches need a mask: their cells may differ in length, or genes were not measured."""
        return self.variable_context or self.gene_choice == "all" or self.missing == "mask"

    @cached_property
    def usable(self) -> np.ndarray | None:
        """The genes of the vocabulary that may be chosen, bool; None: all."""
        among = self._listed if self.gene_choice in _AMONG else None
        if among is None:
            return self.format.usable
        usable = np.zeros(len(self.vocabulary), np.bool_)
        usable[among] = True
        return usable if self.format.usable is None else usable & self.format.usable

    @property
    def n_genes(self) -> int:
        """Most genes that a cell may have."""
        return len(self.vocabulary) if self.context is None else self.context - self.format.n_special

    @property
    def has_panels(self) -> bool:
        """Whether all cells of a data set show the same genes."""
        return self.gene_choice in _FIXED

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what batches hold of given cells, but the draws."""
        # a format without profiles is the one from before there were such: its runs can be continued
        names = [field.name for field in fields(self.format)]  # type: ignore[arg-type]
        parts = [getattr(self.format, name) for name in names if name != "profile" or self.format.profile]  # type: ignore[attr-defined]
        shown = [fingerprint_of_array(part) if isinstance(part, np.ndarray) else repr(part) for part in parts]
        settings = [self.context, self.gene_choice, self.missing, self.variable_context, self.min_context]
        return fingerprint(
            {
                "settings": [*settings, self.shuffle, self.seed],
                "genes": None if self._listed is None else fingerprint_of_array(self._listed),
                "format": [type(self.format).__name__, *shown],
                "vocabulary": fingerprint({"ids": list(self.vocabulary.ids)}),
            }
        )
