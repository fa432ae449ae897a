"""The page for a browser: what the file holds, and what a person sees and does in headless Chromium."""

import base64
import hashlib
import io
import json
import re
from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grnndata
from grnndata import pl
from grnndata.plotting.stress import packed_positions, stress_positions

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
    assert re.findall(r"(?:src|href)=\S*|https?://\S*|@import|url\(", text) == ['href="data:,">']  # nothing to load
    assert [p.name for p in tmp_path.iterdir()] == ["n.html"]


def test_only_the_pages_own_script_and_style_may_run(tmp_path):
    text = pl.network_html(network(), tmp_path / "n.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"


def test_genes_neighbours_and_top_edges_choose_what_is_drawn(tmp_path):
    data = data_of(pl.network_html(network(), tmp_path / "n.html", genes=["ENSG4"], neighbours=1))
    assert [node["label"] for node in data["nodes"]] == ["NRL", "RHO"]
    assert data["edges"] == [[0, 1, -3.0]]
    data = data_of(pl.network_html(network(), tmp_path / "n.html", top_edges=2))
    assert sorted(edge[2] for edge in data["edges"]) == [-3, 4]
    undirected = data_of(pl.network_html(network(directed=False), tmp_path / "n.html"))
    assert not undirected["directed"]
    assert len(undirected["edges"]) == 4  # CRX - RHO once, with both weights added by the example
    lonely = data_of(pl.network_html(network(), tmp_path / "n.html", genes=["ENSG6", "ENSG3"], neighbours=0))
    assert ([node["label"] for node in lonely["nodes"]], lonely["edges"]) == (["lone", "<b>bold</b>"], [])


def from_pairs(pairs, n=4):
    matrix = np.zeros((n, n), dtype=np.float32)
    for i, j, weight in pairs:
        matrix[i, j] = weight
    return grnndata.from_matrix(matrix, [f"g{i}" for i in range(n)])


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_opposite_edges_of_one_weight_are_one_edge(tmp_path, kind):
    # 0 ⇄ 1 of one weight, 1 ⇄ 2 of two, 3 → 0, and 3 on itself, which is not drawn.
    grn = from_pairs([(0, 1, 2.0), (1, 0, 2.0), (1, 2, 3.0), (2, 1, 1.0), (3, 0, 0.5), (3, 3, 9.0)])
    grn.grn = kind(grn.grn)
    data = data_of(pl.network_html(grn, tmp_path / "n.html"))
    assert sorted(data["edges"]) == [[0, 1, 2.0, 1], [1, 2, 3.0], [2, 1, 1.0], [3, 0, 0.5]]
    assert (data["directed"], data["total"]) == (True, {"genes": 4, "edges": 5})
    # Also where its opposite is not among the edges that are drawn.
    assert data_of(pl.network_html(grn, tmp_path / "n.html", top_edges=2))["edges"] == [[1, 2, 3.0], [0, 1, 2.0, 1]]
    # A symmetric network is undirected, whatever its file said: a pair is one edge.
    both = from_pairs([(0, 1, 2.0), (1, 0, 2.0 + 1e-6), (1, 2, -3.0), (2, 1, -3.0)])
    both.grn = kind(both.grn)
    data = data_of(pl.network_html(both, tmp_path / "n.html"))
    assert sorted(data["edges"]) == [[0, 1, 2.0], [1, 2, -3.0]]
    assert (data["directed"], data["total"]) == (False, {"genes": 4, "edges": 2})


def test_communities_have_colours_and_a_legend(tmp_path):
    communities = pd.Series([0, 0, 1, 1, 1, 2], index=NAMES)
    data = data_of(pl.network_html(network(), tmp_path / "n.html", communities=communities))
    colours = [node["colour"] for node in data["nodes"]]
    assert colours[0] == colours[1] != colours[2] == colours[3] == colours[4]
    assert data["legend"] == {"community 0": colours[0], "community 1": colours[2]}


def test_weights_are_those_of_the_network_to_the_last_digit(tmp_path):
    weights = np.array([0.1, 1 / 3, -1e-7, 123456.789], dtype=np.float32)
    matrix = np.zeros((5, 5), dtype=np.float32)
    matrix[0, 1:] = weights
    data = data_of(pl.network_html(grnndata.from_matrix(matrix, list("abcde")), tmp_path / "n.html"))
    assert {np.float32(weight) for *_, weight in data["edges"]} == set(weights)
    assert "0.1]" in (tmp_path / "n.html").read_text()


# --------------------------------------------------------------------------------------------------- places


def test_the_same_network_gives_the_same_page(tmp_path):
    rng = np.random.default_rng(0)
    grn = grnndata.from_matrix(rng.random((300, 300)) * (rng.random((300, 300)) < 0.004), [f"g{i}" for i in range(300)])
    one, two = (pl.network_html(grn, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert one == two


def test_five_hundred_nodes_are_apart_near_their_neighbours():
    graph = nx.barabasi_albert_graph(500, 2, seed=1)
    ends = np.array(graph.edges)
    places = packed_positions(500, ends)
    gap = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gap[~np.eye(500, dtype=bool)].min() > 20  # nodes are 10 to 30 wide
    assert np.median(gap[ends[:, 0], ends[:, 1]]) < 0.5 * np.median(gap)


def test_a_mesh_is_drawn_as_a_mesh():
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(20, 25))
    places = packed_positions(500, np.array(graph.edges))
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    upper = np.triu_indices(500, 1)
    steps = np.array([distance[i][j] for i, j in zip(*upper, strict=True)])
    gap = np.linalg.norm(places[upper[0]] - places[upper[1]], axis=1)
    assert np.corrcoef(gap, steps)[0, 1] > 0.95


def test_stress_finds_a_drawing_whose_distances_are_those_of_the_graph():
    path = np.diag(np.ones(5), 1)
    placed = stress_positions(sparse.csr_matrix(path + path.T))
    gap = np.linalg.norm(placed[:, None] - placed[None], axis=-1)
    # Of a path, every edge is as long as the numbers of neighbours its ends do not share say: 3, 4, 4, 4, 3, rooted.
    along = np.concatenate([[0], np.cumsum(np.sqrt([3, 4, 4, 4, 3]))])
    expected = np.abs(along[:, None] - along[None])
    np.testing.assert_allclose(gap / gap[0, 5], expected / expected[0, 5], atol=0.02)


def test_separate_parts_do_not_overlap_and_stand_close_together():
    parts = [nx.star_graph(12), nx.cycle_graph(9), nx.path_graph(5), *(nx.path_graph(2) for _ in range(20))]
    graph = nx.disjoint_union_all(parts)
    places = packed_positions(len(graph), np.array(graph.edges))
    part = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
    gap = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert gap[part[:, None] != part[None]].min() > 25
    width, height = np.ptp(places, axis=0)
    assert width * height < 4 * len(graph) * 60**2
    assert 0.7 < width / height < 2.5
    np.testing.assert_array_equal(packed_positions(1, np.zeros((0, 2), int)).shape, (1, 2))
    assert packed_positions(0, np.zeros((0, 2), int)).shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genes": ["nobody"]}, "1 gene is not in var_names: nobody"),
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
    pl.network_html(network(), tmp_path / "nowhere" / "n.html")
    assert (tmp_path / "nowhere" / "n.html").read_text("utf-8").startswith("<!doctype html>")


# ---------------------------------------------------------------------------------------------- the browser


def watched(browser, path, **options):
    """Open a page; returns it, what it requested and what went wrong."""
    opened = browser.new_page(**({"viewport": {"width": 1000, "height": 700}, "reduced_motion": "reduce"} | options))
    requests, problems = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("dialog", lambda dialog: problems.append(dialog.message))
    opened.goto(path.as_uri())
    return opened, requests, problems


@pytest.fixture
def page(browser, tmp_path):
    communities = pd.Series([0, 0, 1, 1, 1, 2], index=NAMES)
    path = pl.network_html(network(), tmp_path / "n.html", regulators=["NRL"], communities=communities)
    opened, requests, problems = watched(browser, path)
    yield opened
    assert [url for url in requests if url != "data:,"] == [path.as_uri()]
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


def words(page, selector):
    return " ".join(page.locator(selector).inner_text().split())


def selected(page):
    return page.locator("#network").get_attribute("data-selected")


def scale(page):
    return float(page.locator("#network").get_attribute("data-scale"))


def centre_of(page, selector="#network"):
    box = page.locator(selector).bounding_box()
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def search(page, text, *keys):
    page.locator("#search").fill(text)
    for key in keys or ["Enter"]:
        page.locator("#search").press(key)


def test_nodes_are_drawn_in_their_colours_and_gone_when_filtered(page):
    x, y = middle(page, "ENSG5")
    orange = np.array([0xE6, 0x9F, 0x00])
    assert colour_at(page, (x, y)) == "#e69f00"  # the second community
    assert colour_at(page, middle(page, "ENSG1")) == "#0072b2"

    def orange_places():
        found = np.argwhere((pixels(page) == orange).all(axis=-1))[:, ::-1]
        box = page.locator("#network").bounding_box()
        return found[
            (found < [box["x"] + box["width"], box["y"] + box["height"]]).all(axis=1) & (found[:, 1] > box["y"])
        ]

    # Of its colour there are the three nodes of its community, and nothing else.
    of_group = np.array([middle(page, gene) for gene in NAMES[2:5]])
    away = np.linalg.norm(orange_places()[:, None] - of_group[None], axis=-1)
    assert set(away.argmin(axis=1)) == {0, 1, 2}
    assert away.min(axis=1).max() < 16
    page.locator("#weight").press("ArrowRight")  # q"uote's only edge of 0.5 goes, and it with that
    assert not page.locator('.node[data-gene="ENSG5"]').is_visible()
    assert colour_at(page, (x, y)) == "#fafaf8"  # paper
    assert (np.linalg.norm(orange_places() - np.array([x, y]), axis=1) > 16).all()


def test_edges_run_from_regulator_to_target_with_their_head_at_the_target(page):
    head = page.locator('.edge[data-source="ENSG1"][data-target="ENSG3"] .head').bounding_box()
    at = np.array([head["x"] + head["width"] / 2, head["y"] + head["height"] / 2])
    source, target = (np.array(middle(page, gene)) for gene in ("ENSG1", "ENSG3"))
    assert np.linalg.norm(at - target) < 25 < np.linalg.norm(at - source)
    widths = {
        (edge.get_attribute("data-source"), edge.get_attribute("data-target")): float(
            edge.locator(".line").get_attribute("stroke-width")
        )
        for edge in page.locator(".edge").all()
    }
    by_weight = sorted(EDGES, key=lambda edge: abs(edge[2]))
    assert sorted(widths, key=widths.get) == [(NAMES[i], NAMES[j]) for i, j, _ in by_weight]


def test_a_step_of_the_slider_is_a_weight(page):
    assert words(page, "#count") == "5 of 5 edges"
    for i, cut in enumerate([0.5, 1, 2, 3, 4]):
        page.locator("#weight").fill(str(i))
        left = [abs(weight) for *_, weight in EDGES if abs(weight) >= cut]
        assert words(page, "#count") == f"{len(left)} of 5 edges"
        assert float(words(page, "#cut")) == cut
        assert page.locator(".edge:visible").count() == len(left)
    assert page.locator("#weight").get_attribute("aria-valuetext") == "from 4.00: 1 of 5 edges"
    page.mouse.click(*middle(page, "ENSG2"))
    assert words(page, "#panel h3") == "Regulators (1) weight"  # of those that the slider leaves


@pytest.mark.parametrize("text", ["RHO", "rho", "ENSG2", "RH"])
def test_a_search_selects_centres_and_lists_the_neighbours(page, text):
    search(page, text)
    assert selected(page) == "ENSG2"
    assert page.locator(".node.selected").get_attribute("data-gene") == "ENSG2"
    assert {node.get_attribute("data-gene") for node in page.locator(".node.near").all()} == {"ENSG1", "ENSG4"}
    assert {edge.get_attribute("data-weight") for edge in page.locator(".edge.near").all()} == {"4", "-3", "1"}
    assert np.abs(middle(page, "ENSG2") - centre_of(page)).max() <= 2
    assert words(page, "#panel").split(" ", 1)[1] == (
        "× ENSG2 community 0 · 3 edges Targets (1) weight CRX 1.00 Regulators (2) weight CRX 4.00 NRL −3.00"
    )
    assert words(page, "#said") == "RHO selected, 3 edges"
    # What has nothing to do with it is faint.
    opacity = "node => getComputedStyle(node).opacity"
    assert float(page.locator('.node[data-gene="ENSG5"]').evaluate(opacity)) < 0.3
    assert float(page.locator('.node[data-gene="ENSG1"]').evaluate(opacity)) == 1


def test_suggestions_are_walked_through_with_the_keys(page):
    page.keyboard.press("/")
    page.keyboard.type("r")
    options = page.locator("#suggestions [role=option]")
    assert [words(page, f"#{option.get_attribute('id')}") for option in options.all()] == [
        "RHO ENSG2",
        "CRX ENSG1",
        "NRL ENSG4",
    ]
    page.keyboard.press("ArrowDown")
    assert page.locator("[aria-selected=true]").get_attribute("data-gene") == "ENSG1"
    assert page.locator("#search").get_attribute("aria-activedescendant") == "suggestion-1"
    page.keyboard.press("Enter")
    assert selected(page) == "ENSG1"
    assert not page.locator("#suggestions").is_visible()
    search(page, "nobody")
    assert words(page, "#suggestions") == "No such gene in this drawing"
    assert selected(page) == "ENSG1"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert selected(page) == ""
    page.locator("#search").fill("NR")
    page.locator("#suggestions li").click()
    assert selected(page) == "ENSG4"


def test_a_click_opens_the_neighbours_and_a_neighbour_leads_on(page):
    assert words(page, "#panel h3") == "Most connected edges"
    page.mouse.click(*middle(page, "ENSG1"))
    assert selected(page) == "ENSG1"
    assert "Targets (2) weight RHO 4.00 <b>bold</b> 2.00 Regulators (1) weight RHO 1.00" in words(page, "#panel")
    page.locator("#panel button", has_text="<b>bold</b>").focus()
    page.keyboard.press("Enter")
    assert selected(page) == "ENSG3"
    assert np.abs(middle(page, "ENSG3") - centre_of(page)).max() <= 2
    assert page.evaluate("document.activeElement.id") == "panel"
    page.locator("#panel .close").click()
    assert selected(page) == ""
    page.mouse.click(*middle(page, "ENSG3"))
    box = page.locator("#network").bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + 3)  # on nothing
    assert selected(page) == ""


def test_labels_can_be_names_ids_or_none(page):
    def written():
        return {node.text_content() for node in page.locator(".node text").all()}

    assert written() == set(SYMBOLS[:5])
    page.locator("#labels").select_option(label="Ids")
    assert written() == set(NAMES[:5])
    page.locator("#labels").select_option(label="None")
    assert written() == {""}


def test_names_stay_text(browser, tmp_path):
    names = ["<b>bold</b>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "a&amp;b", "$x"]
    matrix = np.triu(np.ones((5, 5)), 1)
    path = pl.network_html(grnndata.from_matrix(matrix, names), tmp_path / "n.html", title="<i>&amp; $$data")
    page, requests, problems = watched(browser, path)
    assert [url for url in requests if url != "data:,"] == [path.as_uri()]
    for name in names:
        search(page, name)
        assert selected(page) == name
        assert page.locator("#panel h2").inner_text() == name
        assert page.locator("#panel").locator("b, script, img").count() == 0
    assert {node.text_content() for node in page.locator(".node text").all()} == set(names)
    assert page.locator("h1").inner_text() == page.title() == "<i>&amp; $$data"
    assert page.locator("script").count() == 3
    assert problems == []
    page.close()


def test_wheel_buttons_and_keys_zoom_around_their_place(page):
    before = scale(page)
    x, y = middle(page, "ENSG1")
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    page.wait_for_function("before => Number(document.getElementById('network').dataset.scale) > before", arg=before)
    assert np.hypot(*np.subtract(middle(page, "ENSG1"), (x, y))) <= 2
    grown, apart = scale(page), np.subtract(middle(page, "ENSG2"), middle(page, "ENSG1"))
    page.locator("#zoom-out").click()
    assert scale(page) == pytest.approx(grown / 1.4, rel=1e-3)
    np.testing.assert_allclose(np.subtract(middle(page, "ENSG2"), middle(page, "ENSG1")), apart / 1.4, atol=2)
    page.locator("#zoom-fit").click()
    assert scale(page) == pytest.approx(before, rel=1e-3)
    page.locator("#network").focus()
    page.keyboard.press("+")
    assert scale(page) == pytest.approx(before * 1.4, rel=1e-3)
    x, y = middle(page, "ENSG1")
    page.keyboard.press("ArrowLeft")
    assert middle(page, "ENSG1") == (x + 60, y)
    page.keyboard.press("0")
    assert scale(page) == pytest.approx(before, rel=1e-3)


def test_nodes_and_paper_can_be_dragged(page):
    x, y = middle(page, "ENSG1")
    other = middle(page, "ENSG4")

    def drag(start, dx, dy):
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(start[0] + dx, start[1] + dy, steps=5)
        page.mouse.up()

    drag((x, y), 60, 30)
    assert np.hypot(*np.subtract(middle(page, "ENSG1"), (x + 60, y + 30))) <= 10
    assert middle(page, "ENSG4") == other
    assert selected(page) == ""  # a drag is no click
    assert colour_at(page, middle(page, "ENSG1")) == "#0072b2"
    box = page.locator("#network").bounding_box()
    drag((box["x"] + 5, box["y"] + 5), 40, 20)
    assert np.hypot(*np.subtract(middle(page, "ENSG4"), np.add(other, (40, 20)))) <= 10


def test_negative_edges_and_regulators_look_different(page):
    minus = page.locator(".edge.negative")
    assert minus.count() == 1
    assert (minus.get_attribute("data-source"), minus.get_attribute("data-target")) == ("ENSG4", "ENSG2")
    line = minus.locator(".line")
    assert line.evaluate("line => getComputedStyle(line).strokeDasharray") != "none"
    assert line.evaluate("line => getComputedStyle(line).stroke") == "rgb(178, 24, 43)"
    shapes = {gene: page.locator(f'.node[data-gene="{gene}"] .shape').evaluate("s => s.tagName") for gene in NAMES[:5]}
    assert shapes == {"ENSG1": "circle", "ENSG2": "circle", "ENSG3": "circle", "ENSG4": "path", "ENSG5": "circle"}
    assert page.locator("#legend").inner_text().split("\n")[1:7] == [
        "community 0",
        "community 1",
        "regulator",
        "other gene",
        "regulator to target",
        "negative weight",
    ]


def test_an_undirected_network_has_neighbours_and_no_heads(browser, tmp_path):
    page, _, problems = watched(browser, pl.network_html(network(directed=False), tmp_path / "n.html"))
    assert page.locator(".head").count() == 0
    search(page, "RHO")
    assert words(page, "#panel h3") == "Neighbours (2) weight"
    assert problems == []
    page.close()


def test_the_page_says_how_many_edges_it_leaves_out(browser, tmp_path):
    weights = np.random.default_rng(0).random((201, 201))
    names = [f"g{i}" for i in range(201)]
    page, _, problems = watched(browser, pl.network_html(grnndata.from_matrix(weights, names), tmp_path / "n.html"))
    assert words(page, "#count") == "500 of 40,200 edges"
    drawn = page.locator(".node").count()
    assert drawn < 201
    assert words(page, "#summary") == f"{drawn} of 201 genes · 500 of 40,200 edges · directed"
    assert page.locator("#edges .head").count() == 500
    # As many pairs of a symmetric one, which was not said to be undirected: each is one line.
    symmetric = grnndata.from_matrix(weights + weights.T, names)
    page.goto(pl.network_html(symmetric, tmp_path / "m.html").as_uri())
    assert words(page, "#count") == "500 of 20,100 edges"
    assert words(page, "#summary").endswith("500 of 20,100 edges · undirected")
    assert (page.locator(".edge").count(), page.locator("#edges .head").count()) == (500, 0)
    ends = {frozenset(map(edge.get_attribute, ("data-source", "data-target"))) for edge in page.locator(".edge").all()}
    assert len(ends) == 500
    assert problems == []
    page.close()


def test_an_edge_that_runs_both_ways_is_a_line_among_arrows(browser, tmp_path):
    grn = from_pairs([(0, 1, 2.0), (1, 0, 2.0), (1, 2, 3.0), (3, 0, 0.5)])
    page, _, problems = watched(browser, pl.network_html(grn, tmp_path / "n.html"))
    assert (page.locator(".edge").count(), page.locator("#edges .head").count()) == (3, 2)
    assert page.locator('.edge[data-source="g0"][data-target="g1"] .head').count() == 0
    assert words(page, "#count") == "4 of 4 edges"
    assert "the same weight both ways" in words(page, "#legend")
    search(page, "g1")
    assert (
        words(page, "#panel")
        .split(" ", 1)[1]
        .endswith("3 edges Targets (2) weight g2 3.00 g0 2.00 Regulators (1) weight g0 2.00")
    )
    assert problems == []
    page.close()


def test_one_gene_and_equal_weights_make_a_page(browser, tmp_path):
    path = pl.network_html(network(), tmp_path / "n.html", genes=["ENSG6"], neighbours=0)
    page, _, problems = watched(browser, path)
    assert np.abs(middle(page, "ENSG6") - centre_of(page)).max() <= 2
    assert words(page, "#count") == "0 of 5 edges"  # of the network
    assert page.locator("#weight").is_disabled()
    assert problems == []
    page.goto(pl.network_html(grnndata.from_matrix(np.eye(3, k=1), list("abc")), tmp_path / "m.html").as_uri())
    assert words(page, "#cut") == "1"
    assert page.locator("#weight").is_disabled()
    assert page.locator("#labels option").all_inner_texts() == ["Names", "None"]  # names are the ids
    assert problems == []
    page.close()


def crowded(tmp_path):
    graph = nx.barabasi_albert_graph(150, 2, seed=3)
    grn = grnndata.from_matrix(np.triu(nx.to_numpy_array(graph)), [f"GENE{i}" for i in range(150)])
    return pl.network_html(grn, tmp_path / "n.html", regulators=[f"GENE{i}" for i in range(9)])


@pytest.mark.parametrize("zooms", [0, 3])
def test_labels_lie_neither_on_each_other_nor_beyond_the_edge(browser, tmp_path, zooms):
    page, _, problems = watched(browser, crowded(tmp_path))
    for _ in range(zooms):
        page.locator("#zoom-in").click()
    found = page.locator(".node text:not(.quiet)").evaluate_all(
        "texts => texts.map(text => [text.textContent, ...Object.values(text.getBoundingClientRect().toJSON())])"
    )
    boxes = {name: (x, y, x + width, y + height) for name, x, y, width, height, *_ in found}
    assert len(boxes) > 30
    assert zooms or {"GENE0", "GENE1", "GENE2", "GENE3"} <= set(boxes)  # hubs come first
    # The letters are smaller than their line box: two pixels of it may touch.
    overlapping = [
        (a, b)
        for (a, one), (b, two) in combinations(boxes.items(), 2)
        if min(one[2], two[2]) - max(one[0], two[0]) > 2 and min(one[3], two[3]) - max(one[1], two[1]) > 2
    ]
    assert overlapping == []
    frame = page.locator("#network").bounding_box()
    seen = [box for box in boxes.values() if 0 < box[3] < frame["y"] + frame["height"]]
    assert all(frame["x"] <= box[0] and box[2] <= frame["x"] + frame["width"] for box in seen)
    assert problems == []
    page.close()


def test_dark_and_narrow_screens_show_everything(browser, tmp_path):
    options = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "has_touch": True}
    page, _, problems = watched(browser, pl.network_html(network(), tmp_path / "n.html"), **options)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert colour_at(page, (5, 790)) == "#1a1e25"  # the panel, below the drawing
    for gene in NAMES[:5]:
        x, y = middle(page, gene)
        assert 0 < x < 390
        assert colour_at(page, (x, y)) == "#0072b2"
    for control in ("#search", "#weight", "#count", "#labels", "#zoom-in", "#panel"):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.touchscreen.tap(*middle(page, "ENSG1"))
    assert selected(page) == "ENSG1"
    assert problems == []
    page.close()


def test_two_fingers_zoom(browser, tmp_path):
    page, _, problems = watched(browser, pl.network_html(network(), tmp_path / "n.html"), has_touch=True)
    before = scale(page)
    x, y = centre_of(page)
    fingers = page.context.new_cdp_session(page)

    def touch(kind, *points):
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]})

    touch("touchStart", (x - 40, y), (x + 40, y))
    touch("touchMove", (x - 80, y), (x + 80, y))
    touch("touchEnd")
    assert scale(page) == pytest.approx(2 * before, rel=0.02)
    assert problems == []
    page.close()
