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
    )
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert list(again.class_sizes) == ["sex", "assay"]


def test_derived_values() -> None:
    config = ModelConfig(n_genes=7, d_model=24, n_heads=6, class_sizes={"sex": 2})
    assert (config.head_dim, config.kv_heads, config.hidden_widths) == (4, 6, (24,))
    assert config.token_names == ("base", "depth", "sex")


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
        ({"class_sizes": {"cell.type": 2}}, ["'cell.type'"]),
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
