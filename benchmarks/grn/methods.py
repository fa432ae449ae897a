"""Methods of the comparison that bengrn has no name for: factors as regulators, and heads that fit a truth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from anndata import AnnData

from benchmarks.work import ROOT, checksum
from bengrn.benchmarking.work_files import sha256_of_cells
from bengrn.network import find_in
from bengrn.registry import get_method
from bengrn.truths import load_truth
from grnndata import GRNAnnData, transcription_factors
from scprint_model.plugin import ScPrintMethod

#: Folder of networks with a plane for each head, by their content.
STACKS = ROOT / "runs" / "bench" / "networks" / "heads"
#: Share of the regulators of a half that `select_heads` keeps for a score of its own, which is not used here.
_KEPT = 0.2


@dataclass(frozen=True, kw_only=True)
class OfFactors:
    """A method that is told that only transcription factors, of human or mouse, regulate."""

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that the method imports when it runs."""
        return tuple(getattr(get_method(self.method, **self.settings), "imports", ()))

    def infer(self, adata: AnnData, *, regulators: Sequence[str] | None = None, rng: Any = None) -> GRNAnnData:
        """Return the network whose regulators are the factors among the genes."""
        known = {*transcription_factors("human"), *transcription_factors("mouse")}
        found = find_in(adata, sorted(known), "transcription factors")
        # only as they are written: in other letters they are factors of the other organism
        places = [at for name, at in zip(found.asked, found.at, strict=True) if at >= 0 and name not in found.respelled]
        factors = adata.var_names[np.unique(places)].astype(str).tolist()
        if regulators is not None:
            factors = sorted(set(factors) & set(regulators))
        return get_method(self.method, **self.settings).infer(adata, regulators=factors, rng=rng)


@dataclass(frozen=True, kw_only=True)
class OtherHalf:
    """scPRINT whose heads fit a truth, but for no gene the edges of the gene itself.

    Genes are dealt into two halves by their names. The heads that fit the edges of the regulators of one half make the
    rows of the other, so that no row is scored on edges which chose its heads, whatever the truth.
    """

    name: str
    truth: str
    options: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ScPrintMethod.imports

    def infer(self, adata: AnnData, *, regulators: Sequence[str] | None = None, rng: Any = None) -> GRNAnnData:
        """Return the network, each half of its rows by heads of the other."""
        from scprint_model.networks import select_heads

        # kept in a folder of these cells and this model, so that one stack serves for all truths
        of = f"{sha256_of_cells(adata)[:12]}-{checksum((ROOT / 'packages/scprint-model/src',))[:12]}"
        stack = get_method("scprint", heads="all", folder=str(STACKS / of)).infer(adata, rng=rng)
        names = list(stack.networks)
        planes: Any = np.asarray(stack.grn)
        edges = load_truth(self.truth, **self.options).edges
        place = dict(zip(sources := edges["source"].unique(), find_in(stack, sources).at, strict=True))
        of_edge = edges["source"].map(place).to_numpy()
        half = np.array([_half(name) for name in stack.var_names])
        weights = np.zeros(planes.shape[:2], dtype=np.float32)
        told = []
        for mine in (0, 1):
            chosen = select_heads(stack, edges[(of_edge >= 0) & (half[of_edge] == mine)], held_out=_KEPT)
            kept = [names.index(f"layer {layer} head {head}") for layer, head in chosen.heads]
            weights[half != mine] = planes[half != mine][:, :, kept].mean(axis=2)
            told.append([names[i] for i in kept])
        if regulators is not None:
            weights[~stack.var_names.isin(list(regulators))] = 0
        return GRNAnnData(AnnData(var=stack.var), grn=weights, method=self.name, parameters={"heads": told})


def _half(gene: str) -> int:
    return hashlib.sha256(gene.upper().encode()).digest()[0] % 2


_JACOBIAN = {"source": "jacobian", "keep_regulators": True}
GENIE3_TF = OfFactors(name="GENIE3-TF", method="genie3", settings={"n_trees": 100})
GENIE3_TF_1000 = OfFactors(name="GENIE3-TF", method="genie3")
GRNBOOST2_TF = OfFactors(name="GRNBoost2", method="grnboost2")
JACOBIAN = OfFactors(name="scPRINT, Jacobian", method="scprint", settings=_JACOBIAN | {"n_cells": 4})
JACOBIAN_FULL = OfFactors(name="scPRINT, Jacobian", method="scprint", settings=_JACOBIAN | {"n_cells": 100})
OMNIPATH_HEADS = OtherHalf(name="scPRINT, OmniPath heads", truth="omnipath")
COLLECTRI_HEADS = OtherHalf(name="scPRINT, CollecTRI heads", truth="collectri")
CHEA3_HEADS = OtherHalf(name="scPRINT, ChEA3 heads", truth="chea3-perturbations")
