"""Say which pieces of work a benchmark's folder holds already: a piece is there when all of its files are.

Each file is written whole or not at all, and a piece's JSON record last. A record alone does not count, for files may
be lost; nor do files without it, for the process may have been ended while it wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bengrn.benchmarking.columns import DETAIL_FILES
from bengrn.benchmarking.work_files import WorkFiles, read_json, weights_file

#: Names of the files of details, of a row and of a network.
_OF_ROW = tuple(name for name in DETAIL_FILES if "{details}" in name)
_OF_NETWORK = tuple(name for name in DETAIL_FILES if "{network}" in name)


def truth_is_there(sha256: str, files: WorkFiles) -> bool:
    """Say whether a truth can be read."""
    path = files.truth(sha256)
    return path.is_file() and read_json(path.with_suffix(".json")) is not None


def record_of_network(key: str, files: WorkFiles) -> Mapping[str, Any] | None:
    """Return how a network was made, or why it was not; None unless it is there with its weights and edges."""
    made: Mapping[str, Any] | None = read_json(files.inference(key))
    if made is None or made["status"] != "ok":
        return made
    edges = [files.details(name.format(network=made["network_sha256"][:16])) for name in _OF_NETWORK]
    is_there = weights_file(files.network(key)) is not None and all(path.is_file() for path in edges)
    return made if is_there else None


def record_of_score(key: str, score: str, files: WorkFiles) -> Mapping[str, Any] | None:
    """Return the rows of one network against one truth; None unless they are there with their details.

    Rows of another network, one that was made before and lost, do not count.
    """
    told: Mapping[str, Any] | None = read_json(files.scores(key, score))
    if told is None:
        return None
    if told.get("network"):
        made = record_of_network(key, files)
        if made is None or made.get("network_sha256") != told["network"]:
            return None
    names = [row["details"] for row in told["rows"] if row.get("details")]
    details = [files.details(form.format(details=name)) for name in names for form in _OF_ROW]
    return told if all(path.is_file() for path in details) else None
