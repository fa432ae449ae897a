"""Split cells into those a model trains on, is validated on and is tested on: fixed, stored, and none on two sides.

`select_rows` chooses the cells of a store before they are split.

What chance decides is drawn from names, never from the order of files: the same data sets give the same split on every
machine and rank.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scdataloader._atomic import atomic_path
from scdataloader._wording import listed

if TYPE_CHECKING:
    from scdataloader.store.reader import CellReader

#: The parts of a split, in the order of their codes. Excluded are cells that have a copy or relative held out.
PARTS = ("train", "validation", "test", "excluded")
_TRAIN, _VALIDATION, _TEST, _EXCLUDED = range(4)
#: What stands for no group in a column of donors or the like.
_NO_GROUP = frozenset({"unknown", "na", "nan", "none", "<na>", ""})


@dataclass(frozen=True, eq=False)
class Split:
    """The part of each cell.

    Attributes
    ----------
    codes
        Data set name to the part of each of its cells, an index into `PARTS`, uint8, shape (n_cells,).
    groups
        Names of the groups (such as donors) whose cells were held out, by part: ``"validation"`` and ``"test"``; empty
        where cells were drawn one by one.
    """

    codes: Mapping[str, np.ndarray]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Split):
            return NotImplemented
        same = self.codes.keys() == other.codes.keys() and dict(self.groups) == dict(other.groups)
        return same and all(np.array_equal(self.codes[name], other.codes[name]) for name in self.codes)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    @property
    def test_datasets(self) -> list[str]:
        """Names of the data sets of which every cell is in the test part, sorted; read from the cells themselves."""
        return sorted(name for name, codes in self.codes.items() if len(codes) and (codes == _TEST).all())

    def cells(self, part: str, names: Sequence[str], sizes: Sequence[int]) -> np.ndarray:
        """Return the cells of a part, counted through the data sets in the given order.

        Parameters
        ----------
        part
            One of `PARTS`.
        names, sizes
            The data sets, in the order in which the cells are numbered, and how many cells each has.

        Returns
        -------
        numpy.ndarray
            int64, rising.

        Raises
        ------
        ValueError
            When a data set is not in the split, or has another number of cells than the split was made for.
        """
        if part not in PARTS:
            raise ValueError(f"part={part!r} is not one of {PARTS}")
        unknown = [name for name in names if name not in self.codes]
        if unknown:
            raise ValueError(
                f"{len(unknown)} data sets are not in the split, such as {unknown[:3]}; it has {sorted(self.codes)[:5]}"
            )
        for name, size in zip(names, sizes, strict=True):
            if len(self.codes[name]) != size:
                raise ValueError(
                    f"{name} has {size} cells, but the split was made for {len(self.codes[name])}: preprocess it as it "
                    "was then, or make a new split"
                )
        codes = np.concatenate([self.codes[name] for name in names]) if len(names) else np.empty(0, dtype=np.uint8)
        return np.flatnonzero(codes == PARTS.index(part))

    def to_frame(self) -> pd.DataFrame:
        """Return the number of cells in each part, one row a data set, sorted by name."""
        rows = {name: np.bincount(self.codes[name], minlength=len(PARTS)) for name in sorted(self.codes)}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(PARTS)).rename_axis("dataset")

    def save(self, path: Path | str) -> None:
        """Write the split as a parquet table: ``dataset``, ``cell`` (its row in the data set) and ``part``."""
        names = list(self.codes)
        sizes = [len(self.codes[name]) for name in names]
        parts = np.concatenate(list(self.codes.values())).astype(np.int8)
        frame = pd.DataFrame(
            {
                "dataset": pd.Categorical.from_codes(
                    np.repeat(np.arange(len(names)), sizes), dtype=pd.CategoricalDtype(names)
                ),
                "cell": np.concatenate([np.arange(size) for size in sizes]),
                "part": pd.Categorical.from_codes(parts, dtype=pd.CategoricalDtype(list(PARTS))),
            }
        )
        # data sets without a cell have no row: their names go beside the groups
        groups = {part: list(held) for part, held in self.groups.items()}
        frame.attrs["split"] = json.dumps({"datasets": names, "groups": groups})
        with atomic_path(path) as temporary:
            frame.to_parquet(temporary, compression="zstd", index=False)

    @classmethod
    def load(cls, path: Path | str) -> Split:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            When the file is not a split.
        """
        frame = pd.read_parquet(path)
        if "split" not in frame.attrs:
            raise ValueError(f"{path} is no split: make it with Split.save")
        content = json.loads(frame.attrs["split"])
        part = pd.Categorical(frame["part"], categories=list(PARTS)).codes.astype(np.uint8)
        by_name = {str(name): part[rows] for name, rows in frame.groupby("dataset", observed=True).indices.items()}
        codes = {name: by_name.get(name, np.empty(0, dtype=np.uint8)) for name in content["datasets"]}
        return cls(codes, {name: tuple(held) for name, held in content["groups"].items()})


