"""Genes that may have outgoing edges: which of those asked for a network has, and what is said of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grnndata import NamedGenes
from scdataloader import GeneVocabulary
from scprint_model._wording import counted, listed
from scprint_model.genes import SharedGenes
from scprint_model.named_genes import NOT_IN_DATA, genes_of_data

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Regulators:
    """Genes that were asked for as regulators.

    Attributes
    ----------
    named
        Names that were asked for; places are positions among the genes that the data and the model share.
    called
        Names of these shared genes in the data.
    keep
        Whether they are genes of every network, whatever other genes are chosen.
    """

    named: NamedGenes
    called: pd.Index
    keep: bool

    def add(self, at: np.ndarray) -> np.ndarray:
        """Return the positions of a network's genes with those of the regulators behind, where these are kept."""
        return np.concatenate([at, np.setdiff1d(self.named.places, at)]) if self.keep else at

    def among(self, at: np.ndarray) -> np.ndarray:
        """Return which genes of a network, at these positions, may have outgoing edges; bool, shape (genes,)."""
        return np.isin(at, self.named.places)

    def check(self, chosen: Mapping[str, np.ndarray]) -> None:
        """Say in the log which regulators no network has.

        Parameters
        ----------
        chosen
            Positions of the genes of each network.

        Raises
        ------
        ValueError
            When a network has none of them.
        """
        n_asked = len(self.named)
        n_used = {name: int(self.among(at).sum()) for name, at in chosen.items()}
        least = min(n_used, key=lambda name: n_used[name])
        outside = np.setdiff1d(self.named.places, np.concatenate(list(chosen.values())))
        if not n_used[least]:
            of = f" of {least!r}" if least else ""
            some = listed(self.called[self.named.places], 3, more=False)
            raise ValueError(
                f"none of the {n_asked:,} regulators is among the {len(chosen[least]):,} genes of the network{of}, but "
                f"{len(self.named.places):,} are in the data, such as [{some}]: add them with keep_regulators=True, or "
                "choose genes= among which they are"
            )
        said = []
        if len(outside):
            said.append(
                f"{counted(len(outside), 'is', 'are')} not among the genes of the network, such as "
                f"[{listed(self.called[outside], 3, more=False)}] (keep_regulators=True adds them)"
            )
        if self.named.missing:
            said.append(f"{counted(len(self.named.missing), 'is', 'are')} not {NOT_IN_DATA}, {self.named.examples()}")
        if said:
            most = max(n_used.values())
            used = f"{most:,}" if most == n_used[least] else f"{n_used[least]:,} to {most:,}"
            logger.warning("%s of %s regulators used; %s", used, f"{n_asked:,}", "; ".join(said))

    def record(self, at: np.ndarray) -> dict[str, Any]:
        """Return what ``uns["grn"]["parameters"]`` says of the regulators of a network.

        Raises
        ------
        ValueError
            When none of the genes, at these positions, is a regulator.
        """
        used = at[self.among(at)]
        if not len(used):
            raise ValueError(
                f"none of the {len(self.named):,} regulators was in the context of any cell: take a larger context= or "
                "more cells"
            )
        return {
            "regulators": self.called[used].tolist(),
            "regulators_outside": self.called[np.setdiff1d(self.named.places, used)].tolist(),
            "regulators_missing": self.named.missing,
            "keep_regulators": self.keep,
        }


def find_regulators(
    vocabulary: GeneVocabulary, adata: AnnData, shared: SharedGenes, names: Iterable[str] | None, *, keep: bool
) -> Regulators | None:
    """Find the genes that were asked for as regulators; None where none were, so that every gene is one.

    Raises
    ------
    ValueError
        When none of them is in the data and known to the model, or some are to be kept and none were asked for.
    """
    if names is None:
        if keep:
            raise ValueError("keep_regulators=True adds the genes of regulators= to the network: name them there")
        return None
    asked = names if isinstance(names, str) else dict.fromkeys(map(str, names))
    named = genes_of_data(vocabulary, adata, shared, asked, what="regulators")
    called = adata.var_names[shared.columns]
    if not len(named):
        raise ValueError("regulators names no gene: leave it out where every gene may be one")
    if not len(named.places):
        raise ValueError(
            f"none of the {len(named):,} regulators, {named.examples()}, is among the genes of the data that the model "
            f"knows, such as [{listed(called, 3, more=False)}]"
        )
    return Regulators(named, called, keep)
