"""Write what the demo prints: its main numbers, each beside its rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from grnndata import GRNAnnData, tl
from scdataloader import Report
from scprint_model.demo.scored import OURS

#: Names of the scores of networks as they are shown.
NAMES = {
    "ap": "AP", "ap_ratio": "AP / share", "gain": f"{OURS} less this", "auprc_paper": "AUPRC*", "auroc": "AUROC",
    "epr": "EPR", "odds_ratio": "odds ratio",
}  # fmt: skip
_CALLED = {"pearson": "|Pearson correlation|"}


def summary(cleaning: Report, network: GRNAnnData, scores: dict[str, Any], out: Path) -> str:
    """Return a few lines with the main numbers and where to look."""
    hubs = tl.hubs(network, 8)["symbol"].tolist()
    chosen = scores["network"]
    lines = [str(cleaning), ""]
    if scores["embedding"]:
        lines += _listed("embedding", "10-neighbour agreement on cell type:", scores["embedding"])
    if scores["annotation"]:
        lines += _listed("labels", "share of the cells:", scores["annotation"]["shares"])
        named = "right, of all labelled cells (regressions cross-validated):"
        lines += _listed("", named, scores["annotation"]["methods"], "accuracy")
    lines += [
        *_listed("denoising", "mean Spearman with the true counts:", scores["denoising"], of="with neighbours"),
        f"            {scores['intervals']}",
        f"network     {chosen['group']}: {chosen['genes']:,} genes from {chosen['cells']:,} cells, "
        f"{scores['communities']} communities; hubs {', '.join(hubs)}",
        f"            {scores['hubs']['note']}",
        "",
        score_frame(scores, ("ap_ratio", "gain", "auroc", "epr")).to_string(index=False),
        "            95% intervals: regulators drawn with replacement; random weights are a mean, and have none",
        "",
        f"{cost(scores)}. Open {out / 'index.html'}",
    ]
    return "\n".join(lines)


def cost(scores: dict[str, Any]) -> str:
    """Return time and memory in words."""
    memory = scores["peak_memory_gb"]
    return f"{scores['seconds']:.0f} s" + ("" if memory is None else f" with {memory:.1f} GB of memory")


def _listed(heading: str, text: str, rows: list[dict[str, Any]], key: str = "value", of: str = OURS) -> list[str]:
    """Return a heading, and a line for each row with its score and interval."""
    wide = max(len(row["method"]) for row in rows)
    lines = [f"{heading:12}{text}"]
    for row in rows:
        gap = f"; {of} less this {with_interval(row, 'difference')}" if row.get("difference") is not None else ""
        lines.append(f"{'':14}{row['method']:{wide}}  {with_interval(row, key)}{gap}")
    return lines


def with_interval(row: Mapping[str, Any], key: str) -> str:
    """Return a score with its interval, such as ``0.53 [0.50, 0.56]``; differences have a sign."""
    sign = "+" if key == "difference" else ""
    value, low, high = (row.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return "–"
    return (
        f"{value:{sign}.3f}"
        if low is None or high is None
        else f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    )


def network_rows(scores: dict[str, Any], universe: str) -> list[dict[str, Any]]:
    """Return the average precision over random of all networks of a universe, and the first one's less each other's."""
    rows = []
    for row in scores["network_scores"]:
        if row["universe"] == universe:
            turned = ", transposed" if row["orientation"] == "transposed" else ""
            named = {"method": _CALLED.get(row["method"], row["method"]) + turned}
            named |= {f"value{end}": _known(row.get(f"ap_ratio{end}")) for end in ("", "_low", "_high")}
            rows.append(named | {f"difference{end}": _known(row.get(f"gain{end}")) for end in ("", "_low", "_high")})
    return rows


def score_frame(scores: dict[str, Any], shown: Sequence[str] = tuple(NAMES)) -> pd.DataFrame:
    """Return the table of network scores, each as text with its interval where the scorer gives one."""

    def text(row: dict[str, Any], key: str) -> str:
        value, low, high = (_known(row.get(name)) for name in (key, f"{key}_low", f"{key}_high"))
        sign = "+" if key == "gain" else ""
        if value is None:
            return "–"
        return f"{value:{sign}.3g}" if low is None else f"{value:{sign}.3g} [{low:{sign}.3g}, {high:{sign}.3g}]"

    named = ("method", "orientation", "universe")
    return pd.DataFrame(
        [
            {name: row[name] for name in named}
            | {NAMES[key]: text(row, key) for key in shown}
            | {"true edges": row["n_positives"]}
            for row in scores["network_scores"]
        ]
    )


def _known(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else value
