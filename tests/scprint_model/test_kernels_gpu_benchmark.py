"""The GPU benchmark runs, at sizes that measure nothing; and its count of operations is right."""

import csv
import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scprint_model import ModelConfig, ScPrint


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.gpu.model")


def test_the_gpu_benchmark_writes_its_tables(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["model", "--out", str(tmp_path), "--device", "cpu", "--tiny", "--repeats", "1"])
    gpu.main()
    rows = list(csv.DictReader((tmp_path / "gpu_model.csv").open()))
    assert [row["size"] for row in rows] == ["small"]
    assert 0 < float(rows[0]["bf16 against fp32, relative"]) < 0.05
    assert capsys.readouterr().out.strip() == (tmp_path / "gpu.md").read_text().strip()


def test_operations_are_counted_as_torch_counts_them(gpu):
    """Torch also counts the encoders and heads, which are small beside many layers."""
    config = ModelConfig(n_genes=60, d_model=32, n_layers=24, n_heads=4, n_kv_heads=2, class_sizes={"sex": 2})
    model = ScPrint(config, gene_positions=torch.arange(60)).eval()
    with FlopCounterMode(display=False) as counter:
        model(*gpu.batch_of(2, 50, 60, "cpu"))
    assert counter.get_total_flops() == pytest.approx(gpu.forward_flops(config, 2, 50), rel=0.05)
