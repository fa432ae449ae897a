"""The tables and the page of a corpus."""

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.preprocess.corpus_page import dropped, page
from scdataloader.preprocess.corpus_report import CorpusReport
from scdataloader.preprocess.corpus_svg import histogram, number
from scdataloader.preprocess.file_result import FORMAT, FileResult
from scdataloader.preprocess.report import Report

EVIL = "<script>alert('owned')</script>\"><img src=x onerror=alert(1)>"
COLUMNS = [
    "name",
    "status",
    "suspect",
    "cells_in",
    "cells_out",
    "genes_in",
    "genes_out",
    "median_counts",
    "median_genes",
    "median_mt_percent",
    "cells_over_max_mt",
    "outliers",
    "doublets",
    "organism",
    "reason",
    "source",
    "seconds",
]


def made(name, n, primary, left, *, status="done", organism="NCBITaxon:9606", **facts):
    report = Report(f"in/{name}.h5ad", facts={"organism": organism} | facts)
    report.add("gene ids", (n, 300), (n, 250), "50 unknown")
    report.add("primary", (n, 250), (primary, 250), "copies from another data set dropped")
    report.add("cells", (primary, 250), (left, 250), f"of {name}")
    return FileResult(name, report.source, status, report, settings={"min_genes": 200}, version="0.1.0", seconds=2.0)


def corpus():
    refused = Report("in/few.h5ad")
    refused.add("gene ids", (40, 300), (40, 250), "50 unknown")
    return CorpusReport(
        [
            made("b", 1000, 900, 850, labels={"cell_type": {"T cell": 600, "B cell": 250}}),
            made(
                "a", 2000, 2000, 1900, status="skipped", organism="NCBITaxon:10090", labels={"cell_type": {"T cell": 7}}
            ),
            FileResult("few", "in/few.h5ad", "failed", refused, reason="40 cells: 100 are needed", error="ValueError"),
            FileResult("cut", "in/cut.h5ad", "failed", reason="truncated file"),
        ]
    )


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text.append(data)


def text_of(report):
    return " ".join(" ".join(Page(page(report.files)).text).split())


def test_table_has_a_row_a_file_in_the_order_given():
    table = corpus().table()
    assert table.columns.tolist() == COLUMNS
    assert table["name"].tolist() == ["b", "a", "few", "cut"]
    assert table["status"].tolist() == ["done", "skipped", "failed", "failed"]
    assert table["cells_in"].tolist() == [1000, 2000, 40, pd.NA]
    assert table["cells_out"].tolist() == [850, 1900, pd.NA, pd.NA]
    assert table["genes_out"].tolist() == [250, 250, pd.NA, pd.NA]
    assert table["organism"].tolist()[:2] == ["NCBITaxon:9606", "NCBITaxon:10090"]
    assert table["reason"].tolist() == ["", "", "40 cells: 100 are needed", "truncated file"]


def test_steps_have_the_columns_of_a_report_and_the_file():
    steps = corpus().steps()
    assert steps.columns.tolist() == ["step", "cells_in", "cells_out", "genes_in", "genes_out", "detail", "file"]
    assert steps["file"].tolist() == ["b"] * 3 + ["a"] * 3 + ["few"]
    assert steps.loc[2, ["step", "cells_in", "cells_out"]].tolist() == ["cells", 900, 850]
    assert CorpusReport([]).steps().columns.tolist() == steps.columns.tolist()
    assert CorpusReport([]).table().columns.tolist() == COLUMNS


def test_failed_and_ok():
    report = corpus()
    assert [(file.name, file.reason) for file in report.failed] == [
        ("few", "40 cells: 100 are needed"),
        ("cut", "truncated file"),
    ]
    assert not report.ok
    assert CorpusReport(report.files[:2]).ok
    assert str(report).splitlines() == [
        "4 files: 1 done, 1 done before, 2 failed",
        "  few: 40 cells: 100 are needed",
        "  cut: truncated file",
    ]


def test_time_taken_makes_no_difference():
    first, second = made("a", 3, 2, 1), FileResult(**(vars(made("a", 3, 2, 1)) | {"seconds": 99.0}))
    assert first == second
    assert FileResult.from_dict(json.loads(json.dumps(first.to_dict()))) == first
    assert made("a", 3, 2, 2) != first


