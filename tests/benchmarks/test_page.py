"""The page of the benchmarks, as a person sees it in headless Chromium."""

from __future__ import annotations

import pytest
from benchmarks.report import write_report
from benchmarks.suites import SUITES


def result(suite, rows, **more):
    told = {"suite": suite, "name": suite, "status": "ok", "message": "", "not_run": {}, "repeat": 0, "arguments": {}}
    return told | {"rows": rows, "date": "2026-11-30T05:00:00Z", "commit": "0123456789abcdef"} | more


def network(label, group, ratio):
    row = {"dataset": "blood", "group": group, "truth": "OmniPath", "regulators": "assayed", "label": label}
    ends = {"ap_ratio_low": ratio - 0.2, "ap_ratio_high": ratio + 0.3}
    return row | {"orientation": "as stored", "status": "ok", "ap_ratio": ratio, "wall_s": 2.0} | ends


@pytest.fixture
def page(tmp_path):
    networks = [network("scPRINT", group, 1.2) for group in "ab"]
    networks += [network("pearson", group, 1.5) for group in "ab"] + [network("DeepSEM", "a", 1.1)]
    networks.append(
        network("GENIE3-TF", "b", 1.0) | {"ap_ratio": None, "status": "failed", "message": "<b>no</b> trees"}
    )
    networks = [{key: value for key, value in row.items() if value is not None} for row in networks]
    protocols = [
        {"set": "Kang", "types": "whole", "protocol": "paper", "method": method, "spearman": at}
        | {"spearman_low": at - 0.02, "spearman_high": at + 0.02}
        for method, at in {"scPRINT": 0.6, "MAGIC": 0.55, "mean profile": 0.4}.items()
    ]
    results = [
        result("networks", networks, not_run={"DeepSEM on b": "slow: in the full size"}),
        result("denoising", protocols),
        result("annotation", [], status="out of time", message="stopped at the limit of 60 min"),
    ]
    write_report(SUITES, results, tmp_path, size="bench", wrong=["Annotation: no peer ran"])
    return tmp_path / "index.html"


def test_long_tables_open_by_a_click(watched, tmp_path):
    rows = [network(f"method {i}", "a", 1 + i / 100) for i in range(41)]
    write_report(SUITES, [result("networks", rows)], tmp_path, size="bench")
    opened = watched(tmp_path / "index.html")
    rest = opened.locator("details", has_text="All 41 rows").first
    assert rest.locator("tr[data-row]").count() == 41
    assert rest.locator("tr[data-row]:visible").count() == 0
    rest.locator("summary").first.click()
    assert rest.locator("tr[data-row]:visible").count() == 41


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (420, "dark")])
def test_the_page_shows_summaries_and_what_did_not_run(watched, page, width, scheme):
    opened = watched(page, width, scheme)
    assert opened.evaluate("document.documentElement.scrollWidth") == width  # tables scroll inside
    text = opened.inner_text("body")
    assert "Annotation: no peer ran" in text
    summary = opened.locator("tbody", has=opened.locator("tr[data-name^='DeepSEM']")).first
    names = summary.locator("tr[data-row]:visible").evaluate_all("rows => rows.map(row => row.dataset.name)")
    assert names == ["pearson", "scPRINT", "DeepSEM (1 of 2 networks)"]
    # names and messages are text, and no tags
    assert opened.locator("tr", has_text="<b>no</b> trees").count() == 1
    for why in (
        "slow: in the full size",
        "stopped at the limit of 60 min",
        "Beside a shorter run stand the last results",
    ):
        assert opened.get_by_text(why).count() >= 1, why
    assert opened.locator("svg").count() >= 2


def test_rows_are_sorted_by_a_click(watched, page):
    opened = watched(page)
    table = opened.locator("table", has=opened.locator("tr[data-name*='mean profile']")).first
    head = table.locator("thead th", has_text="spearman").first

    def names():
        return table.locator("tr[data-row]:visible").evaluate_all("rows => rows.map(row => row.dataset.name)")

    found = {}
    for _ in range(2):
        head.get_by_role("button").click()
        found[head.get_attribute("aria-sort")] = [name.rpartition(" · ")[2] for name in names()]
    assert found["descending"] == ["scPRINT", "MAGIC", "mean profile"]
    assert found["ascending"] == ["mean profile", "MAGIC", "scPRINT"]
