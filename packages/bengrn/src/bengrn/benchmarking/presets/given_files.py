"""Files of the user's folder, by name: found in any form in which cells are read, or asked for with their source."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_SUFFIXES = (".h5ad", ".zarr", ".h5", ".loom")


@dataclass(frozen=True)
class Wanted:
    """A file that a preset needs.

    Attributes
    ----------
    what
        Words for what it holds.
    where
        Place to get it.
    """

    what: str
    where: str


def folder_of(preset: str, data: Path | None, wanted: Mapping[str, Wanted]) -> Path:
    """Return the folder of the user's files.

    Raises
    ------
    FileNotFoundError
        If none is named, or the folder does not exist; the message says what belongs in it.
    """
    if data is None or not data.is_dir():
        why = "name the folder of its data (--data FOLDER)" if data is None else f"there is no folder {data}"
        raise FileNotFoundError(f"the preset {preset} runs on files of yours: {why}. It should hold\n{told(wanted)}")
    return data


def find_files(preset: str, data: Path | None, wanted: Mapping[str, Wanted]) -> dict[str, Path]:
    """Find files by name, whatever their form.

    Parameters
    ----------
    preset
        Name of the preset, for messages.
    data
        Folder that the user names.
    wanted
        Files that are looked for, by the name without suffix.

    Returns
    -------
    dict
        Path of each, an h5ad where there are several forms.

    Raises
    ------
    FileNotFoundError
        If one or more are not there; the message lists all of them, with where each is got.
    """
    folder = folder_of(preset, data, wanted)
    found = {name: path for name in wanted for path in [file_of(folder, name)] if path is not None}
    missing = {name: one for name, one in wanted.items() if name not in found}
    if missing:
        raise FileNotFoundError(f"the preset {preset} lacks {len(missing)} of its files in {folder}:\n{told(missing)}")
    return found


def file_of(folder: Path, name: str) -> Path | None:
    """Return the file of cells with a name, in the first of the forms that are read; None where there is none."""
    return next((folder / f"{name}{suffix}" for suffix in _SUFFIXES if (folder / f"{name}{suffix}").exists()), None)


def with_installed_methods(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the methods of a preset that cannot be had here, and tell which and why.

    Methods that are not installed are left out, and those whose extra or weights are missing.
    """
    from bengrn.registry import get_method

    kept = []
    for name in values["methods"]:
        try:
            get_method(name)
        except (ImportError, TypeError, ValueError, FileNotFoundError) as error:
            logger.warning("the method %s is left out: %s", name, error)
        else:
            kept.append(name)
    return {**values, "methods": kept}


def told(wanted: Mapping[str, Wanted]) -> str:
    """Return the files, one a line, with what each holds and where it is got; names without suffix are of cells."""
    return "\n".join(
        f"  {name if Path(name).suffix else name + _SUFFIXES[0]}: {one.what}; from {one.where}"
        for name, one in wanted.items()
    )
