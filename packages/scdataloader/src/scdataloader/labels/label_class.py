"""The labels of one class: which are outputs of a classifier, and which of these lie under coarser ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scdataloader.labels.ontology import ancestors, current_term, is_joined, standard_label, term_name


@dataclass(frozen=True, eq=False)
class LabelClass:
    """The labels of one class (such as cell type).

    Codes: ``0 .. n_leaves-1`` are leaves, ``n_leaves ..`` are coarser labels, -1 is unknown. A coarser label that is an
    output, too, stands in both `leaves` and `parents`, and cells with it have its code as a parent.

    Attributes
    ----------
    leaves
        Labels that a classifier has an output for: terms that have no other term of the corpus below them, and with
        `own_outputs` each other term that has cells; sorted.
    parents
        Coarser labels that occur in the corpus, sorted. Several terms at once, joined by commas (a donor of two
        ancestries, a patient with two diseases), are such a label: any of the terms is right.
    descendants
        bool, CSR, shape (n_parents, n_leaves): which leaves lie under each coarser label, its own output among them.
    names
        Readable name of each label.
    scope
        Ontologies in which labels are looked up; see `standard_label`.
    """

    leaves: tuple[str, ...]
    parents: tuple[str, ...]
    descendants: sparse.csr_array = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    scope: tuple[str, ...] | None = None

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code of each label."""
        return {term: i for i, term in enumerate((*self.leaves, *self.parents))}

    @cached_property
    def own_outputs(self) -> np.ndarray:
        """Place among the leaves of each coarser label that is an output itself, else -1; int64, (n_parents,)."""
        at = {term: i for i, term in enumerate(self.leaves)}
        return np.array([at.get(term, -1) for term in self.parents], dtype=np.int64)

    def outputs(self, codes: np.ndarray) -> np.ndarray:
        """Return the output that cells with each code can be learned as: int64, as many as `codes`.

        A leaf is its own, a coarser label has the one of `own_outputs`, and -1 says that there is none: such a label
        asks for any of those below it.
        """
        table = np.concatenate([np.arange(len(self.leaves)), self.own_outputs, [-1]])
        return np.asarray(table[codes], dtype=np.int64)

    def said(self, outputs: np.ndarray) -> np.ndarray:
        """Return the code of the label that each output stands for, int64: the inverse of :meth:`outputs`."""
        table = np.arange(len(self.leaves))
        rows = np.flatnonzero(self.own_outputs >= 0)
        table[self.own_outputs[rows]] = len(self.leaves) + rows
        return np.asarray(table[outputs], dtype=np.int64)

    @classmethod
    def from_terms(
        cls, terms: Iterable[object], scope: Sequence[str] | None = None, *, own_outputs: bool = False
    ) -> LabelClass:
        """Split the labels of a corpus into leaves and coarser labels.

        The result depends neither on their order nor on how often they occur. Obsolete terms are replaced.

        Parameters
        ----------
        terms
            Ids, names, several of them joined, or text: see `standard_label`.
        scope
            Ontologies; see `standard_label`. Labels that are not understood are left out.
        own_outputs
            Whether a coarser label is an output of its own beside the leaves below it. Without it, its cells can only
            be taken for one of these, however few there are: macrophages for the corpus' microglia.

        Notes
        -----
        A label of several terms stands for the leaves under any of them, so the hierarchical loss asks for probability
        on these together: that is what the label says. Their lowest common ancestor ("ancestry category") would say
        nothing, and a leaf of its own would be a class of a few donors that excludes the classes it is made of. Where
        one of the terms never occurs by itself, the model cannot express it: the label is left out (unknown).
        """
        scope = scope if scope is None else tuple(scope)
        flat = scope == ()
        found = {standard_label(str(t), scope, suggest=False)[0] for t in terms} - {"unknown"}
        joined = sorted(t for t in found if is_joined(t) and not flat)
        present = sorted(found - set(joined))
        above = {term: frozenset() if flat else ancestors(term) for term in present}
        coarse = set(present).intersection(set().union(*above.values()))
        leaves = tuple(term for term in present if own_outputs or term not in coarse)
        under: dict[str, list[int]] = {term: [] for term in present if term in coarse}
        for code, leaf in enumerate(leaves):
            for term in (above[leaf] | {leaf}) & coarse:
                under[term].append(code)
        for label in joined:
            below = [{i for i, leaf in enumerate(leaves) if t == leaf or t in above[leaf]} for t in label.split(",")]
            if all(below):
                under[label] = sorted(set().union(*below))
        parents = tuple(sorted(under))
        names = {term: term if flat else term_name(term) for term in present}
        names |= {label: " + ".join(map(term_name, label.split(","))) for label in joined if label in under}
        return cls(leaves, parents, rows_below([under[p] for p in parents], len(leaves)), names, scope)

    @cached_property
    def _successors(self) -> dict[str, int]:
        # a saved space keeps terms that were replaced since; data name their successors
        return {} if self.scope == () else {current_term(term): code for term, code in self.codes.items()}

    @cached_property
    def _known(self) -> dict[tuple[str, tuple[str, ...] | None], int]:
        return {}

    def _code(self, label: str, names: tuple[str, ...] | None) -> int:
        # one look-up a distinct label, however many cells have it
        if label in self.codes:
            return self.codes[label]
        if (label, names) not in self._known:
            term = standard_label(label, self.scope, names, suggest=False)[0]
            self._known[label, names] = self.codes.get(term, self._successors.get(term, -1))
        return self._known[label, names]

    def encode(self, terms: Iterable[object], *, names: tuple[str, ...] | None = None) -> np.ndarray:
        """Return the code of each label; int64. Labels that the class does not hold are unknown (-1).

        Parameters
        ----------
        terms
            Ids or names, one a cell; a categorical `pandas.Series` is encoded by its categories.
        names
            The ontologies in which names are looked up; by default those of `scope`.
        """
        codes, labels = distinct(terms)
        lookup = np.array([*(self._code(label, names) for label in labels), -1], dtype=np.int64)
        return lookup[codes]

    def decode(self, codes: Iterable[int]) -> list[str]:
        """Return the label of each code, ``"unknown"`` for -1."""
        terms = (*self.leaves, *self.parents)
        return [terms[code] if code >= 0 else "unknown" for code in codes]


def rows_below(under: Sequence[Sequence[int]], n_leaves: int) -> sparse.csr_array:
    """Return a matrix with a row for each label: true at the outputs below it."""
    columns = np.array([i for row in under for i in sorted(row)], dtype=np.int32)
    starts = np.cumsum([0, *map(len, under)]).astype(np.int32)
    shape = (len(under), n_leaves)
    return sparse.csr_array((np.ones(len(columns), dtype=np.bool_), columns, starts), shape=shape)


def distinct(values: Iterable[object]) -> tuple[np.ndarray, list[str]]:
    """Return codes (-1 missing) and the labels that they stand for."""
    series: pd.Series[Any] = values if isinstance(values, pd.Series) else pd.Series(list(values), dtype=object)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.cat.codes.to_numpy(), [str(label) for label in series.cat.categories.tolist()]
    codes, labels = pd.factorize(series)
    return codes, [str(label) for label in labels.tolist()]
