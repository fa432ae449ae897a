"""Cells of several data sets over one gene vocabulary, fetched a mini-batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from scdataloader._torch import torch
from scdataloader._wording import listed
from scdataloader.batch import CellBatch
from scdataloader.collate.choosing import Chooser, Empty
from scdataloader.collate.collator import Collator
from scdataloader.collate.contexts import Contexts
from scdataloader.collate.extras import Extras, ReadExtras
from scdataloader.collate.scprint import ScPrintFormat
from scdataloader.content import row_keys
from scdataloader.expression.counts_choice import place_of_counts
from scdataloader.fingerprint import cell_fingerprints
from scdataloader.genes.vocabulary import GeneVocabulary
from scdataloader.labels.space import LabelSpace
from scdataloader.sampling.sampler import fingerprint, fingerprint_of_array
from scdataloader.store.opening import open_store

#: Cells that are looked at at a time.
_CHUNK = 1 << 14


class CellDataset(torch.utils.data.Dataset[CellBatch]):
    """Cells that can be asked for in mini-batches, wherever their counts are.

    It is a map-style data set of PyTorch: give it to a DataLoader with ``collate_fn=scdataloader.collate.keep_batch``.
    `scdataloader.StoreLoader` is faster, and can be continued anywhere.

    Parameters
    ----------
    data
        Raw counts over gene ids: an open store, or what `scdataloader.open_store` takes, such as AnnData, files, pairs
        of a name and one of these, or the folder of a store. Genes that ``var["measured"]`` says were not measured are
        left out.
    vocabulary
        Genes that count; others stay in ``total_counts`` only.
    label_space
        Labels to encode.
    layer
        Layer that holds the raw counts.
    counts
        Place of the raw counts: X, raw, a layer, or auto for the first of X, raw and the layers that holds whole
        numbers.
    context, choice, seed
        Shorthand for a collator with these: number of genes per cell, how they are chosen, and the seed of that.
    collator
        Function that makes a batch of cells, instead of the three above. With another format than scPRINT's, batches
        are what that format says.
    rows
        Rows of the data that these cells are, int64, shape (n_cells,), rising; None: all. The cells are numbered anew.
    extras
        Further entries of the batches; see `scdataloader.collate.Extras`.

    Raises
    ------
    ValueError
        When the data hold no cells, or a data set measures fewer known genes than the context asks for.

    Examples
    --------
    >>> from scdataloader import CellDataset, GeneVocabulary, LabelSpace, Preprocessor, StoreLoader, WeightedSampler
    >>> from scdataloader import datasets
    >>> retina, _ = Preprocessor()(datasets.retina_1k())
    >>> space = LabelSpace.from_obs([retina.obs], ["cell_type"])
    >>> cells = CellDataset(retina, GeneVocabulary.for_organisms(["human"]), space, context=500)
    >>> sampler = WeightedSampler(cells.labels, n_draws=len(cells))
    >>> batch = next(iter(StoreLoader(cells, sampler, batch_size=32)))
    >>> batch["counts"].shape
    torch.Size([32, 500])
    """

    def __init__(
        self,
        data: Any,
        vocabulary: GeneVocabulary,
        label_space: LabelSpace,
        *,
        layer: str | None = None,
        counts: str = "X",
        context: int | None = None,
        choice: str | None = None,
        seed: int | None = None,
        collator: Collator | None = None,
        rows: np.ndarray | None = None,
        extras: Extras | None = None,
    ) -> None:
        if collator is None:
            collator = Collator(vocabulary=vocabulary, context=context, choice=choice, seed=seed or 0)
        elif (context, choice, seed) != (None, None, None):
            raise ValueError("context, choice and seed are the collator's: give them to it")
        self.store = open_store(data, matrix=place_of_counts(layer, counts, usual="X") or "auto")
        self.vocabulary, self.label_space = vocabulary, label_space
        self.rows = None if rows is None else np.asarray(rows, dtype=np.int64)
        if len(self) == 0:
            raise ValueError("there are no cells: give one at least")
        self._set_names()
        self._use(collator)
        self._extras: ReadExtras | None = None
        if extras:
            self._read_extras(extras, None)

    def _set_names(self) -> None:
        """Give numbers to the data sets that have cells here."""
        counted = self.store.dataset_sizes
        if self.rows is not None:
            counted = np.bincount(self.store.dataset_of(self.rows), minlength=len(counted))
        kept = np.flatnonzero(counted) if self.rows is not None else np.arange(len(counted))
        #: Names of the data sets, in order.
        self.names = [self.store.datasets[i] for i in kept.tolist()]
        #: Number of cells of each data set.
        self.sizes: list[int] = counted[kept].tolist()
        self._number = np.full(len(counted), -1, np.int64)
        self._number[kept] = np.arange(len(kept))

    def _use(self, collator: Collator) -> None:
        if collator.vocabulary != self.vocabulary:
            raise ValueError("the collator was made for another vocabulary: make it with that of the data set")
        self.collator = collator
        self._chooser = Chooser(self.store, collator, self.rows)
        self._tie_seed = draw_seed(collator.seed, 0)

    def with_collator(self, collator: Collator) -> CellDataset:
        """Return the same cells, batched by another collator; nothing is copied."""
        other = copy.copy(self)
        other._use(collator)
        return other

    def with_extras(self, extras: Extras, apart: np.ndarray | None = None) -> CellDataset:
        """Return the same cells whose batches hold more; see `Extras`.

        Parameters
        ----------
        extras
            Further entries of the batch.
        apart
            Number of the part of each cell, shape (n_cells,), such as its part of a split: cells of other parts are
            not neighbours.
        """
        other = copy.copy(self)
        other._read_extras(extras, apart)
        return other

    def _read_extras(self, extras: Extras, apart: np.ndarray | None) -> None:
        if extras.needs_genes and not isinstance(self.collator.format, ScPrintFormat):
            kind = type(self.collator.format).__name__
            raise ValueError(
                f"layers and neighbours are given for the genes of a context, which {kind} turns to tokens"
            )
        rows = np.arange(len(self)) if self.rows is None else self.rows
        self._extras = extras.read(self.store, rows, apart)

    def __len__(self) -> int:
        return len(self.store) if self.rows is None else len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a worker process makes itself: it holds addresses of memory."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_encode",)}

    # ------------------------------------------------------------------------------------------------- look at them

    @property
    def dataset(self) -> np.ndarray:
        """Index of each cell's data set, int64, shape (n_cells,)."""
        return np.repeat(np.arange(len(self.names)), self.sizes)

    @property
    def total_counts(self) -> np.ndarray:
        """Total count of each cell, float32, shape (n_cells,)."""
        return self.store.total_counts(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """Label codes, -1 unknown; shape (n_cells, n_classes), of as few bytes as they need. Read anew each time."""
        most = max((len(one.leaves) + len(one.parents) for one in self.label_space.classes.values()), default=0)
        kind = next(k for k in (np.int8, np.int16, np.int32) if most <= np.iinfo(k).max)
        out = np.empty((len(self), len(self.label_space.classes)), kind)
        for cells, rows in self._chunks():
            out[cells] = self._encode(rows)
        return out

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """One 64-bit hash a cell, see `scdataloader.fingerprint`; all counts are read once for it."""
        genes = self.store.gene_map(self.vocabulary)
        index = np.arange(genes.width)
        out = np.empty(len(self), np.uint64)
        with tqdm(total=len(self), desc="fingerprints of cells", unit="cell", disable=None) as bar:
            for cells, rows in self._chunks():
                ends, columns, counts = self.store.gather_csr(rows, genes, exact=True)
                matrix = sparse.csr_matrix((counts, columns, ends), shape=(len(rows), genes.width))
                out[cells] = cell_fingerprints(matrix, index)
                bar.update(len(rows))
        return out

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the cells and of all that decides what batches hold of them."""
        tables = np.concatenate([*self._chooser.genes.tables, np.empty(0, np.int32)])
        return fingerprint(
            {
                "store": self.store.fingerprint,
                "rows": None if self.rows is None else fingerprint_of_array(self.rows),
                "genes": fingerprint_of_array(tables),
                "collator": self.collator.fingerprint,
                "extras": None if self._extras is None else self._extras.fingerprint,
            }
        )

    def obs_column(self, name: str) -> dict[str, list[object]]:
        """Return a column of ``obs`` by data set, one value a cell.

        Raises
        ------
        ValueError
            When a data set has no such column.
        """
        values: dict[str, list[object]] = {}
        tables = self.store.obs_tables([name])
        first = np.cumsum([0, *self.store.dataset_sizes])
        for data_set, table, begin in zip(self.store.datasets, tables, first, strict=False):
            if data_set not in self.names:
                continue
            if name not in table:
                there = self.store.obs_tables()[self.store.datasets.index(data_set)].columns.tolist()
                raise ValueError(f"{data_set}: obs has no column {name!r}; it has [{listed(there)}]")
            column = table[name]
            if self.rows is not None:
                mine = self.rows[(self.rows >= begin) & (self.rows < begin + len(table))]
                column = column.iloc[mine - begin]
            values[data_set] = column.tolist()
        return values

    @property
    def categories(self) -> dict[str, list[str]]:
        """Values that the codes of each further column of ``obs`` in the batches stand for; see `Extras`."""
        return {} if self._extras is None else self._extras.categories

    def will_need(self, cells: np.ndarray) -> None:
        """Ask the system to read the counts of these cells from disk in the background."""
        self.store.will_need(cells if self.rows is None else self.rows[cells])

    # ----------------------------------------------------------------------------------------------------- batches

    def __getitem__(self, index: int) -> CellBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> CellBatch:
        """Return the batch of the given cells; PyTorch's DataLoader calls this once a batch.

        Random genes depend on which cells are in the batch: a cell shows others the next time it is drawn.

        Raises
        ------
        IndexError
            When a cell does not exist.
        """
        cells = np.asarray(indices, dtype=np.int64)
        outside = cells[(cells < 0) | (cells >= len(self))]
        if len(outside):
            raise IndexError(f"there is no cell {outside[0]}: the {len(self)} cells have the indices from 0")
        seeds = np.random.SeedSequence([self.collator.seed, *cells.tolist()])
        return self.batch(cells, np.arange(len(cells)), seed=seeds.generate_state(1, np.uint64)[0])

    def batch(
        self,
        cells: np.ndarray,
        positions: np.ndarray,
        *,
        seed: np.uint64,
        length_place: int | None = None,
        empty: Empty = np.empty,
    ) -> CellBatch:
        """Return the batch of the given cells.

        Parameters
        ----------
        cells
            Indices of cells, int64, shape (B,).
        positions
            Place of each draw in the epoch, int64, shape (B,), on which random genes depend.
        seed
            Seed of the random genes; see `draw_seed`.
        length_place
            Place in the epoch on which the number of genes depends where ``min_context`` lets it be drawn; None: that
            of the first draw. Batches that ranks train on together have the same one, so that no rank waits.
        empty
            Makes the large arrays, as ``empty(shape, dtype)``.

        Raises
        ------
        ValueError
            When `cells` is empty.
        """
        if len(cells) == 0:
            raise ValueError("a batch needs at least one cell")
        collator, rows = self.collator, cells if self.rows is None else self.rows[cells]
        size = collator.n_genes
        if collator.min_context is not None:
            rng = np.random.default_rng([int(seed), int(positions[0]) if length_place is None else length_place])
            size = int(rng.integers(collator.min_context - collator.format.n_special, size, endpoint=True))
        if collator.gene_choice != "random_expressed":
            # chance only breaks ties: a cell keeps its context, wherever it lies
            seed, positions = self._tie_seed, self._keys(rows)
        genes, counts, present = self._chooser.choose(rows, size=size, seed=seed, positions=positions, empty=empty)
        contexts = Contexts(
            genes,
            counts,
            present,
            self.store.total_counts(rows),
            self._encode(rows),
            self._number[self.store.dataset_of(rows)],
            lambda: self.store.gather_csr(rows, self._chooser.genes),
            seed,
            positions,
        )
        arrays = dict(collator.format.batch(contexts, masked=collator.masked))
        if self._extras is not None:
            arrays |= self._extras.of(cells, genes, self._chooser.genes)
        batch: Any = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return cast("CellBatch", batch)

    # ------------------------------------------------------------------------------------------------------ inside

    def _keys(self, rows: np.ndarray) -> np.ndarray:
        """Return what ties depend on: a key of each cell's counts of the genes that may be chosen, int64."""
        if self.collator.has_panels and isinstance(self.collator.format, ScPrintFormat):
            return rows  # there are no ties
        return row_keys(*self.store.gather_csr(rows, self._chooser.genes, exact=True)).view(np.int64)

    @cached_property
    def _encode(self) -> Any:
        return self.store.encoder(self.label_space)

    def _chunks(self) -> list[tuple[slice, np.ndarray]]:
        """Return consecutive cells, and their rows in the store."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        parts = [slice(begin, min(begin + _CHUNK, len(rows))) for begin in range(0, len(rows), _CHUNK)]
        return [(part, rows[part]) for part in parts]


def draw_seed(seed: int, epoch: int) -> np.uint64:
    """Return the seed of an epoch's choices of genes."""
    return np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]


def keep_batch(batch: Any) -> Any:
    """Hand a ready batch through: the ``collate_fn`` for a `CellDataset`; a named function, for workers to import."""
    return batch
