"""The leaderboard: what the page holds, and what a person sees and does in headless Chromium."""

import base64
import hashlib
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.bengrn.benchmark_results import make_results

from bengrn.benchmarking.columns import HELD_OUT, as_table
from bengrn.benchmarking.report.leaderboard import report
from bengrn.benchmarking.report.open_problems_scores import score_records
from bengrn.benchmarking.report.overlap import clustered, order_agreement, shared_edges
from bengrn.benchmarking.report.page import Facet, Page, Section, Text
from bengrn.benchmarking.report.questions import places, questions
from bengrn.benchmarking.report.reading import read_results
from bengrn.benchmarking.report.tables import Block, Column, Number, Row, Table, between, short
from bengrn.cli import main


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("benchmark") / "results")


@pytest.fixture(scope="module")
def leaderboard(results):
    return report(results, results.parent / "leaderboard.html")


def rows(**columns):
    """A table of rows that differ in what is given."""
    n = max(len(values) for values in columns.values())
    same = {
        "method": [f"m{i}" for i in range(n)],
        "dataset": ["d"] * n,
        "truth": ["t"] * n,
        "regulators": ["assayed"] * n,
    }
    same |= {"label": same["method"], "orientation": ["as stored"] * n, "status": ["ok"] * n, "seed": [0] * n}
    return as_table(pd.DataFrame(same | columns)).assign(added="")


# ------------------------------------------------------------------------------------------------- the rows


def test_universes_and_other_pairs_never_share_a_ranking(results):
    table = read_results(results).table
    for question in questions(table):
        assert question.rows["regulators"].nunique() == question.rows["truth"].nunique() == 1
    told = rows(
        n_regulators=[5, 5, 4, None], n_targets=[9, 9, 9, None], n_positives=[3, 3, 3, None], ap=[0.1, 0.2, 0.3, 0]
    )
    told.loc[3, "status"] = "failed"
    found = [sorted(question.rows["method"]) for question in questions(told)]
    assert found == [["m0", "m1", "m3"], ["m2"]]  # the failure stands with the most


def test_places_are_those_that_intervals_leave_open():
    # m0 overlaps m1; m2 lies below both; m3 has no interval
    told = rows(ap=[0.5, 0.45, 0.1, 0.4], ap_low=[0.4, 0.35, 0.05, None], ap_high=[0.6, 0.55, 0.2, None])
    assert places(told).fillna(0).astype(int).to_numpy().tolist() == [[1, 2, 3], [1, 2, 3], [3, 3, 3], [0, 0, 0]]
    # transposed networks are no rivals of those as stored; symmetric ones are of both; baselines have no place
    told["orientation"] = ["transposed", "as stored", "symmetric", "symmetric"]
    told.loc[3, ["method", "ap_low", "ap_high"]] = ["random", 0.9, 1.0]
    assert places(told).fillna(0).astype(int).to_numpy().tolist() == [[1, 1, 2], [1, 1, 2], [2, 2, 2], [0, 0, 0]]
    # nor are those of other replicates
    told["replicate"] = ["a", "b", "b", "b"]
    assert places(told).fillna(0).astype(int).to_numpy().tolist()[0] == [1, 1, 1]


