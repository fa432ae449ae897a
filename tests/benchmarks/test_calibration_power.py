"""The power study on simulated cells: its intervals, and its quick version."""

import logging

import anndata
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


def test_expression_ranks_every_regulator_of_a_gene_by_the_share_of_counts_that_it_has():
    counts = np.array([[1.0, 3.0, 0.0], [30.0, 0.0, 10.0], [0.0, 0.0, 0.0]])  # shares 1/4, 3/4, 0; 3/4, 0, 1/4; none
    cells = anndata.AnnData(counts, var=pd.DataFrame(index=["a", "b", "c"]))
    edges = power.by_expression(cells, ["a", "b"]).set_index(["source", "target"])["weight"]
    assert edges.to_dict() == pytest.approx(
        {("a", "b"): 0.75 / 3, ("a", "c"): 0.25 / 3, ("b", "a"): 1 / 3, ("b", "c"): 0.25 / 3}
    )


def test_dropouts_take_counts_away_and_leave_the_cells_as_they_were_drawn():
    levels = anndata.AnnData(np.random.default_rng(0).lognormal(1, 1, (80, 30)))
    drawn = [
        power.measured(levels, power.USUAL | {"cells": 50.0, "dropout": percentile}, seed=3)
        for percentile in (0.0, 50.0, 80.0, 90.0)
    ]
    assert all(cells.obs_names.equals(drawn[0].obs_names) for cells in drawn)
    zeros = [(np.asarray(cells.X) == 0).mean() for cells in drawn]
    assert (np.diff(zeros) > 0).all()
    # 90: about half of the values at the percentile are lost, nearly all far below it and few far above
    assert 0.75 < zeros[-1] < 0.95
    levels_alone = power.measured(levels, power.USUAL | {"cells": 50.0, "depth": np.inf}, seed=3)
    assert (levels_alone.X == levels[levels_alone.obs_names].X).all()


@pytest.mark.slow
def test_more_cells_and_deeper_ones_show_more_edges_and_dropouts_hide_them_from_trees():
    methods = {"pearson": {}, "shared-forest": {"threads": 1}, "random": {}, power.EXPRESSION: {}}
    rows = power.replicate(0, methods).set_index(["varied", "value", "method"])["found"]
    assert rows["cells", 1500, "pearson"] > rows["cells", 50, "pearson"]
    assert rows["depth", np.inf, "pearson"] > rows["depth", 0.2, "pearson"]
    assert rows["cells", 1500, "pearson"] > rows["cells", 1500, "random"] + 0.1
    assert rows["dropout", 0, "shared-forest"] > rows["dropout", 90, "shared-forest"] + 0.05
    # genes that many regulators activate have more RNA: expression alone is ahead of all methods, in every setting
    assert (
        rows.xs(power.EXPRESSION, level="method") > rows.unstack("method").drop(columns=power.EXPRESSION).max(axis=1)
    ).all()
