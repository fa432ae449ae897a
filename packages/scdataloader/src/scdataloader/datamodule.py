"""Lightning glue: h5ad files in, weighted training batches and a held-out validation set out."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import anndata
import lightning
import numpy as np
import torch
from tqdm.auto import tqdm

from scdataloader.batch import CellBatch
from scdataloader.cells import CellDataset, loader
from scdataloader.counts import obs_table
from scdataloader.genes import GeneVocabulary
from scdataloader.ontology import LabelSpace
from scdataloader.preprocess import Preprocessor
from scdataloader.sampling import WeightedSampler

logger = logging.getLogger(__name__)


class CellDataModule(lightning.LightningDataModule):
    """Training and validation batches from h5ad files of raw counts.

    Parameters
    ----------
    files
        Paths or glob patterns of h5ad files.
    classes
        Label classes; each needs a column ``<class>_ontology_term_id``.
    organisms
        Organisms of the gene vocabulary (protein-coding genes).
    context
        Genes per cell; the paper uses 2,200.
    choice
        How they are chosen; see `scdataloader.cells.CellDataset`.
    batch_size
        Cells per batch.
    weight_scale
        Sampling weight of rare label combinations; see `scdataloader.sampling.group_weights`.
    cells_per_epoch
        Draws in one epoch; by default as many as there are training cells.
    val_fraction
        Share of the cells held out for validation, drawn at random.
    min_genes
        Cells with fewer expressed genes are dropped.
    num_workers
        Loader processes.
    seed
        Of the split, the draws and the contexts.
    """

    def __init__(
        self,
        files: list[str],
        *,
        classes: Sequence[str] = ("cell_type", "disease", "assay", "organism"),
        organisms: Sequence[str] = ("human", "mouse"),
        context: int = 2200,
        choice: str = "random_expressed",
        batch_size: int = 64,
        weight_scale: float = 50.0,
        cells_per_epoch: int | None = None,
        val_fraction: float = 0.02,
        min_genes: int = 200,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
        self.files = _expand(files)
        self.classes = tuple(classes)
        self.organisms = tuple(organisms)
        self.context = context
        self.choice = choice
        self.batch_size = batch_size
        self.weight_scale = weight_scale
        self.cells_per_epoch = cells_per_epoch
        self.val_fraction = val_fraction
        self.min_genes = min_genes
        self.num_workers = num_workers
        self.seed = seed
        self._cells: CellDataset | None = None

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read and preprocess the files, once; Lightning calls it before training."""
        if self._cells is not None:
            return
        preprocess = Preprocessor(min_genes=self.min_genes)
        sources: list[tuple[str, anndata.AnnData]] = []
        for path in tqdm(self.files, desc="reading data sets", disable=None):
            clean, report = preprocess(path)
            logger.info("%s", report)
            sources.append((path.stem, clean))
        label_space = LabelSpace.from_obs([obs_table(adata) for _, adata in sources], self.classes)
        vocabulary = GeneVocabulary.for_organisms(self.organisms)
        self._cells = CellDataset(
            sources, vocabulary, label_space, context=self.context, choice=self.choice, seed=self.seed
        )
        order = np.random.default_rng(self.seed).permutation(len(self._cells))
        n_val = max(1, round(self.val_fraction * len(order)))
        self.val_cells, self.train_cells = np.sort(order[:n_val]), np.sort(order[n_val:])

    @property
    def cells(self) -> CellDataset:
        """All cells, training and validation; after `setup`."""
        if self._cells is None:
            raise RuntimeError("call setup() first")
        return self._cells

    @property
    def vocabulary(self) -> GeneVocabulary:
        """The gene vocabulary; after `setup`."""
        return self.cells.vocabulary

    @property
    def label_space(self) -> LabelSpace:
        """The labels of the corpus; after `setup`."""
        return self.cells.label_space

    def train_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return weighted random batches of the training cells; a new epoch draws anew, each rank takes its share."""
        cells = self.cells
        groups = np.column_stack([cells.labels, cells.dataset])[self.train_cells]
        n_draws = self.cells_per_epoch or len(self.train_cells)
        sampler = WeightedSampler(groups, scale=self.weight_scale, n_draws=n_draws, seed=self.seed)
        share = _Share(sampler, self.train_cells, *self._rank())
        if self.trainer is not None:
            share.set_epoch(self.trainer.current_epoch)
        return loader(cells, share, batch_size=self.batch_size, num_workers=self.num_workers)

    def val_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return the validation cells in order, with the same contexts every time."""
        share = _Share(range(len(self.val_cells)), self.val_cells, *self._rank())
        return loader(self.cells, share, batch_size=self.batch_size, num_workers=self.num_workers)

    def _rank(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        world_size = self.trainer.world_size
        if world_size > 1 and self.trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError(
                f"{world_size} processes would share the data twice: set Trainer(use_distributed_sampler=False), "
                "the data module gives each its part"
            )
        return self.trainer.global_rank, world_size


class _Share(torch.utils.data.Sampler[int]):
    """One rank's share of a sampler's draws among a subset, as indices of the whole: every n-th draw.

    It has to be used with ``Trainer(use_distributed_sampler=False)``: Lightning's own wrapper would split the share
    again, and never tell the sampler inside about a new epoch.
    """

    def __init__(self, sampler: WeightedSampler | range, subset: np.ndarray, rank: int, world_size: int) -> None:
        self._sampler = sampler
        self._subset = subset
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        # all ranks as many: one that had a batch more would wait for the others for ever
        return len(self._sampler) // self._world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; Lightning calls it."""
        if isinstance(self._sampler, WeightedSampler):
            self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        stop = len(self) * self._world_size
        return (int(self._subset[i]) for i in islice(iter(self._sampler), self._rank, stop, self._world_size))


def _expand(patterns: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for pattern in patterns:
        found = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207 (patterns may be absolute)
        if not found:
            raise FileNotFoundError(f"no file matches {pattern!r}")
        files += [Path(path) for path in found]
    return list(dict.fromkeys(files))
