"""Lightning glue: files in, weighted training batches, a validation and a test set out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from scdataloader._lightning import lightning
from scdataloader._torch import torch
from scdataloader.batch import CellBatch
from scdataloader.cells import CellDataset
from scdataloader.collate import Collator, FormatName, named_format
from scdataloader.counts import csr_counts, obs_table
from scdataloader.feeds import Cells, Feed, MemoryFeed, StoreFeed
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace
from scdataloader.preprocess import Preprocessor
from scdataloader.preprocess.checks import check_raw_counts
from scdataloader.sources import find_sources, open_source, unique_names
from scdataloader.sources.memory import to_anndata
from scdataloader.splits import Split, make_split
from scdataloader.store import open_store
from scdataloader.store.store_cells import StoreCells

logger = logging.getLogger(__name__)

#: A column of the cells' table, by data set.
type Column = Callable[[str], dict[str, list[object]]]
#: Choices of genes that a store offers, by the names that they have for files.
STORE_CHOICES = {"random_expressed": "random_expressed", "most_expressed": "most_expressed", "given": "all"}
#: Label classes where neither the caller nor a label space says.
DEFAULT_CLASSES = ("cell_type", "disease", "assay", "organism")


class CellDataModule(lightning.LightningDataModule):
    """Training, validation, test and prediction batches from files of raw counts.

    Parameters
    ----------
    files
        Files, folders, globs, addresses, ``lamin:`` names; see `scdataloader.sources.find_sources`. They are read into
        memory.
    store
        Train straight from a store of cells instead, however large: the folder of a `CellStore`, or files that are
        preprocessed; see `scdataloader.store.open_store`. `format`, `missing`, `variable_context`, `preprocess` and the
        like are for files only.
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
        Loader processes; for files.
    threads, read_ahead
        Of the store's batches; see `scdataloader.store.StoreLoader`.
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
        files: list[str] | None = None,
        *,
        store: str | list[str] | None = None,
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
        threads: int = 1,
        read_ahead: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if (files is None) == (store is None):
            raise ValueError(f"files={files} and store={store}: give one of them")
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
        if preprocessor is not None and min_genes is not None:
            raise ValueError(f"min_genes={min_genes} is the preprocessor's: give it to that")
        self.files = find_sources(files or [])
        self.store = store
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
        self._store_options = {"threads": threads, "read_ahead": read_ahead}
        if store is not None:
            self._check_for_store(num_workers, min_genes)
        self._feed: Feed | None = None
        self._split: Split | None = None

    def _check_for_store(self, num_workers: int, min_genes: int | None) -> None:
        """Raise where an option is set that a store does not have."""
        options = {**self._choice_options, **self._format_options, "format": self._format}
        options |= {"preprocess": self.preprocess, "min_genes": min_genes, "num_workers": num_workers}
        plain = {"choice": options["choice"], "genes": options["genes"], "missing": "error", "n_bins": 51}
        plain |= {"variable_context": False, "positions": False, "special_tokens": False, "format": "scprint"}
        plain |= {"num_workers": 0}
        wrong = {name: value for name, value in options.items() if value != plain.get(name)}
        if wrong:
            raise ValueError(f"{wrong} are for files, not for a store: leave them out, or give files")
        if options["choice"] not in (None, *STORE_CHOICES):
            raise ValueError(f"choice={options['choice']!r} is not one of {list(STORE_CHOICES)}, which a store offers")

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        """Read the files, preprocess those that need it (or open the store), and split the cells; once."""
        if self._feed is not None:
            return
        feed, column = self._of_files() if self.store is None else self._of_store(self.store)
        cells = feed.cells
        self._split = self._make_split(cells, column)
        logger.info("cells of each data set by part:\n%s", self._split.to_frame())
        parts = [self._split.cells(part, cells.names, cells.sizes) for part in ("train", "validation", "test")]
        self.train_cells, self.val_cells, self.test_cells = parts
        self._feed = feed

    def _of_files(self) -> tuple[Feed, Column]:
        if not self.files:
            raise ValueError("there are no files: pass one at least")
        collator = self._collator()  # before the files are read: its options may be wrong
        named = list(zip(unique_names(self.files), self.files, strict=True))
        sources = [(name, self._read(uri)) for name, uri in tqdm(named, desc="reading data sets", disable=None)]
        tables = {name: obs_table(adata) for name, adata in sources}
        label_space = self._make_label_space(list(tables.values()))
        training = CellDataset(sources, collator.vocabulary, label_space, collator=collator)
        feed = MemoryFeed(
            training.with_collator(replace(collator, min_context=None)),
            training,
            draws=self._draws(),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            current_epoch=self._current_epoch,
        )

        def column(name: str) -> dict[str, list[object]]:
            for data_set, table in tables.items():
                if name not in table:
                    raise ValueError(f"{data_set}: obs has no column {name!r}; it has {table.columns.tolist()}")
            return {data_set: table[name].tolist() for data_set, table in tables.items()}

        return feed, column

    def _of_store(self, what: str | list[str]) -> tuple[Feed, Column]:
        store = open_store(what)
        label_space = self._make_label_space([store.obs()] if self._label_space_file is None else [])
        cells = StoreCells(store, self._make_vocabulary(), label_space)
        choice: Any = self._choice_options["choice"] or "random_expressed"
        options = {
            "batch_size": self.batch_size,
            "choice": STORE_CHOICES[choice],
            "context": None if choice == "given" else self.context,
            "genes": self._choice_options["genes"],
            "seed": self.seed,
            "pin_memory": torch.cuda.is_available(),
            **self._store_options,
        }
        feed = StoreFeed(cells, draws=self._draws(), options=options, current_epoch=self._current_epoch)

        def column(name: str) -> dict[str, list[object]]:
            try:
                values = store.obs([name])[name].tolist()
            except KeyError as error:
                raise ValueError(f"{what}: {error.args[0]}") from error
            ends = np.cumsum([0, *cells.sizes])
            return {
                data_set: values[begin:end]
                for data_set, begin, end in zip(cells.names, ends[:-1], ends[1:], strict=True)
            }

        return feed, column

    def _draws(self) -> dict[str, Any]:
        return {"n_draws": self.cells_per_epoch, "scale": self.weight_scale, "seed": self.seed}

    def _current_epoch(self) -> int:
        return 0 if self.trainer is None else self.trainer.current_epoch

    def _make_vocabulary(self) -> GeneVocabulary:
        if self._vocabulary_file is None:
            return GeneVocabulary.for_organisms(self.organisms)
        return GeneVocabulary.load(self._vocabulary_file)

    def _collator(self) -> Collator:
        vocabulary = self._make_vocabulary()
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

    def _make_label_space(self, tables: list[pd.DataFrame]) -> LabelSpace:
        if self._label_space_file is None:
            classes = self.classes if self.classes is not None else DEFAULT_CLASSES
            return LabelSpace.from_obs(tables, classes)
        space = LabelSpace.load(self._label_space_file)
        if self.classes is None:
            return space
        unknown = [name for name in self.classes if name not in space.classes]
        if unknown:
            raise ValueError(
                f"{self._label_space_file} has no classes {unknown}, only {list(space.classes)}: choose among these"
            )
        return LabelSpace({name: space.classes[name] for name in self.classes})

    def _make_split(self, cells: Cells, column: Column) -> Split:
        if self._split_file is not None:
            return Split.load(self._split_file)
        groups = None if self.split_by is None else column(self.split_by)
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
    def cells(self) -> Any:
        """All cells, a `CellDataset` or, of a store, a `StoreCells`; after `setup`."""
        if self._feed is None:
            raise RuntimeError("call setup() first")
        return self._feed.cells

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

    def train_dataloader(self) -> Iterable[CellBatch]:
        """Return weighted random batches of the training cells; a new epoch draws anew, each rank takes its share."""
        return self._ready.weighted(self._groups(), self.train_cells, *self._rank())

    def _groups(self) -> np.ndarray:
        """Return the columns whose combinations are weighted; int32, shape (n_cells, n_columns)."""
        cells = self.cells
        labels = cells.labels
        columns = dict(zip(cells.label_space.classes, labels.T, strict=True)) | {"dataset": cells.dataset}
        chosen = list(columns) if self.weight_classes is None else self.weight_classes
        unknown = [name for name in chosen if name not in columns]
        if unknown:
            raise ValueError(f"weight_classes={unknown} are not among {list(columns)}")
        kept = [columns[name].astype(np.int32, copy=False) for name in chosen] or [np.zeros(len(cells), np.int32)]
        return np.stack(kept, axis=1)

    def val_dataloader(self) -> Iterable[CellBatch]:
        """Return the validation cells in order, with the same contexts every time."""
        return self._in_order(self.val_cells, even=True)

    def test_dataloader(self) -> Iterable[CellBatch]:
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

    def predict_dataloader(self) -> Iterable[CellBatch]:
        """Return all cells of all files in order, each once."""
        return self._in_order(np.arange(len(self.cells)), even=False)

    def _in_order(self, subset: np.ndarray, *, even: bool) -> Iterable[CellBatch]:
        return self._ready.in_order(subset, *self._rank(), even=even)

    @property
    def _ready(self) -> Feed:
        if self._feed is None:
            raise RuntimeError("call setup() first")
        return self._feed

    def _rank(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
