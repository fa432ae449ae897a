"""Cells of several data sets over one gene vocabulary, fetched a mini-batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import anndata
import numpy as np
import torch
from scipy import sparse

from scdataloader.batch import CellBatch
from scdataloader.collate import most_expressed, random_expressed
from scdataloader.counts import csr_counts, obs_table, total_counts
from scdataloader.fingerprint import cell_fingerprints
from scdataloader.genes import GeneVocabulary
from scdataloader.ontology import LabelSpace

#: How the genes of a context may be chosen.
CHOICES = ("random_expressed", "most_expressed")


@dataclass(frozen=True)
class _Source:
    """One data set, its columns turned to vocabulary indices.

    `counts` is CSR over the known genes, whose vocabulary indices are `genes`.
    """

    name: str
    counts: sparse.csr_matrix
    genes: np.ndarray


class CellDataset(torch.utils.data.Dataset[CellBatch]):
    """Map-style data set of cells; give it to a DataLoader with ``collate_fn=lambda batch: batch``.

    Parameters
    ----------
    sources
        Named, preprocessed data sets (see `scdataloader.Preprocessor`).
    vocabulary
        The genes that count; others stay in ``total_counts`` only.
    label_space
        Which labels to encode.
    context
        Genes per cell.
    choice
        ``"random_expressed"`` or ``"most_expressed"``; see `scdataloader.collate`.
    seed
        Of the genes drawn: with the indices of the batch for random genes, so that a cell shows others the next time it
        is drawn; with the cell's own index for the most expressed, where chance only breaks ties. No worker, rank or
        order of calls changes them.

    Raises
    ------
    ValueError
        When a data set measures fewer known genes than the context asks for.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, anndata.AnnData]],
        vocabulary: GeneVocabulary,
        label_space: LabelSpace,
        *,
        context: int,
        choice: str = "random_expressed",
        seed: int = 0,
    ) -> None:
        if choice not in CHOICES:
            raise ValueError(f"choice={choice!r} is not one of {CHOICES}")
        self.vocabulary = vocabulary
        self.label_space = label_space
        self.context = context
        self.choice = choice
        self.seed = seed
        self._sources = [_to_source(name, adata, vocabulary, context) for name, adata in sources]
        sizes = [source.counts.shape[0] for source in self._sources]
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.labels = np.concatenate([label_space.encode(obs_table(adata)) for _, adata in sources])
        self.dataset = np.repeat(np.arange(len(sizes)), sizes)
        self.total_counts = np.concatenate([total_counts(adata) for _, adata in sources])

    def __len__(self) -> int:
        return int(self._offsets[-1])

    @property
    def names(self) -> list[str]:
        """Names of the data sets, in order."""
        return [source.name for source in self._sources]

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """One 64-bit hash a cell; see `scdataloader.fingerprint`."""
        return np.concatenate([cell_fingerprints(s.counts, s.genes) for s in self._sources])

    def __getitem__(self, index: int) -> CellBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> CellBatch:
        """Return the batch of the given cells; PyTorch's DataLoader calls this once a batch."""
        at_random = self.choice == "random_expressed"
        shared_rng = np.random.default_rng([self.seed, *indices])
        at = np.asarray(indices)
        genes = np.empty((len(at), self.context), dtype=np.int64)
        counts = np.zeros((len(at), self.context), dtype=np.float32)
        for row, cell in enumerate(at):
            source = self._sources[self.dataset[cell]]
            rng = shared_rng if at_random else np.random.default_rng([self.seed, int(cell)])
            genes[row], counts[row] = self._context(source, int(cell - self._offsets[self.dataset[cell]]), rng)
        return CellBatch(
            genes=torch.from_numpy(genes),
            counts=torch.from_numpy(counts),
            total_counts=torch.from_numpy(self.total_counts[at]),
            labels=torch.from_numpy(self.labels[at]),
            dataset=torch.from_numpy(self.dataset[at]),
        )

    def _context(self, source: _Source, row: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        part = slice(source.counts.indptr[row], source.counts.indptr[row + 1])
        columns, values = source.counts.indices[part], source.counts.data[part]
        measured = np.arange(len(source.genes))
        if self.choice == "most_expressed":
            chosen = most_expressed(columns, values, measured, self.context, rng)
        else:
            chosen = random_expressed(columns, measured, self.context, rng)
        dense = np.zeros(len(source.genes), dtype=np.float32)
        dense[columns] = values
        return source.genes[chosen], dense[chosen]


def _to_source(name: str, adata: anndata.AnnData, vocabulary: GeneVocabulary, context: int) -> _Source:
    index = vocabulary.index(adata.var_names)
    known = np.flatnonzero(index >= 0)
    if len(known) < context:
        raise ValueError(
            f"{name}: {len(known)} of its {adata.n_vars} genes are in the vocabulary, fewer than the context of "
            f"{context}: use a smaller context, or leave this data set out"
        )
    counts = csr_counts(adata)[:, known]
    counts.sort_indices()
    return _Source(name, counts, index[known])


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
