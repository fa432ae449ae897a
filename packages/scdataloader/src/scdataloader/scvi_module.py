"""Cells of a store, streamed into models of scvi-tools: ``model.train(datamodule=ScviDataModule(store))``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, cast

import numpy as np

from scdataloader._lightning import lightning
from scdataloader._torch import torch
from scdataloader._wording import listed
from scdataloader.collate.loader import StoreLoader
from scdataloader.sampling import Interleaved, Place, SequentialSampler, Share, ShuffledSampler
from scdataloader.scvi import UNKNOWN_CATEGORY
from scdataloader.scvi_batches import Column, LabelledPairs, ScviCells
from scdataloader.splits import PARTS, make_split
from scdataloader.store.opening import open_store

#: What `ScviDataModule` hands over: one batch, or a batch beside one of labelled cells.
ScviBatch = dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]


class ScviDataModule(lightning.LightningDataModule):
    """Batches of a store of cells, of files or of AnnData, for ``SCVI`` and ``SCANVI`` of scvi-tools.

    Counts are read from the store batch by batch; in memory are only a code a cell for batch and label. A batch is the
    dictionary that these models take: ``X``, float32, shape (B, n_genes), and ``batch`` and ``labels``, int64, shape
    (B, 1). For ``SCANVI``, training batches are pairs, the second of labelled cells only, as scvi-tools makes them of
    an AnnData. scvi-tools itself is not needed here.

    Parameters
    ----------
    data
        Folder of a `CellStore`, an open store, AnnData or files; see `scdataloader.open_store`.
    model
        Class of the model that is to be trained: ``"SCVI"`` or ``"SCANVI"``.
    genes
        Ids of the genes that the model sees, in this order, such as variable ones. None: those that all data sets
        measured.
    batch
        Column of ``obs`` whose values are technical batches. None: the data sets.
    labels
        Column of ``obs`` with the label of each cell; ``SCANVI`` needs one. Cells whose label is missing or
        ``"unknown"`` are unlabelled.
    batch_size
        Number of cells a batch.
    val_fraction
        Share of the cells of each data set held out for validation; 0 for none.
    threads
        Number of threads that make batches ahead of their use.
    workers
        Number of processes that make the training and validation batches instead; 0 for none.
    seed
        Seed for the held-out cells and the order of the others, which is another in each epoch.

    Attributes
    ----------
    train_idx, val_idx
        Numbers of the cells that are trained on and held out, int64. scvi-tools keeps them with the model.
    n_vars, n_obs, n_batch, n_labels
        Number of genes, of cells, of technical batches, and of labels that the model is built for.

    Raises
    ------
    ValueError
        When a data set did not measure one of the genes, a column does not exist, or ``SCANVI`` has no labelled cells.

    Examples
    --------
    >>> from scdataloader import Preprocessor, ScviDataModule, datasets
    >>> retina, _ = Preprocessor()(datasets.retina_1k())
    >>> cells = ScviDataModule(retina, model="SCANVI", labels="cell_type")
    >>> # model = scvi.model.SCANVI(registry=cells.registry, datamodule=cells)
    >>> # model.train(datamodule=cells, max_epochs=20)
    >>> # latent = model.get_latent_representation(dataloader=cells.inference_dataloader())
    >>> every, labelled = next(iter(cells.train_dataloader()))
    >>> every["X"].shape == (128, cells.n_vars)
    True
    """

    def __init__(
        self,
        data: Any,
        *,
        model: Literal["SCVI", "SCANVI"] = "SCVI",
        genes: Sequence[str] | None = None,
        batch: str | None = None,
        labels: str | None = None,
        batch_size: int = 128,
        val_fraction: float = 0.1,
        threads: int = 1,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if model not in ("SCVI", "SCANVI"):
            raise ValueError(f"model={model!r} is neither 'SCVI' nor 'SCANVI'")
        if model == "SCANVI" and labels is None:
            raise ValueError("model='SCANVI' learns from labels: name their column, as labels='cell_type'")
        for name, value, least in (("batch_size", batch_size, 1), ("threads", threads, 0), ("workers", workers, 0)):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        self.store = open_store(data)
        if len(self.store) == 0:
            raise ValueError("there are no cells: give one at least")
        self.model, self.batch_size, self.threads, self.workers, self.seed = model, batch_size, threads, workers, seed
        self._batch = Column.of_datasets(self.store) if batch is None else Column.read(self.store, batch)
        self._labels = Column.none(len(self.store)) if labels is None else Column.read(self.store, labels)
        self._cells = ScviCells(self.store, self._genes(genes), self._batch, self._labels)
        sizes = dict(zip(self.store.datasets, self.store.dataset_sizes.tolist(), strict=True))
        split = make_split(sizes, val_fraction=val_fraction, seed=seed)
        self.train_idx, self.val_idx = (split.cells(part, list(sizes), list(sizes.values())) for part in PARTS[:2])
        #: Labels of the classes that `SCANVI` tells apart, which scvi-tools asks for.
        self.labels_ = self._labels.known
        if model == "SCANVI" and not (self._labels.codes[self.train_idx] < len(self.labels_)).any():
            raise ValueError(f"no cell to train on has a label in obs[{labels!r}]: SCANVI learns from labels")
        # what scvi-tools' runner looks for
        self.n_train, self.n_val, self.data_loader_kwargs = len(self.train_idx), len(self.val_idx), dict[str, Any]()

    def _genes(self, genes: Sequence[str] | None) -> list[str]:
        tables = self.store.gene_tables
        if genes is None:
            first = tables[0].index.astype(str).tolist()
            here = self.store.gene_map(first).measured.all(axis=0)
            genes = [gene for gene, everywhere in zip(first, here.tolist(), strict=True) if everywhere]
            if not genes:
                raise ValueError(f"no gene was measured by all of the data sets {self.store.datasets[:5]}: pass genes=")
            return genes
        genes = list(genes)
        measured = self.store.gene_map(genes).measured
        for table, here in enumerate(measured):
            if not here.all():
                part = int(np.flatnonzero(self.store.part_tables == table)[0])
                missing = [gene for gene, known in zip(genes, here.tolist(), strict=True) if not known]
                name = self.store.datasets[self.store.part_datasets[part]]
                raise ValueError(
                    f"data set {name!r} did not measure {len(missing):,} of the {len(genes):,} genes "
                    f"({listed(missing, 5)}): scVI would take them for 0. Leave out these genes, or the data set; "
                    "genes=None takes those that all data sets measured"
                )
        return genes

    # ------------------------------------------------------------------------------------- what scvi-tools asks for

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return len(self.store)

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return len(self._cells.genes)

    @property
    def n_batch(self) -> int:
        """Number of technical batches."""
        return len(self._batch.categories)

    @property
    def batch_labels(self) -> np.ndarray:
        """Names of the technical batches in the order of their codes."""
        return self._batch.categories

    @property
    def n_labels(self) -> int:
        """Number of labels: for ``SCANVI`` of known ones, else with that of unlabelled cells, if there are any."""
        return len(self._labels.known if self.model == "SCANVI" else self._labels.categories)

    @property
    def n_samples(self) -> int:
        """Number of samples in scvi-tools' sense, which these models do not use: 0."""
        return 0

    @property
    def registry(self) -> dict[str, Any]:
        """Description of the data that scvi-tools keeps: the names of genes, batches and labels, and their numbers."""
        try:
            of = version("scvi-tools")
        except PackageNotFoundError:
            of = "not installed"
        none: dict[str, Any] = {"data_registry": {}, "state_registry": {}, "summary_stats": {}}
        arguments = {"layer": None, "batch_key": self._batch.name, "labels_key": self._labels.name}
        unused = ("size_factor_key", "categorical_covariate_keys", "continuous_covariate_keys")
        return {
            "scvi_version": of,
            "model_name": self.model,
            "setup_method_name": "setup_datamodule",
            "setup_args": arguments | dict.fromkeys(unused),
            "field_registries": {
                "X": {
                    "data_registry": {"attr_name": "X", "attr_key": None},
                    "state_registry": {
                        "n_obs": self.n_obs,
                        "n_vars": self.n_vars,
                        "column_names": np.array(self._cells.genes, dtype=object),
                    },
                    "summary_stats": {"n_vars": self.n_vars, "n_cells": self.n_obs},
                },
                "batch": self._batch.field("batch", {"n_batch": self.n_batch}),
                "labels": self._labels.field(
                    "labels", {"n_labels": self.n_labels}, unlabeled_category=UNKNOWN_CATEGORY
                ),
                "size_factor": none,
                "extra_categorical_covs": none | {"summary_stats": {"n_extra_categorical_covs": 0}},
                "extra_continuous_covs": none | {"summary_stats": {"n_extra_continuous_covs": 0}},
            },
        }

    # --------------------------------------------------------------------------------------------------- the batches

    def train_dataloader(self) -> StoreLoader | InProcesses:
        """Return the cells to train on in random order, each once an epoch; each rank takes its share."""
        place = Place(trainer=lambda: self.trainer)
        rank, ranks = place.ranks
        sampler = ShuffledSampler(self.train_idx, seed=self.seed)
        return self._loader(Share(sampler, self.batch_size, rank=rank, world_size=ranks), place, self.train_idx)

    def val_dataloader(self) -> StoreLoader | InProcesses | list[Any]:
        """Return the held-out cells in order; an empty list if there are none."""
        if not len(self.val_idx):
            return []
        rank, ranks = Place(trainer=lambda: self.trainer).ranks
        share = Share(SequentialSampler(self.val_idx), self.batch_size, rank=rank, world_size=ranks)
        return self._loader(share, None, self.val_idx)

    def inference_dataloader(self, rows: np.ndarray | None = None) -> StoreLoader:
        """Return cells in the order of the store, for the ``dataloader=`` of a model's methods.

        Parameters
        ----------
        rows
            Numbers of the cells, in the order wanted; by default all.
        """
        sampler = Interleaved(SequentialSampler(self.n_obs if rows is None else np.asarray(rows)), 0, 1)
        return StoreLoader(
            cast("Any", self._cells), sampler, batch_size=self.batch_size, threads=self.threads, place=None
        )

    def _loader(self, share: Share, place: Place | None, rows: np.ndarray) -> StoreLoader | InProcesses:
        cells: ScviCells | LabelledPairs = self._cells
        if self.model == "SCANVI":
            labelled = rows[self._labels.codes[rows] < len(self._labels.known)]
            if len(labelled):
                cells = LabelledPairs(self._cells, labelled, self.seed)
        loader = StoreLoader(
            cast("Any", cells),
            share,
            batch_size=self.batch_size,
            threads=self.threads,
            pin_memory=torch.cuda.is_available() and not self.workers,
            place=place,
        )
        return InProcesses(loader, self.workers) if self.workers else loader


class InProcesses:
    """The batches of a loader, made by several processes; they and their order are the same.

    Parameters
    ----------
    loader
        The loader.
    workers
        Number of processes.
    """

    def __init__(self, loader: StoreLoader, workers: int) -> None:
        self.loader, self.workers = loader, workers

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.loader.find_epoch()
        make: Callable[..., Any] = torch.utils.data.DataLoader
        yield from make(self.loader, batch_size=None, num_workers=self.workers, pin_memory=torch.cuda.is_available())
