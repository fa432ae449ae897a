"""The labels of a corpus as an indented tree with counts of cells, as text or as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scdataloader._atomic import atomic_path
from scdataloader.labels.label_class import LabelClass
from scdataloader.labels.ontology import ancestors, is_joined
from scdataloader.labels.space import class_scope, corpus_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# inches
_ROW, _INDENT, _LETTER, _BARS, _HEAD, _FOOT = 0.21, 0.18, 0.068, 3.2, 0.62, 0.5
_LONGEST_NAME = 60
_FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class TreeRow:
    """One line of a tree.

    Attributes
    ----------
    label
        Term, or several joined by commas.
    name
        Readable name.
    last
        For each level down to this row, whether the row, or its forebear there, is the last child of its parent; empty
        for a root.
    own, total
        Cells with this very label; with this one or one below it, each counted once.
    again
        Whether the label has been listed above, under another of its parents: what lies below is not listed twice.
    """

    label: str
    name: str
    last: tuple[bool, ...]
    own: int
    total: int
    again: bool


def label_counts(tables: Sequence[pd.DataFrame], name: str, labels: LabelClass | None = None) -> dict[str, int]:
    """Count the cells of each label.

    Parameters
    ----------
    tables
        One ``obs`` a data set, with columns as for `scdataloader.LabelSpace.from_obs`.
    name
        The class, such as ``"cell_type"``.
    labels
        Its labels, if they are not looked up in the usual ontologies (flat ones); labels that it does not hold count as
        unknown.

    Returns
    -------
    dict
        Standard label (see `standard_label`) to number of cells, sorted; ``"unknown"`` counts the
        cells without a label, or with one that is not understood.

    Raises
    ------
    ValueError
        When no table has a column for the class.
    """
    scope = class_scope(tables, name)
    found = corpus_labels(tables, name, scope if labels is None else labels.scope)
    counts: dict[str, int] = {}
    for label, n in zip(found["standard"].tolist(), found["n_cells"].tolist(), strict=True):
        key = label if labels is None or label in labels.codes else "unknown"
        counts[key] = counts.get(key, 0) + n
    missing = sum(map(len, tables)) - sum(counts.values())
    if missing:
        counts["unknown"] = counts.get("unknown", 0) + missing
    return dict(sorted(counts.items()))


def tree_rows(labels: LabelClass, counts: Mapping[str, int]) -> list[TreeRow]:
    """Return the lines of the tree: each label under the nearest labels of the class above it, commonest first.

    Parameters
    ----------
    labels
        The class.
    counts
        Cells of each label, as `label_counts` gives them; labels without an entry have none.

    Notes
    -----
    A label of several terms stands under the labels that all of them lie under. Its cells add to those, and not to the
    terms.
    """
    above = _above(labels)
    below: dict[str, set[str]] = {label: {label} for label in above}
    for label, others in above.items():
        for other in others:
            below[other].add(label)
    total = {label: sum(counts.get(other, 0) for other in below[label]) for label in above}
    children: dict[str, list[str]] = {label: [] for label in above}
    roots = []
    for label in sorted(above, key=lambda x: (-total[x], labels.names[x].lower(), x)):
        nearest = above[label] - {x for other in above[label] for x in above[other]}
        for parent in nearest:
            children[parent].append(label)
        if not nearest:
            roots.append(label)
    rows: list[TreeRow] = []
    listed: set[str] = set()

    def walk(label: str, last: tuple[bool, ...]) -> None:
        again = label in listed
        listed.add(label)
        rows.append(TreeRow(label, labels.names[label], last, counts.get(label, 0), total[label], again))
        for child in [] if again else children[label]:
            walk(child, (*last, child == children[label][-1]))

    for root in roots:
        walk(root, ())
    return rows


def tree_text(labels: LabelClass, counts: Mapping[str, int]) -> str:
    """Return the labels as an indented tree: names, ids, cells with the label itself, and with one below it too.

    A label that lies under several others stands under each; the second time with a star and without what is below it.

    Parameters
    ----------
    labels
        The class.
    counts
        Cells of each label: see `label_counts`.
    """
    rows = tree_rows(labels, counts)
    texts = [_guides(row.last) + _title(row) for row in rows]
    width = max(map(len, texts), default=0)
    digits = max([len("total"), *(len(f"{row.total:,}") for row in rows)])
    known = sum(n for label, n in counts.items() if label in labels.codes)
    unknown = sum(counts.values()) - known
    lines = [f"{_kinds(labels)} ones; {known:,} cells labelled, {unknown:,} unknown"]
    if rows:
        lines.append(f"{'':{width}}  {'own':>{digits}}  {'total':>{digits}}")
    for row, text in zip(rows, texts, strict=True):
        lines.append(f"{text:{width}}  {row.own:>{digits},}  {row.total:>{digits},}")
    if any(row.again for row in rows):
        lines.append("* listed above, under another label")
    return "\n".join(lines)


def draw_tree(labels: LabelClass, counts: Mapping[str, int], path: Path | str, *, title: str | None = None) -> Path:
    """Draw the tree beside bars of the numbers of cells, on a logarithmic axis, and return the file's path.

    Parameters
    ----------
    labels
        The class.
    counts
        Cells of each label: see `label_counts`.
    path
        File to write: ``.png``, ``.svg`` or ``.pdf``.
    title
        Text above the tree, by default the numbers of labels and cells.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    ValueError
        When the file's ending is none of these, or when no cell has a label.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"cannot draw to {path}: the ending must be one of {', '.join(_FORMATS)}")
    rows = tree_rows(labels, counts)
    if not rows:
        raise ValueError("the class has no labels: there is nothing to draw")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'scdataloader[plots]'") from error

    step = min(_ROW, 400 / len(rows))  # pictures have at most 2^16 dots
    text = max(_INDENT * (len(row.last) + 1) + _LETTER * len(_short(_title(row, with_id=False))) for row in rows)
    width, height = text + _BARS + 1.1, _HEAD + _FOOT + step * len(rows)
    bottom, tall = _FOOT / height, step * len(rows) / height
    with rc_context({"svg.hashsalt": "scdataloader", "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height))
        tree = figure.add_axes((0.15 / width, bottom, text / width, tall))
        tree.set(xlim=(0, text), ylim=(len(rows) - 0.5, -0.5))
        bars = figure.add_axes(((text + 0.25) / width, bottom, _BARS / width, tall), sharey=tree)
        for axes in (tree, bars):
            for y in range(1, len(rows), 2):
                axes.axhspan(y - 0.5, y + 0.5, color="0.96", lw=0, zorder=0)
        size = 8 * step / _ROW
        _draw_names(tree, labels, rows, size)
        _draw_bars(bars, rows, size)
        known = sum(n for label, n in counts.items() if label in labels.codes)
        default = f"{_kinds(labels)} (grey); {known:,} cells"
        figure.text(0.15 / width, 1 - 0.2 / height, default if title is None else title, fontsize=10, va="center")
        with atomic_path(path) as temporary:
            metadata = {"Date": None} if path.suffix.lower() == ".svg" else None  # the same figure is the same file
            figure.savefig(temporary, dpi=150, format=path.suffix[1:].lower(), metadata=metadata)
    return path


def _kinds(labels: LabelClass) -> str:
    n_own = int((labels.own_outputs >= 0).sum())
    return f"{len(labels.leaves) - n_own} leaf labels, {len(labels.parents)} coarser"


def _draw_names(axes: Axes, labels: LabelClass, rows: Sequence[TreeRow], size: float) -> None:
    leaves = set(labels.leaves) - set(labels.parents)
    for y, row in enumerate(rows):
        for level, last in enumerate(row.last):
            here = level == len(row.last) - 1
            left = _INDENT * (level + 0.5)
            if here or not last:
                axes.plot([left, left], [y - 0.5, y if here and last else y + 0.5], color="0.6", lw=0.7)
            if here:
                axes.plot([left, _INDENT * (level + 1)], [y, y], color="0.6", lw=0.7)
        axes.text(
            _INDENT * len(row.last) + 0.03,
            y,
            _short(_title(row, with_id=False)),
            va="center",
            fontsize=size,
            style="italic" if row.again else "normal",
            color="black" if row.label in leaves else "0.35",
        )
    axes.axis("off")


def _draw_bars(axes: Axes, rows: Sequence[TreeRow], size: float) -> None:
    once = [(y, row) for y, row in enumerate(rows) if not row.again]
    places = [y for y, _ in once]
    axes.barh(places, [row.total for _, row in once], height=0.75, color="#c6dbef", label="with labels below it")
    axes.barh(places, [row.own for _, row in once], height=0.75, color="#2171b5", label="the label itself")
    for y, row in once:
        axes.text(max(row.total, 0.75) * 1.1, y, f"{row.total:,}", va="center", fontsize=0.85 * size, color="0.3")
    axes.set_xlim(0.7, 6 * max(1, *(row.total for row in rows)))
    axes.set_xscale("log")
    axes.set_xlabel("cells", fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=7, frameon=False, borderaxespad=0.2)


def _above(labels: LabelClass) -> dict[str, set[str]]:
    """Return the labels of the class above each of its labels."""
    everything = tuple(labels.codes)
    if labels.scope == ():
        return {label: set() for label in everything}
    single = {label for label in everything if not is_joined(label)}
    out = {}
    for label in everything:
        lines = [ancestors(term) | ({term} - {label}) for term in label.split(",")] if is_joined(label) else []
        common = frozenset.intersection(*lines) if lines else ancestors(label)
        out[label] = set(common & single)
    return out


def _guides(last: tuple[bool, ...]) -> str:
    if not last:
        return ""
    return "".join("   " if over else "│  " for over in last[:-1]) + ("└─ " if last[-1] else "├─ ")


def _title(row: TreeRow, *, with_id: bool = True) -> str:
    name = row.name if row.name == row.label or not with_id else f"{row.name} ({row.label})"
    return f"{name} *" if row.again else name


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
