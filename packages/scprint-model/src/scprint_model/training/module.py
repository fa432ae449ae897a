"""The Lightning module of pre-training."""

from __future__ import annotations

import math
from typing import Any, cast

import lightning
import torch
from torch import Tensor

from scdataloader import CellBatch, CellDataModule
from scprint_model.config import ModelConfig, Normalization
from scprint_model.model import ScPrint
from scprint_model.training.objective import LossWeights, Objective
from scprint_model.training.schedule import warmup_cosine


class PretrainingModule(lightning.LightningModule):
    """Pre-trains a network on the data of a `scdataloader.CellDataModule`, which decides its genes and labels.

    Parameters
    ----------
    d_model, n_layers, n_heads, dropout, drop_path, normalization
        See `scprint_model.config.ModelConfig`.
    shared_rows
        Let genes of the same symbol in different organisms share one embedding.
    gene_embedding_std
        Standard deviation of the learned gene embeddings at the start. The location encoding they are added to has
        entries of size 0.7: much smaller embeddings would take long to be seen beside it.
    loss_weights
        See `LossWeights`.
    noise
        Down-sampling rate of the denoising task.
    min_context
        See `scprint_model.training.objective.Objective`.
    learning_rate
        Peak rate of AdamW.
    warmup_steps
        Steps until the peak; a cosine leads down to zero at the end of the training.
    weight_decay
        Of the weight matrices; biases, norms and embeddings have none.
    """

    def __init__(
        self,
        *,
        d_model: int = 128,
        n_layers: int = 4,
        n_heads: int = 4,
        dropout: float = 0.1,
        drop_path: float = 0.0,
        normalization: Normalization = "log",
        shared_rows: bool = True,
        gene_embedding_std: float = 0.5,
        loss_weights: LossWeights = LossWeights(),  # noqa: B008 (frozen)
        noise: float = 0.6,
        min_context: int | None = None,
        learning_rate: float = 1e-4,
        warmup_steps: int = 500,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__()
        self.architecture = {
            "d_model": d_model,
            "n_layers": n_layers,
            "n_heads": n_heads,
            "dropout": dropout,
            "drop_path": drop_path,
            "normalization": normalization,
        }
        self.shared_rows = shared_rows
        self.gene_embedding_std = gene_embedding_std
        self.loss_weights = loss_weights
        self.objective_options: dict[str, Any] = {
            "noise": noise,
            "min_context": min_context,
        }
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.weight_decay = weight_decay
        self.model: ScPrint | None = None

    @property
    def network(self) -> ScPrint:
        """The network; it exists once the data are known."""
        if self.model is None:
            raise RuntimeError("the network is built from the data: run the trainer, or call build() first")
        return self.model

    def configure_model(self) -> None:
        """Build the network from the data module's genes and labels."""
        if self.model is None:
            self.build(cast("CellDataModule", self.trainer.datamodule))  # type: ignore[attr-defined]

    def build(self, data: CellDataModule) -> ScPrint:
        """Build the network and the objective for the genes and labels of `data`, and return the network."""
        vocabulary, labels = data.vocabulary, data.label_space
        config = ModelConfig(n_genes=len(vocabulary), class_sizes=labels.sizes, **self.architecture)  # type: ignore[arg-type]
        rows = torch.tensor(vocabulary.shared_rows) if self.shared_rows else None
        self.model = ScPrint(config, gene_positions=torch.tensor(vocabulary.locations), gene_rows=rows)
        self.model.vocabulary, self.model.label_space = vocabulary, labels
        torch.nn.init.normal_(self.model.gene_encoder.table.weight, std=self.gene_embedding_std)
        self.objective = Objective(labels, weights=self.loss_weights, **self.objective_options)
        return self.model

    def training_step(self, batch: CellBatch, batch_idx: int) -> Tensor:  # noqa: ARG002 (Lightning's signature)
        """Return the loss of a batch."""
        terms = self.objective(self.network, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()}, prog_bar=False)
        self.log("loss", terms["loss"].detach(), prog_bar=True, logger=False)
        return terms["loss"]

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:
        """Log the loss terms of a batch, under the same noise every time, and count right labels."""
        generator = torch.Generator(device=self.device).manual_seed(batch_idx)
        terms = self.objective(self.network, batch, generator=generator)
        size = len(batch["genes"])
        self.log_dict({f"val/{name}": value for name, value in terms.items()}, batch_size=size, sync_dist=True)
        encoding = self.network.encode(batch["genes"], batch["counts"], batch["total_counts"])
        for i, (name, logits) in enumerate(encoding.class_logits.items()):
            labels = batch["labels"][:, i]
            leaf = (labels >= 0) & (labels < logits.shape[1])
            right = (logits.argmax(dim=1) == labels) & leaf
            self._hits[name] += torch.stack([right.sum(), leaf.sum()]).to(self._hits[name])

    def on_validation_epoch_start(self) -> None:
        """Start counting right predictions."""
        self._hits = {name: torch.zeros(2, device=self.device) for name in self.network.config.class_sizes}

    def on_validation_epoch_end(self) -> None:
        """Log the share of right predictions among the cells with a leaf label, over all ranks."""
        for name, counts in self._hits.items():
            right, leaf = self.trainer.strategy.reduce(counts, reduce_op="sum")
            if leaf > 0:
                self.log(f"val/accuracy_{name}", right / leaf, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return AdamW, without decay on biases, norms and embeddings, and the schedule."""
        embeddings = {id(m.weight) for m in self.network.modules() if isinstance(m, torch.nn.Embedding)}
        groups: dict[bool, list[Tensor]] = {True: [], False: []}
        for parameter in self.network.parameters():
            groups[parameter.ndim >= 2 and id(parameter) not in embeddings].append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": self.weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
            # not fused: Lightning cannot clip the gradients of the fused kernel under mixed precision
        )
        total = self.trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise ValueError("the schedule needs an end: set trainer.max_epochs or trainer.max_steps")
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(self.warmup_steps, int(total)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
