"""Train the network together with the class heads, the second stage of a fine-tuning, towards its aims.

Shapes: B cells, C classes, N all cells, d model width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from scdataloader.labels import LabelClass
from scprint_model.finetuning.batch_effect import batch_distance
from scprint_model.finetuning.cells import Cells, Parts
from scprint_model.losses.counts import count_loss
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.metrics import is_right
from scprint_model.model import ScPrint
from scprint_model.noise import downsample

logger = logging.getLogger(__name__)

#: Of the denoising task: the paper's r.
NOISE = 0.6
MAX_NORM = 1.0
#: Standard errors by which a gain must exceed nothing.
SURE = 1.64


@dataclass(frozen=True, eq=False, kw_only=True)
class Aims:
    """Aims of a fine-tuning.

    Attributes
    ----------
    names
        The C classes.
    codes
        (N, C) int64 label codes.
    classes
        The label class of each.
    batches
        (N,) int64; None: no batch integration.
    batch_weight, denoising
        Weights of the distance of batches and of the denoising task beside the mean label loss.
    """

    names: tuple[str, ...]
    codes: Tensor
    classes: tuple[LabelClass, ...] = field(repr=False)
    batches: Tensor | None
    batch_weight: float
    denoising: float

    @cached_property
    def descendants(self) -> tuple[Tensor, ...]:
        """For each class which outputs lie below each coarser label, (n_parents, n) bool."""
        return tuple(torch.from_numpy(one.descendants.toarray()) for one in self.classes)

    def outputs(self, c: int) -> np.ndarray:
        """Return the output that each cell is learned as, (N,) int64; -1 where there is none or no label."""
        return self.classes[c].outputs(self.codes[:, c].numpy())

    def label_loss(self, logits: Sequence[Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean over the classes of the hierarchical loss of the cells `at`, and which are right, (B, C)."""
        losses, right = [], []
        for c, one in enumerate(logits):
            codes, below = self.codes[at, c].to(one.device), self.descendants[c].to(one.device)
            losses.append(hierarchical_loss(one, codes, below))
            right.append(is_right(one.argmax(dim=1), codes, below).cpu())
        return torch.stack(losses).mean(), torch.stack(right, dim=1)


@torch.no_grad()
def encode_all(model: ScPrint, cells: Cells, at: np.ndarray, *, batch_size: int, description: str) -> Tensor:
    """Return the cell embeddings of the cells `at`, (len(at), T, d) float32 on the CPU, behind a progress bar."""
    model.eval()
    device = next(model.parameters()).device
    made = []
    with tqdm(total=len(at), desc=description, unit="cell", disable=None) as bar:
        for begin in range(0, len(at), batch_size):
            batch = cells.batch(at[begin : begin + batch_size])
            genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
            with precision(device):
                made.append(model.encode(genes, counts, total).cell_embeddings.float().cpu())
            bar.update(len(genes))
    return torch.cat(made)


