"""The published checkpoint fixture, loaded into our network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scprint_model.config import ModelConfig
from scprint_model.model import ScPrint

RENAMES = (
    (r"gene_encoder\.embedding\.", "gene_encoder.table."),
    (r"expr_encoder\.encoder\.", "expression_encoder.layers."),
    (r"depth_encoder\.encoder\.", "depth_encoder.layers."),
    (r"class_encoder\.embedding\.", "class_tokens."),
    (r"transformer\.blocks\.(\d+)\.mixer\.Wqkv\.", r"blocks.\1.attention.qkv."),
    (r"transformer\.blocks\.(\d+)\.mixer\.out_proj\.", r"blocks.\1.attention.out."),
    (r"transformer\.", ""),
    (r"expr_decoder\.fc\.", "expression_decoder.layers."),
    (r"expr_decoder\.pred_var_zero\.", "expression_decoder.out."),
    (r"cls_decoders\.(\w+)\.decoder\.", r"class_heads.\1.layers."),
    (r"cls_decoders\.(\w+)\.out_layer\.", r"class_heads.\1.out."),
)


def rename(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published state dict (family A) to ours; what only its training needs is left out."""
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


@pytest.fixture(scope="session")
def tiny_v1(published: Path) -> ScPrint:
    checkpoint = torch.load(published / "tiny_v1.ckpt", weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    state = rename(checkpoint["state_dict"])
    config = ModelConfig(
        n_genes=len(hparams["genes"]),
        d_model=hparams["d_model"],
        n_layers=hparams["nlayers"],
        n_heads=hparams["nhead"],
        class_sizes=hparams["classes"],
        expression_layers=hparams["expr_encoder_layers"],
        class_head_widths=tuple(hparams["layers_cls"]),
        normalization=hparams["normalization"],
        dropout=hparams["dropout"],
    )
    model = ScPrint(config, gene_positions=state["position_encoder.table"])
    model.load_state_dict(state, strict=True)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_v1_forward(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v1_forward.npz"))


@pytest.fixture(scope="session")
def tiny_v1_losses(published: Path) -> dict[str, np.ndarray]:
    return dict(np.load(published / "tiny_v1_losses.npz"))
