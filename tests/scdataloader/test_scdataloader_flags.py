"""Columns of true and false, as files write them."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scdataloader import Preprocessor
from scdataloader.flags import flags, measured, unclear

GENES = ["ENSG00000141510", "ENSG00000146648"]


@pytest.mark.parametrize(
    "values",
    [
        [True, False, True],
        [1, 0, 1],
        [1.0, 0.0, 1.0],
        ["1", "0", "1"],
        ["1.0", "0.0", "1.0"],
        ["T", "F", "T"],
        ["True", "False", "True"],
        ["TRUE", "FALSE", " true "],
        ["yes", "No", "y"],
        pd.array([True, False, True], dtype="boolean"),
        pd.Categorical(["True", "False", "True"]),
        pd.Categorical([1, 0, 1]),
        pd.Categorical([True, False, True]),
        np.array([True, False, 1], dtype=object),
    ],
)
def test_true_and_false_are_read_in_every_form(values):
    column = pd.Series(values, name="is_primary_data")
    true, false = flags(column)
    assert true.tolist() == [True, False, True]
    assert false.tolist() == [False, True, False]
    assert unclear(column) == ""


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_what_is_missing_is_neither(missing):
    for values in ([True, missing, "0"], pd.Categorical(["True", missing, "False"])):
        true, false = flags(column := pd.Series(values, name="keep", dtype=getattr(values, "dtype", object)))
        assert true.tolist() == [True, False, False]
        assert false.tolist() == [False, False, True]
        assert unclear(column) == "1 value of 'keep' is neither true nor false ((missing): 1)"


def test_what_is_not_understood_is_told_with_its_numbers():
    column = pd.Series(["maybe", "True", "2", "maybe", None], name="keep")
    assert unclear(column) == "4 values of 'keep' are neither true nor false ('maybe': 2, '2': 1, (missing): 1)"
    assert unclear(pd.Series([], name="keep", dtype=object)) == ""
    assert [part.tolist() for part in flags(pd.Series([2, 1, 0, 0.5]))] == [[0, 1, 0, 0], [0, 0, 1, 0]]


def cells(**obs):
    counts = np.random.default_rng(0).poisson(2.0, (4, 2))
    return anndata.AnnData(counts.astype(np.float32), pd.DataFrame(obs, index=list("abcd")), pd.DataFrame(index=GENES))


@pytest.mark.parametrize(
    "marks", [[1, 0, 1, 0], ["1", "0", "T", "F"], pd.Categorical(["True", "False", "True", "False"])]
)
def test_copies_are_dropped_however_they_are_marked(marks):
    clean, report = Preprocessor.preset("inference", primary_only=True)(cells(is_primary_data=marks))
    assert clean.obs_names.tolist() == ["a", "c"]
    assert report.warnings == []


def test_cells_of_an_unclear_mark_stay_and_are_told():
    marked = cells(is_primary_data=["False", "?", None, "True"])
    clean, report = Preprocessor.preset("inference", primary_only=True)(marked)
    assert clean.obs_names.tolist() == ["b", "c", "d"]
    assert report.warnings == [
        "2 values of 'is_primary_data' are neither true nor false ('?': 1, (missing): 1): these cells count as primary "
        "data, and stay"
    ]
    assert Preprocessor.preset("inference")(marked)[1].warnings == []


def test_genes_that_were_not_measured_may_be_marked_in_any_form():
    table = pd.DataFrame({"measured": ["True", "False"]}, index=GENES)
    assert measured(table).tolist() == [True, False]
    assert measured(table[[]]).tolist() == [True, True]
    with pytest.raises(ValueError, match=r"1 value of 'measured' is neither true nor false \('perhaps': 1\)"):
        measured(table.replace("False", "perhaps"))
