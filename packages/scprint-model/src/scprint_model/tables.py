"""The tables that a trained model brings along beside its weights, and the context where it says none."""

from __future__ import annotations

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.model import ScPrint

#: Genes per cell where neither the caller nor the model says: the paper's context.
DEFAULT_CONTEXT = 2200


def tables(model: ScPrint) -> tuple[GeneVocabulary, LabelSpace]:
    """Return the model's vocabulary and label space, or raise ValueError where it has none."""
    if model.vocabulary is None or model.label_space is None:
        raise ValueError("the model has no vocabulary or label space: load it with ScPrint.from_pretrained")
    return model.vocabulary, model.label_space
