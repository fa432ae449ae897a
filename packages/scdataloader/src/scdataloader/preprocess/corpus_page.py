"""The report of a corpus as one page for a browser, which loads nothing from elsewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from statistics import median
from typing import Any

from scdataloader._provenance import in_page
from scdataloader._wording import percent
from scdataloader.labels.space import CLASSES
from scdataloader.preprocess.corpus_svg import bars, histogram, number
from scdataloader.preprocess.corpus_tables import SHOWN, WORDS, files_table, organism, quality, status, suspects
from scdataloader.preprocess.file_result import FileResult, steps_of_files


def page(results: Sequence[FileResult]) -> str:
    """Return the page as text: totals, what was dropped and why, a table of files, and the steps of each.

    Every number is one that was measured; what is not known is left out.

    Parameters
    ----------
    results
        Result of each file of the corpus.
    """
    style, script = ((files(__package__) / f"corpus_page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    # Only this very script may run, whatever names the files have.
    sources = f"style-src {_digest(style)}; script-src {_digest(script)}"
    policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
    n = len(results)
    title = f"Preprocessing of {n:,} file{'s' * (n != 1)}"
    versions = sorted({file.version for file in results if file.version})
    made_by = f"scdataloader {', '.join(versions)}" if versions else "scdataloader"
    parts = [
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(made_by)}</p></header>',
        _tiles(results),
        _failures(results),
        suspects(results),
        _dropped(results),
        files_table(results),
        quality(results),
        _labels(results),
        "<section><h2>Each file</h2>" + "".join(_file(i, file) for i, file in enumerate(results)) + "</section>",
        _settings(results),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + f"\n{in_page(steps_of_files(results))}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _cells_in(file: FileResult) -> int | None:
    return file.report.summary.get("cells_in") if file.report else None


def _made(results: Sequence[FileResult]) -> list[tuple[FileResult, dict[str, int]]]:
    """Return the files with an output and steps, and their numbers."""
    return [(f, f.report.summary) for f in results if f.status != "failed" and f.report and f.report.steps]


def _tiles(results: Sequence[FileResult]) -> str:
    made = _made(results)
    n_status: Counter[str] = Counter(file.status for file in results)
    words = [f"{n_status[key]:,} {WORDS[key][2:]}" for key in WORDS if n_status[key]]
    tiles = [("Files", f"{len(results):,}", " · ".join(words))]
    known = [n for file in results if (n := _cells_in(file)) is not None]
    if known:
        n_in, n_out = sum(known), sum(numbers["cells_out"] for _, numbers in made)
        small = f"{_share(n_out, n_in)} kept"
        if unknown := len(results) - len(known):
            small += f"; not counting {unknown:,} file{'s' * (unknown > 1)} whose cells are not known"
        tiles.append(("Cells", f"{n_in:,} → {n_out:,}", small))
    if made:
        genes = [numbers["genes_out"] for _, numbers in made]
        span = f"{min(genes):,}" if min(genes) == max(genes) else f"{min(genes):,} – {max(genes):,}"
        tiles.append(("Genes in a file", span, f"median {number(median(genes))}" if len(genes) > 1 else ""))
    organisms = Counter(organism(file) for file, _ in made if organism(file))
    if organisms:
        names = " · ".join(f"{name}: {_files(n)}" for name, n in organisms.most_common())
        title = "Organisms" if len(organisms) > 1 else "Organism"
        tiles.append((title, ", ".join(name for name, _ in organisms.most_common()), names))
    seconds = [file.seconds for file in results if file.seconds is not None]
    if seconds:
        tiles.append(("Time worked", _duration(sum(seconds)), f"on {_files(len(seconds))}, added up"))
    items = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="big">{escape(big)}</dd>'
        f"<dd><small>{escape(small)}</small></dd></div>"
        for name, big, small in tiles
    )
    return f'<dl class="tiles">{items}</dl>'


def _failures(results: Sequence[FileResult]) -> str:
    failed = [(i, file) for i, file in enumerate(results) if file.status == "failed"]
    if not failed:
        return ""
    items = "".join(
        f'<li><a href="#f{i}">{escape(file.name)}</a>: {escape(file.reason)}</li>' for i, file in failed[:SHOWN]
    )
    if len(failed) > SHOWN:
        items += f'<li class="soft">and {len(failed) - SHOWN:,} more, in the table below</li>'
    return f'<section><h2>Failed</h2><ul class="failures card">{items}</ul></section>'


def dropped(results: Sequence[FileResult], what: str) -> dict[str, int]:
    """Return how many ``"cells"`` or ``"genes"`` each step dropped over all files, the most first.

    All cells of a file that failed are counted as such, its genes not at all: they are not in the corpus for another
    reason. The numbers of cells add up to what came in less what came out.
    """
    counts: Counter[str] = Counter()
    for file in results:
        if file.status == "failed":
            if what == "cells":
                counts["in files that failed"] += _cells_in(file) or 0
            continue
        for step in file.report.steps if file.report else []:
            before, after = getattr(step, f"{what}_in"), getattr(step, f"{what}_out")
            counts[step.name] += max(0, before - after)
    return {name: n for name, n in counts.most_common() if n}


def _dropped(results: Sequence[FileResult]) -> str:
    cards = []
    totals = {
        "cells": sum(_cells_in(file) or 0 for file in results),
        "genes": sum(numbers["genes_in"] for _, numbers in _made(results)),
    }
    for what, title in (("cells", "Cells, by the step that dropped them"), ("genes", "Genes, added up over files")):
        counts = dropped(results, what)
        if counts:
            # what was done to genes differs from file to file
            why = {name: _why(results, name) if what == "cells" else "" for name in counts}
            rows = [(name + why[name], n, f"{n:,} · {_share(n, totals[what])}") for name, n in counts.items()]
            cards.append(f'<div class="card"><h3>{title}</h3>{bars(rows, kind="lost")}</div>')
    return (
        f'<section><h2>What was dropped</h2><div class="cards wide">{"".join(cards)}</div></section>' if cards else ""
    )


def _why(results: Sequence[FileResult], name: str) -> str:
    """Return what a step says of itself, if it says the same of every file that it took cells from."""
    said = {
        step.detail
        for file, _ in _made(results)
        for step in (file.report.steps if file.report else [])
        if step.name == name and step.cells_in > step.cells_out
    }
    return f": {said.pop()}" if len(said) == 1 else ""


def _labels(results: Sequence[FileResult]) -> str:
    """Draw the commonest labels over all files, first those that most files have; other columns of cells are folded."""
    totals: dict[str, Counter[str]] = {}
    having: Counter[str] = Counter()
    partial: set[str] = set()
    for file in results:
        if file.status == "failed" or not file.report:
            continue
        for column, counts in file.report.facts.get("labels", {}).items():
            totals.setdefault(column, Counter()).update(counts)
            having[column] += 1
            if sum(counts.values()) < file.report.summary.get("cells_out", 0):
                partial.add(column)
    chosen = {name for file in results for name in file.settings.get("labels", ())}
    cards: dict[bool, list[str]] = {True: [], False: []}
    for column, n in having.most_common():
        card = _label_card(column, totals[column], note=f" in {_files(n)}", at_least=column in partial)
        cards[column in CLASSES or column in chosen].append(card)
    parts = [
        _cards("Labels", cards[True], "more classes of labels"),
        _cards("Other columns", cards[False], "columns of cells that are no labels", shown=0),
    ]
    return "".join(parts)


def _cards(title: str, cards: Sequence[str], rest: str, *, shown: int = SHOWN) -> str:
    """Return a section of cards, those after the first few folded."""
    if not cards:
        return ""
    body = f'<div class="cards">{"".join(cards[:shown])}</div>' if shown else ""
    if len(cards) > shown:
        summary = f"<summary>{len(cards) - shown:,} {rest}</summary>"
        body += f'<details class="more">{summary}<div class="cards">{"".join(cards[shown:])}</div></details>'
    return f"<section><h2>{title}</h2>{body}</section>"


def _label_card(column: str, counts: Mapping[str, int], *, note: str = "", at_least: bool = False) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(label, n, f"{'≥ ' * at_least}{n:,}") for label, n in ordered[:SHOWN]]
    least = "at least " * at_least
    more = f'<p class="soft">and {least}{len(ordered) - SHOWN:,} more</p>' if len(ordered) > SHOWN else ""
    return f'<div class="card"><h3>{escape(column)}<small>{note}</small></h3>{bars(rows)}{more}</div>'


def _file(i: int, file: FileResult) -> str:
    """One file's details, folded."""
    head = f"{status(file)} {escape(file.name)}"
    parts = [f'<p class="soft"><code>{escape(file.source)}</code></p>']
    if file.reason:
        parts.append(f"<p>{escape(file.reason)}</p>")
    if file.report is not None:
        warnings = file.report.warnings
        if warnings:
            head += f'<span class="soft">{len(warnings):,} warning{"s" * (len(warnings) > 1)}</span>'
            items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
            parts.append(f'<h4>Warnings</h4><ul class="warnings">{items}</ul>')
        parts += [_steps(file), _facts(file.report.facts)]
    return f'<details class="file" id="f{i}"><summary>{head}</summary><div>{"".join(parts)}</div></details>'


