"""Files of model repositories on the Hugging Face hub, from its cache where they are there."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from scprint_model.checkpoints.folder import CARD, CONFIG, GENES, LABELS, WEIGHTS
from scprint_model.checkpoints.published import sha256_of

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_SUFFIXES = (".ckpt", ".safetensors", ".pt", ".pth")


def is_hub_id(what: str) -> bool:
    """Whether this may be ``owner/name`` of a repository."""
    return _ID.fullmatch(what) is not None and not what.endswith(_FILE_SUFFIXES)


def fetch(
    repo: str,
    filename: str | None,
    *,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    local_files_only: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Return a file of a repository, or the folder of a model of ours, and where it is from.

    Parameters
    ----------
    repo
        ``owner/name``.
    filename
        A file, such as ``"medium-v1.5.ckpt"``; None: the files that `ScPrint.save_pretrained` writes.
    revision
        Commit, tag or branch; None: the newest. A commit gives the same file for ever.
    cache_dir
        By default the hub's own (``HF_HOME``).
    local_files_only
        Do not use the network; so does ``HF_HUB_OFFLINE=1``.

    Raises
    ------
    FileNotFoundError
        When there is no such repository, revision or file, or it is not in the cache and there is no network.
    ValueError
        When the file does not have the checksum under which the hub keeps it.
    """

    def download(name: str) -> Path:
        return _download(repo, name, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)

    if filename is not None:
        path = download(filename)
    else:
        for name in (CONFIG, GENES, LABELS, WEIGHTS):
            path = download(name)
        try:
            download(CARD)
        except FileNotFoundError:
            logger.info("%s has no %s", repo, CARD)
    digest = sha256_of(path)
    blob = path.resolve().name
    if _SHA256.fullmatch(blob) and blob != digest:
        raise ValueError(
            f"{path} is damaged: its SHA-256 is {digest}, the hub's {blob}. Delete {path.resolve()} and try again"
        )
    commit = _commit(path)
    logger.info("%s of %s at revision %s, SHA-256 %s", path.name, repo, commit, digest)
    source = {"repo": repo, "revision": commit, "file": filename or WEIGHTS, "sha256": digest}
    return (path if filename is not None else path.parent), source


def _commit(path: Path) -> str:
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else "unknown"


def _download(
    repo: str, name: str, *, revision: str | None, cache_dir: Path | str | None, local_files_only: bool
) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(repo, name, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        )
    except Exception as error:  # the hub's errors are of many kinds, of the network library's too
        kind = type(error).__name__
        reason = str(error).strip().split("\n")[0]
        hint = (
            "give the name of a file in it, as filename='medium-v1.5.ckpt'"
            if name == CONFIG
            else "check names and network; files that were fetched before are found without one"
        )
        at = f" at revision {revision}" if revision else ""
        raise FileNotFoundError(
            f"{name} of {repo}{at} is neither here nor could it be fetched ({kind}: {reason}): {hint}"
        ) from error
