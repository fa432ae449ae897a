"""Heat map, degrees, enrichment and two networks beside each other: what is drawn, and where."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.special import zeta

import grnndata
from grnndata import pl, tl

mpl.use("Agg")
GENES = [f"g{i}" for i in range(6)]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def network(seed=0, n=6, share=0.5):
    rng = np.random.default_rng(seed)
    matrix = rng.random((n, n)) * (rng.random((n, n)) < share)
    np.fill_diagonal(matrix, 0)
    return grnndata.from_matrix(matrix.astype(np.float32), [f"g{i}" for i in range(n)])


def texts(labels):
    return [label.get_text() for label in labels]


# ------------------------------------------------------------------------------------------------- heat map


@pytest.mark.parametrize("sparse", [False, True])
def test_the_heat_map_holds_the_weights_by_community_and_strength(sparse):
    grn = tl.threshold(network(share=0.3), 0.0) if sparse else network(share=0.3)
    communities = pd.Series([1, 0, 1, 0, 1, 0], index=GENES)
    ax = pl.matrix(grn, communities=communities)
    both = (tl.strength(grn, "out") + tl.strength(grn, "in")).to_dict()
    expected = sorted(GENES, key=lambda gene: (communities[gene], -both[gene]))
    assert texts(ax.get_yticklabels()) == expected
    assert texts(ax.get_xticklabels()) == expected
    at = [GENES.index(gene) for gene in expected]
    dense = grn.grn.toarray() if sparse else grn.grn
    np.testing.assert_array_equal(ax.images[0].get_array(), dense[np.ix_(at, at)])
    lines = sorted({round(float(x), 3) for line in ax.lines for x in np.unique(line.get_xdata()) if x not in (0, 1)})
    assert lines == [2.5]  # between the third and the fourth gene
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("target", "regulator")
    assert ax.images[0].get_clim() == (0, pytest.approx(float(dense.max())))


def test_zero_is_white_when_there_are_negative_weights():
    grn = grnndata.from_matrix(np.array([[0, 2.0], [-1.0, 0]]), ["a", "b"])
    image = pl.matrix(grn).images[0]
    assert image.get_clim() == (-2, 2)
    np.testing.assert_allclose(image.cmap(image.norm(0.0))[:3], 1, atol=0.04)
    (red, _, blue), (other_red, _, other_blue) = (image.cmap(image.norm(weight))[:3] for weight in (-2.0, 2.0))
    assert red > blue
    assert other_red < other_blue


def test_the_heat_map_takes_the_strongest_genes_or_those_asked_for():
    grn = network(n=30)
    both = (tl.strength(grn, "out") + tl.strength(grn, "in")).sort_values(ascending=False)
    assert texts(pl.matrix(grn, n_genes=4).get_yticklabels()) == both.index[:4].tolist()
    assert set(texts(pl.matrix(grn, genes=["g7", "g3"]).get_yticklabels())) == {"g3", "g7"}
    assert texts(pl.matrix(network(n=80), n_genes=80).get_yticklabels()) == []
    with pytest.raises(ValueError, match="1 gene is not in var_names: zz"):
        pl.matrix(grn, genes=["zz"])
    with pytest.raises(ValueError, match="genes have no community"):
        pl.matrix(grn, communities=pd.Series([0], index=["g0"]))


# --------------------------------------------------------------------------------------------------- degrees


def test_degrees_and_their_law_are_drawn_where_the_numbers_say():
    rng = np.random.default_rng(0)
    n = 400
    degrees = np.minimum(rng.zipf(2.3, n), n - 1)
    matrix = np.zeros((n, n), np.float32)
    for i, degree in enumerate(degrees):
        matrix[i, rng.permutation(np.delete(np.arange(n), i))[:degree]] = 1
    grn = grnndata.from_matrix(matrix, [f"g{i}" for i in range(n)])
    ax = pl.degree_distribution(grn, "out")
    points, law = ax.lines
    x, y = points.get_data()
    for degree, share in zip(x, y, strict=True):
        assert share == pytest.approx((degrees >= degree).mean())
    fit = tl.power_law(grn, "out")
    x, y = law.get_data()
    assert x[0] == fit.xmin
    assert y[0] == pytest.approx((degrees >= fit.xmin).mean())
    assert y[-1] / y[0] == pytest.approx(zeta(fit.alpha, x[-1]) / zeta(fit.alpha, fit.xmin))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert len(pl.degree_distribution(grn, fit=False).lines) == 1
    with pytest.raises(ValueError, match="no edges between different genes"):
        pl.degree_distribution(grnndata.from_matrix(np.eye(3), ["a", "b", "c"]))


# ------------------------------------------------------------------------------------------------ enrichment


def prerank_table():
    return pd.DataFrame(
        {
            "term": ["A_SET", "B", "C" * 80],
            "es": [0.5, -0.2, 0.1],
            "nes": [2.0, -1.0, 0.5],
            "p_value": [0.001, 0.2, 0.9],
            "q_value": [0.01, 0.5, 0.001],
            "n_genes": [10, 40, 20],
            "leading_edge": ["x", "y", "z"],
        }
    )


def test_gene_sets_are_placed_by_score_and_ordered_by_q():
    ax = pl.enrichment(prerank_table())
    dots = ax.collections[0]
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 0], [2.0, 1], [-1.0, 2]])
    np.testing.assert_allclose(dots.get_array(), [3, 2, -np.log10(0.5)])
    assert list(np.argsort(dots.get_sizes())) == [1, 0, 2]
    labels = texts(ax.get_yticklabels())
    assert labels[1:] == ["A SET", "B"]
    assert labels[0].endswith("…")
    assert len(labels[0]) <= 48
    top = pl.enrichment(prerank_table(), n=1)
    assert len(top.collections[0].get_offsets()) == 1


def test_over_represented_sets_are_placed_by_their_share():
    table = pd.DataFrame({"term": ["A", "B"], "n_overlap": [3, 1], "n_genes": [6, 10], "q_value": [0.0, 0.1]})
    dots = pl.enrichment(table.assign(community=[4, 5])).collections[0]
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 0], [0.1, 1]])
    np.testing.assert_allclose(dots.get_array(), [1, 1])  # a q of 0 has no logarithm: the next smallest stands in
    ax = pl.enrichment(table.assign(community=[4, 5]))
    assert texts(ax.get_yticklabels()) == ["4: A", "5: B"]
    with pytest.raises(ValueError, match="is no table of camera, prerank or over_representation"):
        pl.enrichment(table.drop(columns="q_value"))
    with pytest.raises(ValueError, match="holds no gene set"):
        pl.enrichment(table.head(0))


# --------------------------------------------------------------------------------------- two networks at once


def two():
    a = np.zeros((5, 5))
    b = np.zeros((5, 5))
    a[0, 1], a[0, 2], a[3, 4] = 2.0, 1.0, 9.0
    b[0, 1], b[0, 3] = 1.0, 4.0
    names = [f"g{i}" for i in range(5)]
    return grnndata.from_matrix(a, names), grnndata.from_matrix(b[::-1, ::-1].copy(), names[::-1])


def test_both_drawings_share_places_scale_and_genes():
    ax = pl.differential(*two(), ["g0"], neighbours=2, names=("rod", "cone"))
    left, right = ax.child_axes
    for panel in (left, right):
        assert sorted(t.get_text() for t in panel.texts if t.get_text()) == ["g0", "g1", "g2", "g3"]
    np.testing.assert_array_equal(left.collections[0].get_offsets(), right.collections[0].get_offsets())
    # g3 → g4 is the strongest edge of the first network, and has nothing to do with g0
    widths = [sorted(round(patch.get_linewidth(), 6) for patch in panel.patches) for panel in (left, right)]
    np.testing.assert_allclose(widths, [[0.4 + 2.8 * 0.25, 0.4 + 2.8 * 0.5], [0.4 + 2.8 * 0.25, 0.4 + 2.8]])
    assert left.get_title() == "rod: 1 edge of its own, 1 in both"
    assert right.get_title() == "cone: 1 edge of its own, 1 in both"
    by_colour = [
        {mpl.colors.to_hex(patch.get_edgecolor()): round(patch.get_linewidth(), 6) for patch in panel.patches}
        for panel in (left, right)
    ]
    assert by_colour[0]["#b5b5b5"] == pytest.approx(0.4 + 2.8 * 0.5)  # g0 → g1, in both
    assert by_colour[1]["#b5b5b5"] == pytest.approx(0.4 + 2.8 * 0.25)
    assert len(by_colour[0]) == len(by_colour[1]) == 2


def test_it_draws_on_given_axes_and_refuses_what_it_cannot_compare():
    from matplotlib import pyplot

    a, b = two()
    given = pyplot.subplots()[1]
    assert pl.differential(a, b, ["g0", "g1"], neighbours=0, ax=given) is given
    assert [len(panel.patches) for panel in given.child_axes] == [1, 1]
    with pytest.raises(ValueError, match="1 gene is not in var_names: g9"):
        pl.differential(a, b, ["g9"])
    with pytest.raises(ValueError, match="one network is directed and the other is not"):
        pl.differential(a, tl.symmetrise(b), ["g0"])


def test_differential_hubs_are_lines_from_one_strength_to_the_other():
    table = pd.DataFrame(
        {
            "gene": ["x", "y", "z"],
            "strength_a": [1.0, 5.0, 2.0],
            "strength_b": [2.0, 1.0, 2.5],
            "difference": [-1.0, 4.0, -0.5],
            "p_value": [0.5, 0.001, 0.9],
            "q_value": [0.6, 0.003, 0.9],
        }
    )
    ax = pl.differential_hubs(table, 2, names=("rod", "cone"))
    assert texts(ax.get_yticklabels()) == ["y *", "x"]
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 0], [[5, 1], [1, 2]])
    np.testing.assert_allclose(ax.collections[1].get_offsets(), [[5, 0], [1, 1]])
    np.testing.assert_allclose(ax.collections[2].get_offsets(), [[1, 0], [2, 1]])
    assert texts(ax.get_legend().get_texts()) == ["rod", "cone"]
    assert ax.get_xlabel() == "strength   (* q < 0.05, exchanged replicates)"
    with pytest.raises(ValueError, match="is no table of differential_hubs"):
        pl.differential_hubs(table.drop(columns="difference"))
    both = pl.differential_hubs(table.assign(q_moderated=[0.01, 0.2, 0.9]), 2)
    assert texts(both.get_yticklabels()) == ["y", "x *"]
    assert both.get_xlabel() == "strength   (* q < 0.05, moderated t of replicates)"
    within = pl.differential_hubs(table.drop(columns=["p_value", "q_value"]).assign(q_within_sample=0.01), 2)
    assert within.get_xlabel() == "strength   (* q < 0.05, within the sample)"


def test_effects_of_two_single_networks_have_no_asterisks():
    a, b = (grnndata.from_matrix(np.random.default_rng(i).random((4, 4)), list("pqrs")) for i in range(2))
    ax = pl.differential_hubs(tl.differential_hubs(a, b), 4)
    assert not any("*" in label for label in texts(ax.get_yticklabels()))
    assert ax.get_xlabel() == "strength   (no replicates: effects only)"


def test_a_stack_is_refused_by_every_plot():
    stack = grnndata.from_matrix(np.ones((3, 3, 2)), ["a", "b", "c"])
    for draw in (pl.matrix, pl.hubs, pl.degree_distribution, lambda grn: pl.subnetwork(grn, ["a"])):
        with pytest.raises(ValueError, match="a stack of 2 networks"):
            draw(stack)
