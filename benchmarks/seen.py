"""Tell whether a model was trained on the cells of a file."""

from __future__ import annotations

from scprint_model import ScPrint


def seen(model: ScPrint, file: str) -> bool:
    """Return whether the model was trained on a file of this name, or on a part of it, by its own card."""
    return any(str(one).startswith(file) for one in model.card.get("data_sets", ()))
