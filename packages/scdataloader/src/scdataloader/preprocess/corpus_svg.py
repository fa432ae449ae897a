"""Bars and histograms as inline SVG, which styles of the page colour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def number(value: float) -> str:
    """Return a number to read: thousands apart, four figures of a fractional one."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def bar(share: float, kind: str = "") -> str:
    """Draw one horizontal bar.

    Parameters
    ----------
    share
        Share of the full width, 0 to 1.
    kind
        Class for the style.
    """
    return (
        f'<svg class="bar {kind}" aria-hidden="true"><rect class="track" width="100%" height="100%" rx="3"/>'
        f'<rect class="fill" width="{100 * share:.2f}%" height="100%" rx="3"/></svg>'
    )


def bars(rows: Sequence[tuple[str, float, str]], kind: str = "") -> str:
    """Draw a table of bars, the longest of full width.

    Parameters
    ----------
    rows
        Name, length, and the number as text.
    kind
        Class for the style.
    """
    longest = max((length for _, length, _ in rows), default=0) or 1
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{bar(length / longest, kind)}</td>'
        f'<td class="n">{escape(text)}</td></tr>'
        for name, length, text in rows
    )
    return f'<table class="bars">{body}</table>'


def histogram(name: str, edges: Sequence[float], counts: Sequence[float]) -> str:
    """Draw a histogram with its ends and its highest bin.

    Parameters
    ----------
    name
        Name of what is counted.
    edges
        Edges of the bins, in order, shape (n + 1,).
    counts
        In each bin, shape (n,).
    """
    low, high, top = edges[0], edges[-1], max(counts, default=0)
    width, height = 300, 100
    scale = width / (high - low) if high > low else 0.0
    path = "".join(
        f"M{(left - low) * scale:.1f},{height}V{height - height * n / top:.1f}H{(right - low) * scale:.1f}V{height}"
        for left, right, n in zip(edges[:-1], edges[1:], counts, strict=True)
        if n
    )
    label = f"{name}: from {number(low)} to {number(high)}, at most {number(top)} cells in a bin"
    return (
        f'<figure class="card"><figcaption>{escape(name)} · at most {number(top)} cells in a bin</figcaption>'
        f'<svg class="histogram" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><path d="{path}"/></svg>'
        f'<div class="ends"><span>{number(low)}</span><span>{number(high)}</span></div></figure>'
    )
