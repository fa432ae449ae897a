"""A command of ``scprint`` as a function: its parameters, and those of the task that it calls, are the options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from anndata import AnnData
from jsonargparse import Namespace

from scdataloader.expression import CountsChoice
from scprint_model._command_line import check_output
from scprint_model._command_options import Parser
from scprint_model._provenance import Step, beside, in_uns, step, steps_of, write
from scprint_model._wording import listed

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class TaskCommand:
    """A function that a command runs, and where its options and their help come from.

    Attributes
    ----------
    function
        Function with types and a docstring; what it takes as ``**options`` it hands to `task`.
    task
        Task whose parameters with names are further options.
    filled
        Names of parameters of the task that the function fills in.
    reads_cells
        Whether the function takes a `choice` of the raw counts of a file, whose fields are options.
    """

    function: Callable[..., str | int]
    task: Callable[..., object] | None = None
    filled: tuple[str, ...] = ()
    reads_cells: bool = False

    def add_options(self, parser: Parser) -> None:
        """Add the options of the function and of its task, and what the docstring says beyond its first line."""
        about = (inspect.getdoc(self.function) or "").partition("\nParameters\n---")[0].partition("\n\n")[2]
        parser.description = re.sub(r"`+", "", " ".join(about.split())) or None
        parser.add_options(self.function, skip=["choice"])
        chosen = {field.name for field in fields(CountsChoice)} if self.reads_cells else set()
        if self.reads_cells:
            parser.add_options(CountsChoice)
        if self.task is not None:
            own = set(inspect.signature(self.function).parameters)
            told = inspect.signature(self.task).parameters.values()
            places = {parameter.name for parameter in told if parameter.kind is not parameter.KEYWORD_ONLY}
            parser.add_options(self.task, skip={*own, *places, *chosen, *self.filled})

    def __call__(self, args: Namespace) -> str | int:
        """Run the function; returns what to print, or the exit status."""
        given = args.as_dict()
        if self.reads_cells:
            given["choice"] = CountsChoice(**{field.name: given.pop(field.name) for field in fields(CountsChoice)})
        return self.function(**given)


def check_device(device: str | None) -> None:
    """Raise, before any work, where a GPU is asked for that is not there.

    Raises
    ------
    RuntimeError
        When the device is a GPU of NVIDIA, and PyTorch finds none.
    """
    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f"PyTorch {torch.__version__} finds no NVIDIA card or driver")


def check_before(device: str, input: Path, *outputs: Path | None) -> None:  # noqa: A002
    """Raise, before any work, where an output could not be written, or the device is not there."""
    for path in outputs:
        if path is not None:
            check_output(path, input)
    check_device(device)


def lines(path: Path, what: str) -> list[str]:
    """Return the names in a file with one name a line.

    Raises
    ------
    ValueError
        When the file does not exist, or has no name in it.
    """
    if not path.is_file():
        raise ValueError(f"{what}={str(path)!r} is no file with one name a line, nor another choice that there is")
    # blanks end a name, but not that of a regulon, as in "CRX (27g)"
    text = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    names = [name for line in text for name in ([line] if line.endswith(")") else line.split())]
    if not names:
        raise ValueError(f"{path} names no {what}")
    return names


def cells_where(adata: AnnData, where: str) -> np.ndarray:
    """Return the positions of the cells with ``column=value``.

    Raises
    ------
    ValueError
        When obs lacks the column, or no cell has that value.
    """
    column, equals, value = where.partition("=")
    if not equals or column not in adata.obs:
        raise ValueError(
            f"{where!r} must be column=value, with a column of obs, which has [{listed(adata.obs.columns)}]"
        )
    at = np.flatnonzero(adata.obs[column].astype(str).to_numpy() == value)
    if not len(at):
        there = listed(adata.obs[column].dropna().astype(str).value_counts().index, 8)
        raise ValueError(f"no cell has {column} = {value!r}; there are [{there}]")
    return at


def cells_of(adata: AnnData, where: str) -> AnnData:
    """Return the cells with ``column=value``, a view whose record tells so; raises as `cells_where`."""
    at, before = cells_where(adata, where), dict(adata.uns)
    adata.uns = before | in_uns([*steps_of(before), step(cells_of, {"where": where})])
    chosen = adata[at]  # has uns of its own: changing those of a view would read its counts
    adata.uns = before
    return chosen


def told_beside(steps: Sequence[Step], *paths: Path) -> str:
    """Write what made tables beside them, and return where."""
    for path in paths:
        write(beside(path), steps)
    return f"what made {'it' if len(paths) == 1 else 'them'}: {', '.join(str(beside(path)) for path in paths)}"


def options_beside(task: Callable[..., Any], given: dict[str, Any]) -> list[str]:
    """Return the names of options that are given and are not as the task has them by itself."""
    defaults = inspect.signature(task).parameters
    return [name for name, value in given.items() if value != defaults[name].default]
