"""Folders that keep what a long job has finished, so that the job goes on where it was interrupted."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grnndata import atomic_path

#: File in the folder that says which job its other files belong to.
JOB = "job.json"


def claim_folder(folder: Path, job: Mapping[str, Any]) -> None:
    """Make a folder for a job, or find that it belongs to the same job.

    Parameters
    ----------
    folder
        Folder of the job's finished parts, made if it is not there.
    job
        Values that decide on the result, as JSON can hold them.

    Raises
    ------
    ValueError
        When the folder holds parts of another job, or other files.
    """
    file, told = folder / JOB, json.loads(json.dumps(dict(job)))
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        differs = sorted(key for key in told.keys() | before.keys() if told.get(key) != before.get(key))
        if differs:
            changes = ", ".join(
                f"{key}: {reprlib.repr(before.get(key))}, now {reprlib.repr(told.get(key))}" for key in differs
            )
            raise ValueError(
                f"{folder} holds the beginning of another run ({changes}): repeat that one, choose another place, or "
                "delete the folder"
            )
    elif folder.exists() and any(folder.glob("[!.]*")):
        raise ValueError(f"{folder} is in use for something else: choose an empty folder")
    else:
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")
