"""Lightning glue: files in, weighted training batches, a validation and a test set out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import anndata
import lightning
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from scdataloader.batch import CellBatch
from scdataloader.cells import CellDataset, loader
from scdataloader.collate import Collator, FormatName, named_format
from scdataloader.counts import csr_counts, obs_table
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace
from scdataloader.preprocess import Preprocessor
from scdataloader.preprocess.checks import check_raw_counts
from scdataloader.sampling import WeightedSampler
from scdataloader.sources import find_sources, open_source, unique_names
from scdataloader.sources.memory import to_anndata
from scdataloader.splits import Split, make_split

logger = logging.getLogger(__name__)

#: Label classes where neither the caller nor a label space says.
DEFAULT_CLASSES = ("cell_type", "disease", "assay", "organism")


class CellDataModule(lightning.LightningDataModule):
    """Training, validation, test and prediction batches from files of raw counts.

    Parameters
    ----------
    files
        Files, folders, globs, addresses, ``lamin:`` names; see `scdataloader.sources.find_sources`.
    classes
        Label classes; each needs a column ``<class>_ontology_term_id``. None: those of `label_space`, or cell type,
        disease, assay and organism.
    organisms
        Organisms of the gene vocabulary (protein-coding genes).
    vocabulary
        File of a gene vocabulary (`GeneVocabulary.save`), instead of `organisms`.
    label_space
        File of a label space (`LabelSpace.save`), such as a trained model's; None makes one from the data.
    format
        ``"scprint"``, ``"scgpt"`` or ``"geneformer"``; see `scdataloader.collate`.
    context, choice, genes, missing, variable_context, min_context
        Genes per cell (2,200 in the paper) and how they are chosen; see `scdataloader.collate.Collator`. `min_context`
        is for training batches only.
    positions, n_bins, tokens, medians, special_tokens
        Of the format; see `scdataloader.collate.named_format`.
    batch_size
        Cells per batch.
    weight_scale
        Sampling weight of rare label combinations; see `scdataloader.sampling.group_weights`.
    weight_classes
        Which labels make these combinations: label classes, and ``"dataset"``. None: all of them.
    cells_per_epoch
        Draws in one epoch; by default as many as there are training cells.
    val_fraction
        Share of the cells held out for validation, drawn at random inside each data set.
    test_datasets
        Data sets held out for testing: names (the files' without ending), how many, or which share of them, rounded up;
        the paper holds out 2 %.
    split_by
        Column of ``obs``, such as ``"donor_id"``, whose groups are held out as a whole instead of single cells.
    test_groups
        Groups of that column held out for testing: names, how many, or which share.
    separate_duplicates
        Leave cells out of training whose counts are the same as those of a cell held out.
    split
        File of a split (`Split.save`) to use, instead of making one.
    preprocess
        Whether to preprocess the files. None: those that were not written by `Preprocessor`.
    preprocessor
        How; None for the default, with `min_genes`.
    min_genes
        Cells with fewer expressed genes are dropped.
    num_workers
        Loader processes.
    seed
        Of the split, the draws and the contexts.

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
        files: list[str],
        *,
        classes: Sequence[str] | None = None,
        organisms: Sequence[str] = ("human", "mouse"),
        vocabulary: str | None = None,
        label_space: str | None = None,
        format: FormatName = "scprint",  # noqa: A002 (the word for it)
        context: int | None = 2200,
        choice: str | None = None,
        genes: list[str] | None = None,
        missing: str = "error",
        variable_context: bool = False,
        min_context: int | None = None,
        positions: bool = False,
        n_bins: int = 51,
        tokens: str | None = None,
        medians: str | None = None,
        special_tokens: bool = False,
        batch_size: int = 64,
        weight_scale: float = 50.0,
        weight_classes: list[str] | None = None,
        cells_per_epoch: int | None = None,
        val_fraction: float = 0.02,
        test_datasets: list[str] | int | float = 0,
        split_by: str | None = None,
        test_groups: list[str] | int | float = 0,
        separate_duplicates: bool = True,
        split: str | None = None,
        preprocess: bool | None = None,
        preprocessor: Preprocessor | None = None,
        min_genes: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
        if preprocessor is not None and min_genes is not None:
            raise ValueError(f"min_genes={min_genes} is the preprocessor's: give it to that")
        self.files = find_sources(files)
        self.classes = None if classes is None else tuple(classes)
        self.organisms = tuple(organisms)
        self.context = context
        self.batch_size = batch_size
        self.weight_scale = weight_scale
        self.weight_classes = weight_classes
        self.cells_per_epoch = cells_per_epoch
        self.val_fraction = val_fraction
        self.test_datasets = test_datasets
        self.split_by = split_by
        self.test_groups = test_groups
        self.separate_duplicates = separate_duplicates
        self.preprocess = preprocess
        self.preprocessor = preprocessor or (Preprocessor() if min_genes is None else Preprocessor(min_genes=min_genes))
        self.num_workers = num_workers
        self.seed = seed
        self._vocabulary_file = vocabulary
        self._label_space_file = label_space
        self._split_file = split
        self._format = format
        self._format_options = {
            "positions": positions,
            "n_bins": n_bins,
            "tokens": tokens,
            "medians": medians,
            "special_tokens": special_tokens,
        }
        self._choice_options = {
            "choice": choice,
            "genes": genes,
            "missing": missing,
            "variable_context": variable_context,
            "min_context": min_context,
        }
        self._cells: CellDataset | None = None
        self._training_view: CellDataset | None = None
        self._split: Split | None = None

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read the files, preprocess those that need it, and split the cells; once, Lightning calls it."""
        if self._cells is not None:
            return
        if not self.files:
            raise ValueError("there are no files: pass one at least")
        collator = self._collator()  # before the files are read: its options may be wrong
        named = list(zip(unique_names(self.files), self.files, strict=True))
        sources = [(name, self._read(uri)) for name, uri in tqdm(named, desc="reading data sets", disable=None)]
        tables = {name: obs_table(adata) for name, adata in sources}
        label_space = self._make_label_space(tables)
        training = CellDataset(sources, collator.vocabulary, label_space, collator=collator)
        cells = training.with_collator(replace(collator, min_context=None))
        self._split = self._make_split(cells, tables)
        logger.info("cells of each data set by part:\n%s", self._split.to_frame())
        parts = [self._split.cells(part, cells.names, cells.sizes) for part in ("train", "validation", "test")]
        self.train_cells, self.val_cells, self.test_cells = parts
        self._training_view, self._cells = training, cells

    def _collator(self) -> Collator:
        if self._vocabulary_file is None:
            vocabulary = GeneVocabulary.for_organisms(self.organisms)
        else:
            vocabulary = GeneVocabulary.load(self._vocabulary_file)
        chosen = named_format(self._format, vocabulary, **self._format_options)  # type: ignore[arg-type]
        return Collator(
            vocabulary=vocabulary,
            context=self.context,
            format=chosen,
            seed=self.seed,
            **self._choice_options,  # type: ignore[arg-type]
        )

    def _read(self, uri: str) -> anndata.AnnData:
        try:
            with open_source(uri) as source:
                ready = "preprocessed_by" in source.uns.get("scdataloader", {})
                if self.preprocess or (self.preprocess is None and not ready):
                    clean, report = self.preprocessor(source)
                    logger.info("%s", report)
                    return clean
                adata = to_anndata(source)
            check_raw_counts(csr_counts(adata))
        except ValueError as error:
            raise ValueError(f"{uri}: {error}") from error
        return adata

    def _make_label_space(self, tables: dict[str, pd.DataFrame]) -> LabelSpace:
        if self._label_space_file is None:
            classes = self.classes if self.classes is not None else DEFAULT_CLASSES
            return LabelSpace.from_obs(list(tables.values()), classes)
        space = LabelSpace.load(self._label_space_file)
        if self.classes is None:
            return space
        unknown = [name for name in self.classes if name not in space.classes]
        if unknown:
            raise ValueError(
                f"{self._label_space_file} has no classes {unknown}, only {list(space.classes)}: choose among these"
            )
        return LabelSpace({name: space.classes[name] for name in self.classes})

    def _make_split(self, cells: CellDataset, tables: dict[str, pd.DataFrame]) -> Split:
        if self._split_file is not None:
            return Split.load(self._split_file)
        groups = None
        if self.split_by is not None:
            for name, table in tables.items():
                if self.split_by not in table:
                    raise ValueError(f"{name}: obs has no column {self.split_by!r}; it has {table.columns.tolist()}")
            groups = {name: table[self.split_by].tolist() for name, table in tables.items()}
        prints = None
        if self.separate_duplicates:
            ends = np.cumsum(cells.sizes)[:-1]
            prints = dict(zip(cells.names, np.split(cells.fingerprints, ends), strict=True))
        return make_split(
            dict(zip(cells.names, cells.sizes, strict=True)),
            val_fraction=self.val_fraction,
            test_datasets=self.test_datasets,
            groups=groups,
            test_groups=self.test_groups,
            fingerprints=prints,
            seed=self.seed,
        )

    @property
    def cells(self) -> CellDataset:
        """All cells; after `setup`."""
        if self._cells is None:
            raise RuntimeError("call setup() first")
        return self._cells

    @property
    def split(self) -> Split:
        """Which cells are held out, `Split.to_frame` counts them and `Split.save` keeps it; after `setup`."""
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

    def train_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return weighted random batches of the training cells; a new epoch draws anew, each rank takes its share."""
        groups = self._groups()[self.train_cells]
        n_draws = self.cells_per_epoch or len(self.train_cells)
        sampler = WeightedSampler(groups, scale=self.weight_scale, n_draws=n_draws, seed=self.seed)
        share = _Share(sampler, self.train_cells, *self._rank())
        if self.trainer is not None:
            share.set_epoch(self.trainer.current_epoch)
        return loader(
            self._training_view or self.cells, share, batch_size=self.batch_size, num_workers=self.num_workers
        )

    def _groups(self) -> np.ndarray:
        """Return the columns whose combinations are weighted; int64, shape (n_cells, n_columns)."""
        cells = self.cells
        columns = dict(zip(cells.label_space.classes, cells.labels.T, strict=True)) | {"dataset": cells.dataset}
        chosen = list(columns) if self.weight_classes is None else self.weight_classes
        unknown = [name for name in chosen if name not in columns]
        if unknown:
            raise ValueError(f"weight_classes={unknown} are not among {list(columns)}")
        return np.stack([columns[name] for name in chosen], axis=1) if chosen else np.zeros((len(cells), 1), np.int64)

    def val_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return the validation cells in order, with the same contexts every time."""
        return self._in_order(self.val_cells, even=True)

    def test_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return the test cells in order, each once: those of the data sets `Split.test_datasets` names.

        Raises
        ------
        ValueError
            When nothing was held out for testing.
        """
        cells = self.cells
        if len(self.test_cells) == 0:
            raise ValueError(f"there is nothing to test on: hold out some test_datasets, of {cells.names[:10]}")
        return self._in_order(self.test_cells, even=False)

    def predict_dataloader(self) -> torch.utils.data.DataLoader[CellBatch]:
        """Return all cells of all files in order, each once."""
        return self._in_order(np.arange(len(self.cells)), even=False)

    def _in_order(self, subset: np.ndarray, *, even: bool) -> torch.utils.data.DataLoader[CellBatch]:
        share = _Share(range(len(subset)), subset, *self._rank(), even=even)
        return loader(self.cells, share, batch_size=self.batch_size, num_workers=self.num_workers)

    def _rank(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


class _Share(torch.utils.data.DistributedSampler[int]):
    """One rank's share of a sampler's draws among a subset, as indices of the whole: every n-th draw.

    It is a DistributedSampler because Lightning leaves those in place: around any other sampler it would put its own,
    which shares the share out again and never tells the sampler inside about a new epoch.

    Parameters
    ----------
    sampler
        Draws positions in `subset`.
    subset
        Indices of the whole.
    rank, world_size
        Which share, of how many.
    even
        All ranks as many, up to ``world_size - 1`` draws are left: a rank that had a batch more would wait for the
        others for ever where they exchange gradients. Else every draw is given out.
    """

    def __init__(
        self, sampler: WeightedSampler | range, subset: np.ndarray, rank: int, world_size: int, *, even: bool = True
    ) -> None:
        super().__init__(subset, num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self._sampler = sampler
        self._subset = subset
        self._even = even

    def __len__(self) -> int:
        return len(range(self.rank, self._stop(), self.num_replicas))

    def _stop(self) -> int:
        n = len(self._sampler)
        return n - n % self.num_replicas if self._even else n

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; Lightning calls it."""
        if isinstance(self._sampler, WeightedSampler):
            self._sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        drawn = islice(iter(self._sampler), self.rank, self._stop(), self.num_replicas)
        return (int(self._subset[i]) for i in drawn)