def test_tables_of_others_stand_beside_the_run(results, tmp_path):
    theirs = tmp_path / "theirs.csv"
    key = {"method": "mine", "dataset": "retina_1k", "group": "rod cell", "truth": "omnipath", "regulators": "assayed"}
    pd.DataFrame([key | {"ap": 0.03}]).to_csv(theirs, index=False)
    found = read_results(results, [theirs]).table
    (row,) = found[found["method"] == "mine"].to_dict("records")
    assert [row[name] for name in ("label", "added", "orientation", "status", "ap")] == [
        *("mine", "theirs.csv", "as stored", "ok"),
        0.03,
    ]
    assert math.isnan(row["ap_low"])
    assert len(read_results(None, [theirs]).table) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": ""}, r"theirs.csv: every row needs .*, and some lack 'dataset'"),
        ({"status": "fine"}, r"theirs.csv: there is no status 'fine'"),
        ({"ap": None}, r"theirs.csv: 1 row without any of 'ap'"),
        ({"method": "random"}, r"share their key, such as method 'random', .* rename the methods"),
    ],
)
def test_tables_of_others_that_cannot_be_used(results, tmp_path, changed, message):
    key = {"method": "mine", "settings": "{}", "dataset": "retina_1k", "group": "rod cell", "truth": "omnipath"}
    row = key | {"regulators": "assayed", "organism": "human", "ap": 0.03} | changed
    pd.DataFrame([row]).to_csv(tmp_path / "theirs.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_results(results, [tmp_path / "theirs.csv"])


def test_rows_are_selected_by_value(results):
    found = read_results(results)
    kept = found.select(regulators="assayed", group="rod cell", truth=["omnipath"])
    assert len(kept.table) == 13
    assert set(kept.curves) == set(kept.table.index[kept.table["details"] != ""])
    with pytest.raises(
        ValueError, match=r"no row has truth = 'trrust': there are 'collectri', 'held-out cells', 'omnipath'"
    ):
        found.select(truth="trrust")
    with pytest.raises(ValueError, match="there is no column 'universe'"):
        found.select(universe="assayed")


def test_folders_without_results(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none: name the one that `bengrn run` wrote"):
        read_results(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"has no table.parquet"):
        read_results(tmp_path)
    as_table([]).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="there are no rows in"):
        read_results(tmp_path)


# ---------------------------------------------------------------------------------------------- agreement


def edges(*pairs):
    return pd.DataFrame(
        [(*pair, 1.0 / (i + 1)) for i, pair in enumerate(pairs)], columns=["source", "target", "weight"]
    )


def test_shared_edges_by_hand():
    a = edges("ab", "ac", "bc", "cb")
    b = edges("ab", "ca", "bc")
    # three of each: ab and bc of ab, ac, bc, ca
    assert shared_edges([a, b]).tolist() == [[1, 0.5], [0.5, 1]]
    assert shared_edges([a, b], top=1).tolist() == [[1, 1], [1, 1]]


def test_rank_correlation_is_that_of_pandas():
    rng = np.random.default_rng(0)
    names = [(f"g{i}", f"g{j}") for i in range(8) for j in range(8) if i != j]
    a, b = (edges(*(names[i] for i in rng.permutation(len(names))[:45])) for _ in range(2))
    both = a.merge(b, on=["source", "target"])
    assert len(both) >= 20
    expected = both["weight_x"].corr(both["weight_y"], method="spearman")
    assert order_agreement([a, b])[0, 1] == pytest.approx(expected)
    assert np.isnan(order_agreement([a[:19], b])[0, 1])


def test_networks_that_agree_stand_side_by_side():
    likeness = np.full((4, 4), 0.1)
    likeness[0, 2] = likeness[2, 0] = likeness[1, 3] = likeness[3, 1] = 0.9
    np.fill_diagonal(likeness, 1)
    order = clustered(likeness)
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset({0, 2}), frozenset({1, 3})}


# ---------------------------------------------------------------------------------------- Open Problems


