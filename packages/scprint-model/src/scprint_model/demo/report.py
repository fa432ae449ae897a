"""The words and tables of the demo: its page and its printed summary."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData

from grnndata import GRNAnnData, tl
from scdataloader import Report
from scprint_model._provenance import KEY
from scprint_model._wording import percent
from scprint_model.demo.page import table, write_page

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
        values = ", ".join(f"{name} {value:.2f}" for name, value in scores["embedding"].items())
        lines.append(f"embedding   10-neighbour agreement on cell type: {values}")
    if scores["annotation"]:
        lines.append(f"labels      {_annotation_text(scores['annotation'])}")
    lines += [
        "denoising   Spearman with the true counts: "
        + ", ".join(f"{k} {v:.3f}" for k, v in scores["denoising"].items()),
        f"network     {chosen['group']}: {chosen['genes']:,} genes from {chosen['cells']:,} cells, "
        f"{scores['communities']} communities; hubs {', '.join(hubs)}",
        "",
        _score_frame(scores).to_string(index=False, float_format=lambda v: f"{v:.4g}"),
        "",
        f"{_cost(scores)}. Open {out / 'index.html'}",
    ]
    return "\n".join(lines)


def _cost(scores: dict[str, Any]) -> str:
    memory = scores["peak_memory_gb"]
    return f"{scores['seconds']:.0f} s" + ("" if memory is None else f" with {memory:.1f} GB of memory")


def _annotation_text(values: dict[str, float]) -> str:
    text = f"{percent(values['share_known'], 1)} of the cells are of a type that the model was trained to name"
    if "accuracy_known" in values:
        text += f", {percent(values['accuracy_known'], 1)} of these are named right"
    if "broad_accuracy" in values:
        text += f"; broad class right for {percent(values['broad_accuracy'], 1)}"
        text += f" (always the commonest: {percent(values['broad_majority'], 1)})"
    return text


def _cells_section(cells: AnnData, scores: dict[str, Any]) -> str:
    parts = ['<img src="umap.png" alt="UMAP of the cell embedding, coloured by predicted and by given cell type">']
    if scores["annotation"]:
        parts.append(f"<p>{escape(_annotation_text(scores['annotation']))}.</p>")
    if scores["embedding"]:
        rows = pd.DataFrame(scores["embedding"].items(), columns=["embedding", "10-neighbour agreement on cell type"])
        parts.append(table(rows))
    predicted = cells.obs["predicted_cell_type"].astype(str).value_counts().head(12)
    parts.append(table(pd.DataFrame({"predicted cell type": predicted.index, "cells": predicted.astype(int).tolist()})))
    return "\n".join(parts)


def _denoising_section(scores: dict[str, Any]) -> str:
    rows = pd.DataFrame(scores["denoising"].items(), columns=["profile", "mean Spearman with the true counts"])
    text = (
        "<p>The counts are down-sampled at rate 0.7, as in the paper's benchmark (62 % of a large count is lost), "
        "then predicted back. Each cell is compared with its true counts over the genes that it expresses, among the "
        "1,000 most variable ones. The mean of all cells is the baseline to beat.</p>"
    )
    return text + table(rows)


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


def _score_frame(scores: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(scores["network_scores"])
    names = {
        "ap": "AP",
        "auprc_paper": "AUPRC*",
        "auroc": "AUROC",
        "epr": "EPR",
        "odds_ratio": "odds ratio",
        "n_positives": "true edges",
    }
    columns = ["method", "orientation", "universe", *names]
    return frame[columns].rename(columns=names)


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
        "rows.</p>"
    )
    return text + table(_score_frame(scores), digits=4)
