"""The leaderboard of a benchmark: one page of its table and plots, or a score file of Open Problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import pandas as pd

from bengrn._provenance import Step, from_files, read
from bengrn._wording import counted
from bengrn.benchmarking.columns import HELD_OUT
from bengrn.benchmarking.report import score_plots
from bengrn.benchmarking.report.open_problems_scores import write_scores
from bengrn.benchmarking.report.page import Facet, Facts, Page, Part, Section, Text, Tiles
from bengrn.benchmarking.report.questions import is_baseline, questions
from bengrn.benchmarking.report.reading import Results, read_results, table_of
from bengrn.benchmarking.report.reproduce import command_line
from bengrn.benchmarking.report.score_rows import duration, held_out, leaderboard

type Format = Literal["html", "openproblems"]

_LEAD = (
    "Each block holds networks that answer the same question on the same pairs of genes, and only these are ranked "
    "against each other. A score comes with its 95% interval and with what chance reaches, the dashed mark; filled "
    "points lie above chance with their whole interval. Click a heading to sort."
)
_NOTES = (
    "AP is average precision, the score to quote. AUPRC* is the paper's area above the prevalence line, EPR the early "
    "precision ratio, the odds ratio what the paper calls EPR. Intervals come from drawing regulators with "
    "replacement, so they say how far a score would move with other regulators, not with other cells.",
    "The universe says which rows of a network are scored: 'assayed' takes all sources of the truth that are among the "
    "genes, 'truth' those with a true edge. Their scores do not compare, and they are never in one ranking. Transposed "
    "networks take columns as regulators; the better of both orientations is no fair score of a method.",
)


def report(
    results: Results | PathLike[str] | str | None,
    out: PathLike[str] | str = "leaderboard.html",
    *,
    add: Sequence[PathLike[str] | str] = (),
    format: Format = "html",  # noqa: A002 - the word of the command line
    title: str = "Benchmark of gene networks",
) -> Path:
    """Write the leaderboard of a benchmark: a page that needs nothing else, or the scores as Open Problems has them.

    Parameters
    ----------
    results
        Folder that ``bengrn run`` wrote, or what `read_results` made of it; None for tables of others alone.
    out
        File to write; replaced if it exists.
    add
        Tables of others, csv or parquet, whose rows stand beside those of the folder; see `read_results`.
    format
        ``"html"`` for a page; ``"openproblems"`` for the score records of an Open Problems task, as JSON.
    title
        Heading of the page.

    Returns
    -------
    pathlib.Path
        Path of the file.

    Raises
    ------
    FileNotFoundError
        When the folder or a table does not exist.
    ValueError
        When a table cannot be used; see `read_results`.
    """
    from grnndata import atomic_path

    found = results if isinstance(results, Results) else read_results(results, add)
    place = Path(out)
    if format == "openproblems":
        write_scores(found.table, place)
        return place
    with atomic_path(place) as temporary:
        temporary.write_text(_page(found, title).text(), encoding="utf-8", newline="\n")
    return place


def _steps(results: Results, title: str) -> tuple[Step, ...]:
    folder = results.folder
    tables = [] if folder is None else [table_of(folder)]
    tables += list(results.added)
    if not tables:
        return ()
    # The run is told in its own record, which the table has none of.
    record = None if folder is None else folder / "run.json"
    before = read(record) if record is not None and record.is_file() else []
    return (*before, *from_files("bengrn report", {"title": title}, tables))


def _page(results: Results, title: str) -> Page:
    table, asked = results.table, list(questions(results.table))
    sections = [
        Section("Leaderboard", (leaderboard(results, asked), Text(_NOTES)), _LEAD),
        Section("Scores with their intervals", (score_plots.score_strips(results, asked),)),
    ]
    for heading, plot in (
        ("Precision and recall", score_plots.curves(results, asked)),
        ("Time against score", score_plots.cost(results, asked)),
        ("Agreement of methods", score_plots.agreement(results)),
        ("Regulators one by one", score_plots.regulator_maps(results, asked)),
    ):
        if plot is not None:
            sections.append(Section(heading, (plot,)))
    predicted = held_out(results)
    if predicted is not None:
        lead = (
            "How much better the regulators that a network gives predict the expression of cells it has not seen than "
            "random regulators do. No edges are held to be true here."
        )
        sections.append(Section("Prediction of held-out cells", (score_plots.gain_strips(results), predicted), lead))
    sections.append(Section("How it was made", (_facts(results),)))
    intro: tuple[Part, ...] = (_tiles(results), *_failures(table))
    return Page(title, _summary(table), tuple(sections), intro, _facets(table), _steps(results, title))


def _summary(table: pd.DataFrame) -> str:
    methods = table.loc[~table["method"].map(is_baseline), "label"].nunique()
    truths = table.loc[table["truth"] != HELD_OUT, "truth"].nunique()
    dates = sorted(date[:10] for date in table["date"] if date)
    when = f" · {dates[0]}" + (f" to {dates[-1]}" if dates[-1] != dates[0] else "") if dates else ""
    sizes = [
        counted(methods, "method"),
        counted(int(table["dataset"].nunique()), "data set"),
        counted(truths, "ground truth"),
    ]
    return " × ".join(sizes) + when


def _tiles(results: Results) -> Tiles:
    table = results.table
    failed = int((table["status"] != "ok").sum())
    tiles = [("Rows", f"{len(table):,}", f"{failed:,} without a result" if failed else "all with a result")]
    for name, column in (("Methods", "label"), ("Data sets", "dataset"), ("Ground truths", "truth")):
        rows = table[~table["method"].map(is_baseline)] if column == "label" else table
        values = [str(value) for value in rows[column].unique() if value != HELD_OUT]
        shown = ", ".join(values[:4]) + (f" and {len(values) - 4} more" if len(values) > 4 else "")
        tiles.append((name, f"{len(values):,}", shown))
    networks = table.drop_duplicates(["method", "settings", "dataset", "group", "replicate", "seed"])
    if networks["wall_s"].notna().any():
        tiles.append(("Time of inferring", duration(float(networks["wall_s"].sum())), "of all networks, added up"))
    return Tiles(tuple(tiles))


def _failures(table: pd.DataFrame) -> tuple[Text, ...]:
    failed = table[table["status"] != "ok"]
    if not len(failed):
        return ()
    pairs = Counter(zip(failed["label"], failed["status"], strict=True))
    told = "; ".join(f"{label}: {status} in {counted(n, 'row')}" for (label, status), n in pairs.items())
    return (Text((f"Without a result: {told}. They stand in the table with their reason.",)),)


def _facets(table: pd.DataFrame) -> tuple[Facet, ...]:
    scored = table[table["truth"] != HELD_OUT]

    def values(column: str) -> tuple[str, ...]:
        return tuple(map(str, scored[column].unique()))

    universes = sorted(values("regulators"), key=lambda name: (name != "assayed", name))
    orientations = ("as stored", "transposed", "both") if (scored["orientation"] == "transposed").any() else ()
    statuses = sorted(table["status"].unique(), key=lambda name: (name != "ok", name))
    added = tuple(str(name or "this run") for name in table["added"].unique())
    return (
        Facet("dataset", "Data set", values("dataset")),
        Facet("group", "Cells", values("group")),
        Facet("replicate", "Replicate", values("replicate")),
        Facet("truth", "Truth", values("truth")),
        Facet("regulators", "Universe", tuple(universes), True, "Which regulators are scored; never two at once."),
        Facet("orientation", "Orientation", orientations, True, "Symmetric networks stand under each."),
        Facet("status", "Status", tuple(map(str, statuses))),
        Facet("added", "From", added),
    )


def _facts(results: Results) -> Facts:
    table = results.table
    facts: dict[str, str] = {}
    for name, column in (("Machine", "machine"), ("Commit", "commit")):
        values = [str(value) for value in table[column].unique() if value]
        if values:
            facts[name] = values[0] if len(values) == 1 else f"{values[0]} and {len(values) - 1} more, see the rows"
    versions = results.run.get("versions")
    if isinstance(versions, Mapping):
        facts["Versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    command = command_line(results.run.get("command", ""))
    if command:
        facts = {"Command": command} | facts
    return Facts(facts)
