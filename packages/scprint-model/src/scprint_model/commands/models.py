"""``scprint inspect`` and ``scprint convert``: what a checkpoint holds, and a published one as a model folder."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Literal

import torch

from scprint_model._command_line import check_output, with_folder
from scprint_model._provenance import read, steps_of
from scprint_model._provenance import text as steps_text
from scprint_model.checkpoints.folder import CONFIG, WEIGHTS, find_data_set, save_folder, text
from scprint_model.checkpoints.open import MODEL_SUFFIXES, describe, locate
from scprint_model.checkpoints.published import read_published, sha256_of
from scprint_model.commands.options import TaskCommand
from scprint_model.model import ScPrint


def inspect(
    model: str,
    *,
    filename: str | None = None,
    revision: str | None = None,
    find: str | None = None,
    json: bool = False,
    unsafe: bool = False,
) -> int:
    """Show what made a file, or what a checkpoint holds.

    Of a checkpoint the weights are not read.

    Parameters
    ----------
    model
        File or folder that was made by a command (h5ad, zarr, json, html, a table), or model to show: bundled, a model
        folder, a published .ckpt, or a hub repository such as jkobject/scPRINT.
    filename
        Name of the file in that repository or folder.
    revision
        Commit, tag or branch of the repository.
    find
        Data set to look for among those the model was trained on; the exit status is 1 when it is not there.
    json
        Whether to print JSON.
    unsafe
        Whether to unpickle in full a .ckpt that is refused; this runs whatever code it carries.
    """
    if filename is None and find is None and _is_output(Path(model)):
        steps = read(model)
        sys.stdout.write((json_format.dumps(steps, indent=1) if json else steps_text(steps)) + "\n")
        return 0
    known = describe(model, filename=filename, revision=revision, unsafe=unsafe)
    if find is not None:
        found = find_data_set(known["card"], find)
        listed = "\n".join(found) if found else f"{find!r} is not among its {len(known['card']['data_sets'])} data sets"
        sys.stdout.write((json_format.dumps(found) if json else listed) + "\n")
        return 0 if found else 1
    shown = (
        json_format.dumps(known, indent=1) + "\n"
        if json
        else f"{known['path']}\n- SHA-256 {known['sha256']}\n{text(known)}"
    )
    if not json and (steps := steps_of(known["card"])):
        shown += f"what made it\n{steps_text(steps)}\n"
    sys.stdout.write(shown)
    return 0


def _is_output(path: Path) -> bool:
    """Return whether there is a file or folder that is not a model."""
    if path.is_dir():
        return not any((path / name).is_file() for name in (WEIGHTS, CONFIG))
    return path.is_file() and path.suffix not in MODEL_SUFFIXES


def convert(
    checkpoint: str,
    out: Path,
    *,
    filename: str | None = None,
    revision: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    unsafe: bool = False,
) -> str:
    """Turn a published checkpoint into a model folder.

    The checkpoint is not changed.

    Parameters
    ----------
    checkpoint
        Checkpoint to convert: a published .ckpt, or a hub repository such as jkobject/scPRINT.
    out
        Folder to make; a model in it is replaced, anything else is left alone.
    filename
        Name of the file in that repository.
    revision
        Commit, tag or branch of the repository.
    dtype
        Number format of the stored weights: half precision halves the file.
    unsafe
        Whether to unpickle in full a file that is refused; this runs whatever code it carries.
    """
    check_output(out, is_folder=True)
    found = locate(checkpoint, filename=filename, revision=revision)
    if found.is_ours:
        raise ValueError(f"{found.path} is in the format of this package already: there is nothing to convert")
    opened = read_published(found.path, unsafe=unsafe)
    card = opened.card(sha256=found.source.get("sha256") or sha256_of(found.path))
    card["source"] |= found.source
    model = opened.model(ScPrint, card=card)
    save_folder(model, with_folder(out), card=card, dtype=getattr(torch, dtype))
    size = (out / WEIGHTS).stat().st_size
    return f"{out}: {sum(p.numel() for p in model.parameters()):,} weights, {size / 1e6:.1f} MB, from {card['source']}"


COMMANDS = {"inspect": TaskCommand(inspect), "convert": TaskCommand(convert)}
