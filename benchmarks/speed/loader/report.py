"""Tables and the plot of the measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.speed.loader.demand import GPUS, PASSES, TOKENS, UTILISATION, demand

#: Columns of the summary: (order, genes, cores, cache).
SUMMARY = {
    "in order": ("sequential", "fixed", 1, "warm"),
    "uniform": ("uniform", "fixed", 1, "warm"),
    "weighted": ("weighted", "fixed", 1, "warm"),
    "weighted, random expressed": ("weighted", "random expressed", 1, "warm"),
    "2 cores: in order": ("sequential", "fixed", 2, "warm"),
    "2 cores: uniform": ("uniform", "fixed", 2, "warm"),
    "2 cores: weighted": ("weighted", "fixed", 2, "warm"),
    "2 cores: weighted, random expressed": ("weighted", "random expressed", 2, "warm"),
    "cold: in order": ("sequential", "fixed", 1, "cold"),
    "cold: weighted": ("weighted", "fixed", 1, "cold"),
}
_KINDS = {"ours": "each cell", "exact": "each cell", "blocks": "blocks of cells", "limit": "each cell"}
_STORE, _H5AD, _LIMIT = "scdataloader: store", "scdataloader: h5ad in place", "plain gather (limit)"
_PUBLISHED = "scdataloader 2.1.3 (published)"


def write_reports(rows: list[dict[str, Any]], folder: Path, corpus: str, stem: str = "speed_loader") -> pd.DataFrame:
    """Write all measurements, the targets with what failed, and the plot; return the summary."""
    table = pd.DataFrame(rows)
    for name in ("cells_s", "error", "order", "genes", "cores", "cache"):
        if name not in table:
            table[name] = None
    folder.mkdir(parents=True, exist_ok=True)
    written = table.drop(columns=["first", "began", "ended", "width", "conversion", "settings"], errors="ignore")
    written.to_csv(folder / f"{stem}_all.csv", index=False, float_format="%.5g")
    (folder / f"{stem}_notes.md").write_text(notes(table, corpus, stem), encoding="utf-8")
    if table["cells_s"].notna().any():
        plot(table, folder / f"{stem}.png")
    return summary(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return a line a loader: cells/s, the best way to use the cores; memory and start-up with one core, weighted."""
    lines = []
    for name, mine in table.groupby("loader", sort=False):
        line: dict[str, Any] = {"loader": name, "draws": _KINDS[mine["kind"].iloc[0]]}
        for column, key in SUMMARY.items():
            value = rate(table, str(name), *key)
            line[column] = "" if value is None else round(value)
        base = mine[(mine["cores"] == 1) & (mine["cache"] == "warm") & (mine["order"] == "weighted")]
        if len(base):
            line["memory (MB)"] = round(base["anon_mb"].max())
            line["first batch after (s)"] = round(base["start_s"].iloc[0], 1)
            cost = base["conversion"].iloc[0] or {}
            line["converted in (s)"] = round(cost["seconds"], 1) if cost else ""
            line["converted (MB)"] = round(cost["bytes"] / 1e6) if cost else ""
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def rate(table: pd.DataFrame, name: str, order: str, genes: str, cores: int, cache: str) -> float | None:
    """Return cells/s of a loader, of its best number of workers; None if it was not measured."""
    same = (table["order"] == order) & (table["genes"] == genes) & (table["cores"] == cores) & (table["cache"] == cache)
    found = table.loc[same & (table["loader"] == name), "cells_s"].dropna()
    return float(found.max()) if len(found) else None


def targets(table: pd.DataFrame) -> pd.DataFrame:
    """Return what was aimed at and what was reached, one core."""
    fixed, chosen = ("weighted", "fixed", 1, "warm"), ("weighted", "random expressed", 1, "warm")
    cold = ("weighted", "fixed", 1, "cold")
    peers = table[table["kind"].isin(["exact", "blocks"]) & (table["cores"] == 1) & (table["cache"] == "warm")]
    fast = peers.loc[peers["cells_s"].astype(float).idxmax()] if peers["cells_s"].notna().any() else None
    exact = peers[(peers["kind"] == "exact") & (peers["order"] == "weighted")]
    truly = exact.loc[exact["cells_s"].astype(float).idxmax()] if exact["cells_s"].notna().any() else None
    store = rate(table, _STORE, *fixed)
    aims: list[tuple[str, float | None, float | None, float]] = [
        ("fixed genes, of the plain gather", store, rate(table, _LIMIT, *fixed), 0.6),
        ("random expressed, of its plain gather", rate(table, _STORE, *chosen), rate(table, _LIMIT, *chosen), 0.6),
        ("h5ad in place, cells/s", rate(table, _H5AD, *fixed), 1, 50_000),
        ("cold disk, times page faults", rate(table, _STORE, *cold), rate(table, _LIMIT, *cold), 10),
        ("weighted, times the published loader", store, rate(table, _PUBLISHED, *fixed), 80),
    ]
    if truly is not None:
        aims.append((f"weighted, times the best peer that is ({truly['loader']})", store, truly["cells_s"], 2))
    if fast is not None:
        name = f"weighted, times the fastest of any peer ({fast['loader']}, {fast['order']})"
        aims.append((name, store, fast["cells_s"], 2))
    lines = []
    for name, value, base, aim in aims:
        reached = value / base if value is not None and base else None
        shown = "" if reached is None else f"{reached:,.0f}" if reached >= 100 else f"{reached:.2f}"
        verdict = "" if reached is None else "yes" if reached >= aim else "no"
        lines.append({"aim": name, "at least": f"{aim:,g}", "measured": shown, "reached": verdict})
    return pd.DataFrame(lines)


