"""The rows of the ablation: what a training is given, from the first model's recipe to all parts together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch

from scdataloader import CellDataModule
from scdataloader.options import Corpus, Drawing, GeneChoice, Holdout
from scprint_model.training.finish import FinishNetwork
from scprint_model.training.module import PretrainingModule
from scprint_model.training.recipes import ObjectiveConfig

CLASSES = ("cell_type", "disease", "assay", "tissue", "organism")
#: Genes that each view of a cell shows in training, at most.
CONTEXT = 224
MIN_CONTEXT = 96
#: Added to the name of a row whose network is finished.
FINISHED = ", heads fitted"
#: Cells of each data set that a network is finished with, and the genes that it is shown of them.
FINISH_CELLS, FINISH_CONTEXT = 200, 256


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one row of the table is trained with; a finished one is scored again when its heads are fitted."""

    features: bool = False
    own_outputs: bool = False
    profile: bool = False
    second_view: bool = False
    trained: bool = True
    finished: bool = False
    architecture: dict[str, Any] = field(default_factory=dict)
    normalization: Any = "log"
    objective: dict[str, Any] = field(default_factory=dict)


#: How the first bundled model was trained.
_CONTROL: dict[str, Any] = {
    "recipe": "paper",
    "label_loss": "binary",
    "weights": {"classification": 2.0, "dissimilarity": 0.1},
    "min_context": MIN_CONTEXT,
}
_LABELS = _CONTROL | {
    "label_loss": "cross_entropy",
    "weights": {"classification": 1.0, "label_sigmoids": 0.5, "dissimilarity": 0.1},
}
_CONTRAST = {"second_view": True, "contrast_within": True, "temperature": 0.1}
#: The first half of the features, those by co-expression, are those that a profile is the sum of.
_PROFILE = {"profile_tokens": ["base", "cell_type"], "profile_features": 128}
_ALL: dict[str, Any] = {
    "features": True,
    "own_outputs": True,
    "profile": True,
    "second_view": True,
    "normalization": "cp10k",
    "architecture": {"depth": "decoder", "position_scale": 0.1, "class_bias": -4.0, **_PROFILE},
    "objective": {"recipe": "bundled", "min_context": MIN_CONTEXT},
}
ROWS: dict[str, Row] = {
    "control": Row(objective=_CONTROL),
    "features": Row(features=True, objective=_CONTROL),
    "+ cross-entropy": Row(features=True, own_outputs=True, objective=_LABELS),
    "+ contrastive": Row(
        features=True,
        own_outputs=True,
        second_view=True,
        objective=_LABELS | _CONTRAST | {"weights": _LABELS["weights"] | {"contrastive": 1.0}},
    ),
    "+ profile": Row(
        features=True,
        own_outputs=True,
        profile=True,
        architecture=_PROFILE,
        objective=_LABELS,
    ),
    "all": Row(**_ALL, finished=True),
    "all, untrained": Row(**_ALL, trained=False),
    "all, sigmoids 0.1": Row(
        **_ALL | {"objective": _ALL["objective"] | {"weights": {"label_sigmoids": 0.1}}}, finished=True
    ),
}


def data_of(row: Row, store: Path, *, n_cells: int, batch_size: int, seed: int) -> CellDataModule:
    """Return the training cells of a row, set up."""
    data = CellDataModule(
        store=str(store),
        classes=CLASSES,
        context=CONTEXT * (2 if row.second_view else 1),
        genes=GeneChoice(choice="random_expressed", profile=row.profile),
        batch_size=batch_size,
        corpus=Corpus(own_outputs=row.own_outputs),
        drawing=Drawing(
            weight_scale=50,
            weight_classes=CLASSES,
            cells_per_epoch=n_cells,
            run=batch_size // 3,
            threads=0,
        ),
        holdout=Holdout(val_fraction=0.001, separate_duplicates=False),
        seed=seed,
    )
    data.setup()
    return data


def train(
    row: Row,
    data: CellDataModule,
    features: Path,
    folder: Path,
    *,
    steps: int,
    seed: int,
    sizes: dict[str, int],
    training: type[PretrainingModule] = PretrainingModule,
) -> PretrainingModule:
    """Train a row by a kind of training, and return the module with its network in evaluation mode."""
    lightning.seed_everything(seed, verbose=False)
    module = training(
        **sizes,
        dropout=0.0,
        normalization=row.normalization,
        architecture=row.architecture,
        gene_features=str(features) if row.features else None,
        objective=ObjectiveConfig(**row.objective),
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        warmup_steps=max(steps // 10, 1),
        weight_decay=0.05,
        seed=seed,
    )
    if row.trained:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=steps,
            limit_val_batches=0,
            gradient_clip_val=1.0,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            logger=lightning.pytorch.loggers.CSVLogger(folder, name="", version=""),
            log_every_n_steps=10,
            default_root_dir=folder,
        )
        trainer.fit(module, datamodule=data)
    else:
        with torch.no_grad():
            module.build(data)
    module.network.eval()
    return module


def finish(module: PretrainingModule, data: CellDataModule) -> None:
    """Fit the heads of a trained row to the end, in place."""
    FinishNetwork(cells=FINISH_CELLS, context=FINISH_CONTEXT).finish(module, data)
