"""Intervals and comparisons of scores, on simulated truths: the quick version of the calibration."""

import pytest
from benchmarks.calibration.scores import calibrate
from benchmarks.calibration.shares import holds


@pytest.mark.slow
def test_intervals_and_comparisons_of_scores_mean_what_they_say():
    table = calibrate(quick=True)
    assert set(table["kind"]) == {"coverage", "no effect", "planted"}
    assert holds(table).all(), table
