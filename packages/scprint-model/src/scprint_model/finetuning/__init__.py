"""Adapting a trained model to new labels, genes, organisms and batches."""

from scprint_model.finetuning.adapter import fingerprint, load_adapter, save_adapter
from scprint_model.finetuning.finetune import finetune
from scprint_model.finetuning.low_rank import LowRank, add_low_rank, merge_low_rank

__all__ = [
    "LowRank",
    "add_low_rank",
    "finetune",
    "fingerprint",
    "load_adapter",
    "merge_low_rank",
    "save_adapter",
]
