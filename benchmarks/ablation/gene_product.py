"""The paper's other way to rebuild a cell: the product of a gene's and the cell's embedding, not the bottleneck's pass.

scPRINT paper, Methods, "The bottleneck learning task", which compares it with the method of scGPT: the expression of a
gene is the inner product of a query made of the gene's name alone and of the cell's embedding. The counts' distribution
and its loss are those of the other rows, so that nothing differs but the way from the embedding to the counts.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from scdataloader import CellBatch, CellDataModule
from scprint_model.layers.expression_decoder import N_PARAMETERS, CountParameters, count_parameters
from scprint_model.losses.counts import count_loss
from scprint_model.model import CellEncoding, ScPrint
from scprint_model.training.module import PretrainingModule
from scprint_model.training.objective import Objective
from scprint_model.training.passes import Context


class GeneProduct(nn.Module):
    """From embeddings of genes and of cells to the parameters of the counts' distribution.

    Parameters
    ----------
    d_model
        Width of the embeddings.
    n_numbers
        Number of parameters of a gene's count: 3 for a ZINB.
    """

    def __init__(self, d_model: int, n_numbers: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Linear(d_model, d_model), nn.LeakyReLU(), nn.Linear(d_model, d_model))
        self.cell = nn.Linear(d_model, n_numbers * d_model)

    def forward(
        self, genes: Tensor, cells: Tensor, shared_counts: Tensor, real: Tensor | None = None
    ) -> CountParameters:
        """Return the parameters of genes' counts.

        Parameters
        ----------
        genes
            (B, S, d) embeddings of the genes' names.
        cells
            (B, d) embeddings of the cells.
        shared_counts
            (B,) what the means of a cell sum to.
        real
            (B, S) false where a gene is padding, whose mean is 0; None: all are real.
        """
        keys = self.cell(cells).unflatten(-1, (-1, genes.shape[-1]))
        numbers = torch.einsum("bsd,bnd->bsn", self.query(genes), keys) / genes.shape[-1] ** 0.5
        return count_parameters(numbers, shared_counts, real)


class ProductObjective(Objective):
    """An objective whose embedding has to give the counts back by a product, not through the network.

    The product's loss has the bottleneck's weight, and that pass is not made.
    """

    def __init__(self, base: Objective, network: ScPrint) -> None:
        super().__init__(base.label_space, base.recipe, weights=replace(base.weights, bottleneck=0.0))
        self.product_weight = base.weights.bottleneck
        self.product = GeneProduct(network.config.d_model, N_PARAMETERS[network.config.likelihood])

    def weight(self, term: str) -> float:
        """Return the weight of a term, the product's among them."""
        return self.product_weight if term == "product" else super().weight(term)

    def terms(
        self, model: ScPrint, batch: CellBatch, context: Context, passes: dict[str, CellEncoding]
    ) -> dict[str, Tensor]:
        """Return the terms of the objective, and the likelihood of the clean counts by the product."""
        cells = next(iter(passes.values())).cell_embedding
        said = self.product(model.gene_encoder(context.genes), cells, context.context_total, context.real)
        return super().terms(model, batch, context, passes) | {
            "product": count_loss(context.counts, said.mean, said.dispersion, said.zero_logits, real=context.real)
        }


class ProductTraining(PretrainingModule):
    """A training whose bottleneck is a :class:`GeneProduct`, which is trained with the network."""

    def build(self, data: CellDataModule) -> ScPrint:
        """Build the network, and an objective with the product in the bottleneck's place."""
        network = super().build(data)
        self.objective = ProductObjective(self.objective, network)
        return network
