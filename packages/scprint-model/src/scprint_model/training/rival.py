"""Report what principal components of the corpus say of the validation cells, in the log beside the model's scores."""

from __future__ import annotations

import logging
import time
from typing import cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from scipy import sparse

from scdataloader import CellDataset
from scprint_model.finetuning.regression import fit_regression
from scprint_model.metrics import LabelCounts, agreeing_cells, depth_share
from scprint_model.training.module import PretrainingModule
from scprint_model.training.validation import with_interval

logger = logging.getLogger(__name__)

#: Genes that vary most, of which components are made.
N_GENES = 4000


class CompareWithComponents(Callback):
    """Logs, beside each validation, what principal components of the training cells reach on the validation cells.

    Fitted once, before the first validation: components of log counts per 10,000 of some training cells, and a logistic
    regression of the first class's labels on them. Logged are ``val_components/neighbours_<class>``,
    ``accuracy_<class>`` and ``macro_f1_<class>`` over ``cells_<class>``, ``depth_share`` and ``seconds``: the same
    scores as the model's under ``val/``. A model that loses to them has learned less than a linear map of its own
    corpus.

    Parameters
    ----------
    n_components
        Number of principal components.
    n_cells
        Number of training cells to fit on at most, and of validation cells to score at most.
    seed
        Seed for the draws of cells and for the solver.
    """

    def __init__(self, *, n_components: int = 64, n_cells: int = 5000, seed: int = 0) -> None:
        if n_components < 1 or n_cells < 2:
            raise ValueError(f"n_components={n_components} must be at least 1 and n_cells={n_cells} at least 2")
        self.n_components, self.n_cells, self.seed = n_components, n_cells, seed
        self._scores: dict[str, float] | None = None

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the scores, the same each time; every process finds the same ones."""
        if trainer.sanity_checking:
            return
        module = cast("PretrainingModule", pl_module)
        if self._scores is None:
            data = module.data
            self._scores = component_scores(
                data.cells,
                data.train_cells,
                data.val_cells,
                n_components=self.n_components,
                n_cells=self.n_cells,
                seed=self.seed,
            )
            logger.info("principal components of the corpus: %s", self._scores)
        module.log_dict({f"val_components/{name}": value for name, value in self._scores.items()}, sync_dist=True)


def component_scores(
    cells: CellDataset, train: np.ndarray, validation: np.ndarray, *, n_components: int, n_cells: int, seed: int
) -> dict[str, float]:
    """Return the scores of principal components and a logistic regression, by name; see `CompareWithComponents`.

    Parameters
    ----------
    cells
        All cells.
    train, validation
        Numbers of the cells to fit on, and of those to score.
    n_components, n_cells, seed
        See `CompareWithComponents`.
    """
    from sklearn.decomposition import PCA

    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    fitted, asked = (np.sort(rng.permutation(part)[:n_cells]) for part in (train, validation))
    first, second = _log_values(cells, fitted), _log_values(cells, asked)
    mean = np.asarray(first.mean(axis=0)).ravel()
    variance = np.asarray(first.multiply(first).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance, kind="stable")[:N_GENES])
    known, points = first[:, genes].toarray(), second[:, genes].toarray()
    components = PCA(min(n_components, min(known.shape) - 1), svd_solver="randomized", random_state=seed).fit(known)
    known, points = components.transform(known), components.transform(points)
    scores: dict[str, float] = {}
    depth = depth_share(points, cells.total_counts[asked])
    if np.isfinite(depth):
        scores["depth_share"] = depth
    names = list(cells.label_space.classes)
    if names:
        labels, name = cells.labels[:, 0].astype(np.int64), names[0]
        size, outputs = cells.label_space.sizes[name], cells.label_space.classes[name].outputs(labels)
        agree = agreeing_cells(points, labels[asked], within=cells.dataset[asked])
        if len(agree):
            scores |= with_interval(f"neighbours_{name}", agree)
        taught = outputs[fitted] >= 0
        if taught.any():
            predicted = fit_regression(known[taught], outputs[fitted][taught]).predict(points)
            counts = LabelCounts(size)
            counts.add(torch.from_numpy(predicted), torch.from_numpy(labels[asked]))
            scores |= {f"{score}_{name}": value for score, value in counts.scores().items()}
            given, _, right = counts.counts.sum(dim=1).tolist()
            if given:
                scores |= with_interval(f"accuracy_{name}", np.arange(given) < right) | {f"cells_{name}": float(given)}
    return scores | {"cells": float(len(asked)), "seconds": time.perf_counter() - started}


def _log_values(cells: CellDataset, at: np.ndarray) -> sparse.csr_matrix:
    """Return log counts per 10,000 of some cells over the vocabulary, shape (len(at), n_genes)."""
    genes = cells.store.gene_map(cells.vocabulary)
    rows = at if cells.rows is None else cells.rows[at]
    ends, columns, counts = cells.store.gather_csr(rows, genes, exact=True)
    totals = np.maximum(cells.total_counts[at].astype(np.float64), 1)
    values = np.log1p(counts * np.repeat(1e4 / totals, np.diff(ends)))
    return sparse.csr_matrix((values, columns, ends), shape=(len(at), genes.width))
