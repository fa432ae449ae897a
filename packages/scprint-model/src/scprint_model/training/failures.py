"""Checks that stop a training, with messages by which its cells can be found.

On the CPU a batch is looked at before each step. Elsewhere a look would make the host wait, so there the loss of a bad
batch is NaN, and whoever finds it so calls :func:`check_batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from scdataloader import CellBatch, LabelSpace
from scprint_model._wording import listed

#: Cells and genes named in a message.
_NAMED = 16


def describe_batch(batch: Any, *, names: Sequence[str] = (), cells: Sequence[int] = ()) -> str:
    """Return which cells a batch holds: their indices in the corpus where known, and their data sets.

    Parameters
    ----------
    batch
        A `scdataloader.CellBatch`.
    names
        Names of the data sets, by index.
    cells
        Indices of the cells in the corpus.
    """
    data_sets = sorted(set(batch["dataset"].tolist()))
    known = [f"{i} ({names[i]})" if i < len(names) else str(i) for i in data_sets]
    parts = [f"data sets {', '.join(known)}"]
    if cells:
        more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
        parts.insert(0, f"cells {list(cells[:_NAMED])}{more} (indices in data.cells)")
    return " of ".join(parts)


def check_expressed(batch: Any, where: str) -> None:
    """Raise ValueError where no cell of a batch expresses any gene."""
    if not bool((batch["counts"] > 0).any()):
        raise ValueError(
            f"no cell of a batch expresses any of its genes, so there is nothing to learn from: {where}. Preprocess "
            "the data (data.corpus.preprocess: true drops empty cells), or choose expressed genes (data.genes.choice)"
        )


def check_finite(value: Tensor, what: str, step: int, terms: dict[str, Tensor], where: Callable[[], str]) -> None:
    """Raise FloatingPointError where a loss or gradient norm is NaN or infinite, naming the step and the batch.

    Raised before the optimiser's step: the weights, and the checkpoints written so far, are good.
    """
    if bool(torch.isfinite(value)):
        return
    parts = ", ".join(f"{name} {float(term):.4g}" for name, term in terms.items() if name != "loss")
    raise FloatingPointError(
        f"the {what} is {float(value)} at step {step}{f' ({parts})' if parts else ''}, in the batch of {where()}. The "
        "weights were not changed by it, and the last checkpoint is from before. Look at these cells; else lower "
        "model.learning_rate, set trainer.gradient_clip_val, or use trainer.precision bf16-mixed or 32 instead of 16"
    )


@contextmanager
def memory_advice(batch: Any | None, *, checkpointing: bool, accumulated: int) -> Iterator[None]:
    """Turn torch's out-of-memory errors into a MemoryError that says what to change.

    Parameters
    ----------
    batch
        The one being worked on, for its size.
    checkpointing
        Whether gradient checkpointing is on.
    accumulated
        Batches a step.
    """
    try:
        yield
    except RuntimeError as error:
        # torch has no class of its own for the CPU's
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        size = "" if batch is None else " of {} cells × {} genes".format(*batch["genes"].shape)
        knobs = ["lower data.batch_size and raise trainer.accumulate_grad_batches as many times (now "
                 f"{accumulated}), which trains the same", "lower data.context"]  # fmt: skip
        if not checkpointing:
            knobs.insert(1, "set model.gradient_checkpointing: true")
        first = str(error).splitlines()[0]
        raise MemoryError(f"out of memory in a batch{size}: {'; or '.join(knobs)}. torch says: {first}") from error


#: Cells named in a message.
_NAMED_IN_BATCH = 8


def bad_counts(batch: CellBatch) -> Tensor:
    """(B,) true where a count or the total is NaN, infinite or negative."""
    counts, totals = batch["counts"], batch["total_counts"]
    # one reduction each, whose NaN fails both comparisons
    low, high = counts.amin(dim=1), counts.amax(dim=1)
    return ~((low >= 0) & (high < torch.inf) & (totals >= 0) & (totals < torch.inf))


def check_batch(batch: CellBatch, label_space: LabelSpace, *, n_datasets: int | None = None) -> None:
    """Raise where the counts, labels or data sets of a batch cannot be trained on.

    A cell without any expressed gene is not an error here: its means are 0 and its loss is finite.

    Parameters
    ----------
    batch
        Counts and labels.
    label_space
        Labels that the codes refer to.
    n_datasets
        Data sets that the model tells apart; None: it does not.

    Raises
    ------
    ValueError
        When the batch is empty, a count is NaN, infinite or negative, a label code is not of `label_space`,
        or a data set not below `n_datasets`; the message names the cells by their place in the batch and their data
        sets.
    """
    if batch["counts"].numel() == 0:
        raise ValueError(f"a batch of {batch['counts'].shape[0]} cells × {batch['counts'].shape[1]} genes is empty")
    bad = bad_counts(batch)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        values = torch.cat((batch["counts"][row], batch["total_counts"][row : row + 1]))
        wrong = float(values[~((values >= 0) & (values < torch.inf))][0])
        raise ValueError(
            f"{_cells(batch, bad)} counts or total counts that are NaN, infinite or negative, such as {wrong:g}: the "
            "model is trained on raw counts; look for a layer that holds them, or drop these cells"
        )
    labels, classes = batch["labels"], label_space.classes
    if labels.shape[1] != len(classes):
        raise ValueError(
            f"the batch has labels of {labels.shape[1]} classes, the label space {len(classes)} ({', '.join(classes)}"
            "): load the data with the model's label space"
        )
    for i, (name, known) in enumerate(classes.items()):
        n_codes = len(known.leaves) + len(known.parents)
        beyond = (labels[:, i] < -1) | (labels[:, i] >= n_codes)
        if bool(beyond.any()):
            raise ValueError(
                f"{_cells(batch, beyond)} labels that the class {name!r} does not know, such as code "
                f"{int(labels[beyond, i][0])}: its codes are -1 (unknown) to {n_codes - 1}; encode the data with the "
                "model's label space"
            )
    if n_datasets is not None:
        beyond = (batch["dataset"] < 0) | (batch["dataset"] >= n_datasets)
        if bool(beyond.any()):
            raise ValueError(
                f"{_cells(batch, beyond)} data sets that the adversarial classifier does not know: it was made for "
                f"n_datasets={n_datasets}"
            )


def _cells(batch: CellBatch, which: Tensor) -> str:
    rows = which.nonzero()[:, 0].tolist()
    more = f" and {len(rows) - _NAMED_IN_BATCH} more" if len(rows) > _NAMED_IN_BATCH else ""
    data_sets = sorted(set(batch["dataset"][which].tolist()))
    named = ", ".join(map(str, rows[:_NAMED_IN_BATCH]))
    return f"cells {named}{more} of the batch (data sets {listed(data_sets)}) have"
