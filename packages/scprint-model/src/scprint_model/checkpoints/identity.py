"""Name and checksum of a model, by which a result says what made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from scprint_model.checkpoints.weights import StoredNetwork

#: Entry of `StoredNetwork.origin` that tells whether the weights are those that were loaded.
_LOADED = "weights"


def weights_hash(model: StoredNetwork) -> str:
    """Return a SHA-256 of all weights, whatever file they are from, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return digest.hexdigest()


def set_origin(model: StoredNetwork, origin: Mapping[str, Any]) -> None:
    """Note where the weights that a model has now are from.

    Parameters
    ----------
    model
        Model that was loaded.
    origin
        Arguments of `from_pretrained` that load it again, ``name`` the first of them, and ``sha256`` of the file.
    """
    model.origin = {name: value for name, value in origin.items() if value is not None} | {_LOADED: weights_hash(model)}


def identity(model: StoredNetwork) -> dict[str, str]:
    """Return name and SHA-256 of a model: of its file, or of its weights where these are not those of a file.

    Returns
    -------
    dict
        As it was loaded: ``name``, ``sha256`` of the file with the weights, and for files of a repository or folder
        ``filename`` and ``revision``. Else ``name`` is ``"in memory"``, ``weights_sha256`` that of `weights_hash`, and
        ``made_from`` the name of the model it was before it was changed, if it was loaded.
    """
    now = weights_hash(model)
    if model.origin.get(_LOADED) == now:
        return {name: value for name, value in model.origin.items() if name != _LOADED}
    before = {"made_from": model.origin["name"]} if model.origin else {}
    return {"name": "in memory", "weights_sha256": now} | before
