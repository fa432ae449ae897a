"""The published names of the weights, and ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    """Whether a published weight has no part in using the network."""
    return _DROPPED.fullmatch(key) is not None


def is_scprint2(keys: Iterable[str]) -> bool:
    """Whether these weights are of the later scPRINT-2, another network."""
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
