"""The stages of a fine-tuning in their order: extend the model, fit its heads, train its network, score all of it.

Shapes: N all cells, T cell tokens, d model width.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.finetuning.batch_neighbours import neighbour_scores
from scprint_model.finetuning.cells import Cells, Parts
from scprint_model.finetuning.extend import extend, new_rows, use_all_tokens
from scprint_model.finetuning.first_stage import train_heads
from scprint_model.finetuning.low_rank import add_low_rank, low_rank_parts
from scprint_model.finetuning.regression import Regression
from scprint_model.finetuning.scores import AFTER, BEFORE, compare
from scprint_model.finetuning.train import Aims, encode_all, train_network
from scprint_model.metrics import label_scores, neighbour_accuracy
from scprint_model.model import ScPrint

logger = logging.getLogger(__name__)

Train = Literal["heads", "lora", "all"]
#: Cells by which the token is chosen that a new class starts from, and those whose logits are computed at a time.
PROBE, PART = 512, 8192


@dataclass(frozen=True, eq=False)
class Run:
    """The cells, what is learned from them, and by what groups intervals are drawn."""

    cells: Cells
    aims: Aims
    parts: Parts
    batch_size: int
    seed: int
    device: torch.device
    groups: np.ndarray | None = None
    unit: str = "cell"

    def encode(self, model: ScPrint, at: np.ndarray, description: str) -> Tensor:
        """Return the cell embeddings of the cells `at`, (len(at), T, d)."""
        return encode_all(model, self.cells, at, batch_size=self.batch_size, description=description)


def learn(
    made: ScPrint,
    base: ScPrint,
    run: Run,
    train: Train,
    low_rank: dict[str, Any],
    *,
    epochs: int,
    patience: int,
    learning_rate: float,
) -> dict[str, Any]:
    """Train in place; return the losses, the scores before and after, and those beside rivals."""
    history: dict[str, Any] = {}
    embeddings = run.encode(made, np.arange(len(run.cells)), "embedding cells")
    logits = _logits(made, run, embeddings)
    before, predicted = _scores(run, embeddings, logits), {BEFORE: _best(logits)}
    regressions: dict[str, Regression] = {}
    use_all_tokens(made, run.aims.names)
    if run.aims.names:
        regressions, history["heads"] = train_heads(
            made, embeddings, run.aims, run.parts, keys=run.cells.keys, seed=run.seed
        )
    learned = embeddings
    if train != "heads":
        with torch.random.fork_rng():
            torch.manual_seed(run.seed)
            parameters, handles = _chosen(made, base, run.aims.names, train, **low_rank)
        history["network"] = train_network(
            made,
            run.cells,
            run.aims,
            run.parts,
            parameters,
            epochs=epochs,
            patience=patience,
            learning_rate=learning_rate,
            batch_size=run.batch_size,
            seed=run.seed,
        )
        for handle in handles:
            handle.remove()
        learned = run.encode(made, np.arange(len(run.cells)), "scoring")
    logits = _logits(made, run, learned)
    report = {"before": before, "after": _scores(run, learned, logits), "loss": history}
    if run.aims.names:
        report["scores"] = compare(
            predicted | {AFTER: _best(logits)},
            run.aims,
            run.cells,
            run.parts,
            embeddings=embeddings.flatten(1).numpy(),
            regressions=regressions,
            groups=run.groups,
            unit=run.unit,
            seed=run.seed,
            new=[name for name in run.aims.names if name not in base.class_heads],
        )
    if run.aims.batches is not None:
        report["neighbours"] = neighbour_scores(
            embeddings,
            learned,
            run.aims,
            run.cells,
            run.parts,
            groups=run.groups,
            unit=run.unit,
            seed=run.seed,
        )
    return report


def _chosen(
    model: ScPrint,
    base: ScPrint,
    names: Sequence[str],
    train: Train,
    rank: int,
    alpha: float,
    projections: Sequence[str],
) -> tuple[list[Tensor], list[Any]]:
    """Return the parameters to train, and the hooks that keep some of their rows as they are."""
    if train == "all":
        return list(model.parameters()), []
    add_low_rank(model, rank=rank, alpha=alpha, projections=projections)
    chosen: list[Tensor] = [p for _, _, part in low_rank_parts(model) for p in part.parameters()]
    chosen += [p for name in names for p in model.class_heads[name].parameters()]
    handles = []
    rows: list[tuple[Tensor, Tensor]] = []
    if names:
        classes = list(model.config.class_sizes)
        rows.append((model.class_tokens.weight, torch.tensor([1 + classes.index(name) for name in names])))
    table = model.gene_encoder.table.weight
    n_old = len(base.gene_encoder.table.weight)
    if len(table) > n_old:
        rows.append((table, torch.arange(n_old, len(table))))
    for parameter, at in rows:
        # Adam leaves rows alone whose gradient was never anything but zero
        mask = torch.zeros(len(parameter), 1, device=parameter.device)
        mask[at] = 1
        hook = partial(torch.mul, mask)
        handles.append(parameter.register_hook(hook))  # type: ignore[no-untyped-call]
        chosen.append(parameter)
    return chosen, handles


def extended(
    base: ScPrint,
    vocabulary: GeneVocabulary,
    known: LabelSpace,
    space: LabelSpace,
    run: Run,
    gene_embeddings: Path | str | None,
) -> ScPrint:
    """Return the base with the new genes, labels and classes, on the device."""
    n_new = len(vocabulary) - base.config.n_genes
    rows = new_rows(base, vocabulary, embeddings=gene_embeddings, seed=run.seed) if n_new else None
    made = extend(base, vocabulary, known, rows=rows)
    new = [name for name in run.aims.names if name not in known.classes]
    tokens = _nearest_tokens(made.to(run.device), run, new) if new else {}
    return extend(made, vocabulary, space, tokens=tokens, seed=run.seed).to(run.device)


def _nearest_tokens(model: ScPrint, run: Run, new: Sequence[str]) -> dict[str, str]:
    """Return for each new class the token whose embedding tells its labels best, by the nearest neighbours of cells."""
    at = np.random.default_rng(run.seed).permutation(run.parts.train)[:PROBE]
    embeddings = run.encode(model, at, "choosing tokens")
    half = len(at) // 2
    chosen = {}
    for name in new:
        codes = run.aims.codes[torch.from_numpy(at), run.aims.names.index(name)]
        scores = {
            token: neighbour_accuracy(embeddings[:half, i], codes[:half], embeddings[half:, i], codes[half:])
            for i, token in enumerate(model.token_names)
            if token not in ("depth", "metacell")
        }
        chosen[name] = max(scores, key=lambda token: (scores[token], token == "base"))
        logger.info("class %r starts from the token %r: %s", name, chosen[name], scores)
    return chosen


@torch.no_grad()
def _logits(model: ScPrint, run: Run, embeddings: Tensor) -> dict[str, Tensor]:
    """Return the logits of each class that is learned, of all cells, on the CPU."""
    device = next(model.parameters()).device
    parts = [model.classify(part.to(device), run.aims.names) for part in torch.split(embeddings, PART)]
    return {name: torch.cat([part[name].float().cpu() for part in parts]) for name in run.aims.names}


def _best(logits: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: one.argmax(dim=1).numpy() for name, one in logits.items()}


def _scores(run: Run, embeddings: Tensor, logits: dict[str, Tensor]) -> dict[str, Any]:
    """Return scores on the held-out cells."""
    held = torch.from_numpy(run.parts.held_out)
    scores: dict[str, Any] = {
        name: label_scores(logits[name][held], run.aims.codes[held, c], run.aims.descendants[c])
        for c, name in enumerate(run.aims.names)
    }
    if run.aims.batches is not None:
        told = torch.from_numpy(run.parts.train)
        cell = embeddings.mean(dim=1)
        codes = run.aims.batches
        scores["batch_by_neighbours"] = neighbour_accuracy(cell[told], codes[told], cell[held], codes[held])
        if run.aims.names:
            codes = run.aims.codes[:, 0]
            scores["label_by_neighbours"] = neighbour_accuracy(cell[told], codes[told], cell[held], codes[held])
    return scores
