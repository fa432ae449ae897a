"""The words and tables of the demo: its page and its printed summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from grnndata import GRNAnnData, tl
from scdataloader import Report
from scprint_model._provenance import KEY
from scprint_model.demo.page import table, write_page
from scprint_model.demo.scored import OURS

_FILES = {
    "cells.h5ad": "the cleaned cells with embedding (<code>obsm</code>), UMAP and predicted labels (<code>obs</code>)",
    "denoised.h5ad": "expected counts of the down-sampled cells; the true counts are a layer",
    "network.h5ad": "the network (<code>varp['GRN']</code>, row = regulator), for <code>grnndata.read_h5ad</code>",
    "edges.tsv": "the 20 strongest regulators of each gene, an edge a row",
    "scores.tsv": "the score table",
    "cleaning.tsv": "what each cleaning step removed",
    "summary.json": "every number on this page",
}


def write(path: Path, cleaning: Report, cells: AnnData, network: GRNAnnData, scores: dict[str, Any]) -> None:
    """Write the page; the pictures ``umap.png`` and ``hubs.png`` lie beside it."""
    chosen = scores["network"]
    sections = [
        (
            "1. Cleaning",
            f"{table(cleaning.to_frame())}<p>The model knows {scores['genes_known_to_model']:,} of the genes.</p>",
        ),
        ("2. Embedding and labels", _cells_section(cells, scores)),
        ("3. Denoising", _denoising_section(scores)),
        (f"4. The gene network of {chosen['group']}", _network_section(network, scores)),
        ("5. Scores against OmniPath", _scores_section(scores)),
        (
            "Files",
            "<ul>" + "".join(f'<li><a href="{n}">{n}</a>: {t}</li>' for n, t in _FILES.items()) + "</ul>",
        ),
    ]
    (made,) = scores[KEY]
    model = made["model"]
    by = f"{made['package']} {made['version']}, model {model['name']}, seed {made['parameters']['seed']}"
    lead = f"{cleaning.source}: {scores['cells']:,} cells, {scores['genes']:,} genes. Made in {_cost(scores)} by {by}."
    write_page(path, title="From cells to a scored gene network", lead=lead, sections=sections, made=[made])


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
        *_listed("denoising", "mean Spearman with the true counts:", scores["denoising"]),
        f"            {scores['intervals']}",
        f"network     {chosen['group']}: {chosen['genes']:,} genes from {chosen['cells']:,} cells, "
        f"{scores['communities']} communities; hubs {', '.join(hubs)}",
        "",
        _score_frame(scores, ("ap", "auroc", "epr")).to_string(index=False),
        "            95% intervals: regulators drawn with replacement; random weights are a mean, and have none",
        "",
        f"{_cost(scores)}. Open {out / 'index.html'}",
    ]
    return "\n".join(lines)


def _cost(scores: dict[str, Any]) -> str:
    memory = scores["peak_memory_gb"]
    return f"{scores['seconds']:.0f} s" + ("" if memory is None else f" with {memory:.1f} GB of memory")


def _listed(heading: str, text: str, rows: list[dict[str, Any]], key: str = "value") -> list[str]:
    """Return a heading, and a line for each row with its score and interval."""
    wide = max(len(row["method"]) for row in rows)
    lines = [f"{heading:12}{text}"]
    for row in rows:
        gap = f"; {OURS} less this {with_interval(row, 'difference')}" if row.get("difference") is not None else ""
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


def _rows(rows: list[dict[str, Any]], named: str, keys: dict[str, str]) -> str:
    """Return a table with a row a method, and its scores as text with their intervals."""
    shown = [{named: row["method"]} | {name: with_interval(row, key) for key, name in keys.items()} for row in rows]
    return table(pd.DataFrame(shown))


def _cells_section(cells: AnnData, scores: dict[str, Any]) -> str:
    parts = ['<img src="umap.png" alt="UMAP of the cell embedding, coloured by predicted and by given cell type">']
    if scores["annotation"]:
        parts.append(_rows(scores["annotation"]["shares"], "cells", {"value": "share of the cells"}))
        keys = {"accuracy": "accuracy", "macro_f1": "macro F1", "difference": f"accuracy, {OURS} less this"}
        parts.append(_rows(scores["annotation"]["methods"], "cell types by (regressions cross-validated)", keys))
    if scores["embedding"]:
        parts.append(_rows(scores["embedding"], "embedding", {"value": "10-neighbour agreement on cell type"}))
    parts.append(f"<p>{escape(scores['intervals'])}.</p>")
    predicted = cells.obs["predicted_cell_type"].astype(str).value_counts().head(12)
    parts.append(table(pd.DataFrame({"predicted cell type": predicted.index, "cells": predicted.astype(int).tolist()})))
    return "\n".join(parts)


def _denoising_section(scores: dict[str, Any]) -> str:
    text = (
        "<p>The counts are down-sampled at rate 0.7, as in the paper's benchmark (62 % of a large count is lost), "
        "then predicted back. Each cell is compared with its true counts over the genes that it expresses, among the "
        "1,000 most variable ones. The mean of all cells is the baseline to beat.</p>"
    )
    keys = {"value": "mean Spearman with the true counts", "difference": f"{OURS} less this"}
    return text + _rows(scores["denoising"], "profile", keys) + f"<p>{escape(scores['intervals'])}.</p>"


def _network_section(network: GRNAnnData, scores: dict[str, Any]) -> str:
    chosen = scores["network"]
    hubs = tl.hubs(network, 12).drop(columns="n_edges")
    hubs["community"] = hubs["gene"].map(network.var["community"]).astype(int)
    return (
        '<img src="hubs.png" alt="the strongest hubs of the network and their strongest targets">'
        f"<p>{chosen['genes']:,} genes, {chosen['edges']:,} weighted edges from {chosen['cells']:,} cells; "
        f"{scores['communities']} communities. The picture shows the strongest hubs (by outgoing strength) and their "
        f"strongest targets; an arrow points from regulator to target.</p>{table(hubs)}"
    )


#: Names of the scores of networks as they are shown.
_NAMES = {"ap": "AP", "auprc_paper": "AUPRC*", "auroc": "AUROC", "epr": "EPR", "odds_ratio": "odds ratio"}


def _score_frame(scores: dict[str, Any], shown: Sequence[str] = tuple(_NAMES)) -> pd.DataFrame:
    """Return the table of network scores, each as text with its interval where the scorer gives one."""

    def text(row: dict[str, Any], key: str) -> str:
        low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
        if low is None or high is None or pd.isna(low):
            return f"{row[key]:.3g}"
        return f"{row[key]:.3g} [{low:.3g}, {high:.3g}]"

    named = ("method", "orientation", "universe")
    return pd.DataFrame(
        [
            {name: row[name] for name in named}
            | {_NAMES[key]: text(row, key) for key in shown}
            | {"true edges": row["n_positives"]}
            for row in scores["network_scores"]
        ]
    )


def _truth(scores: dict[str, Any]) -> str:
    """Say which truth the scorer took; one from another package may not tell."""
    first = scores["network_scores"][0]
    named, version = first.get("truth"), first.get("truth_version")
    return escape(f"{named} ({version})" if named and version else named or "OmniPath")


def _scores_section(scores: dict[str, Any]) -> str:
    text = (
        f"<p>Truth: {_truth(scores)}, the edges between these genes. <b>AP</b> is average precision, whose random "
        "expectation is a little over the share of true edges among the scored pairs. <b>AUPRC*</b> is the "
        "paper's: the area between the precision-recall curve and that share, so random is about 0. <b>EPR</b> is "
        "the precision among the top K edges over random, with K the number of true edges; <b>odds ratio</b> is "
        "the diagnostic odds ratio at K, which the paper calls EPR. Random is about 1 for both. OmniPath is not "
        "specific to a cell type and knows a small part of all interactions: all values are low, compare the "
        "rows. Intervals are 95 % ones over regulators drawn with replacement; rows of random weights are means, and "
        "have none. <b>hubs of</b> a network is what its genes' strengths alone imply.</p>"
    )
    return text + table(_score_frame(scores))
