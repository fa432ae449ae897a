"""Shares of p-values and intervals, by hand and where they should not hold."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.calibration.shares import by_quartile, coverage, draw, holds, p_value_shares


def test_shares_and_their_errors_by_hand():
    found = [
        {"all": np.array([0.05, 0.2, np.nan, 0.001, 1.0])},
        {"all": np.array([0.5, 0.6, 0.04, 0.3])},
    ]
    table = p_value_shares(found, case="one", kind="no effect").set_index("level")
    assert table.loc[0.05, "share"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert table.loc[0.05, "error"] == pytest.approx(0.125)  # half of the difference of two
    assert table.loc[0.001, "share"] == 0.125
    assert (table["tests"] == 8).all()
    assert (table["smallest"] == 0.001).all()
    counted = p_value_shares([{"all": np.float32([5]) / np.float32(100)}], case="", kind="no effect")
    assert counted["share"].tolist() == [1, 0]


def test_quarters_hold_a_quarter_of_the_values_each():
    values = np.arange(100)
    parts = by_quartile(values, values[::-1], "degree")
    assert list(parts) == [f"degree, quarter {i}" for i in (1, 2, 3, 4)]
    assert [set(part) for part in parts.values()] == [set(range(99 - 25 * i, 74 - 25 * i, -1)) for i in range(4)]


@pytest.mark.parametrize(
    ("power", "kind", "expected"),
    [
        (1.0, "no effect", True),
        (0.5, "no effect", False),  # too many small ones
        (2.0, "no effect", False),  # too few
        (2.0, "discrete", True),
        (0.5, "discrete", False),
        (0.25, "planted", True),
        (1.0, "planted", False),  # a test that finds no more than by chance
    ],
)
def test_what_holds(power, kind, expected):
    rng = np.random.default_rng(0)
    table = p_value_shares([{"all": rng.random(400) ** (1 / power)} for _ in range(50)], case="", kind=kind)
    assert holds(table.loc[table["level"] == 0.05]).tolist() == [expected]


def test_simulations_whose_tests_rise_and_fall_together_get_wider_bounds():
    rng = np.random.default_rng(1)
    shifts = rng.normal(0, 0.5, 60)
    found = [{"all": np.clip(rng.random(500) + shift, 0, 1)} for shift in shifts]
    together = p_value_shares(found, case="", kind="no effect", levels=(0.05,))
    assert together["error"].item() > 5 * (0.05 * 0.95 / 30_000) ** 0.5


def test_coverage_holds_near_its_level_alone():
    rng = np.random.default_rng(2)
    for share, expected in ((0.95, True), (0.8, False), (1.0, False)):
        table = coverage([{"ap": np.array([rng.random() < share])} for _ in range(300)], case="", level=0.95)
        assert holds(table).item() is expected


def test_picture_has_a_panel_for_each_kind_and_level(tmp_path):
    rng = np.random.default_rng(3)
    tables = [
        p_value_shares([{"all": rng.random(50)} for _ in range(5)], case="one", kind="no effect"),
        p_value_shares([{"all": rng.random(50)} for _ in range(5)], case="two", kind="planted", levels=(0.05,)),
    ]
    draw(pd.concat(tables), tmp_path / "images/picture.png")
    assert (tmp_path / "images/picture.png").stat().st_size > 5000


def test_few_simulations_get_the_bound_of_student_s_t():
    # Three standard errors are a certainty of 99.73 %; of the spread between four that takes 9.22 of them.
    row = {"kind": "no effect", "level": 0.05, "error": 0.01, "tests": 10**6, "smallest": 0.0}
    table = pd.DataFrame(
        [row | {"simulations": n, "share": 0.05 + 0.01 * z} for n, z in [(4, 9.1), (4, 9.3), (9999, 3.1)]]
    )
    assert holds(table).tolist() == [True, False, False]
