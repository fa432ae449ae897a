"""The script that packs ENCODE's target lists."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[2] / "packages/bengrn/scripts/build_encode_targets.py"
BUNDLED = Path(__file__).parents[2] / "packages/bengrn/src/bengrn/truths/data/encode_tf_targets.parquet"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_encode_targets", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_writes_one_row_an_edge(script, tmp_path, capsys):
    targets = {"MYC HELA-S3": ["TERT", "CDK4"], "FOS K562": ["JUN"]}
    (tmp_path / "targets.json.gz").write_bytes(gzip.compress(json.dumps(targets).encode()))
    out = tmp_path / "packed.parquet"
    script.main(["--targets", str(tmp_path / "targets.json.gz"), "--out", str(out)])
    found = pd.read_parquet(out).astype(str)
    assert found.to_numpy().tolist() == [["FOS", "K562", "JUN"], ["MYC", "HELA-S3", "CDK4"], ["MYC", "HELA-S3", "TERT"]]
    assert "3 edges" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.part"))


def test_what_is_bundled_is_what_it_makes(script, shared, tmp_path):
    out = tmp_path / "packed.parquet"
    script.main(["--targets", str(shared / "data/networks/encode_tf_targets.json.gz"), "--out", str(out)])
    assert pq.read_table(out).equals(pq.read_table(BUNDLED), check_metadata=True)
    assert BUNDLED.stat().st_size < 300_000
