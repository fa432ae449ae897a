"""The tables that a trained model brings along beside its weights, and the context where it says none."""

from __future__ import annotations

import logging

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.model import ScPrint

logger = logging.getLogger(__name__)

#: Genes per cell where neither the caller nor the model says: the paper's context.
DEFAULT_CONTEXT = 2200


def tables(model: ScPrint) -> tuple[GeneVocabulary, LabelSpace]:
    """Return the model's vocabulary and label space, or raise ValueError where it has none."""
    if model.vocabulary is None or model.label_space is None:
        raise ValueError("the model has no vocabulary or label space: load it with ScPrint.from_pretrained")
    return model.vocabulary, model.label_space


def tell_context(model: ScPrint, context: int) -> None:
    """Say in the log where the model is to see more genes of a cell than it saw in training."""
    if model.context is not None and context > model.context:
        logger.warning("the model saw at most %d genes of a cell in training, here it sees %d", model.context, context)
