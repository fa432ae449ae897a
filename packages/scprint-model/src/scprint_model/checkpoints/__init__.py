"""Files of weights: a folder of safetensors, JSON and parquet, nothing that can run code; and published files."""

from scprint_model.checkpoints.folder import load_folder, save_folder
from scprint_model.checkpoints.open import Pretrained, describe
from scprint_model.checkpoints.published import PublishedCheckpoint, read_published

__all__ = [
    "Pretrained",
    "PublishedCheckpoint",
    "describe",
    "load_folder",
    "read_published",
    "save_folder",
]