def notes(table: pd.DataFrame, corpus: str, stem: str) -> str:
    """Return how it was measured, the targets, the demand, the settings and what failed, in Markdown."""
    from benchmarks.__main__ import markdown

    failed = table[table["error"].notna()]
    problems = [
        f"- {row['loader']}{_part(row)}: `{row['error']}`" for row in failed.to_dict("records")
    ] or ["- nothing"]  # fmt: skip
    known = table.dropna(subset=["settings"]) if "settings" in table else table.iloc[:0]
    settings = known.drop_duplicates("loader")[["loader", "settings"]]
    spread = table.dropna(subset=["cells_s"])
    unsteady = [
        f"- {row['loader']}{_part(row)}, {row['order']}: {min(row['rates']):,.0f} to {max(row['rates']):,.0f}"
        for row in spread.to_dict("records")
        if max(row["rates"]) > 1.3 * min(row["rates"])
    ] or ["- none"]
    return "\n".join(
        [
            f"# Reading cells: notes to `{stem}.md`",
            "",
            f"{corpus}; batches of 64 cells, dense float32. *Fixed*: the same 2,200 genes. *Random expressed*: 2,200",
            "of each cell's expressed genes, padded by others. *Weighted*: a cell type of n cells has the weight",
            "50·n / (n + 50), with replacement. Cells/s are the median of windows, after a warm-up; with 2 cores of",
            "the better number of workers. *Cold*: the files dropped from the page cache before each window, which",
            "`mincore` confirmed; from the first batch on. Memory: peak anonymous memory of the process and all below",
            "it. First batch: from the start of the process, imports included.",
            "",
            "## Aims",
            "",
            markdown(targets(table)),
            "",
            "## What a GPU takes",
            "",
            f"An estimate: {PASSES} passes a cell and step, {TOKENS:,} tokens, 6 operations a parameter and token plus",
            f"attention, at an assumed {UTILISATION:.0%} of the dense 16-bit peak of {' and '.join(GPUS)}. The paper's",
            "own figure, 48 hours on one A40 for the medium model, would be 289 cells/s if each of its 50 million",
            "cells was seen once in that time, which it does not say.",
            "",
            markdown(demand()),
            "",
            f"![cells/s against what GPUs take]({stem}.png)",
            "",
            "## Settings",
            "",
            markdown(settings),
            "",
            "## Windows that differ by more than 30 %",
            "",
            *unsteady,
            "",
            "## What could not be run",
            "",
            *problems,
            "",
        ]
    )


def _part(row: dict[str, Any]) -> str:
    if pd.isna(row.get("cores")):
        return ""
    return f", {row['cores']:.0f} core(s), {row['cache']}"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Draw cells/s of each loader, weighted draws with one core, over what GPUs take."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(table.dropna(subset=["cells_s"])["loader"]))
    shown = {
        "fixed genes": ("weighted", "fixed", 1, "warm"),
        "random expressed genes": ("weighted", "random expressed", 1, "warm"),
        "fixed genes, cold disk": ("weighted", "fixed", 1, "cold"),
    }
    rates = {name: [rate(table, name, *key) for key in shown.values()] for name in names}
    names.sort(key=lambda name: rates[name][0] or 0)
    figure, axes = plt.subplots(figsize=(10, 0.55 * len(names) + 2.4), layout="constrained")
    for number, (label, color) in enumerate(zip(shown, ("#4477aa", "#ee6677", "#bbbbbb"), strict=True)):
        places = [(i, rates[name][number]) for i, name in enumerate(names) if rates[name][number]]
        heights = [i + 0.27 * (1 - number) for i, _ in places]
        axes.barh(heights, [value for _, value in places], 0.25, color=color, label=label, zorder=3)
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    axes.set_xlim(10, 1e6)
    axes.set_xlabel("cells/s, weighted draws, one core (logarithmic)")
    axes.grid(axis="x", color="0.9", zorder=0)
    axes.set_ylim(-0.6, len(names) - 0.2)
    top = axes.get_xaxis_transform()
    needs = demand()
    for gpu, style, height in zip(GPUS, (":", "--"), (1.005, 1.035), strict=True):
        for row in needs[needs["GPU"] == gpu].to_dict("records"):
            need = row["cells/s, 1 GPU"]
            axes.axvline(need, color="black", linestyle=style, linewidth=1, zorder=4)
            label = f"{row['model']}, {gpu}"
            axes.text(need, height, label, transform=top, ha="center", va="bottom", fontsize=8)
    axes.legend(loc="lower right", fontsize=9, framealpha=1)
    figure.suptitle("Weighted reading against what one GPU takes in training (estimated)", fontsize=11)
    figure.savefig(path, dpi=120)
    plt.close(figure)
