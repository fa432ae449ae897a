"""The options of a data module: where cells come from, which genes they show, how they are drawn, what is held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scdataloader.collate.collator import Collator
from scdataloader.collate.named import FormatName, named_format
from scdataloader.expression.counts_choice import CountsChoice, place_of_counts
from scdataloader.genes.vocabulary import GeneVocabulary
from scdataloader.preprocess import Preprocessor
from scdataloader.sampling import DatasetRuns, Sampler, WeightedSampler
from scdataloader.sampling.groups import Groups
from scdataloader.splits import Split, make_split

if TYPE_CHECKING:
    from scdataloader.collate.cells import CellDataset


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Settings of the cells that are used, and of the way they are read.

    Parameters
    ----------
    datasets
        Names of the data sets to use (the files' names without their ending); None: all.
    where
        Condition on ``obs`` that cells have to meet, such as ``"tissue == 'lung' and n_genes > 500"``, as
        `pandas.DataFrame.query` takes it. Cells whose data set lacks one of the columns have no value there.
    vocabulary
        File of a gene vocabulary (`GeneVocabulary.save`), instead of organisms.
    label_space
        File of a label space (`LabelSpace.save`), such as a trained model's; None makes one from the data.
    own_outputs
        Whether labels that have others below them are outputs of their own, too, in a label space made from the data;
        see `scdataloader.labels.LabelClass.from_terms`.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    round
        Whether to round fractional counts, as RSEM, salmon, alevin, STARsolo-EM and CellBender give them. Normalised
        values are refused.
    preprocess
        Whether to preprocess the files; None: those that were not written by `Preprocessor`.
    preprocessor
        Settings of the preprocessing; None for the default ones, with `min_genes`.
    min_genes
        Number of expressed genes that a cell must have; fewer drop it.
    in_memory
        Whether to hold the cells of all files in memory. By default only those that are preprocessed here are:
        uncompressed h5ad files are read in place, others are converted once to a store in the cache folder.
    """

    datasets: tuple[str, ...] | None = None
    where: str | None = None
    vocabulary: str | None = None
    label_space: str | None = None
    own_outputs: bool = False
    layer: str | None = None
    counts: str = "auto"
    round: bool = False
    preprocess: bool | None = None
    preprocessor: Preprocessor | None = None
    min_genes: int | None = None
    in_memory: bool = False

    def __post_init__(self) -> None:
        check_list("datasets", self.datasets)
        if self.preprocessor is not None and self.min_genes is not None:
            raise ValueError(f"min_genes={self.min_genes} is the preprocessor's: give it to that")
        if self.preprocessor is not None and self.choice is not None:
            told = f"layer={self.layer!r}, counts={self.counts!r} and round={self.round}"
            raise ValueError(f"{told} are the preprocessor's: give them to that")

    @property
    def choice(self) -> CountsChoice | None:
        """The counts that are meant; None: nothing is said of them."""
        place = place_of_counts(self.layer, self.counts, usual="auto")
        return CountsChoice(counts=place or "auto", round=self.round) if place is not None or self.round else None

    @property
    def cleaning(self) -> Preprocessor:
        """The settings of the preprocessing."""
        if self.preprocessor is not None:
            return self.preprocessor
        made = Preprocessor() if self.min_genes is None else Preprocessor(min_genes=self.min_genes)
        return replace(made, layer=self.layer, counts=self.counts, round=self.round)

    def check_for_store(self) -> None:
        """Raise ValueError where an option is set that a store does not have: its cells are clean already."""
        given = {
            "layer": self.layer,
            "counts": None if self.counts == "auto" else self.counts,
            "round": self.round or None,
            "preprocess": self.preprocess,
            "preprocessor": self.preprocessor,
            "min_genes": self.min_genes,
            "in_memory": self.in_memory or None,
        }
        wrong = {name: value for name, value in given.items() if value is not None}
        if wrong:
            raise ValueError(f"{wrong} are for files, not for a store: leave them out, or give files")


