"""The model card: what a folder of weights is, for people (README.md) and for programs (card.json)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.config import ModelConfig


def facts(
    config: ModelConfig, vocabulary: GeneVocabulary, labels: LabelSpace, n_weights: int, card: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that is known of a model, JSON-able.

    Parameters
    ----------
    config, vocabulary, labels
        Of the model.
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
        if name not in ("source", "training", "options", "dropped", "data_sets")
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
