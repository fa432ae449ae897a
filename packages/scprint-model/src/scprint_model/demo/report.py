"""The words and plots of the demo's page; `scprint_model.demo.summary` has what is printed."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from grnndata import GRNAnnData, tl
from scdataloader import Report
from scprint_model._provenance import KEY
from scprint_model.demo.charts import OTHERS, confusion, heat_table, interval_chart
from scprint_model.demo.claims import claim, standing
from scprint_model.demo.denoising import ALONE, NEIGHBOURS, TOGETHER
from scprint_model.demo.network_rivals import DERIVATIVE_CELLS, DERIVATIVES
from scprint_model.demo.page import described, table, write_page
from scprint_model.demo.scored import OURS
from scprint_model.demo.summary import cost, network_rows, score_frame, with_interval

_FILES = {
    "cells.h5ad": "the cleaned cells with embedding (<code>obsm</code>), t-SNE and predicted labels (<code>obs</code>)",
    "denoised.h5ad": "expected counts of the down-sampled cells; those with neighbours and the true ones are layers",
    "network.h5ad": "the network (<code>varp['GRN']</code>, row = regulator), for <code>grnndata.read_h5ad</code>",
    "network.html": "its strongest edges as a page to search and to click through",
    "edges.tsv": "the 20 strongest regulators of each gene, an edge a row",
    "scores.tsv": "the scores of the network and of all that stands beside it",
    "cleaning.tsv": "what each cleaning step removed",
    "summary.json": "every number on this page",
}
_MAP = '<img src="tsne.png" alt="t-SNE of the cell embedding, coloured by predicted and by given cell type">'
_UNIVERSES = {"TF": "transcription factors", "all": "every gene with a true edge"}


def write(path: Path, cleaning: Report, network: GRNAnnData, scores: dict[str, Any]) -> None:
    """Write the page; the pictures ``tsne.png`` and ``hubs.png`` and ``network.html`` lie beside it."""
    sections = [
        ("What made this page", _made_by(scores)),
        (
            "1. Cleaning",
            f"{table(cleaning.to_frame())}<p>The model knows {scores['genes_known_to_model']:,} of the genes.</p>",
        ),
        ("2. Embedding", _embedding_section(scores)),
        ("3. Cell types", _labels_section(scores)),
        ("4. Denoising", _denoising_section(scores)),
        (f"5. The gene network of {scores['network']['group']}", _network_section(network, scores)),
        ("6. The network against OmniPath", _scores_section(scores)),
        ("Files", "<ul>" + "".join(f'<li><a href="{n}">{n}</a>: {t}</li>' for n, t in _FILES.items()) + "</ul>"),
    ]
    lead = f"{cleaning.source}: {scores['cells']:,} cells, {scores['genes']:,} genes. Made in {cost(scores)}."
    title = "From cells to a scored gene network"
    write_page(path, title=title, lead=lead, sections=sections, made=scores[KEY])


def _made_by(scores: dict[str, Any]) -> str:
    (made,) = scores[KEY]
    model = made["model"]
    named = " ".join(model.get(name, "") for name in ("name", "filename", "revision")).strip()
    digest = model.get("sha256") or model.get("weights_sha256", "")
    entries = {
        "version": escape(f"{made['package']} {made['version']}"),
        "commit": escape(scores["commit"] or ""),
        "model": f"{escape(named)}, SHA-256 <code>{escape(digest)}</code>",
        "seed": str(made["parameters"]["seed"]),
        "command": f"<code>{escape(scores['command'])}</code>",
    }
    return described({name: told for name, told in entries.items() if told})


def _claim(text: str) -> str:
    return f'<p class="claim">{escape(text)}</p>' if text else ""


def _chart(
    rows: list[dict[str, Any]], label: str, *, key: str = "value", bold: tuple[str, ...] = (OURS,), of: str = OURS
) -> str:
    """Return a plot of rows, each with how the first method stands to it and by how much."""
    shown = []
    for row in rows:
        told = {f"value{end}": row.get(f"{key}{end}") for end in ("", "_low", "_high")}
        # differences are of the main score of the rows
        is_compared = key != "macro_f1" and standing(row) is not None
        gap = f"{of} less this {with_interval(row, 'difference')}" if is_compared else None
        shown.append({"method": row["method"], "standing": gap} | told)
    return interval_chart(shown, label=label, bold=bold)


def _embedding_section(scores: dict[str, Any]) -> str:
    parts = [f'<div class="wide">{_MAP}</div>']
    rows = scores["embedding"]
    if rows:
        parts.append(_claim(claim(rows, OURS, "agreement of ten neighbours on the cell type")))
        parts.append(_chart(rows, "Share of cells whose ten nearest neighbours agree on their cell type"))
        parts.append(f"<p>{escape(scores['intervals'])}.</p>")
    return "\n".join(parts)


def _labels_section(scores: dict[str, Any]) -> str:
    labels = scores["annotation"]
    if not labels:
        return "<p>No cell type is given: there is nothing to compare the predicted ones with.</p>"
    pairs = pd.DataFrame(labels["pairs"])
    cells = pairs.loc[pairs.index.repeat(pairs["cells"])]
    agree = {(one["given"], one["predicted"]) for one in labels["pairs"] if one["right"]}
    share = {row["method"]: row for row in labels["shares"]}
    answered = share["given a label, of all"]["value"]
    right = share.get("of the given labels right")
    said = f"The model gave a label to {answered:.1%} of the cells"
    said += "." if right is None else f"; of these labels {right['value']:.1%} are right."
    rivals = [row for row in labels["methods"] if row["method"] != OURS]
    return "\n".join(
        [
            _claim(f"{said} {claim(rivals, OURS, 'accuracy over all labelled cells')}"),
            _chart(
                labels["methods"],
                "Labelled cells named right (regressions cross-validated)",
                key="accuracy",
            ),
            _chart(labels["methods"], "Macro F1: the mean over cell types", key="macro_f1"),
            _chart(labels["shares"], "Share of cells", bold=()),
            "<p>A prediction is right if it is the given type or one below it in the Cell Ontology. The regressions "
            "have seen cells of this very data set, the model none. Given types are rows, predicted ones columns; the "
            "darker, the larger the share of the row; frames mark right pairs. Rare types beyond the table are "
            f"“{OTHERS}”.</p>",
            heat_table(confusion(cells["given"], cells["predicted"]), agree),
            f"<p>{escape(scores['intervals'])}.</p>",
        ]
    )


def _denoising_section(scores: dict[str, Any]) -> str:
    rows = scores["denoising"]
    return (
        _claim(claim(rows, TOGETHER, "mean rank correlation with the true counts"))
        + _chart(rows, "Mean Spearman correlation with the true counts", bold=(ALONE, TOGETHER), of="with neighbours")
        + "<p>The counts are down-sampled at rate 0.7, as in the paper's benchmark (62 % of a large count is lost), "
        "then predicted back. Each cell is compared with its true counts over the genes that it expresses, among the "
        f"1,000 most variable ones. “{TOGETHER}” is <code>denoise(neighbours={NEIGHBOURS})</code>; differences are its "
        f"score less that of the row. {escape(scores['intervals'])}.</p>"
    )


def _network_section(network: GRNAnnData, scores: dict[str, Any]) -> str:
    chosen = scores["network"]
    hubs = tl.hubs(network, 12).drop(columns="n_edges")
    hubs["community"] = hubs["gene"].map(network.var["community"]).astype(int)
    return (
        '<img src="hubs.png" alt="the strongest hubs of the network and their strongest targets">'
        f'<p><a href="network.html">The strongest edges as a page to search and to click through</a>. '
        f"{chosen['genes']:,} genes, {chosen['edges']:,} weighted edges from {chosen['cells']:,} cells; "
        f"{scores['communities']} communities. The picture shows the strongest hubs (by outgoing strength) and their "
        f"strongest targets; an arrow points from regulator to target.</p>{_claim(scores['hubs']['note'])}{table(hubs)}"
    )


def _truth(scores: dict[str, Any]) -> str:
    """Say which truth the scorer took; one from another package may not tell."""
    first = scores["network_scores"][0]
    named, version = first.get("truth"), first.get("truth_version")
    return escape(f"{named} ({version})" if named and version else named or "OmniPath")


def _scores_section(scores: dict[str, Any]) -> str:
    parts = []
    for universe, words in _UNIVERSES.items():
        rows = network_rows(scores, universe)
        if rows and any(row["value"] is not None for row in rows):
            measure = f"average precision with {words} as regulators"
            parts.append(_claim(claim(rows, OURS, measure)))
            parts.append(_chart(rows, f"Average precision / share of true edges, {words} as regulators", bold=(OURS,)))
    text = (
        f"<p>Truth: {_truth(scores)}, the edges between these genes; row = regulator, and “transposed” as the paper "
        "scores it. Average precision is divided by the share of true edges among the scored pairs, so that random is "
        "about 1. <b>Hubs of</b> a network is what its genes' strengths alone imply, <b>abundance</b> the product of "
        "the two genes' mean expression, <b>degrees of the truth</b> how popular a target is among other regulators, "
        f"which has seen the truth. <b>{DERIVATIVES}</b>: how the prediction of a gene changes with the count of a "
        f"factor, in {DERIVATIVE_CELLS} of the cells; by size, without the sign. OmniPath is not specific to a cell "
        "type and knows a small part of all interactions: all values are low, compare the rows. Intervals are 95 % "
        "ones over regulators drawn with replacement, the same draws for the two sides of a difference; rows of random "
        "weights are means, and have none.</p>"
        "<details><summary>All scores as a table</summary>"
        "<p><b>AP</b> is average precision. <b>AUPRC*</b> is the paper's: the area between the precision-recall curve "
        "and the share of true edges, so random is about 0. <b>EPR</b> is the precision among the top K edges over "
        "random, with K the number of true edges; <b>odds ratio</b> is the diagnostic odds ratio at K, which the paper "
        "calls EPR. Random is about 1 for both.</p>"
    )
    return "\n".join(parts) + text + table(score_frame(scores)) + "</details>"
