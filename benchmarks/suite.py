"""What a suite of benchmarks is: a function that gives a table, and what has to be known to run and to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: How much is run: in minutes on bundled cells; in half an hour; all, for those with time, data or a GPU.
SIZES = ("quick", "bench", "full")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A function that gives a table, its arguments by size, and how its table is read.

    Attributes
    ----------
    name, section, title
        Name of its files, key of its section, and what the table shows.
    function
        Function as ``"module:name"``; it returns a DataFrame.
    sizes
        Arguments of each unit of work, by size. A size that is absent does not run this suite.
    names
        Columns that name a row of the table.
    method
        Column among `names` that says which method a row is of; empty where columns are methods.
    lower, higher
        Columns of which a lower, or a higher, number is better.
    ends
        Columns of the lower and upper end of an interval, by the column of its number. Columns that end in ``_low`` and
        ``_high`` are found without it.
    peers
        Peers that the table holds: name, and the heading or the cell of column `method` that shows it ran.
    code
        Files and folders of the repository whose change makes the work run again.
    environments
        Names of the locked environments that it uses.
    data
        Files that it reads, below the folder of data; without them it is not run, and says so.
    repeats
        Number of times that the same work runs, by size; their spread is the noise of numbers that have no interval.
    minutes, gigabytes
        Limits of each unit of work.
    alone
        Whether no other unit runs beside its own: they measure time, or have processes for all cores.
    figures
        Function as ``"module:name"`` that makes parts of the page of the rows of all units, above the table.
    """

    name: str
    section: str
    title: str
    function: str
    sizes: Mapping[str, Sequence[Mapping[str, Any]]]
    names: tuple[str, ...]
    method: str = ""
    lower: tuple[str, ...] = ()
    higher: tuple[str, ...] = ()
    ends: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    repeats: Mapping[str, int] = field(default_factory=dict)
    minutes: float = 10.0
    gigabytes: float = 8.0
    alone: bool = False
    figures: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the comparison, and the peers that it has to be run beside.

    Attributes
    ----------
    key, title, lead
        Key in suites, heading, and a sentence on how to read it.
    not_run
        Peers that are not run, and why.
    """

    key: str
    title: str
    lead: str
    not_run: Mapping[str, str] = field(default_factory=dict)
