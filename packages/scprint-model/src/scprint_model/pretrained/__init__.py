"""The small model that comes with the package; its card says what it was trained on and how well it does."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled_folder() -> Path:
    """Return the folder of the bundled model.

    Raises
    ------
    FileNotFoundError
        When the package was installed without its data files.
    """
    folder = Path(str(files("scprint_model") / "pretrained" / "bundled"))
    if not folder.is_dir():
        raise FileNotFoundError(f"the bundled model is missing at {folder}: reinstall scprint-model")
    return folder
