"""The edges to simulate from, of any source: checked, in an order that their names decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bengrn._wording import counted, listed
from bengrn.simulate.sergio_files import is_interactions, read_interactions
from bengrn.truths.edge_file import read_edge_file, signs
from bengrn.truths.ground_truth import GroundTruth

type Duplicates = Literal["error", "first", "keep"]


@dataclass(frozen=True, eq=False)
class SignedEdges:
    """Edges with their signs, in the order of their names.

    Attributes
    ----------
    table
        One row an edge: ``source``, ``target``, ``sign`` (1, -1), ``strength`` (above 0, NaN where the source does not
        say) and ``hill`` (NaN where it does not say), by target and source.
    genes
        Names of all genes, in order: numbers by their value, other names by their letters.
    notes
        What was taken for granted, in words.
    """

    table: pd.DataFrame
    genes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def masters(self) -> list[str]:
        """Names of the genes that nothing regulates, in order."""
        targets = set(self.table["target"])
        return [gene for gene in self.genes if gene not in targets]


def signed_edges(network: Any, *, duplicates: Duplicates = "error") -> SignedEdges:
    """Take a network in any form that says which gene regulates which.

    Parameters
    ----------
    network
        A :class:`bengrn.GroundTruth`; a DataFrame with the columns ``source``, ``target`` and, where known, ``sign``
        (or mor, type, interaction, effect), ``strength`` and ``hill``; the path of such a table; or the path of
        SERGIO's own file of interactions.
    duplicates
        "error", "first" to keep the first of edges that are there twice, or "keep" to keep all.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If an edge is there twice, lacks a name, or has a strength or Hill exponent that cannot be used.
    """
    notes: list[str] = []
    if isinstance(network, GroundTruth):
        given = network.edges
        notes += list(network.notes)
    elif isinstance(network, pd.DataFrame):
        given = network
    elif isinstance(network, str | Path):
        given = _read(Path(network))
        notes += given.attrs.get("notes", [])
    else:
        raise TypeError(
            f"a network is a GroundTruth, a table of edges or the path of one, and not a {type(network).__name__}"
        )
    table = _columns(given, notes)
    _check(table)
    table = _once(table, duplicates, notes)
    genes = by_name({*table["source"], *table["target"]})
    place = {gene: at for at, gene in enumerate(genes)}
    order = np.lexsort((table["source"].map(place), table["target"].map(place)))
    return SignedEdges(table.iloc[order].reset_index(drop=True), tuple(genes), tuple(notes))


def by_name(names: Any) -> list[str]:
    """Return names in order: by value where all are whole numbers, else by letters."""
    names = list(names)
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return read_interactions(path) if is_interactions(path) else read_edge_file(path)


def _columns(given: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    missing = [name for name in ("source", "target") if name not in given.columns]
    if missing:
        raise ValueError(f"a network needs the columns source and target; [{listed(given.columns)}] lacks {missing}")
    if given.empty:
        raise ValueError("the network has no edge: there is nothing to simulate")
    named = {str(name).strip().lower(): name for name in reversed(given.columns)}
    unnamed = given[["source", "target"]].isna().any(axis=1) | (given[["source", "target"]] == "").any(axis=1)
    if unnamed.any():
        rows = given.index[unnamed].tolist()
        raise ValueError(
            f"{counted(len(rows), 'edge lacks', 'edges lack')} the name of a gene, rows {listed(rows)}: drop them"
        )
    table = pd.DataFrame({name: given[name].astype(str).str.strip() for name in ("source", "target")})
    for name in ("strength", "hill"):
        table[name] = pd.to_numeric(given[named[name]], errors="raise").astype(float) if name in named else np.nan
        _no_gap(table, name, name in named)
    stated = next((named[name] for name in ("sign", "mor", "type", "interaction", "effect") if name in named), None)
    if stated is not None:
        table["sign"] = signs(given[stated])
    elif "strength" in named:
        table["sign"] = np.sign(table["strength"]).astype("int8")
    else:
        table["sign"] = 0
    unknown = table["sign"] == 0
    if unknown.any():
        table.loc[unknown, "sign"] = 1
        notes.append(f"{counted(int(unknown.sum()), 'edge states', 'edges state')} no sign: taken as activating")
    table["strength"] = table["strength"].abs()
    return table[["source", "target", "sign", "strength", "hill"]]


def _no_gap(table: pd.DataFrame, name: str, is_given: bool) -> None:
    values = table[name]
    bad = ~np.isfinite(values) | ((values <= 0) if name == "hill" else (values == 0))
    if is_given and bad.any():
        edges = [f"{row.source} → {row.target}" for row in table[bad].itertuples()]
        raise ValueError(
            f"the {name} of {counted(len(edges), 'edge')} is no number that can be used ({values[bad].iloc[0]}), "
            f"of {listed(edges)}: give a finite number {'above 0' if name == 'hill' else 'other than 0'}"
        )


def _check(table: pd.DataFrame) -> None:
    if set(table["sign"]) - {1, -1}:
        raise ValueError(f"signs are 1 (activates) and -1 (represses), not {listed(set(table['sign']) - {1, -1})}")


def _once(table: pd.DataFrame, duplicates: Duplicates, notes: list[str]) -> pd.DataFrame:
    again = table.duplicated(["source", "target"])
    if duplicates not in ("error", "first", "keep"):
        raise ValueError(f"duplicates is 'error' or 'first', not {duplicates!r}")
    if not again.any() or duplicates == "keep":
        return table
    edges = [f"{row.source} → {row.target}" for row in table[again].itertuples()]
    if duplicates != "first":
        raise ValueError(
            f"{counted(len(edges), 'edge is', 'edges are')} there twice: {listed(edges)}; drop them, or keep the first "
            "with duplicates='first'"
        )
    notes.append(f"{counted(len(edges), 'edge')} there twice: the first was kept, of {listed(edges)}")
    return table[~again]
