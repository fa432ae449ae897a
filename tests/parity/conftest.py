"""The published checkpoint fixtures, loaded into our network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from scprint_model.config import ModelConfig
from scprint_model.model import ScPrint

# In the alternating layout a block is cross- or self-attention by its projections' names.
RENAMES = (
    (r"gene_encoder\.embeddings?\.", "gene_encoder.table."),
    (r"expr_encoder\.encoder\.", "expression_encoder.layers."),
    (r"depth_encoder\.encoder\.", "depth_encoder.layers."),
    (r"class_encoder\.embedding\.", "class_tokens."),
    (r"metacell_encoder\.embedding\.", "metacell_tokens."),
    (r"transformer\.blocks\.(\d+)\.mixer\.W(qkv|q|kv)\.", r"blocks.\1.attention.\2."),
    (r"transformer\.blocks\.(\d+)\.mixer\.out_proj\.", r"blocks.\1.attention.out."),
    (r"transformer\.", ""),
    (r"cell_transformer\.blocks\.(\d+)\.mixer\.W(qkv|q|kv)\.", r"cell_blocks.\1.attention.\2."),
    (r"cell_transformer\.blocks\.(\d+)\.mixer\.out_proj\.", r"cell_blocks.\1.attention.out."),
    (r"cell_transformer\.blocks\.", "cell_blocks."),
    (r"cell_transformer\.norm\.", "cell_norm."),
    (r"expr_decoder\.fc\.", "expression_decoder.layers."),
    (r"expr_decoder\.pred_var_zero\.", "expression_decoder.out."),
    (r"cls_decoders\.(\w+)\.decoder\.", r"class_heads.\1.layers."),
    (r"cls_decoders\.(\w+)\.out_layer\.", r"class_heads.\1.out."),
)


def rename(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published state dict (families A and B) to ours; what only its training needs is left out."""
    ours: dict[str, Tensor] = {}
    for key, value in published.items():
        if key.startswith(("grad_reverse_discriminator_loss.", "mvc_decoder.")):
            continue
        if key == "pos_encoder.pe":
            ours["position_encoder.table"] = value.squeeze(1)
            continue
        for pattern, replacement in RENAMES:
            renamed, n = re.subn("^" + pattern, replacement, key)
            if n:
                break
        else:
            raise KeyError(key)
        ours[renamed] = value
    return ours


@pytest.fixture(scope="session")
def published(shared: Path) -> Path:
    return shared / "fixtures" / "published_format"


def load(path: Path, **options: Any) -> ScPrint:
    """Build the network of a published checkpoint; what its family decides beside the sizes comes in `options`."""
    checkpoint = torch.load(path, weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    state = rename(checkpoint["state_dict"])
    classes = hparams["classes"]
    config = ModelConfig(
        n_genes=len(hparams["genes"]),
        d_model=hparams["d_model"],
        n_layers=hparams["nlayers"],
        n_heads=hparams["nhead"],
        n_kv_heads=hparams["num_heads_kv"],
        class_sizes=classes if isinstance(classes, dict) else {name: hparams["label_counts"][name] for name in classes},
        expression_layers=hparams["expr_encoder_layers"],
        class_head_widths=tuple(hparams["layers_cls"]),
        normalization=hparams["normalization"],
        dropout=hparams["dropout"],
        **options,
    )
    model = ScPrint(config, gene_positions=state["position_encoder.table"])
    model.load_state_dict(state, strict=True)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_v1(published: Path) -> ScPrint:
    return load(published / "tiny_v1.ckpt")


@pytest.fixture(scope="session")
def tiny_v23(published: Path) -> ScPrint:
    return load(
        published / "tiny_v23.ckpt",
        depth="decoder",
        metacell_token=True,
        cell_transformer=6,
        token_order="depth_first",
    )


@pytest.fixture(scope="session")
def tiny_v23_forward(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v23_forward.npz"))


@pytest.fixture(scope="session")
def tiny_v1_forward(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v1_forward.npz"))


@pytest.fixture(scope="session")
def tiny_v1_losses(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v1_losses.npz"))
