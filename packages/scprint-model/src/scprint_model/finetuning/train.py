"""The two stages of a fine-tuning: first the class heads on embeddings that stay, then the network with them.

Shapes: B cells, C classes, N all cells, d model width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from scdataloader import CellDataset
from scprint_model.finetuning.batch_effect import batch_distance
from scprint_model.finetuning.cells import Parts
from scprint_model.losses.counts import count_loss
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.model import ScPrint
from scprint_model.noise import downsample

logger = logging.getLogger(__name__)

#: Of the denoising task: the paper's r.
NOISE = 0.6
#: The head stage is cheap: the network runs once for it.
HEAD_EPOCHS, HEAD_RATE, HEAD_PATIENCE = 100, 1e-2, 10
MAX_NORM = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Aims:
    """What is learned.

    Attributes
    ----------
    names
        The C classes.
    codes
        (N, C) int64 label codes.
    descendants
        For each class (n_parents, n_leaves) bool.
    batches
        (N,) int64; None: no batch integration.
    batch_weight, denoising
        Weights of the distance of batches and of the denoising task beside the mean label loss.
    """

    names: tuple[str, ...]
    codes: Tensor
    descendants: tuple[Tensor, ...] = field(repr=False)
    batches: Tensor | None
    batch_weight: float
    denoising: float

    def label_loss(self, logits: Sequence[Tensor], at: Tensor) -> Tensor:
        """Mean over the classes of the hierarchical loss of the cells `at`."""
        losses = [
            hierarchical_loss(one, self.codes[at, c].to(one.device), self.descendants[c].to(one.device))
            for c, one in enumerate(logits)
        ]
        return torch.stack(losses).mean()


@torch.no_grad()
def encode_all(model: ScPrint, cells: CellDataset, at: np.ndarray, *, batch_size: int, description: str) -> Tensor:
    """Return the cell embeddings of the cells `at`, (len(at), T, d) float32 on the CPU, behind a progress bar."""
    model.eval()
    device = next(model.parameters()).device
    made = []
    with tqdm(total=len(at), desc=description, unit="cell", disable=None) as bar:
        for begin in range(0, len(at), batch_size):
            batch = cells.__getitems__(at[begin : begin + batch_size].tolist())
            genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
            with precision(device):
                made.append(model.encode(genes, counts, total).cell_embeddings.float().cpu())
            bar.update(len(genes))
    return torch.cat(made)


def train_heads(
    model: ScPrint, embeddings: Tensor, aims: Aims, parts: Parts, *, batch_size: int, seed: int
) -> dict[str, list[float]]:
    """Train the heads of the classes on (N, T, d) embeddings, in place; nothing else changes. Returns the losses."""
    heads = [model.class_heads[name] for name in aims.names]
    places = [model.token_names.index(name) for name in aims.names]
    device = next(model.parameters()).device

    def loss(at: Tensor) -> Tensor:
        tokens = embeddings[at].to(device)
        return aims.label_loss([head(tokens[:, i]) for head, i in zip(heads, places, strict=True)], at)

    parameters = [parameter for head in heads for parameter in head.parameters()]
    with _trained(model, parameters):
        return fit(
            nn.ModuleList(heads),
            loss,
            parameters,
            parts,
            epochs=HEAD_EPOCHS,
            patience=HEAD_PATIENCE,
            learning_rate=HEAD_RATE,
            batch_size=batch_size,
            seed=seed,
            description="class heads",
        )


def train_network(
    model: ScPrint,
    cells: CellDataset,
    aims: Aims,
    parts: Parts,
    parameters: Sequence[Tensor],
    *,
    epochs: int,
    patience: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> dict[str, list[float]]:
    """Train `parameters` on what `aims` say, in place. Returns the losses."""
    device = next(model.parameters()).device

    def loss(at: Tensor) -> Tensor:
        batch = cells.__getitems__(at.tolist())
        genes, counts, total = (batch[key].to(device) for key in ("genes", "counts", "total_counts"))
        terms = []
        if aims.names or aims.batches is not None:
            with precision(device):
                clean = model.encode(genes, counts, total)
            if aims.names:
                terms.append(aims.label_loss([clean.class_logits[name] for name in aims.names], at))
            if aims.batches is not None:
                labels = aims.codes[at, 0].to(device) if aims.names else None
                distance = batch_distance(clean.cell_embedding, aims.batches[at].to(device), labels)
                terms.append(aims.batch_weight * distance)
        if aims.denoising:
            noisy = downsample(counts, NOISE)
            with precision(device):
                seen = model(genes, noisy, total * (1 - NOISE), expected_total=counts.sum(dim=1))
            terms.append(aims.denoising * count_loss(counts, seen.mean, seen.dispersion, seen.zero_logits))
        return torch.stack(terms).sum()

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
            description="network",
        )


def fit(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    parameters: Sequence[Tensor],
    parts: Parts,
    *,
    epochs: int,
    patience: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    description: str,
) -> dict[str, list[float]]:
    """Adam on the training cells until the validation loss has not fallen for `patience` epochs; keep the best weights.

    Parameters
    ----------
    module
        Set to training or evaluation mode.
    loss
        Indices of cells (B,) to their loss.
    parameters
        Those that are trained.
    parts
        Of the cells.
    epochs, patience, learning_rate, batch_size, seed, description
        As the names say.

    Returns
    -------
    ``train`` and ``validation``: mean loss of each epoch; the first of ``validation`` is from before the training.

    Raises
    ------
    ValueError
        When a loss is not finite.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    order = torch.from_numpy(np.random.default_rng([seed, 0]).permutation(parts.validation))

    @torch.no_grad()
    def validate() -> float:
        module.eval()
        torch.manual_seed(seed)  # the same noise each time
        losses = [float(loss(at)) * len(at) for at in torch.split(order, batch_size)]
        return sum(losses) / len(order)

    with torch.random.fork_rng(), tqdm(total=epochs, desc=description, unit="epoch", disable=None) as bar:
        history: dict[str, list[float]] = {"train": [], "validation": [validate()]}
        best, best_weights, waited = history["validation"][0], [p.detach().clone() for p in parameters], 0
        for epoch in range(1, epochs + 1):
            module.train()
            torch.manual_seed(seed + 7919 * epoch)
            drawn = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(parts.train))
            seen = 0.0
            for at in torch.split(drawn, batch_size):
                optimizer.zero_grad(set_to_none=True)
                value = loss(at)
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
            history["validation"].append(validate())
            bar.update()
            bar.set_postfix(loss=f"{history['validation'][-1]:.3f}")
            if history["validation"][-1] < best:
                best, best_weights, waited = history["validation"][-1], [p.detach().clone() for p in parameters], 0
            else:
                waited += 1
                if waited >= patience:
                    break
    with torch.no_grad():
        for parameter, weights in zip(parameters, best_weights, strict=True):
            parameter.copy_(weights)
    module.eval()
    return history


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Bfloat16 where the GPU computes in it, float32 elsewhere."""
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
