"""One HTML page that shows what the demo made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd

from scprint_model._provenance import Step, in_page

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #55636f; --page: #fff; --line: #d8dfe7; --band: #f1f4f8;
  --ours: #0b63b8; --dot: #4b5865; --heat: 11 99 184; --link: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #a3afba; --page: #14191f; --line: #35404b; --band: #1f2730;
    --ours: #6cb4ff; --dot: #b5c0ca; --heat: 108 180 255; --link: #86c1ff }
}
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1080px; margin: 2.5rem auto; padding: 0 1.2rem; overflow-wrap: break-word }
a { color: var(--link) }
h1 { font-size: 1.9rem; line-height: 1.2; margin-bottom: .2rem }
h2 { margin-top: 2.6rem; border-bottom: 2px solid var(--line); padding-bottom: .2rem }
p.lead, .soft { color: var(--soft) } p.lead { margin-top: 0 }
p.claim { border-left: 4px solid var(--ours); padding-left: .8rem }
img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; margin: 1rem 0 }
div.wide { overflow-x: auto; max-width: 100% } div.wide img { min-width: 46rem }
table { border-collapse: collapse; margin: 1rem 0; font-size: .92rem }
th, td { padding: .28rem .75rem; text-align: right }
th { background: var(--band) } tbody tr { border-bottom: 1px solid var(--line) }
th:first-child, td:first-child, .text { text-align: left }
td:first-child { white-space: nowrap } td.text:last-child { min-width: 16rem }
table.heat td { background: rgb(var(--heat) / calc(.55 * var(--share))); text-align: center; min-width: 2.4rem;
  padding: .2rem .4rem }
table.heat td.right { outline: 2px solid var(--ink); outline-offset: -2px }
table.heat thead th { vertical-align: bottom; font-weight: normal }
table.heat thead th:not(:first-child) span { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left }
table.heat tbody th { font-weight: normal; text-align: left; white-space: nowrap }
code { background: var(--band); padding: .1rem .3rem; border-radius: 3px; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .92rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere; min-width: 0 }
figure.chart { margin: 1.2rem 0 } figcaption { font-weight: 600; margin-bottom: .4rem }
.row { display: grid; grid-template-columns: 15rem minmax(6rem, 1fr) 24rem; gap: 0 1rem; align-items: center;
  padding: .16rem 0; border-bottom: 1px solid var(--line); font-size: .92rem }
.row.ours { font-weight: 600 } .row.scale { border: 0; color: var(--soft); font-size: .8rem }
.track { position: relative; height: 1.1rem }
.track i { position: absolute; top: 50%; transform: translateY(-50%) }
.bar { height: .36rem; border-radius: .2rem; background: var(--dot); opacity: .45 }
.dot { width: .66rem; height: .66rem; border-radius: 50%; background: var(--dot); margin-left: -.33rem }
.ours .bar, .ours .dot { background: var(--ours) }
.number { font-variant-numeric: tabular-nums } .how { display: block; color: var(--soft); font-weight: 400 }
.ends { display: flex; justify-content: space-between; grid-column: 2 }
@media (max-width: 800px) {
  .row { grid-template-columns: 1fr } .row .name { padding-top: .2rem } .ends { grid-column: 1 }
  .how { display: inline } dl { grid-template-columns: 1fr } dd { margin-bottom: .3rem }
}
"""
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1><p class="lead">$lead</p>
$body
$record
</body></html>
""")


def table(frame: pd.DataFrame, digits: int = 3) -> str:
    """Return a data frame as an HTML table: text escaped, floats rounded to significant digits, NaN a dash."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return "–" if pd.isna(value) else f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value))

    is_text = [bool(len(frame)) and isinstance(frame[name].iloc[0], str) for name in frame.columns]
    heads = zip(frame.columns, is_text, strict=True)
    head = "".join(f"<th{' class=text' if text else ''}>{escape(str(name))}</th>" for name, text in heads)
    rows = []
    for row in frame.astype(object).itertuples(index=False):
        cells = "".join(f"<td{' class=text' if isinstance(v, str) else ''}>{cell(v)}</td>" for v in row)
        rows.append(f"<tr>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def described(entries: Mapping[str, str]) -> str:
    """Return names and what they stand for, HTML, as a list."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{told}</dd>" for name, told in entries.items()) + "</dl>"


def write_page(
    path: Path, *, title: str, lead: str, sections: list[tuple[str, str]], made: Sequence[Step] = ()
) -> None:
    """Write the page.

    Parameters
    ----------
    path
        Path of the HTML file; pictures are looked for beside it.
    title, lead
        Plain text.
    sections
        Heading (plain text) and content (HTML) of each.
    made
        Steps that made what the page shows, for programs; see ``scprint inspect``.
    """
    body = "\n".join(f"<section><h2>{escape(heading)}</h2>\n{content}</section>" for heading, content in sections)
    text = _PAGE.substitute(style=_STYLE, title=escape(title), lead=escape(lead), body=body, record=in_page(made))
    path.write_text(text, encoding="utf-8")
