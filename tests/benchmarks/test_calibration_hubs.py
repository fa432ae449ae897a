"""Differential hubs, edges and overlap, on simulated donors and samples: the quick version of the calibration."""

import pytest
from benchmarks.calibration.hubs import calibrate
from benchmarks.calibration.shares import holds


@pytest.mark.slow
def test_differential_hubs_mean_what_they_say():
    table = calibrate(quick=True)
    assert set(table["kind"]) == {"no effect", "discrete", "rival", "planted"}
    assert holds(table).all(), table[~holds(table)]
    exchanged = table[(table["part"] == "exchanges, hubs") & (table["kind"] == "discrete")]
    assert exchanged["smallest"].min() == pytest.approx(2 / 70)
    rivals = table[table["kind"] == "rival"].set_index("part")["share"]
    assert (rivals > 0.08).all()  # what the simulation has for a test to stumble over
