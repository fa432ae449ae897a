"""The three pre-training tasks and how their losses add up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scdataloader import CellBatch, LabelSpace
from scprint_model.losses.dissimilarity import embedding_dissimilarity
from scprint_model.losses.hierarchical import hierarchical_loss
from scprint_model.losses.zinb import zinb_loss
from scprint_model.model import ScPrint
from scprint_model.noise import downsample


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weight of each term; the defaults are the paper's unscaled sum.

    Attributes
    ----------
    denoising
        ZINB likelihood of the clean counts, given down-sampled ones.
    bottleneck
        ZINB likelihood of the clean counts, given the cell embeddings only.
    classification
        Sum of the hierarchical label losses.
    dissimilarity
        Likeness of the cell tokens.
    """

    denoising: float = 1.0
    bottleneck: float = 1.0
    classification: float = 1.0
    dissimilarity: float = 1.0

    def __post_init__(self) -> None:
        negative = {name: value for name, value in vars(self).items() if value < 0}
        if negative:
            raise ValueError(f"loss weights must not be negative: {negative}")


class Objective(nn.Module):
    """One training step's loss: denoise, rebuild from the embedding, classify.

    The network sees down-sampled counts with the cell's true total count. What it then says of the clean counts is the
    denoising loss; its cell embeddings are classified, and alone have to give the clean counts back.

    Parameters
    ----------
    label_space
        Labels of the batches, in order.
    weights
        Of the terms.
    noise
        Down-sampling rate r (0.6 in the paper); see `scprint_model.noise.downsample`.
    min_context
        In training, each batch is cut to a random number of genes, from this one to all; None: never. So the network
        works with any context.

    Notes
    -----
    scPRINT paper, Methods, "Pretraining".
    """

    def __init__(
        self,
        label_space: LabelSpace,
        *,
        weights: LossWeights,
        noise: float,
        min_context: int | None = None,
    ) -> None:
        super().__init__()
        self.weights = weights
        self.noise = noise
        self.min_context = min_context
        self.class_names = list(label_space.classes)
        for name, labels in label_space.classes.items():
            self.register_buffer(f"_{name}", torch.from_numpy(labels.descendants.toarray()), persistent=False)

    def forward(
        self, model: ScPrint, batch: CellBatch, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return each term, unweighted, and their weighted sum under ``"loss"``; scalars.

        Parameters
        ----------
        model
            The network.
        batch
            Clean counts and labels.
        generator
            Source of the noise; None: torch's global one.
        """
        genes, counts = batch["genes"], batch["counts"]
        if self.training and self.min_context is not None and self.min_context < genes.shape[1]:
            n = int(torch.randint(self.min_context, genes.shape[1] + 1, (), generator=generator))
            genes, counts = genes[:, :n], counts[:, :n]
        noisy = downsample(counts, self.noise, generator=generator)
        context_total = counts.sum(dim=1)
        output = model(genes, noisy, batch["total_counts"], expected_total=context_total)
        terms = {
            "denoising": zinb_loss(counts, output.mean, output.dispersion, output.zero_logits),
            "dissimilarity": embedding_dissimilarity(output.cell_embeddings),
            "classification": self.classification(output.class_logits, batch["labels"]),
        }
        rebuilt = model.generate(genes, output.cell_embeddings, context_total)
        terms["bottleneck"] = zinb_loss(counts, rebuilt.mean, rebuilt.dispersion, rebuilt.zero_logits)
        weighted = [getattr(self.weights, name) * value for name, value in terms.items()]
        return {"loss": torch.stack(weighted).sum(), **terms}

    def classification(self, class_logits: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Sum of the hierarchical losses of all classes, a scalar; labels (B, C)."""
        losses = [
            hierarchical_loss(class_logits[name], labels[:, i], self.get_buffer(f"_{name}"))
            for i, name in enumerate(self.class_names)
        ]
        return torch.stack(losses).sum() if losses else labels.new_zeros((), dtype=torch.float32)
