"""The page for a browser: what the file holds, and what a person sees and does in headless Chromium."""

import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import pl

NAMES = ["ENSG1", "ENSG2", "ENSG3", "ENSG4", "ENSG5", "ENSG6"]
SYMBOLS = ["CRX", "RHO", "<b>bold</b>", "NRL", 'q"uote', "lone"]
# CRX → RHO 4, CRX → <b> 2, NRL ⊣ RHO -3, RHO → CRX 1, q"uote → NRL 0.5
EDGES = [(0, 1, 4.0), (0, 2, 2.0), (3, 1, -3.0), (1, 0, 1.0), (4, 3, 0.5)]


def network(directed=True):
    matrix = np.zeros((6, 6), dtype=np.float32)
    for i, j, weight in EDGES:
        matrix[i, j] = weight
    if not directed:
        matrix = matrix + matrix.T
    grn = grnndata.from_matrix(matrix, NAMES, directed=directed, method="by hand")
    grn.var["symbol"] = SYMBOLS
    return grn


def data_of(path):
    text = path.read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(held)


# ------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_the_page_holds_the_edges(tmp_path, kind):
    grn = network()
    grn.grn = kind(grn.grn)
    path = pl.network_html(grn, tmp_path / "n.html", regulators=["CRX", "NRL"], title="My <network>")
    data = data_of(path)
    names = [node["id"] for node in data["nodes"]]
    assert names == NAMES[:5]  # the gene without edges is not drawn
    assert [node["label"] for node in data["nodes"]] == SYMBOLS[:5]
    assert [node["regulator"] for node in data["nodes"]] == [True, False, False, True, False]
    found = {(names[i], names[j], weight) for i, j, weight in data["edges"]}
    assert found == {(NAMES[i], NAMES[j], weight) for i, j, weight in EDGES}
    text = path.read_text(encoding="utf-8")
    assert "<b>bold" not in text
    assert "<title>My &lt;network&gt;</title>" in text
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=|https?://(?!www\.w3\.org/2000/svg)", text)  # nothing to load
    assert [p.name for p in tmp_path.iterdir()] == ["n.html"]


def test_genes_neighbours_and_top_edges_choose_what_is_drawn(tmp_path):
    data = data_of(pl.network_html(network(), tmp_path / "n.html", genes=["ENSG4"], neighbours=1))
    assert [node["label"] for node in data["nodes"]] == ["NRL", "RHO"]
    assert data["edges"] == [[0, 1, -3.0]]
    data = data_of(pl.network_html(network(), tmp_path / "n.html", top_edges=2))
    assert sorted(edge[2] for edge in data["edges"]) == [-3, 4]
    undirected = data_of(pl.network_html(network(directed=False), tmp_path / "n.html"))
    assert not undirected["directed"]
    assert len(undirected["edges"]) == 4  # CRX - RHO once, with both weights added by the example


def test_communities_have_colours_and_a_legend(tmp_path):
    communities = pd.Series([0, 0, 1, 1, 1, 2], index=NAMES)
    data = data_of(pl.network_html(network(), tmp_path / "n.html", communities=communities))
    colours = [node["colour"] for node in data["nodes"]]
    assert colours[0] == colours[1] != colours[2] == colours[3] == colours[4]
    assert data["legend"] == {"community 0": colours[0], "community 1": colours[2]}


