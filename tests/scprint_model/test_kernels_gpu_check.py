"""The check of a GPU runs where there is none, says what failed, and stops nothing for it."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

# a CPU has no compiled kernel for it, and says so
pytestmark = pytest.mark.filterwarnings("ignore:.*flex_attention called without torch.compile")


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.gpu.check")


def test_parts_are_written_as_they_end_and_a_failure_stops_no_other(check, monkeypatch, tmp_path, capsys):
    def fails(_):
        raise RuntimeError("no such card")

    def misses(_):
        return [check.Checked("far off", 0.5, 0.1), check.Checked("no bound", 7.0)]

    parts = {"fails": fails, "misses": misses, "backends": check.backends}
    monkeypatch.setattr(check, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["check", "--rehearse", "--out", str(tmp_path / "gpu.json"), "--parts", *parts])
    assert check.main() == 1
    found = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert "no such card" in found["fails"]["error"]
    assert [row["ok"] for row in found["misses"]["checks"]] == [False, None]
    rows = {row["name"]: row for row in found["backends"]["checks"]}
    assert rows["sdpa torch.bfloat16 plain"]["ok"]
    assert 1e-4 < rows["sdpa torch.bfloat16 plain"]["value"] < 2e-2  # rounded, and not by much
    assert rows["sdpa torch.float32 bias"]["value"] < 1e-6
    assert "misses FAILED" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--minutes", "-1"])
    assert check.main() == 1
    skipped = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert all("skipped" in part for part in skipped.values())


def test_a_wrong_backend_is_seen(check, monkeypatch):
    place = check.Place("cpu", True)
    attend = check.attend

    def twice(*given, **options):
        found = attend(*given, **options)
        return found if found.dtype == torch.float64 else found * 1.05

    monkeypatch.setattr(check, "attend", twice)
    rows = [one.row() for one in check.backends(place)]
    assert not any(row["ok"] for row in rows if row["name"].startswith("sdpa"))
