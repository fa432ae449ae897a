"""The first stage of a fine-tuning: heads that start as a logistic regression on embeddings that stay.

Shapes: B cells, C classes, N all cells, T cell tokens, d model width, n labels of a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from scprint_model.finetuning.cells import Parts
from scprint_model.finetuning.regression import ABSENT, MOST_NUMBERS, Regression, draw_cells, fit_regression, fold
from scprint_model.finetuning.train import Aims
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.losses.minimise import minimise
from scprint_model.metrics import is_right
from scprint_model.model import ScPrint

#: Logarithm of the scale of a head's logits, and shift: how far its confidence is put right by few cells.
SCALES, SHIFTS = (-1.5, 0.7), (-8.0, 8.0)


def train_heads(
    model: ScPrint, embeddings: Tensor, aims: Aims, parts: Parts, *, keys: np.ndarray, seed: int
) -> tuple[dict[str, Regression], dict[str, Any]]:
    """Fit the heads of the classes, which must be maps of all tokens, in place; nothing else changes.

    A head starts with the logits of a standardised logistic regression on all tokens, whose standardisation becomes
    part of its weights. Then L-BFGS minimises the model's own loss under the same ridge penalty; where fewer validation
    cells are right with that, the regression is kept. At last the logits of all labels are scaled and shifted alike, so
    that their sigmoids are confidences on the validation cells, which changes no label that is given.

    Parameters
    ----------
    model
        Model whose heads are fitted.
    embeddings
        (N, T, d) of all cells.
    aims
        Classes and labels.
    parts
        Cells to learn from, and to choose by.
    keys
        (N,) key of each cell's counts.
    seed
        Seed for the draw of cells to fit on, where there are many.

    Returns
    -------
    regressions
        The regression that each class started from.
    history
        For each class ``train`` and ``validation``: the loss of the regression, and then of the trained head; at last,
        on the validation cells, that of the kept one when it is calibrated. ``kept``: 0 for the regression, else 1.

    Raises
    ------
    ValueError
        When no cell to learn from has a label of a class.
    """
    features = embeddings.flatten(1)
    most = MOST_NUMBERS // features.shape[1]
    regressions, history = {}, {}
    for c, name in enumerate(tqdm(aims.names, desc="class heads", unit="class", disable=None)):
        codes, below = aims.codes[:, c].numpy(), aims.descendants[c]
        outputs = aims.outputs(c)
        of_outputs = parts.train[outputs[parts.train] >= 0]
        if not len(of_outputs):
            raise ValueError(
                f"none of the {len(parts.train):,} cells to learn from has a label of class {name!r}: those that have "
                "one are held out; choose another held_out_by or seed, or a smaller held_out"
            )
        few = draw_cells(of_outputs, keys, most, seed)
        regression = fit_regression(features[few].numpy(), outputs[few])
        every = draw_cells(parts.train[codes[parts.train] >= 0], keys, most, seed)
        stop = parts.validation[codes[parts.validation] >= 0]
        sets = [
            (
                (features[at].double() - torch.from_numpy(regression.mean)) / torch.from_numpy(regression.scale),
                codes[at],
            )
            for at in (every, stop)
        ]
        weight, bias, history[name] = fit_head(regression, sets[0], sets[1], below)
        raw = fold(weight.numpy(), bias.numpy(), regression.mean, regression.scale)
        with torch.no_grad():
            for parameter, value in zip(model.class_heads[name].parameters(), raw, strict=True):
                parameter.copy_(torch.from_numpy(value))
        regressions[name] = regression
    return regressions, history


def fit_head(
    regression: Regression, learn: tuple[Tensor, np.ndarray], stop: tuple[Tensor, np.ndarray], below: Tensor
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return weight (n, F) and bias (n,) of a head on standardised features, and the losses on the way.

    Parameters
    ----------
    regression
        Regression that it starts from.
    learn, stop
        Standardised features (B, F), float64, and codes (B,) of the cells to learn from and to choose by.
    below
        (n_parents, n) bool: outputs below each coarser label.
    """
    (x, labels), (x_stop, labels_stop) = ((one[0], torch.from_numpy(one[1])) for one in (learn, stop))
    first_weight, first_bias = map(torch.from_numpy, regression.all_labels(below.shape[1]))
    start = (first_weight, first_bias)
    weight, bias = (value.clone().requires_grad_() for value in start)
    ridge = 1 / (
        2 * len(labels) * below.shape[1]
    )  # scikit-learn's C = 1, over as many entries as the loss is a mean of

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        return hierarchical_loss(x @ weight.T + bias, labels, below) + ridge * weight.square().sum()

    minimise(lambda: loss(weight, bias), [weight, bias])
    found = (weight.detach(), bias.detach())
    history: dict[str, Any] = {"train": [float(loss(*start)), float(loss(*found))], "validation": [], "kept": 1}
    if not len(labels_stop):
        return first_weight, first_bias, history | {"kept": 0}
    right = []
    for one in (start, found):
        logits = x_stop @ one[0].T + one[1]
        history["validation"].append(float(hierarchical_loss(logits, labels_stop, below)))
        right.append(int(is_right(logits.argmax(dim=1), labels_stop, below).sum()))
    if right[1] < right[0]:
        history["kept"], found = 0, start
    kept = _calibrated(*found, x_stop, labels_stop, below)
    history["validation"].append(float(hierarchical_loss(x_stop @ kept[0].T + kept[1], labels_stop, below)))
    return *kept, history


def _calibrated(weight: Tensor, bias: Tensor, x: Tensor, labels: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift all logits alike, by the loss on cells that were not learned from: no best label changes."""
    from scipy.optimize import minimize

    able = bias > ABSENT
    logits = x @ weight.T + bias

    def loss(scale_shift: np.ndarray) -> float:
        scale, shift = np.exp(scale_shift[0]), scale_shift[1]
        return float(hierarchical_loss(torch.where(able, scale * logits + shift, logits), labels, below))

    found = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[SCALES, SHIFTS]).x
    scale, shift = float(np.exp(found[0])), float(found[1])
    return torch.where(able[:, None], scale * weight, weight), torch.where(able, scale * bias + shift, bias)
