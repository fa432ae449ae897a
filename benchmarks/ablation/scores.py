"""Scores of a network, and of its simplest rivals, on data sets that were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from scdataloader import CellDataset, CellStore, GeneVocabulary, LabelSpace
from scdataloader.collate import Collator
from scdataloader.labels import LabelClass, current_term, is_unknown
from scprint_model.genes import match_genes
from scprint_model.model import ScPrint
from scprint_model.profiles import format_of, panel_centre, profile_of

#: Cells of each data set that are scored, at most.
N_CELLS = 300
NEIGHBOURS = 10
#: Factor by which cells are thinned for the scores of invariance.
THINNING = 8
#: Most expressed genes that the network is shown.
CONTEXT = 256
#: Components of the corpus that the linear rivals see.
COMPONENTS = 64

Embed = Callable[["Cells"], np.ndarray]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one data set, over the genes of a vocabulary.

    Attributes
    ----------
    counts
        CSR, shape (n_cells, n_genes of the data set).
    genes
        Vocabulary index of each of these genes.
    totals
        Total counts of the cells.
    labels
        Term of each cell's type, ``"unknown"`` where it has none.
    """

    counts: sparse.csr_matrix
    genes: np.ndarray
    totals: np.ndarray
    labels: np.ndarray

    def __getitem__(self, at: np.ndarray) -> Cells:
        return replace(self, counts=self.counts[at], totals=self.totals[at], labels=self.labels[at])

    def thinned(self, rng: np.random.Generator, times: float = THINNING) -> Cells:
        """Return the cells at an eighth of their depth, or another part."""
        counts = self.counts.copy()
        counts.data = rng.binomial(counts.data.astype(np.int64), 1 / times).astype(np.float32)
        counts.eliminate_zeros()
        return replace(self, counts=counts, totals=np.asarray(counts.sum(axis=1)).ravel().clip(1))


def read_cells(path: Path, vocabulary: GeneVocabulary, *, seed: int = 0) -> Cells:
    """Read a file, and draw cells that have a label where most do."""
    every = labelled(path, vocabulary)
    return every[evaluated(len(every.labels), seed=seed)]


def evaluated(n_cells: int, *, seed: int = 0) -> np.ndarray:
    """Return the places of the cells that are scored, drawn among so many."""
    if n_cells <= N_CELLS:
        return np.arange(n_cells)
    return np.sort(np.random.default_rng(seed).choice(n_cells, N_CELLS, replace=False))


def labelled(path: Path, vocabulary: GeneVocabulary) -> Cells:
    """Read the cells of a file that have a label, where most do; else all of them."""
    adata = anndata.read_h5ad(path)
    column = adata.obs["cell_type_ontology_term_id"].astype(str)
    if (known := ~column.map(is_unknown).astype(bool)).mean() > 0.5:
        adata = adata[known.to_numpy()].copy()
    return cells_of(adata, vocabulary)


def cells_of(adata: anndata.AnnData, vocabulary: GeneVocabulary) -> Cells:
    """Return cells with raw counts over the genes of a vocabulary, with the terms of their types."""
    source = match_genes(vocabulary, adata).source(vocabulary, adata)
    labels = np.array([current_term(term) for term in adata.obs["cell_type_ontology_term_id"].astype(str)])
    totals = source.obs["total_counts"].to_numpy(np.float64)
    return Cells(sparse.csr_matrix(source.X, dtype=np.float32), vocabulary.index(source.var_names), totals, labels)


# ---------------------------------------------------------------------------------------------------------- the network


@torch.no_grad()
def encode(model: ScPrint, cells: Cells, vocabulary: GeneVocabulary, *, batch_size: int = 64) -> tuple[np.ndarray, ...]:
    """Return the mean of base and cell type tokens, and the logits of cell types."""
    adata = anndata.AnnData(cells.counts)
    adata.var_names = [vocabulary.ids[i] for i in cells.genes]
    adata.obs["total_counts"] = cells.totals
    context = min(CONTEXT, len(cells.genes))
    shown = {"context": context, "choice": "most_expressed", "format": format_of(model)}
    dataset = CellDataset(adata, vocabulary, LabelSpace({}), collator=Collator(vocabulary=vocabulary, **shown))
    centre = panel_centre(model, cells.genes)
    places = [model.token_names.index("base"), model.token_names.index("cell_type")]
    embeddings, logits = [], []
    for begin in range(0, len(dataset), batch_size):
        batch = dataset.__getitems__(range(begin, min(begin + batch_size, len(dataset))))
        profile = profile_of(batch, centre)
        found = model.encode(
            batch["genes"], batch["counts"], batch["total_counts"], profile=profile, classes=["cell_type"]
        )
        embeddings.append(found.cell_embeddings[:, places].mean(dim=1).numpy())
        logits.append(found.class_logits["cell_type"].numpy())
    return np.concatenate(embeddings), np.concatenate(logits)


