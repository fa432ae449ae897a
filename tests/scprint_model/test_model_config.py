"""Configs survive a round trip and refuse to contradict themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scprint_model.config import ModelConfig


def test_round_trip_through_json() -> None:
    config = ModelConfig(
        n_genes=7,
        d_model=24,
        n_heads=6,
        n_kv_heads=3,
        class_sizes={"sex": 2, "assay": 5},
        class_head_widths=(24, 12),
        normalization="sum",
        drop_path=0.02,
        depth="decoder",
        metacell_token=True,
        cell_transformer=2,
        bottleneck_sizes={"assay": 3},
        likelihood="nb",
        token_order="depth_first",
    )
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert list(again.class_sizes) == ["sex", "assay"]


def test_derived_values() -> None:
    config = ModelConfig(n_genes=7, d_model=24, n_heads=6, class_sizes={"sex": 2})
    assert (config.head_dim, config.kv_heads, config.hidden_widths) == (4, 6, (24,))
    assert config.token_names == ("base", "depth", "sex")


@pytest.mark.parametrize(
    ("depth", "metacell", "order", "special"),
    [
        ("input", False, "base_first", ("base", "depth")),
        ("input", False, "depth_first", ("depth", "base")),
        ("input", True, "base_first", ("base", "depth", "metacell")),
        ("input", True, "depth_first", ("depth", "metacell", "base")),
        ("decoder", True, "base_first", ("base", "metacell")),
        ("decoder", True, "depth_first", ("metacell", "base")),
        ("decoder", False, "depth_first", ("base",)),
    ],
)
def test_token_names(depth: Any, metacell: bool, order: Any, special: tuple[str, ...]) -> None:
    config = ModelConfig(n_genes=3, class_sizes={"sex": 2}, depth=depth, metacell_token=metacell, token_order=order)
    assert config.token_names == (*special, "sex")


@pytest.mark.parametrize(
    ("size", "d_model", "n_layers", "n_blocks_weights"),
    # Weights of the blocks, counted as 12 d² a layer with as many key heads as query heads (9.5 d² with a quarter).
    [("small", 128, 4, 0.79e6), ("medium", 256, 8, 6.3e6), ("large", 512, 16, 50.4e6), ("xlarge", 2560, 36, 2.48e9)],
)
def test_named_sizes(size: str, d_model: int, n_layers: int, n_blocks_weights: float) -> None:
    config = getattr(ModelConfig, size)(n_genes=11, class_sizes={"sex": 2}, dropout=0.0)
    assert (config.n_genes, config.class_sizes, config.dropout) == (11, {"sex": 2}, 0.0)
    assert (config.d_model, config.n_layers, config.head_dim) == (d_model, n_layers, 64)
    projections = 2 * d_model**2 + 2 * d_model * config.kv_heads * config.head_dim + 8 * d_model**2
    assert n_layers * projections == pytest.approx(n_blocks_weights, rel=0.01)
    assert getattr(ModelConfig, size)(n_genes=11, n_layers=3).n_layers == 3


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n_genes": 0}, ["n_genes = 0"]),
        ({"d_model": 10, "n_heads": 4}, ["n_heads = 4", "d_model = 10"]),
        ({"d_model": 9, "n_heads": 3}, ["d_model = 9", "even"]),
        ({"n_heads": 4, "n_kv_heads": 3}, ["n_kv_heads = 3", "n_heads = 4"]),
        ({"expression_layers": 1}, ["expression_layers = 1"]),
        ({"class_head_widths": (8, 0)}, ["class_head_widths"]),
        ({"dropout": 1.0}, ["dropout = 1.0"]),
        ({"drop_path": 0.1, "n_layers": 1}, ["drop_path = 0.1", "n_layers = 1"]),
        ({"normalization": "log1p"}, ["normalization = 'log1p'"]),
        ({"class_sizes": {"sex": 0}}, ["class_sizes['sex'] = 0"]),
        ({"class_sizes": {"depth": 2}}, ["'depth'"]),
        ({"class_sizes": {"metacell": 2}}, ["'metacell'"]),
        ({"class_sizes": {"cell.type": 2}}, ["'cell.type'"]),
        ({"depth": "output"}, ["depth = 'output'", "'decoder'"]),
        ({"depth_layers": 1}, ["depth_layers = 1"]),
        ({"depth_layers": 2, "depth": "decoder"}, ["depth_layers = 2", "depth = 'decoder'"]),
        ({"likelihood": "poisson"}, ["likelihood = 'poisson'"]),
        ({"token_order": "classes_first"}, ["token_order = 'classes_first'"]),
        ({"cell_transformer": -1}, ["cell_transformer = -1"]),
        ({"bottleneck_sizes": {"sex": 2}}, ["bottleneck_sizes has 'sex'", "class_sizes []"]),
        ({"class_sizes": {"sex": 2}, "bottleneck_sizes": {"sex": 0}}, ["bottleneck_sizes['sex'] = 0"]),
    ],
)
def test_contradictions_name_the_fields(fields: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ValueError, match="contradicts itself") as error:
        ModelConfig(**{"n_genes": 5, **fields})
    for part in named:
        assert part in str(error.value)


def test_from_dict_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"unknown model config fields \['n_head'\]"):
        ModelConfig.from_dict({"n_genes": 5, "n_head": 2})
    with pytest.raises(ValueError, match="lacks n_genes"):
        ModelConfig.from_dict({"d_model": 8})
