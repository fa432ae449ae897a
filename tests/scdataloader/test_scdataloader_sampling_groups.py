"""Cells by group, in memory and in a file."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdataloader.sampling import Groups, WeightedSampler


def slow_groups(labels, allowed):
    found = {}
    for cell, row in enumerate(labels.tolist()):
        if allowed[cell]:
            found.setdefault(tuple(row), []).append(cell)
    return [found[row] for row in sorted(found)]


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            st.lists(st.tuples(*[st.integers(-2, 3)] * 3), min_size=n, max_size=n),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
)
def test_groups_are_those_of_a_dictionary(case):
    labels, allowed = np.array(case[0]), np.array(case[1])
    expected = slow_groups(labels, allowed)
    if not expected:
        with pytest.raises(ValueError, match="there are no cells to draw from"):
            Groups.from_labels(labels, subset=allowed)
        return
    groups = Groups.from_labels(labels, subset=allowed)
    assert [groups.cells(g).tolist() for g in range(len(groups))] == expected
    assert groups.counts.tolist() == [len(cells) for cells in expected]
    columns = [labels[:, 0].astype(np.int8), labels[:, 1].astype(np.int16), labels[:, 2].copy()]
    again = Groups.from_labels(columns, subset=np.flatnonzero(allowed)[::-1])
    assert again.members.tolist() == groups.members.tolist()
    assert again.fingerprint == groups.fingerprint


def test_more_groups_than_the_table_has_at_first_and_more_cells_than_a_chunk():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 30_000, 200_000)
    groups = Groups.from_labels(labels)
    assert groups.members.tolist() == np.argsort(labels, kind="stable").tolist()
    assert groups.counts.tolist() == np.unique(labels, return_counts=True)[1].tolist()


def test_labels_whose_combinations_do_not_fit_64_bits():
    rng = np.random.default_rng(0)
    labels = rng.integers(-(2**62), 2**62, (5, 4))[rng.integers(0, 5, 300)]
    groups = Groups.from_labels(labels)
    assert [groups.cells(g).tolist() for g in range(5)] == slow_groups(labels, np.ones(300, bool))


def test_many_columns_whose_combinations_do_not_fit_64_bits():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.integers(0, 300, (40, 12)), [[0] * 12, [299] * 12]])
    rows[1] = [*rows[0, :-1], (rows[0, -1] + 1) % 300]
    labels = rows[rng.integers(0, 42, 2000)]
    groups = Groups.from_labels(list(labels.T.astype(np.int16)))
    assert [groups.cells(g).tolist() for g in range(len(groups))] == slow_groups(labels, np.ones(2000, bool))


def test_labels_of_other_types():
    labels = [np.array([2**63 + 1, 2**63, 2**63 + 1], np.uint64), np.array([True, False, True])]
    assert Groups.from_labels(labels).members.tolist() == [1, 0, 2]
    assert Groups.from_labels(np.array([[2.0], [-1.0], [2.0]])).members.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("labels", "subset", "message"),
    [
        (np.empty((0, 1)), None, "there are no cells to draw from"),
        (np.array([1.0, 0.5]), None, "labels hold 0.5: pass integer codes"),
        (np.array([1.0, np.nan]), None, "labels hold nan"),
        (np.array([1.0, np.inf]), None, "labels hold inf"),
        (np.array(["a", "b"]), None, "labels are of type <U1: pass integer codes"),
        (np.zeros((3, 0), int), None, "one or more"),
        ([np.zeros(3, int), np.zeros(4, int)], None, r"columns of shapes \[\(3,\), \(4,\)\]"),
        (np.zeros((2, 2, 2), int), None, r"shape \(2, 2, 2\)"),
        (np.zeros(3, int), np.zeros(3, bool), "there are no cells to draw from"),
        (np.zeros(3, int), np.empty(0), "there are no cells to draw from"),
        (np.zeros(3, int), np.ones(4, bool), r"the mask has shape \(4,\), there are 3 cells"),
        (np.zeros(3, int), np.array([0, 3]), "subset goes from 0 to 3, there are 3 cells"),
        (np.zeros(3, int), np.array([-1, 2]), "subset goes from -1 to 2"),
        (np.zeros(3, int), np.array([1, 1]), "names 2 cells, 1 of them more than once"),
        (np.zeros(3, int), np.array([0.5]), "type float64: pass a boolean mask or indices"),
    ],
)
def test_labels_that_are_none(labels, subset, message):
    with pytest.raises(ValueError, match=message):
        Groups.from_labels(labels, subset=subset)


def test_groups_are_mapped_from_a_file(tmp_path):
    labels = np.random.default_rng(0).integers(0, 9, (500, 2))
    groups = Groups.from_labels(labels, subset=labels[:, 0] > 2)
    path = tmp_path / "groups"
    groups.save(path)
    mapped = Groups.open(path)
    assert isinstance(mapped.members, np.memmap)
    assert mapped.members.tolist() == groups.members.tolist()
    assert mapped.counts.tolist() == groups.counts.tolist()
    assert (mapped.fingerprint, mapped.n_cells) == (groups.fingerprint, 500)
    sent = pickle.dumps(mapped)
    assert len(sent) < 500, "a worker gets the path, not the cells"
    assert pickle.loads(sent).cells(3).tolist() == groups.cells(3).tolist()
    assert pickle.loads(pickle.dumps(groups)).cells(3).tolist() == groups.cells(3).tolist()
    draws = [WeightedSampler(made, n_draws=100, seed=1).indices(0, 100).tolist() for made in (groups, mapped)]
    assert draws[0] == draws[1]
    with pytest.raises(IndexError, match="no group 99"):
        groups.cells(99)


def test_files_that_are_no_groups(tmp_path):
    path = tmp_path / "groups"
    Groups.from_labels(np.arange(10)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=f"has {len(content) - 1} bytes instead of {len(content)}"):
        Groups.open(path)
    path.write_bytes(content.replace(b'"schema": 1', b'"schema": 7'))
    with pytest.raises(ValueError, match="schema 7; this version reads"):
        Groups.open(path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="no file of groups"):
        Groups.open(path)
    with pytest.raises(FileNotFoundError):
        Groups.open(tmp_path / "absent")
