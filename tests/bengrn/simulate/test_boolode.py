"""BoolODE: rules as people write them, what they imply, and the cells that follow them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from bengrn.simulate import boolode
from bengrn.simulate.rules import parsed, rules_of


@pytest.mark.parametrize(
    "text",
    ["B and not C", "not (B or C) and D", "(B & !C) | (~D && B)", "B || C and not D", "NOT B", "B and True", "0 or C"],
)
def test_rules_are_true_where_python_says_so(text):
    rule = parsed("A", text)
    python = text.replace("||", " or ").replace("&&", " and ").replace("|", " or ").replace("&", " and ")
    python = python.replace("!", " not ").replace("~", " not ").replace("NOT", "not")
    for at, state in enumerate(itertools.product([False, True], repeat=len(rule.regulators))):
        values = dict(zip(rule.regulators, state[::-1], strict=True))
        assert rule.table[at] == bool(eval(python, {}, values)), values  # noqa: S307


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("B and", "ends where a gene is expected"),
        ("B C", "'C' stands where 'and' or 'or'"),
        ("(B or C", "a parenthesis is not closed"),
        ("B and or C", "stands where a gene is expected"),
        (" or ".join(f"G{at}" for at in range(15)), "has 15 regulators"),
    ],
)
def test_rules_that_cannot_be_read_are_named(text, told):
    with pytest.raises(ValueError, match=rf"the rule of A.*{told}"):
        parsed("A", text)


def test_signs_say_what_a_regulator_can_do():
    rule = parsed("A", "(B and not C) or (D and E) or (not D and not E) or (F and not F)")
    assert rule.signs() == {"B": 1, "C": -1, "D": 0, "E": 0}


@pytest.mark.parametrize(
    "content",
    [
        "Gene\tRule\nA\tB and not C\nB\tB\nC\tC\n",
        "# a comment\nA = B and not C\nB = B\nC = C\n",
        "A *= B and not C\nB *= B\nC *= C\n",
        "targets, factors\nA, B & !C\nB, B\nC, C\n",
    ],
)
def test_files_of_rules_are_read_in_the_forms_in_use(content, tmp_path):
    path = tmp_path / "rules.txt"
    path.write_text(content)
    rules, notes = rules_of(path)
    assert notes == []
    assert list(rules) == ["A", "B", "C"]
    assert rules["A"].signs() == {"B": 1, "C": -1}


def test_two_rules_of_a_gene_in_a_file_are_refused(tmp_path):
    path = tmp_path / "rules.txt"
    path.write_text("A = B\nA = C\n")
    with pytest.raises(ValueError, match="two rules of A"):
        rules_of(path)


def test_signed_edges_make_the_rule_any_activator_and_no_repressor():
    edges = pd.DataFrame({"source": ["B", "C", "D", "D"], "target": ["A", "A", "A", "E"], "sign": [1, 1, -1, -1]})
    rules, notes = rules_of(edges)
    assert rules["A"].text == "(B or C) and not (D)"
    assert np.array_equal(rules["A"].table, parsed("A", rules["A"].text).table)
    assert np.array_equal(rules["E"].table, [True, False])
    assert notes == [
        "rules were made of signed edges: any activator and no repressor",
        "3 genes have no rule and keep their first state: 'B', 'C', 'D'",
    ]


def test_edges_of_both_signs_are_refused():
    edges = pd.DataFrame({"source": ["B", "B"], "target": ["A", "A"], "sign": [1, -1]})
    with pytest.raises(ValueError, match="1 edge both activate and repress: 'B → A'"):
        rules_of(edges)


def test_without_noise_genes_come_to_the_levels_of_their_rules():
    rules = {"A": "A", "B": "A", "C": "not A", "D": "A and not B", "E": "B or C"}
    cells, _ = boolode(rules, initial=["A", "C"], n_cells=40, noise=0.0, duration=20)
    late = cells[(cells.obs["time"] > 15).to_numpy()]
    assert late.n_obs > 3
    np.testing.assert_allclose(late.X, [[2, 2, 0, 0, 2]] * late.n_obs, atol=0.03)
    np.testing.assert_allclose(late.layers["protein"], [[20, 20, 0, 0, 20]] * late.n_obs, atol=0.3)
    assert set(cells.obs["end_state"]) == {"A B E"}


def test_rna_and_protein_follow_their_differential_equations():
    cells, _ = boolode({"A": "not B", "B": "B"}, n_cells=30, noise=0.0, dt=0.001, duration=3)
    t = cells.obs["time"].to_numpy()
    # dx = 20 - 10 x, dp = 10 x - p, from 0
    np.testing.assert_allclose(cells[:, "A"].X.ravel(), 2 * (1 - np.exp(-10 * t)), atol=0.02)
    p = 20 * (1 - np.exp(-t)) - 20 / 9 * (np.exp(-t) - np.exp(-10 * t))
    np.testing.assert_allclose(cells[:, "A"].layers["protein"].ravel(), p, atol=0.02)


def test_noise_has_the_variance_of_the_linear_equation():
    """Of dx = (20 - 10 x) dt + s sqrt(x) dW the variance is s² E[x] / 20."""
    cells, _ = boolode({"A": "True", "B": "A"}, initial=["A"], n_cells=1500, duration=3, dt=0.002)
    x = cells[(cells.obs["time"] > 1).to_numpy(), "A"].X.ravel()
    assert abs(x.mean() - 2) < 0.05
    assert abs(x.var() / 0.1 - 1) < 0.15


SWITCH = {"A": "A and not B", "B": "B and not A", "C": "A", "D": "C and not B", "E": "not B", "F": "E or F"}


def test_two_states_are_reached_and_named():
    cells, truth = boolode(SWITCH, initial=["A", "B"], n_cells=80)
    found = cells.obs["end_state"].value_counts()
    assert {"A C D E F", "B"} <= set(found.index)
    edges = set(zip(truth.edges["source"], truth.edges["target"], truth.edges["sign"], strict=True))
    assert edges == {
        ("A", "A", 1), ("B", "A", -1), ("A", "B", -1), ("B", "B", 1), ("A", "C", 1), ("C", "D", 1), ("B", "D", -1),
        ("B", "E", -1), ("E", "F", 1), ("F", "F", 1),
    }  # fmt: skip


def test_knocking_out_a_gene_changes_only_its_descendants():
    wild, _ = boolode(SWITCH, initial=["A", "B"], n_cells=30)
    for gene, below in (("C", {"C", "D"}), ("E", {"E", "F"}), ("A", set("ABCDEF"))):
        without, _ = boolode(SWITCH, initial=["A", "B"], n_cells=30, knock_out=[gene])
        assert set(wild.var_names[(wild.X != without.X).any(axis=0)]) == below
        assert (without[:, gene].X == 0).all()


def test_the_result_follows_names_and_the_seed():
    turned = dict(reversed(SWITCH.items()))
    first, second = (boolode(rules, initial=["B", "A"], n_cells=20, seed=3)[0] for rules in (SWITCH, turned))
    assert first.var_names.tolist() == second.var_names.tolist()
    np.testing.assert_array_equal(first.X, second.X)
    one = boolode(SWITCH, initial=["A", "B"], n_cells=20, seed=3, threads=1)[0]
    np.testing.assert_array_equal(first.X, one.X)
    assert not np.array_equal(first.X, boolode(SWITCH, initial=["A", "B"], n_cells=20, seed=4)[0].X)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no gene is on at the start"),
        ({"initial": ["Z"]}, "initial names 'Z', absent from"),
        ({"initial": ["A"], "knock_out": ["Z"]}, "knock_out names 'Z'"),
        ({"initial": ["A"], "dt": 0.2}, "too long for the decay"),
        ({"initial": ["A"], "n_cells": 0}, "n_cells is a number above 0"),
        ({"initial": ["A"], "noise": np.nan}, "noise is a number of 0 or more"),
    ],
)
def test_bad_input_is_named(options, told):
    with pytest.raises(ValueError, match=told):
        boolode({"A": "A", "B": "A and not C", "C": "C"}, **options)
