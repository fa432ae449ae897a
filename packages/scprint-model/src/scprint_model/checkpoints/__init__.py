"""Where weights are kept: a folder of safetensors, JSON and parquet, nothing that can run code."""

from scprint_model.checkpoints.folder import load_folder, save_folder

__all__ = ["load_folder", "save_folder"]
