"""What the benchmarks beside the published code calculate from what processes said."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

MB = 1_000_000


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    return importlib.import_module("benchmarks.speed.infer_networks")


@pytest.fixture
def apart(speed: ModuleType) -> ModuleType:
    return importlib.import_module("benchmarks.speed.apart")


def test_time_grows_by_as_much_a_cell_as_between_two_runs(speed: ModuleType) -> None:
    less = speed.Measured(wall=[14.0], cpu=[13.0], before=[MB], peak=[5 * MB])
    more = speed.Measured(wall=[30.0], cpu=[25.0], before=[MB], peak=[7 * MB])
    many = speed.extrapolate(less, more, 4, 12, 1024)
    assert many.wall == [14 + 2 * 1020]
    assert many.cpu == [13 + 1.5 * 1020]
    assert many.peak == [7 * MB]


def test_a_run_that_failed_gives_no_figures(speed: ModuleType) -> None:
    failed = speed.extrapolate(
        speed.Measured(cpu=[1.0], wall=[1.0]), speed.Measured(error="out of memory"), 4, 12, 1024
    )
    assert failed.error == "out of memory"
    line = speed.compare("network", speed.Measured(wall=[2.0], cpu=[2.0], before=[MB], peak=[3 * MB]), failed)
    assert line["ours (MB)"] == 2.0
    assert math.isnan(line["times faster"])


def test_a_line_compares_medians(speed: ModuleType) -> None:
    ours = speed.Measured(wall=[9.0, 9.0, 9.0], cpu=[1.0, 2.0, 7.0], before=[MB, MB], peak=[3 * MB, 3 * MB])
    theirs = speed.Measured(wall=[9.0], cpu=[8.0], before=[2 * MB], peak=[10 * MB])
    line = speed.compare("network", ours, theirs)
    assert line["times faster"] == 4.0
    assert line["of its memory"] == 0.25


def test_differences_are_relative_to_large_values_only(apart: ModuleType) -> None:
    ours = {"mean": np.array([100.0, 2.0]), "network": np.array([0.5]), "alone": np.array([7.0])}
    assert apart.largest_difference(ours, {"mean": np.array([101.0, 2.0])}) == pytest.approx(1 / 101)
    assert apart.largest_difference(ours, {"network": np.array([0.25])}) == 0.25
    assert math.isnan(apart.largest_difference(ours, {}))
    with pytest.raises(ValueError, match=r"network: ours has shape \(1,\), theirs \(2,\)"):
        apart.largest_difference(ours, {"network": np.array([0.5, 0.5])})
