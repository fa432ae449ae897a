"""What is done to a network when its training ends: class heads are fitted to the end, the embedding is measured.

Shapes: B cells, F inputs of a head's last layer, T cell tokens, d model width, n labels of a class, C classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn

from scdataloader import CellDataModule
from scdataloader.collate import Collator
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.model import ScPrint
from scprint_model.profiles import format_of
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import Objective
from scprint_model.training.passes import context_of, thinned, with_centre

logger = logging.getLogger(__name__)

BATCH, ITERATIONS = 64, 200
#: Cells of each label of a data set that are looked at, where it has as many.
OF_LABEL = 20


class FinishNetwork(Callback):
    """Fits the class heads to the end, and measures the embedding, when a training is over.

    The last layer of each class head then minimises the recipe's own label terms over some training cells of each data
    set, under the ridge penalty of a logistic regression with C = 1, while all else of the network stays as it is. The
    steps of a training see few cells of a label, and a network that learns leaves its heads behind. The cells are shown
    as tasks show them, by their most expressed genes; where the recipe thins cells, half of these are thinned, too.
    Mean and spread of the tokens over the others are kept with the model, for ``embed(standardise=True)``.

    It stands behind `AverageWeights`, so that the average is what is finished, and before `SavePretrained`.

    Parameters
    ----------
    cells
        Number of training cells of each data set, at most; beside them go 20 of each of its labels.
    context
        Number of most expressed genes that the network is shown, which becomes the model's context; fewer where a data
        set measures fewer. None: as many as in training.
    heads
        Whether to fit the heads; the embedding is measured in any case.
    seed
        Seed for the choice of cells and for the thinning.

    Raises
    ------
    ValueError
        When a number is too small, or the strategy parts the weights among processes.
    """

    def __init__(self, *, cells: int = 500, context: int | None = None, heads: bool = True, seed: int = 0) -> None:
        if cells < 1 or (context is not None and context < 1):
            raise ValueError(f"cells={cells} and context={context} must be at least 1")
        self.cells, self.context, self.heads, self.seed = cells, context, heads, seed

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse strategies under which no process holds whole weights."""
        if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
            raise ValueError(
                f"FinishNetwork needs whole weights, which {type(trainer.strategy).__name__} parts among the "
                "processes: leave it out, or use the strategy ddp"
            )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Finish the network, in the process that saves it."""
        if trainer.is_global_zero:
            module = cast("PretrainingModule", pl_module)
            self.finish(module, module.data)

    def finish(self, module: PretrainingModule, data: CellDataModule) -> None:
        """Finish the network of a module, which was trained on `data`; in place."""
        network, objective = module.network, module.objective
        training = network.training
        network.eval()
        if self.context is not None:
            network.context = self.context
        context = self.context or data.context
        assert context is not None  # noqa: S101  (a training has one)
        seen = look(network, objective, data, cells=self.cells, context=context, seed=self.seed)
        network.standardisation = Standardisation.of(seen.embeddings[seen.whole])
        if self.heads:
            for i, name in enumerate(objective.class_names):
                out = cast("nn.Linear", network.class_heads[name].out)
                before, after = fit_last_layer(out, seen.inputs[name], seen.labels[:, i], objective, name)
                logger.info("head of %s: loss %.3f, then %.3f", name, before, after)
        network.train(training)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network makes of some training cells.

    Attributes
    ----------
    inputs
        Name of each class to the inputs of its head's last layer, (B, F) float64.
    labels
        (B, C) codes.
    embeddings
        (B, T, d) float32.
    whole
        (B,) bool, false for cells that were thinned.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    embeddings: np.ndarray
    whole: np.ndarray


@torch.no_grad()
def look(network: ScPrint, objective: Objective, data: CellDataModule, *, cells: int, context: int, seed: int) -> Seen:
    """Show a network some training cells of each data set by their most expressed genes, half of them thinned.

    Parameters
    ----------
    network, objective
        Network in evaluation mode, and what it was trained with.
    data
        Training cells.
    cells
        Number of cells of each data set, at most; beside them go some of each of its labels.
    context
        Number of most expressed genes; fewer where a data set measures fewer.
    seed
        Seed for the choice of cells and for the thinning.
    """
    measured = min(int((table >= 0).sum()) for table in data.cells.store.gene_map(data.vocabulary).tables)
    collator = Collator(
        vocabulary=data.vocabulary,
        context=min(context, measured),
        choice="most_expressed",
        format=format_of(network),
        seed=seed,
    )
    shown, chosen = data.cells.with_collator(collator), choose_cells(data, cells, seed=seed)
    device = next(network.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    labels, embeddings, whole = [], [], []
    with _inputs_of(network) as inputs:
        for begin in range(0, len(chosen), BATCH):
            batch: Any = shown.__getitems__(chosen[begin : begin + BATCH].tolist())
            batch = {name: value.to(device) for name, value in batch.items()}
            clean = with_centre(context_of(batch), batch, objective.centres)
            told = clean
            if objective.recipe.thinning > 1:
                told = thinned(clean, objective.recipe.thinning, network.config.n_genes, generator=generator)
            options = {"lengths": told.lengths, "profile": told.profile}
            found = network.encode(told.genes, told.counts, told.total_counts, **options)
            labels.append(batch["labels"].cpu())
            embeddings.append(found.cell_embeddings.float().cpu().numpy())
            whole.append((told.total_counts == clean.total_counts).cpu().numpy())
    return Seen(
        {name: torch.cat(parts) for name, parts in inputs.items()},
        torch.cat(labels),
        np.concatenate(embeddings),
        np.concatenate(whole),
    )


def choose_cells(data: CellDataModule, cells: int, *, seed: int) -> np.ndarray:
    """Return some training cells of each data set, and some of each of its labels, drawn at random; rising."""
    order = np.random.default_rng(seed).permutation(data.train_cells)
    table = pd.DataFrame(data.cells.labels[order])
    table["dataset"] = data.cells.dataset[order]
    chosen = table.groupby("dataset").cumcount() < cells
    for name in range(data.cells.labels.shape[1]):
        chosen |= (table[name] >= 0) & (table.groupby(["dataset", name]).cumcount() < OF_LABEL)
    return np.sort(order[chosen.to_numpy()])


def fit_last_layer(
    out: nn.Linear, inputs: Tensor, labels: Tensor, objective: Objective, name: str
) -> tuple[float, float]:
    """Minimise the label terms of one class by the last layer of its head, in place; return them before and after.

    Parameters
    ----------
    out
        Last layer of the head; changed.
    inputs
        (B, F) what it reads of each cell, float64, on the CPU.
    labels
        (B,) codes.
    objective
        Label terms and their weights.
    name
        Name of the class.
    """
    known = labels >= 0
    if not known.any():
        return 0.0, 0.0
    inputs, labels = inputs[known], labels[known]
    mean, scale = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
    scale = torch.where(scale > 1e-6 * scale.max(), scale, torch.inf)  # what does not vary says nothing
    x = (inputs - mean) / scale
    first = out.weight.detach().cpu().double(), out.bias.detach().cpu().double()
    weight = torch.where(scale.isfinite(), first[0] * scale, 0).requires_grad_()
    bias = (first[1] + first[0] @ mean).requires_grad_()
    weights = objective.weights
    ridge = (weights.classification + weights.label_sigmoids) / (2 * len(labels))

    def loss() -> Tensor:
        return objective.label_loss(name, x @ weight.T + bias, labels) + ridge * weight.square().sum()

    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    before = loss().item()
    optimizer.step(closure)  # type: ignore[no-untyped-call]
    after = loss().item()
    with torch.no_grad():
        raw = weight / scale
        out.weight.copy_(raw)
        out.bias.copy_(bias - raw @ mean)
    return before, after


@contextmanager
def _inputs_of(network: ScPrint) -> Iterator[dict[str, list[Tensor]]]:
    """Gather what the last layer of each class head is given, (B, F) float64 on the CPU, batch after batch."""
    found: dict[str, list[Tensor]] = {name: [] for name in network.class_heads}

    def keep(name: str) -> Any:
        return lambda _, given: found[name].append(given[0].detach().cpu().double())

    handles = [
        cast("nn.Linear", head.out).register_forward_pre_hook(keep(name)) for name, head in network.class_heads.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