def test_score_records_of_open_problems(results, tmp_path, capsys):
    assert main(["report", str(results), "--format", "openproblems", "-o", str(tmp_path / "scores.json")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/scores.json: 116 rows, 13 of them without a result\n"
    table = read_results(results).table
    records = json.loads((tmp_path / "scores.json").read_text())
    assert len(records) == (table["status"] == "ok").sum()
    wanted = table[(table["method"] == "genie3") & (table["group"] == "rod cell") & (table["truth"] == "omnipath")]
    wanted = wanted[(wanted["regulators"] == "assayed") & (wanted["orientation"] == "transposed")].iloc[0]
    ids = ("retina_1k/rod_cell/omnipath/assayed/transposed", "genie3_n_trees=100")
    (found,) = [one for one in records if (one["dataset_id"], one["method_id"]) == ids]
    assert set(found) == {"dataset_id", "method_id", "metric_ids", "metric_values"}
    values = dict(zip(found["metric_ids"], found["metric_values"], strict=True))
    assert set(values) == {"ap", "ap_ratio", "auprc_paper", "auroc", "epr", "odds_ratio"}
    assert values["ap"] == wanted["ap"]
    with pytest.raises(ValueError, match="several rows would be 'a_b' on 'd/t/assayed'"):
        score_records(rows(label=["a b", "A_b"], ap=[0.1, 0.2]))


# ------------------------------------------------------------------------------------------------- the file


def test_numbers_as_people_read_them():
    assert [short(v) for v in (0.05312, 3.131, 1234.5, 0, -0.2, 0.000012, math.nan)] == [
        *("0.0531", "3.13", "1,234", "0", "-0.200"),
        *("1.2e-05", "–"),
    ]
    assert (between(0.1, 0.2), between(-0.1, 0.2)) == ("0.100–0.200", "-0.100 to 0.200")


def test_the_page_loads_nothing_and_runs_only_its_own_script(leaderboard):
    text = leaderboard.read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#x27;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"
    assert set(re.findall(r"(?:src|href)=\"[^#][^\"]*\"|@import|url\(", text)) == {'href="data:,"'}
    assert "<b>name</b>" not in text  # of the message of a failure


def test_what_made_the_page_is_told(leaderboard, results, capsys):
    assert main(["inspect", str(leaderboard)]) == 0
    checksum = hashlib.sha256((results / "table.parquet").read_bytes()).hexdigest()
    assert f"input: file table.parquet, sha256 {checksum}" in capsys.readouterr().out


def test_the_same_results_give_the_same_page(leaderboard, results, tmp_path):
    again = report(read_results(results), tmp_path / "again.html")
    assert again.read_bytes() == leaderboard.read_bytes()


def test_what_cannot_be_reported_is_told_in_one_line(results, tmp_path, capsys):
    assert main(["report"]) == 2
    assert "there is nothing to report: name the folder that `bengrn run` wrote" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "no"), "-o", str(tmp_path / "x.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["report", str(results), "-o", str(tmp_path)]) == 2
    assert "is a folder: name the file to write" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- the browser


def methods(opened, block):
    """Names of the visible rows of a block of the leaderboard."""
    body = opened.locator("#p0-0 tbody", has=opened.locator(".block", has_text=block))
    return body.locator("tr[data-row]:visible").evaluate_all("rows => rows.map(row => row.dataset.name)")


BLOCK = "rod cell · omnipath · assayed regulators"


def test_rows_are_sorted_within_their_block(watched, leaderboard):
    opened = watched(leaderboard)
    by_score = ["degrees of the truth", "genie3, n_trees=100", "grnboost2", "clr", "aracne, tolerance=0.15", "pearson"]
    assert methods(opened, BLOCK) == [*by_score, "random", "scprint"]  # the failed one is last
    time = opened.locator("#p0-0 thead th", has_text="Time")
    time.get_by_role("button").press("Enter")
    assert time.get_attribute("aria-sort") == "ascending"
    assert opened.locator("#p0-0 [aria-sort]").count() == 1
    by_time = ["random", "pearson", "clr", "aracne, tolerance=0.15", "grnboost2", "genie3, n_trees=100"]
    assert methods(opened, BLOCK) == [*by_time, "degrees of the truth", "scprint"]  # nothing measured: last
    time.get_by_role("button").click()
    assert time.get_attribute("aria-sort") == "descending"
    assert methods(opened, BLOCK) == [*reversed(by_time), "degrees of the truth", "scprint"]
    # blocks do not mix
    assert opened.locator("#p0-0 .block:visible").all_inner_texts()[0].startswith("retina_1k · Müller glia · collectri")


def test_choices_hold_for_the_table_and_the_plots(watched, leaderboard):
    opened = watched(leaderboard)
    assert opened.inner_text("#shown") == "44 of 116 rows shown, 4 of them without a result"
    assert "all" not in opened.locator("#choice-regulators option").all_inner_texts()
    assert opened.locator("#p0-0 .block:visible", has_text="truth regulators").count() == 0
    assert opened.locator("#p1-0 .card").count() == 4
    opened.select_option("#choice-regulators", "truth")
    assert opened.locator("#p0-0 .block:visible", has_text="assayed regulators").count() == 0
    assert opened.locator("#p0-0 .block:visible", has_text="truth regulators").count() == 4
    opened.select_option("#choice-group", "rod cell")
    opened.select_option("#choice-truth", "omnipath")
    (heading,) = opened.locator("#p1-0 .card h3").all_inner_texts()
    assert heading.split("\n") == [
        "retina_1k · rod cell · omnipath · truth regulators",
        "87 regulators × 949 targets, 1,487 true edges, 1.25% of the pairs",
    ]
    assert "scprint" in methods(opened, "rod cell · omnipath · truth")
    opened.select_option("#choice-orientation", "transposed")
    assert opened.locator("#p0-0 tr[data-row]:visible", has_text="transposed").count() == 5
    opened.select_option("#choice-status", "failed")
    assert methods(opened, "rod cell · omnipath · truth") == ["scprint"]
    assert opened.locator("#p0-0 .failure:visible").inner_text() == (
        "failed ValueError: 0 of 2,000 genes are known to the model: <b>name</b> them by Ensembl id"
    )
    # the address leads back to what is seen
    again = watched(leaderboard, fragment=f"#{opened.url.partition('#')[2]}")
    assert (
        again.inner_text("#shown") == opened.inner_text("#shown") == "2 of 116 rows shown, 2 of them without a result"
    )
    opened.get_by_role("button", name="Reset").click()
    opened.wait_for_function("document.getElementById('shown').textContent.startsWith('44 of')")


def test_how_to_reproduce_a_row_is_shown_on_demand(watched, leaderboard):
    opened = watched(leaderboard)
    row = opened.locator("#p0-0 tbody", has=opened.locator(".block", has_text=BLOCK)).locator('tr[data-name="clr"]')
    button = row.get_by_role("button", name="How to reproduce: clr")
    assert button.get_attribute("aria-expanded") == "false"
    button.press("Enter")
    detail = opened.locator(f"#{button.get_attribute('aria-controls')}")
    assert button.get_attribute("aria-expanded") == "true"
    shown = detail.locator("pre").inner_text()
    assert yaml.safe_load(shown) == {
        "methods": [{"name": "clr", "label": "clr"}],
        "datasets": [{"name": "retina_1k", "path": "cells.h5ad", "groupby": "cell_type", "groups": ["rod cell"]}],
        "truths": [{"name": "omnipath"}],
        "seeds": [0],
        "bootstrap": 200,
    }
    assert "bengrn run row.yaml" in detail.inner_text()
    assert f"sha256 {'ab' * 32}" in detail.inner_text()
    # it moves with its row
    opened.locator("#p0-0 thead th", has_text="Time").get_by_role("button").click()
    assert row.evaluate("row => row.nextElementSibling.id") == button.get_attribute("aria-controls")
    opened.select_option("#choice-group", "Müller glia")
    assert detail.is_hidden()
    opened.select_option("#choice-group", "")
    button.click()
    assert detail.is_hidden()


def test_plots_draw_what_the_table_says(watched, leaderboard, results):
    opened = watched(leaderboard)
    table = read_results(results).table
    card = opened.locator("#p1-0 .card", has_text=BLOCK)
    assert card.locator("text.label").all_text_contents()[:2] == ["degrees of the truth", "genie3, n_trees=100"]
    row = table[(table["label"] == "clr") & (table["group"] == "rod cell") & (table["truth"] == "omnipath")]
    row = row[row["regulators"] == "assayed"].iloc[0]
    said = card.locator('.mark[data-tip^="clr"]').get_attribute("data-tip")
    assert said == f"clr: AP {short(row['ap'])}, 95% interval {short(row['ap_low'])} to {short(row['ap_high'])}"
    assert card.locator("text.missing").all_text_contents() == ["failed"]
    # filled where the whole interval is above random
    assert card.locator('.mark[data-tip^="clr"] .above').count() == 1
    assert card.locator('.mark[data-tip^="random"] .level').count() == 1
    opened.select_option("[data-measure=p1-0]", "auroc")
    assert (
        card.locator('.mark[data-tip^="clr"]').get_attribute("data-tip").startswith(f"clr: AUROC {short(row['auroc'])}")
    )
    curves = opened.locator("#p2-0 .card", has_text=BLOCK).locator("svg .curve")
    assert curves.count() == 7
    heat = opened.locator("#p4-0 .card", has_text="rod cell")
    assert heat.locator(".cell").count() == 36
    texts = heat.locator(".value").all_text_contents()
    assert [texts[7 * i] for i in range(6)] == ["1.0"] * 6
    tip = card.locator('.mark[data-tip^="clr"]')
    tip.locator("path").last.hover()
    assert opened.locator("#tip").inner_text().startswith("clr: AUROC")


@pytest.mark.parametrize(("width", "scheme"), [(420, "dark"), (1280, "light")])
def test_the_page_fits_and_can_be_read(watched, leaderboard, width, scheme):
    opened = watched(leaderboard, width, scheme)
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    for svg in opened.locator(".panels svg").element_handles():
        assert svg.evaluate("svg => svg.getBoundingClientRect().right") <= width
    low = opened.evaluate(CONTRAST)
    assert low == []


#: Texts whose contrast with what lies behind them is below 4.5, those of plots included.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => value / 255);
  };
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
    return "white";
  };
  const found = [];
  const texts = "h1, h2, h3, p, small, th, td, button, dt, dd, label, svg text:not(.value)";
  for (const one of document.querySelectorAll(texts)) {
    if (!one.textContent.trim() || !one.getClientRects().length) continue;
    const style = getComputedStyle(one), colour = one instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(colour), luminance(behind(one))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${one.tagName}: ${one.textContent.slice(0, 30)} ${contrast.toFixed(2)}`);
  }
  return [...new Set(found)].slice(0, 10);
}"""


def test_any_table_makes_a_page(watched, tmp_path):
    """The parts know nothing of networks: speed tables and others use them as well."""
    numbers = [Number(v, f"{v} s", v - 0.5, v + 0.5, reference=1.0) for v in (3.0, 1.0, math.nan)]
    blocks = [
        Block("<one>", [Row(name, {"time": n}, facets={"kind": "a"}) for name, n in zip("xyz", numbers, strict=True)]),
        Block("two", [Row("w", {"time": Number(2.0, "2 s")}, facets={"kind": ["a", "b"]})]),
    ]
    table = Table("Times", "Step", [Column("time", "Time", "Median.", drawn=True, largest_first=False)], blocks)
    text = Page(
        "Speed",
        "of <steps>",
        (Section("Times", (table, Text(("A note.",)))),),
        facets=(Facet("kind", "Kind", ("a", "b")),),
    ).text()
    (tmp_path / "p.html").write_text(text, encoding="utf-8")
    opened = watched(tmp_path / "p.html")

    def names():
        return opened.locator("tr[data-row]:visible th .name").all_inner_texts()

    assert names() == ["x", "y", "z", "w"]
    opened.get_by_role("button", name="Time").click()
    assert names() == ["y", "x", "z", "w"]
    opened.get_by_role("button", name="Step").click()
    assert names() == ["x", "y", "z", "w"]
    opened.select_option("#choice-kind", "b")
    assert names() == ["w"]
    assert opened.inner_text("#shown") == "1 of 4 rows shown"
    assert opened.locator(".block:visible").all_inner_texts() == ["two"]
    circles = re.findall(r'<circle class="(\w+)"', text)
    assert circles == ["above", "level", "level"]  # 2.5 to 3.5 is above 1, 0.5 to 1.5 is not


def test_held_out_cells_have_a_table_of_their_own(watched, leaderboard, results):
    opened = watched(leaderboard)
    heading = opened.get_by_role("heading", name="Prediction of held-out cells")
    section = opened.locator("section", has=heading)
    table = read_results(results).table
    assert section.locator("tr[data-row]").count() == (table["truth"] == HELD_OUT).sum() == 12
    assert opened.locator("#p0-0", has_text=HELD_OUT).count() == 0
