"""``scprint convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from scprint_model.checkpoints.folder import WEIGHTS, save_folder
from scprint_model.checkpoints.open import locate
from scprint_model.checkpoints.published import read_published, sha256_of
from scprint_model.commands.call import call, say


def convert(
    checkpoint: str,
    out: Path,
    *,
    filename: str | None = None,
    revision: str | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    unsafe: bool = False,
) -> str:
    """Turn a published checkpoint into a model folder; the checkpoint is not changed.

    Parameters
    ----------
    checkpoint
        A published .ckpt, or a hub repository such as jkobject/scPRINT.
    out
        Folder to make; a model in it is replaced, anything else is left alone.
    filename
        The file in that repository.
    revision
        Commit, tag or branch of the repository.
    dtype
        Of the stored weights: half precision halves the file.
    unsafe
        Unpickle in full a file that is refused; this runs whatever code it carries.
    """
    found = locate(checkpoint, filename=filename, revision=revision)
    if found.is_ours:
        raise ValueError(f"{found.path} is in the format of this package already: there is nothing to convert")
    opened = read_published(found.path, unsafe=unsafe)
    card = opened.card(sha256=found.source.get("sha256") or sha256_of(found.path))
    card["source"] |= found.source
    model = opened.model(card=card)
    save_folder(model, out, card=card, dtype=getattr(torch, dtype))
    size = (out / WEIGHTS).stat().st_size
    return f"{out}: {sum(p.numel() for p in model.parameters()):,} weights, {size / 1e6:.1f} MB, from {card['source']}"


def run(arguments: list[str]) -> int:
    """Convert, and say what was made."""
    return say(call(convert, arguments, "convert"))
