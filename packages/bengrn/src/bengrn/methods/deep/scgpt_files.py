"""The folder of a scGPT model: settings, gene tokens and weights, compared name by name with what there must be."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bengrn._wording import listed

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

FILES = ("args.json", "vocab.json", "best_model.pt")
_SPECIAL = ("<pad>", "<cls>", "<eoc>")
#: Parts that some files hold and that neither network nor embedding needs.
_BESIDE = ("flag_encoder", "decoder", "mvc_decoder", "cls_decoder", "batch_encoder", "grad_reverse_discriminator")
#: Parts that change the input of the layers, in ways that need to know a cell's batch or perturbation.
_OF_CELLS = ("dsbn", "pert_encoder")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, eq=False)
class Weights:
    """A scGPT model as its folder holds it.

    Attributes
    ----------
    tokens
        Token of each gene symbol and special token.
    tensors
        Weights by name, in the names of :class:`torch.nn.TransformerEncoder`.
    n_layers, n_heads, n_bins, max_length
        Numbers of layers, heads, bins of expression, and tokens of a cell at most.
    pad_value
        Value of padding and of the cell's token.
    """

    tokens: Mapping[str, int]
    tensors: Mapping[str, Tensor]
    n_layers: int
    n_heads: int
    n_bins: int
    max_length: int
    pad_value: float


def read_scgpt(folder: str | Path) -> Weights:
    """Read the folder of a scGPT model.

    Parameters
    ----------
    folder
        Folder with ``args.json``, ``vocab.json`` and ``best_model.pt``. The last is opened with PyTorch's reader of
        tensors alone, which runs no code of the file.

    Raises
    ------
    FileNotFoundError
        If the folder or a file is missing.
    ValueError
        If a file cannot be read, a setting is missing or of another kind of model, or a weight is missing, unknown, of
        another shape or not finite.
    """
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        there = f"has no {listed(missing)}" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(f"{folder} {there}: the folder of a scGPT model holds {listed(FILES)}")
    settings, tokens = _object(folder / FILES[0]), _object(folder / FILES[1])
    for special in _SPECIAL:
        tokens.setdefault(special, len(tokens))
    _check_kind(settings, folder / FILES[0])
    tensors = renamed(_tensors(folder / FILES[2]))
    wanted = expected_shapes(settings, len(tokens))
    _compare(tensors, wanted, folder / FILES[2])
    left_out = sorted({part for part in _OF_CELLS if any(name.startswith(part + ".") for name in tensors)})
    if left_out:
        logger.warning(
            "%s holds %s, which are left out: they need to know each cell's batch or perturbation",
            folder,
            listed(left_out),
        )
    norm = {name: one for name, one in tensors.items() if name.startswith("bn.")}
    return Weights(
        tokens=tokens,
        tensors={name: tensors[name].float() for name in wanted} | norm,
        n_layers=settings["nlayers"],
        n_heads=settings["nheads"],
        n_bins=settings["n_bins"],
        max_length=settings["max_seq_len"],
        pad_value=float(settings["pad_value"]),
    )


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by the names of PyTorch's own layers; those of flash attention differ in name only.

    Raises
    ------
    ValueError
        If two names of the file become one.
    """
    found: dict[str, Tensor] = {}
    for name, one in tensors.items():
        new = re.sub(r"^module\.", "", name).replace(".self_attn._impl.", ".self_attn.")
        new = re.sub(r"\.self_attn\.Wqkv\.(weight|bias)$", r".self_attn.in_proj_\1", new)
        if new in found:
            raise ValueError(f"the weights {new!r} are there twice, in different layouts")
        found[new] = one
    return found


def expected_shapes(settings: Mapping[str, Any], n_tokens: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight that network and embedding need, by name."""
    width, inner = settings["embsize"], settings["d_hid"]

    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    def linear(name: str, into: int, out: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}

    shapes: dict[str, tuple[int, ...]] = {"encoder.embedding.weight": (n_tokens, width)}
    shapes |= norm("encoder.enc_norm") | norm("value_encoder.norm")
    shapes |= linear("value_encoder.linear1", 1, width) | linear("value_encoder.linear2", width, width)
    for i in range(settings["nlayers"]):
        layer = f"transformer_encoder.layers.{i}"
        shapes[f"{layer}.self_attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{layer}.self_attn.in_proj_bias"] = (3 * width,)
        shapes |= linear(f"{layer}.self_attn.out_proj", width, width)
        shapes |= linear(f"{layer}.linear1", width, inner) | linear(f"{layer}.linear2", inner, width)
        shapes |= norm(f"{layer}.norm1") | norm(f"{layer}.norm2")
    return shapes


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object")
    return found


def _check_kind(settings: Mapping[str, Any], path: Path) -> None:
    numbers = ("embsize", "nheads", "d_hid", "nlayers", "n_bins", "max_seq_len", "pad_value")
    missing = [name for name in numbers if not isinstance(settings.get(name), int | float)]
    if missing:
        raise ValueError(f"{path} lacks the numbers {listed(missing)}")
    if settings["embsize"] % settings["nheads"]:
        raise ValueError(f"{path}: embsize {settings['embsize']} is no multiple of nheads {settings['nheads']}")
    kinds = {"input_style": "binned", "input_emb_style": "continuous"}
    for name, kind in kinds.items():
        if settings.get(name, kind) != kind:
            raise ValueError(f"{path}: {name} is {settings[name]!r}; only models with {kind!r} can be read")
    if settings.get("pre_norm"):
        raise ValueError(f"{path}: pre_norm models can not be read, only those that normalise after each layer")


def _tensors(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # PyTorch has many kinds; what is not a table of tensors is refused in each
        raise ValueError(f"{path} is no file of tensors: {str(error).splitlines()[0]}") from error
    odd = [name for name, one in found.items() if not isinstance(one, torch.Tensor)] if isinstance(found, dict) else []
    if not isinstance(found, dict) or odd:
        raise ValueError(f"{path} is no table of tensors{': ' + listed(map(str, odd)) + ' is none' if odd else ''}")
    return found


def _compare(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise ValueError that names each weight that is missing, unknown, of another shape or not finite."""
    import torch

    known = tuple(part + "." for part in (*_BESIDE, *_OF_CELLS))
    norm = {f"bn.{name}" for name in _NORM}
    faults = {
        "missing": [name for name in wanted if name not in tensors],
        "unknown": [name for name in tensors if name not in wanted and name not in norm and not name.startswith(known)],
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {shape}"
            for name, shape in wanted.items()
            if name in tensors and tuple(tensors[name].shape) != shape
        ],
        "not finite": [name for name in wanted if name in tensors and not torch.isfinite(tensors[name]).all()],
    }
    if any(name.startswith("bn.") for name in tensors):
        faults["missing"] += sorted(norm - {"bn.num_batches_tracked"} - set(tensors))
    told = [f"{len(names)} {fault}: {_some(names)}" for fault, names in faults.items() if names]
    if told:
        raise ValueError(f"{path} does not fit a scGPT model with these settings; weights {'; '.join(told)}")


def _some(names: list[str]) -> str:
    # In full: what tells two weights apart stands at the end of a long name.
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