def _steps(file: FileResult) -> str:
    if file.report is None or not file.report.steps:
        return ""
    rows = "".join(
        f'<tr><td>{escape(s.name)}</td><td class="number">{_change(s.cells_in, s.cells_out)}</td>'
        f'<td class="number">{_change(s.genes_in, s.genes_out)}</td><td>{escape(s.detail)}</td></tr>'
        for s in file.report.steps
    )
    head = '<th>Step</th><th class="number">Cells</th><th class="number">Genes</th><th>What it did</th>'
    return (
        f'<h4>Steps</h4><div class="scroll"><table class="steps"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _change(before: int, after: int) -> str:
    return f"{after:,}" if before == after else f"{before:,} → {after:,}"


def _facts(facts: Mapping[str, Any]) -> str:
    parts = []
    pairs = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_text(value))}</dd></div>"
        for name, value in facts.items()
        if name not in ("labels", "histograms", "doubts") and value is not None
    )
    if pairs:
        parts.append(f'<h4>Measured</h4><dl class="facts">{pairs}</dl>')
    drawn = "".join(
        histogram(name, values["edges"], values["counts"]) for name, values in facts.get("histograms", {}).items()
    )
    if drawn:
        parts.append(f'<h4>Quality</h4><div class="cards">{drawn}</div>')
    counted_columns = facts.get("labels", {})
    for title, chosen in (("Labels", True), ("Other columns", False)):
        cards = [_label_card(name, n) for name, n in counted_columns.items() if (name in CLASSES) == chosen]
        if cards:
            parts.append(f'<h4>{title}</h4><div class="cards">{"".join(cards)}</div>')
    return "".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def _settings(results: Iterable[FileResult]) -> str:
    """Show the settings, once for all files that share them."""
    groups: dict[str, list[str]] = {}
    for file in results:
        if file.settings:
            groups.setdefault(json.dumps(file.settings, ensure_ascii=False), []).append(file.name)
    parts = []
    for text, names in groups.items():
        pairs = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape('none' if value is None else _text(value) or 'none')}</dd></div>"
            for name, value in json.loads(text).items()
        )
        of = f'<p class="soft">of {_files(len(names))}, such as {escape(names[0])}</p>' if len(groups) > 1 else ""
        parts.append(f'<div class="card">{of}<dl class="facts">{pairs}</dl></div>')
    return f"<section><h2>Settings</h2>{''.join(parts)}</section>" if parts else ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _share(part: int, whole: int) -> str:
    return percent(part / whole, 1) if whole else "0%"


def _files(n: int) -> str:
    return f"{n:,} file{'s' * (n != 1)}"
