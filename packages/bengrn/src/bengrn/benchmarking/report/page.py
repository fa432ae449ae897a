"""One self-contained page for a browser out of sections of tables and plots, which loads nothing from elsewhere."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any, Protocol

from bengrn._provenance import Step, in_page

#: In this order they are one script.
_SCRIPTS = ("filters.js", "tables.js", "drawing.js", "plots.js")

#: Values by which things are filtered, by the key of the facet; several values fit each of them, no value fits all.
type Facets = Mapping[str, str | Sequence[str]]


class Part(Protocol):
    """Part of a section of the page."""

    def html(self, name: str) -> str:
        """Return the element; `name` is its own within the page."""

    def data(self) -> Any:
        """Return what the script needs, as JSON holds it; None when nothing."""


@dataclass(frozen=True)
class Facet:
    """A choice at the top of the page, which holds for every table and plot.

    Attributes
    ----------
    key, label
        Key in the facets of rows and plots; what people read.
    values
        Values, in the order in which they are offered.
    exclusive
        Whether one value is always chosen, so that things of two values never stand side by side.
    help
        What the choice means, in a sentence.
    """

    key: str
    label: str
    values: tuple[str, ...]
    exclusive: bool = False
    help: str = ""


@dataclass(frozen=True)
class Text:
    """Paragraphs of plain text."""

    paragraphs: tuple[str, ...]

    def html(self, name: str) -> str:  # noqa: ARG002 - as every part
        """Return the element."""
        return "".join(f'<p class="text">{escape(one)}</p>' for one in self.paragraphs)

    def data(self) -> None:
        """Return nothing: the script has no part in it."""


@dataclass(frozen=True)
class Tiles:
    """A few large numbers, each with its name and a note: ``(name, number, note)``."""

    tiles: tuple[tuple[str, str, str], ...]

    def html(self, name: str) -> str:  # noqa: ARG002
        """Return the element."""
        items = "".join(
            f'<div class="tile"><dt>{escape(title)}</dt><dd class="big">{escape(big)}</dd>'
            f"<dd><small>{escape(small)}</small></dd></div>"
            for title, big, small in self.tiles
        )
        return f'<dl class="tiles">{items}</dl>'

    def data(self) -> None:
        """Return nothing: the script has no part in it."""


@dataclass(frozen=True)
class Facts:
    """Names and values in two columns, or, where a value has several lines, as code."""

    facts: Mapping[str, str]

    def html(self, name: str) -> str:  # noqa: ARG002
        """Return the element."""
        lines = "".join(
            f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
            for key, value in self.facts.items()
            if "\n" not in value
        )
        code = "".join(
            f'<details class="code"><summary>{escape(key)}</summary><pre>{escape(value)}</pre></details>'
            for key, value in self.facts.items()
            if "\n" in value
        )
        return f'<dl class="facts">{lines}</dl>{code}'

    def data(self) -> None:
        """Return nothing: the script has no part in it."""


@dataclass(frozen=True)
class Folded:
    """A part of which a line is shown, until it is clicked."""

    summary: str
    part: Part

    def html(self, name: str) -> str:
        """Return the element."""
        return f'<details class="code"><summary>{escape(self.summary)}</summary>{self.part.html(name)}</details>'

    def data(self) -> Any:
        """Return what the script needs for the part."""
        return self.part.data()


@dataclass(frozen=True)
class Section:
    """A heading, a sentence on how to read what follows, and the parts."""

    title: str
    parts: tuple[Part, ...]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A page: title, a line under it, choices, sections.

    Attributes
    ----------
    title, lead
        Heading and the line below it.
    intro
        What stands above the choices.
    sections
        What the page shows, from top to bottom.
    facets
        Choices that hold for all sections; one with a single value is told and not offered.
    steps
        Record of what made the page, see ``bengrn inspect``.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    intro: tuple[Part, ...] = ()
    facets: tuple[Facet, ...] = ()
    steps: tuple[Step, ...] = field(default=())

    def text(self) -> str:
        """Return the page as text."""
        folder = files(__package__)
        style = (folder / "page.css").read_text("utf-8")
        script = "".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
        # Only this very script and style may run, whatever names the data have.
        sources = f"style-src {_digest(style)}; script-src {_digest(script)}; img-src data:"
        policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
        parts: dict[str, Any] = {}
        body = "\n".join(self._section(i, section, parts) for i, section in enumerate(self.sections))
        links = "".join(f'<li><a href="#s{i}">{escape(one.title)}</a></li>' for i, one in enumerate(self.sections))
        data = {"facets": [{"key": one.key, "exclusive": one.exclusive} for one in self._offered()], "parts": parts}
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            f'<a class="skip" href="#s0">Skip to the tables</a>\n'
            f'<header><h1>{escape(self.title)}</h1><p class="soft">{escape(self.lead)}</p>'
            f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
            f"{''.join(part.html('') for part in self.intro)}\n{self._filters()}\n<main>\n{body}\n</main>\n"
            '<div id="tip" role="tooltip" hidden></div>\n'
            "<noscript><p>Filters, plots and sorting need JavaScript, which is part of this file.</p></noscript>\n"
            f'<script type="application/json" id="data">{_json(data)}</script>\n'
            f"{in_page(self.steps)}\n<script>{script}</script>\n</body>\n</html>\n"
        )

    def _offered(self) -> list[Facet]:
        return [facet for facet in self.facets if len(facet.values) > 1]

    def _filters(self) -> str:
        if not self._offered():
            return ""
        choices = []
        for facet in self._offered():
            rest = "" if facet.exclusive else '<option value="">all</option>'
            options = rest + "".join(
                f'<option value="{escape(value)}">{escape(value or "(none)")}</option>' for value in facet.values
            )
            always = " data-exclusive" if facet.exclusive else ""
            described = f' aria-describedby="help-{facet.key}"' if facet.help else ""
            more = f'<small id="help-{facet.key}">{escape(facet.help)}</small>' if facet.help else ""
            choices.append(
                f'<div class="choice"><label for="choice-{facet.key}">{escape(facet.label)}</label>'
                f'<select id="choice-{facet.key}" data-facet="{facet.key}"{always} autocomplete="off"{described}>'
                f"{options}</select>{more}</div>"
            )
        return (
            f'<form class="filters" role="search" aria-label="What is shown">{"".join(choices)}'
            '<button type="reset">Reset</button></form>\n<p id="shown" role="status"></p>'
        )

    def _section(self, number: int, section: Section, parts: dict[str, Any]) -> str:
        elements = []
        for i, part in enumerate(section.parts):
            name = f"p{number}-{i}"
            elements.append(part.html(name))
            data = part.data()
            if data is not None:
                parts[name] = data
        lead = f'<p class="text soft">{escape(section.lead)}</p>' if section.lead else ""
        inner = "".join(elements)
        return (
            f'<section id="s{number}" aria-labelledby="h{number}"><h2 id="h{number}">{escape(section.title)}</h2>'
            f"{lead}{inner}</section>"
        )


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Return a number with so many digits that matter; None in place of NaN and infinity, which JSON does not hold."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def as_attribute(facets: Facets) -> str:
    """Return facets as an attribute of an element."""
    return escape(_json(facets))


def _json(value: Any) -> str:
    # The first "</script>" ends a script element, even within a string of JSON.
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
