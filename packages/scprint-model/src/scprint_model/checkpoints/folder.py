"""A model as a folder: weights, config, gene vocabulary, label space, and a card that says what it is."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model._provenance import KEY
from scprint_model.checkpoints.label_confidence import CONFIDENCE, load_confidence, save_confidence
from scprint_model.checkpoints.standardisation import EMBEDDING, Standardisation
from scprint_model.checkpoints.weights import StoredNetwork, build, check_finite
from scprint_model.config import ModelConfig

WEIGHTS, CONFIG, GENES, LABELS, CARD, README = (
    "model.safetensors",
    "config.json",
    "genes.parquet",
    "labels.json",
    "card.json",
    "README.md",
)
#: Fingerprints of the cells that the model was trained on, where its maker keeps them; written beside the model.
TRAINING_CELLS = "training_cells.npy"


def save_folder(
    model: StoredNetwork, folder: Path | str, *, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Write a model with its vocabulary and label space as six files; a failure leaves what was there before.

    Mean and spread of its embedding and when its labels are to be trusted, where it has them, are two more. The files
    of a model that is there already are replaced, each as a whole, and the list of the cells that it was trained on
    goes with them. Whatever else lies in the folder stays.

    Parameters
    ----------
    model
        With `vocabulary` and `label_space`.
    folder
        Folder to write to, made if it is not there. One that holds files and no model is refused.
    card
        JSON-able facts for the model card: data, training, scores. ``"context"``, the most genes per cell in training,
        is read again by `load_folder`.
    dtype
        Number format of the stored weights. Half precision halves the file; loading gives float32 again.

    Raises
    ------
    ValueError
        When the model lacks a vocabulary or labels, `folder` is in use for something else, or a weight does not fit
        `dtype`.
    """
    if model.vocabulary is None or model.label_space is None:
        raise ValueError("the model has no vocabulary or label space: set model.vocabulary and model.label_space")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / WEIGHTS).is_file():
        raise ValueError(f"{folder} exists and holds no model: choose another folder, it will not be overwritten")
    weights = {key: _stored(key, value, dtype) for key, value in model.state_dict().items()}
    known = facts(
        model.config, model.vocabulary, model.label_space, sum(value.numel() for value in weights.values()), card
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        temporary = Path(place) / "model"
        temporary.mkdir()
        save_file(weights, temporary / WEIGHTS)
        (temporary / CONFIG).write_text(json.dumps(model.config.to_dict(), indent=1), encoding="utf-8")
        shutil.copymode(temporary / CONFIG, temporary / WEIGHTS)  # safetensors makes files that only the owner can read
        model.vocabulary.save(temporary / GENES)
        model.label_space.save(temporary / LABELS)
        (temporary / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")
        if model.standardisation is not None:
            model.standardisation.save(temporary / EMBEDDING)
        if model.confidence:
            save_confidence(model.confidence, temporary / CONFIDENCE)
        (temporary / README).write_text(readme(folder.name, known), encoding="utf-8")
        if not folder.exists():
            temporary.rename(folder)
            return
        for name in (TRAINING_CELLS, EMBEDDING, CONFIDENCE):
            (folder / name).unlink(missing_ok=True)
        for file in temporary.iterdir():
            file.replace(folder / file.name)


def load_folder[N: StoredNetwork](folder: Path | str, network: Callable[..., N]) -> N:
    """Read what `save_folder` wrote; float32, on the CPU, in evaluation mode.

    Parameters
    ----------
    folder
        The folder, or the ``.safetensors`` in it. Its weights are mapped into memory: replacing the folder is fine,
        writing into the file while the model is in use is not.
    network
        Class of the network to make of it: `scprint_model.ScPrint`.

    Raises
    ------
    FileNotFoundError
        When a file of the model is missing.
    ValueError
        When the files are damaged or do not belong together, or a weight is NaN or infinite.
    """
    path = Path(folder)
    file = path if path.suffix == ".safetensors" and not path.is_dir() else path / WEIGHTS
    config, vocabulary, labels, card = read_tables(file.parent, weights=file.name)
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    model = build(network, config, weights, locations=torch.tensor(vocabulary.locations), what=str(folder))
    model.vocabulary, model.label_space = vocabulary, labels
    model.card, model.context = card, card.get("context")
    if (file.parent / EMBEDDING).is_file():
        shape = (len(config.token_names), config.d_model)
        model.standardisation = Standardisation.load(file.parent / EMBEDDING, shape)
    if (file.parent / CONFIDENCE).is_file():
        model.confidence = load_confidence(
            file.parent / CONFIDENCE, classes=tuple(labels.classes), tokens=config.token_names, d=config.d_model
        )
    return model


def read_tables(
    folder: Path, *, weights: str = WEIGHTS
) -> tuple[ModelConfig, GeneVocabulary, LabelSpace, dict[str, Any]]:
    """Return config, vocabulary, label space and card of a model folder; raises as `load_folder`."""
    missing = [name for name in (weights, CONFIG, GENES, LABELS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a model folder: it lacks {', '.join(missing)}")
    config = ModelConfig.from_dict(_json(folder / CONFIG))
    try:
        vocabulary, labels = GeneVocabulary.load(folder / GENES), LabelSpace.load(folder / LABELS)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"the tables {GENES} and {LABELS} in {folder} cannot be read: {error}") from error
    if len(vocabulary) != config.n_genes or labels.sizes != config.class_sizes:
        raise ValueError(
            f"{folder} is inconsistent: the config has {config.n_genes} genes and classes {config.class_sizes}, "
            f"its tables {len(vocabulary)} genes and {labels.sizes}"
        )
    return config, vocabulary, labels, _json(folder / CARD) if (folder / CARD).is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: it holds a {type(values).__name__}, not named values")
    return values


def _stored(key: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight as it is written: a copy of its own, since safetensors refuses memory that is shared."""
    if not value.is_floating_point():
        return value.detach().cpu().contiguous().clone()
    stored = value.detach().to("cpu", dtype, copy=True).contiguous()
    if stored.numel() and not torch.isfinite(torch.stack(torch.aminmax(stored))).all():
        check_finite({key: value}, "the model")
        largest = float(value.abs().max())
        raise ValueError(
            f"{key} has values up to {largest:.3g}, which {dtype} does not hold: store float32 or bfloat16"
        )
    return stored


def facts(
    config: ModelConfig, vocabulary: GeneVocabulary, labels: LabelSpace, n_weights: int, card: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that is known of a model, JSON-able.

    Parameters
    ----------
    config, vocabulary, labels
        Config, genes and labels of the model.
    n_weights
        Numbers in its state dict.
    card
        ``source``, ``training``, ``options``, ``dropped``, ``data_sets`` and what else its maker wrote down.
    """
    return {
        "weights": n_weights,
        "config": config.to_dict(),
        "tokens": list(config.token_names),
        "genes": dict(Counter(vocabulary.organisms)),
        "labels": {
            name: {"leaves": len(space.leaves), "coarser": len(space.parents), "first": list(space.leaves[:3])}
            for name, space in labels.classes.items()
        },
        "card": dict(card),
    }


def text(known: Mapping[str, Any]) -> str:
    """Return `facts` as lines of plain text (Markdown lists)."""
    config, card = known["config"], known["card"]
    layout = f"{config['n_layers']} layers, {config['n_heads']} heads, width {config['d_model']}"
    if config.get("n_kv_heads"):
        layout += f", {config['n_kv_heads']} key-value heads"
    if config.get("cell_transformer"):
        layout += f", cells in {config['cell_transformer']} cross-attention pairs of their own"
    organisms = ", ".join(f"{n:,} of {organism}" for organism, n in known["genes"].items())
    lines = [
        f"- {known['weights']:,} weights: {layout}",
        f"- {sum(known['genes'].values()):,} genes: {organisms}",
        f"- cell tokens: {', '.join(known['tokens'])}",
        *(
            f"- {name}: {one['leaves']} labels and {one['coarser']} coarser ones"
            for name, one in known["labels"].items()
        ),
    ]
    for name in ("source", "training", "options", "dropped", "data_sets"):
        if value := card.get(name):
            lines += [f"- {name.replace('_', ' ')}: {_inline(value)}"]
    lines += [
        f"- {name.replace('_', ' ')}: {_inline(value)}"
        for name, value in card.items()
        if name not in ("source", "training", "options", "dropped", "data_sets", KEY)
    ]
    return "\n".join(lines) + "\n"


def readme(name: str, known: Mapping[str, Any]) -> str:
    """Return the text of a folder's README.md, with the header that model hubs read."""
    return f"""---
library_name: scprint-model
tags: [single-cell, gene-network, scprint]
---

# {name}

{text(known)}
```python
from scprint_model import ScPrint, infer, tasks

model = ScPrint.from_pretrained("{name}")
embedding = tasks.embed(model, cells)  # raw counts; Ensembl ids or symbols
network = infer(model, cells)
```
"""


def find_data_set(card: Mapping[str, Any], wanted: str) -> list[str]:
    """Return the training data sets of a card whose name holds `wanted`, in any case.

    Raises
    ------
    ValueError
        When the card does not say what the model was trained on.
    """
    if "data_sets" not in card:
        raise ValueError(
            f"the model card lists no training data sets, so it cannot be told whether {wanted!r} was one: published "
            "checkpoints do not carry them"
        )
    return [name for name in map(str, card["data_sets"]) if wanted.lower() in name.lower()]


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inline(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
