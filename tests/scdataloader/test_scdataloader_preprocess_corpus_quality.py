"""Which files of a corpus are suspect, why, and where that is told."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scdataloader import Preprocessor, datasets, gene_table, preprocess_files
from scdataloader.preprocess.corpus_page import page
from scdataloader.preprocess.corpus_quality import quality_table, suspicions
from scdataloader.preprocess.corpus_report import CorpusReport
from scdataloader.preprocess.file_result import FileResult
from scdataloader.preprocess.report import Report


def made(name, cells=1000, kept=None, status="done", settings=(("max_mt", 8.0),), **facts):
    report = Report(f"in/{name}.h5ad", facts=facts)
    report.add("cells", (cells, 300), (cells if kept is None else kept, 250), "")
    return FileResult(name, report.source, status, report, settings=dict(settings), version="3")


def plain_file(name, **facts):
    return made(name, **({"median_counts": 4000.0, "median_genes": 1500.0, "median_mt_percent": 2.0} | facts))


MITO = "464 of 1,000 cells (46%) have more than 8% of their counts in mitochondrial genes"
MANY = " are outliers in depth, expressed genes or the share of the top genes"
DOUBT = "X: every count is 0 or 1"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (made("a", cells_over_max_mt=464), [MITO]),
        (made("a", cells_over_max_mt=464, settings=()), [MITO.replace("more than 8%", "too large a share")]),
        (made("a", cells_over_max_mt=100), []),
        (
            made("a", 500, 400, cells_over_max_mt=41),
            [MITO.replace("464 of 1,000 cells (46%)", "41 of 400 cells (10%)")],
        ),
        (made("a", outliers=101), [f"101 of 1,000 cells (10%){MANY}"]),
        (
            made("a", outliers=150, doublets=300),
            ["300 of 1,000 cells (30%) are predicted doublets", f"150 of 1,000 cells (15%){MANY}"],
        ),
        (made("a", kept=499), ["501 of 1,000 cells (50%) were dropped"]),
        (made("a", kept=500), []),
        (made("a", share_of_names_known=0.25), ["75% of the gene names are not known"]),
        (made("a", doubts=[DOUBT], outliers=999), [DOUBT, f"999 of 1,000 cells (99.9%){MANY}"]),
        (made("a", status="failed", cells_over_max_mt=464), []),
        (FileResult("a", "a", "failed", reason="truncated"), []),
        (made("a", cells=0), []),
    ],
)
def test_what_speaks_against_one_file(file, said):
    assert suspicions([file]) == [said]


def test_a_file_far_from_the_others_is_named_with_both_numbers():
    files = [plain_file(str(i), median_counts=4000.0 + 100 * i) for i in range(5)]
    deep = plain_file("deep", median_counts=9_000_000.0)
    *others, found = suspicions([*files, deep])
    assert others == [[]] * 5
    assert found == ["the median of counts in a cell is 9,000,000, that of the files 4,250"]
    assert suspicions([*files[:3], deep]) == [[]] * 4  # four files tell nothing
    assert suspicions([*files, plain_file("few", median_genes=90.0)])[-1] == [
        "the median of expressed genes in a cell is 90, that of the files 1,500"
    ]
    assert suspicions([*files, plain_file("dying", median_mt_percent=12.5)])[-1] == [
        "the median of mitochondrial counts is 12.5%, that of the files 2%"
    ]


def test_differences_that_do_not_matter_are_not_told():
    # however alike the others are, twice their depth and two points more are nothing strange
    files = [plain_file(str(i)) for i in range(8)]
    assert suspicions([*files, plain_file("x", median_counts=8000.0, median_mt_percent=4.0)]) == [[]] * 9
    # nor is a file far out where all differ
    spread = [plain_file(str(i), median_counts=float(10**i)) for i in range(1, 7)]
    assert suspicions(spread) == [[]] * 6


def test_files_without_mitochondrial_genes_are_not_compared():
    files = [plain_file(str(i), median_mt_percent=None) for i in range(8)]
    assert suspicions([*files, plain_file("x", median_mt_percent=30.0)]) == [[]] * 9
    assert quality_table(files)["median_mt_percent"].isna().all()


def test_suspects_are_told_at_the_top_in_the_table_and_in_words(tmp_path):
    files = [plain_file("good"), plain_file("old", cells_over_max_mt=464), plain_file("new", outliers=3)]
    report = CorpusReport(files)
    assert report.table()["suspect"].tolist() == ["", MITO, ""]
    assert report.table()["cells_over_max_mt"].tolist() == [pd.NA, 464, pd.NA]
    report.write(tmp_path)
    assert pd.read_csv(tmp_path / "summary.csv", keep_default_na=False)["suspect"].tolist() == ["", MITO, ""]
    assert str(report).splitlines()[1:] == [f"  look at old: {MITO}"]
    text = page(files)
    assert text.index("Look at these first") < text.index(MITO) < text.index("<h2>Files")
    quality = text[text.index("<h2>Quality") :]
    assert re.findall(r'<a href="#f\d">(\w+)</a>', quality)[:3] == ["old", "good", "new"]
    assert "46.4%" in quality
    assert "0.3%" in quality
    assert "Look at these first" not in page(files[:1])


def test_columns_that_are_no_labels_are_not_listed_as_such():
    labels = {"cell_type": {"rod": 5}, "label": {"Rod_1": 5}, "dataset": {"one": 5}, "donor_id": {"d": 5}}
    text = page([made("a", labels=labels)])
    listed, others = text[text.index("<h2>Labels") : text.index("<h2>Each file")].split("<h2>Other columns")
    assert re.findall(r"<h3>(\w+)<small>", listed) == ["cell_type"]
    assert sorted(re.findall(r"<h3>(\w+)<small>", others)) == ["dataset", "donor_id", "label"]
    # a column that was asked for as a label is one
    text = page([made("a", labels=labels, settings=(("labels", ["label"]),))])
    assert re.findall(r"<h3>(\w+)<small>", text[text.index("<h2>Labels") : text.index("<h2>Other columns")]) == [
        "cell_type",
        "label",
    ]


def test_real_cells_of_which_many_die(tmp_path):
    cells = datasets.retina_1k()[:120].copy()
    table = gene_table("human")
    mitochondrial = cells.var_names.isin(table.index[table["symbol"] == "MT-ND1"])
    counts = sparse.lil_matrix(cells.X)
    for row in range(40):
        counts[row, np.flatnonzero(mitochondrial)[0]] = int(cells.X[row].sum())  # half of the counts
    cells.X = sparse.csr_matrix(counts)
    cells.write_h5ad(tmp_path / "dying.h5ad")
    report = preprocess_files([tmp_path / "dying.h5ad"], tmp_path / "clean", Preprocessor())
    assert report.table()["cells_over_max_mt"].tolist() == [40]
    assert (
        "40 of 120 cells (33%) have more than 8% of their counts in mitochondrial" in report.table()["suspect"].iloc[0]
    )


@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tables_in_a_browser(browser, tmp_path, width, scheme):
    files = [plain_file(str(i), median_counts=4000.0 - i, doublets=i) for i in range(5)]
    files += [plain_file("old", cells_over_max_mt=464), FileResult("cut", "in/cut", "failed", reason="truncated")]
    CorpusReport(files).write(tmp_path)
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto((tmp_path / "report.html").as_uri())
    assert opened.locator(".suspects li").all_inner_texts() == [f"old: {MITO}"]
    # above the fold, or nearly so, and above every table
    tops = [opened.locator(where).first.bounding_box()["y"] for where in (".failures", ".suspects", ".files")]
    assert tops == sorted(tops)

    def names(table):
        return opened.locator(table).locator("tbody tr:visible th a").all_inner_texts()

    assert names(".quality") == ["old", "0", "1", "2", "3", "4"]
    head = opened.locator(".quality").get_by_role("button", name="Median counts")
    head.click()
    assert names(".quality") == ["4", "3", "2", "1", "old", "0"]  # ties as they were given: the suspect one first
    head.click()
    assert names(".quality") == ["old", "0", "1", "2", "3", "4"]
    assert names(".files:not(.quality)") == ["0", "1", "2", "3", "4", "old", "cut"]  # the other table stays
    opened.fill("#text", "old")
    assert names(".quality") == ["old"]
    assert opened.inner_text("#count") == "1 of 7 files"
    opened.locator(".suspects").get_by_role("link", name="old").click()
    assert opened.locator("details.file[open]").count() == 1
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    ink, paper = (
        opened.evaluate(f"getComputedStyle(document.querySelector('.suspects')).{name}")
        for name in ("color", "backgroundColor")
    )
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (light[0] > light[1]) == (scheme == "dark")
    assert abs(light[0] - light[1]) > 300
    assert problems == []
    opened.close()
