"""Whatever holds a model: the bundled one, a folder, a file of ours, a published checkpoint, a hub repository."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open

from scprint_model.checkpoints.folder import (
    CARD,
    CONFIG,
    GENES,
    LABELS,
    WEIGHTS,
    facts,
    load_folder,
    read_tables,
    save_folder,
)
from scprint_model.checkpoints.identity import set_origin
from scprint_model.checkpoints.label_confidence import CONFIDENCE
from scprint_model.checkpoints.published import read_published, seal, sha256_of
from scprint_model.checkpoints.standardisation import EMBEDDING
from scprint_model.checkpoints.weights import StoredNetwork

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Endings of files with weights.
MODEL_SUFFIXES = (".ckpt", ".safetensors", ".pt", ".pth")


def is_hub_id(what: str) -> bool:
    """Tell whether this may be ``owner/name`` of a repository."""
    return _ID.fullmatch(what) is not None and not what.endswith(MODEL_SUFFIXES)


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
        When the repository, revision or file does not exist, or is not in the cache and the network cannot be reached.
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
        for name in (CARD, EMBEDDING, CONFIDENCE):
            try:
                download(name)
            except FileNotFoundError:
                logger.info("%s has no %s", repo, name)
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


@dataclass(frozen=True)
class Located:
    """Place of a model.

    Attributes
    ----------
    path
        A folder or a file.
    source
        Repository, revision and checksum, if it is from the hub.
    """

    path: Path
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether these are weights as this package writes them."""
        return self.path.is_dir() or self.path.suffix == ".safetensors"


def locate(
    name_or_path: Path | str,
    *,
    filename: str | None = None,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    local_files_only: bool = False,
) -> Located:
    """Find a model; see `Pretrained.from_pretrained`."""
    if str(name_or_path) == "bundled" and not Path(name_or_path).exists():
        from scprint_model.pretrained import bundled_folder

        path = bundled_folder()
    else:
        path = Path(name_or_path).expanduser()
    if path.exists():
        if revision is not None:
            raise ValueError(f"revision={revision!r} is of hub repositories, and {name_or_path} is on this machine")
        if filename is not None:
            path = path / filename
            if not path.is_file():
                raise FileNotFoundError(f"{name_or_path} has no file {filename}")
        return Located(path)
    if not is_hub_id(str(name_or_path)):
        raise FileNotFoundError(
            f"there is no {name_or_path}: give 'bundled', a folder, a file, or a hub repository such as "
            "'jkobject/scPRINT' with filename='medium-v1.5.ckpt'"
        )
    return Located(
        *fetch(str(name_or_path), filename, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
    )


class Pretrained(StoredNetwork):
    """A network that is loaded from files, and written to them."""

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: Path | str = "bundled",
        *,
        filename: str | None = None,
        revision: str | None = None,
        cache_dir: Path | str | None = None,
        local_files_only: bool = False,
        unsafe: bool = False,
    ) -> Self:
        """Load a trained model, float32, on the CPU, in evaluation mode.

        Parameters
        ----------
        name_or_path
            - ``"bundled"``: the small model that comes with the package;
            - a folder that `save_pretrained` wrote, or the ``.safetensors`` in it;
            - a published Lightning ``.ckpt`` of scPRINT (families A and B: small-v1, medium-v1, large-v1, medium-v1.5);
            - a repository on the Hugging Face hub, such as ``"jkobject/scPRINT"``.
        filename
            Name of the file in that repository or folder, such as ``"medium-v1.5.ckpt"``.
        revision
            Commit, tag or branch of the repository.
        cache_dir
            Folder of the hub's files; by default the hub's own (``HF_HOME``).
        local_files_only
            Whether to do without the network, as with ``HF_HUB_OFFLINE=1``.
        unsafe
            Whether to unpickle a ``.ckpt`` in full where it holds more than plain values, which runs whatever code it
            carries. Only for files whose author you trust. By default nothing in a file can run.

        Returns
        -------
        ScPrint
            The network with its `vocabulary`, `label_space` and `card`.

        Raises
        ------
        FileNotFoundError
            When there is nothing of that name.
        ValueError
            When the file is refused, damaged, or of a network that is not supported.
        """
        found = locate(
            name_or_path, filename=filename, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
        )
        if found.is_ours:
            model = load_folder(found.path, cls)
            if found.source:
                model.card = dict(model.card) | {"fetched": found.source}
        else:
            checkpoint = read_published(found.path, unsafe=unsafe)
            card = checkpoint.card(sha256=found.source.get("sha256"))
            card["source"] |= found.source
            model = checkpoint.model(cls, card=card)
        file = found.path / WEIGHTS if found.path.is_dir() else found.path
        digest = found.source.get("sha256") or sha256_of(file)
        commit = found.source.get("revision")
        set_origin(model, {"name": str(name_or_path), "sha256": digest, "filename": filename, "revision": commit})
        tokens = ", ".join(model.config.token_names)
        logger.info("%s: %d genes, tokens %s", found.path.name, model.config.n_genes, tokens)
        return model

    def save_pretrained(
        self, folder: Path | str, *, card: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        """Write the model as a folder: safetensors, config, gene vocabulary, label space, and a model card.

        Parameters
        ----------
        folder
            Folder to make, or to replace as a whole if it holds a model already.
        card
            JSON-able facts to add to the model's `card`, or to replace there.
        dtype
            Number format of the stored weights: `torch.float32`, or `torch.bfloat16` or `torch.float16` at half the
            size. Loading gives float32 again.

        Raises
        ------
        ValueError
            When the model lacks a vocabulary or labels, `folder` is in use for something else, or a weight does not fit
            `dtype`.
        """
        context = {} if self.context is None else {"context": self.context}
        save_folder(self, folder, card=seal(self.card) | context | dict(card or {}), dtype=dtype)


def describe(
    name_or_path: Path | str = "bundled",
    *,
    filename: str | None = None,
    revision: str | None = None,
    cache_dir: Path | str | None = None,
    local_files_only: bool = False,
    unsafe: bool = False,
) -> dict[str, Any]:
    """Return what is known of a model without reading its weights; parameters as for `Pretrained.from_pretrained`.

    Returns
    -------
    dict
        ``path``, ``sha256`` (of the file with the weights), and what `scprint_model.checkpoints.folder.facts` gives.
    """
    found = locate(
        name_or_path, filename=filename, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only
    )
    if not found.is_ours:
        checkpoint = read_published(found.path, unsafe=unsafe)
        digest = found.source.get("sha256") or sha256_of(found.path)
        card = checkpoint.card(sha256=digest)
        card["source"] |= found.source
        n = sum(weight.numel() for weight in checkpoint.weights.values())
        known = facts(checkpoint.config, checkpoint.vocabulary, checkpoint.labels, n, card)
        return {"path": str(found.path), "sha256": digest} | known
    weights = found.path / WEIGHTS if found.path.is_dir() else found.path
    config, vocabulary, labels, card = read_tables(weights.parent)
    try:
        with safe_open(weights, framework="pt") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged: {error}") from error
    n = sum(map(math.prod, shapes))
    digest = found.source.get("sha256") or sha256_of(weights)
    return {"path": str(found.path), "sha256": digest} | facts(config, vocabulary, labels, n, card)
