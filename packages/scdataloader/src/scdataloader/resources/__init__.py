"""The files that come with the package: gene tables and an example; README.md says how they were made."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path


def packaged_file(name: str) -> AbstractContextManager[Path]:
    """Give the path of a packaged file, for a ``with`` block."""
    return as_file(files(__package__) / name)
