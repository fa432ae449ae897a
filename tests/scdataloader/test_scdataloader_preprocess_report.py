"""The report of one data set."""

import json
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.preprocess.report import Report, Step, plain

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def two_steps():
    report = Report("a.h5ad")
    report.add("gene ids", (100, 50), (100, 40), "10 unknown")
    report.add("cells", (100, 40), (90, 40), "at least 200 expressed genes asked")
    return report


def test_summary_runs_from_the_first_step_to_the_last():
    assert two_steps().summary == {"cells_in": 100, "cells_out": 90, "genes_in": 50, "genes_out": 40}
    assert Report("a.h5ad").summary == {}


def test_table():
    expected = pd.DataFrame(
        [
            ["gene ids", 100, 100, 50, 40, "10 unknown"],
            ["cells", 100, 90, 40, 40, "at least 200 expressed genes asked"],
        ],
        columns=["step", "cells_in", "cells_out", "genes_in", "genes_out", "detail"],
    )
    pd.testing.assert_frame_equal(two_steps().to_frame(), expected)
    assert Report("a.h5ad").to_frame().columns.tolist() == expected.columns.tolist()


def test_text_to_read():
    report = two_steps()
    report.warnings.append("obs has no 'disease'")
    lines = str(report).splitlines()
    assert lines[0] == "a.h5ad"
    assert lines[1].split() == ["gene", "ids", "100", "cells", "50", "→", "40", "genes", "10", "unknown"]
    assert lines[2].split()[:6] == ["cells", "100", "→", "90", "cells", "40"]
    assert lines[3] == "  warning: obs has no 'disease'"


@given(
    st.lists(st.builds(Step, st.text(), *[st.integers(0, 2**40)] * 4, st.text()), max_size=3),
    st.lists(st.text(), max_size=3),
    st.dictionaries(st.text(), json_values, max_size=3),
)
def test_json_round_trip(steps, warnings, facts):
    report = Report("a.h5ad", steps, warnings, facts)
    assert Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_measured_values_become_plain_ones():
    report = Report("a.h5ad", facts={"median": np.float32(2.5), "counts": np.arange(3), "range": (1, np.int64(2))})
    report.add("cells", (np.int64(3), np.int32(2)), (1, 2), "")
    back = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert back.facts == {"median": 2.5, "counts": [0, 1, 2], "range": [1, 2]}
    assert back.steps == [Step("cells", 3, 1, 2, 2, "")]


def test_what_was_not_measured_is_none():
    assert plain([np.nan, float("inf"), np.array([1.0, -np.inf])]) == [None, None, [1.0, None]]
    assert plain({1: PurePosixPath("a/b"), "deep": {"er": np.bool_(True)}}) == {"1": "a/b", "deep": {"er": True}}
    with pytest.raises(TypeError, match=r"a set cannot be kept as JSON: \{1\}"):
        plain({"x": {1}})