def test_the_layout_keeps_nodes_apart_and_is_the_same_every_time(tmp_path):
    rng = np.random.default_rng(0)
    grn = grnndata.from_matrix(rng.random((300, 300)) * (rng.random((300, 300)) < 0.004), [f"g{i}" for i in range(300)])
    one, two = (data_of(pl.network_html(grn, tmp_path / name)) for name in ("a.html", "b.html"))
    assert one == two
    places = np.array([[node["x"], node["y"]] for node in one["nodes"]])
    gap = np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(len(places), dtype=bool)]
    assert (gap > 14).mean() > 0.995  # more than a node's width


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": ["nobody"]}, "1 genes are not in var_names: nobody"),
        ({"genes": []}, "no genes"),
        ({"genes": "ENSG1"}, "must be a list of gene names"),
        ({"top_edges": 0}, "top_edges must be a positive"),
        ({"communities": pd.Series([0], index=["ENSG1"])}, "genes have no community"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_file(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        pl.network_html(network(), tmp_path / "n.html", **options)
    assert not list(tmp_path.iterdir())
    empty = grnndata.from_matrix(np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="no edges between different genes"):
        pl.network_html(empty, tmp_path / "n.html")
    with pytest.raises(FileNotFoundError, match="no folder"):
        pl.network_html(network(), tmp_path / "nowhere" / "n.html")


# ---------------------------------------------------------------------------------------------- the browser


@pytest.fixture(scope="module")
def browser():
    where = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if where is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        opened = running.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, tmp_path):
    communities = pd.Series([0, 0, 1, 1, 1, 2], index=NAMES)
    path = pl.network_html(network(), tmp_path / "n.html", regulators=["NRL"], communities=communities)
    opened = browser.new_page(viewport={"width": 1000, "height": 700}, color_scheme="light")
    requests, problems = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(path.as_uri())
    yield opened
    assert requests == [path.as_uri()]
    assert problems == []
    opened.close()


def pixels(page):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def middle(page, gene):
    box = page.locator(f'.node[data-gene="{gene}"] .shape').bounding_box()
    return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)


def colour_at(page, place):
    return "#{:02x}{:02x}{:02x}".format(*pixels(page)[place[1], place[0]])


def panel(page):
    return page.locator("#panel").inner_text()


def test_nodes_are_drawn_in_their_colours_and_gone_when_filtered(page):
    x, y = middle(page, "ENSG5")
    assert colour_at(page, (x, y)) == "#e69f00"  # the second community
    assert colour_at(page, middle(page, "ENSG1")) == "#0072b2"
    page.locator("#threshold").fill("300")  # weights from 1.55: q"uote's only edge of 0.5 goes, and it with that
    assert not page.locator('.node[data-gene="ENSG5"]').is_visible()
    assert colour_at(page, (x, y)) == "#fbfbfa"  # paper


def test_the_slider_filters_by_weight(page):
    count = page.locator("#count")
    assert count.inner_text() == "5 of 5 edges"
    weights = np.abs([weight for *_, weight in EDGES])
    for share in (100, 300, 600, 1000):
        page.locator("#threshold").fill(str(share))
        cut = weights.min() + share / 1000 * (weights.max() - weights.min())
        assert count.inner_text() == f"{(weights >= cut).sum()} of 5 edges"
        assert page.locator(".edge:not(.hidden)").count() == (weights >= cut).sum()


@pytest.mark.parametrize("text", ["RHO", "rho", "ENSG2", "RH"])
def test_a_search_selects_centres_and_lists_the_neighbours(page, text):
    page.locator("#search").fill(text)
    page.locator("#search").press("Enter")
    assert page.locator(".node.selected").get_attribute("data-gene") == "ENSG2"
    assert {node.get_attribute("data-gene") for node in page.locator(".node.near").all()} == {"ENSG1", "ENSG2", "ENSG4"}
    drawing = page.locator("#drawing").bounding_box()
    x, y = middle(page, "ENSG2")
    assert abs(x - (drawing["x"] + drawing["width"] / 2)) <= 2
    assert abs(y - (drawing["y"] + drawing["height"] / 2)) <= 2
    assert " ".join(panel(page).split()) == "RHO ENSG2 Regulates (1) CRX 1.00 Regulated by (2) CRX 4.00 NRL -3.00"


def test_an_unknown_gene_selects_nothing(page):
    page.locator("#search").fill("nobody")
    page.locator("#search").press("Enter")
    assert page.locator(".node.selected").count() == 0
    assert page.locator("#search").evaluate("field => field.validationMessage") == "no such gene in this drawing"


