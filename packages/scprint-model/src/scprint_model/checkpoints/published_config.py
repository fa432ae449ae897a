"""From the hyper-parameters and the shapes of a published checkpoint to a `ModelConfig`.

Sizes come from the shapes. What shapes do not tell (the number of heads, the normalisation of the counts) comes from
the hyper-parameters. Options under which the published code computes something else than this network are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from scprint_model.config import ModelConfig

Weights = Mapping[str, Tensor]
Family = Literal["A", "B"]

#: Written by scprint 2.x only.
_NEWER = ("label_counts", "cell_specific_blocks", "depth_atinput", "use_metacell_token", "compress_class_dim")
_OFF = (None, False, 0, "", "none", "None")
#: Option to the values that change nothing here.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "attn_bias": _OFF,
    "cell_emb_style": (None, "cls"),
    "domain_spec_batchnorm": _OFF,
    "expr_emb_style": (None, "continuous"),
    "fused_mlp": _OFF,
    "n_input_bins": _OFF,
    "normalization": (None, "sum", "log"),
    "prenorm": (None, True),
    "transformer": (None, "flash", "normal"),
}


def family_of(hparams: Mapping[str, Any]) -> Family:
    """Return ``"A"`` for what scprint 1.x wrote (v1), ``"B"`` for 2.x (medium-v1.5)."""
    newer = any(name in hparams for name in _NEWER) or isinstance(hparams.get("classes"), list | tuple)
    return "B" if newer else "A"


def class_names(hparams: Mapping[str, Any], keys: Weights) -> list[str]:
    """Return the classes in the order of their tokens.

    Raises
    ------
    ValueError
        When the hyper-parameters and the weights name different ones.
    """
    with_heads = list(dict.fromkeys(key.split(".")[1] for key in keys if key.startswith("cls_decoders.")))
    declared = [str(name) for name in hparams.get("classes") or hparams.get("label_counts") or with_heads]
    if sorted(declared) != sorted(with_heads):
        raise ValueError(f"the hyper-parameters name the classes {declared}, the weights have heads for {with_heads}")
    return declared


def config_of(hparams: Mapping[str, Any], weights: Weights) -> ModelConfig:
    """Return the config of a published network.

    Parameters
    ----------
    hparams
        Hyper-parameters as stored.
    weights
        Under their published names; only the shapes are looked at.

    Raises
    ------
    ValueError
        For options that are not supported, for shapes that contradict each other or the hyper-parameters, and when the
        number of heads is not stored.
    """
    refuse_options(hparams)
    n_genes, d = _shape(weights, r"gene_encoder\.(0\.)?embeddings?\.weight", 2)
    _agrees("d_model", hparams.get("d_model"), d)
    n_heads = hparams.get("nhead")
    if n_heads is None:
        raise ValueError("the hyper-parameters lack nhead: the weights do not tell the number of heads")
    n_heads = int(n_heads)
    if n_heads < 1 or d % n_heads:
        raise ValueError(f"nhead = {n_heads} does not divide the width {d}")
    sizes = _class_sizes(hparams, weights)
    n_blocks, n_cell_blocks = _count(weights, "transformer"), _count(weights, "cell_transformer")
    paired = "transformer.blocks.0.mixer.Wq.weight" in weights
    if paired != bool(n_cell_blocks) or (paired and (n_blocks % 2 or n_cell_blocks % 2)):
        raise ValueError(
            f"{n_blocks} blocks of the transformer and {n_cell_blocks} of the cell transformer do not go together"
        )
    n_layers = n_blocks // 2 if paired else n_blocks
    _agrees("nlayers", hparams.get("nlayers"), n_layers)
    (outputs, _), zinb = _shape(weights, r"expr_decoder\.pred_var_zero\.weight", 2), hparams.get("zinb")
    if outputs not in (1, 3) or (zinb is not None and bool(zinb) != (outputs == 3)):
        raise ValueError(f"the expression decoder has {outputs} outputs with zinb = {zinb}: it needs 3, or 1 without")
    drop_path = float(hparams.get("drop_path_rate") or 0)
    depth = _depth(weights, d)
    value_layers, depth_layers = (
        1 + len(_indices(weights, rf"{name}_encoder\.encoder\.(\d+)\.weight", d_in=d)) for name in ("expr", "depth")
    )
    return ModelConfig(
        n_genes=n_genes,
        d_model=d,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=_kv_heads(hparams, weights, d, n_heads, paired=paired),
        class_sizes=sizes,
        expression_layers=value_layers,
        class_head_widths=_head_widths(weights, list(sizes), d),
        normalization=hparams.get("normalization") or "sum",
        dropout=float(hparams.get("dropout", 0.1)),
        drop_path=drop_path if n_layers > 1 else 0.0,
        depth=depth,
        depth_layers=depth_layers if depth == "input" and depth_layers != value_layers else None,
        metacell_token=any(key.startswith("metacell_encoder.") for key in weights),
        cell_transformer=n_cell_blocks // 2,
        bottleneck_sizes=_bottlenecks(hparams, weights, list(sizes)),
        likelihood="zinb" if outputs == 3 else "mse",
        token_order="base_first" if family_of(hparams) == "A" else "depth_first",
    )


def refuse_options(hparams: Mapping[str, Any]) -> None:
    """Raise ValueError naming the options that change the arithmetic in a way that is not supported."""
    bad = [
        f"{name} = {hparams[name]!r} (supported: {', '.join(map(repr, fine))})"
        for name, fine in _SUPPORTED.items()
        if name in hparams and hparams[name] not in fine
    ]
    if bad:
        raise ValueError(f"the checkpoint was trained with options that this network does not have: {'; '.join(bad)}")


def _agrees(name: str, declared: Any, found: int) -> None:
    if declared is not None and int(declared) != found:
        raise ValueError(f"the hyper-parameters say {name} = {declared}, the shapes of the weights {found}")


def _shape(weights: Weights, pattern: str, n_dims: int) -> tuple[int, ...]:
    keys = [key for key in weights if re.fullmatch(pattern, key)]
    if len(keys) != 1:
        raise ValueError(f"the weights hold {keys or 'none'} where one {pattern.replace(chr(92), '')} is needed")
    shape = tuple(weights[keys[0]].shape)
    if len(shape) != n_dims:
        raise ValueError(f"{keys[0]} has the shape {shape}, which needs {n_dims} dimensions")
    return shape


def _count(weights: Weights, transformer: str) -> int:
    found = _indices(weights, rf"{transformer}\.blocks\.(\d+)\.norm1\.weight")
    if found != list(range(len(found))):
        raise ValueError(f"the blocks of the {transformer} are numbered {found}")
    if not found and transformer == "transformer":
        raise ValueError("the weights hold no block of a transformer")
    return len(found)


def _indices(weights: Weights, pattern: str, *, d_in: int | None = None) -> list[int]:
    """Return the numbers in the keys that match; with `d_in`, those of linear maps from that width."""
    matches = ((re.fullmatch(pattern, key), value) for key, value in weights.items())
    return sorted(
        int(match[1])
        for match, value in matches
        if match and (d_in is None or (value.ndim == 2 and value.shape[1] == d_in))
    )


def _class_sizes(hparams: Mapping[str, Any], weights: Weights) -> dict[str, int]:
    names = class_names(hparams, weights)
    counts = hparams.get("label_counts") or hparams.get("classes") or {}
    sizes = {name: _shape(weights, rf"cls_decoders\.{name}\.out_layer\.weight", 2)[0] for name in names}
    if isinstance(counts, Mapping):
        for name, size in sizes.items():
            _agrees(f"{size} labels of {name}" if name not in counts else f"labels of {name}", counts.get(name), size)
    tokens = _shape(weights, r"class_encoder\.embeddings?\.weight", 2)[0]
    if tokens != 1 + len(names):
        raise ValueError(
            f"class_encoder has {tokens} rows; the base token and {len(names)} classes need {1 + len(names)}"
        )
    return sizes


def _kv_heads(hparams: Mapping[str, Any], weights: Weights, d: int, n_heads: int, *, paired: bool) -> int | None:
    rows = _shape(weights, rf"transformer\.blocks\.{int(paired)}\.mixer\.Wqkv\.weight", 2)[0]
    head = d // n_heads
    if rows <= d or (rows - d) % (2 * head):
        raise ValueError(
            f"Wqkv has {rows} rows, which fit no number of key-value heads of width {head} beside {d} rows"
        )
    found = (rows - d) // (2 * head)
    _agrees("num_heads_kv", hparams.get("num_heads_kv"), found)
    return None if found == n_heads else found


def _head_widths(weights: Weights, names: list[str], d: int) -> tuple[int, ...]:
    if not names:
        return (d,)
    widths = {}
    for name in names:
        linear = {
            int(match[1]): int(value.shape[0])
            for key, value in weights.items()
            if (match := re.fullmatch(rf"cls_decoders\.{name}\.decoder\.(\d+)\.weight", key)) and value.ndim == 2
        }
        widths[name] = tuple(linear[i] for i in sorted(linear))
    if len(set(widths.values())) > 1:
        raise ValueError(f"the class heads have different hidden widths, which is not supported: {widths}")
    return widths[names[0]]


def _depth(weights: Weights, d: int) -> Literal["input", "decoder"]:
    width = _shape(weights, r"expr_decoder\.fc\.0\.weight", 2)[1]
    token = any(key.startswith("depth_encoder.") for key in weights)
    if (width, token) == (d, True):
        return "input"
    if (width, token) == (d + 1, False):
        return "decoder"
    raise ValueError(
        f"the expression decoder takes {width} values with{'' if token else 'out'} a depth encoder: it needs {d} with "
        f"one, or {d + 1} without"
    )


def _bottlenecks(hparams: Mapping[str, Any], weights: Weights, names: list[str]) -> dict[str, int]:
    there = {key.split(".")[1] for key in weights if key.startswith("bottleneck_mlps.")}
    declared = hparams.get("compress_class_dim") or {}
    wanted = {str(name) for name, size in declared.items() if size} if isinstance(declared, Mapping) else there
    if not there <= set(names) or wanted != there:
        raise ValueError(
            f"the weights have bottlenecks of {sorted(there)}, compress_class_dim names {sorted(wanted)}, and the "
            f"classes are {names}"
        )
    for key, value in weights.items():
        if re.fullmatch(r"bottleneck_mlps\.\w+\._levels", key) and not bool((value == 2).all()):
            raise ValueError(f"{key} = {value.tolist()}: only bottlenecks of two levels are supported")
    return {
        name: _shape(weights, rf"bottleneck_mlps\.{name}\.project_in\.weight", 2)[0] for name in names if name in there
    }
