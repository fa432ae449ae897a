"""Finish a network when its training ends: fit class heads anew, and measure the embedding.

Shapes: B cells, F features that a head reads, T cell tokens, d model width, n labels of a class, C classes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from scdataloader import CellDataModule
from scdataloader.collate import Collator
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.finetuning.extend import use_all_tokens
from scprint_model.losses.minimise import minimise
from scprint_model.model import ScPrint
from scprint_model.profiles import format_of
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import Objective
from scprint_model.training.passes import context_of, thin_cells, with_centre
from scprint_model.training.sharding import need_whole_weights

logger = logging.getLogger(__name__)

BATCH = 64
#: Half the squared weights of standardised features are added to the summed loss so many times.
PENALTY = 10
#: Cells of each label of a data set that are looked at, where it has as many.
OF_LABEL = 20


class FinishNetwork(Callback):
    """Fits the class heads anew, and measures the embedding, when a training is over.

    The steps of a training see few cells of a label, and a network that still learns leaves its heads behind. At the
    end each head becomes one linear map of the tokens ``base`` and the class's own, which minimises the recipe's label
    loss over some training cells of each data set, under the ridge penalty of a logistic regression with C = 0.1, while
    all else of the network stays. Where that loss is cross-entropy, all logits are then scaled and shifted alike, so
    that their sigmoids are confidences; that changes no label. The cells are shown as tasks show them, by their most
    expressed genes; where the recipe thins cells, each is shown a second time, thinned by the largest factor. Mean and
    spread of the tokens of whole cells are kept with the model, for ``embed(standardise=True)``.

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
        need_whole_weights("FinishNetwork", trainer)

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
            fit_heads(network, objective, seen)
        network.train(training)


@dataclass(frozen=True, eq=False)
class Seen:
    """Embeddings that a network gives to some training cells, and to the same ones thinned.

    Attributes
    ----------
    labels
        (B, C) codes.
    embeddings
        (B, T, d) float32.
    whole
        (B,) bool, false where a cell was thinned.
    """

    labels: Tensor
    embeddings: np.ndarray
    whole: np.ndarray


@torch.no_grad()
def look(network: ScPrint, objective: Objective, data: CellDataModule, *, cells: int, context: int, seed: int) -> Seen:
    """Show a network some training cells of each data set by their most expressed genes, and again thinned.

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
    for begin in range(0, len(chosen), BATCH):
        batch: Any = shown.__getitems__(chosen[begin : begin + BATCH].tolist())
        batch = {name: value.to(device) for name, value in batch.items()}
        clean = with_centre(context_of(batch), batch, objective.centres)
        told = [clean]
        if objective.recipe.thinning > 1:
            share = torch.full_like(clean.total_counts, 1 / objective.recipe.thinning, dtype=torch.float32)
            told.append(thin_cells(clean, share, network.config.n_genes, generator=generator))
        for one in told:
            cells_told = (one.genes, one.counts, one.total_counts)
            found = network.encode(*cells_told, lengths=one.lengths, profile=one.profile, classes=())
            labels.append(batch["labels"].cpu())
            embeddings.append(found.cell_embeddings.float().cpu().numpy())
            whole.append(np.full(len(one.genes), one is clean))
    return Seen(torch.cat(labels), np.concatenate(embeddings), np.concatenate(whole))


def choose_cells(data: CellDataModule, cells: int, *, seed: int) -> np.ndarray:
    """Return some training cells of each data set, and some of each of its labels, drawn at random; rising."""
    order = np.random.default_rng(seed).permutation(data.train_cells)
    table = pd.DataFrame(data.cells.labels[order])
    table["dataset"] = data.cells.dataset[order]
    chosen = table.groupby("dataset").cumcount() < cells
    for name in range(data.cells.labels.shape[1]):
        chosen |= (table[name] >= 0) & (table.groupby(["dataset", name]).cumcount() < OF_LABEL)
    return np.sort(order[chosen.to_numpy()])


def fit_heads(network: ScPrint, objective: Objective, seen: Seen) -> None:
    """Put linear maps of two tokens, ``base`` and the class's own, in the place of the class heads.

    Parameters
    ----------
    network
        Network; changed, and its config with it.
    objective
        Label loss.
    seen
        Training cells. A class that none of them has a label of keeps its head.
    """
    for i, name in enumerate(objective.class_names):
        known = seen.labels[:, i] >= 0
        if not known.any():
            continue
        tokens = [network.token_names.index("base"), network.token_names.index(name)]
        inputs = torch.from_numpy(seen.embeddings[known.numpy()][:, tokens]).flatten(1).double()
        weight, bias, loss = fit_map(inputs, seen.labels[known, i], objective, name)
        use_all_tokens(network, [name])
        out = cast("nn.Linear", network.class_heads[name].out)
        with torch.no_grad():
            places = out.weight.zero_().view(len(out.weight), len(network.token_names), -1)
            places[:, tokens] = weight.view(len(weight), 2, -1).to(places)
            out.bias.copy_(bias)
        logger.info("head of %s: loss %.3f on %d cells", name, loss, len(inputs))


def fit_map(inputs: Tensor, labels: Tensor, objective: Objective, name: str) -> tuple[Tensor, Tensor, float]:
    """Return weight (n, F) and bias (n,) of the linear map with the least label loss of one class, and that loss.

    Parameters
    ----------
    inputs
        (B, F) features of each cell, float64, on the CPU.
    labels
        (B,) codes, all of them known.
    objective
        Label loss.
    name
        Name of the class.
    """
    mean, scale = inputs.mean(dim=0), inputs.std(dim=0, correction=0)
    scale = torch.where(scale > 1e-6 * scale.max(), scale, torch.inf)  # what does not vary says nothing
    x = (inputs - mean) / scale
    n = len(objective.label_space.classes[name].leaves)
    weight, bias = x.new_zeros(n, x.shape[1], requires_grad=True), x.new_zeros(n, requires_grad=True)
    ridge = PENALTY / (2 * len(labels))
    by_entropy = objective.recipe.label_loss == "cross_entropy"
    fitted = objective.cross_entropy if by_entropy else objective.sigmoids

    def loss() -> Tensor:
        logits = x @ weight.T + bias
        return fitted(name, logits, labels) + ridge * weight.square().sum()

    minimise(loss, [weight, bias])
    least = loss().item()
    weight, bias = weight.detach(), bias.detach()
    if by_entropy:
        logits, change = x @ weight.T + bias, x.new_zeros(2, requires_grad=True)
        minimise(lambda: objective.sigmoids(name, logits * change[0].exp() + change[1], labels), [change])
        size, shift = change[0].detach().exp(), change[1].detach()
        weight, bias = weight * size, bias * size + shift
    raw = weight / scale
    return raw, bias - raw @ mean, least