def test_a_click_opens_the_neighbours_and_a_neighbour_leads_on(page):
    page.mouse.click(*middle(page, "ENSG1"))
    assert " ".join(panel(page).split()).startswith(
        "CRX ENSG1 Regulates (2) RHO 4.00 <b>bold</b> 2.00 Regulated by (1)"
    )
    page.locator("#panel li button", has_text="RHO").first.click()
    assert page.locator(".node.selected").get_attribute("data-gene") == "ENSG2"
    drawing = page.locator("#drawing").bounding_box()
    page.mouse.click(drawing["x"] + 3, drawing["y"] + 3)  # on nothing
    assert page.locator(".node.selected").count() == 0


def test_names_stay_text(page):
    page.mouse.click(*middle(page, "ENSG3"))
    assert page.locator("#panel h2").inner_text() == "<b>bold</b>"
    assert page.locator("#panel h2 b").count() == 0
    assert page.locator('.node[data-gene="ENSG3"] text').text_content() == "<b>bold</b>"


def test_wheel_buttons_and_keys_zoom_around_their_place(page):
    def scale():
        return float(page.locator("#drawing").get_attribute("data-scale"))

    before = scale()
    x, y = middle(page, "ENSG1")
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_function("before => Number(document.getElementById('drawing').dataset.scale) > before", arg=before)
    assert np.hypot(*np.subtract(middle(page, "ENSG1"), (x, y))) <= 2
    grown = scale()
    page.locator("#out").click()
    assert scale() == pytest.approx(grown / 1.3, rel=1e-3)
    page.locator("#fit").click()
    assert scale() == pytest.approx(before, rel=1e-3)
    page.locator('.node[data-gene="ENSG1"]').focus()
    page.keyboard.press("+")
    assert scale() == pytest.approx(before * 1.3, rel=1e-3)
    page.keyboard.press("Enter")
    assert page.locator(".node.selected").get_attribute("data-gene") == "ENSG1"
    page.keyboard.press("Escape")
    assert page.locator(".node.selected").count() == 0


def test_nodes_and_paper_can_be_dragged(page):
    x, y = middle(page, "ENSG1")
    other = middle(page, "ENSG4")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 30, steps=5)
    page.mouse.up()
    assert np.hypot(*np.subtract(middle(page, "ENSG1"), (x + 60, y + 30))) <= 8
    assert middle(page, "ENSG4") == other
    assert page.locator(".node.selected").count() == 0  # a drag is no click


def test_negative_edges_and_regulators_look_different(page):
    minus = page.locator(".edge.minus")
    assert (minus.count(), minus.get_attribute("data-source"), minus.get_attribute("data-target")) == (
        1,
        "ENSG4",
        "ENSG2",
    )
    assert minus.evaluate("edge => getComputedStyle(edge).strokeDasharray") != "none"
    shapes = {gene: page.locator(f'.node[data-gene="{gene}"] .shape').evaluate("s => s.tagName") for gene in NAMES[:5]}
    assert shapes == {"ENSG1": "circle", "ENSG2": "circle", "ENSG3": "circle", "ENSG4": "path", "ENSG5": "circle"}
    legend = page.locator("#legend").inner_text()
    assert legend.split("\n") == ["community 0", "community 1", "regulator", "negative weight: dashed"]


def test_dark_and_narrow_screens_show_everything(browser, tmp_path):
    path = pl.network_html(network(), tmp_path / "n.html")
    narrow = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    narrow.goto(path.as_uri())
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    assert narrow.locator("#panel").is_visible()
    assert colour_at(narrow, (5, 790)) == "#1d2229"  # the panel, below the drawing
    for gene in NAMES[:5]:
        x, y = middle(narrow, gene)
        assert 0 < x < 390
        assert colour_at(narrow, (x, y)) == "#0072b2"
    narrow.close()
