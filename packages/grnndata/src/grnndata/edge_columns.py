"""Find the source, target and weight columns of an edge table: by the names that tools use, by name, by place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._wording import listed
from .edges import EDGE_COLUMNS
from .text_tables import TextTable

#: How tools name source, target and weight: tool → the three names. Upper and lower case are the same.
KNOWN_COLUMNS: dict[str, tuple[str, str, str]] = {
    "edge table, decoupler": ("source", "target", "weight"),
    "GENIE3": ("regulatoryGene", "targetGene", "weight"),
    "GRNBoost2, arboreto, pySCENIC": ("TF", "target", "importance"),
    "transcription factors": ("TF", "target", "weight"),
    "regulators": ("regulator", "target", "weight"),
    "igraph": ("from", "to", "weight"),
    "scores": ("TF", "Gene", "Score"),
    "BEELINE rankedEdges": ("Gene1", "Gene2", "EdgeWeight"),
    "BEELINE refNetwork": ("Gene1", "Gene2", "Type"),
    "CellOracle": ("source", "target", "coef_mean"),
    "decoupler before 1.0, DoRothEA": ("tf", "target", "mor"),
    "decoupler 1": ("source", "target", "mor"),
    "Pando": ("tf", "target", "estimate"),
    "SCENIC+": ("TF", "Gene", "importance_TF2G"),
    "SCENIC+ before 1.0": ("TF", "Gene", "TF2G_importance"),
}
#: Of these, tools that list an edge once for each of its regions, with the same weight.
PER_REGION = [known for tool, known in KNOWN_COLUMNS.items() if tool.startswith("SCENIC+")]

#: Columns of a table, by name, by role, or by place: see `grnndata.recognise_edges`.
type Columns = Mapping[str, str | int | None] | Sequence[str | int | None]

_EXAMPLE = "columns={'source': 'from', 'target': 'to', 'weight': 'score'}"
_ON_COMMAND_LINE = "on the command line --columns from,to,score"


def find_columns(names: list[Any], columns: Columns | None) -> dict[str, int | None]:
    """Return the place of source, target and weight among a table's columns; None stands for a weight of 1.

    Raises
    ------
    ValueError
        When no names are recognised or more than one reading is possible, or `columns` does not fit.
    """
    if columns is None:
        return _recognise(names)
    if isinstance(columns, Mapping):
        return _find_by_name(names, columns)
    return _find_by_place(names, columns) if is_by_place(columns) else _find_by_order(names, columns)


def is_by_place(columns: Columns | None) -> bool:
    """Say whether the roles of all columns are given by place, as for a file without a header."""
    if columns is None or isinstance(columns, Mapping):
        return False
    return isinstance(columns, str) or all(role is None or role in EDGE_COLUMNS for role in columns)


def header_for(columns: Columns | None, text: TextTable) -> tuple[Columns | None, bool]:
    """Return the columns as they are meant for a file, and whether its first line names them."""
    if not text.lines or columns is None:
        return columns, True
    first = text.lines[0]
    if is_by_place(columns):
        roles = [role for role in columns if role is not None]
        if isinstance(columns, str) or not set(roles) <= set(first):
            return columns, False
        return {role: role if role in roles else None for role in EDGE_COLUMNS}, True
    values = list(columns.values()) if isinstance(columns, Mapping) else list(columns)
    places = [_as_place(value) for value in values if value is not None and value not in first]
    given = [value for value in values if value is not None]
    if len(places) < len(given) or None in places:
        return columns, True
    # Positions alone: the first line is an edge unless its weight is none, or it has names that tools give.
    weight = _as_place(columns.get("weight") if isinstance(columns, Mapping) else [*columns, None, None][2])
    if weight is not None:
        return columns, not (weight < len(first) and text.is_number(first[weight]))
    is_header = any(set(_lower(first)) >= set(_lower(known[:2])) for known in KNOWN_COLUMNS.values())
    return columns, is_header or text.has_text_above_numbers


def is_known(names: Sequence[Any]) -> bool:
    """Say whether names of columns hold those of source, target and weight of any tool."""
    lower = set(_lower(names))
    return any(lower >= set(_lower(known)) for known in KNOWN_COLUMNS.values())


def guess_columns(text: TextTable) -> dict[str, int | None] | None:
    """Return the likely places of source, target and weight in a file without a header; None where it has one.

    Raises
    ------
    ValueError
        When the table lacks a header and it is not clear which columns are meant.
    """
    if not text.lines or is_known(text.lines[0]) or not any(map(text.is_number, text.lines[0])):
        return None
    places = list(range(len(text.lines[0])))
    if len(places) > 3 and [line[0] for line in text.lines] in (_counts(text, 0), _counts(text, 1)):
        places = places[1:]  # of rows
    numeric = [place for place in places if text.has_numbers(place)]
    weight = places[-1] if len(places) == 3 and places[-1] in numeric else numeric[0] if len(numeric) == 1 else None
    if weight is None or len(places) != 3:
        raise ValueError(
            f"there is no header, and it is not clear which of {len(text.lines[0])} columns are source, target and "
            f"weight: the first line is {text.lines[0]}; give the role of each by place, for example "
            "columns=('source', 'target', 'weight') with None for those to ignore, or the positions from 0 of the "
            "three, columns=(0, 1, 2), on the command line --columns 0,1,2"
        )
    source, target = (place for place in places if place != weight)
    return {"source": source, "target": target, "weight": weight}


def check_no_header(first: Sequence[str], roles: Mapping[str, int | None]) -> None:
    """Raise ValueError when the first line of a file said to have no header is one."""
    source, target = (first[place].lower() for role in ("source", "target") if (place := roles[role]) is not None)
    if any((source, target) == (known[0].lower(), known[1].lower()) for known in KNOWN_COLUMNS.values()):
        raise ValueError(
            "columns given by place are for a file without a header, and the first line is one: "
            f"{list(first)}; give names instead, for example {_EXAMPLE}"
        )


def _recognise(names: list[Any]) -> dict[str, int | None]:
    lower = _lower(names)
    fitting = list(
        dict.fromkeys(known for known in KNOWN_COLUMNS.values() if all(name.lower() in lower for name in known))
    )
    if not fitting:
        raise ValueError(_unrecognised(names, lower))
    if len(fitting) > 1:
        readings = " or ".join("(" + ", ".join(known) + ")" for known in fitting)
        spelled = _spelled(names, lower, fitting[0])
        raise ValueError(
            f"the edge table can be read in several ways, as {readings}: it has the columns [{listed(names)}]; "
            f"choose with columns={dict(zip(EDGE_COLUMNS, spelled, strict=True))}, on the command line "
            f"--columns {','.join(map(str, spelled))}, or drop a column"
        )
    places: dict[str, int | None] = {}
    for role, name in zip(EDGE_COLUMNS, fitting[0], strict=True):
        at = [place for place, other in enumerate(lower) if other == name.lower()]
        if len(at) > 1:
            alike = [names[place] for place in at]
            raise ValueError(f"the edge table has {len(at)} columns that may be the {role}, {alike}: drop all but one")
        places[role] = at[0]
    return places


def _find_by_name(names: list[Any], columns: Mapping[str, str | int | None]) -> dict[str, int | None]:
    wrong = [role for role in columns if role not in EDGE_COLUMNS]
    if wrong:
        raise ValueError(f"columns names the columns of {list(EDGE_COLUMNS)}: it does not take {wrong}")
    asked = {role: columns.get(role, role) for role in EDGE_COLUMNS}
    found = {role: _place_of(names, name) for role, name in asked.items() if name is not None or role != "weight"}
    absent = [asked[role] for role, place in found.items() if place is None]
    if absent:
        fix = "; pass 'weight': None for a weight of 1 everywhere" if absent == ["weight"] else ""
        raise ValueError(f"the edge table has no column {absent}: it has the columns [{listed(names)}]{fix}")
    repeated = [name for name in asked.values() if name is not None and names.count(name) > 1]
    if repeated:
        raise ValueError(f"the edge table has several columns {repeated}: rename them, or give roles by place")
    return {role: found.get(role) for role in EDGE_COLUMNS}


def _find_by_order(names: list[Any], columns: Sequence[str | int | None]) -> dict[str, int | None]:
    absent = [name for name in columns if name is not None and _place_of(names, name) is None]
    if len(columns) not in (2, 3) or absent or None in columns[:2]:
        what = f"the edge table has no column {absent}" if absent else f"columns={columns!r} is not two or three names"
        raise ValueError(
            f"{what}: it has the columns [{listed(names)}]; give the names of source, target and weight (two where "
            f"every weight is 1), {_ON_COMMAND_LINE}; columns given by place are 'source', 'target', 'weight' or None "
            f"(ignored); or give names as a dict, for example {_EXAMPLE}"
        )
    return _find_by_name(names, dict(zip(EDGE_COLUMNS, [*columns, None][:3], strict=True)))


def _find_by_place(names: list[Any], columns: Sequence[str | int | None]) -> dict[str, int | None]:
    roles = list(columns)
    if isinstance(columns, str):
        raise ValueError(
            f"columns given by place are 'source', 'target', 'weight' or None (ignored), got {columns!r}; "
            f"give names as a dict, for example {_EXAMPLE}"
        )
    if any(roles.count(role) != 1 for role in ("source", "target")) or roles.count("weight") > 1:
        raise ValueError(f"columns must hold 'source' and 'target' once, and 'weight' at most once, got {columns!r}")
    if len(roles) != len(names):
        raise ValueError(
            f"columns gives the roles of {len(roles)} columns by place, but the edge table has {len(names)}: "
            "put None for those to ignore"
        )
    return {role: roles.index(role) if role in roles else None for role in EDGE_COLUMNS}


def _place_of(names: list[Any], wanted: Any) -> int | None:
    """Return where a column is that is given by its name or, where no column has it, by its position from 0."""
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    place = _as_place(wanted)
    return place if place is not None and place < len(names) else None


def _as_place(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    is_position = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0
    return int(value) if is_position else None


def _unrecognised(names: list[Any], lower: list[str]) -> str:
    known = "; ".join(f"{', '.join(of_tool)} ({tool})" for tool, of_tool in KNOWN_COLUMNS.items())
    pairs = [of_tool[:2] for of_tool in KNOWN_COLUMNS.values() if all(name.lower() in lower for name in of_tool[:2])]
    if pairs:
        source, target = _spelled(names, lower, pairs[0])
        missing, example = ["weight"], {"source": source, "target": target, "weight": None}
        words = f"{source},{target}"
    else:
        missing = [role for role in EDGE_COLUMNS if role not in lower]
        example = {"source": "from", "target": "to", "weight": "score"}
        words = "from,to,score"
    none = " (None: 1 everywhere)" if pairs else ""
    return (
        f"the edge table has no column {missing} that is recognised: it has the columns [{listed(names)}], and "
        f"recognised are {known}; name them yourself, for example columns={example}{none}, on the command line "
        f"--columns {words}, or by place when there is no header: columns=('source', 'target', 'weight')"
    )


def _spelled(names: list[Any], lower: list[str], known: Iterable[str]) -> list[Any]:
    return [names[lower.index(name.lower())] for name in known]


def _lower(names: Iterable[Any]) -> list[str]:
    return [str(name).strip().lower() for name in names]


def _counts(text: TextTable, start: int) -> list[str]:
    return [str(number) for number in range(start, start + len(text.lines))]
