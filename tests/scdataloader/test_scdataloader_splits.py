"""Splits: disjoint, complete, the same in any order of files, and stored as they are."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from scdataloader.splits import PARTS, Split, make_split

SIZES = {"retina": 300, "colon": 50, "kidney": 1000, "lung": 7}


def parts(split):
    return {name: [PARTS[code] for code in codes] for name, codes in split.codes.items()}


@st.composite
def corpora(draw):
    names = draw(st.lists(st.text("abcdef/é", min_size=1, max_size=6), min_size=2, max_size=6, unique=True))
    sizes = {name: draw(st.integers(4, 40)) for name in names}
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = {
        "val_fraction": draw(st.sampled_from([0, 0.02, 0.2])),
        "test_datasets": draw(st.sampled_from([0, 1, 0.02, [names[0]]])),
        "seed": draw(st.integers(0, 5)),
    }
    if draw(st.booleans()):
        options["groups"] = {name: rng.choice([*"ABCDEFGHIJ", None], n).tolist() for name, n in sizes.items()}
        options["test_groups"] = draw(st.sampled_from([0, 1, 0.1]))
    if draw(st.booleans()):
        options["fingerprints"] = {name: rng.integers(0, 60, n).astype(np.uint64) for name, n in sizes.items()}
    return sizes, options


@given(corpora())
def test_parts_are_disjoint_cover_all_and_share_nothing(corpus):
    sizes, options = corpus
    try:
        split = make_split(sizes, **options)
    except ValueError as error:
        if "nothing is left to train on" not in str(error):
            raise
        reject()
    names = list(sizes)
    numbers = list(sizes.values())
    cells = [split.cells(part, names, numbers) for part in PARTS]
    assert sorted(np.concatenate(cells).tolist()) == list(range(sum(numbers)))
    train, validation, test = (set(part.tolist()) for part in cells[:3])
    for key in ("fingerprints", "groups"):
        if key not in options:
            continue
        of_cell = [value for name in names for value in options[key][name]]
        train_keys, val_keys, test_keys = ({of_cell[i] for i in part} - {None} for part in (train, validation, test))
        assert not train_keys & (val_keys | test_keys)
        assert not val_keys & test_keys
    if "groups" not in options and "fingerprints" not in options:
        assert len(cells[3]) == 0
        assert bool(validation) == (options["val_fraction"] > 0)
    for name in split.test_datasets:
        assert {PARTS[code] for code in split.codes[name]} == {"test"}
    if options["test_datasets"] == [names[0]]:
        assert names[0] in split.test_datasets
    shuffled = dict(reversed(sizes.items()))
    assert make_split(shuffled, **options) == split


def test_shares_by_hand():
    split = make_split(SIZES, val_fraction=0.1, test_datasets=["colon"])
    assert split.test_datasets == ["colon"]
    frame = split.to_frame()
    assert frame.loc["colon"].tolist() == [0, 0, 50, 0]
    assert frame.loc["kidney"].tolist() == [900, 100, 0, 0]
    assert frame.loc["retina"].tolist() == [270, 30, 0, 0]
    assert frame.loc["lung", "validation"] in (0, 1)  # 0.7
    assert frame.index.tolist() == sorted(SIZES)
    chances = [make_split({"lung": 7, "big": 20}, val_fraction=0.1, seed=s).to_frame() for s in range(400)]
    assert 0.6 < np.mean([frame.loc["lung", "validation"] for frame in chances]) < 0.8


def test_papers_shares():
    sizes = {f"d{i}": 100 for i in range(120)}
    split = make_split(sizes, val_fraction=0.02, test_datasets=0.02)
    assert len(split.test_datasets) == 3  # 2.4, and 2 % at least
    frame = split.to_frame()
    assert frame["validation"].sum() == 117 * 2
    assert frame["test"].sum() == 300
    assert make_split(sizes, test_datasets=3).test_datasets == split.test_datasets
    assert make_split(sizes, test_datasets=3, seed=1).test_datasets != split.test_datasets


def test_another_data_set_moves_no_cell():
    small = make_split({"retina": 300, "kidney": 1000}, val_fraction=0.1)
    large = make_split(SIZES, val_fraction=0.1)
    for name in ("retina", "kidney"):
        assert (small.codes[name] == large.codes[name]).all()
    other = make_split(SIZES, val_fraction=0.1, seed=1)
    assert (other.codes["kidney"] != large.codes["kidney"]).any()


def test_one_cell_at_least_validates():
    split = make_split({"a": 5, "b": 9}, val_fraction=0.001)
    assert split.to_frame()["validation"].sum() == 1
    assert make_split({"a": 5, "b": 9}, val_fraction=0).to_frame()["validation"].sum() == 0


def test_groups_go_to_one_part():
    rng = np.random.default_rng(0)
    groups = {name: rng.choice(["p1", "p2", "p3", "p4", "p5", "p6", "unknown", None], n) for name, n in SIZES.items()}
    split = make_split(SIZES, val_fraction=0.2, groups=groups, test_groups=["p3"])
    assert split.groups["test"] == ("p3",)
    assert split.groups["validation"]
    held = {"p3": "test"} | dict.fromkeys(split.groups["validation"], "validation")
    for name, column in groups.items():
        for group, part in zip(column, parts(split)[name], strict=True):
            key = f"unknown in {name}" if group in ("unknown", None) else group
            assert part == held.get(key, "train")
    n = sum(SIZES.values()) - sum((column == "p3").sum() for column in groups.values())
    assert split.to_frame()["validation"].sum() >= 0.2 * n


def test_relatives_of_held_out_data_sets_are_excluded():
    sizes = {"a": 4, "b": 6}
    groups = {"a": ["x", "y", "x", "y"], "b": ["y", "z", "z", "w", "w", "w"]}
    split = make_split(sizes, val_fraction=0.1, test_datasets=["a"], groups=groups, seed=3)
    assert parts(split)["a"] == ["test"] * 4
    assert parts(split)["b"][0] == "excluded"  # donor y is tested on
    assert set(parts(split)["b"][1:]) == {"train", "validation"}


def test_copies_of_held_out_cells_are_excluded():
    prints = {"a": np.array([1, 2, 3, 4], np.uint64), "b": np.array([3, 9, 9, 5, 1, 6], np.uint64)}
    split = make_split({"a": 4, "b": 6}, val_fraction=0, test_datasets=["a"], fingerprints=prints)
    assert parts(split)["b"] == ["excluded", "train", "train", "train", "excluded", "train"]
    same = {"a": np.zeros(4, np.uint64), "b": np.arange(1, 7).astype(np.uint64)}
    split = make_split({"a": 4, "b": 6}, val_fraction=0.5, fingerprints=same)
    assert sorted(parts(split)["a"]) == ["excluded"] * 2 + ["validation"] * 2
    assert sorted(parts(split)["b"]) == ["train"] * 3 + ["validation"] * 3


def test_stored_split_is_the_same(tmp_path):
    rng = np.random.default_rng(0)
    groups = {name: rng.choice([f"{name} 1", f"{name} 2"], n) for name, n in SIZES.items()} | {"empty": []}
    split = make_split(SIZES | {"empty": 0}, val_fraction=0.1, test_datasets=1, groups=groups)
    split.save(tmp_path / "split.parquet")
    again = Split.load(tmp_path / "split.parquet")
    assert again == split
    assert again.test_datasets == split.test_datasets
    assert again.groups == dict(split.groups)
    assert list(again.codes) == list(split.codes)
    assert again != make_split(SIZES | {"empty": 0}, val_fraction=0.1, test_datasets=1, seed=9)
    names = ["lung", "retina"]
    assert (again.cells("train", names, [7, 300]) == split.cells("train", names, [7, 300])).all()
    (tmp_path / "other.parquet").write_bytes(b"")
    split.to_frame().to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other\.parquet is no split"):
        Split.load(tmp_path / "other.parquet")


def test_cells_are_counted_in_the_order_of_the_caller():
    split = make_split({"a": 3, "b": 2}, val_fraction=0, test_datasets=["b"])
    assert split.cells("test", ["a", "b"], [3, 2]).tolist() == [3, 4]
    assert split.cells("test", ["b", "a"], [2, 3]).tolist() == [0, 1]
    assert split.cells("train", ["a"], [3]).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="a has 4 cells, but the split was made for 3"):
        split.cells("train", ["a"], [4])
    with pytest.raises(ValueError, match=r"1 data sets are not in the split, such as \['c'\]; it has \['a', 'b'\]"):
        split.cells("train", ["c"], [4])
    with pytest.raises(ValueError, match="part='val' is not one of"):
        split.cells("val", ["a"], [3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 1.5}, "val_fraction=1.5 must lie"),
        ({"test_datasets": ["brain"]}, r"test_datasets: there is no \['brain'\], only \['colon', 'kidney', "),
        ({"test_datasets": 1.0}, "test_datasets=1.0 is a share"),
        ({"test_datasets": 5}, "test_datasets=5, but there are 4"),
        ({"test_datasets": 4}, "nothing is left to train on: of 1357 cells in 4 data sets"),
        ({"test_groups": ["p1"]}, "test_groups needs groups"),
        ({"groups": {"retina": ["p"] * 300}}, "groups has no entry for data set 'colon'"),
        ({"fingerprints": {name: np.zeros(3, np.uint64) for name in SIZES}}, "fingerprints has 3 entries for data set"),
    ],
)
def test_what_cannot_be_split(options, message):
    with pytest.raises(ValueError, match=message):
        make_split(SIZES, **options)
    with pytest.raises(ValueError, match="no data sets to split"):
        make_split({})


def test_whole_data_sets_and_groups_validate():
    sizes = {"a": 10, "b": 20, "c": 30}
    split = make_split(sizes, val_fraction=0, val_datasets=["b"], test_datasets=["c"])
    assert split.to_frame().loc["b"].tolist() == [0, 20, 0, 0]
    assert split.to_frame().loc["a"].tolist() == [10, 0, 0, 0]
    drawn = make_split(sizes, val_fraction=0, val_datasets=1, test_datasets=1).to_frame()
    assert (drawn["validation"] > 0).sum() == (drawn["test"] > 0).sum() == 1
    assert not ((drawn["validation"] > 0) & (drawn["test"] > 0)).any()
    donors = {name: [f"d{i % 4}" for i in range(size)] for name, size in sizes.items()}
    split = make_split(sizes, val_fraction=0, groups=donors, val_groups=["d1"])
    assert split.groups["validation"] == ("d1",)
    assert (split.codes["a"] == PARTS.index("validation")).tolist() == [i % 4 == 1 for i in range(10)]
    # a donor of a validation data set is not trained on elsewhere
    split = make_split(sizes, val_fraction=0, val_datasets=["a"], groups=donors | {"a": ["d0"] * 10})
    assert (split.codes["b"] == PARTS.index("excluded")).tolist() == [i % 4 == 0 for i in range(20)]
    with pytest.raises(ValueError, match="there is no \\['c'\\]"):
        make_split(sizes, val_datasets=["c"], test_datasets=["c"])
    with pytest.raises(ValueError, match="val_groups needs groups"):
        make_split(sizes, val_groups=["d1"])
