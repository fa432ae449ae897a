"""Files of weights: a folder of safetensors, JSON and parquet, nothing that can run code; and published files."""

from scprint_model.checkpoints.folder import load_folder, save_folder
from scprint_model.checkpoints.open import describe, open_model, save_model
from scprint_model.checkpoints.published import PublishedCheckpoint, read_published

__all__ = [
    "PublishedCheckpoint",
    "describe",
    "load_folder",
    "open_model",
    "read_published",
    "save_folder",
    "save_model",
]
