"""The model, the corpus it was trained on and its rivals, opened once in each process."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import torch

from benchmarks.ablation.evaluation import corpus_cells
from benchmarks.ablation.scores import Cells, CorpusComponents
from scdataloader import CellStore
from scdataloader.labels import LabelClass
from scprint_model import ScPrint, tasks
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.genes import match_genes
from scprint_model.profiles import panel_centre, profile_of
from scprint_model.tables import tables
from scprint_model.tasks.encode import EncodedCells, walk
from scprint_model.training.features import start_genes

#: Seed of the network that was never trained.
FRESH = 1
#: Every third of the cells that the ablation standardises by.
THIRD = 3


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command was given.

    Attributes
    ----------
    model, corpus, features, data
        Folder of the model, store of its training cells, table of gene features, and folder of the sets.
    kept
        Folder of what is kept between runs.
    n_cells
        Number of cells of each set, at most.
    seed
        Seed of all draws.
    """

    model: Path
    corpus: Path
    features: Path
    data: Path
    kept: Path
    n_cells: int = 300
    seed: int = 0


class Opened:
    """What the parts of the card start from; what takes long is made when it is first asked for, and kept."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.model = ScPrint.from_pretrained(str(given.model))
        self.vocabulary, _ = tables(self.model)
        self._encoded: tuple[str, EncodedCells] | None = None

    @cached_property
    def store(self) -> CellStore:
        """Training cells."""
        return CellStore.open(self.given.corpus)

    @cached_property
    def reference(self) -> LabelClass:
        """Types of the training cells, each an output of its own: those that can be named."""
        labels = self.store.obs(["cell_type_ontology_term_id"])["cell_type_ontology_term_id"].astype(str)
        return LabelClass.from_terms(labels.unique().tolist(), ("CL",), own_outputs=True)

    @cached_property
    def components(self) -> CorpusComponents:
        """Principal components of the training cells, and the regression on them."""
        found: CorpusComponents = self._kept("components", lambda: CorpusComponents(self.store, self.vocabulary))
        return found

    @cached_property
    def corpus(self) -> list[anndata.AnnData]:
        """Some cells of each training set, by which embeddings are standardised."""
        every = corpus_cells(self.store, self.vocabulary)
        return [adata_of(cells, self.vocabulary.ids)[::THIRD].copy() for cells in every]

    @cached_property
    def untrained(self) -> ScPrint:
        """The same network before its training, standardised by training cells."""
        fresh = untrained(self.model, self.given.features)
        fresh.standardisation = self._kept(
            "untrained",
            lambda: Standardisation.of(np.concatenate([tasks.encode(fresh, one).embeddings for one in self.corpus])),
        )
        return fresh

    @cached_property
    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of the linear part alone over training cells."""
        every = np.concatenate([linear_part(self.model, one) for one in self.corpus])
        return every.mean(axis=0), every.std(axis=0).clip(1e-6)

    def encoded(self, name: str, adata: anndata.AnnData) -> EncodedCells:
        """Run the model over the cells of a set, once for the parts that follow each other."""
        if self._encoded is None or self._encoded[0] != name:
            self._encoded = name, tasks.encode(self.model, adata, classes=("cell_type",), seed=self.given.seed)
        return self._encoded[1]

    def keep(self) -> None:
        """Make what takes long and other processes of this run will ask for, too."""
        _ = self.components, self.untrained

    def _kept(self, what: str, make: Callable[[], Any]) -> Any:
        place = self.given.kept / f"{what}.pkl"
        if place.exists():
            return pickle.loads(place.read_bytes())  # noqa: S301 (this program wrote it)
        made = make()
        place.with_suffix(".part").write_bytes(pickle.dumps(made))
        place.with_suffix(".part").replace(place)
        return made


def adata_of(cells: Cells, ids: list[str] | tuple[str, ...]) -> anndata.AnnData:
    """Return cells over the genes of a vocabulary, whose ids are given, with their total counts."""
    adata = anndata.AnnData(cells.counts)
    adata.var_names = [ids[gene] for gene in cells.genes]
    adata.obs["total_counts"] = cells.totals
    return adata


@torch.no_grad()
def untrained(model: ScPrint, features: Path, *, seed: int = FRESH) -> ScPrint:
    """Return the network of a model as its training began, from another seed.

    It has the gene features and what the model was told of its corpus before the training, the statistics of profiles.
    """
    vocabulary, labels = tables(model)
    torch.manual_seed(seed)
    rows = torch.tensor(vocabulary.shared_rows) if "gene_encoder.rows" in model.state_dict() else None
    fresh = ScPrint(model.config, gene_positions=torch.tensor(vocabulary.locations), gene_rows=rows)
    has_features = bool(model.config.gene_features)
    start_genes(fresh.gene_encoder, vocabulary, features if has_features else None, None, std=None, freeze=True)
    if model.config.profile_tokens:
        for name, value in model.profile_encoder.named_buffers():
            fresh.profile_encoder.get_buffer(name).copy_(value)
    fresh.vocabulary, fresh.label_space, fresh.context = vocabulary, labels, model.context
    return fresh.eval()


@torch.no_grad()
def linear_part(model: ScPrint, adata: anndata.AnnData) -> np.ndarray:
    """Return what the linear map of a cell's profile tells its tokens, on average over them, (n_cells, d)."""
    known = match_genes(model.vocabulary, adata)
    centre = panel_centre(model, known.index[known.columns])
    found = []
    for (batch,), _ in walk(model, adata, known, context=1, batch_size=64, description="linear part"):
        profile = profile_of(batch, centre)
        found.append(model.profile_encoder(profile, batch["total_counts"], model.gene_encoder).mean(dim=1).numpy())
    return np.concatenate(found)
