"""What is wrong with a batch, said so that its cells can be found.

On the CPU a batch is looked at before each step. Elsewhere a look would make the host wait, so there the loss of a bad
batch is NaN, and whoever finds it so calls :func:`check_batch`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scdataloader import CellBatch, LabelSpace

#: Cells named in a message.
_NAMED = 8


def bad_counts(batch: CellBatch) -> Tensor:
    """(B,) true where a count or the total is NaN, infinite or negative."""
    counts, totals = batch["counts"], batch["total_counts"]
    # one reduction each, whose NaN fails both comparisons
    low, high = counts.amin(dim=1), counts.amax(dim=1)
    return ~((low >= 0) & (high < torch.inf) & (totals >= 0) & (totals < torch.inf))


def check_batch(batch: CellBatch, label_space: LabelSpace, *, n_datasets: int | None = None) -> None:
    """Raise where the counts, labels or data sets of a batch cannot be trained on.

    A cell without any expressed gene is no error here: its means are 0 and its loss is finite.

    Parameters
    ----------
    batch
        Counts and labels.
    label_space
        What the label codes refer to.
    n_datasets
        Data sets that the model tells apart; None: it does not.

    Raises
    ------
    ValueError
        When there is no cell or no gene, a count is NaN, infinite or negative, a label code is not of `label_space`,
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
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    data_sets = sorted(set(batch["dataset"][which].tolist()))
    named = ", ".join(map(str, rows[:_NAMED]))
    return f"cells {named}{more} of the batch (data sets {', '.join(map(str, data_sets))}) have"
