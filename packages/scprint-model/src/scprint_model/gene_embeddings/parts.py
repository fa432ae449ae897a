"""Keep what is computed, so that a run that was stopped continues."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from scdataloader.write import atomic

logger = logging.getLogger(__name__)

_JOB = "job.json"


class Parts:
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
        file = folder / _JOB
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            differs = sorted(key for key in job.keys() | before.keys() if job.get(key) != before.get(key))
            if differs:
                changes = ", ".join(f"{key}: {before.get(key)!r}, now {job.get(key)!r}" for key in differs)
                raise ValueError(
                    f"{folder} holds the beginning of another run ({changes}): repeat that one, choose another "
                    "output, or delete the folder"
                )
        elif folder.exists() and any(folder.glob("[!.]*")):
            raise ValueError(f"{folder} is in use for something else: choose another output")
        else:
            with atomic(file) as temporary:
                temporary.write_text(json.dumps(job, indent=1), encoding="utf-8")

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
        with atomic(self.folder / f"part-{index[0]:08d}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, index=index, rows=rows)

    def remove(self) -> None:
        """Delete the folder, when the result is written."""
        shutil.rmtree(self.folder)
