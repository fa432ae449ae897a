"""``scprint inspect``."""

from __future__ import annotations

import json as json_format
import sys

from scprint_model.checkpoints import describe
from scprint_model.checkpoints.folder import find_data_set, text
from scprint_model.commands.call import call


def inspect(
    what: str,
    *,
    filename: str | None = None,
    revision: str | None = None,
    find: str | None = None,
    json: bool = False,
    unsafe: bool = False,
) -> int:
    """Show what a checkpoint holds, without reading its weights.

    Parameters
    ----------
    what
        "bundled", a model folder, a published .ckpt, or a hub repository such as jkobject/scPRINT.
    filename
        The file in that repository or folder.
    revision
        Commit, tag or branch of the repository.
    find
        Look for a data set among those the model was trained on; the exit status is 1 when it is not there.
    json
        Print JSON.
    unsafe
        Unpickle in full a .ckpt that is refused; this runs whatever code it carries.
    """
    known = describe(what, filename=filename, revision=revision, unsafe=unsafe)
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
    sys.stdout.write(shown)
    return 0


def run(arguments: list[str]) -> int:
    """Show what a checkpoint holds."""
    status: int = call(inspect, arguments, "inspect")
    return status
