"""One validation: loss terms, right labels, embedding and denoising, over all processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scdataloader import CellBatch
from scprint_model.intervals import share_interval
from scprint_model.metrics import LabelCounts, agreeing_cells, depth_share, spearman
from scprint_model.model import ScPrint
from scprint_model.training.objective import Objective
from scprint_model.training.passes import Context, context_of, noised, with_centre

#: Sums a tensor over the processes.
Sum = Callable[[Tensor], Tensor]


class Validation:
    """Gathers what each batch of a validation says.

    Parameters
    ----------
    network
        In evaluation mode.
    objective
        Objective that the network is trained with: the denoising test has its noise.
    n_cells
        Cells of this process for which embedding and denoising are measured; labels and losses take all.
    """

    def __init__(self, network: ScPrint, objective: Objective, *, n_cells: int) -> None:
        self.network = network
        self.objective = objective
        self.n_cells = n_cells
        device = next(network.parameters()).device
        self.labels = {name: LabelCounts(n, device) for name, n in network.config.class_sizes.items()}
        self._sums: dict[str, float] = {}
        self._cells = 0
        self._gains: list[Tensor] = []
        self._points: list[Tensor] = []
        self._facts: list[Tensor] = []
        self._measured = 0

    @torch.no_grad()
    def add(self, batch: CellBatch, terms: Mapping[str, Tensor], *, generator: torch.Generator | None = None) -> None:
        """Take in a batch and its loss terms; the noise comes from `generator`."""
        size = len(batch["genes"])
        self._cells += size
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value) * size
        seen = with_centre(context_of(batch), batch, self.objective.centres)
        encoding = self.network.encode(
            seen.genes, seen.counts, seen.total_counts, lengths=seen.lengths, profile=seen.profile
        )
        for i, (name, logits) in enumerate(encoding.class_logits.items()):
            self.labels[name].add(logits.argmax(dim=1), batch["labels"][:, i])
        part = slice(max(min(self.n_cells - self._measured, size), 0))
        self._measured += part.stop
        if part.stop == 0:
            return
        if self.labels:
            token = encoding.token_names.index(next(iter(self.labels)))
            self._points.append(encoding.cell_embeddings[part, token].float().cpu())
            # the label, the data set and the depth of each
            facts = (batch["labels"][part, 0], batch["dataset"][part], batch["total_counts"][part])
            self._facts.append(torch.stack([one.double().cpu() for one in facts], dim=1))
        self._gains.append(self._gain(seen, part, generator))

    def _gain(self, seen: Context, part: slice, generator: torch.Generator | None) -> Tensor:
        """Spearman with the clean counts, the prediction's minus the noisy counts'; (cells,), NaN where undefined."""
        counts, n_genes = seen.counts[part], self.network.config.n_genes
        rate = self.objective.recipe.noise
        noisy = noised(seen.first(part.stop), rate, n_genes, drawn=False, generator=generator)
        output = self.network(
            seen.genes[part],
            noisy.counts,
            seen.total_counts[part],
            expected_total=seen.context_total[part],
            lengths=None if seen.lengths is None else seen.lengths[part],
            profile=noisy.profile,
            shown_total=noisy.shown_total,
        )
        expected = output.mean.float()
        if output.zero_logits is not None:
            expected = expected * torch.sigmoid(-output.zero_logits.float())
        truth = counts.cpu()  # ranks need float64, which not all devices have
        return spearman(truth, expected.cpu()) - spearman(truth, noisy.counts.cpu())

    def finish(self, total: Sum) -> dict[str, float]:
        """Return all scores, the same in every process; what cannot be measured is left out.

        Parameters
        ----------
        total
            Sums a tensor, on the CPU, over the processes.

        Returns
        -------
        dict
            Each loss term by its name, mean over ``cells``; ``accuracy_<class>`` and ``macro_f1_<class>`` over the
            ``cells_<class>`` with a leaf label; ``denoising_gain`` over ``cells_denoising_gain``. Of the first class's
            token: ``neighbours_<class>``, the share of cells whose neighbours in their data set agree, and
            ``depth_share``, that of the variance which depth explains, over ``cells_embedding``. A share of cells has
            its 95 % interval, ``<score>_low`` and ``<score>_high``.
        """
        names = list(self._sums)
        sums = total(torch.tensor([*self._sums.values(), self._cells], dtype=torch.float64))
        scores = {name: float(value / sums[-1]) for name, value in zip(names, sums[:-1], strict=True)}
        scores["cells"] = float(sums[-1])
        for name, labels in self.labels.items():
            labels.counts = total(labels.counts.cpu())
            scores |= {f"{key}_{name}": value for key, value in labels.scores().items()}
            given, _, right = labels.counts.sum(dim=1).tolist()
            if given:
                scores[f"cells_{name}"] = float(given)
                scores |= with_interval(f"accuracy_{name}", np.arange(given) < right)
        gains = torch.cat([*self._gains, torch.zeros(0, dtype=torch.float64)])
        gains = gains[gains.isfinite()]
        gain, n = total(torch.tensor([float(gains.sum()), len(gains)], dtype=torch.float64)).tolist()
        if n:
            scores |= {"denoising_gain": gain / n, "cells_denoising_gain": n}
        if self._points:
            points, facts = _gather(torch.cat(self._points)).numpy(), _gather(torch.cat(self._facts)).numpy()
            agree = agreeing_cells(points, facts[:, 0].astype(np.int64), within=facts[:, 1])
            if len(agree):
                scores |= with_interval(f"neighbours_{next(iter(self.labels))}", agree)
            share = depth_share(points, facts[:, 2])
            if not math.isnan(share):
                scores |= {"depth_share": share, "cells_embedding": float(len(points))}
        return scores


def with_interval(name: str, right: np.ndarray) -> dict[str, float]:
    """Return the share of cells that are right under a name, and its 95 % interval under ``_low`` and ``_high``."""
    low, high = share_interval(right)
    return {name: float(right.mean()), f"{name}_low": low, f"{name}_high": high}


def _gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of these; they may have different numbers."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, rows)
    return torch.cat(parts)