def make_split(
    sizes: Mapping[str, int],
    *,
    val_fraction: float = 0.02,
    test_datasets: Sequence[str] | float = 0,
    val_datasets: Sequence[str] | float = 0,
    groups: Mapping[str, Sequence[object]] | None = None,
    test_groups: Sequence[str] | float = 0,
    val_groups: Sequence[str] | float = 0,
    fingerprints: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Split:
    """Split a corpus: whole data sets for testing and validation, and a share of the cells of all others to validate.

    The paper holds out 2 % of the cells for validation and at least 2 % of the data sets for testing:
    ``make_split(sizes, val_fraction=0.02, test_datasets=0.02)``.

    Parameters
    ----------
    sizes
        Number of cells of each data set, by name.
    val_fraction
        Share of the cells outside the test part that validate, drawn inside each data set; 0 for none, else one cell at
        least.
    test_datasets
        Names of the data sets to test on; or how many, an int; or which share of them, a float, rounded up.
    val_datasets
        Data sets to validate on as a whole, named or drawn alike among those that are not tested on.
    groups
        The group of each cell, such as its donor, by data set. Groups then go to one part as a whole: validation takes
        groups until it has its share of the cells. A name is the same group in every data set; cells without one
        (missing, ``"unknown"``) are one group a data set.
    test_groups
        Names, number or share of the groups to test on, beside the data sets.
    val_groups
        Groups to validate on as a whole, named or drawn alike, in place of as many as make the share of cells.
    fingerprints
        Hash of each cell's counts, by data set (`scdataloader.fingerprint`). Cells whose copy is held out are then
        excluded from training, and from validation if the copy is tested on.
    seed
        Seed of what is drawn.

    Raises
    ------
    ValueError
        For unknown names, shares outside 0 to 1, or when nothing is left to train on.

    References
    ----------
    Kalfon et al. 2025, Methods, "Optimization method".
    """
    if not sizes:
        raise ValueError("there are no data sets to split")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction={val_fraction} must lie between 0 and 1")
    codes = {name: np.zeros(size, dtype=np.uint8) for name, size in sizes.items()}
    for name in _held_out(test_datasets, list(sizes), "test_datasets", seed):
        codes[name][:] = _TEST
    others = [name for name in sizes if not (codes[name] == _TEST).any()]
    for name in _held_out(val_datasets, others, "val_datasets", seed):
        codes[name][:] = _VALIDATION
    held: dict[str, tuple[str, ...]] = {}
    if groups is None:
        for name, chosen in (("test_groups", test_groups), ("val_groups", val_groups)):
            if not isinstance(chosen, (int, float)) or chosen:
                raise ValueError(f"{name} needs groups: the group of each cell")
        _draw_cells(codes, val_fraction, seed)
    else:
        _check_lengths(sizes, groups, "groups")
        numbers, names = _group_codes(groups, list(sizes))
        held = _draw_groups(codes, numbers, names, val_fraction, (test_groups, val_groups), seed)
        _exclude_relatives(codes, numbers)
    if fingerprints is not None:
        _check_lengths(sizes, fingerprints, "fingerprints")
        _exclude_relatives(codes, fingerprints)
    if not any((part == _TRAIN).any() for part in codes.values()):
        raise ValueError(
            f"nothing is left to train on: of {sum(sizes.values())} cells in {len(sizes)} data sets all are held out "
            "or excluded: hold out less"
        )
    return Split(codes, held)


def _check_lengths(
    sizes: Mapping[str, int], given: Mapping[str, Sequence[object]] | Mapping[str, np.ndarray], what: str
) -> None:
    for name, size in sizes.items():
        if name not in given:
            raise ValueError(f"{what} has no entry for data set {name!r}")
        if len(given[name]) != size:
            raise ValueError(f"{what} has {len(given[name])} entries for data set {name!r} of {size} cells")


def _hash(seed: int, *names: str) -> int:
    content = "\0".join([str(seed), *names]).encode()
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def _held_out(chosen: Sequence[str] | float, names: Sequence[str], what: str, seed: int) -> list[str]:
    """Return the names that are meant: those given, or as many as asked for in an order that the seed shuffles."""
    if isinstance(chosen, str):
        chosen = [chosen]
    if not isinstance(chosen, (int, float)):
        unknown = sorted(set(chosen) - set(names))
        if unknown:
            raise ValueError(f"{what}: there is no {unknown[:3]}, only {sorted(names)[:10]}")
        return sorted(set(chosen))
    if isinstance(chosen, float) and not 0 <= chosen < 1:
        raise ValueError(f"{what}={chosen} is a share: it must lie between 0 and 1 (or be a whole number, or names)")
    number = chosen if isinstance(chosen, int) else math.ceil(round(chosen * len(names), 9))
    if not 0 <= number <= len(names):
        raise ValueError(f"{what}={chosen}, but there are {len(names)}")
    return sorted(names, key=lambda name: _hash(seed, what, name))[:number]


def _draw_cells(codes: Mapping[str, np.ndarray], fraction: float, seed: int) -> None:
    """Mark a share of each data set's training cells as validation."""
    # inside each data set: another one beside it moves none of its cells
    training = [name for name in codes if len(codes[name]) and codes[name][0] == _TRAIN]
    numbers = {}
    for name in training:
        # rounded up by a chance of its own: many small data sets together give their share
        chance = _hash(seed, "rounding", name) / 2**64
        numbers[name] = math.floor(round(fraction * len(codes[name]), 9) + chance)
    if fraction > 0 and training and not any(numbers.values()):
        numbers[max(sorted(training), key=lambda name: len(codes[name]))] = 1
    for name, number in numbers.items():
        rng = np.random.default_rng(_hash(seed, "cells", name))
        codes[name][rng.permutation(len(codes[name]))[:number]] = _VALIDATION


def _group_codes(
    groups: Mapping[str, Sequence[object]], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the number of each cell's group, by data set, and the groups' names."""
    columns = []
    for name in names:
        column = pd.Series([str(value) for value in groups[name]], dtype=object)
        unknown = column.str.strip().str.lower().isin(_NO_GROUP)
        columns.append(column.where(~unknown, f"unknown in {name}"))
    numbers, found = pd.factorize(pd.concat(columns, ignore_index=True), sort=True)
    ends = np.cumsum([len(column) for column in columns])
    return dict(zip(names, np.split(numbers, ends[:-1]), strict=True)), [str(group) for group in found]


def _draw_groups(
    codes: Mapping[str, np.ndarray],
    numbers: Mapping[str, np.ndarray],
    names: Sequence[str],
    fraction: float,
    chosen: tuple[Sequence[str] | float, Sequence[str] | float],
    seed: int,
) -> dict[str, tuple[str, ...]]:
    """Mark the cells of whole groups as test and validation; return the groups' names."""
    test_groups, val_groups = chosen
    free = np.zeros(len(names), dtype=np.int64)
    tested = np.zeros(len(names), dtype=bool)
    for name, part in codes.items():
        free += np.bincount(numbers[name][part == _TRAIN], minlength=len(names))
        tested[numbers[name][part == _TEST]] = True
    place = {name: i for i, name in enumerate(names)}
    test = [
        place[name]
        for name in _held_out(test_groups, [names[i] for i in np.flatnonzero(free).tolist()], "test_groups", seed)
    ]
    tested[test] = True
    candidates = sorted(np.flatnonzero((free > 0) & ~tested).tolist(), key=lambda i: _hash(seed, "groups", names[i]))
    before = np.concatenate([[0], np.cumsum(free[candidates])])
    validation = [group for group, n in zip(candidates, before, strict=False) if n < fraction * before[-1]]
    if not isinstance(val_groups, (int, float)) or val_groups:
        validation = [place[name] for name in _held_out(val_groups, [names[i] for i in candidates], "val_groups", seed)]
    for held, code in ((test, _TEST), (validation, _VALIDATION)):
        for name, part in codes.items():
            part[(part == _TRAIN) & np.isin(numbers[name], held)] = code
    return {what: tuple(names[i] for i in sorted(h)) for what, h in (("validation", validation), ("test", test))}


def _exclude_relatives(codes: Mapping[str, np.ndarray], keys: Mapping[str, np.ndarray]) -> None:
    """Exclude cells of training whose key is held out, and of validation whose key is tested on."""
    for held, below in ((_TEST, (_TRAIN, _VALIDATION)), (_VALIDATION, (_TRAIN,))):
        seen = np.unique(np.concatenate([keys[name][part == held] for name, part in codes.items()]))
        for name, part in codes.items():
            part[np.isin(part, below) & np.isin(keys[name], seen)] = _EXCLUDED


def select_rows(
    store: CellReader, *, datasets: Sequence[str] | None = None, where: str | None = None
) -> np.ndarray | None:
    """Return the rows of a store to use, rising; None for all.

    Parameters
    ----------
    store
        Open.
    datasets
        Names of data sets; None: all.
    where
        Condition on the cells' table, as `pandas.DataFrame.query` takes it; None: none.

    Raises
    ------
    ValueError
        When a data set or a column does not exist, the condition cannot be understood, or no cell is left.
    """
    if datasets is None and where is None:
        return None
    kept = np.ones(len(store), np.bool_)
    if datasets is not None:
        check_names(datasets, store.datasets)
        chosen = np.isin(np.arange(len(store.datasets)), [store.datasets.index(name) for name in datasets])
        kept &= chosen[store.dataset]
    if where is not None:
        kept &= _meets(store, where)
    if not kept.any():
        raise ValueError(f"no cell is left of {len(store):,}: datasets={datasets}, where={where!r}")
    return np.flatnonzero(kept)


def check_names(wanted: Sequence[str], there: Sequence[str]) -> None:
    """Raise ValueError where a data set is wanted that there is not."""
    if unknown := [name for name in wanted if name not in there]:
        raise ValueError(f"there are no data sets {unknown[:5]}, only {list(there)[:10]}")


def _meets(store: CellReader, where: str) -> np.ndarray:
    columns = _columns(where, store.columns)
    table = store.obs(columns).reset_index(drop=True)
    for name in columns:  # compared as text: categories of several data sets are not the same
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            table[name] = table[name].astype(object)
    try:
        found = np.asarray(table.eval(where, engine="python"))
    except Exception as error:
        raise ValueError(
            f"where={where!r} cannot be understood ({error}): columns of obs are {store.columns}"
        ) from error
    if found.dtype != np.bool_ or found.shape != (len(store),):
        raise ValueError(f"where={where!r} gives {found.dtype}, not true or false for each cell: write a condition")
    return found


def _columns(where: str, there: Sequence[str]) -> list[str]:
    """Return the columns that a condition names; all where that cannot be told."""
    if "`" in where:
        return list(there)
    try:
        names = [node.id for node in ast.walk(ast.parse(where.strip(), mode="eval")) if isinstance(node, ast.Name)]
    except SyntaxError as error:
        raise ValueError(f"where={where!r} cannot be understood: {error}") from error
    if unknown := [name for name in dict.fromkeys(names) if name not in there]:
        raise ValueError(f"where={where!r}: obs has no columns {unknown}; it has [{listed(there)}]")
    return list(dict.fromkeys(names))