# ------------------------------------------------------------------------------------------------------- linear rivals


class CorpusComponents:
    """Principal components of ln(1 + CP10k) of the training corpus, and logistic regression on them.

    Parameters
    ----------
    store
        Training cells, of which each data set gives 1,000 at most.
    vocabulary
        Genes; those of one symbol in several organisms count as one.
    """

    def __init__(self, store: CellStore, vocabulary: GeneVocabulary, *, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rows = np.asarray(vocabulary.shared_rows)
        self.n_rows = int(self.rows.max()) + 1
        genes = store.gene_map(vocabulary)
        obs = store.obs(["cell_type_ontology_term_id"])["cell_type_ontology_term_id"].astype(str).to_numpy()
        blocks, labels, sets = [], [], []
        for number, name in enumerate(store.datasets):
            mine = np.flatnonzero(store.dataset_of(np.arange(len(store))) == number)
            mine = np.sort(rng.choice(mine, min(len(mine), 1000), replace=False))
            ends, columns, counts = store.gather_csr(mine, genes)
            blocks.append(
                self._logs(
                    sparse.csr_matrix((counts, columns, ends), shape=(len(mine), genes.width)),
                    np.arange(genes.width),
                    store.total_counts(mine),
                )
            )
            labels.append(obs[mine])
            sets += [name] * len(mine)
        values = sparse.vstack(blocks).tocsr()
        self.mean = np.asarray(values.mean(axis=0)).ravel()
        axes = np.linalg.qr(rng.standard_normal((self.n_rows, COMPONENTS + 10)))[0]
        for _ in range(4):
            scores = values @ axes - self.mean @ axes
            axes = np.linalg.qr(values.T @ scores - np.outer(self.mean, scores.sum(axis=0)))[0]
        scores = values @ axes - self.mean @ axes
        rotation = np.linalg.svd(scores, full_matrices=False)[2][:COMPONENTS]
        self.axes = axes @ rotation.T
        self.scores = values @ self.axes - self.mean @ self.axes
        self.labels = np.array([current_term(term) for term in np.concatenate(labels)])
        known = np.array([not is_unknown(term) for term in self.labels])
        self.spread = self.scores.std(axis=0)
        self.regression = LogisticRegression(max_iter=200).fit(self.scores[known] / self.spread, self.labels[known])

    def _logs(self, counts: sparse.csr_matrix, genes: np.ndarray, totals: np.ndarray) -> sparse.csr_matrix:
        values = np.log1p(counts.data * np.repeat(1e4 / np.maximum(totals, 1), np.diff(counts.indptr)))
        shape = (counts.shape[0], self.n_rows)
        out = sparse.csr_matrix((values, self.rows[genes][counts.indices], counts.indptr), shape=shape)
        out.sum_duplicates()
        return out

    def embed(self, cells: Cells) -> np.ndarray:
        """Return the components of cells; genes that were not measured count as their mean."""
        values = self._logs(cells.counts, cells.genes, cells.totals)
        measured = np.zeros(self.n_rows)
        measured[self.rows[cells.genes]] = 1
        return np.asarray(values @ self.axes - (measured * self.mean) @ self.axes)

    def name(self, cells: Cells) -> np.ndarray:
        """Return the term that the logistic regression gives each cell."""
        return np.asarray(self.regression.predict(self.embed(cells) / self.spread))

    def nearest(self, cells: Cells) -> np.ndarray:
        """Return the commonest term among the ten nearest labelled cells of the corpus."""
        known = np.array([not is_unknown(term) for term in self.labels])
        near = neighbours(self.embed(cells), self.scores[known])
        return np.array([_commonest(self.labels[known][row]) for row in near])


# ---------------------------------------------------------------------------------------------------------- the scores


def neighbours(points: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Return the nearest ten of each point, among all others by default."""
    others = points if among is None else among
    distance = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    if among is None:
        np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]


def embedding_scores(points: np.ndarray, thin: np.ndarray, cells: Cells) -> dict[str, float]:
    """Return kNN agreement, the share of the variance that depth explains, and the neighbours kept by thinned cells."""
    near, near_thin = neighbours(points), neighbours(thin)
    agreement = np.mean([_commonest(cells.labels[row]) == label for row, label in zip(near, cells.labels, strict=True)])
    depth = np.stack((np.ones(len(points)), np.log(cells.totals)), axis=1)
    rest = points - depth @ np.linalg.lstsq(depth, points, rcond=None)[0]
    kept = np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(near, near_thin, strict=True)])
    return {
        "knn": float(agreement),
        "depth_share": float(1 - (rest**2).sum() / ((points - points.mean(axis=0)) ** 2).sum()),
        "neighbours_kept": float(kept),
    }


def right_names(named: np.ndarray, labels: np.ndarray, space: LabelClass) -> tuple[np.ndarray, np.ndarray]:
    """Return for each cell whether its label is in the label space, and whether its name is that label or one below."""
    codes = space.encode(labels)
    nameable = codes >= 0
    outputs = space.encode(named)
    own = np.array([space.leaves.index(term) if term in space.leaves else -1 for term in named])
    right = np.zeros(len(codes), dtype=bool)
    below = space.descendants.toarray()
    n = len(space.leaves)
    for i in np.flatnonzero(nameable):
        right[i] = own[i] >= 0 and below[codes[i] - n, own[i]] if codes[i] >= n else own[i] == codes[i]
        right[i] |= outputs[i] == codes[i]
    return nameable, right


def label_scores(named: np.ndarray, named_thin: np.ndarray, cells: Cells, space: LabelClass) -> dict[str, float]:
    """Return how often cells whose type is in the label space are named right, and names that thinning leaves.

    Right is the given label or one below it; strictly right is the label itself.
    """
    nameable, right = right_names(named, cells.labels, space)
    if not nameable.any():
        return {}
    # each cell by its given label where it is named right, so that finer names of it count
    shown = np.where(right, cells.labels, named)
    kinds = np.unique(cells.labels[nameable])
    f1 = f1_score(cells.labels[nameable], shown[nameable], labels=kinds, average="macro", zero_division=0)
    return {
        "nameable": float(nameable.mean()),
        "right": float(right[nameable].mean()),
        "strictly_right": float((named == cells.labels)[nameable].mean()),
        "macro_f1": float(f1),
        "labels_kept": float((named == named_thin).mean()),
    }


def network_scores(
    model: ScPrint,
    sets: Mapping[str, Cells],
    vocabulary: GeneVocabulary,
    space: LabelClass,
    reference: LabelClass,
    corpus: list[Cells],
) -> dict[str, dict[str, float]]:
    """Return the scores of a network on each data set; its embedding is standardised by cells of the corpus."""
    known = np.concatenate([encode(model, cells, vocabulary)[0] for cells in corpus])
    centre, spread = known.mean(axis=0), known.std(axis=0).clip(1e-6)
    terms = np.array(space.leaves)
    scores = {}
    for name, cells in sets.items():
        thin = cells.thinned(np.random.default_rng(0))
        (points, logits), (thin_points, thin_logits) = (encode(model, one, vocabulary) for one in (cells, thin))
        points, thin_points = ((one - centre) / spread for one in (points, thin_points))
        scores[name] = embedding_scores(points, thin_points, cells) | label_scores(
            terms[logits.argmax(axis=1)], terms[thin_logits.argmax(axis=1)], cells, reference
        )
    return scores


def rival_scores(
    rival: CorpusComponents, sets: Mapping[str, Cells], reference: LabelClass
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores of logistic regression and of nearest neighbours on the corpus' components."""
    found: dict[str, dict[str, dict[str, float]]] = {"corpus PCs + logistic regression": {}, "corpus PCs + kNN": {}}
    for name, cells in sets.items():
        thin = cells.thinned(np.random.default_rng(0))
        embedded = embedding_scores(rival.embed(cells), rival.embed(thin), cells)
        for method, call in zip(found, (rival.name, rival.nearest), strict=True):
            found[method][name] = embedded | label_scores(call(cells), call(thin), cells, reference)
    return found


def _commonest(labels: np.ndarray) -> str:
    values, counts = np.unique(labels, return_counts=True)
    return str(values[counts.argmax()])
