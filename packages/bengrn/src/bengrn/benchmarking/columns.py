"""Columns of the table of a benchmark: the names that the runner writes, reports read, and tables of others bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

type Kind = Literal["text", "number", "whole", "flag"]

#: Names of the scores; each has an interval (``ap_low``, ``ap_high``) and an exact random expectation (``ap_random``).
SCORES: dict[str, str] = {
    "ap": "Average precision over all scored pairs, the score to quote.",
    "ap_ratio": "Average precision over prevalence; 1 is random.",
    "auprc_paper": "Area under the precision-recall curve above the prevalence line, as Kalfon et al. 2025 take it.",
    "auroc": "Area under the ROC curve.",
    "epr": "Precision of as many top pairs as there are true edges, over prevalence.",
    "odds_ratio": "Diagnostic odds ratio of as many top pairs as there are true edges, which the paper calls EPR.",
}
#: Values of ``status``.
STATUSES: dict[str, str] = {
    "ok": "There are scores.",
    "failed": "The method or its scoring raised an error, or its process died.",
    "out of time": "The limit of time was reached.",
    "out of memory": "The limit of memory was reached, or memory ran out.",
    "no overlap": "No true edge is among the scored genes.",
    "not run": "The run was stopped before.",
}
#: Values of ``orientation``.
ORIENTATIONS: dict[str, str] = {
    "as stored": "Rows of the network are regulators.",
    "transposed": "Columns of the network are regulators.",
    "symmetric": "Both orientations have the same scores, because the weights are symmetric.",
}
#: Truth of the rows that say how well regulators predict held-out cells.
HELD_OUT = "held-out cells"
#: Method of the rows that rank targets by how many other regulators the truth gives them.
DEGREES = "degrees of the truth"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes
    ----------
    kind
        Type of the values: "text", "number" (missing is NaN), "whole" (a whole number or missing), "flag" (true, false
        or missing).
    meaning
        One sentence on what it holds.
    """

    kind: Kind
    meaning: str


_KEY = {
    "method": Column("text", "Name of the method, or of a network that was given by its file."),
    "label": Column("text", "Name that a reader sees: the method with those settings that differ from its defaults."),
    "settings": Column("text", "Settings of the method that differ from its defaults, as JSON."),
    "dataset": Column("text", "Name of the data set."),
    "group": Column("text", "Group of cells within the data set; empty for all its cells."),
    "replicate": Column("text", "Replicate within the group, such as a donor or a draw of cells; empty for none."),
    "truth": Column("text", "Name of the ground truth."),
    "organism": Column("text", "Organism of the truth."),
    "orientation": Column(
        "text", "Orientation that was scored: as stored, transposed or symmetric (the same both ways)."
    ),
    "regulators": Column(
        "text",
        "Rows of the scored pairs: assayed (all sources of the truth among the genes), truth, tf or all; empty where "
        "cells are predicted.",
    ),
    "seed": Column("whole", "Seed for the method, the intervals and the permutations."),
}
_STATE = {
    "status": Column("text", "Whether there are scores: ok, failed, out of time, out of memory, no overlap, not run."),
    "message": Column("text", "Reason for any other status than ok, or a note to the reader of the scores."),
}
_CHANCE = {
    "p_degree": Column(
        "number", "Share of truths rewired at the same degrees that reach the average precision (permutation p-value)."
    ),
    "p_degree_smallest": Column("number", "Smallest p-value that so many permutations can give."),
    "rough": Column("flag", "Whether fewer than ten regulators have a true edge, too few for a trustworthy interval."),
}
_PREDICTION = {
    "gain": Column(
        "number",
        "Gain in predicting held-out cells from the network's regulators over random ones like them; 0 is none.",
    ),
    "gain_low": Column("number", "Lower end of the 95 % interval of gain."),
    "gain_high": Column("number", "Upper end of the 95 % interval of gain."),
}
_SIZES = {
    "n_cells": Column("whole", "Number of cells that the network was inferred from."),
    "n_genes": Column("whole", "Number of genes of the network."),
    "n_regulators": Column("whole", "Number of regulators scored: rows of the scored pairs."),
    "n_regulators_with_edges": Column("whole", "Number of these regulators that have a true edge."),
    "n_targets": Column("whole", "Number of targets scored: columns of the scored pairs."),
    "n_positives": Column("whole", "Number of true edges among the scored pairs."),
    "prevalence": Column("number", "Share of the scored pairs that are true edges."),
}
_COST = {
    "wall_s": Column("number", "Seconds that inferring the network took; empty for networks given by file."),
    "cpu_s": Column("number", "Processor seconds that inferring the network took, of all threads together."),
    "peak_memory_mb": Column(
        "number", "Largest memory of the process that inferred the network, in MB, with Python and the cells."
    ),
}
_ORIGIN = {
    "commit": Column("text", "Commit of the source tree that bengrn ran from; empty where it was installed."),
    "versions": Column("text", "Versions of Python and of the packages that made the row, as JSON."),
    "machine": Column(
        "text", "Processor, operating system and number of cores of the machine that inferred the network."
    ),
    "threads": Column("whole", "Number of threads that the process was given."),
    "expression_sha256": Column("text", "Checksum of the counts and names of the cells that were used."),
    "truth_sha256": Column("text", "Checksum of the edges and genes of the truth, or of the held-out cells."),
    "network_sha256": Column("text", "Checksum of the network that was scored."),
    "date": Column("text", "Time at which the row was scored, UTC, ISO 8601."),
    "details": Column("text", "Name that the files of this row's details begin with; empty where there are none."),
}

