"""The labels that a cell can get: the leaves of the model's label space, or coarser ones that gather them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp

from scdataloader.labels import (
    CLASS_SCOPES,
    SUFFIX,
    LabelClass,
    ancestors,
    current_term,
    describe,
    find_term,
    ontology_of,
    term_name,
)

#: Where coarser labels are asked for: a cell that is none of them.
OTHER = "other"


@dataclass(frozen=True, eq=False)
class Choices:
    """Labels of which each cell gets one.

    Attributes
    ----------
    ids
        Term of each label.
    names
        Readable name of each.
    leaves
        int64: the leaves that each label gathers; None where the labels are the leaves themselves.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...] = field(repr=False)
    leaves: tuple[np.ndarray, ...] | None = field(default=None, repr=False)

    def logits(self, leaf_logits: np.ndarray) -> np.ndarray:
        """Turn (n_cells, n_leaves) logits into those of the labels, (n_cells, n_labels).

        That of a coarser label is the log-sum-exp of its leaves' logits, as the loss has it that the model was trained
        with; see `scprint_model.losses.hierarchical`.
        """
        if self.leaves is None:
            return leaf_logits
        return np.stack([logsumexp(leaf_logits[:, below], axis=1) for below in self.leaves], axis=1)


def leaf_labels(space: LabelClass) -> Choices:
    """Return the leaves as they are."""
    return Choices(space.leaves, tuple(space.names[term] for term in space.leaves))


def coarse_labels(space: LabelClass, labels: Sequence[str], name: str) -> Choices:
    """Gather leaves under coarser labels; those under none are `OTHER`, the last choice.

    Parameters
    ----------
    space
        Labels of the class.
    labels
        Ids or names of terms of its ontologies, whether the model was trained with them or not.
    name
        Name of the class.

    Raises
    ------
    ValueError
        When a term does not exist, no leaf lies under it, or one lies under another: the wider one would always win.
    """
    if space.scope == ():
        raise ValueError(f"coarsen: the labels of class {name!r} are free text, which nothing lies above")
    if isinstance(labels, str) or not labels:
        raise ValueError(f"coarsen[{name!r}]={labels!r} must list labels, such as ['T cell', 'B cell']")
    terms = list(dict.fromkeys(_term(space, label, name) for label in labels))
    below = {term: _leaves_under(space, term) for term in terms}
    for term, leaves in below.items():
        if not len(leaves):
            raise ValueError(f"coarsen: none of the model's {len(space.leaves)} labels of {name!r} is {describe(term)}")
        for other in terms:
            if other != term and np.isin(leaves, below[other]).all():
                raise ValueError(
                    f"coarsen: all that is {describe(term)} is {describe(other)} too, which would always win: leave "
                    "one of them out"
                )
    names = [space.names.get(term) or term_name(term) for term in terms]
    rest = np.setdiff1d(np.arange(len(space.leaves)), np.concatenate(list(below.values())))
    if len(rest):
        below[OTHER] = rest
        names.append(OTHER)
    return Choices(tuple(below), tuple(names), tuple(below.values()))


def _term(space: LabelClass, label: str, name: str) -> str:
    scope = space.scope or CLASS_SCOPES.get(name.removesuffix(SUFFIX))
    if label in space.codes:
        return label
    if scope:
        return find_term(label, scope)
    if ontology_of(label) is None:
        raise ValueError(f"coarsen: {label!r} is not the id of a term: class {name!r} is of no known ontology")
    return current_term(label)


def _leaves_under(space: LabelClass, term: str) -> np.ndarray:
    code = space.codes.get(term, -1)
    if code >= len(space.leaves):  # as the model was trained, whatever the ontology says by now
        return space.descendants[[code - len(space.leaves)]].indices.astype(np.int64)
    current = [current_term(leaf) for leaf in space.leaves]
    return np.array(
        [i for i, leaf in enumerate(current) if term in (space.leaves[i], leaf) or term in ancestors(leaf)],
        dtype=np.int64,
    )
