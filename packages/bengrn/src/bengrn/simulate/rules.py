"""Boolean rules: read as people write them, as truth tables, and as the edges that they imply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bengrn._wording import counted, listed
from bengrn.simulate.signed_edges import by_name, signed_edges

#: Most regulators of one gene: its table has two to that power entries.
MOST_REGULATORS = 14
_TOKEN = re.compile(r"\s*(?:(&&?|\|\|?|[!~()])|([^\s&|!~()]+))")
_WORDS = {"and": "&", "or": "|", "not": "!", "&&": "&", "||": "|", "~": "!"}
_CONSTANTS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, eq=False)
class Rule:
    """When a gene is on.

    Attributes
    ----------
    regulators
        Names of the genes that decide, in order.
    table
        Whether the gene is on, (2 ** regulators,), bool: bit k of an entry's place tells whether regulator k is on.
    text
        The rule as it was written, or as it was made of edges.
    """

    regulators: tuple[str, ...]
    table: NDArray[np.bool_]
    text: str

    def signs(self) -> dict[str, int]:
        """Return 1 for regulators that only switch the gene on, -1 for off, 0 for both; the others are left out."""
        found = {}
        for k, name in enumerate(self.regulators):
            cube = self.table.reshape(-1, 2, 2**k)
            rises, falls = (cube[:, 1] & ~cube[:, 0]).any(), (cube[:, 0] & ~cube[:, 1]).any()
            if rises or falls:
                found[name] = int(rises) - int(falls)
        return found


def rules_of(network: Any) -> tuple[dict[str, Rule], list[str]]:
    """Take rules in any form, or make them of signed edges.

    Parameters
    ----------
    network
        Rules by gene, such as ``{"A": "B and not C"}``; the path of a file of rules, each line ``A = B and not C``,
        ``A, B & !C`` or, below a header, gene and rule separated by a tab; or signed edges in any form that
        :func:`bengrn.simulate.sergio` takes.

    Returns
    -------
    dict
        Rule of each gene, genes in order.
    list of str
        What was taken for granted, in words.

    Raises
    ------
    ValueError
        If a rule cannot be read, or has too many regulators.
    """
    if isinstance(network, Mapping):
        return _completed({str(gene): str(text) for gene, text in network.items()})
    if isinstance(network, str | Path) and (texts := _read(Path(network))) is not None:
        return _completed(texts)
    return _of_edges(network)


def parsed(gene: str, text: str) -> Rule:
    """Return the rule of a gene.

    Raises
    ------
    ValueError
        If the text is not a rule; gene and text are named.
    """
    tokens = _tokens(text)
    names = by_name({token for token in tokens if token not in "&|!()" and token.lower() not in _CONSTANTS})
    if len(names) > MOST_REGULATORS:
        raise ValueError(
            f"the rule of {gene} has {len(names)} regulators, {listed(names)}: more than {MOST_REGULATORS} make its "
            "table of all states too large"
        )
    states = np.arange(2 ** len(names))
    value = {name: (states >> k) & 1 == 1 for k, name in enumerate(names)}
    left = list(tokens)
    try:
        table = _either(left, value, len(states))
        if left:
            raise ValueError(f"{left[0]!r} stands where 'and' or 'or' is expected")
    except ValueError as error:
        raise ValueError(f"the rule of {gene}, {text!r}, cannot be read: {error}") from error
    return Rule(tuple(names), table, text)


def _tokens(text: str) -> list[str]:
    found = [operator or word for operator, word in _TOKEN.findall(text.strip())]
    return [_WORDS.get(token.lower() if token.isalpha() else token, token) for token in found]


def _either(left: list[str], value: Mapping[str, NDArray[np.bool_]], n: int) -> NDArray[np.bool_]:
    found = _all(left, value, n)
    while left and left[0] == "|":
        left.pop(0)
        found = found | _all(left, value, n)
    return found


def _all(left: list[str], value: Mapping[str, NDArray[np.bool_]], n: int) -> NDArray[np.bool_]:
    found = _one(left, value, n)
    while left and left[0] == "&":
        left.pop(0)
        found = found & _one(left, value, n)
    return found


def _one(left: list[str], value: Mapping[str, NDArray[np.bool_]], n: int) -> NDArray[np.bool_]:
    if not left:
        raise ValueError("it ends where a gene is expected")
    token = left.pop(0)
    if token == "!":
        return ~_one(left, value, n)
    if token == "(":
        found = _either(left, value, n)
        if not left or left.pop(0) != ")":
            raise ValueError("a parenthesis is not closed")
        return found
    if token in value:
        return value[token]
    if token.lower() in _CONSTANTS:
        return np.full(n, _CONSTANTS[token.lower()])
    raise ValueError(f"{token!r} stands where a gene is expected")


def _completed(texts: Mapping[str, str]) -> tuple[dict[str, Rule], list[str]]:
    """Return all rules, also those of genes that only stand in others' rules."""
    if not texts:
        raise ValueError("there is no rule: there is nothing to simulate")
    rules = {gene: parsed(gene, text) for gene, text in texts.items()}
    return _with_inputs(rules)


