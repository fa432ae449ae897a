"""Make batches for scvi-tools: counts of chosen genes, and a code for technical batch and label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from scdataloader._torch import torch
from scdataloader._wording import listed
from scdataloader.sampling.permutation import permuted, round_keys
from scdataloader.sampling.sampler import fingerprint, fingerprint_of_array
from scdataloader.scvi import UNKNOWN_CATEGORY
from scdataloader.store.genemap import empty_gathered
from scdataloader.store.reader import CellReader


@dataclass(frozen=True, eq=False)
class Column:
    """A column of cells as codes.

    Attributes
    ----------
    name
        Name of the column; None where there is none.
    codes
        Place of each cell's value in `categories`, int32, shape (n_cells,).
    categories
        Names, sorted; the one of cells without a value, ``"unknown"``, is last. Array of text.
    """

    name: str | None
    codes: np.ndarray = field(repr=False)
    categories: np.ndarray

    @classmethod
    def of_datasets(cls, store: CellReader) -> Self:
        """Take the data set of each cell as its value."""
        names, place = np.unique(np.array(store.datasets, dtype=object), return_inverse=True)
        return cls("dataset", place[store.dataset].astype(np.int32), names)

    @classmethod
    def none(cls, n_cells: int) -> Self:
        """Give all cells the same value, without a column."""
        return cls(None, np.zeros(n_cells, np.int32), np.array([UNKNOWN_CATEGORY], dtype=object))

    @classmethod
    def read(cls, store: CellReader, name: str) -> Self:
        """Read a column of the cells' table; values are taken as text.

        Raises
        ------
        ValueError
            When no data set has it.
        """
        if name not in store.columns:
            raise ValueError(f"obs has no column {name!r}; it has [{listed(store.columns)}]")
        codes, values = pd.factorize(store.obs([name])[name])
        words = [str(value) for value in values]
        known = sorted(set(words) - {UNKNOWN_CATEGORY})
        place = {word: i for i, word in enumerate(known)}
        # the last, for missing values, whose code is -1
        table = np.array([*(place.get(word, len(known)) for word in words), len(known)], dtype=np.int32)
        out = table[codes]
        names = [*known, UNKNOWN_CATEGORY] if (out == len(known)).any() else known
        return cls(name, out, np.array(names, dtype=object))

    @property
    def known(self) -> np.ndarray:
        """The categories without ``"unknown"``."""
        return self.categories[self.categories != UNKNOWN_CATEGORY]

    def field(self, name: str, summary: dict[str, int], **state: Any) -> dict[str, Any]:
        """Return the entry of scvi-tools' registry for this column."""
        return {
            "data_registry": {"attr_name": "obs", "attr_key": f"_scvi_{name}"},
            "state_registry": {"categorical_mapping": self.categories, "original_key": self.name or name} | state,
            "summary_stats": summary,
        }


class _Seed(NamedTuple):
    seed: int


class ScviCells:
    """Cells of a store as batches of dictionaries, for `scdataloader.StoreLoader`.

    Parameters
    ----------
    store
        The cells.
    genes
        Ids of the genes, in order; all measured by every data set.
    batch, labels
        Codes of each cell.
    """

    def __init__(self, store: CellReader, genes: Sequence[str], batch: Column, labels: Column) -> None:
        self.store, self.genes, self._batch, self._labels = store, list(genes), batch, labels
        self._map = store.gene_map(self.genes)
        self.collator = _Seed(0)  # nothing is drawn in a batch

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides a batch but which cells it holds."""
        codes = [fingerprint_of_array(column.codes) for column in (self._batch, self._labels)]
        return fingerprint({"store": self.store.fingerprint, "genes": self.genes, "codes": codes})

    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read cells from disk ahead."""
        self.store.will_need(rows)

    def batch(
        self,
        rows: np.ndarray,
        positions: np.ndarray | None = None,
        *,
        seed: Any = None,
        length_place: int | None = None,
        empty: Any = np.empty,
    ) -> Any:
        """Return ``X``, float32, shape (B, n_genes), ``batch`` and ``labels``, int64, shape (B, 1), of cells."""
        del positions, seed, length_place  # all genes of the store are given: nothing is drawn
        counts = self.store.gather(rows, self._map, out=empty_gathered(len(rows), self._map, empty=empty)).counts
        codes = {"batch": self._batch.codes[rows], "labels": self._labels.codes[rows]}
        return {"X": torch.from_numpy(counts)} | {
            name: torch.from_numpy(values[:, None].astype(np.int64)) for name, values in codes.items()
        }


class LabelledPairs:
    """Pairs of a batch and one of labelled cells, as ``SCANVI`` learns from.

    Beside draw p of an epoch lies the labelled cell p modulo their number, in an order of their own.

    Parameters
    ----------
    cells
        All cells.
    labelled
        Numbers of labelled cells, int64, shape (n_labelled,); one at least.
    seed
        Seed for their order.
    """

    def __init__(self, cells: ScviCells, labelled: np.ndarray, seed: int) -> None:
        self._cells, self._seed = cells, seed
        order = np.empty(len(labelled), np.int64)
        permuted(round_keys(seed, 0), len(labelled), 0, order)
        self._labelled = labelled[order]
        self.collator = cells.collator

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides a batch but which cells it holds."""
        return fingerprint({"cells": self._cells.fingerprint, "labelled": fingerprint_of_array(self._labelled)})

    def will_need(self, rows: np.ndarray) -> None:
        """Ask the system to read cells from disk ahead."""
        self._cells.will_need(rows)

    def batch(
        self,
        rows: np.ndarray,
        positions: np.ndarray,
        *,
        seed: Any = None,
        length_place: int | None = None,
        empty: Any = np.empty,
    ) -> Any:
        """Return the batch of `rows`, and one of as many labelled cells."""
        del seed, length_place
        beside = self._labelled[positions % len(self._labelled)]
        return [self._cells.batch(rows, empty=empty), self._cells.batch(beside, empty=empty)]
