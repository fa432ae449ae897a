"""The power study on simulated cells: its intervals, and its quick version."""

import logging

import numpy as np
import pandas as pd
import pytest
from benchmarks.calibration import power


def test_intervals_are_those_of_students_t_over_replicates():
    rows = pd.DataFrame(
        {
            "varied": "cells", "value": 50.0, "method": ["pearson"] * 4 + ["random"] * 4, "replicate": [0, 1, 2, 3] * 2,
            "found": [0.2, 0.4, 0.3, 0.3, 0.0, 0.1, 0.0, 0.0], "prevalence": 0.1,
        }
    )  # fmt: skip
    table = power.summary(rows).set_index("method")
    assert table.loc["pearson", "found"] == pytest.approx(0.3)
    # sd 0.0816 over 4, and 3.182 is the 97.5th percentile of t with 3 degrees of freedom
    assert table.loc["pearson", "high"] - 0.3 == pytest.approx(3.1824 * 0.08165 / 2, rel=1e-3)
    assert table.loc["random", "low"] == 0
    assert table["replicates"].tolist() == [4, 4]


def test_networks_of_the_study_have_its_sizes_and_known_signs():
    edges = power.signed_network(np.random.default_rng(0))
    assert edges["source"].nunique() == power.N_REGULATORS
    assert set(edges["sign"]) == {-1, 1}
    assert not edges.duplicated(["source", "target"]).any()


def test_warnings_are_kept_back_only_meanwhile(caplog):
    log = logging.getLogger("bengrn.simulate")
    with power.without_warnings():
        log.warning("taken for granted")
    log.warning("afterwards")
    assert caplog.messages == ["afterwards"]


@pytest.mark.slow
def test_more_cells_and_deeper_ones_show_more_edges():
    rows = power.replicate(0, {"pearson": {}, "random": {}}).set_index(["varied", "value", "method"])["found"]
    assert rows["cells", 1500, "pearson"] > rows["cells", 50, "pearson"]
    assert rows["depth", np.inf, "pearson"] > rows["depth", 0.2, "pearson"]
    assert rows["cells", 1500, "pearson"] > rows["cells", 1500, "random"] + 0.1
