"""The plots of the demo's page: their numbers, and how they look in a browser."""

import re

import pandas as pd

from scprint_model.demo.charts import confusion, heat_table, interval_chart
from scprint_model.demo.page import described, write_page

ROWS = [
    {"method": "ours <b>", "value": 0.5, "value_low": 0.25, "value_high": 0.75, "standing": "ours less this +0.1"},
    {"method": "chance", "value": 1.0, "value_low": None, "value_high": None},
    {"method": "unknown", "value": None},
]


def test_dots_and_bars_stand_at_their_numbers():
    chart = interval_chart(ROWS, label="Share & all", bold=["ours <b>"])
    assert "Share &amp; all" in chart
    assert re.findall(r'class="dot" style="left:([\d.]+)%', chart) == ["50.0", "100.0"]
    assert re.findall(r'class="bar" style="left:([\d.]+)%;width:([\d.]+)%', chart) == [("25.0", "50.00")]
    assert "0.500 [0.250, 0.750]" in chart
    assert "1.000</span>" in chart  # no interval where there is none
    assert chart.count('class="row ours"') == 1
    assert "ours &lt;b&gt;" in chart
    assert "unknown" not in chart
    below = interval_chart([{"method": "x", "value": -1.0}, {"method": "y", "value": 3.0}], label="l")
    assert re.findall(r'class="dot" style="left:([\d.]+)%', below) == ["0.0", "100.0"]
    assert interval_chart([{"method": "x", "value": None}], label="l") == ""


def test_given_by_predicted_types():
    given = pd.Series(["a"] * 5 + ["b"] * 3 + ["c", "d", "d"])
    predicted = pd.Series(["a", "a", "a", "b", "unknown", "b", "b", "e", "e", "a", "f"])
    counts = confusion(given, predicted, most=2)
    assert counts.index.tolist() == ["a", "b", "other types"]
    assert counts.columns.tolist() == ["a", "b", "other types", "unknown"]
    assert counts.to_numpy().tolist() == [[3, 1, 0, 1], [0, 2, 1, 0], [1, 0, 2, 0]]
    assert counts.to_numpy().sum() == 11
    page = heat_table(counts, {("a", "a"), ("b", "b")})
    assert page.count('class="right"') == 2
    assert '<td class="right" style="--share:60%">3</td>' in page
    assert "b (3)" in page


def test_the_page_is_narrow_and_dark_where_asked(browser, tmp_path):
    names = [f"a long name of a cell type, number {i}" for i in range(14)]
    counts = confusion(pd.Series(names * 3), pd.Series(names * 3))
    parts = [
        interval_chart(ROWS, label="Share of cells", bold=["ours <b>"]),
        heat_table(counts, {(name, name) for name in names}),
        described({"model": f"<code>{'0123456789abcdef' * 4}</code>"}),
    ]
    write_page(tmp_path / "p.html", title="T", lead="l", sections=[("h", "".join(parts))])
    for scheme, is_dark in (("light", False), ("dark", True)):
        opened = browser.new_page(viewport={"width": 420, "height": 800}, color_scheme=scheme)
        opened.goto((tmp_path / "p.html").as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") == 420
        ink, ground = (
            sum(map(int, re.findall(r"\d+", opened.evaluate(f"getComputedStyle(document.body).{name}"))[:3]))
            for name in ("color", "backgroundColor")
        )
        assert (ink > ground) == is_dark
        assert abs(ink - ground) > 450
        assert opened.evaluate("document.querySelector('div.wide').scrollWidth") > 420  # the table scrolls in its box
        assert opened.locator(".ours .number").inner_text().startswith("0.500 [0.250, 0.750]")
        opened.close()
