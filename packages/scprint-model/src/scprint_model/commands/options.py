"""Words of the command line as parameters of functions, whose docstrings are the help."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
from anndata import AnnData

_TYPE = re.compile(r"\s*\((required, )?type: .*?(?:, default: ([^()]*(?:\([^()]*\))?[^()]*))?\)\Z", re.DOTALL)


class _PlainHelp(jsonargparse.DefaultHelpFormatter):
    """Shows what a docstring says of an option and its default, without Python's types and marks."""

    def _expand_help(self, action: Any) -> str:
        text = super()._expand_help(action).replace("``", "").replace("`", "")
        if match := _TYPE.search(text):
            default = match[2]
            text = text[: match.start()] + ("" if default in (None, "null") else f" (default: {default})")
        return text.strip()


def call(function: Callable[..., Any], words: Sequence[str], command: str, *, as_positional: bool = True) -> Any:
    """Return what a function gives for the words behind a subcommand.

    The function's parameters are the options, and those of what it passes its ``**options`` to. ``--batch-size`` and
    ``--batch_size`` are the same, and a switch that is off needs no value.

    Parameters
    ----------
    function
        Function with type hints and a numpy-style docstring, which is the help.
    words
        Words of the command line behind the subcommand.
    command
        Name of the subcommand.
    as_positional
        Whether parameters without a default are told by their place.
    """
    about = (function.__doc__ or "").split("\n    Parameters\n")[0].replace("``", "")
    parser = jsonargparse.ArgumentParser(
        prog=f"scprint {command}", description=about, formatter_class=_PlainHelp, exit_on_error=True
    )
    parser.add_argument("--config", action="config", help="File with options, as YAML.")
    parser.add_function_arguments(function, as_positional=as_positional, as_group=False)
    switches = {f"--{name}" for name, value in vars(parser.get_defaults()).items() if value is False}
    arguments = []
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = name.replace("-", "_").replace("__", "--", 1)
        arguments.append(f"{name}=true" if name in switches and not equals else f"{name}{equals}{value}")
    given = parser.parse_args(arguments).as_dict()
    given.pop("config")
    return function(**given)


def lines(path: Path, what: str) -> list[str]:
    """Return the names in a file with one name a line.

    Raises
    ------
    ValueError
        When the file does not exist, or has no name in it.
    """
    if not path.is_file():
        raise ValueError(f"{what}={str(path)!r} is no file with one name a line, nor another choice that there is")
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise ValueError(f"{path} names no {what}")
    return names


def words_of(values: str | list[str]) -> list[str]:
    """Return words that are joined by commas, or a list as it is."""
    return values if isinstance(values, list) else [word for word in values.split(",") if word]


def cells_where(adata: AnnData, where: str) -> np.ndarray:
    """Return the positions of the cells with ``column=value``.

    Raises
    ------
    ValueError
        When obs lacks the column, or no cell has that value.
    """
    column, equals, value = where.partition("=")
    if not equals or column not in adata.obs:
        raise ValueError(f"{where!r} must be column=value, with a column of obs, which has {list(adata.obs.columns)}")
    at = np.flatnonzero(adata.obs[column].astype(str).to_numpy() == value)
    if not len(at):
        there = adata.obs[column].astype(str).value_counts().index[:8].tolist()
        raise ValueError(f"no cell has {column} = {value!r}; there are {there}")
    return at
