"""Keep what a fine-tuning changed as one small file, beside the model that it was made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grnndata import atomic_path
from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.checkpoints.identity import identity, set_origin
from scprint_model.checkpoints.published import sha256_of
from scprint_model.finetuning.extend import extend, use_all_tokens
from scprint_model.finetuning.low_rank import add_low_rank, low_rank_parts, merge_low_rank
from scprint_model.model import ScPrint
from scprint_model.tables import tables

ADAPTER = "adapter.safetensors"
#: Buffers that follow from the vocabulary.
_DERIVED = ("gene_encoder.rows", "position_encoder.table")
_TABLE = "gene_encoder.table.weight"
_UP, _DOWN = ".low_rank.up", ".low_rank.down"
_MARK = ".parametrizations.weight."


def fingerprint(model: ScPrint) -> str:
    """Return a checksum (SHA-256) of a model: its weights, options, genes and labels."""
    if any(True for _ in low_rank_parts(model)):
        raise ValueError("the model has low-rank parts: call merge_low_rank first, or take the base model")
    digest = hashlib.sha256(json.dumps(model.config.to_dict(), sort_keys=True).encode())
    vocabulary, labels = tables(model)
    digest.update("\n".join(vocabulary.ids).encode())
    digest.update(json.dumps({name: one.leaves + one.parents for name, one in labels.classes.items()}).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_adapter(model: ScPrint, path: Path | str, *, base: ScPrint, name: str | None = None) -> None:
    """Write what `model` has beyond `base`.

    Parameters
    ----------
    model
        Model of `finetune`, with its low-rank parts still apart (``merge=False``) where it has any.
    path
        The file, ``.safetensors``.
    base
        The model that was fine-tuned.
    name
        Name under which `ScPrint.from_pretrained` opens `base`, for `load_adapter` to find it.

    Raises
    ------
    ValueError
        When `model` was not made from `base`.
    """
    vocabulary, labels = tables(model)
    old_vocabulary, old_labels = tables(base)
    n_old, n_table = len(old_vocabulary), len(base.gene_encoder.table.weight)
    same_classes = list(model.config.class_sizes)[: len(base.config.class_sizes)] == list(base.config.class_sizes)
    if vocabulary.ids[:n_old] != old_vocabulary.ids or not same_classes:
        raise ValueError("the model's genes or classes are not those of the base with others behind: wrong base")
    known = base.state_dict()
    tensors: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if key in _DERIVED or (_MARK in key and not key.endswith(".original")):
            continue
        plain = key.replace(f"{_MARK}original", ".weight")
        there = known.get(plain)
        if plain == _TABLE and len(value) > n_table and torch.equal(value[:n_table].cpu(), known[_TABLE].cpu()):
            tensors["new:" + plain] = value[n_table:]
        elif there is None or there.shape != value.shape or not torch.equal(there.cpu(), value.cpu()):
            tensors[plain] = value
    scale: dict[str, Any] = {}
    for part, _, added in low_rank_parts(model):
        tensors[part + _UP], tensors[part + _DOWN] = added.up, added.down
        scale = {"rank": added.down.shape[0], "alpha": added.scale * added.down.shape[0]}
    new = slice(n_old, None)
    content = {
        "base": fingerprint(base),
        "name": name,
        "low_rank": scale,
        "labels": _to_json(labels) if labels is not old_labels else None,
        "all_token_classes": list(model.config.all_token_classes),
        "genes": [list(vocabulary.ids[new]), list(vocabulary.symbols[new]), list(vocabulary.organisms[new])],
        "locations": vocabulary.locations[new].tolist(),
        "card": model.card,
    }
    with atomic_path(path) as temporary:
        save_file(
            {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()},
            temporary,
            metadata={"scprint_adapter": json.dumps(content)},
        )


def load_adapter(path: Path | str, base: ScPrint | Path | str | None = None, *, merge: bool = True) -> ScPrint:
    """Return the fine-tuned model of an adapter file.

    Parameters
    ----------
    path
        The file, or the folder it is in.
    base
        The model that was fine-tuned, or what `ScPrint.from_pretrained` opens as it; None: as the file says.
    merge
        Whether to add low-rank parts to their weights, which gives the same numbers and a plain model.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file is damaged or not an adapter, or `base` is another model than it was made for.
    """
    path = Path(path)
    file = path / ADAPTER if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no adapter {file}")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if "scprint_adapter" not in metadata:
        raise ValueError(f"{file} is no adapter: open a whole model with ScPrint.from_pretrained")
    content = json.loads(metadata["scprint_adapter"])
    if base is None and content["name"] is None:
        raise ValueError(f"{file} does not say where its base model is: give it as base")
    given = content["name"] if base is None else base
    opened_base = given if isinstance(given, ScPrint) else ScPrint.from_pretrained(given)
    found = fingerprint(opened_base)
    if found != content["base"]:
        called = f" ({content['name']})" if content["name"] else ""
        raise ValueError(
            f"{file} was made for the model with checksum {content['base'][:12]}…{called}, but this base has "
            f"{found[:12]}…: give the model that was fine-tuned"
        )
    model = _extended(opened_base, content, tensors.pop("new:" + _TABLE, None))
    use_all_tokens(model, content.get("all_token_classes", []))
    low_rank = {key: tensors.pop(key) for key in list(tensors) if key.endswith((_UP, _DOWN))}
    # what is left replaces weights of the same names
    left_over = model.load_state_dict(tensors, strict=False).unexpected_keys
    if left_over:
        raise ValueError(f"{file} has weights that the model does not have, such as {left_over[:3]}")
    if low_rank:
        names = {key.rsplit(".low_rank.", 1)[0] for key in low_rank}
        add_low_rank(model, **content["low_rank"], projections={name.rsplit(".", 1)[-1] for name in names})
        with torch.no_grad():
            for part, _, added in low_rank_parts(model):
                added.up.copy_(low_rank[part + _UP])
                added.down.copy_(low_rank[part + _DOWN])
        if merge:
            merge_low_rank(model)
    model.card = content["card"]
    set_origin(model, identity(opened_base) | {"adapter": str(path), "adapter_sha256": sha256_of(file)})
    return model.eval()


def _extended(base: ScPrint, content: dict[str, Any], rows: Tensor | None) -> ScPrint:
    vocabulary, labels = tables(base)
    if content["genes"][0]:
        ids, symbols, organisms = (
            tuple(old) + tuple(new)
            for old, new in zip(
                (vocabulary.ids, vocabulary.symbols, vocabulary.organisms), content["genes"], strict=True
            )
        )
        locations = np.concatenate([vocabulary.locations, np.array(content["locations"], dtype=np.int32)])
        vocabulary = GeneVocabulary(ids, symbols, organisms, locations)
        # a gene table of which old rows were trained is stored whole, and replaces these
        rows = torch.zeros(len(content["genes"][0]), base.config.d_model) if rows is None else rows
    if content["labels"] is not None:
        labels = _from_json(content["labels"])
    return extend(base, vocabulary, labels, rows=rows)


def _to_json(labels: LabelSpace) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        labels.save(Path(folder) / "labels.json")
        return json.loads((Path(folder) / "labels.json").read_text(encoding="utf-8"))


def _from_json(values: Any) -> LabelSpace:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "labels.json").write_text(json.dumps(values), encoding="utf-8")
        return LabelSpace.load(Path(folder) / "labels.json")
