"""Benchmarks by name: a configuration that comes with the package, and a function that finds its data."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bengrn.benchmarking.located_yaml import Section, near, read_yaml

_FOLDER = Path(__file__).parent / "presets"


def list_presets() -> dict[str, str]:
    """List the presets: name → what its first line says of it."""
    return {path.stem: _about(path) for path in sorted(_FOLDER.glob("*.yaml"))}


def load_preset(name: str, data: Path | str | None = None) -> Section:
    """Load the configuration of a preset, with the paths of its data.

    A preset is a file ``presets/NAME.yaml``. Where its data do not come with the package, a module ``presets/NAME.py``
    (``_`` for ``-``) has a function ``resolve(values, data)``, which takes the mapping of the file and the folder that
    the user names, and returns the mapping with paths filled in. It fetches what may be fetched, and raises
    FileNotFoundError that says which files to put where for the rest.

    Parameters
    ----------
    name
        One of :func:`list_presets`.
    data
        Folder with data of the user's, for presets whose data are not fetched.

    Raises
    ------
    ValueError
        If the preset does not exist, or takes no folder of data.
    FileNotFoundError
        If its data are not there.
    """
    names = list_presets()
    key = name.strip().lower().replace("_", "-")
    if key not in names:
        raise ValueError(f"there is no preset {name!r}{near(key, list(names))}")
    read = read_yaml(_FOLDER / f"{key}.yaml")
    module = f"bengrn.benchmarking.presets.{key.replace('-', '_')}"
    if find_spec(module) is None:
        if data is not None:
            raise ValueError(f"the preset {key} comes with its data: leave the folder {data} out")
        return read
    values: Any = import_module(module).resolve(dict(read.values), None if data is None else Path(data))
    return Section(values, (), read.file, read.lines)


def _about(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()
