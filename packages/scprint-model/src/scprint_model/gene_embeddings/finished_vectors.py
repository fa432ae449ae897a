"""Vectors of proteins that are finished, kept so that a run that was stopped continues."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from grnndata import atomic_path
from scprint_model.job_folder import JOB, claim_folder

logger = logging.getLogger(__name__)


class FinishedVectors:
    """A folder of vectors by number.

    Parameters
    ----------
    folder
        Made if it is not there.
    job
        All that decides on the vectors, JSON-able; a folder of another job is refused.

    Raises
    ------
    ValueError
        When the folder holds another job, or something else.
    """

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        self.folder = folder
        claim_folder(folder, job)

    def load(self, vectors: np.ndarray) -> np.ndarray:
        """Fill the rows that are there into `vectors` (n, width); returns which, (n,) bool. Damaged parts are dropped.

        Rows are float32.
        """
        there = np.zeros(len(vectors), dtype=bool)
        for path in sorted(self.folder.glob("part-*.npz")):
            try:
                with np.load(path) as part:
                    index, rows = part["index"], part["rows"]
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                logger.warning("%s is damaged and made anew: %s", path, error)
                path.unlink()
                continue
            vectors[index] = rows
            there[index] = True
        return there

    def add(self, index: np.ndarray, rows: np.ndarray) -> None:
        """Keep rows; a part is written whole or not at all."""
        with atomic_path(self.folder / f"part-{index[0]:08d}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, index=index, rows=rows)

    def remove(self) -> None:
        """Delete the parts, when the result is written, and the folder where nothing else lies in it."""
        for path in [*self.folder.glob("part-*.npz"), self.folder / JOB]:
            path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
