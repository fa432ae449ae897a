"""The record of what made an output of the command line, in it or beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

if TYPE_CHECKING:
    from .core import GRNAnnData

#: Options that are told as inputs, or that say where the result goes.
_PLACES = ("file", "source", "gene_sets", "out")


def record_of(command: str, args: Namespace, inputs: list[str], *networks: GRNAnnData) -> list[dict[str, Any]]:
    """Return what made an output; the inputs say what was guessed and left out when their networks were read."""
    from ._provenance import from_files
    from .read import reading_notes

    steps = from_files(f"grnndata {command}", args.as_dict(), inputs, skip=_PLACES)
    for told, grn in zip(steps[-1]["inputs"], networks, strict=False):
        told |= {"notes": "; ".join(notes)} if (notes := reading_notes(grn)) else {}
    return steps


def place_beside(path: str) -> Path:
    """Return where is told what made a table or a picture, before anything is computed."""
    from ._provenance import beside

    return beside(path)


def told_beside(record: Path | None, steps: list[dict[str, Any]]) -> str:
    """Write what made a file beside it, where it cannot hold that itself, and return where it is."""
    from ._provenance import write

    if record is None:
        return ""
    write(record, steps)
    return f"; what made it: {record}"
