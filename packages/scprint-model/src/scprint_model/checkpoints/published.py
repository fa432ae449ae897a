"""A published scPRINT checkpoint: what it is, what of it is used under our names, and the network it makes."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdataloader import GeneVocabulary, LabelSpace
from scprint_model.checkpoints.archive import Archive, open_archive
from scprint_model.checkpoints.published_config import Family, config_of, family_of
from scprint_model.checkpoints.published_tables import labels_of, vocabulary_of
from scprint_model.checkpoints.weights import StoredNetwork, build
from scprint_model.config import ModelConfig

logger = logging.getLogger(__name__)

#: Hyper-parameters that are kept as tables of their own.
_TABLES = ("genes", "gene_pos_enc", "classes", "label_counts", "label_decoders", "labels_hierarchy")
_FAMILY = {"A": "published, family A (v1: scprint 1.x)", "B": "published, family B (v1.5: scprint 2.x)"}
_MAX_TEXT = 200
_MAX_ITEMS = 32


@dataclass(frozen=True)
class PublishedCheckpoint:
    """An opened published checkpoint; the weights are read by `model` only.

    Attributes
    ----------
    archive
        The file.
    family
        ``"A"`` or ``"B"``.
    config, vocabulary, labels
        Of its network.
    weights
        Published name to tensor, those that are used, without data.
    dropped
        Published names that have no part in using the network.
    """

    archive: Archive = field(repr=False)
    family: Family
    config: ModelConfig
    weights: Mapping[str, Tensor] = field(repr=False)
    dropped: tuple[str, ...]

    @cached_property
    def hparams(self) -> Mapping[str, Any]:
        """Hyper-parameters as stored."""
        return self.archive.content["hyper_parameters"]

    @cached_property
    def vocabulary(self) -> GeneVocabulary:
        """Genes, in the order of the network."""
        with _naming(self.archive.path):
            return vocabulary_of(self.hparams, self.config.n_genes)

    @cached_property
    def labels(self) -> LabelSpace:
        """Labels, with the stored codes."""
        with _naming(self.archive.path):
            return labels_of(self.hparams, self.config.class_sizes)

    def card(self, *, sha256: str | None = None) -> dict[str, Any]:
        """Return what the file says of itself, JSON-able."""
        content = self.archive.content
        path = self.archive.path.absolute()
        source: dict[str, Any] = {"file": path.name, "format": _FAMILY[self.family]}
        if sha256:
            source["sha256"] = sha256
        else:  # it takes as long as reading the file: `seal` does it when the card is written
            source |= {"folder": str(path.parent), "modified": path.stat().st_mtime_ns}
        training = {
            name: _plain(content[key])
            for name, key in (("epoch", "epoch"), ("step", "global_step"), ("lightning", "pytorch-lightning_version"))
            if key in content
        }
        options = {str(key): _plain(value) for key, value in self.hparams.items() if key not in _TABLES}
        return {
            "source": source,
            "training": training,
            "options": options,
            "dropped": _groups(self.dropped, self.archive.content["state_dict"]),
        }

    def model[N: StoredNetwork](self, network: Callable[..., N], *, card: dict[str, Any] | None = None) -> N:
        """Read the weights and return the network.

        Parameters
        ----------
        network
            Class of the network to make of them: `scprint_model.ScPrint`.
        card
            Model card to give it; by default that of `card`.

        Raises
        ------
        ValueError
            When weights are damaged, missing, left over, of a wrong shape, NaN or infinite.
        """
        names = {our_name(key) or key: key for key in self.weights}
        with ThreadPoolExecutor(max_workers=1) as pool:  # reading runs outside Python's lock
            reading = pool.submit(self.archive.read, self.weights)
            locations = torch.from_numpy(self.vocabulary.locations.copy())
            labels = self.labels
            stored = reading.result()
        weights = {our_name(key) or key: value for key, value in stored.items()}
        table = weights.get("position_encoder.table")
        if table is not None:
            weights["position_encoder.table"] = table.squeeze(1) if table.ndim == 3 else table
        elif not self.hparams.get("gene_pos_enc"):
            weights["position_encoder.table"] = torch.zeros(self.config.n_genes, self.config.d_model)
        model = build(network, self.config, weights, locations=locations, what=str(self.archive.path), names=names)
        model.vocabulary, model.label_space = self.vocabulary, labels
        model.card = self.card() if card is None else card
        return model


def read_published(path: Path | str, *, unsafe: bool = False) -> PublishedCheckpoint:
    """Open a published checkpoint (Lightning ``.ckpt``) of family A or B.

    Parameters
    ----------
    path
        The file; it is not changed.
    unsafe
        See `scprint_model.checkpoints.archive.open_archive`.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When the file is refused or damaged, is not a scPRINT checkpoint, is of scPRINT-2, or has options that this
        network does not.
    """
    archive = open_archive(path, unsafe=unsafe)
    state, hparams = (archive.content.get(name) for name in ("state_dict", "hyper_parameters"))
    if not isinstance(state, Mapping) or not isinstance(hparams, Mapping):
        there = sorted(map(str, archive.content))[:10]
        raise ValueError(f"{path} is no Lightning checkpoint with hyper-parameters: it holds {there}")
    state = {str(key): value for key, value in state.items()}
    if not_tensors := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise ValueError(f"{path} is damaged: its state dict holds other things than tensors, {not_tensors[:3]}")
    if is_scprint2(state):
        raise ValueError(
            f"{path} is a checkpoint of scPRINT-2 (family C), which is another network and not supported. Supported "
            "are family A (small-v1, medium-v1, large-v1) and family B (medium-v1.5)"
        )
    if not any(key.startswith(("transformer.", "expr_encoder.")) for key in state):
        raise ValueError(f"{path} holds no scPRINT network: its weights are called {list(state)[:3]}")
    dropped = tuple(key for key in state if is_dropped(key))
    weights = {key: value for key, value in state.items() if key not in dropped}
    if unknown := [key for key in weights if our_name(key) is None]:
        raise ValueError(
            f"{path} holds {len(unknown)} weights that this network has no place for, such as {unknown[:3]}: leaving "
            "them out would change its numbers"
        )
    with _naming(Path(path)):
        config = config_of(hparams, state)
    return PublishedCheckpoint(archive, family_of(hparams), config, weights, dropped)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors over its hyper-parameters, which may be of any type."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(
            f"{path}: its hyper-parameters are not of the published form: {type(error).__name__}: {error}"
        ) from error


def seal(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with the checksum of the file that the weights are from, and without its place on this machine."""
    source = dict(card.get("source") or {})
    if "modified" not in source:
        return dict(card)
    path, modified = Path(source.pop("folder")) / source["file"], source.pop("modified")
    if path.is_file() and path.stat().st_mtime_ns == modified:
        source["sha256"] = sha256_of(path)
    else:
        logger.warning("%s is not what it was when it was opened: the model card has no checksum of it", path)
    return dict(card) | {"source": source}


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _groups(keys: tuple[str, ...], state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number of weights left out of each part."""
    groups: dict[str, int] = {}
    for key in keys:
        part = key.split(".")[0]
        groups[part] = groups.get(part, 0) + state[key].numel()
    return groups


def _plain(value: Any) -> Any:
    """Return a stored option as JSON holds it; what is long or nested is only described."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "…"
    simple = (type(None), bool, int, float, str)
    if isinstance(value, list | tuple) and len(value) <= _MAX_ITEMS and all(isinstance(x, simple) for x in value):
        return [_plain(x) for x in value]
    if isinstance(value, Mapping) and len(value) <= _MAX_ITEMS and all(isinstance(x, simple) for x in value.values()):
        return {str(key)[:_MAX_TEXT]: _plain(x) for key, x in value.items()}
    size = f" of {len(value):,}" if hasattr(value, "__len__") else ""
    return f"<{type(value).__name__}{size}>"


_PART = r"\.(weight|bias)"
_RENAMES = tuple(
    (re.compile(pattern + r"\Z"), ours)
    for pattern, ours in (
        (r"gene_encoder\.(?:0\.)?embeddings?\.weight", "gene_encoder.table.weight"),
        (r"pos_encoder\.pe", "position_encoder.table"),
        (r"expr_encoder\.encoder\.(\d+)" + _PART, r"expression_encoder.layers.\1.\2"),
        (r"depth_encoder\.encoder\.(\d+)" + _PART, r"depth_encoder.layers.\1.\2"),
        (r"class_encoder\.embeddings?\.weight", "class_tokens.weight"),
        (r"metacell_encoder\.embeddings?\.weight", "metacell_tokens.weight"),
        (r"transformer\.blocks\.(\d+)\.mixer\.W(q|kv|qkv)" + _PART, r"blocks.\1.attention.\2.\3"),
        (r"transformer\.blocks\.(\d+)\.mixer\.out_proj" + _PART, r"blocks.\1.attention.out.\2"),
        (r"transformer\.blocks\.(\d+)\.(norm1|norm2|mlp\.fc1|mlp\.fc2)" + _PART, r"blocks.\1.\2.\3"),
        (r"transformer\.norm" + _PART, r"norm.\1"),
        (r"cell_transformer\.blocks\.(\d+)\.mixer\.W(q|kv|qkv)" + _PART, r"cell_blocks.\1.attention.\2.\3"),
        (r"cell_transformer\.blocks\.(\d+)\.mixer\.out_proj" + _PART, r"cell_blocks.\1.attention.out.\2"),
        (r"cell_transformer\.blocks\.(\d+)\.(norm1|norm2|mlp\.fc1|mlp\.fc2)" + _PART, r"cell_blocks.\1.\2.\3"),
        (r"cell_transformer\.norm" + _PART, r"cell_norm.\1"),
        (r"expr_decoder\.fc\.(\d+)" + _PART, r"expression_decoder.layers.\1.\2"),
        (r"expr_decoder\.pred_var_zero" + _PART, r"expression_decoder.out.\1"),
        (r"cls_decoders\.(\w+)\.decoder\.(\d+)" + _PART, r"class_heads.\1.layers.\2.\3"),
        (r"cls_decoders\.(\w+)\.out_layer" + _PART, r"class_heads.\1.out.\2"),
        (r"bottleneck_mlps\.(\w+)\.project_in" + _PART, r"bottlenecks.\1.inward.\2"),
        (r"bottleneck_mlps\.(\w+)\.project_out" + _PART, r"bottlenecks.\1.outward.\2"),
    )
)
#: Of training, or made again from the sizes.
_DROPPED = re.compile(
    r"(grad_reverse_discriminator_loss|mvc_decoder)\..*|bottleneck_mlps\.\w+\.(_levels|_basis|implicit_codebook|zero)"
)
_SCPRINT2 = re.compile(r"gene_encoder\.[1-9]\d*\.|compressor\.|vae")


def is_dropped(key: str) -> bool:
    """Tell whether a published weight has no part in using the network."""
    return _DROPPED.fullmatch(key) is not None


def is_scprint2(keys: Iterable[str]) -> bool:
    """Tell whether these weights are of the later scPRINT-2, another network."""
    return any(_SCPRINT2.match(key) for key in keys)


def our_name(key: str) -> str | None:
    """Return the name here of a published weight, or None for one that is not known.

    Examples
    --------
    >>> our_name("transformer.blocks.3.mixer.Wqkv.bias")
    'blocks.3.attention.qkv.bias'
    """
    for pattern, ours in _RENAMES:
        if match := pattern.match(key):
            return match.expand(ours)
    return None
