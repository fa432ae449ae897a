"""Gene sets of co-regulated genes: the quick version of the calibration."""

import pytest
from benchmarks.calibration.enrichment import calibrate
from benchmarks.calibration.shares import holds


@pytest.mark.slow
def test_gene_set_tests_mean_what_they_say():
    table = calibrate(quick=True)
    assert set(table["kind"]) == {"discrete", "rival", "planted"}
    assert holds(table).all(), table[~holds(table)]
    independent = table[table["part"].str.startswith("independent genes") & (table["level"] == 0.05)]
    assert (independent["share"] > 0.15).all()  # what the simulation has for a test to stumble over