def test_written_files(tmp_path):
    corpus().write(tmp_path)
    names = ["report.csv", "report.csv.json", "report.html", "summary.csv", "summary.csv.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert pd.read_csv(tmp_path / "report.csv")["file"].tolist()[-1] == "few"
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table.columns.tolist() == COLUMNS
    assert table["cells_out"].sum() == 2750
    assert (tmp_path / "report.html").read_text("utf-8") == page(corpus().files)


def test_a_failure_to_write_leaves_what_was_there(tmp_path, monkeypatch):
    corpus().write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(report):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scdataloader.preprocess.corpus_page.page", fails)
    with pytest.raises(OSError, match="No space left"):
        CorpusReport([made("new", 5, 5, 5)]).write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_read_finds_all_files_of_a_folder(tmp_path):
    for file in corpus().files:
        record = file.to_dict() | {
            "input": None,
            "output": {"size": 3},
            "status": file.status.replace("skipped", "done"),
        }
        (tmp_path / f"{file.name}.json").write_text(json.dumps(record))
    (tmp_path / "a.h5ad").write_text("abc")
    (tmp_path / "b.h5ad").write_text("too long")
    (tmp_path / "theirs.json").write_text('{"format": "something else"}')
    (tmp_path / "list.json").write_text("[1]")
    report = CorpusReport.read(tmp_path)
    assert [(file.name, file.status) for file in report.files] == [
        ("a", "done"),
        ("b", "failed"),
        ("cut", "failed"),
        ("few", "failed"),
    ]
    assert report.files[1].reason == "b.h5ad is not there as it was written: run again"
    assert report.files[3] == corpus().files[2]
    assert FORMAT in (tmp_path / "a.json").read_text()
    with pytest.raises(FileNotFoundError, match="holds no corpus"):
        CorpusReport.read(tmp_path / "none")


def test_what_was_dropped_adds_up():
    report = corpus()
    assert dropped(report.files, "cells") == {"cells": 150, "primary": 100, "in files that failed": 40}
    assert dropped(report.files, "genes") == {"gene ids": 100}
    table = report.table()
    assert sum(dropped(report.files, "cells").values()) == table["cells_in"].sum() - table["cells_out"].sum()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=6))
def test_what_was_dropped_adds_up_whatever_the_files(rows):
    report = CorpusReport(
        [
            made(str(i), a + b + c, a + b, a, status="failed" if failed else "done")
            for i, (a, b, c, failed) in enumerate(rows)
        ]
    )
    n_in, n_out = (report.table()[column].sum() for column in ("cells_in", "cells_out"))
    assert sum(dropped(report.files, "cells").values()) == n_in - n_out


def test_page_tells_totals_reasons_and_every_step():
    text = text_of(corpus())
    assert "Preprocessing of 4 files" in text
    assert "1 done · 1 done before · 2 failed" in text
    assert "3,040 → 2,750" in text  # 1000 + 2000 + 40
    assert "90.5% kept; not counting 1 file whose cells are not known" in text
    assert "human: 1 file · mouse: 1 file" in text
    assert "few : 40 cells: 100 are needed" in text
    assert "primary: copies from another data set dropped 100 · 3.3%" in text
    assert "cells 150 · 4.9%" in text  # said differently of each file
    assert "1,000 → 900 250 copies from another data set dropped" in text
    assert "T cell ≥ 607" in text  # labels of most cells of `a` are not told
    assert "Settings min_genes 200" in text


def test_no_number_is_shown_that_was_not_measured():
    parsed = Page(page([FileResult("cut", "in/cut.zarr", "failed", reason="truncated file")]))
    assert "data-value" not in [name for _, name, _ in parsed.attributes]
    text = " ".join(" ".join(parsed.text).split())
    assert not re.search(r"\d", text.replace("Preprocessing of 1 file", "").replace("Files 1 1 failed", ""))
    for word in ("Genes in a file", "Organism ", "What was dropped", "Labels", "Settings", "nan", "None"):
        assert word not in text.replace("Organism Seconds", "")


