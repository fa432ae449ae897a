"""A model as a folder: weights, config, gene vocabulary, label space, and a card that says what it is."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.config import ModelConfig
from scprint_model.model import ScPrint

WEIGHTS, CONFIG, GENES, LABELS, CARD = (
    "model.safetensors",
    "config.json",
    "genes.parquet",
    "labels.json",
    "card.json",
)


def save_folder(
    model: ScPrint, folder: Path | str, *, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Write a model with its vocabulary and label space; a failure leaves what was there before.

    Parameters
    ----------
    model
        With `vocabulary` and `label_space`.
    folder
        Made anew, or replaced as a whole if it holds a model already.
    card
        JSON-able facts for the model card: data, training, scores. ``"context"``, the most genes per cell in training,
        is read again by `load_folder`.
    dtype
        Of the stored weights. Half precision halves the file; loading gives float32 again.

    Raises
    ------
    ValueError
        When the model lacks a vocabulary or labels, or `folder` is in use for something else.
    """
    if model.vocabulary is None or model.label_space is None:
        raise ValueError("the model has no vocabulary or label space: set model.vocabulary and model.label_space")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / WEIGHTS).is_file():
        raise ValueError(f"{folder} exists and holds no model: choose another folder, it will not be overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        temporary = Path(name) / "model"
        temporary.mkdir()
        weights = {
            key: (value.to(dtype) if value.is_floating_point() else value).contiguous().clone()
            for key, value in model.state_dict().items()
        }
        save_file(weights, temporary / WEIGHTS)
        (temporary / CONFIG).write_text(json.dumps(model.config.to_dict(), indent=1), encoding="utf-8")
        shutil.copymode(temporary / CONFIG, temporary / WEIGHTS)  # safetensors makes files that only the owner can read
        model.vocabulary.save(temporary / GENES)
        model.label_space.save(temporary / LABELS)
        (temporary / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(name) / "old")
        shutil.move(temporary, folder)


def load_folder(folder: Path | str) -> ScPrint:
    """Read what `save_folder` wrote; float32, on the CPU, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        When a file of the model is missing.
    ValueError
        When the files are damaged or do not belong together.
    """
    folder = Path(folder)
    missing = [name for name in (WEIGHTS, CONFIG, GENES, LABELS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a model folder: it lacks {', '.join(missing)}")
    config = ModelConfig.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    vocabulary, labels = GeneVocabulary.load(folder / GENES), LabelSpace.load(folder / LABELS)
    if len(vocabulary) != config.n_genes or labels.sizes != config.class_sizes:
        raise ValueError(
            f"{folder} is inconsistent: the config has {config.n_genes} genes and classes {config.class_sizes}, "
            f"its tables {len(vocabulary)} genes and {labels.sizes}"
        )
    try:
        weights = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged: {error}") from error
    model = ScPrint(
        config, gene_positions=torch.tensor(vocabulary.locations), gene_rows=weights.get("gene_encoder.rows")
    )
    try:
        model.load_state_dict(
            {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
        )
    except RuntimeError as error:
        raise ValueError(f"the weights in {folder} do not fit its config: {error}") from error
    model.vocabulary, model.label_space = vocabulary, labels
    card = json.loads((folder / CARD).read_text(encoding="utf-8")) if (folder / CARD).is_file() else {}
    model.context = card.get("context")
    return model.eval()