def _with_inputs(rules: dict[str, Rule]) -> tuple[dict[str, Rule], list[str]]:
    named = {name for rule in rules.values() for name in rule.regulators}
    inputs = by_name(named - set(rules))
    notes = []
    if inputs:
        notes.append(
            f"{counted(len(inputs), 'gene has', 'genes have')} no rule and keep their first state: {listed(inputs)}"
        )
    rules = rules | {gene: Rule((gene,), np.array([False, True]), gene) for gene in inputs}
    return {gene: rules[gene] for gene in by_name(rules)}, notes


def _of_edges(network: Any) -> tuple[dict[str, Rule], list[str]]:
    table, notes = _merged(network)
    rules = {}
    for target, rows in table.groupby("target", sort=True):
        on = by_name(rows.loc[rows["sign"] > 0, "source"])
        off = by_name(rows.loc[rows["sign"] < 0, "source"])
        none = f"not ({' or '.join(off)})" if off else ""
        any_of = f"({' or '.join(on)})" if on else ""
        rules[str(target)] = _of_signs(str(target), on, off, " and ".join(part for part in (any_of, none) if part))
    found, more = _with_inputs(rules)
    return found, ["rules were made of signed edges: any activator and no repressor", *notes, *more]


def _of_signs(target: str, on: list[str], off: list[str], text: str) -> Rule:
    names = by_name([*on, *off])
    if len(names) > MOST_REGULATORS:
        raise ValueError(
            f"{target} has {len(names)} regulators, {listed(names)}: more than {MOST_REGULATORS} make its table of all "
            "states too large"
        )
    states = np.arange(2 ** len(names))
    value = {name: (states >> k) & 1 == 1 for k, name in enumerate(names)}
    table = np.full(len(states), not on)
    for name in on:
        table |= value[name]
    for name in off:
        table &= ~value[name]
    return Rule(tuple(names), table, text)


def _merged(network: Any) -> tuple[pd.DataFrame, list[str]]:
    """Return edges, each once: to be there twice changes no rule, unless the signs differ."""
    edges = signed_edges(network, duplicates="keep")
    table = edges.table[["source", "target", "sign"]].drop_duplicates()
    torn = table[table.duplicated(["source", "target"])]
    if len(torn):
        pairs = [f"{row.source} → {row.target}" for row in torn.itertuples()]
        raise ValueError(f"{counted(len(pairs), 'edge')} both activate and repress: {listed(pairs)}; write their rules")
    n = len(edges.table) - len(table)
    notes = [f"{counted(n, 'edge')} there twice with the same sign counted once"] if n else []
    return table, [*edges.notes, *notes]


def _read(path: Path) -> dict[str, str] | None:
    """Return the rules of a file, None where it holds no rules."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        return None
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"{path} is empty: it needs a rule a line, such as A = B and not C")
    head = re.split(r"[\t,]\s*", lines[0].lower())
    if head in (["gene", "rule"], ["targets", "factors"]):
        separator, lines = "\t" if "\t" in lines[0] else ",", lines[1:]
    elif "=" in lines[0]:
        separator = "="
    else:
        return None
    rules: dict[str, str] = {}
    for line in lines:
        gene, found, text = line.partition(separator)
        gene = gene.strip().rstrip("*").strip()
        if not found or not gene or not text.strip():
            raise ValueError(f"{path}: {line!r} is no rule; write gene, {separator!r} and its rule")
        if gene in rules:
            raise ValueError(f"{path} has two rules of {gene}: join them by or")
        rules[gene] = text.strip()
    return rules


def implied_edges(rules: Mapping[str, Rule]) -> pd.DataFrame:
    """Return the edges that rules imply, with sign 0 where a regulator switches both on and off."""
    rows: Iterable[tuple[str, str, int]] = (
        (source, gene, sign) for gene, rule in rules.items() for source, sign in rule.signs().items()
    )
    return pd.DataFrame(rows, columns=["source", "target", "sign"])