def test_names_cannot_become_part_of_the_page():
    report = Report(EVIL, warnings=[EVIL], facts={EVIL: EVIL, "organism": EVIL, "labels": {EVIL: {EVIL: 3}}})
    report.facts["histograms"] = {EVIL: {"edges": [0, 1, 2], "counts": [1, 2]}}
    report.add(EVIL, (5, 5), (3, 4), EVIL)
    files = [
        FileResult(EVIL, EVIL, "done", report, settings={EVIL: EVIL}, version=EVIL),
        FileResult(EVIL, EVIL, "failed", report, reason=EVIL),
    ]
    parsed = Page(page(files))
    assert parsed.tags.count("script") == 2  # what made the files, and what runs
    assert "img" not in parsed.tags
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert " ".join(parsed.text).count(EVIL) >= 12


def test_page_loads_nothing():
    parsed = Page(page(corpus().files))
    assert not {"link", "img", "iframe", "object", "embed"} & set(parsed.tags)
    outside = [value for _, name, value in parsed.attributes if name in {"src", "href", "style"}]
    assert all(value.startswith("#f") for value in outside)
    policy = next(value for tag, name, value in parsed.attributes if tag == "meta" and "default-src" in str(value))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_histogram_is_drawn_to_scale():
    text = histogram("genes", [0, 1, 3], [4, 1])
    assert 'd="M0.0,100V0.0H100.0V100M100.0,100V75.0H300.0V100"' in text
    assert "at most 4 cells in a bin" in text
    assert 'd=""' in histogram("constant", [2, 2], [0])


def test_numbers_to_read():
    assert [number(x) for x in (3, 1234567, 2143.5, 0.98765, 1e-7, 12.0)] == [
        "3",
        "1,234,567",
        "2,144",
        "0.9877",
        "1e-07",
        "12",
    ]


def test_500_files_stay_small():
    edges, counts = [i / 3 for i in range(31)], list(range(30))
    facts = {
        "histograms": {name: {"edges": edges, "counts": counts} for name in "abc"},
        "labels": {name: {f"label {i}": i for i in range(40)} for name in "xyz"},
    }
    files = [made(f"file{i}", 1000, 900, 800, **facts) for i in range(500)]
    text = page(files)
    assert len(text) < 10e6
    assert text.count('<details class="file"') == 500


def test_in_a_browser(browser, tmp_path):
    files = [*corpus().files, FileResult(EVIL.replace("/", ""), "x", "failed", reason=EVIL)]
    CorpusReport(files).write(tmp_path)
    opened = browser.new_page(viewport={"width": 400, "height": 800})
    requests, problems = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(dialog.message))
    opened.goto((tmp_path / "report.html").as_uri())

    def names():
        return opened.locator(".files tbody tr:visible th a").all_inner_texts()[:4]

    assert names() == ["b", "a", "few", "cut"]
    opened.get_by_role("button", name="Cells in").click()
    assert names() == ["few", "b", "a", "cut"]  # what is not known is last
    opened.get_by_role("button", name="Cells in").click()
    assert names() == ["a", "b", "few", "cut"]
    opened.get_by_role("button", name="File").click()
    assert [name for name in names() if len(name) < 4] == ["a", "b", "cut"]
    opened.select_option("#status", "failed")
    assert set(names()) == {"few", "cut", EVIL.replace("/", "")}
    opened.fill("#text", "TRUNC")
    assert names() == ["cut"]
    assert opened.locator("details.file:visible").count() == 1
    assert opened.inner_text("#count") == "1 of 5 files"
    opened.fill("#text", "")
    opened.select_option("#status", "")
    opened.locator(".files").get_by_role("link", name="few", exact=True).click()
    assert opened.locator("details.file[open] summary").inner_text().endswith("few")
    opened.locator("details.file[open] summary").click()  # folded again, the same link opens it again
    opened.locator(".failures").get_by_role("link", name="few").click()
    assert opened.locator("details.file[open]").count() == 1
    assert opened.evaluate("document.documentElement.scrollWidth") == 400  # no sideways scrolling on a telephone
    assert problems == []
    assert [url for url in requests if not url.startswith("file://")] == []
    opened.close()
