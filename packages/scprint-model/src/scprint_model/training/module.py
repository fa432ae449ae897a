"""The Lightning module of pre-training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from scdataloader import CellBatch, CellDataModule
from scprint_model.config import SIZES, ModelConfig, Normalization
from scprint_model.model import ScPrint
from scprint_model.training.architecture import add_architecture
from scprint_model.training.failures import check_batch, check_expressed, check_finite, describe_batch, memory_advice
from scprint_model.training.features import look_at_cells, start_genes, table_width
from scprint_model.training.objective import ObjectiveConfig, build_objective
from scprint_model.training.optimizer import (
    ScheduleName,
    WarmupPlateau,
    adamw,
    parameter_groups,
    rate_factor,
    set_apart,
)
from scprint_model.training.position import RestoredPlace, ResumableLoader, make_resumable
from scprint_model.training.resume import check_identity, identity, seed_step, shared_generator
from scprint_model.training.sharding import shard, whole
from scprint_model.training.start import check_start, started
from scprint_model.training.throughput import Throughput
from scprint_model.training.validation import Validation

Size = Literal["small", "medium", "large", "xlarge"]


class PretrainingModule(lightning.LightningModule):
    """Pre-trains a network on the data of a `scdataloader.CellDataModule`, which decides its genes and labels.

    A training that continues from a checkpoint (``ckpt_path``) goes on as if it had not been interrupted, also in the
    middle of an epoch: weights, optimiser, schedule, the place in the data, and all random numbers.

    Parameters
    ----------
    start_from
        Trained model to start from, which settles the sizes: what `ScPrint.from_pretrained` opens; see
        `scprint_model.training.start.start_from_model` for its genes and labels. None: random weights.
    size
        Named size, see `scprint_model.config.SIZES`; the next four change parts of it. None: those of `ModelConfig`.
    d_model, n_layers, n_heads, n_kv_heads, dropout, drop_path, normalization, architecture
        See `scprint_model.config.ModelConfig`; `architecture` has its other fields, such as ``{"likelihood": "nb"}``.
    attention
        Backend of the attention, see `ScPrint.attention_backend`.
    gradient_checkpointing
        Compute the blocks' activations a second time in the backward pass instead of keeping them: slower by about a
        third, with memory for far larger batches.
    compiled
        Let ``torch.compile`` write the code of the network's passes: the first steps take a minute, the others are
        faster on a GPU.
    shared_rows
        Let genes of the same symbol in different organisms share one embedding. None: where embeddings are learned.
    gene_embedding_std
        Standard deviation of the gene embeddings at the start; None: 0.5 where they are learned, as it is where they
        come from a table. The location encoding they are added to has entries of size 0.7: much smaller embeddings
        would take long to be seen beside it.
    gene_embeddings
        File of a table of gene embeddings to start from (``scprint gene-embeddings`` makes one), averaged down to
        `d_model`; see `scprint_model.gene_embeddings.load_table`, also for genes without a row, which are trained.
    freeze_gene_embeddings
        Do not train the rows from that table, as the paper does not.
    gene_features
        File of a table of gene features, which stay as they are; a learned linear map of them takes the place of gene
        embeddings, with a table of deviations that starts at 0. See `scprint_model.training.features`.
    deviation_cells
        Fewest training cells that have to express a gene for its deviation to be trained.
    deviation_rate
        Learning rate of the deviations, relative to `learning_rate`; they decay as weight matrices do.
    objective
        Terms that a step computes and how its losses add up: a named recipe and changes to it, see
        `scprint_model.training.recipes.ObjectiveConfig`.
    learning_rate, betas
        Peak rate of AdamW, and how slowly it forgets gradients and their squares.
    warmup_steps
        Steps until the peak.
    schedule
        Course of the rate after the warm-up: ``"cosine"`` down to zero at the end of the training, ``"constant"``, or
        ``"plateau"``: cut whenever the validation loss has stopped falling.
    plateau_cut, plateau_patience
        See `scprint_model.training.optimizer.WarmupPlateau`.
    weight_decay
        Decay of the weight matrices, decoupled from the gradient.
    decay_all
        Let biases, norms and embeddings decay, too.
    validation_cells
        For how many validation cells embedding and denoising are measured; losses and labels take all.
    seed
        Seed for the noise and for dropout; the first weights depend on ``seed_everything``.

    Raises
    ------
    ValueError
        When options contradict each other.
    """

    def __init__(
        self,
        *,
        start_from: str | None = None,
        size: Size | None = None,
        d_model: int | None = None,
        n_layers: int | None = None,
        n_heads: int | None = None,
        n_kv_heads: int | None = None,
        dropout: float = 0.1,
        drop_path: float = 0.0,
        normalization: Normalization = "log",
        architecture: dict[str, Any] | None = None,
        attention: str = "auto",
        gradient_checkpointing: bool = False,
        compiled: bool = False,
        shared_rows: bool | None = None,
        gene_embedding_std: float | None = None,
        gene_embeddings: str | None = None,
        freeze_gene_embeddings: bool = True,
        gene_features: str | None = None,
        deviation_cells: int = 500,
        deviation_rate: float = 0.25,
        objective: ObjectiveConfig = ObjectiveConfig(),  # noqa: B008 (frozen)
        learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        warmup_steps: int = 500,
        schedule: ScheduleName = "cosine",
        plateau_cut: float = 0.6,
        plateau_patience: int = 1,
        weight_decay: float = 0.01,
        decay_all: bool = False,
        validation_cells: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if start_from is not None:
            check_start(start_from, locals())
        self.start_from, self.cells_before = start_from, np.empty(0, dtype=np.uint64)
        sizes = {"d_model": d_model, "n_layers": n_layers, "n_heads": n_heads, "n_kv_heads": n_kv_heads}
        self.architecture: dict[str, Any] = {
            **({} if size is None else SIZES[size]),
            **{name: value for name, value in sizes.items() if value is not None},
            "dropout": dropout,
            "drop_path": drop_path,
            "normalization": normalization,
        }
        if gene_features is not None:
            self.architecture["gene_features"] = table_width(gene_features)
        add_architecture(self.architecture, architecture or {})
        if gene_features is not None and gene_embeddings is not None:
            raise ValueError(
                f"gene_features={gene_features!r} and gene_embeddings={gene_embeddings!r} both say what genes are: "
                "give one of them"
            )
        if shared_rows and gene_embeddings is not None:
            raise ValueError(
                f"shared_rows={shared_rows} and gene_embeddings={gene_embeddings!r} contradict each other: a table has "
                "a row for each gene of each organism; leave one of them out"
            )
        if schedule != "plateau" and (plateau_cut, plateau_patience) != (0.6, 1):
            raise ValueError(
                f"plateau_cut={plateau_cut} and plateau_patience={plateau_patience} are of schedule='plateau', not "
                f"of {schedule!r}"
            )
        WarmupPlateau(warmup_steps, cut=plateau_cut, patience=plateau_patience)  # raises what is out of range
        for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value} must be a number that is not negative")
        self.attention, self.compiled = attention, compiled
        self.gradient_checkpointing = gradient_checkpointing
        self.shared_rows = gene_embeddings is None if shared_rows is None else shared_rows
        self.gene_embedding_std = gene_embedding_std
        self.gene_embeddings, self.freeze_gene_embeddings = gene_embeddings, freeze_gene_embeddings
        self.gene_features = gene_features
        self.deviation_cells, self.deviation_rate = deviation_cells, deviation_rate
        self.objective_config = objective
        self.learning_rate, self.betas = learning_rate, betas
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.plateau_cut, self.plateau_patience = plateau_cut, plateau_patience
        self.weight_decay, self.decay_all = weight_decay, decay_all
        self.validation_cells = validation_cells
        self.seed = seed
        self.model: ScPrint | None = None
        self._plateau: WarmupPlateau | None = None
        self._last: tuple[CellBatch, int, dict[str, Tensor]] | None = None

    # ------------------------------------------------------------------------------------------------- the network

    @property
    def network(self) -> ScPrint:
        """The network; it exists once the data are known."""
        if self.model is None:
            raise RuntimeError("the network is built from the data: run the trainer, or call build() first")
        return self.model

    @property
    def data(self) -> CellDataModule:
        """The data module of the training."""
        return cast("CellDataModule", self.trainer.datamodule)  # type: ignore[attr-defined]

    def configure_model(self) -> None:
        """Build the network from the data module's genes and labels; in parts under ``ModelParallelStrategy``."""
        if self.model is None:
            network = self.build(self.data)
            if self.device_mesh is not None:
                if self.objective.dataset_classifier is not None:
                    raise ValueError(
                        "model.objective.weights.adversarial_datasets trains a classifier of its own, which "
                        "ModelParallelStrategy would not keep alike in all processes: set it to 0, or use ddp"
                    )
                shard(network, self.device_mesh["data_parallel"])

    def build(self, data: CellDataModule) -> ScPrint:
        """Build the network and the objective for the genes and labels of `data`, and return the network."""
        vocabulary, labels = data.vocabulary, data.label_space
        if self.start_from is None:
            config = ModelConfig(n_genes=len(vocabulary), class_sizes=labels.sizes, **self.architecture)
            positions, rows = torch.tensor(vocabulary.locations), torch.tensor(vocabulary.shared_rows)
            self.model = ScPrint(config, gene_positions=positions, gene_rows=rows if self.shared_rows else None)
        else:
            rates = {name: self.architecture[name] for name in ("dropout", "drop_path")}
            self.model, self.cells_before = started(self.start_from, vocabulary, labels, **rates)
        self.model.vocabulary, self.model.label_space = vocabulary, labels
        self.model.attention_backend = self.attention
        self.model.gradient_checkpointing = self.gradient_checkpointing
        if self.compiled:
            for name in ("forward", "encode", "generate"):  # one graph each; names of weights stay as they are
                setattr(self.model, name, torch.compile(getattr(self.model, name)))
        if self.start_from is None:
            tables, freeze = (self.gene_features, self.gene_embeddings), self.freeze_gene_embeddings
            start_genes(self.model.gene_encoder, vocabulary, *tables, std=self.gene_embedding_std, freeze=freeze)
        self.objective = build_objective(
            self.objective_config,
            labels,
            vocabulary=vocabulary,
            d_model=self.model.config.d_model,
            n_datasets=len(data.cells.names),
        )
        if self.gene_features is not None:
            numbers = {"deviation_cells": self.deviation_cells, "seed": self.seed}
            self.objective.centres = look_at_cells(self.model, data, self.gene_features, **numbers)
        shortest = self.objective.recipe.min_context
        if data.context is not None and shortest >= data.context:
            raise ValueError(
                f"model.objective.min_context={shortest} cuts nothing off a data.context of {data.context}: make it "
                "smaller, or leave it out"
            )
        return self.model

    def configure_callbacks(self) -> Sequence[lightning.Callback]:
        """Every training shows its speed, and goes on at the place of its checkpoint."""
        return [Throughput(), RestoredPlace()]

    # ---------------------------------------------------------------------------------------------------- training

    def setup(self, stage: str) -> None:
        """Make the place in the data part of the checkpoints."""
        if stage == "fit" and getattr(self.trainer, "datamodule", None) is not None:
            make_resumable(self.data, self.trainer)

    def on_train_batch_start(self, batch: CellBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Make the random numbers of the step depend on nothing before it."""
        seed_step(self.seed, epoch=self.current_epoch, batch=batch_idx, rank=self.global_rank)

    def training_step(self, batch: CellBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        self._last = (batch, batch_idx, {})
        # a process with a longer batch would let the others wait
        alike = shared_generator(self.seed, epoch=self.current_epoch, batch=batch_idx, rank=self.global_rank)
        with self._memory(batch), self._told():
            terms = self.objective(self.network, batch, length_generator=alike)
        detached = {name: value.detach() for name, value in terms.items()}
        self._last = (batch, batch_idx, detached)
        # one question to the GPU for both
        if not bool(torch.isfinite(detached["loss"]) & (batch["counts"] > 0).any()):
            check_expressed(batch, self._where())
            with self._told():  # on a GPU, the objective does not look before it has made NaN of it
                check_batch(batch, self.objective.label_space, n_datasets=self.objective.n_datasets)
            check_finite(detached["loss"], "loss", self.trainer.global_step, detached, self._where)
        self.log_dict({f"train/{name}": value for name, value in detached.items()}, prog_bar=False)
        self.log("loss", detached["loss"], prog_bar=True, logger=False)
        return terms["loss"]

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Do as Lightning, with advice where memory runs out."""
        with self._memory(None if self._last is None else self._last[0]):
            super().backward(loss, *args, **kwargs)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients together, and stop where it is not finite.

        Here and not in Lightning, which refuses the fused AdamW under bf16, too, where no gradient is scaled.
        """
        plugin = self.trainer.precision_plugin
        scaled = isinstance(plugin, MixedPrecision) and plugin.scaler is not None
        if not gradient_clip_val or gradient_clip_algorithm == "value" or scaled:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = whole(torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val))
        terms = {} if self._last is None else self._last[2]
        check_finite(norm, "gradient norm", self.trainer.global_step, terms, self._where)
        self.log("train/gradient_norm", norm)

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule, as factors of the peak rate by step."""
        groups = parameter_groups(self, weight_decay=self.weight_decay, decay_all=self.decay_all)
        if self.gene_features is not None:
            rate = self.learning_rate * self.deviation_rate
            groups = set_apart(groups, self.network.gene_encoder.table.weight, rate, weight_decay=self.weight_decay)
        plugin = getattr(self.trainer, "precision_plugin", None)
        # the fused kernel unscales fp16 gradients itself, after the clipping
        fused = not (isinstance(plugin, MixedPrecision) and plugin.scaler is not None)
        optimizer = adamw(groups, learning_rate=self.learning_rate, betas=self.betas, fused=fused)
        if self.schedule == "plateau":
            if self.trainer.limit_val_batches == 0:
                raise ValueError("schedule='plateau' follows the validation loss, but trainer.limit_val_batches is 0")
            self._plateau = WarmupPlateau(self.warmup_steps, cut=self.plateau_cut, patience=self.plateau_patience)
        factor = self._plateau or rate_factor(self.schedule, self.warmup_steps, self.trainer)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # -------------------------------------------------------------------------------------------------- validation

    def on_validation_epoch_start(self) -> None:
        """Begin to gather."""
        share = -(-self.validation_cells // self.trainer.world_size)
        self._validation = Validation(self.network, self.objective, n_cells=share)

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:
        """Take a batch in, under the same noise every time."""
        generator = torch.Generator(device=self.device).manual_seed(batch_idx)
        with self._memory(batch):
            terms = self.objective(self.network, batch, generator=generator)
            self._validation.add(batch, terms, generator=generator)

    def on_validation_epoch_end(self) -> None:
        """Log what `Validation.finish` gives, over all ranks, and let the schedule see the loss."""
        scores = self._validation.finish(self._total)
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, sync_dist=True)
        if self._plateau is not None and not self.trainer.sanity_checking:
            self._plateau.observe(scores["loss"])

    def _total(self, values: Tensor) -> Tensor:
        if self.trainer.world_size == 1:
            return values
        return cast("Tensor", self.trainer.strategy.reduce(values.to(self.device), reduce_op="sum")).cpu()

    # ------------------------------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the weights belong to."""
        network = self.network
        if network.vocabulary is not None and network.label_space is not None:
            checkpoint["scprint"] = identity(network.config, network.vocabulary, network.label_space)
            checkpoint["scprint"]["seed"] = self.seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another vocabulary, label space or size; go on with its random numbers."""
        network = self.network
        if "scprint" in checkpoint and network.vocabulary is not None and network.label_space is not None:
            check_identity(checkpoint["scprint"], identity(network.config, network.vocabulary, network.label_space))
            self.seed = checkpoint["scprint"]["seed"]

    # ----------------------------------------------------------------------------------------------------- failures

    def _memory(self, batch: CellBatch | None) -> Any:
        accumulated = 1 if self._trainer is None else self.trainer.accumulate_grad_batches
        return memory_advice(batch, checkpointing=self.gradient_checkpointing, accumulated=accumulated)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Add to what is wrong with a batch which cells it holds."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{error}. The batch is of {self._where()}") from error

    def _where(self) -> str:
        if self._last is None:
            return f"epoch {self.current_epoch}"
        batch, index, _ = self._last
        loader = self.trainer.train_dataloader
        cells = loader.cells(index) if isinstance(loader, ResumableLoader) else []
        names = list(getattr(getattr(self.data, "cells", None), "names", []))
        return f"epoch {self.current_epoch}, {describe_batch(batch, names=names, cells=cells)}"
