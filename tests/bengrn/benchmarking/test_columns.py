"""Names and types of the table of a benchmark."""

from __future__ import annotations

import pytest

from bengrn.benchmarking.columns import COLUMNS, KEY, SCORES, as_table


def test_rows_become_a_table_with_every_column_sorted_by_key():
    rows = [
        {"method": "pearson", "truth": "b", "seed": 10, "ap": 0.5, "n_cells": 3},
        {"method": "pearson", "truth": "b", "seed": 9, "rough": True},
        {"method": "pearson", "truth": "a", "seed": 11},
    ]
    table = as_table(rows)
    assert list(table.columns) == list(COLUMNS)
    assert table["seed"].tolist() == [11, 9, 10]
    assert table["n_cells"].isna().tolist() == [True, True, False]
    assert table.loc[2, "n_cells"] == 3
    assert table["message"].tolist() == ["", "", ""]
    assert table.loc[1, "rough"]
    assert as_table([]).columns.tolist() == list(COLUMNS)
    with pytest.raises(ValueError, match="no column 'auprc'"):
        as_table([{"auprc": 1.0}])


def test_every_score_has_an_interval_and_a_random_line():
    for score in SCORES:
        assert {score, f"{score}_low", f"{score}_high", f"{score}_random"} <= set(COLUMNS)
    assert "label" not in KEY
    for name, column in COLUMNS.items():
        assert column.meaning.endswith("."), name
        assert "  " not in column.meaning
