"""The map of single regulators: names, order and tree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from bengrn import GroundTruth
from bengrn.benchmarking.network_scores import Scoring, score_rows
from bengrn.benchmarking.report.regulator_map import clustered, log_ratios, names_shown
from bengrn.benchmarking.work_files import WorkFiles
from bengrn.network import as_network

IDS = ["ENSG00000181449", "ENSG00000007372", "ENSG00000165588", "ENSG00000163914"]
SYMBOLS = ["SOX2", "PAX6", "OTX2", None]


@pytest.mark.parametrize("naming", ["ids", "symbols"])
def test_regulators_are_written_with_the_symbols_of_the_data(tmp_path, naming):
    cells = AnnData(np.ones((2, 4), dtype=np.float32), var=pd.DataFrame({"symbol": SYMBOLS}, index=IDS))
    cells.varp["GRN"] = np.arange(16, dtype=np.float32).reshape(4, 4)
    names = IDS if naming == "ids" else SYMBOLS
    edges = pd.DataFrame({"source": [names[0], names[1], names[2]], "target": [names[1], names[2], names[0]]})
    given = {"truth": "", "sha256": "", "organism": "human", "n_replicates": 0, "n_permutations": 0}
    how = Scoring(**given, regulators="assayed", orientations=("as stored",))
    (row,) = score_rows(
        as_network(cells), GroundTruth.from_edges(edges), how, seed=0, details="0", files=WorkFiles(tmp_path)
    )
    assert row["status"] == "ok"
    table = pd.read_parquet(tmp_path / "details" / "0.regulators.parquet").set_index("regulator")
    assert table["symbol"].to_dict() == dict(zip(names[:3], SYMBOLS[:3], strict=True))


def test_names_are_symbols_and_two_of_one_symbol_are_told_apart():
    symbols = {"id1": "SOX2", "id2": "", "id3": "PAX6", "id4": "PAX6"}
    assert names_shown(["id4", "id2", "id1", "id3", "id5"], symbols) == ["PAX6 id4", "id2", "SOX2", "PAX6 id3", "id5"]


def test_logarithms_of_ratios_end_at_the_furthest():
    table = pd.DataFrame({"a": [8.0, 0.0], "b": [0.5, np.nan]})
    np.testing.assert_array_equal(log_ratios(table), [[3, -1], [-3, np.nan]])


def test_like_rows_stand_side_by_side_under_their_link():
    # two pairs at distances 1 and 2; the pairs' distances are 10, 12, 9 and 11, of mean 10.5
    order, tree = clustered(np.array([[0.0], [10.0], [1.0], [12.0]]))
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}
    assert order[1:3] in ([2, 1], [1, 2])  # those that are next to each other, of both pairs
    heights = sorted(max(height for _, height in link) for link in tree)
    assert heights == pytest.approx([1 / 10.5, 2 / 10.5, 1])
    # each link stands on its two clusters: the middles of two rows, or of pairs of rows
    feet = {tuple(sorted({link[0][0], link[-1][0]})) for link in tree}
    assert feet == {(0, 1), (2, 3), (0.5, 2.5)}


def test_a_missing_value_counts_as_chance_and_two_rows_have_no_tree():
    order, _ = clustered(np.array([[3.0, 3.0], [np.nan, 0.0], [0.1, 0.1]]))
    assert order[1] == 2
    assert clustered(np.array([[5.0], [1.0]])) == ([0, 1], [])