def train_network(
    model: ScPrint,
    cells: Cells,
    aims: Aims,
    parts: Parts,
    parameters: Sequence[Tensor],
    *,
    epochs: int,
    patience: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> dict[str, Any]:
    """Train `parameters` on what `aims` say, in place. Returns the losses."""
    device = next(model.parameters()).device

    def loss(at: Tensor) -> tuple[Tensor, Tensor]:
        batch = cells.batch(at.numpy())
        genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
        terms, right = [], torch.zeros(len(at), 0, dtype=torch.bool)
        if aims.names or aims.batches is not None:
            with precision(device):
                clean = model.encode(genes, counts, total)
            if aims.names:
                of_labels, right = aims.label_loss([clean.class_logits[name] for name in aims.names], at)
                terms.append(of_labels)
            if aims.batches is not None:
                labels = aims.codes[at, 0].to(device) if aims.names else None
                distance = batch_distance(clean.cell_embedding, aims.batches[at].to(device), labels)
                terms.append(aims.batch_weight * distance)
        if aims.denoising:
            noisy = downsample(counts, NOISE)
            with precision(device):
                seen = model(genes, noisy, total * (1 - NOISE), expected_total=counts.sum(dim=1))
            terms.append(aims.denoising * count_loss(counts, seen.mean, seen.dispersion, seen.zero_logits))
        return torch.stack(terms).sum(), right

    with _trained(model, parameters):
        return fit(
            model,
            loss,
            parameters,
            parts,
            epochs=epochs,
            patience=patience,
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            guarded=aims.batches is None and not aims.denoising,
            description="network",
        )


def fit(
    module: nn.Module,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    parameters: Sequence[Tensor],
    parts: Parts,
    *,
    epochs: int,
    patience: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    guarded: bool,
    description: str,
) -> dict[str, Any]:
    """Train with Adam until the validation loss has not fallen for `patience` epochs; keep the best weights.

    The first weights are among those that may be kept. Where labels are the only aim, others must be worth it: see
    `is_gain`.

    Parameters
    ----------
    module
        Set to training or evaluation mode.
    loss
        Numbers of cells (B,) to their loss, and to which of them are right, (B, C) bool.
    parameters
        Parameters that are trained.
    parts
        Parts of the cells.
    epochs, patience, learning_rate, batch_size, seed, description
        Settings of the training, as their names say.
    guarded
        Whether labels are the only aim.

    Returns
    -------
    ``train`` and ``validation``: mean loss of each epoch; the first of ``validation`` is from before the training.
    ``kept``: number of epochs after which the kept weights were reached.

    Raises
    ------
    ValueError
        When a loss is not finite.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    order = torch.from_numpy(np.random.default_rng([seed, 0]).permutation(parts.validation))

    @torch.no_grad()
    def validate() -> tuple[float, Tensor]:
        module.eval()
        torch.manual_seed(seed)  # the same noise each time
        pairs = [(loss(at), len(at)) for at in torch.split(order, batch_size)]
        right = torch.cat([one for (_, one), _ in pairs])
        return sum(float(value) * n for (value, _), n in pairs) / len(order), right

    with torch.random.fork_rng(), tqdm(total=epochs, desc=description, unit="epoch", disable=None) as bar:
        best, right_at_first = validate()
        history: dict[str, Any] = {"train": [], "validation": [best], "kept": 0}
        best_weights, waited = [p.detach().clone() for p in parameters], 0
        for epoch in range(1, epochs + 1):
            module.train()
            torch.manual_seed(seed + 7919 * epoch)
            drawn = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(parts.train))
            seen = 0.0
            for at in torch.split(drawn, batch_size):
                optimizer.zero_grad(set_to_none=True)
                value, _ = loss(at)
                if not torch.isfinite(value):
                    raise ValueError(
                        f"the loss is {float(value)} in epoch {epoch} of {description}, cells {at[:5].tolist()} and "
                        f"others: choose a learning_rate below {learning_rate}"
                    )
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(parameters, MAX_NORM)
                optimizer.step()
                seen += float(value.detach()) * len(at)
            history["train"].append(seen / len(drawn))
            found, right = validate()
            history["validation"].append(found)
            bar.update()
            bar.set_postfix(loss=f"{found:.3f}")
            if found < best and (not guarded or is_gain(right_at_first, right)):
                best, best_weights, waited = found, [p.detach().clone() for p in parameters], 0
                history["kept"] = epoch
            else:
                waited += 1
                if waited >= patience:
                    break
    with torch.no_grad():
        for parameter, weights in zip(parameters, best_weights, strict=True):
            parameter.copy_(weights)
    module.eval()
    return history


def is_gain(before: Tensor, after: Tensor) -> bool:
    """Return whether more cells are right than before beyond chance in some class, and in no class fewer.

    What fits the cells at hand closer often fits those of other donors worse, so a gain must be more than the noise of
    a few cells: more than 1.64 standard errors of the number of cells gained less those lost (sign test, 5 %).

    Parameters
    ----------
    before, after
        Whether each validation cell is right, (B, C) bool.
    """
    gained, lost = (after & ~before).sum(dim=0), (before & ~after).sum(dim=0)
    net = (gained - lost).double()
    return bool((net >= 0).all() and (net > SURE * (gained + lost).double().sqrt()).any())


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 where the GPU computes in it, float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def _trained(model: nn.Module, parameters: Sequence[Tensor]) -> Iterator[None]:
    """Let only these parameters have gradients."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    wanted = {id(parameter) for parameter in parameters}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[name])
            parameter.grad = None
