"""The store of training cells and the cells to score on, opened once for all networks of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmarks.ablation.scores import Cells, network_scores, read_cells
from scdataloader import CellStore, GeneVocabulary
from scdataloader.labels import LabelClass
from scprint_model.model import ScPrint

#: Of each data set, for the mean and spread of a network's embedding.
CORPUS_CELLS = 15


def corpus_cells(store: CellStore, vocabulary: GeneVocabulary) -> list[Cells]:
    """Return a few cells of each data set of the corpus, by which embeddings are standardised."""
    genes = store.gene_map(vocabulary)
    of = store.dataset_of(np.arange(len(store)))
    found = []
    for number in range(len(store.datasets)):
        mine = np.flatnonzero(of == number)
        mine = mine[:: max(1, len(mine) // CORPUS_CELLS)][:CORPUS_CELLS]
        tables = [genes.tables[table] for table in set(store.part_tables[store.part_of(mine)].tolist())]
        there = np.unique(np.concatenate(tables))
        there = there[there >= 0].astype(np.int64)
        ends, columns, counts = store.gather_csr(mine, genes)
        every = sparse.csr_matrix((counts, columns, ends), shape=(len(mine), genes.width))
        found.append(Cells(every[:, there], there, store.total_counts(mine), np.array(["unknown"] * len(mine))))
    return found


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What networks are scored with.

    Attributes
    ----------
    store
        Training cells.
    vocabulary
        Genes of both organisms.
    sets
        Cells of each data set to score on, by its name.
    reference
        Labels of the training cells, each an output of its own: what a label has to be to be nameable.
    corpus
        Few cells of each training set, by which embeddings are standardised.
    """

    store: CellStore
    vocabulary: GeneVocabulary
    sets: dict[str, Cells]
    reference: LabelClass
    corpus: list[Cells]

    def scores(self, network: ScPrint, space: LabelClass) -> dict[str, dict[str, float]]:
        """Return the scores of a network, whose cell types are `space`, on each data set."""
        return network_scores(network, self.sets, self.vocabulary, space, self.reference, self.corpus)


def opened(place: Path, files: Sequence[Path]) -> Evaluation:
    """Open a store of training cells and files of cells to score on."""
    store, vocabulary = CellStore.open(place), GeneVocabulary.for_organisms(["human", "mouse"])
    labels = store.obs(["cell_type_ontology_term_id"])["cell_type_ontology_term_id"].astype(str)
    return Evaluation(
        store,
        vocabulary,
        {file.stem: read_cells(file, vocabulary) for file in files},
        LabelClass.from_terms(labels.unique().tolist(), ("CL",), own_outputs=True),
        corpus_cells(store, vocabulary),
    )
