"""Lightning glue: cells in, weighted training batches, a validation and a test set out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scdataloader._lightning import lightning
from scdataloader._torch import torch
from scdataloader.collate.cells import CellDataset
from scdataloader.collate.extras import Extras
from scdataloader.collate.loader import Draws, StoreLoader
from scdataloader.genes.vocabulary import GeneVocabulary
from scdataloader.labels.choice import corpus_label_space
from scdataloader.labels.space import LabelSpace
from scdataloader.options import Corpus, Drawing, GeneChoice, Holdout, check_list
from scdataloader.sampling import Interleaved, Place, Sampler, SequentialSampler, Share
from scdataloader.sources import find_sources, unique_names
from scdataloader.splits import PARTS, Split, check_names, select_rows
from scdataloader.store.opening import open_files, open_store
from scdataloader.store.reader import CellReader

logger = logging.getLogger(__name__)


class CellDataModule(lightning.LightningDataModule):
    """Training, validation, test and prediction batches from files of raw counts, or from a store of cells.

    Without Lightning, call `setup` and then `train_dataloader`: its batches are those of the process's rank, and each
    iteration draws another epoch. The loader's ``state_dict`` and ``load_state_dict`` continue it at any batch.

    Parameters
    ----------
    files
        Files, folders, globs, addresses and ``lamin:`` names; see `scdataloader.find_sources`.
    store
        Folder of a `CellStore`, instead of files, or several of them; or preprocessed files to read as they are; see
        `scdataloader.open_store`.
    classes
        Label classes; each needs a column ``<class>_ontology_term_id`` or ``<class>``. None: those of the label space,
        or those of cell type, disease, assay and organism that have two labels at least.
    organisms
        Organisms of the gene vocabulary (protein-coding genes).
    context
        Number of genes per cell, 2,200 in the paper; None for the choices that give all of their genes.
    genes
        Way to choose these genes, and the format of batches.
    batch_size
        Number of cells per batch and process.
    corpus
        Cells that there are, and the way they are read.
    drawing
        Way to draw cells for training.
    holdout
        Cells that are held out.
    extras
        Further entries of the batches.
    seed
        Seed of the split, the draws and the contexts.

    Attributes
    ----------
    train_cells, val_cells, test_cells
        Indices into `cells`; after `setup`.
    """

    train_cells: np.ndarray
    val_cells: np.ndarray
    test_cells: np.ndarray

    def __init__(
        self,
        files: list[str] | None = None,
        *,
        store: str | list[str] | None = None,
        classes: Sequence[str] | None = None,
        organisms: Sequence[str] = ("human", "mouse"),
        context: int | None = 2200,
        genes: GeneChoice = GeneChoice(),  # noqa: B008 (frozen)
        batch_size: int = 64,
        corpus: Corpus = Corpus(),  # noqa: B008 (frozen)
        drawing: Drawing = Drawing(),  # noqa: B008 (frozen)
        holdout: Holdout = Holdout(),  # noqa: B008 (frozen)
        extras: Extras = Extras(),  # noqa: B008 (frozen)
        seed: int = 0,
    ) -> None:
        super().__init__()
        if (files is None) == (store is None):
            raise ValueError(f"files={files} and store={store}: give one of them")
        for name, value in (("classes", classes), ("organisms", organisms), ("files", files)):
            check_list(name, value)
        for name, number in (("batch_size", batch_size), ("context", context)):
            if number is not None and number < 1:
                raise ValueError(f"{name}={number} must be at least 1")
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative")
        if store is not None:
            corpus.check_for_store()
        self.files = find_sources(files or [])
        self.store = store
        self.classes = None if classes is None else tuple(classes)
        self.organisms = tuple(organisms)
        self.context, self.genes, self.batch_size = context, genes, batch_size
        self.corpus, self.drawing, self.holdout, self.extras = corpus, drawing, holdout, extras
        self.seed = seed
        self._cells: CellDataset | None = None
        self._training: CellDataset | None = None
        self._split: Split | None = None

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read the files, preprocess those that need it (or open the store), and split the cells; once."""
        if self._cells is not None:
            return
        collator = self.genes.collator(self._make_vocabulary(), self.context, self.seed)  # before files are read
        store = self._open()
        chosen = self.corpus.datasets if self.store is not None else None  # of files, only those were read
        rows = select_rows(store, datasets=chosen, where=self.corpus.where)
        labels = corpus_label_space(
            store, rows, self.classes, self.corpus.label_space, own_outputs=self.corpus.own_outputs
        )
        cells = CellDataset(store, collator.vocabulary, labels, collator=replace(collator, min_context=None), rows=rows)
        self._split = self.holdout.split(cells, seed=self.seed)
        logger.info("cells of each data set by part:\n%s", self._split.to_frame())
        parts = {part: self._split.cells(part, cells.names, cells.sizes) for part in PARTS}
        self.train_cells, self.val_cells, self.test_cells = (parts[part] for part in PARTS[:3])
        if self.extras:
            apart = np.zeros(len(cells), np.int64)
            for number, part in enumerate(parts.values()):
                apart[part] = number
            cells = cells.with_extras(self.extras, apart)
        self._cells = cells
        self._training = cells if collator.min_context is None else cells.with_collator(collator)

    def _make_vocabulary(self) -> GeneVocabulary:
        if self.corpus.vocabulary is None:
            return GeneVocabulary.for_organisms(self.organisms)
        return GeneVocabulary.load(self.corpus.vocabulary)

    def _open(self) -> CellReader:
        if self.store is not None:
            return open_store(self.store)
        if not self.files:
            raise ValueError("there are no files: pass one at least")
        named = dict(zip(unique_names(self.files), self.files, strict=True))
        if self.corpus.datasets is not None:
            check_names(self.corpus.datasets, list(named))
            named = {name: file for name, file in named.items() if name in self.corpus.datasets}
        by = [self.extras.neighbours_by] if self.extras.neighbours else []
        return open_files(
            named,
            preprocess=self.corpus.preprocess,
            preprocessor=self.corpus.cleaning,
            in_memory=self.corpus.in_memory,
            choice=self.corpus.choice,
            obsm=list(dict.fromkeys([*self.extras.obsm, *by])),
            layers=self.extras.layers,
        )

    @property
    def cells(self) -> CellDataset:
        """All cells that are used; after `setup`."""
        if self._cells is None:
            raise RuntimeError("call setup() first")
        return self._cells

    @property
    def split(self) -> Split:
        """The cells that are held out; `Split.to_frame` counts them and `Split.save` keeps it; after `setup`."""
        if self._split is None:
            raise RuntimeError("call setup() first")
        return self._split

    @property
    def vocabulary(self) -> GeneVocabulary:
        """The gene vocabulary; after `setup`."""
        return self.cells.vocabulary

    @property
    def label_space(self) -> LabelSpace:
        """The labels of the corpus; after `setup`."""
        return self.cells.label_space

    def train_dataloader(self, *, rank: int | None = None, world_size: int | None = None) -> StoreLoader:
        """Return weighted random batches of the training cells; a new epoch draws anew, each rank takes its share.

        Parameters
        ----------
        rank, world_size
            Number of the share, and of all shares; by default what ``torch.distributed`` or the trainer says.
        """
        place = self._place(rank, world_size)
        sampler = self.drawing.sampler(self.cells, self.train_cells, seed=self.seed)
        return self._loader(self._training or self.cells, self._share(sampler, place), place)

    def val_dataloader(self, *, rank: int | None = None, world_size: int | None = None) -> StoreLoader:
        """Return the validation cells in order, with the same contexts every time; as many batches for each rank."""
        share = self._share(SequentialSampler(self.val_cells), self._place(rank, world_size))
        return self._loader(self.cells, share, None)

    def test_dataloader(self, *, rank: int | None = None, world_size: int | None = None) -> StoreLoader:
        """Return the test cells in order, each once: those of the data sets `Split.test_datasets` names.

        Raises
        ------
        ValueError
            When nothing was held out for testing.
        """
        if len(self.test_cells) == 0:
            raise ValueError(f"there is nothing to test on: hold out some test_datasets, of {self.cells.names[:10]}")
        return self._in_order(self.test_cells, self._place(rank, world_size))

    def predict_dataloader(self, *, rank: int | None = None, world_size: int | None = None) -> StoreLoader:
        """Return all cells of all files in order, each once."""
        return self._in_order(np.arange(len(self.cells)), self._place(rank, world_size))

    def _in_order(self, subset: np.ndarray, place: Place) -> StoreLoader:
        return self._loader(self.cells, Interleaved(SequentialSampler(subset), *place.ranks), None)

    def _share(self, sampler: Sampler, place: Place) -> Share:
        rank, world_size = place.ranks
        return Share(sampler, self.batch_size, rank=rank, world_size=world_size)

    def _place(self, rank: int | None, world_size: int | None) -> Place:
        return Place(rank, world_size, trainer=lambda: self.trainer)

    def _loader(self, cells: CellDataset, sampler: Draws, place: Place | None) -> StoreLoader:
        return StoreLoader(
            cells,
            sampler,
            batch_size=self.batch_size,
            threads=self.drawing.threads,
            read_ahead=self.drawing.read_ahead,
            pin_memory=torch.cuda.is_available(),
            place=place,
        )