@dataclass(frozen=True, kw_only=True)
class GeneChoice:
    """Settings of the genes that make a context, and of the format of batches.

    Parameters
    ----------
    choice
        ``"random_expressed"`` (the default), ``"most_expressed"``, ``"most_variable"``, ``"given"`` or ``"all"``.
    genes
        Gene ids; see `scdataloader.collate.Collator`.
    missing
        Treatment of cells whose data set did not measure a gene of ``"given"``: ``"error"``, or ``"mask"`` it.
    variable_context
        Whether cells have as many genes as they express instead of exactly the context.
    min_context
        Fewest genes of a training batch, each of which then draws its context anew.
    shuffle
        Whether random genes come in random order.
    format
        ``"scprint"``, ``"scgpt"`` or ``"geneformer"``; see `scdataloader.collate.named_format`.
    positions, profile, n_bins, tokens, medians, special_tokens
        Settings of the format; see `scdataloader.collate.named_format`.
    """

    choice: str | None = None
    genes: tuple[str, ...] | None = None
    missing: str = "error"
    variable_context: bool = False
    min_context: int | None = None
    shuffle: bool = True
    format: FormatName = "scprint"
    positions: bool = False
    profile: bool = False
    n_bins: int = 51
    tokens: str | None = None
    medians: str | None = None
    special_tokens: bool = False

    def __post_init__(self) -> None:
        check_list("genes", self.genes)

    def collator(self, vocabulary: GeneVocabulary, context: int | None, seed: int) -> Collator:
        """Return the collator for a vocabulary.

        Raises
        ------
        ValueError
            For options that do not go together.
        """
        return Collator(
            vocabulary=vocabulary,
            context=context,
            choice=self.choice,
            genes=self.genes,
            missing=self.missing,
            variable_context=self.variable_context,
            min_context=self.min_context,
            shuffle=self.shuffle,
            format=named_format(
                self.format,
                vocabulary,
                positions=self.positions,
                profile=self.profile,
                n_bins=self.n_bins,
                tokens=self.tokens,
                medians=self.medians,
                special_tokens=self.special_tokens,
            ),
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Settings of the way cells are drawn for training, and batches made.

    Parameters
    ----------
    weight_scale
        Sampling weight of rare label combinations; see `scdataloader.sampling.group_weights`.
    weight_classes
        Names of the labels that make these combinations: label classes, and ``"dataset"``. None: all of them.
    cells_per_epoch
        Number of draws in one epoch; by default as many as there are training cells.
    run
        Number of consecutive draws that are of one data set, for losses that compare cells of the same data set; None
        draws each by itself. See `scdataloader.sampling.DatasetRuns`.
    cap
        Bound of a data set's weight, with `run`.
    threads, read_ahead
        Number of threads that make batches, and of batches read ahead; see `scdataloader.StoreLoader`.
    """

    weight_scale: float = 50.0
    weight_classes: tuple[str, ...] | None = None
    cells_per_epoch: int | None = None
    run: int | None = None
    cap: int | None = None
    threads: int = 1
    read_ahead: int = 0

    def __post_init__(self) -> None:
        check_list("weight_classes", self.weight_classes)
        if not self.weight_scale > 0:
            raise ValueError(f"weight_scale={self.weight_scale} must be positive")
        for name, value, least in (
            ("cells_per_epoch", self.cells_per_epoch, 1),
            ("run", self.run, 1),
            ("cap", self.cap, 1),
            ("threads", self.threads, 0),
            ("read_ahead", self.read_ahead, 0),
        ):
            if value is not None and value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        if self.cap is not None and self.run is None:
            raise ValueError(f"cap={self.cap} is of runs of one data set: set run, too")

    def sampler(self, cells: CellDataset, subset: np.ndarray, *, seed: int) -> Sampler:
        """Return the sampler of some cells."""
        columns, n_draws = self.columns(cells), self.cells_per_epoch or len(subset)
        if self.run is None:
            groups = Groups.from_labels(columns, subset=subset)
            return WeightedSampler(groups, n_draws=n_draws, scale=self.weight_scale, seed=seed)
        return DatasetRuns(
            columns,
            cells.dataset,
            run=self.run,
            cap=self.cap,
            scale=self.weight_scale,
            n_draws=n_draws,
            seed=seed,
            subset=subset,
        )

    def columns(self, cells: CellDataset) -> np.ndarray:
        """Return the columns whose combinations are weighted; int32, shape (n_cells, n_columns)."""
        columns = dict(zip(cells.label_space.classes, cells.labels.T, strict=True)) | {"dataset": cells.dataset}
        chosen = list(columns) if self.weight_classes is None else list(self.weight_classes)
        unknown = [name for name in chosen if name not in columns]
        if unknown:
            raise ValueError(f"weight_classes={unknown} are not among {list(columns)}")
        kept = [columns[name].astype(np.int32, copy=False) for name in chosen] or [np.zeros(len(cells), np.int32)]
        return np.stack(kept, axis=1)


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """Settings of the cells that are held out for validation and for testing; see `scdataloader.make_split`.

    Parameters
    ----------
    val_fraction
        Share of the cells held out for validation, drawn at random inside each data set. None: 2 %, or none where whole
        data sets or groups validate.
    val_datasets
        Data sets held out for validation as a whole: names, how many, or which share of them. Only they show how a
        model does on data unlike those that it learned from.
    test_datasets
        Data sets held out for testing: names, how many, or which share of them, rounded up; the paper holds out 2 %.
    split_by
        Column of ``obs``, such as ``"donor_id"``, whose groups are held out as a whole instead of single cells.
    val_groups
        Groups of that column held out for validation: names, how many, or which share.
    test_groups
        Groups of that column held out for testing: names, how many, or which share.
    separate_duplicates
        Whether to leave cells out of training whose counts are the same as those of a cell held out.
    file
        File of a split (`Split.save`) to use instead of making one.
    """

    val_fraction: float | None = None
    val_datasets: list[str] | int | float = 0
    test_datasets: list[str] | int | float = 0
    split_by: str | None = None
    val_groups: list[str] | int | float = 0
    test_groups: list[str] | int | float = 0
    separate_duplicates: bool = True
    file: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.val_share < 1 or (self.val_share == 0 and not self.val_whole):
            raise ValueError(
                f"val_fraction={self.val_fraction} must lie between 0 and 1; 0 goes with val_datasets or val_groups"
            )

    @property
    def val_whole(self) -> bool:
        """Whether data sets or groups are held out for validation as a whole."""
        return any(not isinstance(one, (int, float)) or one > 0 for one in (self.val_datasets, self.val_groups))

    @property
    def val_share(self) -> float:
        """Share of the other cells that validate."""
        if self.val_fraction is None:
            return 0.0 if self.val_whole else 0.02
        return self.val_fraction

    def split(self, cells: CellDataset, *, seed: int) -> Split:
        """Return the split of the given cells, from its file if there is one."""
        if self.file is not None:
            return Split.load(self.file)
        prints = None
        if self.separate_duplicates:
            ends = np.cumsum(cells.sizes)[:-1]
            prints = dict(zip(cells.names, np.split(cells.fingerprints, ends), strict=True))
        return make_split(
            dict(zip(cells.names, cells.sizes, strict=True)),
            val_fraction=self.val_share,
            val_datasets=self.val_datasets,
            test_datasets=self.test_datasets,
            groups=None if self.split_by is None else cells.obs_column(self.split_by),
            test_groups=self.test_groups,
            val_groups=self.val_groups,
            fingerprints=prints,
            seed=seed,
        )


def check_list(name: str, value: object) -> None:
    """Raise ValueError where a single name is given instead of a list: its letters would be the names."""
    if isinstance(value, str):
        raise ValueError(f"{name}={value!r} must be a list of names: write [{value!r}]")
