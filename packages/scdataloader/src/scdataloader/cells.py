"""Cells of several data sets over one gene vocabulary, fetched a mini-batch at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import anndata
import numpy as np
from scipy import sparse

from scdataloader._torch import torch
from scdataloader.batch import CellBatch
from scdataloader.collate import CellRow, Collator, Panel, variance_ranking
from scdataloader.counts import csr_counts, obs_table, total_counts
from scdataloader.fingerprint import cell_fingerprints
from scdataloader.genes import GeneVocabulary
from scdataloader.labels import LabelSpace


@dataclass(frozen=True, eq=False)
class _Source:
    """One data set, its columns turned to vocabulary indices.

    `counts` is CSR over the known genes, whose vocabulary indices are `genes`, rising; `index` is that of all its
    genes, -1 for unknown ones.
    """

    name: str
    counts: sparse.csr_matrix
    genes: np.ndarray
    index: np.ndarray
    total_counts: np.ndarray

    @cached_property
    def ranking(self) -> np.ndarray:
        """Vocabulary indices, most variable first."""
        # the ties it breaks belong to the data set, not to one collator's draws
        return self.genes[variance_ranking(self.counts, self.total_counts, np.random.default_rng(0))]


class CellDataset(torch.utils.data.Dataset[CellBatch]):
    """Map-style data set of cells; give it to a DataLoader with ``collate_fn=lambda batch: batch``.

    Parameters
    ----------
    sources
        Named, preprocessed data sets (see `scdataloader.Preprocessor`). Genes that ``var["measured"]`` says were not
        measured are left out.
    vocabulary
        The genes that count; others stay in ``total_counts`` only.
    label_space
        Which labels to encode.
    context, choice, seed
        Shorthand for a collator with these: genes per cell, how they are chosen, and the seed of that.
    collator
        How cells become a batch, instead of the three above. With another format than scPRINT's, batches are what that
        format says.

    Raises
    ------
    ValueError
        When a data set measures fewer known genes than the context asks for, or there is none.

    Examples
    --------
    Without Lightning:

    >>> from scdataloader import CellDataset, GeneVocabulary, LabelSpace, Preprocessor, WeightedSampler, datasets
    >>> from scdataloader.cells import loader
    >>> retina, _ = Preprocessor()(datasets.retina_1k())
    >>> space = LabelSpace.from_obs([retina.obs], ["cell_type"])
    >>> cells = CellDataset([("retina", retina)], GeneVocabulary.for_organisms(["human"]), space, context=500)
    >>> sampler = WeightedSampler(cells.labels, n_draws=len(cells))
    >>> batch = next(iter(loader(cells, sampler, batch_size=32)))
    >>> batch["counts"].shape
    torch.Size([32, 500])
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, anndata.AnnData]],
        vocabulary: GeneVocabulary,
        label_space: LabelSpace,
        *,
        context: int | None = None,
        choice: str | None = None,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        if not sources:
            raise ValueError("there are no data sets: pass one at least")
        if collator is None:
            collator = Collator(vocabulary=vocabulary, context=context, choice=choice, seed=seed or 0)
        elif (context, choice, seed) != (None, None, None):
            raise ValueError("context, choice and seed are the collator's: give them to it")
        self.vocabulary = vocabulary
        self.label_space = label_space
        self._sources = [_to_source(name, adata, vocabulary) for name, adata in sources]
        sizes = [source.counts.shape[0] for source in self._sources]
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.labels = np.concatenate([label_space.encode(obs_table(adata)) for _, adata in sources])
        self.dataset = np.repeat(np.arange(len(sizes)), sizes)
        self.total_counts = np.concatenate([source.total_counts for source in self._sources])
        self._use(collator)

    def _use(self, collator: Collator) -> None:
        if collator.vocabulary != self.vocabulary:
            raise ValueError("the collator was made for another vocabulary: make it with that of the data set")
        self.collator = collator
        self._panels: list[Panel] = [
            collator.panel(source.name, source.index, source.ranking if collator.needs_ranking else None)
            for source in self._sources
        ]

    def with_collator(self, collator: Collator) -> CellDataset:
        """Return the same cells, batched by another collator; the counts are not copied."""
        other = copy.copy(self)
        other._use(collator)
        return other

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @property
    def names(self) -> list[str]:
        """Names of the data sets, in order."""
        return [source.name for source in self._sources]

    @property
    def sizes(self) -> list[int]:
        """Number of cells of each data set."""
        return [int(size) for size in np.diff(self._offsets)]

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """One 64-bit hash a cell; see `scdataloader.fingerprint`."""
        return np.concatenate([cell_fingerprints(s.counts, s.genes) for s in self._sources])

    def rows(self, indices: Sequence[int]) -> list[CellRow]:
        """Return the given cells, each as its expressed genes and counts: what a collator takes.

        Raises
        ------
        IndexError
            When there is no such cell.
        """
        at = np.asarray(indices, dtype=np.int64)
        outside = at[(at < 0) | (at >= len(self))]
        if len(outside):
            raise IndexError(f"there is no cell {outside[0]}: the {len(self)} cells have the indices from 0")
        return [self._row(int(cell)) for cell in at]

    def _row(self, cell: int) -> CellRow:
        i = int(self.dataset[cell])
        source, row = self._sources[i], cell - int(self._offsets[i])
        part = slice(source.counts.indptr[row], source.counts.indptr[row + 1])
        return CellRow(
            genes=source.genes[source.counts.indices[part]],
            counts=source.counts.data[part],
            total_count=float(self.total_counts[cell]),
            labels=self.labels[cell],
            dataset=i,
            index=cell,
            panel=self._panels[i],
        )

    def __getitem__(self, index: int) -> CellBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> CellBatch:
        """Return the batch of the given cells; PyTorch's DataLoader calls this once a batch."""
        return cast("CellBatch", self.collator(self.rows(indices)))


def _to_source(name: str, adata: anndata.AnnData, vocabulary: GeneVocabulary) -> _Source:
    index = vocabulary.index(adata.var_names.tolist())
    if "measured" in adata.var:  # columns that were only added, so that all data sets have the same genes
        index[~np.asarray(adata.var["measured"], dtype=bool)] = -1
    known = np.flatnonzero(index >= 0)
    known = known[np.argsort(index[known], kind="stable")]
    counts = csr_counts(adata)[:, known]
    counts.eliminate_zeros()
    counts.sort_indices()
    return _Source(name, counts, index[known], index, total_counts(adata))


def keep_batch(batch: Any) -> Any:
    """Hand a ready batch through: the ``collate_fn`` for a `CellDataset`; a named function, for workers to import."""
    return batch


def loader(
    dataset: CellDataset,
    sampler: Sequence[int] | torch.utils.data.Sampler[int],
    *,
    batch_size: int,
    num_workers: int = 0,
) -> torch.utils.data.DataLoader[CellBatch]:
    """Return a DataLoader of `CellBatch` over a sampler of cell indices, the last batch possibly smaller."""
    return torch.utils.data.DataLoader(
        dataset, batch_size=batch_size, sampler=sampler, num_workers=num_workers, collate_fn=keep_batch
    )
