"""What tools make of networks says so: each result is made again from its own record."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import grnndata
from grnndata import GRNAnnData, tl
from grnndata import _provenance as provenance

GENES = [f"G{i}" for i in range(8)]
KNOWN = pd.DataFrame({"source": ["G0", "G1", "G5"], "target": ["G1", "G2", "G0"]})


def network(seed=0, *, sparse=False, genes=GENES):
    rng = np.random.default_rng(seed)
    weights = rng.random((len(genes), len(genes))).astype(np.float32)
    weights[rng.random(weights.shape) < 0.3] = 0
    return grnndata.from_matrix(sp.csr_matrix(weights) if sparse else weights, genes, method="made up")


def steps(grn):
    return provenance.steps_of(grn.uns)


def dense(grn):
    matrix = grn.varp["GRN"]
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("tool", "options"),
    [
        (tl.apc, {}),
        (tl.symmetrise, {"how": "max"}),
        (tl.top_k, {"k": 3, "per": "target"}),
        (tl.threshold, {"minimum": 0.4}),
        (tl.maximum_spanning_tree, {}),
        (tl.tmfg, {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_tool_records_its_call_and_the_record_makes_it_again(tool, options, sparse):
    grn = network(sparse=sparse)
    made = tool(grn, **options)
    (step,) = steps(made)
    assert step["task"] == f"grnndata.tools.{tool.__name__}"
    assert options.items() <= step["parameters"].items()
    assert step["inputs"] == [{"cells": 0, "genes": 8, "sha256_of_networks": provenance.checksums_of_networks(grn)}]
    again = getattr(tl, step["task"].rpartition(".")[2])(grn, **step["parameters"])
    np.testing.assert_array_equal(dense(again), dense(made))
    assert steps(grn) == []


def test_steps_follow_one_another_and_go_on_from_files(tmp_path):
    grn = network()
    grn.uns.update(provenance.in_uns([{"task": "before", "parameters": {}}]))
    grnndata.write_h5ad(tl.top_k(tl.apc(grn), 2), tmp_path / "a.h5ad")
    made = tl.symmetrise(grnndata.read_network(tmp_path / "a.h5ad"))
    assert [step["task"].rpartition(".")[2] for step in steps(made)] == ["before", "apc", "top_k", "symmetrise"]
    assert [step.get("inputs", []) for step in steps(made)] == [[]] * 4


def test_a_network_that_a_user_puts_in_is_told_as_that():
    made = network().with_network(np.eye(8, dtype=np.float32), step="mine")
    (step,) = steps(made)
    assert (step["task"], step["parameters"]) == ("grnndata.GRNAnnData.with_network", {"step": "mine"})


def test_known_edges_are_told_by_their_checksum():
    grn, other = network(), tl.top_k(network(1), 2)
    by_table, by_network = (steps(tl.keep_known(grn, known))[0] for known in (KNOWN, other))
    assert by_table["parameters"] == by_network["parameters"] == {"invert": False}
    assert by_table["inputs"][1]["edges"] == 3
    changed = KNOWN.replace("G5", "G6")
    assert steps(tl.keep_known(grn, changed))[0]["inputs"][1] != by_table["inputs"][1]
    assert by_network["inputs"][1]["sha256_of_networks"] == provenance.checksums_of_networks(other)
    assert by_network["inputs"][1]["steps"] == steps(other)


def test_the_checksum_of_a_network_does_not_depend_on_how_it_is_stored():
    grn = network()
    weights = grn.varp["GRN"]
    twice = sp.csr_matrix(weights / 2) + sp.csr_matrix(weights / 2)
    unsorted = sp.csc_matrix(weights).tocsr()
    unsorted.data[0] = 0
    expected = provenance.checksums_of_networks(grn)
    assert provenance.checksums_of_networks(GRNAnnData(AnnData(shape=(0, 8), var=grn.var), twice)) == expected
    assert provenance.checksums_of_networks(GRNAnnData(AnnData(shape=(0, 8), var=grn.var), unsorted)) != expected
    moved = weights.copy()
    moved[0, 1], moved[0, 2] = weights[0, 2], weights[0, 1]
    assert provenance.checksums_of_networks(grnndata.from_matrix(moved, GENES)) != expected
    # the same weights in the same order, at other places
    one, other = np.zeros((2, 8, 8), np.float32)
    one[0, 1], other[0, 2] = 1, 1
    sums = [provenance.checksums_of_networks(grnndata.from_matrix(weights, GENES)) for weights in (one, other)]
    assert sums[0] != sums[1]


def test_networks_that_are_merged_bring_what_they_share_and_what_they_do_not():
    start = tl.apc(network())
    a, b = tl.top_k(start, 2), tl.symmetrise(tl.top_k(start, 2))
    for made, names in (
        (tl.consensus({"a": a, "b": b}, how="votes"), ["a", "b"]),
        (grnndata.concat_networks({"a": a, "b": b}), ["a", "b"]),
        (tl.consensus([a, b], how="votes"), ["0", "1"]),
    ):
        *shared, last = steps(made)
        assert shared == steps(start) + steps(a)[1:]
        assert [one["name"] for one in last["inputs"]] == names
        assert "steps" not in last["inputs"][0]
        assert last["inputs"][1]["steps"] == steps(b)[2:]
        assert last["inputs"][0]["sha256_of_networks"] == provenance.checksums_of_networks(a)
    assert steps(tl.consensus([a, b], how="votes", top_k=5))[-1]["parameters"]["top_k"] == 5


def test_cells_that_are_joined_bring_the_histories_of_all():
    weights = network().varp["GRN"]
    parts = {}
    for name, n_cells in (("a", 2), ("b", 3)):
        cells = AnnData(np.ones((n_cells, 8), np.float32), var=pd.DataFrame(index=GENES))
        cells.obs_names = [f"{name}{i}" for i in range(n_cells)]
        parts[name] = GRNAnnData(cells, weights)
        parts[name].uns.update(provenance.in_uns([{"task": f"cells of {name}", "parameters": {}}]))
    (step,) = steps(grnndata.concat(parts))
    assert step["task"] == "grnndata.concat"
    assert step["parameters"] == {
        "join": "inner", "networks": "same", "keys": None, "label": None, "index_unique": None,
    }  # fmt: skip
    assert [(one["name"], one["cells"], one["steps"][0]["task"]) for one in step["inputs"]] == [
        ("a", 2, "cells of a"),
        ("b", 3, "cells of b"),
    ]
    assert steps(grnndata.concat({"x": network(), "y": network()}))[-1]["inputs"][0]["name"] == "x"


def test_a_table_brings_the_record_that_lies_beside_it(tmp_path):
    grnndata.write_edges(network(), tmp_path / "a.csv")
    assert steps(grnndata.read_network(tmp_path / "a.csv")) == []
    told = [{"task": "before", "parameters": {}}]
    provenance.write(provenance.beside(tmp_path / "a.csv"), told)
    assert steps(grnndata.read_network(tmp_path / "a.csv")) == told
