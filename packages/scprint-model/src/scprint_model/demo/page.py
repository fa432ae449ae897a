"""One HTML page that shows what the demo made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd

from scprint_model._provenance import Step, in_page

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
body { font: 16px/1.55 system-ui, sans-serif; color: #1c2733;
  max-width: 1080px; margin: 2.5rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.9rem; margin-bottom: .2rem }
h2 { margin-top: 2.6rem; border-bottom: 2px solid #dfe5ec; padding-bottom: .2rem }
p.lead { color: #50606f; margin-top: 0 } img { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1rem 0; font-size: .92rem }
th, td { padding: .28rem .75rem; text-align: right }
th { background: #f1f4f8 } tr:nth-child(even) td { background: #fafbfc }
th:first-child, td:first-child, .text { text-align: left }
div.wide { overflow-x: auto } code { background: #f1f4f8; padding: .1rem .3rem; border-radius: 3px }
</style></head><body>
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
    text = _PAGE.substitute(title=escape(title), lead=escape(lead), body=body, record=in_page(made))
    path.write_text(text, encoding="utf-8")