#: Folder of the details within that of the results.
DETAILS = "details"
#: Files of details in that folder, parquet, by their name, and the columns of each. Rows that are scored transposed
#: have none. The last is one a network, and begins with the first 16 digits of ``network_sha256``.
DETAIL_FILES: dict[str, tuple[str, ...]] = {
    "{details}.curve.parquet": ("recall", "precision"),  # at most 200 points, by rising recall
    "{details}.regulators.parquet": ("regulator", "symbol", "n_positives", "ap", "ap_ratio"),  # those with a true edge
    "{network}.edges.parquet": ("source", "target", "weight"),  # at most 10,000 of largest weight
}


def _with_intervals() -> dict[str, Column]:
    columns = {}
    for name, meaning in SCORES.items():
        columns[name] = Column("number", meaning)
        columns[f"{name}_low"] = Column("number", f"Lower end of the 95 % interval of {name}, over regulators.")
        columns[f"{name}_high"] = Column("number", f"Upper end of the 95 % interval of {name}, over regulators.")
        columns[f"{name}_random"] = Column("number", f"Exact mean of {name} over all orders of the scored pairs.")
    return columns


#: Names of the columns that tell rows apart, in the order in which rows are sorted.
KEY: tuple[str, ...] = tuple(name for name in _KEY if name != "label")
#: Every column of the table, in its order.
COLUMNS: dict[str, Column] = _KEY | _STATE | _with_intervals() | _CHANCE | _PREDICTION | _SIZES | _COST | _ORIGIN
#: Names of the columns that differ from run to run.
OF_THE_RUN: tuple[str, ...] = (*_COST, "commit", "machine", "threads", "date")

_TYPES: dict[Kind, str] = {"text": "str", "number": "float64", "whole": "Int64", "flag": "boolean"}


def as_table(rows: Any) -> Any:
    """Make the table of a benchmark of rows: all columns in their order and types, sorted by key.

    Parameters
    ----------
    rows
        Mappings of column to value, or a DataFrame; columns that a row lacks are missing ("" for text).

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        If a row has a column that the table has not.
    """
    import pandas as pd

    table = pd.DataFrame(rows)
    unknown = [str(name) for name in table.columns if name not in COLUMNS]
    if unknown:
        raise ValueError(f"the table of a benchmark has no column {', '.join(map(repr, unknown))}")
    table = table.reindex(columns=list(COLUMNS))
    for name, column in COLUMNS.items():
        values = table[name]
        if column.kind == "text":
            values = values.astype(object).where(values.notna(), "")
        kind: Any = _TYPES[column.kind]
        table[name] = values.astype(kind)
    return table.sort_values(list(KEY), kind="stable", ignore_index=True)
