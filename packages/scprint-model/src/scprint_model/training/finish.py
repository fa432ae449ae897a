"""Finish a network when its training ends: fit class heads anew, and measure the embedding.

Shapes: B cells, F features that a head reads, T cell tokens, d model width, n labels of a class, C classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
from scprint_model.checkpoints.label_confidence import LabelConfidence
from scprint_model.checkpoints.standardisation import Standardisation
from scprint_model.finetuning.extend import use_all_tokens
from scprint_model.losses.minimise import minimise
from scprint_model.model import ScPrint
from scprint_model.profiles import format_of
from scprint_model.training.left_out import (
    Centres,
    LeftOut,
    best_sigmoid,
    fold_of_datasets,
    right_outputs,
    study_numbers,
    trust,
)
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
#: Number of iterations of a fit, at most; heads that are fitted without a fold have as many.
ITERATIONS = 100


class FinishNetwork(Callback):
    """Fits the class heads anew, and measures the embedding, when a training is over.

    The steps of a training see few cells of a label, and a network that still learns leaves its heads behind. At the
    end each head becomes one linear map of the tokens ``base`` and the class's own, which minimises the recipe's label
    loss over some training cells of each data set, under the ridge penalty of a logistic regression with C = 0.1,
    while all else of the network stays. The cells are shown as tasks show them, by their most expressed genes; where
    the recipe thins cells, each is shown a second time, thinned by the largest factor. Mean and spread of the tokens of
    whole cells are kept with the model, for ``embed(standardise=True)``.

    A head is sure of the cells that it was fitted to. So it is fitted again without each fold of the data sets in turn,
    and confidence is learned from the answers on the cells that were left out: all logits are scaled and shifted alike,
    so that the sigmoid of a cell's best label is its chance to be right in a study that the head never saw; cells of
    types that no other study has are answered wrongly there, and count. That changes no label. Kept with the model are
    the least confidence and the longest distance at which it answers, and the sizes of sets of labels; see
    `scprint_model.checkpoints.label_confidence.LabelConfidence`. Cells of the validation take part in this, since the
    network itself never saw them. A class with too few studies to tell has none of it: where the label loss is
    cross-entropy, its logits are scaled and shifted by the cells that they were fitted to.

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
    folds
        Number of folds of the data sets.
    studies
        Lists of names of data sets that come from one study or share cells: they are left out together. Data sets that
        no list names stand alone.
    seed
        Seed for the choice of cells and for the thinning.

    Raises
    ------
    ValueError
        When a number is too small, or the strategy parts the weights among processes.
    """

    def __init__(
        self,
        *,
        cells: int = 500,
        context: int | None = None,
        heads: bool = True,
        folds: int = 6,
        studies: Sequence[Sequence[str]] = (),
        seed: int = 0,
    ) -> None:
        if cells < 1 or (context is not None and context < 1):
            raise ValueError(f"cells={cells} and context={context} must be at least 1")
        if folds < 2:
            raise ValueError(f"folds={folds} must be at least 2: one is left out, and the others are learned from")
        self.cells, self.context, self.heads, self.seed = cells, context, heads, seed
        self.folds, self.studies = folds, studies

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
        seen = look(network, objective, data, cells=self.cells, context=context, seed=self.seed, validation=self.heads)
        network.standardisation = Standardisation.of(seen.embeddings[seen.whole & seen.trained])
        if self.heads:
            studies = study_numbers(data.cells.names, self.studies)
            fold = fold_of_datasets(np.bincount(seen.dataset, minlength=len(studies)), studies, self.folds)
            fit_heads(network, objective, seen, studies=studies, fold=fold)
        network.train(training)


@dataclass(frozen=True, eq=False)
class Seen:
    """Embeddings that a network gives to some cells of its training and validation, and to the same ones thinned.

    Attributes
    ----------
    labels
        (B, C) codes.
    embeddings
        (B, T, d) float32.
    whole
        (B,) bool, false where a cell was thinned.
    trained
        (B,) bool, false for cells of the validation.
    dataset
        (B,) number of the data set.
    """

    labels: Tensor
    embeddings: np.ndarray
    whole: np.ndarray
    trained: np.ndarray
    dataset: np.ndarray


@torch.no_grad()
def look(
    network: ScPrint,
    objective: Objective,
    data: CellDataModule,
    *,
    cells: int,
    context: int,
    seed: int,
    validation: bool = False,
) -> Seen:
    """Show a network some cells of each data set by their most expressed genes, and again thinned.

    Parameters
    ----------
    network, objective
        Network in evaluation mode, and what it was trained with.
    data
        Cells of training and validation.
    cells
        Number of cells of each data set, at most; beside them go some of each of its labels.
    context
        Number of most expressed genes; fewer where a data set measures fewer.
    seed
        Seed for the choice of cells and for the thinning.
    validation
        Whether to show it cells of the validation, too, as many at most.
    """
    measured = min(int((table >= 0).sum()) for table in data.cells.store.gene_map(data.vocabulary).tables)
    collator = Collator(
        vocabulary=data.vocabulary,
        context=min(context, measured),
        choice="most_expressed",
        format=format_of(network),
        seed=seed,
    )
    shown = data.cells.with_collator(collator)
    chosen = choose_cells(data, cells, seed=seed)
    n_trained = len(chosen)
    if validation:
        chosen = np.concatenate((chosen, choose_cells(data, cells, seed=seed, of=data.val_cells)))
    device = next(network.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    labels, embeddings, whole, places = [], [], [], []
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
            places.append(np.arange(begin, begin + len(one.genes)))
    at = np.concatenate(places)
    return Seen(
        torch.cat(labels),
        np.concatenate(embeddings),
        np.concatenate(whole),
        at < n_trained,
        data.cells.dataset[chosen[at]],
    )


def choose_cells(data: CellDataModule, cells: int, *, seed: int, of: np.ndarray | None = None) -> np.ndarray:
    """Return some training cells of each data set, and some of each of its labels, drawn at random; rising.

    With `of`, of these cells instead.
    """
    order = np.random.default_rng(seed).permutation(data.train_cells if of is None else of)
    table = pd.DataFrame(data.cells.labels[order])
    table["dataset"] = data.cells.dataset[order]
    chosen = table.groupby("dataset").cumcount() < cells
    for name in range(data.cells.labels.shape[1]):
        chosen |= (table[name] >= 0) & (table.groupby(["dataset", name]).cumcount() < OF_LABEL)
    return np.sort(order[chosen.to_numpy()])


def fit_heads(network: ScPrint, objective: Objective, seen: Seen, *, studies: np.ndarray, fold: np.ndarray) -> None:
    """Put linear maps of two tokens, ``base`` and the class's own, in the place of the class heads.

    Parameters
    ----------
    network
        Network; changed, and its config with it.
    objective
        Label loss.
    seen
        Cells of training and validation. A class that none of the former has a label of keeps its head.
    studies, fold
        Number of the study of each data set, and the fold in which it is left out.
    """
    confidence: dict[str, LabelConfidence] = {}
    for i, name in enumerate(objective.class_names):
        labelled = seen.labels[:, i] >= 0
        known = labelled & torch.from_numpy(seen.trained)
        if not known.any():
            continue
        names = ["base", name]
        tokens = [network.token_names.index(one) for one in names]
        inputs = torch.from_numpy(seen.embeddings[labelled.numpy()][:, tokens]).flatten(1).double()
        labels, trained = seen.labels[labelled, i], torch.from_numpy(seen.trained)[labelled]
        weight, bias, loss = fit_map(inputs[trained], labels[trained], objective, name)
        at = seen.dataset[labelled.numpy()]
        left = leave_out(inputs, labels, trained, objective, name, study=studies[at], fold=fold[at])
        if left.enough:
            size, shift = best_sigmoid(left.logits, left.named, left.weight_of_all)
            weight, bias = weight * size, bias * size + shift
            centres = Centres(inputs[trained].numpy(), labels[trained].numpy())
            confidence[name] = trust(left, centres, names, size=size, shift=shift)
            logger.info("confidence of %s: logits x %.2f %+.2f, least %.2f", name, size, shift, confidence[name].least)
        use_all_tokens(network, [name])
        out = cast("nn.Linear", network.class_heads[name].out)
        with torch.no_grad():
            places = out.weight.zero_().view(len(out.weight), len(network.token_names), -1)
            places[:, tokens] = weight.view(len(weight), 2, -1).to(places)
            out.bias.copy_(bias)
        logger.info("head of %s: loss %.3f on %d cells", name, loss, int(trained.sum()))
    network.confidence = confidence


def leave_out(
    inputs: Tensor,
    labels: Tensor,
    trained: Tensor,
    objective: Objective,
    name: str,
    *,
    study: np.ndarray,
    fold: np.ndarray,
) -> LeftOut:
    """Fit the head of a class without each fold in turn, and return what it says of the cells of that fold.

    Parameters
    ----------
    inputs
        (B, F) features of each cell, float64, on the CPU.
    labels
        (B,) codes, all of them known.
    trained
        (B,) bool, cells that heads may be fitted to.
    objective
        Label loss.
    name
        Name of the class.
    study, fold
        (B,) number of each cell's study, and of its fold.
    """
    space = objective.label_space.classes[name]
    right, taught = right_outputs(space.descendants.toarray().astype(bool), space.own_outputs)
    codes, features = labels.numpy(), inputs.numpy()
    logits = np.full((len(codes), len(space.leaves)), -1e3)
    distance, known = np.full(len(codes), np.inf), np.zeros(len(codes), dtype=bool)
    for number in np.unique(fold).tolist():
        out, others = fold == number, torch.from_numpy(fold != number) & trained
        if not others.any():
            continue
        weight, bias, _ = fit_map(inputs[others], labels[others], objective, name)
        logits[out] = (inputs[torch.from_numpy(out)] @ weight.T + bias).numpy()
        distance[out] = Centres(features[others.numpy()], codes[others.numpy()]).distance(features[out])
        there = taught[np.unique(codes[others.numpy()])].any(axis=0)
        known[out] = (right[codes[out]] & there).any(axis=1)
    fits = right[codes]
    true = np.where(fits, logits, -np.inf).max(axis=1)
    return LeftOut(logits, distance, true == logits.max(axis=1), true, known, study)


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

    minimise(loss, [weight, bias], iterations=ITERATIONS)
    least = loss().item()
    weight, bias = weight.detach(), bias.detach()
    if by_entropy:
        logits, change = x @ weight.T + bias, x.new_zeros(2, requires_grad=True)
        minimise(lambda: objective.sigmoids(name, logits * change[0].exp() + change[1], labels), [change])
        size, shift = change[0].detach().exp(), change[1].detach()
        weight, bias = weight * size, bias * size + shift
    raw = weight / scale
    return raw, bias - raw @ mean, least
