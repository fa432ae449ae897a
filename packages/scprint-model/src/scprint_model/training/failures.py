"""What stops a training, said so that one can act on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

#: Cells and genes named in a message.
_NAMED = 16


def describe_batch(batch: Any, *, names: Sequence[str] = (), cells: Sequence[int] = ()) -> str:
    """Return which cells a batch holds: their indices in the corpus where known, and their data sets.

    Parameters
    ----------
    batch
        A `scdataloader.CellBatch`.
    names
        Of the data sets, by index.
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
            "the data (data.preprocess: true drops empty cells), or choose expressed genes (data.choice)"
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
